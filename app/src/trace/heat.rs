//! Heat maps over a picture or the frame of a film, with boxes around the hottest parts.
//! In: the highlight (and, for a film, its time). Out: a canvas of one pixel per cell, smoothed by the browser, and boxes.

use attribution::heat::cell_values;
use attribution::record::{Extent, HeatBox, HeatMap};
use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, ImageData};

use super::desk::Desk;
use crate::focus::Target;
use crate::shown::Shown;

/// A heat map with the sentence that it belongs to.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    chunk: u32,
    map: HeatMap,
}

/// The overlay of one source; `time` makes it follow a film.
#[component]
pub fn HeatOverlay(
    /// Index into the sources.
    source: usize,
    /// The film's time cursor.
    #[prop(optional)]
    time: Option<RwSignal<f64>>,
) -> impl IntoView {
    let desk = Desk::around();
    let canvas = NodeRef::<Canvas>::new();
    let layers = Memo::new(move |_| {
        let lit = desk.lit.get();
        let now = time.map(|time| time.get());
        desk.shown.with(|shown| match lit.active {
            None => Vec::new(),
            Some(Target::Chunk(chunk)) => layers_of(shown, source, &[chunk], &lit.units, now),
            Some(Target::Unit(_) | Target::Token(_)) => {
                layers_of(shown, source, &lit.chunks, &lit.units, now)
            }
        })
    });
    Effect::new(move |_| {
        let layers = layers.get();
        if let Some(canvas) = canvas.get() {
            draw(&canvas, &layers);
        }
    });
    let by_unit = move || {
        desk.lit
            .with(|lit| matches!(lit.active, Some(Target::Unit(_))))
    };
    let boxes = move || {
        let numbered = by_unit();
        layers
            .get()
            .into_iter()
            .flat_map(|layer| {
                layer
                    .map
                    .boxes
                    .into_iter()
                    .map(move |found| (layer.chunk, found))
            })
            .map(|(chunk, found)| {
                let note = if numbered {
                    format!("{}", chunk + 1)
                } else {
                    format!("{:.0} %", found.share * 100.0)
                };
                view! { <span class="box" style=placed(&found)><span>{note}</span></span> }
            })
            .collect_view()
    };
    view! {
        <canvas class="heat" node_ref=canvas width="1" height="1" aria-hidden="true"
            style:opacity=move || if layers.with(Vec::is_empty) { "0".to_owned() } else { format!("{:.2}", f64::from(desk.heat.get()) / 100.0) }
        ></canvas>
        <span class="boxes" aria-hidden="true">{boxes}</span>
    }
    .into_any()
}

fn placed(found: &HeatBox) -> String {
    let rect = found.rect_in_source;
    format!(
        "left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%",
        rect.x0 * 100.0,
        rect.y0 * 100.0,
        (rect.x1 - rect.x0) * 100.0,
        (rect.y1 - rect.y0) * 100.0
    )
}

/// The maps to show: of lit units of this source; for a film only those nearest to its time.
fn layers_of(
    shown: &Shown,
    source: usize,
    chunks: &[u32],
    units: &[u32],
    now: Option<f64>,
) -> Vec<Layer> {
    let mut found: Vec<(f64, Layer)> = Vec::new();
    for &chunk in chunks {
        for map in shown.heat_of(chunk) {
            let Some(unit) = shown.prompt.units.get(map.unit as usize) else {
                continue;
            };
            if unit.source as usize != source || !units.contains(&map.unit) {
                continue;
            }
            let far = match (now, &unit.extent) {
                (
                    Some(now),
                    Extent::Time {
                        start_secs,
                        end_secs,
                        ..
                    },
                ) => {
                    let off = (now - (start_secs + end_secs) / 2.0).abs();
                    if off > (end_secs - start_secs).max(0.1) {
                        continue;
                    }
                    off
                }
                _ => 0.0,
            };
            let map = map.clone();
            found.push((far, Layer { chunk, map }));
        }
    }
    // A film shows one bin's map at a time: the nearest, and between two equally near the stronger.
    let one = now.is_some().then(|| {
        let nearer = |a: &&(f64, Layer), b: &&(f64, Layer)| {
            a.0.total_cmp(&b.0)
                .then(b.1.map.peak.total_cmp(&a.1.map.peak))
        };
        found.iter().min_by(nearer).map(|(_, layer)| layer.map.unit)
    });
    found
        .into_iter()
        .map(|(_, layer)| layer)
        .filter(|layer| one.is_none_or(|unit| unit == Some(layer.map.unit)))
        .collect()
}

/// Draws the cell-wise maximum of all layers with the first one's grid.
fn draw(canvas: &web_sys::HtmlCanvasElement, layers: &[Layer]) {
    let Some(first) = layers.first() else { return };
    let grid = first.map.grid;
    let mut cells = cell_values(&first.map);
    for layer in layers.iter().skip(1).filter(|layer| layer.map.grid == grid) {
        for (cell, other) in cells.iter_mut().zip(cell_values(&layer.map)) {
            *cell = cell.max(other);
        }
    }
    if cells.is_empty() {
        return;
    }
    canvas.set_width(grid.cols);
    canvas.set_height(grid.rows);
    let pixels: Vec<u8> = cells.into_iter().flat_map(colour).collect();
    let context = canvas
        .get_context("2d")
        .ok()
        .flatten()
        .and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok());
    let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), grid.cols, grid.rows);
    if let (Some(context), Ok(image)) = (context, image) {
        let _ = context.put_image_data(&image, 0.0, 0.0);
    }
}

/// From clear over violet and orange to pale yellow: readable on light and dark pictures, and without colour vision.
fn colour(value: f32) -> [u8; 4] {
    const STOPS: [[f32; 4]; 4] = [
        [60.0, 15.0, 110.0, 0.0],
        [150.0, 38.0, 120.0, 130.0],
        [240.0, 112.0, 32.0, 200.0],
        [253.0, 240.0, 150.0, 235.0],
    ];
    let at = value.clamp(0.0, 1.0) * 3.0;
    let low = (at as usize).min(2);
    let mix = at - low as f32;
    std::array::from_fn(|k| {
        (STOPS[low][k] + (STOPS[low + 1][k] - STOPS[low][k]) * mix).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::colour;

    #[test]
    fn cold_cells_are_clear_and_heat_only_grows() {
        assert_eq!(colour(0.0)[3], 0);
        assert_eq!(colour(1.0), [253, 240, 150, 235]);
        let alphas: Vec<u8> = (0..=20).map(|k| colour(k as f32 / 20.0)[3]).collect();
        assert!(alphas.is_sorted());
    }
}
