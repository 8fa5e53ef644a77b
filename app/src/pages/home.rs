//! `/`: one sentence, one example to hover, the gallery.

use leptos::prelude::*;

use crate::media::media_url;
use leptos_meta::{Meta, Title};
use leptos_router::components::A;

use crate::alive::Alive;
use crate::data::{GalleryCard, lent};
use crate::pages::missing::LoadFailed;
use crate::trace::{Setting, TraceView, Waveform};

/// Tasks in page order: world name, heading, what is asked of the model.
const TASKS: [(&str, &str, &str); 6] = [
    (
        "visual-qa",
        "Questions about pictures",
        "Which picture, and where in it?",
    ),
    (
        "dialogue",
        "Conversations with pictures",
        "Who said or showed it?",
    ),
    ("audio-qa", "Questions about sounds", "When was it heard?"),
    ("speech", "Speech, summed up", "When was it said?"),
    (
        "video-qa",
        "Questions about films",
        "When was it seen, and where?",
    ),
    (
        "mixed",
        "Everything at once",
        "Words, a picture and a sound in one prompt.",
    ),
];

const SENTENCE: &str = "Watch a model look, listen and read, then see which words, which corner of a picture and which \
                        seconds each of its sentences came from.";

/// The start page.
#[component]
pub fn Home() -> impl IntoView {
    let Some(lent) = lent() else {
        return view! { <LoadFailed/> }.into_any();
    };
    let gallery = lent.gallery();
    let example = gallery
        .iter()
        .filter(|card| !card.first_sentence.is_empty())
        .find_map(|card| lent.trace(&card.id).filter(|trace| trace.record.is_some()));
    view! {
        <Title text=""/>
        <Meta name="description" content=SENTENCE/>
        <Meta property="og:title" content="OmniTrace"/>
        <Meta property="og:description" content=SENTENCE/>
        <Meta property="og:image" content=format!("{}/og.png", crate::site::origin())/>
        <section class="hero">
            <h1>"Every sentence, traced to its sources."</h1>
            <p class="lead">{SENTENCE}</p>
            <p class="actions">
                <A href="/new" attr:class="button primary">"Trace your own"</A>
                <A href="/world" attr:class="button">"Draw and play one"</A>
                <a href="#gallery" class="button">"Examples"</a>
            </p>
        </section>
        <Shelves gallery example/>
    }
    .into_any()
}

#[component]
fn Shelves(gallery: Vec<GalleryCard>, example: Option<crate::data::TraceView>) -> impl IntoView {
    let known = |task: &str| TASKS.iter().any(|(name, ..)| *name == task);
    let others: Vec<GalleryCard> = gallery
        .iter()
        .filter(|card| !known(&card.task))
        .cloned()
        .collect();
    let shelves = TASKS.map(|(task, heading, asks)| {
        let cards: Vec<GalleryCard> = gallery
            .iter()
            .filter(|card| card.task == task)
            .cloned()
            .collect();
        view! { <Shelf task heading asks cards/> }
    });
    view! {
        {example.map(|trace| {
            let link = format!("/t/{}", trace.id);
            view! {
                <section class="example" aria-label="A traced example">
                    <p class="eyebrow">
                        "Try it: hover, tap or tab to a sentence" <span class="grow"></span> <A href=link>"Open this trace"</A>
                    </p>
                    <Alive part="example" data=trace.clone()>
                        <TraceView trace query=String::new() setting=Setting::Example/>
                    </Alive>
                </section>
            }
        })}
        <section id="gallery" class="gallery">
            <h2>"Examples"</h2>
            <p class="soft">"All of them were really generated, on a CPU, by the small model that comes with OmniTrace."</p>
            {shelves.into_iter().collect_view()}
            {(!others.is_empty()).then(|| view! { <div class="cards">{others.into_iter().map(|card| view! { <Card card/> }).collect_view()}</div> })}
        </section>
    }
    .into_any()
}

#[component]
fn Shelf(
    task: &'static str,
    heading: &'static str,
    asks: &'static str,
    cards: Vec<GalleryCard>,
) -> impl IntoView {
    view! {
        <section class="shelf" data-task=task>
            <div class="shelf-head">
                <h3>{heading}</h3>
                <p>{asks}</p>
                <form method="post" action=format!("/api/examples/{task}") data-posts="Making one …">
                    <button type="submit" class="button small" data-surprise="">
                        <span>"Surprise me"</span>
                        <span class="sr">{format!(" with a new example: {heading}")}</span>
                    </button>
                </form>
            </div>
            <div class="cards">{cards.into_iter().map(|card| view! { <Card card/> }).collect_view()}</div>
        </section>
    }
    .into_any()
}

#[component]
fn Card(card: GalleryCard) -> impl IntoView {
    let GalleryCard {
        id,
        question,
        first_sentence,
        thumbnail,
        peaks,
        ..
    } = card;
    let picture = match thumbnail {
        Some(hash) => view! { <img src=media_url(&hash) alt="" loading="lazy"/> }.into_any(),
        None if !peaks.is_empty() => {
            view! { <div class="cover" data-modality="audio"><Waveform peaks bars=64/></div> }
                .into_any()
        }
        None => {
            view! { <div class="cover words" data-modality="text" aria-hidden="true">"“ ”"</div> }
                .into_any()
        }
    };
    let answer = if first_sentence.is_empty() {
        view! { <p class="soft">"Being written …"</p> }.into_any()
    } else {
        view! { <p class="first">{first_sentence}</p> }.into_any()
    };
    view! {
        <A href=format!("/t/{id}") attr:class="example-card">
            {picture}
            <div class="say"><p class="ask">{question}</p>{answer}</div>
        </A>
    }
    .into_any()
}
