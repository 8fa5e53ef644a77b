//! The stage: one sentence after the other on a projector, by keys, in step with a second window.
//! In: keys, and what the other window does. Out: the pinned sentence, a replay of the generation, help and overview.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{BroadcastChannel, HtmlInputElement, MessageEvent};

use super::desk::Desk;
use crate::focus::{Focus, Target, step};
use crate::shown::Shown;

/// Tokens per second of a replay, and by how much a key changes it.
const TOKENS_PER_SEC: f64 = 12.0;
const FASTER: f64 = 1.5;

const KEYS: [(&str, &str); 11] = [
    ("→ Space n", "next sentence"),
    ("← p", "sentence before"),
    ("1 … 9", "a source"),
    ("g", "go to a sentence by number"),
    ("r, + −", "replay the generation, its speed"),
    ("o", "overview"),
    ("f", "full screen"),
    ("d", "light or dark"),
    ("a", "a second window, for the audience"),
    ("Esc", "let go"),
    ("?", "these keys"),
];

/// Bar, help and keys of the stage.
#[component]
pub fn Stage(
    /// The trace's id.
    id: String,
    /// How many tokens a replay shows; none: all.
    replay: RwSignal<Option<usize>>,
    /// The whole answer.
    whole: Memo<Shown>,
) -> impl IntoView {
    let desk = Desk::around();
    let help = RwSignal::new(false);
    let overview = RwSignal::new(false);
    let asks = RwSignal::new(false);
    let speed = RwSignal::new(TOKENS_PER_SEC);
    let count = Memo::new(move |_| whole.with(|shown| shown.chunks.len() as u32));
    let at = Memo::new(move |_| desk.focus.with(|focus| focus.pinned_chunk()));
    let pin = move |target: Option<Target>| {
        desk.focus.set(Focus {
            pin: target,
            ..Focus::default()
        });
        if let Some(Target::Chunk(chunk)) = target
            && let Some(element) = document().get_element_by_id(&format!("{}s{chunk}", desk.prefix))
        {
            super::edge::scroll_to(&element);
        }
    };
    let go = move |by: i32| {
        let next = step(at.get_untracked(), by, count.get_untracked());
        pin(next.map(Target::Chunk));
    };
    let start_replay = move || {
        pin(None);
        replay.set(Some(0));
        advance(replay, whole, speed);
    };
    let source = move |number: usize| {
        let unit = desk.prompt.with_untracked(|prompt| {
            let cited = |unit: &u32| {
                desk.index
                    .with_untracked(|index| !index.chunks_of(*unit).is_empty())
            };
            let mut own = prompt.units_of(number).map(|(unit, _)| unit);
            let first = own.next();
            first.into_iter().chain(own).find(cited).or(first)
        });
        pin(unit.map(Target::Unit));
    };
    Effect::new(move |_| {
        let handle = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
            let typing = event
                .target()
                .is_some_and(|target| target.dyn_ref::<HtmlInputElement>().is_some());
            if typing
                || event.default_prevented()
                || event.ctrl_key()
                || event.alt_key()
                || event.meta_key()
            {
                return;
            }
            let key = event.key();
            match key.as_str() {
                "ArrowRight" | " " | "n" | "PageDown" => go(1),
                "ArrowLeft" | "p" | "PageUp" => go(-1),
                "f" => full_screen(),
                "o" => overview.update(|on| *on = !*on),
                "d" => switch_theme(),
                "g" => asks.set(true),
                "r" => start_replay(),
                "+" => speed.update(|speed| *speed *= FASTER),
                "-" => speed.update(|speed| *speed /= FASTER),
                "a" => {
                    let _ = window().open_with_url(&window().location().href().unwrap_or_default());
                }
                "?" => help.update(|on| *on = !*on),
                "Escape" => {
                    help.set(false);
                    asks.set(false);
                    replay.set(None);
                }
                digit => match digit.parse::<usize>() {
                    Ok(number @ 1..=9) => source(number - 1),
                    _ => return,
                },
            }
            event.prevent_default();
        });
        on_cleanup(move || handle.remove());
    });
    keep_in_step(&id, desk, replay);
    Effect::new(move |_| {
        let on = overview.get();
        if let Some(root) = document().document_element() {
            let _ = root.toggle_attribute_with_force("data-overview", on);
        }
    });
    let short = format!("/t/{id}");
    let host = if cfg!(feature = "ssr") {
        String::new()
    } else {
        window().location().host().unwrap_or_default()
    };
    let code = format!("/t/{id}/qr.svg");
    let asked = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Enter" {
            if let Ok(number @ 1..) = event_target_value(&event).trim().parse::<u32>() {
                pin(Some(Target::Chunk(
                    (number - 1).min(count.get_untracked().saturating_sub(1)),
                )));
            }
            asks.set(false);
        } else if event.key() == "Escape" {
            asks.set(false);
        }
    };
    view! {
        <div class="stage-bar">
            <button type="button" class="icon" aria-label="Sentence before" on:click=move |_| go(-1)>"←"</button>
            <span class="stage-at" role="status">{move || match at.get() {
                Some(chunk) => format!("{} / {}", chunk + 1, count.get()),
                None => format!("{} sentences", count.get()),
            }}</span>
            <button type="button" class="icon" aria-label="Next sentence" on:click=move |_| go(1)>"→"</button>
            <button type="button" class="button small" on:click=move |_| start_replay()>"Replay"</button>
            <button type="button" class="button small" aria-expanded=move || help.get().to_string() on:click=move |_| help.update(|on| *on = !*on)>"Keys ?"</button>
            {move || asks.get().then(|| view! {
                <label class="go-to">"Sentence " <input type="number" min="1" autofocus on:keydown=asked/></label>
            })}
            <span class="grow"></span>
            <a class="stage-link" href=short.clone()>{host}{short.clone()}</a>
            <img class="qr" src=code alt="QR code of this trace" width="84" height="84"/>
        </div>
        {move || help.get().then(|| view! {
            <div class="stage-help" role="dialog" aria-label="Keys">
                <dl class="keys">{KEYS.map(|(keys, what)| view! { <div><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div> }).collect_view()}</dl>
            </div>
        })}
    }
    .into_any()
}

/// Types the next token after its share of a second, until the answer is whole.
fn advance(replay: RwSignal<Option<usize>>, whole: Memo<Shown>, speed: RwSignal<f64>) {
    let wait = 1.0 / speed.get_untracked().clamp(0.5, 400.0);
    set_timeout(
        move || {
            let Some(Some(token)) = replay.try_get_untracked() else {
                return;
            };
            if token + 1 >= whole.with_untracked(|shown| shown.words.len()) {
                replay.set(None);
                return;
            }
            // Who pressed `r` twice has two of these running: each moves on from what is shown.
            replay.set(Some(token + 1));
            advance(replay, whole, speed);
        },
        std::time::Duration::from_secs_f64(wait),
    );
}

fn full_screen() {
    let document = document();
    if document.fullscreen_element().is_some() {
        document.exit_fullscreen();
    } else if let Some(root) = document.document_element() {
        // Refused without a key press of the visitor's own: then it stays as it is.
        let _ = root.request_fullscreen();
    }
}

fn switch_theme() {
    let Some(root) = document().document_element() else {
        return;
    };
    let system = || {
        let query = window()
            .match_media("(prefers-color-scheme: dark)")
            .ok()
            .flatten();
        query.is_some_and(|query| query.matches())
    };
    let dark = root
        .get_attribute("data-theme")
        .map_or_else(system, |theme| theme == "dark");
    let _ = root.set_attribute("data-theme", if dark { "light" } else { "dark" });
}

/// Two windows of one trace show the same sentence, whichever of them was moved.
fn keep_in_step(id: &str, desk: Desk, replay: RwSignal<Option<usize>>) {
    let name = format!("omnitrace-stage-{id}");
    Effect::new(move |_| {
        let Ok(channel) = BroadcastChannel::new(&name) else {
            return;
        };
        let heard = StoredValue::new(String::new());
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
            let Some(text) = message.data().as_string() else {
                return;
            };
            heard.set_value(text.clone());
            let Some((pin, typed)) = text.split_once('|') else {
                return;
            };
            let number = |kind: char| pin.strip_prefix(kind).and_then(|n| n.parse::<u32>().ok());
            let pin = number('s')
                .map(Target::Chunk)
                .or(number('u').map(Target::Unit));
            desk.focus.set(Focus {
                pin,
                ..Focus::default()
            });
            replay.set(typed.parse().ok());
        });
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        let said = channel.clone();
        Effect::new(move |first: Option<()>| {
            let pin = match desk.focus.with(|focus| focus.pin) {
                Some(Target::Chunk(chunk)) => format!("s{chunk}"),
                Some(Target::Unit(unit)) => format!("u{unit}"),
                _ => String::new(),
            };
            let typed = replay
                .get()
                .map(|token| token.to_string())
                .unwrap_or_default();
            let text = format!("{pin}|{typed}");
            // What was heard is not said again.
            if first.is_some() && heard.with_value(|heard| *heard != text) {
                heard.set_value(text.clone());
                let _ = said.post_message(&text.into());
            }
        });
        let held = StoredValue::new_local((channel, on_message));
        on_cleanup(move || held.with_value(|(channel, _)| channel.close()));
    });
}
