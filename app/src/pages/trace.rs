//! `/t/{id}`: live while it is made, a permalink afterwards.

use leptos::prelude::*;
use leptos_meta::{Meta, Title};
use leptos_router::hooks::use_params_map;

use crate::load::load_trace;
use crate::pages::missing::{LoadFailed, Missing};
use crate::trace::TraceView;

/// The trace page.
#[component]
pub fn TracePage() -> impl IntoView {
    let params = use_params_map();
    let id = move || params.with(|params| params.get("id").unwrap_or_default());
    let trace = Resource::new_blocking(id, load_trace);
    view! {
        <Suspense fallback=|| view! { <p class="waiting">"Loading the trace …"</p> }>
            {move || Suspend::new(async move {
                match trace.await {
                    Ok(Some(trace)) => {
                        let title = if trace.request.prompt.trim().is_empty() {
                            "A traced answer".to_owned()
                        } else {
                            trace.request.prompt.chars().take(80).collect()
                        };
                        let answer: String =
                            trace.record.as_ref().map(|r| r.response.chars().take(180).collect()).unwrap_or_default();
                        view! {
                            <Title text=title.clone()/>
                            <Meta property="og:title" content=title/>
                            <Meta property="og:description" content=answer/>
                            <TraceView trace/>
                        }
                        .into_any()
                    }
                    Ok(None) => view! { <Missing/> }.into_any(),
                    Err(_) => view! { <LoadFailed/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}
