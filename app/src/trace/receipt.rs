//! How a record was made, for those who want to make it again.

use std::sync::Arc;

use attribution::record::{Finish, Record};
use leptos::prelude::*;

use crate::live::stage_name;

/// Warnings first, then the receipt folded away.
#[component]
pub fn ReceiptView(
    /// The finished record.
    record: Arc<Record>,
) -> impl IntoView {
    let receipt = &record.receipt;
    let decoding = &receipt.decoding;
    let how = if decoding.temperature <= 0.0 {
        "greedy".to_owned()
    } else {
        format!(
            "temperature {}, top-p {}, seed {}",
            decoding.temperature, decoding.top_p, decoding.seed
        )
    };
    let block = match decoding.no_repeat_ngram {
        0 => String::new(),
        n => format!(", no {n}-gram twice"),
    };
    let finish = match receipt.finish {
        Finish::End => "the model ended its answer",
        Finish::Length => "the token limit was reached",
        Finish::Stopped => "someone pressed stop",
    };
    let mut rows = vec![
        ("Model", receipt.model.clone()),
        ("Weights", receipt.model_hash.clone()),
        (
            "Decoding",
            format!("{how}{block}, at most {} tokens", decoding.max_new_tokens),
        ),
        (
            "Tokens",
            format!(
                "{} read, {} written",
                receipt.prompt_tokens,
                record.tokens.len()
            ),
        ),
        ("Ended", finish.to_owned()),
        (
            "Signal",
            format!(
                "{}, {} per unit",
                record.method.signal.name(),
                record.method.unit_score.name()
            ),
        ),
        ("Program", receipt.code_version.clone()),
    ];
    if !receipt.stage_secs.is_empty() {
        let times: Vec<String> = receipt
            .stage_secs
            .iter()
            .map(|(stage, secs)| format!("{} {secs:.2} s", stage_name(*stage).to_lowercase()))
            .collect();
        rows.push(("Time", times.join(", ")));
    }
    let finished = receipt.finish;
    view! {
        {(finished != Finish::End).then(|| view! { <p class="warning">{format!("The answer may be incomplete: {finish}.")}</p> })}
        {record.warnings.iter().cloned().map(|sentence| view! { <p class="warning">{sentence}</p> }).collect_view()}
        <details class="receipt">
            <summary>"How this was made"</summary>
            <dl>
                {rows
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
                    .collect_view()}
            </dl>
            <p><a href=format!("/api/traces/{}", record.id) rel="external">"The whole record as JSON"</a></p>
        </details>
    }
    .into_any()
}
