//! What can be taken along, and the address that holds what is seen.
//! In: the focus and the lens. Out: the query `?s=3&signal=attraw`, and a panel with links, codes and files.

use std::sync::Arc;

use attribution::record::Record;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::desk::Desk;
use crate::lens::Lens;
use crate::send::post_json;

/// The query that stands for what is seen: `?s=3&signal=attraw`; empty where nothing differs from the record.
pub fn view_query(desk: Desk, record: Option<&Record>, lens: Option<&Lens>) -> String {
    let mut parts = Vec::new();
    if let Some(chunk) = desk.focus.with(|focus| focus.pinned_chunk()) {
        parts.push(format!("s={chunk}"));
    }
    if let (Some(record), Some(lens)) = (record, lens) {
        parts.push(lens.query(&Lens::recorded(record)));
    }
    if desk.tokens.get() {
        parts.push("tokens=1".to_owned());
    }
    if !desk.threads.get() {
        parts.push("threads=0".to_owned());
    }
    if let Some(zoom) = desk.zoom.get() {
        parts.push(format!("zoom={zoom}"));
    }
    parts.retain(|part| !part.is_empty());
    let query = parts.join("&");
    if query.is_empty() {
        query
    } else {
        format!("?{query}")
    }
}

/// Keeps what is seen in the address. The first run changes nothing: the URL made the state.
pub fn keep_url(desk: Desk, record: RwSignal<Option<Arc<Record>>>, lens: RwSignal<Option<Lens>>) {
    let query = Memo::new(move |_| {
        record.with(|record| lens.with(|lens| view_query(desk, record.as_deref(), lens.as_ref())))
    });
    Effect::new(move |before: Option<()>| {
        let query = query.get();
        if before.is_none() {
            return;
        }
        let path = window().location().pathname().unwrap_or_default();
        if let Ok(history) = window().history() {
            let _ =
                history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("{path}{query}")));
        }
    });
}

/// Everything that can be taken along: the link with the view in it, a short one with a QR code, an embed, files.
#[component]
pub fn Share(
    /// The trace's id.
    id: String,
    /// Once there.
    record: RwSignal<Option<Arc<Record>>>,
    /// How it is looked at.
    lens: RwSignal<Option<Lens>>,
) -> impl IntoView {
    let desk = Desk::around();
    let id = StoredValue::new(id);
    let query = Memo::new(move |_| {
        record.with(|record| lens.with(|lens| view_query(desk, record.as_deref(), lens.as_ref())))
    });
    let at = move |rest: &str| id.with_value(|id| format!("/t/{id}{rest}{}", query.get()));
    let link = Signal::derive(move || format!("{}{}", origin(), at("")));
    let embed = Signal::derive(move || {
        format!(
            "<iframe src=\"{}{}\" width=\"100%\" height=\"560\" style=\"border:0\" loading=\"lazy\" title=\"A traced answer\"></iframe>",
            origin(),
            at("/embed")
        )
    });
    let bibtex = Signal::derive(move || {
        record.with(|record| {
            let link = format!("{}/t/{}", origin(), id.get_value());
            record
                .as_ref()
                .map(|record| bibtex(record, &id.get_value(), &link))
                .unwrap_or_default()
        })
    });
    let finished = move || record.with(Option::is_some);
    view! {
        <div class="share panel">
            <CopyLink link/>
            <a class="button small" href=move || at("/present") rel="external">"Present"</a>
            <a class="button small" href=move || id.with_value(|id| format!("/compare/{id}/{id}")) rel="external">"Compare signals"</a>
            <details class="more">
                <summary class="button small">"Share"</summary>
                <div class="sheet">
                    <p class="public">
                        "Everyone who has the link sees the question, its files and the answer, until someone with the delete link or \
                         the operator removes them. Nothing is listed or indexed, and no visitor is counted."
                    </p>
                    <ShortLink id query/>
                    <Copied label="Embed" text=embed/>
                    {move || finished().then(|| view! { <Copied label="BibTeX" text=bibtex/> })}
                    <p class="files">
                        <a href=move || at("/figure.svg") download="" rel="external">"Figure (SVG)"</a>
                        <a href=move || at("/figure.png") download="" rel="external">"Figure (PNG)"</a>
                        <a href=move || at("/page.html") download="" rel="external">"One HTML file"</a>
                        <a href=move || id.with_value(|id| format!("/api/traces/{id}")) rel="external">"JSON"</a>
                        <DeleteLink id/>
                    </p>
                </div>
            </details>
        </div>
    }
    .into_any()
}

/// Where this page is served; nothing on the server, which does not know under which names it is reached.
fn origin() -> String {
    if cfg!(feature = "ssr") {
        return String::new();
    }
    window().location().origin().unwrap_or_default()
}

/// For a bibliography.
fn bibtex(record: &Record, id: &str, link: &str) -> String {
    // Mean Gregorian years are exact enough for all but the first hours of one.
    let year = 1970 + record.receipt.created_unix_secs / 31_556_952;
    let model = record.receipt.model.replace(['{', '}', '\\'], "");
    format!(
        "@misc{{omnitrace-{id},\n  title = {{A traced answer of {model}}},\n  howpublished = {{OmniTrace}},\n  year = {{{year}}},\n  url = {{{link}}}\n}}"
    )
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Short {
    url: String,
}

/// A short link to exactly this view, made on request, with its QR code.
#[component]
fn ShortLink(id: StoredValue<String>, query: Memo<String>) -> impl IntoView {
    let short = RwSignal::new(None::<Result<Short, String>>);
    Effect::new(move |_| {
        query.track();
        short.set(None);
    });
    let make = move |_| {
        let json = format!("{{\"view\":\"{}\"}}", query.get_untracked());
        post_json(
            &format!("/api/traces/{}/share", id.get_value()),
            &json,
            move |answer| {
                let read = answer.and_then(|text| {
                    serde_json::from_str(&text)
                        .map_err(|_| "The server's answer could not be read.".to_owned())
                });
                let _ = short.try_set(Some(read));
            },
        );
    };
    move || {
        match short.get() {
        None => view! { <button type="button" class="button small needs-js" data-short="" on:click=make>"Short link and QR code"</button> }.into_any(),
        Some(Err(sentence)) => view! { <p class="error" role="alert">{sentence}</p> }.into_any(),
        Some(Ok(short)) => {
            let full = format!("{}{}", origin(), short.url);
            let text = full.clone();
            view! {
                <div class="short">
                    <img src=format!("{}/qr.svg", short.url) alt="QR code of the short link" width="132" height="132"/>
                    <Copied label="Short link" text=Signal::derive(move || text.clone())/>
                </div>
            }
            .into_any()
        }
    }
    }
}

/// Only for who sent the trace: the browser kept the key.
#[component]
fn DeleteLink(id: StoredValue<String>) -> impl IntoView {
    let link = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        let storage = window().local_storage().ok().flatten();
        let key = storage.and_then(|storage| {
            storage
                .get_item(&crate::send::delete_name(&id.get_value()))
                .ok()?
        });
        link.set(key);
    });
    move || {
        link.get().map(
            |href| view! { <a href=href rel="external" class="delete">"Delete this trace"</a> },
        )
    }
}

/// A text with a button that copies it.
#[component]
fn Copied(label: &'static str, text: Signal<String>) -> impl IntoView {
    let rows = if label == "BibTeX" { "6" } else { "2" };
    view! {
        <label class="copied">
            <span>{label}</span>
            <textarea readonly rows=rows prop:value=move || text.get()></textarea>
            <CopyButton text words="Copy"/>
        </label>
    }
    .into_any()
}

/// What became of the last press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Press {
    No,
    Yes,
    /// No clipboard (a page without https has none), or the visitor said no.
    Refused,
}

/// "Copy link": to the pinned sentence where there is one.
#[component]
fn CopyLink(link: Signal<String>) -> impl IntoView {
    let desk = Desk::around();
    let words = Signal::derive(
        move || match desk.focus.with(|focus| focus.pinned_chunk()) {
            Some(chunk) => format!("Copy link to sentence {}", chunk + 1),
            None => "Copy link".to_owned(),
        },
    );
    view! { <CopyButton text=link words/> }
}

#[component]
fn CopyButton(text: Signal<String>, #[prop(into)] words: Signal<String>) -> impl IntoView {
    let pressed = RwSignal::new(Press::No);
    let copy = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        let clipboard = window().navigator().clipboard();
        if AsRef::<JsValue>::as_ref(&clipboard).is_undefined() {
            pressed.set(Press::Refused);
            return;
        }
        let text = text.get_untracked();
        spawn_local(async move {
            let done = JsFuture::from(clipboard.write_text(&text)).await;
            let _ = pressed.try_set(if done.is_ok() {
                Press::Yes
            } else {
                Press::Refused
            });
            let again = move || {
                let _ = pressed.try_set(Press::No);
            };
            set_timeout(again, std::time::Duration::from_secs(3));
        });
    };
    let said = move || match pressed.get() {
        Press::Yes => "Copied".to_owned(),
        Press::Refused => "Select it and copy by hand".to_owned(),
        Press::No => words.get(),
    };
    view! { <button type="button" class="button small needs-js" on:click=copy><span aria-live="polite">{said}</span></button> }
        .into_any()
}

#[cfg(test)]
mod tests {
    use super::bibtex;

    #[test]
    fn a_bibliography_entry_has_year_and_link() {
        let mut record = crate::shown::tests::record();
        record.receipt.created_unix_secs = 1_780_000_000;
        record.receipt.model = "ti{ny".to_owned();
        let entry = bibtex(&record, "abc", "https://x.example/t/abc");
        assert!(entry.starts_with("@misc{omnitrace-abc,"), "{entry}");
        assert!(
            entry.contains("answer of tiny}") && entry.contains("year = {2026}"),
            "{entry}"
        );
        assert!(entry.contains("url = {https://x.example/t/abc}"), "{entry}");
    }
}
