//! One way to POST from the browser, with upload progress.
//! In: an address and a body. Out: callbacks with the share sent, then the answer or a sentence.

use leptos::prelude::*;
use serde::Deserialize;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

/// What the server says on 202.
#[derive(Debug, Clone, Deserialize)]
pub struct Accepted {
    /// The page of the new trace.
    pub url: String,
    /// Its id.
    pub id: String,
    /// Where it can be deleted, by who holds this link.
    #[serde(default)]
    pub delete: String,
}

/// Under which name the browser keeps a trace's delete link.
pub fn delete_name(id: &str) -> String {
    format!("omnitrace-delete-{id}")
}

#[derive(Deserialize)]
struct Refused {
    message: String,
}

const UNREACHABLE: &str =
    "The server could not be reached. Nothing you entered is lost: try again in a moment.";

/// For an answer that is not what it should be.
pub const UNREADABLE: &str =
    "The server's answer could not be read. Reload the page and try again.";

/// Gets a text and calls back once. Browser only.
pub fn get(url: &str, on_answer: impl FnOnce(Result<String, String>) + 'static) {
    send("GET", url, None, |_| {}, on_answer);
}

/// Posts `form` (or nothing) and calls back once. Browser only.
pub fn post(
    url: &str,
    form: Option<web_sys::FormData>,
    on_share: impl Fn(f64) + 'static,
    on_answer: impl FnOnce(Result<String, String>) + 'static,
) {
    send("POST", url, form.map(Body::Form), on_share, on_answer);
}

/// Posts JSON and calls back once. Browser only.
pub fn post_json(url: &str, json: &str, on_answer: impl FnOnce(Result<String, String>) + 'static) {
    send(
        "POST",
        url,
        Some(Body::Json(json.to_owned())),
        |_| {},
        on_answer,
    );
}

/// What is sent.
enum Body {
    Form(web_sys::FormData),
    Json(String),
}

fn send(
    verb: &str,
    url: &str,
    body: Option<Body>,
    on_share: impl Fn(f64) + 'static,
    on_answer: impl FnOnce(Result<String, String>) + 'static,
) {
    let Ok(request) = web_sys::XmlHttpRequest::new() else {
        return on_answer(Err(UNREACHABLE.to_owned()));
    };
    let opened = request.open(verb, url);
    if let (true, Ok(upload)) = (matches!(body, Some(Body::Form(_))), request.upload()) {
        let progress =
            Closure::<dyn Fn(web_sys::ProgressEvent)>::new(move |event: web_sys::ProgressEvent| {
                if event.length_computable() && event.total() > 0.0 {
                    on_share(event.loaded() / event.total());
                }
            });
        upload.set_onprogress(Some(progress.as_ref().unchecked_ref()));
        // One small closure per request, freed with the page.
        progress.forget();
    }
    // `loadend` comes after success, failure and abort alike, exactly once.
    let answered = request.clone();
    let done = Closure::once_into_js(move || {
        let text = answered.response_text().ok().flatten().unwrap_or_default();
        on_answer(match answered.status().unwrap_or(0) {
            200..=299 => Ok(text),
            0 => Err(UNREACHABLE.to_owned()),
            status => Err(serde_json::from_str::<Refused>(&text).map_or_else(
                |_| format!("The server answered with status {status}. Nothing you entered is lost: try again in a moment."),
                |refused| refused.message,
            )),
        });
    });
    request.set_onloadend(Some(done.unchecked_ref()));
    let sent = opened.and_then(|()| match &body {
        Some(Body::Form(form)) => request.send_with_opt_form_data(Some(form)),
        Some(Body::Json(json)) => {
            request.set_request_header("Content-Type", "application/json")?;
            request.send_with_opt_str(Some(json))
        }
        None => request.send(),
    });
    if sent.is_err() {
        leptos::logging::warn!("the request could not be sent");
    }
}

/// Posts and goes to the trace that was accepted; a refusal is put into `error`.
pub fn post_and_go(
    url: &str,
    form: Option<web_sys::FormData>,
    share: WriteSignal<Option<f64>>,
    error: WriteSignal<Option<String>>,
) {
    error.set(None);
    share.set(Some(0.0));
    post(
        url,
        form,
        move |part| share.set(Some(part)),
        move |answer| {
            if let Err(sentence) = answer.and_then(|text| go(&text)) {
                share.set(None);
                error.set(Some(sentence));
            }
        },
    );
}

/// Keeps the delete link of the trace that was accepted, and goes there.
pub fn go(answer: &str) -> Result<(), String> {
    let accepted: Accepted = serde_json::from_str(answer).map_err(|_| UNREADABLE.to_owned())?;
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(&delete_name(&accepted.id), &accepted.delete);
    }
    let _ = window().location().set_href(&accepted.url);
    Ok(())
}
