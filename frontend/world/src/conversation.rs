//! A conversation: three to five turns, each a thing done, small talk or a picture.

use leptos::prelude::*;
use world::attributes::{Colour, Quadrant, Shape};
use world::spec::{CHAT, Content, FactSpec, SHOWS, TurnSpec};
use world::vocabulary::NAMES;

use crate::bench::{Bench, Seat};
use crate::picture::{Brush, PictureEditor, provide_easel};
use crate::said::Words;
use crate::starters::{chat, fact, object, shown};

/// No conversation has more turns.
const MOST: usize = 5;
/// None has fewer.
const LEAST: usize = 3;

/// What a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Fact,
    Chat,
    Picture,
}

fn what(turn: &TurnSpec) -> What {
    match turn {
        TurnSpec::Fact(_) => What::Fact,
        TurnSpec::Chat { .. } => What::Chat,
        TurnSpec::Picture { .. } => What::Picture,
    }
}

fn turns_mut(content: &mut Content) -> Option<&mut Vec<TurnSpec>> {
    match content {
        Content::Dialogue { turns } => Some(turns),
        _ => None,
    }
}

/// The turn with this number, as it is now.
fn turn_of(bench: Bench, k: usize) -> Option<TurnSpec> {
    bench.spec.with(|spec| match &spec.content {
        Content::Dialogue { turns } => turns.get(k).cloned(),
        _ => None,
    })
}

/// All turns, and what may come after them.
#[component]
pub fn ConversationEditor() -> impl IntoView {
    let bench = Bench::around();
    provide_easel();
    let order = Memo::new(move |_| {
        bench.spec.with(|spec| match &spec.content {
            Content::Dialogue { turns } => turns.iter().map(what).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
    });
    let count = move || order.with(Vec::len);
    let change = move |change: &dyn Fn(&mut Vec<TurnSpec>)| {
        bench.edit(|content| {
            if let Some(turns) = turns_mut(content) {
                change(turns);
            }
        });
    };
    let swap = move |k: usize, to: usize| {
        change(&|turns| {
            if k < turns.len() && to < turns.len() {
                turns.swap(k, to);
            }
        });
    };
    let remove = move |k: usize| {
        change(&|turns| {
            if k < turns.len() && turns.len() > LEAST {
                turns.remove(k);
            }
        });
    };
    let turn = move |(k, what): (usize, What)| {
        let (name, body) = match what {
            What::Fact => ("A thing done", view! { <Done k/> }.into_any()),
            What::Chat => ("Small talk", view! { <Small k words=&CHAT/> }.into_any()),
            What::Picture => (
                "A picture",
                view! { <Small k words=&SHOWS/><Brush/><PictureEditor seat=Seat::Turn(k) alone=true/> }
                    .into_any(),
            ),
        };
        let named = format!("turn {}", k + 1);
        view! {
            <li class="part" data-turn=k.to_string()>
                <div class="scene-head">
                    <b>{name}</b>
                    <button type="button" class="icon" aria-label=format!("Move {named} earlier") disabled=k == 0 on:click=move |_| swap(k, k - 1)>"↑"</button>
                    <button type="button" class="icon" aria-label=format!("Move {named} later") disabled=move || { k + 1 >= count() } on:click=move |_| swap(k, k + 1)>"↓"</button>
                    <button type="button" class="icon" aria-label=format!("Remove {named}") disabled=move || { count() <= LEAST } on:click=move |_| remove(k)>"×"</button>
                </div>
                {body}
            </li>
        }
    };
    let full = move || count() >= MOST;
    let add = move |new: TurnSpec| change(&|turns| turns.push(new.clone()));
    view! {
        <ol class="parts turns">{move || order.get().into_iter().enumerate().map(turn).collect_view()}</ol>
        <div class="tabs" role="group" aria-label="Add a turn">
            <button type="button" class="button small" data-add="fact" disabled=full on:click=move |_| add(TurnSpec::Fact(fact(["Emma", "bought", "lamp", "museum"])))>"+ A thing done"</button>
            <button type="button" class="button small" data-add="chat" disabled=full on:click=move |_| add(chat("David", 1))>"+ Small talk"</button>
            <button type="button" class="button small" data-add="picture" disabled=move || full() || order.with(|own| own.contains(&What::Picture))
                on:click=move |_| add(shown("Julia", object(Shape::Heart, Colour::Green, Quadrant::TopLeft)))>"+ A picture"</button>
        </div>
    }
}

/// Who did what.
#[component]
fn Done(k: usize) -> impl IntoView {
    let bench = Bench::around();
    let own = Signal::derive(move || match turn_of(bench, k) {
        Some(TurnSpec::Fact(own)) => own,
        _ => fact(["Anna", "lost", "boat", "school"]),
    });
    let choose = Callback::new(move |new: FactSpec| {
        bench.edit(|content| {
            if let Some(TurnSpec::Fact(own)) = turns_mut(content).and_then(|own| own.get_mut(k)) {
                *own = new;
            }
        });
    });
    view! { <Words fact=own choose name=format!("Turn {}", k + 1)/> }
}

/// Who says which of the sentences that are offered.
#[component]
fn Small(k: usize, words: &'static [&'static str]) -> impl IntoView {
    let bench = Bench::around();
    let own = Memo::new(move |_| match turn_of(bench, k) {
        Some(TurnSpec::Chat { name, wording } | TurnSpec::Picture { name, wording, .. }) => {
            (name, wording)
        }
        _ => (String::new(), 0),
    });
    let put = move |change: &dyn Fn(&mut String, &mut usize)| {
        bench.edit(|content| {
            if let Some(
                TurnSpec::Chat { name, wording } | TurnSpec::Picture { name, wording, .. },
            ) = turns_mut(content).and_then(|own| own.get_mut(k))
            {
                change(name, wording);
            }
        });
    };
    let who = move |event: leptos::ev::Event| {
        let new = event_target_value(&event);
        put(&|name, _| name.clone_from(&new));
    };
    let what = move |event: leptos::ev::Event| {
        let new = event_target_value(&event).parse().unwrap_or(0);
        put(&|_, wording| *wording = new);
    };
    let name = format!("Turn {}", k + 1);
    view! {
        <span class="words">
            <select aria-label=format!("{name}: who") on:change=who>
                {NAMES.iter().map(|word| view! { <option value=*word prop:selected=move || own.with(|own| own.0 == *word)>{*word}</option> }).collect_view()}
            </select>
            <select aria-label=format!("{name}: what is said") on:change=what>
                {words.iter().enumerate().map(|(at, text)| view! { <option value=at.to_string() prop:selected=move || own.with(|own| own.1 == at)>{*text}</option> }).collect_view()}
            </select>
        </span>
    }
}
