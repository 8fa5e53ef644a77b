//! `/t/{id}/report`: tells whoever runs the server that a trace should not be here; works without JavaScript.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::hooks::{use_params_map, use_url};

use super::Missing;
use crate::data::lent;

/// `/t/{id}/report`.
#[component]
pub fn ReportPage() -> impl IntoView {
    let id = use_params_map().with_untracked(|params| params.get("id").unwrap_or_default());
    let Some(trace) = lent().and_then(|lent| lent.trace(&id)) else {
        return view! { <Missing/> }.into_any();
    };
    let sent = use_url().with_untracked(|url| url.search_params().get("sent").is_some());
    let back = format!("/t/{}", trace.id);
    let body = if sent {
        view! {
            <h1>"Thank you"</h1>
            <p>"Whoever runs this server has been told, and decides what becomes of the trace."</p>
            <p class="actions"><a class="button" href=back>"Back to the trace"</a></p>
        }
        .into_any()
    } else {
        view! {
            <h1>"What is wrong with this trace?"</h1>
            <p>"Tell whoever runs this server why it should not be here. Nothing but your words and the trace's id is kept."</p>
            <form method="post" action=format!("/api/traces/{}/report", trace.id)>
                <p><label for="reason">"What is wrong"</label></p>
                <p><textarea id="reason" name="reason" rows="5" maxlength="2000" required></textarea></p>
                <p class="actions">
                    <button type="submit" class="button primary">"Report it"</button>
                    <a class="button" href=back>"Back to the trace"</a>
                </p>
            </form>
        }
        .into_any()
    };
    view! {
        <Title text="Report a trace"/>
        <Meta name="robots" content="noindex"/>
        <section class="prose narrow">
            <p class="eyebrow">"Report"</p>
            {body}
        </section>
    }
    .into_any()
}
