//! The parts of a page that run in the browser: a trace, the composer. All else is plain HTML.
//! In: on the server a component and its data. Out: its HTML with the data beside it; in the browser [`wake`] finds both
//! and brings the component to life.

#[cfg(feature = "ssr")]
pub use server::Alive;

#[cfg(feature = "ssr")]
mod server {
    use leptos::prelude::*;
    use serde::Serialize;

    /// A part that comes alive.
    #[component]
    pub fn Alive<T: Serialize>(
        /// Which: `trace`, `example`, `embed`, `stage`, `compare`, `compose`, `world`.
        part: &'static str,
        /// What the component is made from, there and here.
        data: T,
        /// The component.
        children: Children,
    ) -> impl IntoView {
        view! {
            <div data-alive=part>{children()}</div>
            <script type="application/json" inner_html=as_script(&data)></script>
        }
        .into_any()
    }

    /// JSON that cannot end its script element, nor open a comment in it.
    pub(super) fn as_script<T: Serialize>(data: &T) -> String {
        let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
        json.replace('<', "\\u003c")
    }
}

#[cfg(feature = "browser")]
mod browser {
    use js_sys::Reflect;
    use leptos::mount::mount_to;
    use leptos::prelude::*;
    use serde::de::DeserializeOwned;
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Element, Event, EventInit, HtmlElement};

    use crate::compare::Compare;
    use crate::compose::Composer;
    use crate::trace::{Setting, TraceView};

    /// Names of parts that are one trace.
    const SETTINGS: [(&str, Setting); 4] = [
        ("trace", Setting::Page),
        ("example", Setting::Example),
        ("embed", Setting::Embed),
        ("stage", Setting::Stage),
    ];

    /// Brings traces to life.
    pub fn wake_traces() {
        let query = window().location().search().unwrap_or_default();
        for (name, setting) in SETTINGS {
            let query = query.clone();
            each(name, move |trace| {
                let query = query.clone();
                move || view! { <TraceView trace query setting/> }
            });
        }
        each("compare", |both| {
            let query = query.clone();
            move || view! { <Compare both query/> }
        });
        awake();
    }

    /// Brings the composer to life.
    pub fn wake_composer() {
        each("compose", |data| move || view! { <Composer data/> });
        awake();
    }

    /// Reads the data of every part of this name and puts the living component where the server's HTML was. What cannot
    /// be read stays as the server wrote it.
    ///
    /// The component is built anew instead of hydrated: the same HTML stands there before and after, one paint apart, and
    /// the code that would walk through it and compare (two fifths of the wasm) is not needed.
    fn each<T: DeserializeOwned, V: IntoView, F: FnOnce() -> V + 'static>(
        name: &str,
        make: impl Fn(T) -> F,
    ) {
        let Ok(parts) = document().query_selector(&format!("[data-alive={name}]")) else {
            return;
        };
        let Some(part) = parts.and_then(|part| part.dyn_into::<HtmlElement>().ok()) else {
            return;
        };
        let json = part
            .next_element_sibling()
            .and_then(|script: Element| script.text_content())
            .unwrap_or_default();
        let Ok(data) = serde_json::from_str::<T>(&json) else {
            return leptos::logging::warn!("the data of this part of the page cannot be read");
        };
        let before = Kept::of(&part);
        part.set_inner_html("");
        mount_to(part.clone(), make(data)).forget();
        before.restore(&part);
    }

    /// What a visitor did before the part was alive: where the keyboard is, and what was typed.
    struct Kept {
        focused: Option<usize>,
        typed: Vec<Option<JsValue>>,
    }

    impl Kept {
        fn of(part: &HtmlElement) -> Self {
            let active = document().active_element();
            let controls = controls(part);
            Self {
                focused: controls.iter().position(|own| active.as_ref() == Some(own)),
                typed: controls.iter().map(typed).collect(),
            }
        }

        /// Into the same controls of the new tree; they stand in the same order.
        fn restore(self, part: &HtmlElement) {
            let controls = controls(part);
            for (control, value) in controls.iter().zip(&self.typed) {
                if let Some(value) = value {
                    let _ = Reflect::set(control, &"value".into(), value);
                    for name in ["input", "change"] {
                        let options = EventInit::new();
                        options.set_bubbles(true);
                        if let Ok(event) = Event::new_with_event_init_dict(name, &options) {
                            let _ = control.dispatch_event(&event);
                        }
                    }
                }
            }
            let focused = self.focused.and_then(|at| controls.get(at).cloned());
            if let Some(control) = focused.and_then(|own| own.dyn_into::<HtmlElement>().ok()) {
                let _ = control.focus();
            }
        }
    }

    fn controls(part: &HtmlElement) -> Vec<Element> {
        let all = part.query_selector_all("[tabindex],a,button,input,textarea,select,summary");
        let all = all
            .into_iter()
            .flat_map(|list| (0..list.length()).filter_map(move |k| list.item(k)));
        all.filter_map(|node| node.dyn_into().ok()).collect()
    }

    /// The text of a field that no longer holds what the server wrote. A chosen file cannot be handed on, and sliders and
    /// boxes stand where the component puts them.
    fn typed(control: &Element) -> Option<JsValue> {
        let read = |name: &str| Reflect::get(control, &name.into()).ok();
        let kind = control.get_attribute("type").unwrap_or_default();
        let writable = match control.tag_name().as_str() {
            "TEXTAREA" => true,
            "INPUT" => matches!(kind.as_str(), "" | "text" | "number"),
            _ => false,
        };
        let value = read("value").filter(|_| writable)?;
        (read("defaultValue").as_ref() != Some(&value)).then_some(value)
    }

    /// Tells boot script and tests.
    fn awake() {
        if let Some(root) = document().document_element() {
            let _ = root.set_attribute("data-hydrated", "");
        }
    }
}

#[cfg(feature = "browser")]
pub use browser::{wake_composer, wake_traces};

#[cfg(all(test, feature = "ssr"))]
mod tests {
    #[test]
    fn data_cannot_leave_its_script() {
        let json = super::server::as_script(&"</script><!-- <script>alert(1)</script>");
        assert!(!json.contains('<'), "{json}");
        let back: String = serde_json::from_str(&json).unwrap_or_default();
        assert_eq!(back, "</script><!-- <script>alert(1)</script>");
    }
}
