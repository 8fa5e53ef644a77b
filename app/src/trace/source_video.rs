//! A film: the player with the heat map on its frame, and one time line for picture and sound.

use attribution::record::{Extent, Track};
use leptos::prelude::*;

use crate::media::media_url;

use super::desk::Desk;
use super::heat::HeatOverlay;
use super::lane::{Lane, Scope, Ticks, Waveform};
use super::player::Player;
use super::source_sound::{Controls, active_intervals};
use crate::focus::Target;
use crate::shown::Prompt;

/// The film. A sentence that cites it shows the frame in the middle of its best interval.
#[component]
pub fn VideoSource(
    /// Index into the sources.
    source: usize,
    /// Content hash.
    media: String,
    /// Its length.
    duration_secs: f64,
    /// As displayed.
    width_px: u32,
    /// As displayed.
    height_px: u32,
    /// Of its own sound; empty where there is none.
    peaks: Vec<u8>,
    /// Small pictures, evenly spaced.
    thumbnails: Vec<String>,
) -> impl IntoView {
    let desk = Desk::around();
    let player = Player::new(format!("{}media-{source}", Desk::around().prefix));
    let moment = Memo::new(move |_| moment_to_show(desk, source));
    Effect::new(move |_| {
        if let Some(moment) = moment.get()
            && !player.playing.get_untracked()
        {
            player.seek(moment);
        }
    });
    let playable = !media.is_empty();
    let poster = thumbnails.first().map(|hash| media_url(hash));
    let screen = if playable {
        view! {
            <video
                id=player.id()
                controls
                playsinline
                preload="auto"
                poster=poster
                src=media_url(&media)
                on:play=move |_| player.started()
                on:pause=move |_| player.stopped()
                on:ended=move |_| player.stopped()
                on:timeupdate=move |_| player.read()
                on:seeked=move |_| player.read()
            ></video>
        }
        .into_any()
    } else {
        view! { <div class="gone">"This film was not kept."</div> }.into_any()
    };
    let has_sound = !peaks.is_empty()
        || desk.prompt.with_untracked(|prompt| {
            prompt.units_of(source).any(|(_, unit)| {
                matches!(
                    unit.extent,
                    Extent::Time {
                        track: Track::Sound,
                        ..
                    }
                )
            })
        });
    view! {
        <div class="screen" style=format!("--ratio:{:.4}", f64::from(width_px.max(1)) / f64::from(height_px.max(1)))>
            {screen}
            <HeatOverlay source time=player.time/>
        </div>
        <Scope source media duration_secs>
            <div class="timeline">
                <Lane source track=Track::Picture duration_secs player>
                    <div class="strip" aria-hidden="true">
                        {thumbnails.into_iter().map(|hash| view! { <img src=media_url(&hash) alt=""/> }).collect_view()}
                    </div>
                </Lane>
                {has_sound.then(|| view! {
                    <Lane source track=Track::Sound duration_secs player>
                        <Waveform peaks=peaks.clone() bars=180/>
                    </Lane>
                })}
                <Ticks duration_secs/>
            </div>
            <Controls source player duration_secs playable/>
        </Scope>
    }
    .into_any()
}

/// The middle of the active sentence's best interval, or of the bin that is pointed at.
fn moment_to_show(desk: Desk, source: usize) -> Option<f64> {
    match desk.lit.with(|lit| lit.active)? {
        Target::Chunk(_) => active_intervals(desk, source)
            .into_iter()
            .max_by(|a, b| a.mass.total_cmp(&b.mass))
            .map(|best| (best.start_secs + best.end_secs) / 2.0),
        Target::Token(token) => desk.shown.with(|shown| {
            let units = &shown.words.get(token as usize)?.units;
            units
                .iter()
                .find_map(|(unit, _)| middle_of(&shown.prompt, *unit, source))
        }),
        Target::Unit(unit) => desk.prompt.with(|prompt| middle_of(prompt, unit, source)),
    }
}

/// The middle of a bin of this source.
fn middle_of(prompt: &Prompt, unit: u32, source: usize) -> Option<f64> {
    let own = prompt
        .units
        .get(unit as usize)
        .filter(|own| own.source as usize == source)?;
    match own.extent {
        Extent::Time {
            start_secs,
            end_secs,
            ..
        } => Some((start_secs + end_secs) / 2.0),
        _ => None,
    }
}
