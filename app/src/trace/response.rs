//! The answer: sentences with badges, what is still being written, and what can be done with it.

use std::sync::Arc;

use attribution::record::Record;
use leptos::prelude::*;

use super::chunk::ChunkView;
use super::desk::Desk;
use super::method::MethodPanel;
use super::progress::Progress;
use super::prove::Prove;
use super::receipt::ReceiptView;
use super::share::Share;
use super::view::Setting;
use crate::lens::Lens;
use crate::live::Live;

// As a string: with scripting on, a browser parses the inside of <noscript> as text, and hydration would not find it.
const NO_SCRIPT: &str = "<p class=\"soft\">Each mark leads to its source. With JavaScript, pointing at a sentence lights \
                         its sources up and an answer that is still being written appears by itself; without, reload \
                         the page.</p>";

/// The right-hand side.
#[component]
pub fn Response(
    /// The trace's id.
    id: String,
    /// Model name as asked for.
    model: String,
    /// Once there.
    record: RwSignal<Option<Arc<Record>>>,
    /// How it is looked at.
    lens: RwSignal<Option<Lens>>,
    /// Until then.
    live: RwSignal<Live>,
    /// Where the trace stands.
    setting: Setting,
) -> impl IntoView {
    let desk = Desk::around();
    let count = Memo::new(move |_| desk.shown.with(|shown| shown.chunks.len() as u32));
    let tail = Memo::new(move |_| desk.shown.with(|shown| shown.tail().to_owned()));
    let writing = Memo::new(move |_| {
        record.with(Option::is_none)
            && live.with(|live| !matches!(live.state, crate::live::LiveState::Failed(_)))
    });
    let empty =
        move || record.with(Option::is_some) && count.get() == 0 && tail.with(String::is_empty);
    let page = setting == Setting::Page;
    let tools = matches!(setting, Setting::Page | Setting::Example | Setting::Beside);
    let (proved, shared) = (id.clone(), id.clone());
    view! {
            <section class="answer" aria-label="Answer">
                <div class="answer-head">
                    <h2 class="eyebrow">"Answer"</h2>
                    <span class="chip">{model}</span>
                </div>
                {move || record.with(Option::is_none).then(|| view! { <Progress id=id.clone() live/> })}
                <div class="body" aria-busy=move || writing.get().to_string()>
                    <For each=move || 0..count.get() key=|chunk| *chunk children=|chunk| view! { <ChunkView chunk/> }/>
                    {move || (!tail.with(String::is_empty)).then(|| view! { <span class="tail">{tail.get()}</span> })}
                    {move || writing.get().then(|| view! { <span class="caret" aria-hidden="true"></span> })}
                    {move || empty().then(|| view! { <span class="soft">"The answer is empty."</span> })}
                </div>
            <noscript inner_html=NO_SCRIPT></noscript>
            {move || record.get().filter(|_| page).map(|record| view! { <Prove id=proved.clone() record lens/> })}
            {move || record.get().filter(|_| tools).map(|record| view! { <MethodPanel record lens/> })}
            {page.then(|| view! { <Share id=shared record lens/> })}
            {move || record.get().filter(|_| page).map(|record| view! { <ReceiptView record/> })}
        </section>
    }
    .into_any()
}
