//! Which signal the sources come from; changing it re-curates here, with the server's code.

use attribution::record::{Method, SignalKind};
use leptos::prelude::*;

use super::desk::Desk;

/// The switch, the mark "re-curated", and the heat map's opacity.
#[component]
pub fn MethodPanel(
    /// As recorded.
    recorded: Method,
    /// As shown.
    method: RwSignal<Option<Method>>,
) -> impl IntoView {
    let desk = Desk::around();
    let recorded = StoredValue::new(recorded);
    let changed = move || {
        method.with(|method| {
            method
                .as_ref()
                .is_some_and(|m| recorded.with_value(|r| m != r))
        })
    };
    let has_heat = move || {
        desk.shown
            .with(|shown| shown.heat.iter().any(|maps| !maps.is_empty()))
    };
    view! {
        <div class="method needs-js" role="group" aria-label="Method">
            <span class="label" id="signal-label">"Signal"</span>
            <div class="switch" role="group" aria-labelledby="signal-label">
                {SignalKind::ALL.map(|kind| {
                    let on = move || method.with(|method| method.as_ref().is_some_and(|m| m.signal == kind));
                    view! {
                        <button
                            type="button"
                            title=about(kind)
                            aria-pressed=move || on().to_string()
                            on:click=move |_| method.update(|method| if let Some(method) = method { method.signal = kind })
                        >{kind.name()}</button>
                    }
                }).collect_view()}
            </div>
            {move || has_heat().then(|| view! {
                <label class="slider">
                    "Heat map"
                    <input type="range" min="0" max="100" step="5" prop:value=move || desk.heat.get().to_string() value="70"
                        on:input=move |event| if let Ok(value) = event_target_value(&event).parse() { desk.heat.set(value) }/>
                </label>
            })}
            <span class="changed" role="status">
                {move || changed().then(|| view! {
                    "re-curated "
                    <button type="button" class="link" on:click=move |_| method.set(Some(recorded.get_value()))>"Reset"</button>
                })}
            </span>
        </div>
    }
    .into_any()
}

fn about(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::AttMean => "Attention, mean over all layers",
        SignalKind::AttRaw => "Attention of the last layer",
        SignalKind::AttGrads => "Attention times the gradient of the chosen word, last layer",
    }
}
