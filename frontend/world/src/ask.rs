//! Beside what is composed: the question, what is true of it, and the button that traces it.
//! In: the specification and the sample that it gives. Out: `POST /api/world`, and on to the trace.

use app::send::{go, post_json};
use leptos::prelude::*;
use world::sample::Block;
use world::spec::{Asked, Content};

use crate::bench::Bench;

/// The panel.
#[component]
pub fn Ask() -> impl IntoView {
    let bench = Bench::around();
    let sending = RwSignal::new(false);
    let refused = RwSignal::new(None::<String>);
    let copied = RwSignal::new(false);
    // What was refused, or copied, is no longer what is shown.
    Effect::new(move |_| {
        bench.spec.track();
        refused.set(None);
        copied.set(false);
    });
    let ready = move || bench.made.with(|made| matches!(made, Some(Ok(_))));
    let trace = move |_: leptos::ev::MouseEvent| {
        let spec = bench.spec.get_untracked();
        let Ok(json) = serde_json::to_string(&spec) else {
            return;
        };
        sending.set(true);
        post_json(
            "/api/world",
            &format!("{{\"spec\":{json}}}"),
            move |answer| {
                if let Err(sentence) = answer.and_then(|text| go(&text)) {
                    sending.set(false);
                    refused.set(Some(sentence));
                }
            },
        );
    };
    let copy = move |_: leptos::ev::MouseEvent| {
        if let Ok(link) = window().location().href() {
            let _ = window().navigator().clipboard().write_text(&link);
            copied.set(true);
        }
    };
    let problem = move || {
        bench
            .made
            .with(|made| made.as_ref().and_then(|own| own.as_ref().err().cloned()))
    };
    let unseen = move || bench.spec.with(|spec| spec.unseen().collect::<Vec<_>>());
    view! {
        <aside class="bench-ask" aria-label="Ask">
            <Question/>
            {move || problem().map(|sentence| view! { <p class="warning" role="status" data-problem="">{sentence}</p> })}
            <Expected/>
            {move || {
                let unseen = unseen();
                (!unseen.is_empty()).then(|| view! {
                    <p class="soft fine">"Training never showed " {unseen.join(", ")} ": a harder question than usual."</p>
                })
            }}
            {move || refused.get().map(|sentence| view! { <p class="error" role="alert">{sentence}</p> })}
            <div class="actions">
                <button type="button" class="button primary" data-trace="" disabled=move || sending.get() || !ready() on:click=trace>
                    {move || if sending.get() { "Sending …" } else { "Trace it" }}
                </button>
                <button type="button" class="button" on:click=copy>{move || if copied.get() { "Copied" } else { "Copy link" }}</button>
            </div>
            <p class="soft fine">"The link holds the whole sample; only who opens it sends it anywhere. The trace is kept and public to who has its link."</p>
        </aside>
    }
}

/// The question and its wording, for tasks that ask one; else the instruction.
#[component]
fn Question() -> impl IntoView {
    let bench = Bench::around();
    let questions = Memo::new(move |_| bench.spec.with(|spec| spec.questions()));
    let asked = Memo::new(move |_| bench.spec.with(|spec| spec.asked()));
    let put = move |new: Asked| {
        bench.edit(|content| {
            if let Content::VisualQa { question, .. }
            | Content::AudioQa { question, .. }
            | Content::VideoQa { question, .. } = content
            {
                *question = new;
            }
        });
    };
    let at = move || {
        let asked = asked.get()?;
        questions.with(|all| {
            all.iter()
                .position(|own| (own.asked.kind, own.asked.of) == (asked.kind, asked.of))
        })
    };
    let choose = move |event: leptos::ev::Event| {
        let k: usize = event_target_value(&event).parse().unwrap_or(0);
        let found = questions.with_untracked(|all| all.get(k).map(|own| own.asked));
        if let Some(found) = found {
            put(found);
        }
    };
    let word = move |event: leptos::ev::Event| {
        let wording: usize = event_target_value(&event).parse().unwrap_or(0);
        if let Some(own) = asked.get_untracked() {
            put(Asked { wording, ..own });
        }
    };
    let all = move || {
        let own = questions.get().into_iter().enumerate();
        own.map(|(k, own)| {
            let text = own.wordings.into_iter().next().unwrap_or_default();
            view! { <option value=k.to_string() prop:selected=move || at() == Some(k)>{text}</option> }
        })
        .collect_view()
    };
    let wordings = move || {
        let own = at().and_then(|k| questions.with(|all| all.get(k).cloned()));
        let own = own.map(|own| own.wordings).unwrap_or_default();
        own.into_iter()
            .enumerate()
            .map(|(k, text)| {
                view! { <option value=k.to_string() prop:selected=move || asked.get().is_some_and(|own| own.wording == k)>{text}</option> }
            })
            .collect_view()
    };
    let prompt = move || bench.spec.with(|spec| spec.prompt());
    view! {
        <p class="instruction">{prompt}</p>
        {move || asked.get().is_some().then(|| view! {
            <label class="field"><span>"Question"</span><select data-question="" on:change=choose>{all}</select></label>
            <label class="field"><span>"Worded as"</span><select data-wording="" on:change=word>{wordings}</select></label>
        })}
    }
}

/// What is true: the sentences of a right answer. Pointing at one outlines what it rests on.
#[component]
fn Expected() -> impl IntoView {
    let bench = Bench::around();
    let made = move || bench.made.get().and_then(Result::ok);
    let options = move || {
        let sample = made()?;
        let last = sample.blocks.iter().rev().find_map(|block| match block {
            Block::Text(text) => Some(text.clone()),
            _ => None,
        })?;
        let options: Vec<String> = (last.lines())
            .filter(|line| line.starts_with(" ("))
            .map(|line| line.trim().to_owned())
            .collect();
        (!options.is_empty()).then(|| options.join("  "))
    };
    let sentences = move || {
        let answer = made()
            .map(|sample| sample.answer.clone())
            .unwrap_or_default();
        let line = |own: world::sample::Sentence| {
            let support = StoredValue::new(own.support);
            let point = move || bench.pointed.set(Some(support.get_value()));
            view! {
                <li><button type="button" class="expect"
                    on:mouseenter=move |_| point() on:focus=move |_| point()
                    on:mouseleave=move |_| bench.pointed.set(None) on:blur=move |_| bench.pointed.set(None)>
                    {own.sentence}
                </button></li>
            }
        };
        answer.into_iter().map(line).collect_view()
    };
    view! {
        {move || options().map(|own| view! { <p class="choices">{own}</p> })}
        <h2 class="eyebrow">"What is true"</h2>
        <p class="soft fine">"The right answer; the model does not see it. Point at a sentence: what it rests on is outlined."</p>
        <ol class="expected">{sentences}</ol>
    }
}
