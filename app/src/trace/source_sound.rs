//! A sound: waveform, cited seconds, playhead.

use attribution::label::{clock, interval_label};
use attribution::record::{Interval, Track};
use attribution::transcript::{Segment, Transcript, TranscriptOrigin};
use leptos::prelude::*;

use crate::media::media_url;

use super::desk::{Desk, Play};
use super::lane::{Lane, Scope, Ticks, Waveform};
use super::player::Player;
use crate::focus::Target;

/// The sound; without JavaScript the browser's own player.
#[component]
pub fn SoundSource(
    /// Index into the sources.
    source: usize,
    /// Content hash.
    media: String,
    /// Its length.
    duration_secs: f64,
    /// For the waveform.
    peaks: Vec<u8>,
    /// What was said, where units follow it.
    transcript: Option<Transcript>,
) -> impl IntoView {
    let player = Player::new(format!("{}media-{source}", Desk::around().prefix));
    let element = (!media.is_empty()).then(|| {
        view! {
            <audio
                id=player.id()
                class="native"
                controls
                preload="metadata"
                src=media_url(&media)
                on:play=move |_| player.started()
                on:pause=move |_| player.stopped()
                on:ended=move |_| player.stopped()
                on:timeupdate=move |_| player.read()
                on:seeked=move |_| player.read()
            ></audio>
        }
    });
    let playable = !media.is_empty();
    view! {
        <Scope source media duration_secs>
            <Lane source track=Track::Sound duration_secs player>
                <Waveform peaks bars=180/>
            </Lane>
            <Ticks duration_secs/>
            <Controls source player duration_secs playable/>
        </Scope>
        {element}
        {transcript.map(|transcript| view! { <Said transcript player playable/> })}
    }
    .into_any()
}

/// What was said and when; each time plays.
#[component]
fn Said(
    /// Its words and times.
    transcript: Transcript,
    /// Of the sound.
    player: Player,
    /// Whether the file was kept.
    playable: bool,
) -> impl IntoView {
    let origin = match &transcript.origin {
        TranscriptOrigin::Given => "Transcript, as it was sent".to_owned(),
        TranscriptOrigin::Recognized { model } => format!("Transcript by {model}"),
        TranscriptOrigin::Voice => "Where a voice was heard; there is no transcript".to_owned(),
    };
    let segments = transcript.segments.into_iter().map(|segment| {
        let Segment {
            start_secs,
            end_secs,
            text,
        } = segment;
        let name = interval_label(start_secs, end_secs);
        let spoken = format!("Play {}", name.replace('-', " to "));
        view! {
            <li>
                <button type="button" class="time" disabled=!playable aria-label=spoken
                    on:click=move |_| player.play_interval(start_secs, end_secs)>
                    {name.replace('-', "–")}
                </button>
                {text}
            </li>
        }
    });
    view! {
        <div class="said">
            <p class="soft">{origin}</p>
            <ol>{segments.collect_view()}</ol>
        </div>
    }
    .into_any()
}

/// Play and pause, the time, and the active sentence's cited seconds as buttons. Answers wishes to play.
#[component]
pub fn Controls(
    /// Index into the sources.
    source: usize,
    /// Its player.
    player: Player,
    /// Its length.
    duration_secs: f64,
    /// Whether the file was kept.
    playable: bool,
) -> impl IntoView {
    let desk = Desk::around();
    Effect::new(move |_| {
        if let Some(Play {
            source: wanted,
            start_secs,
            end_secs,
        }) = desk.play.get()
            && wanted as usize == source
        {
            player.play_interval(start_secs, end_secs);
            desk.play.set(None);
        }
    });
    let intervals = Memo::new(move |_| active_intervals(desk, source));
    view! {
        <div class="controls">
            {playable.then(|| view! {
                <button type="button" class="play needs-js" aria-label=move || if player.playing.get() { "Pause" } else { "Play" } on:click=move |_| player.toggle()>
                    <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
                        <path d=move || if player.playing.get() { "M4 3h3v10H4zM9 3h3v10H9z" } else { "M4.5 2.5v11l9-5.5z" }></path>
                    </svg>
                </button>
                <span class="clock needs-js">
                    {move || clock(player.time.get(), true)} <span class="soft">" / " {clock(duration_secs, true)}</span>
                </span>
            })}
            <span class="cited-seconds">
                {move || intervals.get().into_iter().map(|interval| {
                    let name = interval_label(interval.start_secs, interval.end_secs);
                    let spoken = format!("Play {}", name.replace('-', " to "));
                    view! {
                        <button type="button" class="b" disabled=!playable aria-label=spoken
                            on:click=move |_| player.play_interval(interval.start_secs, interval.end_secs)>
                            "▸ " {name.replace('-', "–")}
                        </button>
                    }
                }).collect_view()}
            </span>
            {playable.then(|| view! { <span class="tools needs-js" inner_html=TOOLS></span> })}
        </div>
    }
    .into_any()
}

/// Speed, zoom and spectrogram: plain HTML, which the magnifier answers to.
const TOOLS: &str = r#"<select aria-label="Speed"><option value="1">1×</option><option value="1.25">1.25×</option><option value="1.5">1.5×</option><option value="2">2×</option></select><button type="button" class="icon" data-do="out" aria-label="Zoom out" aria-disabled="true" title="Zoom out (-)">−</button><button type="button" class="icon" data-do="in" aria-label="Zoom in" title="Zoom in (+)">+</button><button type="button" class="icon" data-do="spectrum" aria-label="Spectrogram" aria-pressed="false" title="Spectrogram"><svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><path d="M2 13V9M5 13V4m3 9V7m3 6V3m3 10v-3"/></svg></button>"#;

/// The merged cited seconds of the active sentence in one source.
pub fn active_intervals(desk: Desk, source: usize) -> Vec<Interval> {
    let Some(Target::Chunk(chunk)) = desk.lit.with(|lit| lit.active) else {
        return Vec::new();
    };
    desk.shown.with(|shown| {
        let own = shown
            .attribution_of(chunk)
            .map(|a| a.intervals.clone())
            .unwrap_or_default();
        own.into_iter()
            .filter(|interval| interval.source as usize == source)
            .collect()
    })
}
