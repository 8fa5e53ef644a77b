//! The whole trace as one component.
//! In: the trace as loaded. Out: its element with `data-state`, wired to pointer, keyboard, stream and URL.

use std::sync::Arc;

use attribution::record::Record;
use leptos::prelude::*;

use super::desk::Desk;
use super::edge::EdgeMarkers;
use super::interact;
use super::painter::paint_units;
use super::response::Response;
use super::share::keep_url;
use super::sources::Sources;
use super::stage::Stage;
use super::threads::Threads;
use crate::data::{self, TraceStatus};
use crate::focus::{Focus, Target};
use crate::lens::{Lens, pairs};
use crate::live::{Live, LiveState};
use crate::send::get;
use crate::shown::{Prompt, Shown};
use crate::stream::follow;

/// Where a trace stands, and so what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// A page of its own: the URL follows what is pointed at.
    Page,
    /// Inside the start page.
    Example,
    /// Inside someone else's page.
    Embed,
    /// On a projector.
    Stage,
    /// Beside another trace, whose focus it shares.
    Beside,
}

/// One trace, being made or finished.
#[component]
pub fn TraceView(
    /// As loaded.
    trace: data::TraceView,
    /// The address' query: what of the trace is pointed at, and through which lens.
    query: String,
    /// Where it stands.
    setting: Setting,
    /// The focus that it shares with another trace.
    #[prop(optional)]
    shared: Option<RwSignal<Focus>>,
    /// In front of its DOM ids.
    #[prop(optional)]
    prefix: &'static str,
) -> impl IntoView {
    let data::TraceView {
        id,
        status,
        request,
        record,
        ..
    } = trace;
    let lens = RwSignal::new(
        record
            .as_ref()
            .map(|record| Lens::from_query(record, &query)),
    );
    let record = RwSignal::new(record.map(Arc::new));
    let live = RwSignal::new(Live::in_state(first_state(&status)));
    let replay = RwSignal::new(None::<usize>);
    let prompt = Memo::new(move |_| {
        record.with(|record| {
            record.as_ref().map(|record| {
                Arc::new(Prompt {
                    sources: record.sources.clone(),
                    units: record.units.clone(),
                })
            })
        })
    });
    let whole = Memo::new(move |_| match (record.get(), prompt.get(), lens.get()) {
        (Some(record), Some(prompt), Some(lens)) => Shown::of_record(&record, &prompt, &lens),
        _ => live.with(|live| live.shown.clone()),
    });
    let shown = Memo::new(move |_| match replay.get() {
        Some(tokens) => whole.with(|shown| shown.after_tokens(tokens)),
        None => whole.get(),
    });

    let alone = setting != Setting::Example && shared.is_none();
    let focus = shared.unwrap_or_else(|| {
        RwSignal::new(Focus {
            pin: if alone { pin_in(&query) } else { None },
            ..Focus::default()
        })
    });
    let desk = Desk::provide(shown, focus, prefix);
    for (key, value) in pairs(&query).filter(|_| alone) {
        match key {
            "tokens" => desk.tokens.set(value == "1"),
            "threads" => desk.threads.set(value == "1"),
            "zoom" => desk.zoom.set(Some(value.to_owned())),
            _ => {}
        }
    }
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

    if matches!(setting, Setting::Page | Setting::Stage | Setting::Embed) {
        keep_url(desk, record, lens);
    }
    paint_units(desk);
    interact::release_on_escape(desk);
    follow_until_recorded(id.clone(), live, record, lens);

    let question = request.prompt.clone();
    let title = match (setting, question.trim().is_empty()) {
        (_, true) | (Setting::Beside, _) => None,
        (Setting::Example, false) => {
            Some(view! { <h2 class="question">{question}</h2> }.into_any())
        }
        (_, false) => Some(view! { <h1 class="question">{question}</h1> }.into_any()),
    };
    let stage = (setting == Setting::Stage).then(|| view! { <Stage id=id.clone() replay whole/> });
    view! {
        <div
            class="trace"
            class:embedded=setting == Setting::Example
            data-setting=setting.name()
            data-state=move || state.get()
            data-active=move || desk.lit.with(|lit| lit.active.is_some()).then_some("")
            on:mouseover=move |event| interact::hover(desk, &event)
            on:mouseleave=move |_| interact::leave(desk)
            on:focusin=move |event| interact::focus_in(desk, &event)
            on:focusout=move |_| interact::focus_out(desk)
            on:click=move |event| interact::click(desk, &event)
            on:keydown=move |event| interact::key(desk, &event)
            on:scope=move |event: web_sys::Event| interact::zoomed(desk, &event)
        >
            {title}
            <div class="desk">
                <Sources request=request.clone()/>
                <Response id model=request.model.clone() record lens live setting/>
            </div>
            <EdgeMarkers/>
            <Threads/>
            {stage}
        </div>
    }
    .into_any()
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Example => "example",
            Self::Embed => "embed",
            Self::Stage => "stage",
            Self::Beside => "beside",
        }
    }
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
    let chunk = pairs(query).find(|(key, _)| *key == "s")?.1;
    chunk.parse::<u32>().ok().map(Target::Chunk)
}

/// Streams while there is no record, then loads it. Runs in the browser only, as all effects do.
fn follow_until_recorded(
    id: String,
    live: RwSignal<Live>,
    record: RwSignal<Option<Arc<Record>>>,
    lens: RwSignal<Option<Lens>>,
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
                    lens.set(Some(Lens::recorded(&loaded)));
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
