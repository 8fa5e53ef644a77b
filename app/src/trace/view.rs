//! The whole trace as one component.
//! In: the trace as loaded. Out: its element with `data-state`, wired to pointer, keyboard, stream and URL.

use std::sync::Arc;

use attribution::record::{Method, Record};
use leptos::prelude::*;

use super::desk::Desk;
use super::edge::EdgeMarker;
use super::interact;
use super::response::Response;
use super::share::keep_url;
use super::sources::Sources;
use crate::data::{self, TraceStatus};
use crate::focus::{Focus, Target};
use crate::live::{Live, LiveState};
use crate::send::get;
use crate::shown::Shown;
use crate::stream::follow;

/// One trace, being made or finished.
#[component]
pub fn TraceView(
    /// As loaded.
    trace: data::TraceView,
    /// The address' query: what of the trace is pointed at.
    query: String,
    /// Inside another page: the URL is left alone.
    #[prop(optional)]
    embedded: bool,
) -> impl IntoView {
    let data::TraceView {
        id,
        status,
        request,
        record,
        ..
    } = trace;
    let first_method = record.as_ref().map(|record| record.method.clone());
    let record = RwSignal::new(record.map(Arc::new));
    let method = RwSignal::new(first_method);
    let live = RwSignal::new(Live::in_state(first_state(&status)));
    let shown = Memo::new(move |_| match (record.get(), method.get()) {
        (Some(record), Some(method)) => Shown::of_record(&record, &method),
        _ => live.with(|live| live.shown.clone()),
    });

    let pin = if embedded { None } else { pin_in(&query) };
    let desk = Desk::provide(
        shown,
        Focus {
            pin,
            ..Focus::default()
        },
    );
    let state = Memo::new(move |_| {
        if record.with(Option::is_some) {
            return "finished";
        }
        live.with(|live| match live.state {
            LiveState::Queued(_) => "queued",
            LiveState::Failed(_) => "failed",
            _ => "running",
        })
    });

    if !embedded {
        keep_url(desk);
    }
    interact::release_on_escape(desk);
    follow_until_recorded(id.clone(), live, record, method);

    let question = request.prompt.clone();
    let title = match (embedded, question.trim().is_empty()) {
        (_, true) => None,
        (true, false) => Some(view! { <h2 class="question">{question}</h2> }.into_any()),
        (false, false) => Some(view! { <h1 class="question">{question}</h1> }.into_any()),
    };
    view! {
        <div
            class="trace"
            class:embedded=embedded
            data-state=move || state.get()
            data-active=move || desk.lit.with(|lit| lit.active.is_some()).then_some("")
            on:mouseover=move |event| interact::hover(desk, &event)
            on:mouseleave=move |_| interact::leave(desk)
            on:focusin=move |event| interact::focus_in(desk, &event)
            on:focusout=move |_| interact::focus_out(desk)
            on:click=move |event| interact::click(desk, &event)
            on:keydown=move |event| interact::key(desk, &event)
        >
            {title}
            <div class="desk">
                <Sources request=request.clone()/>
                <Response id model=request.model.clone() record method live embedded/>
            </div>
            <EdgeMarker/>
        </div>
    }
    .into_any()
}

fn first_state(status: &TraceStatus) -> LiveState {
    match status {
        TraceStatus::Queued { position } => LiveState::Queued(*position),
        TraceStatus::Running => LiveState::Joining,
        TraceStatus::Finished => LiveState::Failed(
            "This trace was finished, but its record cannot be read. Ask the operator.".to_owned(),
        ),
        TraceStatus::Failed { message } => LiveState::Failed(message.clone()),
    }
}

/// `?s=3`: the sentence that the link points at, from 0.
fn pin_in(query: &str) -> Option<Target> {
    let pairs = query.trim_start_matches('?').split('&');
    let chunk = pairs.filter_map(|pair| pair.strip_prefix("s=")).next()?;
    chunk.parse::<u32>().ok().map(Target::Chunk)
}

/// Streams while there is no record, then loads it. Runs in the browser only, as all effects do.
fn follow_until_recorded(
    id: String,
    live: RwSignal<Live>,
    record: RwSignal<Option<Arc<Record>>>,
    method: RwSignal<Option<Method>>,
) {
    let stream_id = id.clone();
    Effect::new(move |_| {
        let open = live.with_untracked(|live| !matches!(live.state, LiveState::Failed(_)));
        if open && record.with_untracked(Option::is_none) {
            follow(&stream_id, live);
        }
    });
    let done = Memo::new(move |_| live.with(|live| live.state == LiveState::Done));
    Effect::new(move |_| {
        if !done.get() {
            return;
        }
        get(&format!("/api/traces/{id}"), move |answer| {
            match answer
                .ok()
                .and_then(|json| serde_json::from_str::<Record>(&json).ok())
            {
                Some(loaded) => {
                    method.set(Some(loaded.method.clone()));
                    record.set(Some(Arc::new(loaded)));
                }
                None => live.update(|live| {
                    live.state = LiveState::Failed(
                        "The answer is finished, but could not be fetched. Reload the page."
                            .to_owned(),
                    );
                }),
            }
        });
    });
}
