//! A picture with its heat map and boxes.

use std::sync::Arc;

use attribution::record::{Extent, Rect};
use leptos::prelude::*;

use crate::media::media_url;

use super::heat::HeatOverlay;
use super::unit_mark::UnitMark;
use crate::shown::Prompt;

/// The picture; every unit is a focusable region over it.
#[component]
pub fn ImageSource(
    /// Sources and units.
    prompt: Arc<Prompt>,
    /// Index into the sources.
    source: usize,
    /// Content hash.
    media: String,
    /// File name.
    name: String,
    /// As displayed.
    width_px: u32,
    /// As displayed.
    height_px: u32,
) -> impl IntoView {
    let regions = prompt
        .units_of(source)
        .map(|(index, unit)| {
            let rect = match unit.extent {
                Extent::Region { rect_in_source } => rect_in_source,
                _ => Rect {
                    x0: 0.0,
                    y0: 0.0,
                    x1: 1.0,
                    y1: 1.0,
                },
            };
            let style = format!(
                "left:{:.3}%;top:{:.3}%;width:{:.3}%;height:{:.3}%",
                rect.x0 * 100.0,
                rect.y0 * 100.0,
                (rect.x1 - rect.x0) * 100.0,
                (rect.y1 - rect.y0) * 100.0
            );
            view! { <UnitMark index id=unit.id.clone() class="region" style/> }
        })
        .collect_view();
    let picture = if media.is_empty() {
        view! { <div class="gone" style=format!("aspect-ratio:{}/{}", width_px.max(1), height_px.max(1))>"This picture was not kept."</div> }
            .into_any()
    } else {
        let alt = if name.is_empty() {
            "The picture as it was sent".to_owned()
        } else {
            name
        };
        view! { <img src=media_url(&media) alt=alt width=width_px.to_string() height=height_px.to_string()/> }.into_any()
    };
    view! {
        <div class="pic" style=format!("--ratio:{:.4}", f64::from(width_px.max(1)) / f64::from(height_px.max(1)))>
            {picture}
            <HeatOverlay source/>
            {regions}
        </div>
    }
    .into_any()
}
