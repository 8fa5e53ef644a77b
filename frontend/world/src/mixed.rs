//! A text, a picture and a sound in one prompt, in any order.

use leptos::prelude::*;
use world::sound::Event;
use world::spec::{Content, FactSpec, PartSpec};

use crate::bench::{Bench, Seat};
use crate::picture::{Brush, PictureEditor, provide_easel};
use crate::said::{SaidEditor, Words};
use crate::starters::{event, fact, said};
use crate::track::EventsEditor;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Picture,
    Speech,
    Events,
}

fn what(part: &PartSpec) -> What {
    match part {
        PartSpec::Text(_) => What::Text,
        PartSpec::Picture(_) => What::Picture,
        PartSpec::Speech { .. } => What::Speech,
        PartSpec::Events { .. } => What::Events,
    }
}

/// The three parts.
#[component]
pub fn MixedEditor() -> impl IntoView {
    let bench = Bench::around();
    provide_easel();
    let order = Memo::new(move |_| {
        bench.spec.with(|spec| match &spec.content {
            Content::Mixed { parts } => parts.iter().map(what).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
    });
    let swap = move |k: usize, to: usize| {
        bench.edit(|content| {
            if let Content::Mixed { parts } = content
                && k < parts.len()
                && to < parts.len()
            {
                parts.swap(k, to);
            }
        });
    };
    let part = move |(k, what): (usize, What)| {
        let (name, body) = match what {
            What::Text => ("Text", view! { <Line k/> }.into_any()),
            What::Picture => (
                "Picture",
                view! { <Brush/><PictureEditor seat=Seat::Part(k) alone=true/> }.into_any(),
            ),
            What::Speech => (
                "Sound",
                view! { <Heard k spoken=true/><SaidEditor seat=Seat::Part(k)/> }.into_any(),
            ),
            What::Events => (
                "Sound",
                view! { <Heard k spoken=false/><EventsEditor seat=Seat::Part(k)/> }.into_any(),
            ),
        };
        view! {
            <li class="part">
                <div class="scene-head">
                    <b>{name}</b>
                    <button type="button" class="icon" aria-label=format!("Move {name} earlier") disabled=k == 0 on:click=move |_| swap(k, k - 1)>"↑"</button>
                    <button type="button" class="icon" aria-label=format!("Move {name} later") disabled=k == 2 on:click=move |_| swap(k, k + 1)>"↓"</button>
                </div>
                {body}
            </li>
        }
    };
    view! { <ol class="parts">{move || order.get().into_iter().enumerate().map(part).collect_view()}</ol> }
}

/// The line of text.
#[component]
fn Line(k: usize) -> impl IntoView {
    let bench = Bench::around();
    let own = Signal::derive(move || {
        bench.spec.with(|spec| match &spec.content {
            Content::Mixed { parts } => match parts.get(k) {
                Some(PartSpec::Text(own)) => own.clone(),
                _ => fact(["Anna", "lost", "boat", "school"]),
            },
            _ => fact(["Anna", "lost", "boat", "school"]),
        })
    });
    let choose = Callback::new(move |new: FactSpec| {
        bench.edit(|content| {
            if let Content::Mixed { parts } = content
                && let Some(PartSpec::Text(own)) = parts.get_mut(k)
            {
                *own = new;
            }
        });
    });
    view! { <Words fact=own choose name="Text".to_owned()/> }
}

/// Words or sounds.
#[component]
fn Heard(k: usize, spoken: bool) -> impl IntoView {
    let bench = Bench::around();
    let choose = move |spoken: bool| {
        bench.edit(|content| {
            if let Content::Mixed { parts } = content
                && let Some(own) = parts.get_mut(k)
            {
                *own = match spoken {
                    true => PartSpec::Speech {
                        said: vec![said(["Carla", "sold", "guitar", "museum"], "fern", 0.2)],
                    },
                    false => PartSpec::Events {
                        sounds: vec![event(Event::Siren, 0.5)],
                    },
                };
            }
        });
    };
    view! {
        <div class="tabs" role="group" aria-label="What is heard">
            <button type="button" class="button small" aria-pressed=(!spoken).to_string() on:click=move |_| if spoken { choose(false) }>"Sounds"</button>
            <button type="button" class="button small" aria-pressed=spoken.to_string() on:click=move |_| if !spoken { choose(true) }>"A spoken sentence"</button>
        </div>
    }
}
