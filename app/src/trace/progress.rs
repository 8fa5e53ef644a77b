//! Where a live trace stands: the queue, the stage with its bar, stop, and what went wrong.

use leptos::prelude::*;

use crate::live::{Live, LiveState, stage_name};
use crate::send::post;

/// The status line above the answer.
#[component]
pub fn Progress(
    /// The trace's id.
    id: String,
    /// Its state.
    live: RwSignal<Live>,
) -> impl IntoView {
    let stopping = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let stop = StoredValue::new(id);
    let press = move |_| {
        stopping.set(true);
        problem.set(None);
        post(
            &format!("/api/traces/{}/stop", stop.get_value()),
            None,
            |_| {},
            move |answer| {
                if let Err(sentence) = answer {
                    let _ = stopping.try_set(false);
                    let _ = problem.try_set(Some(sentence));
                }
            },
        );
    };
    let state = Memo::new(move |_| live.with(|live| live.state.clone()));
    let words = move || match state.get() {
        LiveState::Joining => "Joining …".to_owned(),
        LiveState::Queued(0) => "Next in the queue".to_owned(),
        LiveState::Queued(1) => "Waiting: one other trace first".to_owned(),
        LiveState::Queued(position) => format!("Waiting: {position} other traces first"),
        LiveState::Working { stage, .. } => stage_name(stage).to_owned(),
        LiveState::Done => "Fetching the record …".to_owned(),
        LiveState::Failed(_) => String::new(),
    };
    let bar = move || match state.get() {
        LiveState::Working { done, total, .. } if total > 0 => {
            let share = f64::from(done.min(total)) / f64::from(total);
            view! { <progress max="1" value=format!("{share:.3}") aria-label="Progress of this stage"></progress> }.into_any()
        }
        LiveState::Failed(_) => ().into_any(),
        _ => view! { <progress aria-label="Working"></progress> }.into_any(),
    };
    let failed = move || match state.get() {
        LiveState::Failed(sentence) => Some(sentence),
        _ => None,
    };
    view! {
        <div class="progress">
            {move || match failed() {
                Some(sentence) => view! { <p class="error" role="alert">{sentence}</p> }.into_any(),
                None => view! {
                    <p class="stage" role="status">{words}</p>
                    {bar}
                    <button type="button" class="button small needs-js" disabled=move || stopping.get() on:click=press>
                        {move || if stopping.get() { "Stopping …" } else { "Stop" }}
                    </button>
                }.into_any(),
            }}
            {move || problem.get().map(|sentence| view! { <p class="error" role="alert">{sentence}</p> })}
        </div>
    }
    .into_any()
}
