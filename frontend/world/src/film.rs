//! A short clip: scenes in an order, each with one moving thing and perhaps a sound; and a player that shows it.
//! In: edits of scenes. Out: frames and sound of the `world` crate, in step.

use leptos::html::{Audio, Canvas};
use leptos::prelude::*;
use world::attributes::{Colour, Look, Shape};
use world::sample::{FILM_FPS, Film};
use world::sound::Event;
use world::spec::{Asked, Content, HeardSpec, SceneSpec, preview};

use crate::bench::Bench;
use crate::paint::put;
use crate::sound::Player;
use crate::starters::scene;

fn scenes_of(content: &Content) -> Vec<SceneSpec> {
    match content {
        Content::VideoQa { scenes, .. } => scenes.clone(),
        _ => Vec::new(),
    }
}

/// The clip.
#[component]
pub fn FilmEditor() -> impl IntoView {
    let bench = Bench::around();
    let scenes = Memo::new(move |_| bench.spec.with(|spec| scenes_of(&spec.content)));
    let film = Memo::new(move |_| {
        let seed = bench.spec.with(|spec| spec.seed);
        preview::film(&scenes.get(), seed).ok()
    });
    let change = move |change: &dyn Fn(&mut Vec<SceneSpec>)| {
        bench.edit(|content| {
            if let Content::VideoQa { scenes, question } = content {
                let about = scenes.get(question.of).map(SceneSpec::look);
                change(scenes);
                // The question goes on about the same scene, wherever it is now.
                let of = scenes.iter().position(|own| Some(own.look()) == about);
                *question = Asked {
                    of: of.unwrap_or(question.of),
                    ..*question
                };
            }
        });
    };
    let count = Memo::new(move |_| scenes.with(Vec::len));
    let add = move |_: leptos::ev::MouseEvent| {
        change(&|own| {
            let last = own.last().map(SceneSpec::look);
            let shape = Shape::ALL
                .into_iter()
                .find(|shape| own.iter().all(|own| own.shape != *shape));
            let fresh = |colour: &Colour| last.is_none_or(|last| last.colour != *colour);
            let colour = Colour::ALL.into_iter().rev().find(fresh);
            if let (Some(shape), Some(colour)) = (shape, colour) {
                own.push(scene(shape, colour, None));
            }
            if own.len() == 5 {
                own.iter_mut().for_each(|own| own.secs = own.secs.min(3));
            }
        });
    };
    let dragged = StoredValue::new(None::<usize>);
    let go = move |from: usize, to: usize| {
        change(&|own| {
            if from < own.len() && to < own.len() {
                let moved = own.remove(from);
                own.insert(to, moved);
            }
        });
    };
    let card = move |k: usize| {
        let own = Memo::new(move |_| scenes.with(|all| all.get(k).copied()));
        let edit = move |change_one: &dyn Fn(&mut SceneSpec)| {
            change(&|all| {
                if let Some(own) = all.get_mut(k) {
                    change_one(own);
                    settle(own);
                }
            });
        };
        let canvas = NodeRef::<Canvas>::new();
        Effect::new(move |_| {
            film.with(|film| {
                let scene = film.as_ref().and_then(|film| film.scenes.get(k));
                let (Some(film), Some(scene)) = (film, scene) else {
                    return;
                };
                let middle = (scene.start_secs + scene.end_secs) / 2.0 * f64::from(FILM_FPS);
                if let Some(frame) = film.frames.get(middle as usize) {
                    put(canvas.get(), film.width, film.height, frame);
                }
            });
        });
        let look = move || own.get().map(|own| own.look());
        let heard = move || own.get().and_then(|own| own.heard);
        let most = move || if count.get() == 5 { 3 } else { 4u8 };
        view! {
            <li class="scene" draggable="true" data-scene=k.to_string()
                on:dragstart=move |_| dragged.set_value(Some(k))
                on:dragover=move |event| event.prevent_default()
                on:drop=move |event| {
                    event.prevent_default();
                    if let Some(from) = dragged.get_value() { go(from, k); }
                    dragged.set_value(None);
                }>
                <div class="scene-head">
                    <b>{format!("Scene {}", k + 1)}</b>
                    <button type="button" class="icon" aria-label=format!("Move scene {} earlier", k + 1) disabled=k == 0 on:click=move |_| go(k, k - 1)>"←"</button>
                    <button type="button" class="icon" aria-label=format!("Move scene {} later", k + 1) disabled=move || { k + 1 >= count.get() } on:click=move |_| go(k, k + 1)>"→"</button>
                    <button type="button" class="icon" aria-label=format!("Remove scene {}", k + 1) disabled=move || { count.get() < 3 }
                        on:click=move |_| change(&|own| if k < own.len() { own.remove(k); })>"×"</button>
                </div>
                <canvas node_ref=canvas aria-hidden="true"></canvas>
                <label><span class="sr">{format!("Scene {}: colour", k + 1)}</span>
                    <select on:change=move |event| {
                        let new = event_target_value(&event);
                        if let Some(colour) = Colour::ALL.into_iter().find(|own| own.name() == new) { edit(&|own| own.colour = colour); }
                    }>
                        {Colour::ALL.map(|one| view! { <option value=one.name() prop:selected=move || look().is_some_and(|own: Look| own.colour == one)>{one.name()}</option> }).into_iter().collect_view()}
                    </select>
                </label>
                <label><span class="sr">{format!("Scene {}: shape", k + 1)}</span>
                    <select on:change=move |event| {
                        let new = event_target_value(&event);
                        if let Some(shape) = Shape::ALL.into_iter().find(|own| own.name() == new) { edit(&|own| own.shape = shape); }
                    }>
                        {Shape::ALL.map(|one| view! { <option value=one.name() prop:selected=move || look().is_some_and(|own: Look| own.shape == one)>{one.name()}</option> }).into_iter().collect_view()}
                    </select>
                </label>
                <label><span class="sr">{format!("Scene {}: length", k + 1)}</span>
                    <select on:change=move |event| {
                        let new: u8 = event_target_value(&event).parse().unwrap_or(2);
                        edit(&|own| own.secs = new);
                    }>
                        {move || (2..=most()).map(|one| view! { <option value=one.to_string() prop:selected=move || own.get().is_some_and(|own| own.secs == one)>{format!("{one} seconds")}</option> }).collect_view()}
                    </select>
                </label>
                <label><span class="sr">{format!("Scene {}: sound", k + 1)}</span>
                    <select on:change=move |event| {
                        let new = event_target_value(&event);
                        let event = Event::from_name(&new);
                        edit(&|own| own.heard = event.map(|event| HeardSpec { event, at_secs: 0.5, secs: 1.0 }));
                    }>
                        <option value="" prop:selected=move || heard().is_none()>"no sound"</option>
                        {Event::ALL.map(|one| view! { <option value=one.name() prop:selected=move || heard().is_some_and(|own| own.event == one)>{one.name()}</option> }).into_iter().collect_view()}
                    </select>
                </label>
                {move || heard().map(|now| view! {
                    <label class="slider">"from" <input type="range" min="0.15" step="0.05"
                        max=move || own.get().map_or(0.85, |own| f64::from(own.secs) - 1.15).to_string()
                        prop:value=now.at_secs.to_string()
                        on:change=move |event| {
                            let at: f64 = event_target_value(&event).parse().unwrap_or(0.5);
                            edit(&|own| if let Some(heard) = own.heard.as_mut() { heard.at_secs = at; });
                        }/></label>
                })}
            </li>
        }
    };
    view! {
        <p class="hint">"A clip has two to five scenes; neighbours differ in shape and colour, and one to three of them have a sound. Drag scenes into another order, or use the arrows."</p>
        <Screen film/>
        <ol class="scenes">{move || (0..count.get()).map(card).collect_view()}</ol>
        <button type="button" class="button small" disabled=move || { count.get() >= 5 } on:click=add>"Add a scene"</button>
    }
}

/// The sound lies within its scene.
fn settle(own: &mut SceneSpec) {
    if let Some(heard) = own.heard.as_mut() {
        let latest = f64::from(own.secs) - 0.15 - heard.secs;
        heard.at_secs = (heard.at_secs * 20.0).round() / 20.0;
        heard.at_secs = heard.at_secs.clamp(0.15, latest.max(0.15));
    }
}

/// The clip as the model sees and hears it: frames follow the sound's clock.
#[component]
fn Screen(film: Memo<Option<Film>>) -> impl IntoView {
    let bench = Bench::around();
    let canvas = NodeRef::<Canvas>::new();
    let audio = NodeRef::<Audio>::new();
    let player = Player::new();
    let show = move |secs: f64| {
        film.with_untracked(|film| {
            let Some(film) = film else { return };
            let last = film.frames.len().saturating_sub(1);
            let frame = ((secs * f64::from(FILM_FPS)) as usize).min(last);
            if let Some(rgb) = film.frames.get(frame) {
                put(canvas.get_untracked(), film.width, film.height, rgb);
            }
        });
    };
    Effect::new(move |_| {
        canvas.track();
        film.with(|film| {
            if let Some(film) = film {
                player.load(&film.sound.samples);
            }
        });
        show(0.0);
    });
    let playing = StoredValue::new(false);
    fn tick(
        audio: NodeRef<Audio>,
        playing: StoredValue<bool>,
        show: impl Fn(f64) + Copy + 'static,
    ) {
        let Some(own) = audio.try_get_untracked().flatten() else {
            return;
        };
        show(own.current_time());
        if playing.try_get_value() == Some(true) {
            request_animation_frame(move || tick(audio, playing, show));
        }
    }
    let play = move |_: leptos::ev::Event| {
        playing.set_value(true);
        tick(audio, playing, show);
    };
    let secs = move || {
        film.with(|film| {
            film.as_ref()
                .map_or(1.0, |own| own.frames.len() as f64 / f64::from(FILM_FPS))
        })
    };
    let bars = move || {
        let truth = bench.pointed.get().map(|own| own.time).unwrap_or_default();
        let bar = |[start, end]: [f64; 2]| {
            let style = format!(
                "left:{:.2}%;width:{:.2}%",
                start / secs() * 100.0,
                (end - start) / secs() * 100.0
            );
            view! { <i class="is-true" style=style></i> }
        };
        truth.into_iter().map(bar).collect_view()
    };
    view! {
        <div class="clip">
            <canvas node_ref=canvas aria-label="The clip" role="img"></canvas>
            <div class="clip-time" aria-hidden="true">{bars}</div>
            <audio class="heard" controls node_ref=audio src=move || player.src.get() aria-label="The clip's sound; playing it plays the clip"
                on:play=play
                on:seeked=move |_| tick(audio, playing, show)
                on:pause=move |_| playing.set_value(false)
                on:ended=move |_| playing.set_value(false)></audio>
        </div>
    }
}
