//! "Prove it": the pinned sentence is scored again without the sources it cites, and without as many random ones.
//! In: the pinned sentence. Out: two bars, a verdict in words, and on request a trace of its own without them.

use std::sync::Arc;

use attribution::record::Record;
use leptos::prelude::*;
use serde::Deserialize;

use super::desk::Desk;
use crate::lens::Lens;
use crate::send::{UNREADABLE, go, post_json};

/// What the server measured, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Measured {
    units: Vec<u32>,
    fall: f64,
    random: Vec<Draw>,
    random_fall: Option<f64>,
    secs: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Draw {
    fall: f64,
}

/// Where the last question stands.
#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Nothing,
    Waiting,
    Measured(Measured),
    Refused(String),
}

/// The panel; it appears with a pinned sentence.
#[component]
pub fn Prove(
    /// The trace.
    id: String,
    /// Its record.
    record: Arc<Record>,
    /// How it is looked at.
    lens: RwSignal<Option<Lens>>,
) -> impl IntoView {
    let desk = Desk::around();
    let asked = RwSignal::new(Asked::Nothing);
    let size = Lens::recorded(&record).size;
    let pinned = Memo::new(move |_| desk.focus.with(|focus| focus.pinned_chunk()));
    let cited = Memo::new(move |_| {
        desk.shown.with(|shown| {
            let own = pinned.get().and_then(|chunk| shown.attribution_of(chunk));
            own.map(|own| own.cited.iter().map(|c| c.unit).collect::<Vec<_>>())
                .unwrap_or_default()
        })
    });
    // Another sentence, or other sources: the answer no longer belongs to what is seen.
    Effect::new(move |_| {
        pinned.track();
        cited.track();
        asked.set(Asked::Nothing);
    });
    let url = StoredValue::new(format!("/api/traces/{id}"));
    let ask = move |again: bool| {
        let Some(chunk) = pinned.get_untracked() else {
            return;
        };
        let units: Vec<String> = cited.get_untracked().iter().map(u32::to_string).collect();
        let units = units.join(",");
        let (to, json) = match again {
            true => ("without", format!("{{\"units\":[{units}]}}")),
            false => (
                "faithfulness",
                format!("{{\"chunk\":{chunk},\"units\":[{units}],\"draws\":8}}"),
            ),
        };
        asked.set(Asked::Waiting);
        post_json(&format!("{}/{to}", url.get_value()), &json, move |answer| {
            let answer = answer.and_then(|text| match again {
                // On the way there, it still waits.
                true => go(&text).map(|()| Asked::Waiting),
                false => (serde_json::from_str(&text).map(Asked::Measured))
                    .map_err(|_| UNREADABLE.to_owned()),
            });
            let _ = asked.try_set(answer.unwrap_or_else(Asked::Refused));
        });
    };
    let same_size = move || lens.with(|lens| lens.as_ref().is_some_and(|lens| lens.size == size));
    let answer = move || match asked.get() {
        Asked::Nothing => ().into_any(),
        Asked::Waiting => {
            view! { <p class="soft" role="status">"Masking its sources …"</p> }.into_any()
        }
        Asked::Refused(sentence) => {
            view! { <p class="error" role="alert">{sentence}</p> }.into_any()
        }
        Asked::Measured(found) => view! { <Found found/> }.into_any(),
    };
    move || {
        let chunk = pinned.get().filter(|_| same_size())?;
        let none = cited.with(Vec::is_empty);
        Some(view! {
            <section class="prove panel needs-js" aria-label="Prove it">
                <p class="prove-ask">
                    <span class="eyebrow">{format!("Sentence {}", chunk + 1)}</span>
                    <button type="button" class="button small" data-prove="" disabled=none on:click=move |_| ask(false)>"Prove it"</button>
                    <button type="button" class="button small" data-regenerate="" disabled=none on:click=move |_| ask(true)>"Answer again without its sources"</button>
                </p>
                {none.then(|| view! { <p class="soft">"It cites nothing, so there is nothing to take away."</p> })}
                {answer}
            </section>
        }
        .into_any())
    }
}

#[component]
fn Found(found: Measured) -> impl IntoView {
    let random = found.random_fall;
    let most = found
        .random
        .iter()
        .map(|draw| draw.fall.abs())
        .fold(found.fall.abs(), f64::max)
        .max(0.1);
    let dots = found.random.iter().map(|draw| {
        view! { <i style=format!("left:{:.1}%", (draw.fall.max(0.0) / most * 100.0).min(100.0))></i> }
    });
    let bar = |fall: f64| {
        format!(
            "width:{:.1}%",
            (fall.max(0.0) / most * 100.0).clamp(0.4, 100.0)
        )
    };
    let count = found.units.len();
    let cited = if count == 1 {
        "its source".to_owned()
    } else {
        format!("its {count} sources")
    };
    let verdict = verdict(found.fall, random);
    view! {
        <div class="bars" role="img" aria-label=format!("Fall in log-probability: {:.2} without {cited}, {:.2} without random ones", found.fall, random.unwrap_or(0.0))>
            <span>{format!("without {cited}")}</span>
            <b><em style=bar(found.fall)></em></b>
            <output>{fall_text(found.fall)}</output>
            {random.map(|random| view! {
                <span>{if count == 1 { "without a random one".to_owned() } else { format!("without {count} random ones") }}</span>
                <b class="chance"><em style=bar(random)></em>{dots.collect_view()}</b>
                <output>{fall_text(random)}</output>
            })}
        </div>
        <p class="verdict" role="status">{verdict}</p>
        <p class="soft fine">{format!("Fall of the sentence's log-probability, natural, summed over its tokens; 8 random draws as dots; {:.1} s.", found.secs)}</p>
    }
    .into_any()
}

/// A fall with its sign; what rounds to nothing has none.
fn fall_text(fall: f64) -> String {
    // Adding 0 makes -0 to 0.
    format!("{:.2}", (fall * -100.0).round() / 100.0 + 0.0).replace('-', "−")
}

/// "Without them this sentence is 2,200 times less likely; without random ones 1.1 times."
fn verdict(fall: f64, random: Option<f64>) -> String {
    let times = |fall: f64| match fall.exp() {
        factor if factor < 1.05 => "no less likely".to_owned(),
        factor if factor < 10.0 => format!("{factor:.1} times less likely"),
        factor if factor < 1e6 => {
            let whole = format!("{factor:.0}");
            let (head, tail) = whole.split_at(whole.len().saturating_sub(3));
            let comma = if head.is_empty() { "" } else { "," };
            format!("{head}{comma}{tail} times less likely")
        }
        _ => "more than a million times less likely".to_owned(),
    };
    let own = format!("Without them this sentence is {}", times(fall));
    match random {
        Some(random) => format!("{own}; without as many random pieces, {}.", times(random)),
        None => format!("{own}. There are no other pieces to compare with."),
    }
}

#[cfg(test)]
mod tests {
    use super::{fall_text, verdict};

    #[test]
    fn nothing_has_no_sign() {
        let texts = [7.7, 0.004, -0.004, 0.0, -1.25].map(fall_text);
        assert_eq!(texts, ["−7.70", "0.00", "0.00", "0.00", "1.25"]);
    }

    #[test]
    fn a_fall_is_said_as_a_factor() {
        assert_eq!(
            verdict(7.7, Some(0.01)),
            "Without them this sentence is 2,208 times less likely; without as many random pieces, no less likely."
        );
        assert_eq!(
            verdict(1.0, None),
            "Without them this sentence is 2.7 times less likely. There are no other pieces to compare with."
        );
        assert!(verdict(400.0, Some(-2.0)).contains("more than a million times"));
        assert!(verdict(5.0, None).contains("148 times"));
    }
}
