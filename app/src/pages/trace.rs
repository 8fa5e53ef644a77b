//! `/t/{id}`: live while it is made, a permalink afterwards; and the same embedded, on a stage, beside another, or deleted.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::hooks::{use_params_map, use_url};

use crate::alive::Alive;
use crate::beside::Beside;
use crate::compare::{Compare, CompareView};
use crate::data::{TraceView as Trace, lent};
use crate::pages::missing::Missing;
use crate::site::origin;
use crate::trace::{Setting, TraceView};

/// The trace page.
#[component]
pub fn TracePage() -> impl IntoView {
    let id = use_params_map().with_untracked(|params| params.get("id").unwrap_or_default());
    let minutes = lent().and_then(|lent| lent.policy().unshared_minutes);
    let kept = minutes.map(|minutes| {
        format!("A trace that nobody shares is deleted {minutes} min after its end. ")
    });
    let report = trace_of("id").map(|trace| {
        // The shipped examples stay, and are nobody's.
        let kept = kept.filter(|_| !trace.id.contains('-'));
        view! { <p class="report">{kept}<a href=format!("/t/{id}/report") rel="nofollow">"Report this trace"</a></p> }
    });
    view! {
        {shown("trace", Setting::Page)}
        {report}
    }
    .into_any()
}

/// For an iframe.
#[component]
pub fn EmbedPage() -> impl IntoView {
    view! { <main id="main" class="bare">{shown("embed", Setting::Embed)}</main> }.into_any()
}

/// For a projector.
#[component]
pub fn StagePage() -> impl IntoView {
    view! { <main id="main" class="bare on-stage">{shown("stage", Setting::Stage)}</main> }
        .into_any()
}

fn trace_of(parameter: &str) -> Option<Trace> {
    let id = use_params_map().with_untracked(|params| params.get(parameter))?;
    lent()?.trace(&id)
}

fn query() -> String {
    use_url().with_untracked(|url| url.search().to_owned())
}

fn shown(part: &'static str, setting: Setting) -> AnyView {
    let Some(trace) = trace_of("id") else {
        return view! { <Missing/> }.into_any();
    };
    let title = title_of(&trace);
    let answer: String = trace
        .record
        .as_ref()
        .map(|record| record.response.chars().take(180).collect())
        .unwrap_or_default();
    let query = query();
    let and_query = if query.is_empty() {
        String::new()
    } else {
        format!("?{}", query.trim_start_matches('?'))
    };
    let below = (setting == Setting::Page).then(|| {
        let (id, finished) = (trace.id.clone(), trace.record.is_some());
        view! { <Beside id finished/> }
    });
    let card = match trace.record {
        Some(_) => format!("{}/t/{}/card.png{and_query}", origin(), trace.id),
        None => format!("{}/og.png", origin()),
    };
    view! {
        <Title text=title.clone()/>
        <Meta property="og:title" content=title/>
        <Meta property="og:description" content=answer/>
        <Meta property="og:image" content=card/>
        <Meta property="og:image:width" content="1200"/>
        <Meta property="og:image:height" content="630"/>
        // Unlisted: found by who has the link.
        <Meta name="robots" content="noindex"/>
        <Alive part data=trace.clone()>
            <TraceView trace query setting/>
        </Alive>
        {below}
    }
    .into_any()
}

fn title_of(trace: &Trace) -> String {
    match trace.request.prompt.trim() {
        "" => "A traced answer".to_owned(),
        prompt => prompt.chars().take(80).collect(),
    }
}

/// Two traces, or two signals of one.
#[component]
pub fn ComparePage() -> impl IntoView {
    let (Some(left), Some(right)) = (trace_of("left"), trace_of("right")) else {
        return view! { <Missing/> }.into_any();
    };
    let both = CompareView { left, right };
    let query = query();
    view! {
        <Title text=format!("Compare: {}", title_of(&both.left))/>
        <Meta name="robots" content="noindex"/>
        <Alive part="compare" data=both.clone()>
            <Compare both query/>
        </Alive>
    }
    .into_any()
}

/// Asks once more before a trace is deleted; works without JavaScript.
#[component]
pub fn DeletePage() -> impl IntoView {
    let Some(trace) = trace_of("id") else {
        return view! { <Missing/> }.into_any();
    };
    let key = use_url().with_untracked(|url| url.search_params().get("key").unwrap_or_default());
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
    view! {
        <Title text="Delete a trace"/>
        <Meta name="robots" content="noindex"/>
        <section class="prose narrow">
            <p class="eyebrow">"Delete"</p>
            <h1>"Delete this trace for good?"</h1>
            <p>"“" {title_of(&trace)} "”: the question, its files, the answer and every link to it. Nobody can bring it back."</p>
            <form method="post" action=format!("/api/traces/{}/delete?key={key}", trace.id)>
                <p class="actions">
                    <button type="submit" class="button primary">"Delete it"</button>
                    <a class="button" href=format!("/t/{}", trace.id)>"Keep it"</a>
                </p>
            </form>
        </section>
    }
    .into_any()
}
