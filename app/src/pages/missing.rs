//! The page for an address that leads nowhere.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::components::A;

use crate::site::set_status;

/// 404, with ways on.
#[component]
pub fn Missing() -> impl IntoView {
    set_status(404);
    view! {
        <Title text="Not found"/>
        <section class="prose narrow">
            <p class="eyebrow">"404"</p>
            <h1>"No source found for this address."</h1>
            <p>
                "The link may be cut off, or the trace was deleted. Check the address, "
                <A href="/">"look at the examples"</A> ", or " <A href="/new">"trace something of your own"</A> "."
            </p>
        </section>
    }
}

/// A load that failed: a sentence and a way to try again.
#[component]
pub fn LoadFailed() -> impl IntoView {
    set_status(500);
    view! {
        <section class="prose narrow" role="alert">
            <h1>"This page could not be loaded."</h1>
            <p>"The server did not answer as expected. Reload the page; if it stays like this, try again in a few minutes."</p>
        </section>
    }
}
