//! A time line: waveform or thumbnails below, unit bins above, a playhead across.
//! In: a source's units of one track. Out: one `[data-unit]` button per bin; a click anywhere seeks. All of it stands on a
//! reel that the magnifier of [`crate::scope`] makes wider than the lane.

use attribution::label::clock;
use attribution::record::{Extent, Track, Unit};
use leptos::html::Div;
use leptos::prelude::*;

use super::desk::Desk;
use super::player::Player;
use super::unit_mark::UnitMark;

/// A waveform as one path, `bars` bars wide.
#[component]
pub fn Waveform(
    /// 0..=255 per equal slice.
    peaks: Vec<u8>,
    /// How many bars to draw.
    bars: usize,
) -> impl IntoView {
    let (path, count) = wave_path(&peaks, bars);
    view! {
        <svg class="wave" viewBox=format!("0 0 {count} 100") preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <path d=path></path>
        </svg>
    }
}

/// Bars of the loudest peak in each slice, around the middle of a box 100 high.
fn wave_path(peaks: &[u8], bars: usize) -> (String, usize) {
    use std::fmt::Write;
    let count = bars.min(peaks.len()).max(1);
    let mut path = String::new();
    for bar in 0..count {
        let slice = bar * peaks.len() / count..(bar + 1) * peaks.len() / count;
        let peak = peaks
            .get(slice)
            .unwrap_or_default()
            .iter()
            .copied()
            .max()
            .unwrap_or(0);
        let half = (f64::from(peak) / 255.0 * 47.0).max(1.2);
        let _ = write!(path, "M{bar}.5 {:.1}V{:.1}", 50.0 - half, 50.0 + half);
    }
    (path, count)
}

/// One track of a timed source.
#[component]
pub fn Lane(
    /// Index into the sources.
    source: usize,
    /// Which of its tracks.
    track: Track,
    /// Its length.
    duration_secs: f64,
    /// Its playhead.
    player: Player,
    /// Drawn below the bins.
    children: Children,
) -> impl IntoView {
    let desk = Desk::around();
    let reel = NodeRef::<Div>::new();
    let length = duration_secs.max(0.001);
    let bins: Vec<(u32, Unit)> = desk.prompt.with_untracked(|prompt| {
        prompt
            .units_of(source)
            .filter(
                |(_, unit)| matches!(unit.extent, Extent::Time { track: own, .. } if own == track),
            )
            .map(|(index, unit)| (index, unit.clone()))
            .collect()
    });
    let seek = move |event: leptos::ev::MouseEvent| {
        // A click by Enter or Space has no place; the bin's own start is meant then, and `interact` pins it.
        if event.detail() == 0 {
            return;
        }
        if let Some(element) = reel.get_untracked() {
            let rect = element.get_bounding_client_rect();
            let share = (f64::from(event.client_x()) - rect.left()) / rect.width().max(1.0);
            player.seek(share.clamp(0.0, 1.0) * length);
        }
    };
    let name = match track {
        Track::Sound => "sound",
        Track::Picture => "picture",
    };
    view! {
        <div class="lane" data-track=name on:click=seek>
            <div class="reel" node_ref=reel>
                {children()}
                <div class="bins">
                    {bins.into_iter().map(|(index, unit)| view! { <Bin index unit length/> }).collect_view()}
                </div>
                <div class="playhead" style:left=move || format!("{:.3}%", (player.time.get() / length * 100.0).clamp(0.0, 100.0)) aria-hidden="true"></div>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Bin(index: u32, unit: Unit, length: f64) -> impl IntoView {
    let (start, end) = match unit.extent {
        Extent::Time {
            start_secs,
            end_secs,
            ..
        } => (start_secs, end_secs),
        _ => (0.0, length),
    };
    let left = (start / length * 100.0).clamp(0.0, 100.0);
    let width = ((end - start) / length * 100.0).clamp(0.0, 100.0 - left);
    let style = format!("left:{left:.3}%;width:{width:.3}%");
    view! { <UnitMark index id=unit.id class="bin" style/> }
}

/// Time lines of one source with their controls. The magnifier takes them over when someone reaches for them.
#[component]
pub fn Scope(
    /// Index into the sources.
    source: usize,
    /// Content hash; empty where the file was not kept.
    media: String,
    /// Its length.
    duration_secs: f64,
    /// Lanes, ticks, controls.
    children: Children,
) -> impl IntoView {
    // Untracked: once it is there, the magnifier alone says what it shows.
    let zoom = (Desk::around().zoom)
        .get_untracked()
        .filter(|zoom| zoom.split('_').next() == Some(source.to_string().as_str()));
    view! {
        <div class="scope" data-scope=(!media.is_empty()).then_some(media) data-source=source data-secs=duration_secs data-zoom=zoom>
            {children()}
        </div>
    }
    .into_any()
}

/// Marks below a time line, at round seconds.
#[component]
pub fn Ticks(
    /// The line's length.
    duration_secs: f64,
) -> impl IntoView {
    let length = duration_secs.max(0.001);
    let step = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0]
        .into_iter()
        .find(|step| length / step <= 6.0)
        .unwrap_or(3600.0);
    let count = (length / step).floor().min(200.0) as u32;
    let marks = (0..=count)
        .map(|k| f64::from(k) * step)
        .filter(|at| length - at > step * 0.45 || *at == 0.0);
    view! {
        <div class="ticks" aria-hidden="true">
            {marks.map(|at| view! { <span style=format!("left:{:.3}%", at / length * 100.0)>{clock(at, false)}</span> }).collect_view()}
            <span class="end">{clock(length, length.fract() > 0.05)}</span>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::wave_path;

    #[test]
    fn a_waveform_keeps_the_loudest_peak_of_each_slice() {
        let (path, bars) = wave_path(&[0, 255, 0, 0, 128, 0], 2);
        assert_eq!((path.as_str(), bars), ("M0.5 3.0V97.0M1.5 26.4V73.6", 2));
        assert_eq!(
            wave_path(&[], 64).1,
            1,
            "no peaks: one flat bar, not a division by zero"
        );
        assert_eq!(wave_path(&[9], 64).1, 1);
    }
}
