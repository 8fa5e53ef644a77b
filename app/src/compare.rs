//! Two traces, or one trace through two lenses, side by side with one focus.
//! In: both as loaded, and the query. Out: two columns; what is pointed at in one lights up in both.

use leptos::context::Provider;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data;
use crate::focus::Focus;
use crate::lens::pairs;
use crate::trace::{Setting, TraceView};

/// What the page is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareView {
    /// On the left.
    pub left: data::TraceView,
    /// On the right; the same trace where two signals of it are compared.
    pub right: data::TraceView,
}

/// The two columns.
#[component]
pub fn Compare(
    /// Both.
    both: CompareView,
    /// The address' query; `right.signal=attraw` and the like are for the right one alone.
    query: String,
) -> impl IntoView {
    let CompareView { left, right } = both;
    let focus = RwSignal::new(Focus::default());
    let mut queries = [String::new(), String::new()];
    for (key, value) in pairs(&query) {
        let (side, key) = match key.strip_prefix("right.") {
            Some(key) => (1, key),
            None => (0, key),
        };
        queries[side].push_str(&format!("&{key}={value}"));
    }
    let [left_query, mut right_query] = queries;
    if left.id == right.id && right_query.is_empty() {
        right_query = other_signal(&left);
    }
    let head = |view: &data::TraceView| {
        let link = format!("/t/{}", view.id);
        view! { <p class="eyebrow compare-head">{view.request.model.clone()} <a href=link rel="external">{view.id.clone()}</a></p> }
    };
    let (left_head, right_head) = (head(&left), head(&right));
    let same = left.id == right.id;
    let question = match left.request.prompt.trim() == right.request.prompt.trim() {
        true => left.request.prompt.trim().to_owned(),
        false => String::new(),
    };
    // Each side gets a scope of its own: its desk would else be the other's.
    view! {
        <h1 class="question compare-title">{if question.is_empty() { "Two traces".to_owned() } else { question }}</h1>
        <p class="soft compare-say">{if same {
            "One answer, two signals. Point at a sentence: both sides light up. What lights up on both, trust the more."
        } else {
            "Two traces side by side. A sentence of one lights up the sentence of the same place in the other."
        }}</p>
        <div class="compare-grid">
            <section aria-label="Left">{left_head}<Provider value=()><TraceView trace=left query=left_query setting=Setting::Beside shared=focus/></Provider></section>
            <section aria-label="Right">{right_head}<Provider value=()><TraceView trace=right query=right_query setting=Setting::Beside shared=focus prefix="r-"/></Provider></section>
        </div>
    }
    .into_any()
}

/// The first signal besides the recorded one.
fn other_signal(view: &data::TraceView) -> String {
    let other = view.record.as_ref().and_then(|record| {
        let signals = record.signals.iter().rev();
        signals
            .map(|trace| trace.signal)
            .find(|signal| *signal != record.method.signal)
    });
    other
        .map(|signal| format!("signal={}", signal.name()))
        .unwrap_or_default()
}
