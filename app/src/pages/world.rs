//! `/world`: compose a sample of the small model's world. The composer itself is a wasm module of its own.

use leptos::prelude::*;
use leptos_meta::{Stylesheet, Title};

use crate::alive::Alive;
use crate::data::lent;

const LEAD: &str = "Place shapes, arrange sounds and spoken words, cut a short clip, write a conversation; then ask. Because you built it, the page knows what \
                    every sentence should rest on, and shows the truth beside the trace.";

/// The page around the composer, and what stands there without JavaScript.
#[component]
pub fn World() -> impl IntoView {
    let examples = lent().map(|lent| lent.gallery()).unwrap_or_default();
    let examples = examples.into_iter().map(|card| {
        view! { <li><a href=format!("/t/{}", card.id)>{card.question}</a></li> }
    });
    view! {
        <Title text="Compose a sample"/>
        <Stylesheet href="/pkg/world.css"/>
        <section class="world">
            <h1>"Build it, ask it, check it."</h1>
            <p class="lead">{LEAD}</p>
            <noscript>
                <p class="warning">
                    "Composing needs JavaScript: pictures, sounds and films are rendered in your browser while you change them. \
                     The examples below come from the same world, and each shows its truth beside its trace."
                </p>
                <ul>{examples.collect_view()}</ul>
            </noscript>
            <Alive part="world" data=()>
                <p class="world-wait needs-js" role="status">"Bringing shapes and sounds …"</p>
            </Alive>
        </section>
    }
    .into_any()
}
