//! A track: blocks on a line of time, moved with the mouse, a finger or the keyboard, with their waveform and a player.
//! In: a rendered sound and where its blocks lie. Out: wishes where a block shall begin; the `world` crate keeps them apart.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use world::sample::{SOUND_RATE_HZ, Sound};
use world::sound::Event;
use world::spec::{Asked, Content, EventSpec, PartSpec, preview};

use crate::bench::{Bench, Seat};
use crate::sound::{Player, play_alone, wave_path};
use crate::starters::event;

/// A finished track.
#[derive(Debug, Clone, PartialEq)]
pub struct Laid {
    pub sound: Sound,
    /// Name, begin and end in seconds.
    pub blocks: Vec<(String, f64, f64)>,
}

/// The line of time.
#[component]
pub fn Track(
    /// What is on it; none while it cannot be rendered.
    #[prop(into)]
    laid: Signal<Option<Laid>>,
    /// A block shall begin elsewhere: index and seconds.
    shift: Callback<(usize, f64)>,
    /// A block was let go.
    settle: Callback<()>,
    /// A block shall go.
    remove: Callback<usize>,
) -> impl IntoView {
    const BARS: usize = 240;
    let bench = Bench::around();
    let line = NodeRef::<Div>::new();
    let player = Player::new();
    Effect::new(move |_| {
        laid.with(|laid| {
            if let Some(laid) = laid {
                player.load(&laid.sound.samples);
            }
        });
    });
    let secs = Memo::new(move |_| {
        laid.with(|laid| {
            let samples = laid.as_ref().map_or(0, |own| own.sound.samples.len());
            (samples as f64 / f64::from(SOUND_RATE_HZ)).max(1.0)
        })
    });
    let count =
        Memo::new(move |_| laid.with(|laid| laid.as_ref().map_or(0, |own| own.blocks.len())));
    let path =
        move || laid.with(|laid| laid.as_ref().map(|own| wave_path(&own.sound.samples, BARS)));
    let block = move |k: usize| {
        let own = Memo::new(move |_| laid.with(|laid| laid.as_ref()?.blocks.get(k).cloned()));
        // Seconds between the block's begin and where it was taken hold of.
        let held = StoredValue::new(None::<f64>);
        let secs_at = move |event: &PointerEvent| {
            let own = line.get_untracked()?.get_bounding_client_rect();
            let share = (f64::from(event.client_x()) - own.left()) / own.width().max(1.0);
            Some(share * secs.get_untracked())
        };
        let down = move |event: PointerEvent| {
            let begin = own.get_untracked().map(|own| own.1);
            held.set_value(secs_at(&event).zip(begin).map(|(at, begin)| at - begin));
            let target = event.current_target();
            if let Some(own) = target.and_then(|own| own.dyn_into::<HtmlElement>().ok()) {
                let _ = own.set_pointer_capture(event.pointer_id());
            }
        };
        let moved = move |event: PointerEvent| {
            if let (Some(held), Some(at)) = (held.get_value(), secs_at(&event)) {
                shift.run((k, at - held));
            }
        };
        let up = move |_: PointerEvent| {
            if held.get_value().is_some() {
                held.set_value(None);
                settle.run(());
            }
        };
        let key = move |event: KeyboardEvent| {
            let begin = own.get_untracked().map_or(0.0, |own| own.1);
            let step = if event.shift_key() { 0.5 } else { 0.1 };
            match event.key().as_str() {
                "ArrowLeft" => shift.run((k, begin - step)),
                "ArrowRight" => shift.run((k, begin + step)),
                "Delete" | "Backspace" => remove.run(k),
                _ => return,
            }
            event.prevent_default();
            settle.run(());
        };
        let style = move || {
            let (_, begin, end) = own.get().unwrap_or_default();
            let all = secs.get();
            format!(
                "left:{:.2}%;width:{:.2}%",
                begin / all * 100.0,
                (end - begin) / all * 100.0
            )
        };
        let label = move || {
            let (name, begin, end) = own.get().unwrap_or_default();
            format!("{name}, {begin:.1} to {end:.1} seconds")
        };
        view! {
            <button type="button" class="block" data-block=k.to_string() style=style aria-label=label
                on:pointerdown=down on:pointermove=moved on:pointerup=up on:keydown=key>
                <span>{move || own.get().map(|own| own.0)}</span>
            </button>
        }
    };
    let truth = move || {
        let pointed = bench.pointed.get().map(|own| own.time).unwrap_or_default();
        let bar = |[start, end]: [f64; 2]| {
            let style = format!(
                "left:{:.2}%;width:{:.2}%",
                start / secs.get() * 100.0,
                (end - start) / secs.get() * 100.0
            );
            view! { <i class="is-true" style=style></i> }
        };
        pointed.into_iter().map(bar).collect_view()
    };
    view! {
        <div class="track" node_ref=line>
            <svg class="wave" viewBox=format!("0 0 {BARS} 100") preserveAspectRatio="none" aria-hidden="true"><path d=path></path></svg>
            {move || (0..count.get()).map(block).collect_view()}
            {truth}
        </div>
        <p class="track-clock" aria-hidden="true"><span>"0:00"</span><span>{move || format!("{:.1} s", secs.get())}</span></p>
        <audio class="heard" controls src=move || player.src.get() aria-label="The track"></audio>
    }
}

/// The events of a seat.
fn sounds_of(seat: Seat, content: &Content) -> Vec<EventSpec> {
    match (seat, content) {
        (Seat::Own(_), Content::AudioQa { sounds, .. }) => sounds.clone(),
        (Seat::Part(k), Content::Mixed { parts }) => match parts.get(k) {
            Some(PartSpec::Events { sounds }) => sounds.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn put_sounds(seat: Seat, content: &mut Content, new: Vec<EventSpec>) {
    match (seat, content) {
        (Seat::Own(_), Content::AudioQa { sounds, question }) => {
            // The question goes on about the same sound, wherever it is now.
            let about = sounds.get(question.of).map(|own| own.event);
            let of = new.iter().position(|own| Some(own.event) == about);
            *question = Asked {
                of: of.unwrap_or(question.of),
                ..*question
            };
            *sounds = new;
        }
        (Seat::Part(k), Content::Mixed { parts }) => {
            if let Some(PartSpec::Events { sounds }) = parts.get_mut(k) {
                *sounds = new;
            }
        }
        _ => {}
    }
}

/// Sound events on a track.
#[component]
pub fn EventsEditor(
    /// Whose.
    seat: Seat,
) -> impl IntoView {
    let bench = Bench::around();
    let most = match seat {
        Seat::Own(_) => 6,
        Seat::Part(_) | Seat::Turn(_) => 2,
    };
    let sounds = Memo::new(move |_| bench.spec.with(|spec| sounds_of(seat, &spec.content)));
    let laid = Memo::new(move |_| {
        let seed = bench.spec.with(|spec| spec.seed);
        let own = sounds.get();
        let (sound, spans) = preview::events(&own, seed).ok()?;
        let names = own.iter().map(|own| own.event.name().to_owned());
        let blocks = names.zip(spans).map(|(name, (from, to))| (name, from, to));
        Some(Laid {
            blocks: blocks.collect(),
            sound,
        })
    });
    let change = move |change: &dyn Fn(&mut Vec<EventSpec>)| {
        bench.edit(|content| {
            let mut own = sounds_of(seat, content);
            change(&mut own);
            put_sounds(seat, content, own);
        });
    };
    let add = move |which: Event| {
        play_alone(which);
        let end = laid.with_untracked(|own| Some(own.as_ref()?.blocks.last()?.2));
        let at = (end.unwrap_or(0.0) + 0.5).min(26.0);
        change(&|own| own.push(event(which, (at * 20.0).round() / 20.0)));
    };
    let shift = Callback::new(move |(k, at): (usize, f64)| {
        change(&|own| {
            if let Some(own) = own.get_mut(k) {
                own.at_secs = (at.clamp(0.2, 26.0) * 20.0).round() / 20.0;
            }
        });
    });
    // Wishes that could not be met become what is heard; what was dragged past another changes places with it.
    let settle = Callback::new(move |()| {
        change(&|own| own.sort_by(|a, b| a.at_secs.total_cmp(&b.at_secs)));
        let seed = bench.spec.with_untracked(|spec| spec.seed);
        let heard = preview::events(&sounds.get_untracked(), seed);
        if let Ok((_, spans)) = heard {
            change(&|own| {
                for (own, (from, _)) in own.iter_mut().zip(&spans) {
                    own.at_secs = *from;
                }
            });
        }
    });
    let remove = Callback::new(move |k: usize| {
        change(&|own| {
            if k < own.len() {
                own.remove(k);
            }
        });
    });
    let palette = Event::ALL.map(|which| {
        let used = Memo::new(move |_| sounds.with(|own| own.iter().any(|own| own.event == which)));
        let full = move || used.get() || sounds.with(|own| own.len() >= most);
        view! {
            <button type="button" class="button small" data-event=which.name() disabled=full on:click=move |_| add(which)>
                <span aria-hidden="true">"+ "</span>{which.name()}
            </button>
        }
    });
    let listed = move || {
        let own = sounds.get().into_iter().enumerate();
        own.map(|(k, own)| view! {
            <li>
                <span>{own.event.name()}</span>
                <label class="slider">"length" <input type="range" min="0.75" max="1.2" step="0.05" prop:value=own.secs.to_string() on:change=move |event| {
                    let secs: f64 = event_target_value(&event).parse().unwrap_or(1.0);
                    change(&|own| if let Some(own) = own.get_mut(k) { own.secs = secs.clamp(0.75, 1.2); });
                }/></label>
                <button type="button" class="icon" aria-label=format!("Play {}", own.event.name()) on:click=move |_| play_alone(own.event)>"▸"</button>
                <button type="button" class="icon" aria-label=format!("Remove {}", own.event.name()) on:click=move |_| remove.run(k)>"×"</button>
            </li>
        }).collect_view()
    };
    view! {
        <p class="hint">"Press a sound to hear it and put it on the track. Drag it, or move it with the arrow keys; Delete removes it."</p>
        <div class="palette-row" role="group" aria-label="Sounds">{palette.into_iter().collect_view()}</div>
        <Track laid shift settle remove/>
        <ul class="laid">{listed}</ul>
    }
}
