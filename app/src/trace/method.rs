//! The method panel: signal, unit score, sizes, and every parameter and switch of the curation. A change re-curates here,
//! with the server's code.

use std::sync::Arc;

use attribution::curation::Competition;
use attribution::record::{Record, SignalKind, UnitScore};
use attribution::resize::Size;
use leptos::prelude::*;

use super::desk::Desk;
use crate::lens::{Lens, PARAMETERS, PARTS};

/// The switch of signals, the heat map's opacity, and the rest folded away.
#[component]
pub fn MethodPanel(
    /// The record.
    record: Arc<Record>,
    /// How it is looked at.
    lens: RwSignal<Option<Lens>>,
) -> impl IntoView {
    let desk = Desk::around();
    let recorded = StoredValue::new(Lens::recorded(&record));
    let changed = Memo::new(move |_| {
        lens.with(|lens| {
            lens.as_ref()
                .is_some_and(|lens| recorded.with_value(|r| lens != r))
        })
    });
    let has_heat = move || {
        desk.shown
            .with(|shown| shown.heat.iter().any(|maps| !maps.is_empty()))
    };
    // A record of an older version has the first ones only: new signals are appended.
    let signals = SignalKind::ALL
        .into_iter()
        .take_while(|kind| record.signals.iter().any(|own| own.signal == *kind))
        .map(|kind| (kind.name(), about(kind)))
        .collect();
    view! {
        <div class="method needs-js panel" role="group" aria-label="Method">
            <Choice label="Signal" lens choices=signals
                of=|lens| place(&SignalKind::ALL, &lens.method.signal)
                set=|lens, k| lens.method.signal = SignalKind::ALL[k]/>
            {move || has_heat().then(|| view! {
                <label class="slider">
                    "Heat map"
                    <input type="range" min="0" max="100" step="5" prop:value=move || desk.heat.get().to_string() value="70"
                        on:input=move |event| if let Ok(value) = event_target_value(&event).parse() { desk.heat.set(value) }/>
                </label>
            })}
            <Toggle label="Tokens" on=desk.tokens/>
            <Toggle label="Threads" on=desk.threads/>
            <span class="changed" role="status">
                {move || changed.get().then(|| view! {
                    "re-curated "
                    <button type="button" class="link" on:click=move |_| lens.set(Some(recorded.get_value()))>"Reset"</button>
                })}
            </span>
            <details class="finer">
                <summary>"Finer"</summary>
                <Finer lens/>
            </details>
        </div>
    }
    .into_any()
}

/// Parts of a picture, in a row and a column; 0: boxes.
const REGIONS: [u32; 4] = [0, 2, 3, 4];

/// Everything besides the signal.
#[component]
fn Finer(lens: RwSignal<Option<Lens>>) -> impl IntoView {
    let named = |names: &[&'static str]| names.iter().map(|name| (*name, "")).collect::<Vec<_>>();
    let scores = named(&UnitScore::ALL.map(UnitScore::name));
    let sizes = named(&Size::ALL.map(Size::name));
    view! {
        <div class="choices">
            <Choice label="Score of a source" lens choices=scores
                of=|lens| place(&UnitScore::ALL, &lens.method.unit_score)
                set=|lens, k| lens.method.unit_score = UnitScore::ALL[k]/>
            <Choice label="Explain each" lens choices=sizes
                of=|lens| place(&Size::ALL, &lens.size)
                set=|lens, k| lens.size = Size::ALL[k]/>
            <Choice label="Parts of pictures" lens choices=named(&["boxes", "2 × 2", "3 × 3", "4 × 4"])
                of=|lens| place(&REGIONS, &lens.regions)
                set=|lens, k| lens.regions = REGIONS[k]/>
            <Choice label="A token votes for" lens choices=named(&["one, chosen by kind", "one, all kinds as one", "one of each kind"])
                of=|lens| place(&Competition::WAYS, &lens.method.curation.competition)
                set=|lens, k| lens.method.curation.competition = Competition::WAYS[k]/>
        </div>
        <div class="parameters">
            {PARAMETERS.iter().map(|parameter| {
                let read = move || lens.with(|lens| lens.clone().map_or(0.0, |mut lens| *(parameter.of)(&mut lens.method.curation)));
                let write = move |event| if let Ok(value) = event_target_value(&event).parse() {
                    change(lens, |lens| *(parameter.of)(&mut lens.method.curation) = value);
                };
                view! {
                    <label class="parameter" title=parameter.about data-parameter=parameter.key>
                        <span>{parameter.label}</span>
                        <input type="range" min="0" max=parameter.max.to_string() step=parameter.step.to_string()
                            prop:value=move || read().to_string() on:input=write/>
                        <output>{move || format!("{:.2}", read())}</output>
                    </label>
                }
            }).collect_view()}
        </div>
        <div class="parts">
            {PARTS.iter().map(|part| {
                let read = move || lens.with(|lens| lens.clone().is_some_and(|mut lens| *(part.of)(&mut lens.method.curation)));
                view! {
                    <label class="check">
                        <input type="checkbox" prop:checked=read data-part=part.key
                            on:change=move |event| change(lens, |lens| *(part.of)(&mut lens.method.curation) = event_target_checked(&event))/>
                        {part.label}
                    </label>
                }
            }).collect_view()}
            <label class="check">
                <input type="checkbox" prop:checked=move || lens.with(|lens| lens.as_ref().is_some_and(|lens| lens.method.cite_prompt))
                    on:change=move |event| change(lens, |lens| lens.method.cite_prompt = event_target_checked(&event))/>
                "The instruction may be cited"
            </label>
        </div>
    }
    .into_any()
}

fn change(lens: RwSignal<Option<Lens>>, change: impl FnOnce(&mut Lens)) {
    lens.update(|lens| {
        if let Some(lens) = lens {
            change(lens);
        }
    });
}

/// One of a few, by its place in the row. Not generic: one copy of the code serves all.
#[component]
fn Choice(
    label: &'static str,
    lens: RwSignal<Option<Lens>>,
    /// Name and explanation of each; one without a name is not offered.
    choices: Vec<(&'static str, &'static str)>,
    /// Which one a lens has.
    of: fn(&Lens) -> usize,
    /// Gives a lens another one.
    set: fn(&mut Lens, usize),
) -> impl IntoView {
    let chosen = Memo::new(move |_| lens.with(|lens| lens.as_ref().map(of)));
    let buttons = choices
        .into_iter()
        .enumerate()
        .map(|(place, (name, about))| {
            view! {
                <button
                    type="button"
                    title=about
                    aria-pressed=move || (chosen.get() == Some(place)).to_string()
                    on:click=move |_| change(lens, |lens| set(lens, place))
                >{name}</button>
            }
        });
    view! {
        <div class="choice" role="group" aria-label=label>
            <span class="label">{label}</span>
            <div class="switch">{buttons.collect_view()}</div>
        </div>
    }
    .into_any()
}

fn place<T: PartialEq>(all: &[T], own: &T) -> usize {
    all.iter()
        .position(|other| other == own)
        .unwrap_or(usize::MAX)
}

/// On or off.
#[component]
fn Toggle(label: &'static str, on: RwSignal<bool>) -> impl IntoView {
    view! {
        <button type="button" class="toggle" aria-pressed=move || on.get().to_string() on:click=move |_| on.update(|on| *on = !*on)>
            {label}
        </button>
    }
    .into_any()
}

fn about(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::AttMean => "Attention, mean over all layers",
        SignalKind::AttRaw => "Attention of the last layer",
        SignalKind::AttGrads => "Attention times the gradient of the chosen word, last layer",
        SignalKind::AttFocus => "Attention, layers weighted by how much they put on few sources",
        SignalKind::AttRise => "The same above what each position usually gets",
        SignalKind::AttValue => "Attention whose values say the chosen word",
    }
}
