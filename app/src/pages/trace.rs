//! `/t/{id}`: live while it is made, a permalink afterwards.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::hooks::{use_params_map, use_url};

use crate::alive::Alive;
use crate::data::lent;
use crate::pages::missing::Missing;
use crate::trace::TraceView;

/// The trace page.
#[component]
pub fn TracePage() -> impl IntoView {
    let id = use_params_map().with_untracked(|params| params.get("id").unwrap_or_default());
    let Some(trace) = lent().and_then(|data| data.trace(&id)) else {
        return view! { <Missing/> }.into_any();
    };
    let title: String = match trace.request.prompt.trim() {
        "" => "A traced answer".to_owned(),
        prompt => prompt.chars().take(80).collect(),
    };
    let answer: String = trace
        .record
        .as_ref()
        .map(|record| record.response.chars().take(180).collect())
        .unwrap_or_default();
    let query = use_url().with_untracked(|url| url.search().to_owned());
    view! {
        <Title text=title.clone()/>
        <Meta property="og:title" content=title/>
        <Meta property="og:description" content=answer/>
        <Alive part="trace" data=trace.clone()>
            <TraceView trace query/>
        </Alive>
    }
    .into_any()
}
