//! Spoken sentences: words from the vocabulary, a voice, a pace, on a track.

use leptos::prelude::*;
use world::spec::{Content, FactSpec, PartSpec, SaidSpec, preview};
use world::speech::VOICES;
use world::vocabulary::{NAMES, OBJECTS, PLACES, VERBS};

use crate::bench::{Bench, Seat};
use crate::starters::said;
use crate::track::{Laid, Track};

/// Four words that make a sentence.
#[component]
pub fn Words(
    /// The sentence now.
    #[prop(into)]
    fact: Signal<FactSpec>,
    /// Called with another one.
    choose: Callback<FactSpec>,
    /// In front of the fields' names: "Sentence 2".
    name: String,
) -> impl IntoView {
    type Field = fn(&mut FactSpec) -> &mut String;
    let fields: [(&str, &'static [&'static str], Field); 4] = [
        ("who", &NAMES, |own| &mut own.name),
        ("did what", &VERBS, |own| &mut own.verb),
        ("with what", &OBJECTS, |own| &mut own.object),
        ("where", &PLACES, |own| &mut own.place),
    ];
    let between = ["", "", "a", "at the"];
    let fields = fields.into_iter().zip(between).map(|((what, words, field), before)| {
        let now = move || field(&mut fact.get()).clone();
        let change = move |event: leptos::ev::Event| {
            let mut own = fact.get_untracked();
            *field(&mut own) = event_target_value(&event);
            choose.run(own);
        };
        view! {
            {(!before.is_empty()).then_some(before)}
            <select aria-label=format!("{name}: {what}") on:change=change>
                {words.iter().map(|word| view! { <option value=*word prop:selected=move || now() == *word>{*word}</option> }).collect_view()}
            </select>
        }
    });
    view! { <span class="words">{fields.collect_view()}</span> }
}

/// The sentences of a seat.
fn said_of(seat: Seat, content: &Content) -> Vec<SaidSpec> {
    match (seat, content) {
        (Seat::Own(_), Content::Speech { said }) => said.clone(),
        (Seat::Part(k), Content::Mixed { parts }) => match parts.get(k) {
            Some(PartSpec::Speech { said }) => said.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn put_said(seat: Seat, content: &mut Content, new: Vec<SaidSpec>) {
    match (seat, content) {
        (Seat::Own(_), Content::Speech { said }) => *said = new,
        (Seat::Part(k), Content::Mixed { parts }) => {
            if let Some(PartSpec::Speech { said }) = parts.get_mut(k) {
                *said = new;
            }
        }
        _ => {}
    }
}

/// Spoken sentences on a track.
#[component]
pub fn SaidEditor(
    /// Whose.
    seat: Seat,
) -> impl IntoView {
    let bench = Bench::around();
    let several = matches!(seat, Seat::Own(_));
    let all = Memo::new(move |_| bench.spec.with(|spec| said_of(seat, &spec.content)));
    let laid = Memo::new(move |_| {
        // Until the bank of words is there, nothing can be said.
        bench.words.get().then_some(())?;
        let seed = bench.spec.with(|spec| spec.seed);
        let own = all.get();
        let (sound, spans) = preview::speech(&own, seed).ok()?;
        let names = own.iter().map(|own| own.fact.sentence());
        let blocks = names.zip(spans).map(|(name, (from, to))| (name, from, to));
        Some(Laid {
            blocks: blocks.collect(),
            sound,
        })
    });
    let change = move |change: &dyn Fn(&mut Vec<SaidSpec>)| {
        bench.edit(|content| {
            let mut own = said_of(seat, content);
            change(&mut own);
            put_said(seat, content, own);
        });
    };
    let shift = Callback::new(move |(k, at): (usize, f64)| {
        change(&|own| {
            if let Some(own) = own.get_mut(k) {
                own.at_secs = (at.clamp(0.1, 26.0) * 20.0).round() / 20.0;
            }
        });
    });
    let settle = Callback::new(move |()| {
        change(&|own| own.sort_by(|a, b| a.at_secs.total_cmp(&b.at_secs)));
        let seed = bench.spec.with_untracked(|spec| spec.seed);
        if let Ok((_, spans)) = preview::speech(&all.get_untracked(), seed) {
            change(&|own| {
                for (own, (from, _)) in own.iter_mut().zip(&spans) {
                    own.at_secs = *from;
                }
            });
        }
    });
    let remove = Callback::new(move |k: usize| {
        change(&|own| {
            if k < own.len() && own.len() > 1 {
                own.remove(k);
            }
        });
    });
    let count = Memo::new(move |_| all.with(Vec::len));
    let add = move |_: leptos::ev::MouseEvent| {
        let end = laid.with_untracked(|own| Some(own.as_ref()?.blocks.last()?.2));
        let at = (end.unwrap_or(0.0) + 0.5).min(26.0);
        let at = (at * 20.0).round() / 20.0;
        change(&|own| own.push(said(["Peter", "found", "camera", "garden"], "hazel", at)));
    };
    let line = move |k: usize| {
        let own = Memo::new(move |_| all.with(|all| all.get(k).cloned()));
        let fact = Signal::derive(move || {
            let own = own.get().map(|own| own.fact);
            own.unwrap_or_else(|| crate::starters::fact(["Anna", "lost", "boat", "school"]))
        });
        let choose = Callback::new(move |new: FactSpec| {
            change(&|own| {
                if let Some(own) = own.get_mut(k) {
                    own.fact = new.clone();
                }
            });
        });
        let voice = move || own.get().map(|own| own.voice).unwrap_or_default();
        let name = format!("Sentence {}", k + 1);
        view! {
            <li>
                <Words fact choose name=name.clone()/>
                <label><span class="sr">{format!("{name}: voice")}</span>
                    <select on:change=move |event| {
                        let new = event_target_value(&event);
                        change(&|own| if let Some(own) = own.get_mut(k) { own.voice = new.clone(); });
                    }>
                        {VOICES.map(|one| {
                            let note = if one.held_out { " (never heard in training)" } else { "" };
                            view! { <option value=one.name prop:selected=move || voice() == one.name>{format!("voice {}{note}", one.name)}</option> }
                        }).into_iter().collect_view()}
                    </select>
                </label>
                <label class="slider">"pace" <input type="range" min="0.95" max="1.3" step="0.05"
                    prop:value=move || own.get().map_or(1.1, |own| own.speed).to_string()
                    on:change=move |event| {
                        let speed: f64 = event_target_value(&event).parse().unwrap_or(1.1);
                        change(&|own| if let Some(own) = own.get_mut(k) { own.speed = speed.clamp(0.95, 1.3); });
                    }/></label>
                {several.then(|| view! {
                    <button type="button" class="icon" aria-label=format!("Remove sentence {}", k + 1) disabled=move || { count.get() < 2 } on:click=move |_| remove.run(k)>"×"</button>
                })}
            </li>
        }
    };
    view! {
        <p class="hint">"Put sentences together from words that the model knows. Drag a sentence along the track, or move it with the arrow keys."</p>
        <Track laid shift settle remove/>
        {move || (!bench.words.get()).then(|| view! { <p class="soft" role="status">"Fetching the words …"</p> })}
        <ol class="laid">{move || (0..count.get()).map(line).collect_view()}</ol>
        {several.then(|| view! {
            <button type="button" class="button small" disabled=move || { count.get() >= 6 } on:click=add>"Add a sentence"</button>
        })}
    }
}
