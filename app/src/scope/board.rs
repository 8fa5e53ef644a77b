//! One time line under the magnifier: its state, and one paint a frame while something changes.
//! In: where to look. Out: lanes, marks of time and map in step; `data-zoom` and a `scope` event for the address.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Date;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, Event, EventInit, HtmlElement, HtmlImageElement, HtmlMediaElement};

use super::hand;
use super::lanes::{Surface, frequencies, spectrum, strip, wave};
use super::map::Map;
use super::tiles::{Peaks, Pictures, fixed};
use super::window::{Window, clock, ticks};

/// How fast a move comes to its goal: two thirds of the way in so many milliseconds.
const EASE_MS: f64 = 55.0;
/// Most marks of time.
const MAX_TICKS: usize = 6;

/// A lane and what it is drawn on.
struct Lane {
    reel: HtmlElement,
    surface: Surface,
    /// Of a film's picture; none for sound.
    frames: Option<Vec<HtmlImageElement>>,
    /// Names of frequencies.
    names: HtmlElement,
}

/// Everything about one time line.
pub(super) struct Board {
    pub(super) root: HtmlElement,
    pub(super) length: f64,
    pub(super) media: Option<HtmlMediaElement>,
    pub(super) map: Map,
    pub(super) goal: Cell<Window>,
    shown: Cell<Window>,
    lanes: Vec<Lane>,
    peaks: Option<Rc<Peaks>>,
    pictures: RefCell<Option<Rc<Pictures>>>,
    as_spectrum: Cell<bool>,
    /// A frame was asked for.
    asked: Cell<bool>,
    /// When the last one was painted.
    painted_ms: Cell<f64>,
    /// What was last told to the address.
    told: RefCell<String>,
    said: Element,
    ticks: Option<(HtmlElement, String)>,
}

/// Takes a `[data-scope]` element over. Called once per element.
pub fn draw_scope(root: HtmlElement) {
    // Where a part is missing the page stays as it was.
    let _ = Board::over(root);
}

pub(super) fn page() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}

/// Calls back before the next paint. Not Leptos' own: this module goes without it, which keeps it small.
pub(super) fn next_frame(act: impl FnOnce() + 'static) {
    let act = Closure::once_into_js(act);
    if let Some(browser) = web_sys::window() {
        let _ = browser.request_animation_frame(act.unchecked_ref());
    }
}

pub(super) fn all(root: &Element, selector: &str) -> Vec<HtmlElement> {
    let list = root.query_selector_all(selector).ok();
    let nodes = list
        .iter()
        .flat_map(|list| (0..list.length()).filter_map(|k| list.item(k)));
    nodes.filter_map(|node| node.dyn_into().ok()).collect()
}

impl Board {
    fn over(root: HtmlElement) -> Option<()> {
        let hash = root.get_attribute("data-scope")?;
        let length = js_sys::parse_float(&root.get_attribute("data-secs")?);
        if length.is_nan() || length <= 0.0 {
            return None;
        }
        let elements = all(&root, ".lane");
        let has_sound = elements.iter().any(is_sound);
        let map = Map::after(elements.last()?)?;
        let lanes: Vec<Lane> = elements.iter().filter_map(lane).collect();
        let said = page()?.create_element("span").ok()?;
        said.set_class_name("sr");
        let _ = said.set_attribute("aria-live", "polite");
        root.append_child(&said).ok()?;
        let card = root.closest(".card").ok().flatten();
        let player = card.and_then(|card| card.query_selector("audio,video").ok().flatten());
        let ticks = all(&root, ".ticks").into_iter().next();
        let board = Rc::new_cyclic(|own: &std::rc::Weak<Self>| {
            let own = own.clone();
            let changed = move || {
                if let Some(board) = own.upgrade() {
                    board.map.worn();
                    board.ask();
                }
            };
            Self {
                length,
                media: player.and_then(|player| player.dyn_into().ok()),
                map,
                goal: Cell::new(Window::whole(length)),
                shown: Cell::new(Window::whole(length)),
                lanes,
                peaks: has_sound.then(|| Peaks::open(&hash, changed)),
                pictures: RefCell::default(),
                as_spectrum: Cell::new(false),
                asked: Cell::new(false),
                painted_ms: Cell::new(0.0),
                told: RefCell::new(root.get_attribute("data-zoom").unwrap_or_default()),
                said,
                ticks: ticks.map(|own| (own.clone(), own.inner_html())),
                root,
            }
        });
        board.as_address_says();
        hand::listen(&board);
        board.ask();
        Some(())
    }

    /// `data-zoom="1_12.5-18_s"`: source, window, and `s` for the spectrogram.
    fn as_address_says(self: &Rc<Self>) {
        let told = self.told.borrow().clone();
        let mut parts = told.split('_').skip(1);
        let window = parts
            .next()
            .and_then(|text| Window::read(text, self.length));
        if let Some(window) = window {
            self.goal.set(window);
            self.shown.set(window);
        }
        if parts.next() == Some("s") {
            self.toggle_spectrum();
        }
    }

    /// Looks there, gliding where `gently` and motion is welcome.
    pub(super) fn look(self: &Rc<Self>, at: Window, gently: bool) {
        self.goal.set(at);
        if !gently || calm() {
            self.shown.set(at);
        }
        self.ask();
    }

    /// From waveform to spectrogram and back.
    pub(super) fn toggle_spectrum(self: &Rc<Self>) {
        let on = !self.as_spectrum.get();
        self.as_spectrum.set(on);
        let _ = self.root.toggle_attribute_with_force("data-spectrum", on);
        for button in all(&self.root, "[data-do=spectrum]") {
            let _ = button.set_attribute("aria-pressed", if on { "true" } else { "false" });
        }
        if on && self.pictures.borrow().is_none() {
            let own = Rc::downgrade(self);
            let hash = self.root.get_attribute("data-scope").unwrap_or_default();
            *self.pictures.borrow_mut() = Some(Pictures::open(&hash, move || {
                if let Some(board) = own.upgrade() {
                    board.ask();
                }
            }));
        }
        self.ask();
    }

    /// Paints at the next frame.
    pub(super) fn ask(self: &Rc<Self>) {
        if !self.asked.replace(true) {
            let own = self.clone();
            next_frame(move || own.frame());
        }
    }

    fn frame(self: &Rc<Self>) {
        self.asked.set(false);
        if !self.root.is_connected() {
            return;
        }
        let (now, goal) = (Date::now(), self.goal.get());
        let passed = (now - self.painted_ms.replace(now)).clamp(8.0, 50.0);
        let next = self
            .shown
            .get()
            .toward(goal, 1.0 - js_sys::Math::exp(-passed / EASE_MS));
        let near = 1e-3 * goal.span();
        let there = (next.from - goal.from).abs() < near && (next.to - goal.to).abs() < near;
        self.shown.set(if there { goal } else { next });
        self.paint();
        if there {
            self.tell();
        } else {
            self.ask();
        }
    }

    fn paint(self: &Rc<Self>) {
        let window = self.shown.get();
        let zoom = self.length / window.span();
        for lane in &self.lanes {
            let style = lane.reel.style();
            let _ = style.set_property("width", &format!("{}%", fixed(zoom * 100.0, 4)));
            let left = -window.from / window.span() * 100.0;
            let _ = style.set_property("left", &format!("{}%", fixed(left, 4)));
            let sheet = lane.surface.cleared();
            let drawn = match (&lane.frames, self.as_spectrum.get()) {
                (Some(frames), _) => strip(&sheet, frames, window, self.length),
                (None, true) => {
                    let pictures = self.pictures.borrow();
                    pictures.as_ref().is_some_and(|pictures| {
                        self.name(lane, pictures);
                        spectrum(&sheet, pictures, window)
                    })
                }
                (None, false) => {
                    let peaks = self.peaks.as_ref();
                    peaks.is_some_and(|peaks| wave(&sheet, peaks, window))
                }
            };
            // What the record holds stays until there is something better.
            let _ = lane.reel.toggle_attribute_with_force("data-drawn", drawn);
        }
        if let Some((line, first)) = &self.ticks {
            if window.is_whole(self.length) {
                line.set_inner_html(first);
            } else {
                line.set_inner_html(&marks(window));
            }
        }
        self.map.show(window, self.length, self.peaks.as_ref());
        let ends = [
            ("[data-do=out]", window.is_whole(self.length)),
            ("[data-do=in]", window.is_closest(self.length)),
        ];
        for (selector, reached) in ends {
            for button in all(&self.root, selector) {
                let _ =
                    button.set_attribute("aria-disabled", if reached { "true" } else { "false" });
            }
        }
    }

    fn name(&self, lane: &Lane, pictures: &Pictures) {
        if let Some(shape) = pictures.shape()
            && lane.names.child_element_count() == 0
        {
            lane.names
                .set_inner_html(&frequencies(f64::from(shape.top)));
        }
    }

    /// The address, and who cannot see.
    fn tell(&self) {
        let (window, on) = (self.shown.get(), self.as_spectrum.get());
        let whole = window.is_whole(self.length);
        let source = self.root.get_attribute("data-source").unwrap_or_default();
        let text = match (whole, on) {
            (true, false) => String::new(),
            (_, on) => format!(
                "{source}_{}{}",
                window.written(),
                if on { "_s" } else { "" }
            ),
        };
        if *self.told.borrow() == text {
            return;
        }
        let _ = self.root.set_attribute("data-zoom", &text);
        *self.told.borrow_mut() = text;
        let say = if whole {
            "All of it is shown".to_owned()
        } else {
            format!("From {} to {}", clock(window.from, 1), clock(window.to, 1))
        };
        self.said.set_text_content(Some(&say));
        let options = EventInit::new();
        options.set_bubbles(true);
        if let Ok(event) = Event::new_with_event_init_dict("scope", &options) {
            let _ = self.root.dispatch_event(&event);
        }
    }
}

fn is_sound(lane: &HtmlElement) -> bool {
    lane.get_attribute("data-track").as_deref() == Some("sound")
}

fn lane(element: &HtmlElement) -> Option<Lane> {
    let names: HtmlElement = page()?.create_element("div").ok()?.dyn_into().ok()?;
    names.set_class_name("hertz");
    let _ = names.set_attribute("aria-hidden", "true");
    let surface = Surface::within(element)?;
    if is_sound(element) {
        element.append_child(&names).ok()?;
    }
    let frames = all(element, ".strip img").into_iter();
    Some(Lane {
        reel: all(element, ".reel").into_iter().next()?,
        surface,
        frames: (!is_sound(element))
            .then(|| frames.filter_map(|own| own.dyn_into().ok()).collect()),
        names,
    })
}

/// The first one is hidden: the style sets the first of a line flush with its begin.
fn marks(window: Window) -> String {
    let first = "<span hidden></span>".to_owned();
    let marks = ticks(window, MAX_TICKS)
        .into_iter()
        .filter_map(|(at, label)| {
            let share = (at - window.from) / window.span();
            // A label at an edge would be cut.
            let inside = (0.03..0.97).contains(&share);
            inside.then(|| {
                let left = fixed(share * 100.0, 3);
                format!("<span style=\"left:{left}%\">{label}</span>")
            })
        });
    std::iter::once(first).chain(marks).collect()
}

/// Whether the visitor wants no motion.
fn calm() -> bool {
    let query = web_sys::window().and_then(|browser| {
        browser
            .match_media("(prefers-reduced-motion: reduce)")
            .ok()?
    });
    query.is_some_and(|query| query.matches())
}
