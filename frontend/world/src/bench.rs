//! The bench: what is composed, one sample of each kind at a time, and the page around it.
//! In: edits. Out: the specification, the sample that it gives, and the address that holds it.

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use world::Sample;
use world::sample::Support;
use world::spec::{Content, PartSpec, PictureSpec, Spec, TurnSpec};

use crate::ask::Ask;
use crate::conversation::ConversationEditor;
use crate::film::FilmEditor;
use crate::mixed::MixedEditor;
use crate::picture::PicturesEditor;
use crate::said::SaidEditor;
use crate::starters::starters;
use crate::track::EventsEditor;

/// Names of the tabs, in the order of [`starters`].
const TABS: [(&str, &str); 6] = [
    ("Pictures", "Place shapes on pictures"),
    ("Sounds", "Arrange sounds on a track"),
    ("Speech", "Arrange spoken sentences on a track"),
    ("Film", "Cut a short clip"),
    ("Conversation", "Write a conversation with a picture"),
    ("All three", "A text, a picture and a sound"),
];

/// How long nothing may change before the whole sample is made: sounds and films take a moment.
const REST_MILLIS: u64 = 160;

/// What every part of the page shares.
#[derive(Clone, Copy)]
pub struct Bench {
    /// What is composed.
    pub spec: RwSignal<Spec>,
    /// The sample that it gives, or the sentence that says what is still wrong; none before the first.
    pub made: RwSignal<Option<Result<Arc<Sample>, String>>>,
    /// What the sentence rests on that is pointed at.
    pub pointed: RwSignal<Option<Support>>,
    /// Whether words can be spoken yet.
    pub words: RwSignal<bool>,
    edits: StoredValue<u64>,
}

/// Where in a specification a picture or a track stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// The question's own: the picture with this number, or the track.
    Own(usize),
    /// A part of a mixed sample.
    Part(usize),
    /// A turn of a conversation.
    Turn(usize),
}

impl Seat {
    /// The picture there.
    pub fn picture(self, content: &Content) -> Option<&PictureSpec> {
        match (self, content) {
            (Self::Own(k), Content::VisualQa { pictures, .. }) => pictures.get(k),
            (Self::Part(k), Content::Mixed { parts }) => match parts.get(k) {
                Some(PartSpec::Picture(own)) => Some(own),
                _ => None,
            },
            (Self::Turn(k), Content::Dialogue { turns }) => match turns.get(k) {
                Some(TurnSpec::Picture { picture, .. }) => Some(picture),
                _ => None,
            },
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn picture_mut(self, content: &mut Content) -> Option<&mut PictureSpec> {
        match (self, content) {
            (Self::Own(k), Content::VisualQa { pictures, .. }) => pictures.get_mut(k),
            (Self::Part(k), Content::Mixed { parts }) => match parts.get_mut(k) {
                Some(PartSpec::Picture(own)) => Some(own),
                _ => None,
            },
            (Self::Turn(k), Content::Dialogue { turns }) => match turns.get_mut(k) {
                Some(TurnSpec::Picture { picture, .. }) => Some(picture),
                _ => None,
            },
            _ => None,
        }
    }

    /// Which of the sample's pictures it is.
    pub fn number(self) -> usize {
        match self {
            Self::Own(k) => k,
            Self::Part(_) | Self::Turn(_) => 0,
        }
    }
}

impl Bench {
    fn new(spec: Spec) -> Self {
        Self {
            spec: RwSignal::new(spec),
            made: RwSignal::new(None),
            pointed: RwSignal::new(None),
            words: RwSignal::new(world::speech::can_speak()),
            edits: StoredValue::new(0),
        }
    }

    /// The bench around the caller.
    pub fn around() -> Self {
        expect_context()
    }

    /// Changes the content; a question that no longer fits gives way to one that does.
    pub fn edit(self, change: impl FnOnce(&mut Content)) {
        let mut spec = self.spec.get_untracked();
        change(&mut spec.content);
        let spec = spec.with_fitting_question();
        if self.spec.with_untracked(|own| *own != spec) {
            self.pointed.set(None);
            self.spec.set(spec);
        }
    }

    /// Makes the sample once nothing has changed for a moment, and keeps the address in step.
    fn follow(self) {
        Effect::new(move |first: Option<()>| {
            self.spec.track();
            self.words.track();
            let now = self.edits.get_value() + 1;
            self.edits.set_value(now);
            let make = move || {
                if self.edits.get_value() == now {
                    self.make();
                }
            };
            match first {
                None => make(),
                Some(()) => set_timeout(make, Duration::from_millis(REST_MILLIS)),
            }
        });
    }

    fn make(self) {
        let spec = self.spec.get_untracked();
        if needs_words(&spec) && !self.words.get_untracked() {
            return fetch_words(self.words);
        }
        let link = format!("#{}", spec.to_link());
        if let Ok(history) = window().history() {
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&link));
        }
        let made = spec.compose().map(Arc::new);
        self.made.set(Some(made.map_err(|error| error.to_string())));
    }
}

fn needs_words(spec: &Spec) -> bool {
    match &spec.content {
        Content::Speech { .. } => true,
        Content::Mixed { parts } => parts
            .iter()
            .any(|own| matches!(own, PartSpec::Speech { .. })),
        _ => false,
    }
}

/// The bank of words weighs more than all else here: it is fetched when something is to be spoken.
fn fetch_words(there: RwSignal<bool>) {
    spawn_local(async move {
        let fetched = async {
            let answer = JsFuture::from(window().fetch_with_str("/pkg/words.bank")).await?;
            let answer: web_sys::Response = answer.dyn_into()?;
            let bytes = JsFuture::from(answer.array_buffer()?).await?;
            Ok::<_, JsValue>(js_sys::Uint8Array::new(&bytes).to_vec())
        };
        if let Ok(bytes) = fetched.await {
            there.set(world::speech::lend(bytes));
        }
    });
}

/// What the address holds, else the first starter.
fn from_address(starters: &[Spec; 6]) -> (Spec, Option<String>) {
    let hash = window().location().hash().unwrap_or_default();
    let link = hash.trim_start_matches('#');
    if link.is_empty() {
        return (starters[0].clone(), None);
    }
    match Spec::from_link(link) {
        Ok(spec) => (spec, None),
        Err(error) => (starters[0].clone(), Some(error.to_string())),
    }
}

/// Which tab shows a specification.
fn tab_of(spec: &Spec) -> usize {
    match spec.content {
        Content::VisualQa { .. } => 0,
        Content::AudioQa { .. } => 1,
        Content::Speech { .. } => 2,
        Content::VideoQa { .. } => 3,
        Content::Dialogue { .. } => 4,
        Content::Mixed { .. } => 5,
    }
}

/// The whole page below its heading.
#[component]
pub fn Composer() -> impl IntoView {
    let starters = starters();
    let (spec, warning) = from_address(&starters);
    let bench = Bench::new(spec);
    provide_context(bench);
    bench.follow();
    // What was composed under another tab is still there when one comes back.
    let kept = StoredValue::new(starters);
    let tab = Memo::new(move |_| bench.spec.with(tab_of));
    let go = move |to: usize| {
        let from = tab.get_untracked();
        if from != to {
            let old = bench.spec.get_untracked();
            kept.update_value(|kept| kept[from] = old);
            bench.pointed.set(None);
            bench.made.set(None);
            bench.spec.set(kept.with_value(|kept| kept[to].clone()));
        }
    };
    let tabs = TABS.into_iter().enumerate().map(move |(k, (name, about))| {
        view! {
            <button type="button" class="button small" title=about aria-pressed=move || (tab.get() == k).to_string() on:click=move |_| go(k)>{name}</button>
        }
    });
    let editor = move || match tab.get() {
        0 => view! { <PicturesEditor/> }.into_any(),
        1 => view! { <EventsEditor seat=Seat::Own(0)/> }.into_any(),
        2 => view! { <SaidEditor seat=Seat::Own(0)/> }.into_any(),
        3 => view! { <FilmEditor/> }.into_any(),
        4 => view! { <ConversationEditor/> }.into_any(),
        _ => view! { <MixedEditor/> }.into_any(),
    };
    view! {
        {warning.map(|sentence| view! { <p class="warning" role="alert">{sentence}</p> })}
        <div class="tabs" role="group" aria-label="What to compose">{tabs.collect_view()}</div>
        <div class="bench">
            <section class="bench-make" aria-label="Compose" data-tab=move || TABS[tab.get()].0>{editor}</section>
            <Ask/>
        </div>
    }
}
