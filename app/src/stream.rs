//! The event stream of a live trace in the browser.
//! In: a trace id. Out: the [`Live`] signal moves on; the stream closes with its page, on `Done` and on `Failed`.

use attribution::event::TraceEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{EventSource, MessageEvent};

use crate::live::{Live, LiveState};

const LOST: &str =
    "The connection was lost and the trace cannot be followed. Reload the page: nothing is lost.";

/// Follows `id` from its first event; the browser reconnects by itself with the last id it saw.
pub fn follow(id: &str, live: RwSignal<Live>) {
    let Ok(source) = EventSource::new(&format!("/api/traces/{id}/events")) else {
        live.update(|live| live.state = LiveState::Failed(LOST.to_owned()));
        return;
    };
    let stream = source.clone();
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
        let Some(text) = message.data().as_string() else {
            return;
        };
        let Ok(event) = serde_json::from_str::<TraceEvent>(&text) else {
            leptos::logging::warn!("an event that this page does not know");
            return;
        };
        let last = matches!(event, TraceEvent::Done | TraceEvent::Failed { .. });
        // A server that sends no ids still counts.
        let number = message.last_event_id().parse::<u64>();
        live.update(|live| match number {
            Ok(number) => live.apply(number, event),
            Err(_) => live.apply_next(event),
        });
        if last {
            stream.close();
        }
    });
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    let broken = source.clone();
    let on_error = Closure::<dyn Fn()>::new(move || {
        if broken.ready_state() == EventSource::CLOSED {
            live.update(|live| {
                if !matches!(live.state, LiveState::Done | LiveState::Failed(_)) {
                    live.state = LiveState::Failed(LOST.to_owned());
                }
            });
        }
    });
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    let held = StoredValue::new_local((source, on_message, on_error));
    on_cleanup(move || held.with_value(|(source, ..)| source.close()));
}
