//! The whole time line in small, below a zoomed one: its waveform, what is lit, and where the window is.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use super::board::page;
use super::lanes::{Surface, wave};
use super::tiles::{Peaks, fixed};
use super::window::Window;

/// Its elements. Decoration and a shortcut for the pointer: the keyboard moves the window itself.
pub(super) struct Map {
    pub(super) element: HtmlElement,
    surface: Surface,
    lit: Element,
    frame: HtmlElement,
    /// Whether the waveform stands there.
    drawn: Cell<bool>,
}

impl Map {
    /// Below the lanes.
    pub(super) fn after(lane: &Element) -> Option<Self> {
        let made = |name: &str, class: &str| -> Option<HtmlElement> {
            let element = page()?.create_element(name).ok()?;
            element.set_class_name(class);
            element.dyn_into().ok()
        };
        let (element, lit, frame) = (
            made("div", "map")?,
            made("div", "map-lit")?,
            made("div", "map-frame")?,
        );
        let _ = element.set_attribute("aria-hidden", "true");
        element.set_hidden(true);
        let surface = Surface::within(&element)?;
        element.append_child(&lit).ok()?;
        element.append_child(&frame).ok()?;
        lane.after_with_node_1(&element).ok()?;
        Some(Self {
            element,
            surface,
            lit: lit.into(),
            frame,
            drawn: Cell::new(false),
        })
    }

    /// The waveform is drawn again.
    pub(super) fn worn(&self) {
        self.drawn.set(false);
    }

    /// What is lit among the bins, in the same places.
    pub(super) fn mark(&self, root: &Element) {
        let mut html = String::new();
        let bins = root.query_selector_all(".bin[data-lit]").ok();
        let bins = bins
            .iter()
            .flat_map(|list| (0..list.length()).filter_map(|k| list.item(k)));
        for bin in bins.filter_map(|bin| bin.dyn_into::<Element>().ok()) {
            let style = bin.get_attribute("style").unwrap_or_default();
            html.push_str("<i style=\"");
            // Our own "left:…;width:…"; a token's share is no place.
            html.extend(
                style
                    .split_inclusive(';')
                    .filter(|part| !part.contains("--")),
            );
            html.push_str("\"></i>");
        }
        self.lit.set_inner_html(&html);
    }

    /// Shows where the window is; hidden while it is all.
    pub(super) fn show(&self, window: Window, length: f64, peaks: Option<&Rc<Peaks>>) {
        let whole = window.is_whole(length);
        if self.element.hidden() != whole {
            self.element.set_hidden(whole);
        }
        if whole {
            return;
        }
        let percent = |secs: f64| format!("{}%", fixed(secs / length * 100.0, 3));
        let style = self.frame.style();
        let _ = style.set_property("left", &percent(window.from));
        let _ = style.set_property("width", &percent(window.span()));
        if let Some(peaks) = peaks.filter(|_| !self.drawn.get()) {
            let sheet = self.surface.cleared();
            self.drawn.set(wave(&sheet, peaks, Window::whole(length)));
        }
    }
}
