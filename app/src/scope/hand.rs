//! Wheel, pinch, drag, keys and buttons of one time line; and the player, which the window follows.
//! In: DOM events. Out: where to look.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    AddEventListenerOptions, Element, Event, EventTarget, HtmlElement, HtmlSelectElement,
    KeyboardEvent, MouseEvent, PointerEvent, WheelEvent,
};

use super::board::{Board, all, next_frame, page};
use super::window::Window;

/// Zoom of one press of a button or key.
const STEP: f64 = 2.0;
/// Part of the window that one press moves it by.
const STRIDE: f64 = 0.2;
/// Pixels after which a press is a drag.
const DRAG_PX: f64 = 4.0;
/// Logarithm of the zoom per pixel of a wheel, and most pixels that one turn counts for: a mouse's notch is 120 of them,
/// what a pinch on a touch pad sends is 1 to 10.
const WHEEL: f64 = 0.008;
const MAX_WHEEL_PX: f64 = 60.0;

#[wasm_bindgen]
extern "C" {
    /// Bound here: one binding less to build for everything else of the page.
    type MutationObserver;
    #[wasm_bindgen(constructor)]
    fn new(callback: &JsValue) -> MutationObserver;
    #[wasm_bindgen(method)]
    fn observe(this: &MutationObserver, target: &EventTarget, options: &JsValue);
}

/// Attaches everything. What is attached lives as long as its elements.
pub(super) fn listen(board: &Rc<Board>) {
    let root: EventTarget = board.root.clone().into();
    buttons(board, &root);
    keys(board, &root);
    wheel(board, &root);
    drag(board);
    follow(board);
    let own = board.clone();
    on(&root, "focusin", true, move |event| {
        // A bin that the keyboard comes to is brought into the window.
        if let Some((start, end)) = bin_of(&event).and_then(|bin| place(&own, &bin)) {
            let there = own.goal.get().showing(start, end, own.length);
            own.look(there, true);
        }
    });
    let own = board.clone();
    if let Some(window) = web_sys::window() {
        on(&window, "resize", true, move |_| {
            own.map.worn();
            own.ask();
        });
    }
    // What is lit is marked on the map; another theme has another ink.
    let own = board.clone();
    watch(&root, &["data-lit"], true, move || own.map.mark(&own.root));
    if let Some(page) = page().and_then(|page| page.document_element()) {
        let own = board.clone();
        watch(&page, &["data-theme"], false, move || {
            own.map.worn();
            own.ask();
        });
    }
}

/// Calls back at every event of a name, for as long as the element is there.
fn on(target: &EventTarget, name: &str, passive: bool, act: impl Fn(Event) + 'static) {
    let closure = Closure::<dyn Fn(Event)>::new(act);
    let options = AddEventListenerOptions::new();
    options.set_passive(passive);
    let _ = target.add_event_listener_with_callback_and_add_event_listener_options(
        name,
        closure.as_ref().unchecked_ref(),
        &options,
    );
    closure.forget();
}

/// Calls back when one of these attributes changes.
fn watch(target: &EventTarget, names: &[&str], below: bool, act: impl Fn() + 'static) {
    let options = js_sys::Object::new();
    let filter: js_sys::Array = names.iter().map(|name| JsValue::from_str(name)).collect();
    let _ = js_sys::Reflect::set(&options, &"attributeFilter".into(), &filter);
    let _ = js_sys::Reflect::set(&options, &"subtree".into(), &below.into());
    let closure = Closure::<dyn Fn()>::new(act);
    MutationObserver::new(closure.as_ref()).observe(target, &options);
    closure.forget();
}

fn element_of(event: &Event) -> Option<Element> {
    event.target()?.dyn_into().ok()
}

fn bin_of(event: &Event) -> Option<HtmlElement> {
    element_of(event)?.closest(".bin").ok()??.dyn_into().ok()
}

/// The seconds of a bin.
fn place(board: &Board, bin: &HtmlElement) -> Option<(f64, f64)> {
    let share = |name: &str| {
        let text = bin.style().get_property_value(name).ok()?;
        let percent = js_sys::parse_float(&text);
        percent.is_finite().then_some(percent / 100.0)
    };
    let (left, width) = (share("left")?, share("width")?);
    Some((left * board.length, (left + width) * board.length))
}

/// Where a button or key zooms in: what is lit, else the playhead, where the window has them; else its middle.
fn anchor(board: &Board) -> f64 {
    let window = board.goal.get();
    let lit = all(&board.root, ".bin[data-lit]").into_iter().next();
    let lit = lit
        .and_then(|bin| place(board, &bin))
        .map(|(start, end)| (start + end) / 2.0);
    let head = board.media.as_ref().map(|media| media.current_time());
    let seen = |at: &f64| *at > 0.0 && window.contains(*at);
    lit.filter(seen)
        .or(head.filter(seen))
        .unwrap_or((window.from + window.to) / 2.0)
}

fn zoom(board: &Rc<Board>, times: f64) {
    let at = anchor(board);
    board.look(board.goal.get().scaled(1.0 / times, at, board.length), true);
}

fn buttons(board: &Rc<Board>, root: &EventTarget) {
    let own = board.clone();
    on(root, "click", true, move |event| {
        let pressed = element_of(&event).and_then(|element| element.closest("[data-do]").ok()?);
        let name = pressed.and_then(|button| button.get_attribute("data-do"));
        match name.as_deref() {
            Some("in") => zoom(&own, STEP),
            Some("out") => zoom(&own, 1.0 / STEP),
            Some("spectrum") => own.toggle_spectrum(),
            _ => {}
        }
    });
    let own = board.clone();
    on(root, "change", true, move |event| {
        let chosen = element_of(&event).and_then(|own| own.dyn_into::<HtmlSelectElement>().ok());
        if let (Some(select), Some(media)) = (chosen, &own.media) {
            let rate = js_sys::parse_float(&select.value());
            media.set_default_playback_rate(rate);
            media.set_playback_rate(rate);
        }
    });
}

fn keys(board: &Rc<Board>, root: &EventTarget) {
    let own = board.clone();
    on(root, "keydown", false, move |event| {
        let Some(key) = event.dyn_ref::<KeyboardEvent>() else {
            return;
        };
        let choosing = element_of(&event).is_some_and(|element| element.tag_name() == "SELECT");
        if choosing || key.ctrl_key() || key.alt_key() || key.meta_key() {
            return;
        }
        let window = own.goal.get();
        let whole = window.is_whole(own.length);
        let stride = window.span() * STRIDE;
        match key.key().as_str() {
            "+" | "=" => zoom(&own, STEP),
            "-" | "_" => zoom(&own, 1.0 / STEP),
            "0" if !whole => own.look(Window::whole(own.length), true),
            "ArrowRight" if key.shift_key() && !whole => {
                own.look(window.moved(stride, own.length), true);
            }
            "ArrowLeft" if key.shift_key() && !whole => {
                own.look(window.moved(-stride, own.length), true);
            }
            _ => return,
        }
        // Not also a key of the trace or the stage.
        event.prevent_default();
        event.stop_propagation();
    });
}

/// The lane under an event, and the moment under the pointer.
fn lane_of(board: &Board, event: &MouseEvent) -> Option<(HtmlElement, f64)> {
    let lane = element_of(event)?.closest(".lane").ok()??;
    let lane: HtmlElement = lane.dyn_into().ok()?;
    let at = moment(board, &lane, f64::from(event.client_x()));
    Some((lane, at))
}

fn moment(board: &Board, lane: &HtmlElement, x: f64) -> f64 {
    let rect = lane.get_bounding_client_rect();
    let window = board.goal.get();
    window.from + (x - rect.left()) / rect.width().max(1.0) * window.span()
}

/// A pinch on a touch pad comes as a wheel with Ctrl. A plain wheel scrolls the page.
fn wheel(board: &Rc<Board>, root: &EventTarget) {
    let own = board.clone();
    on(root, "wheel", false, move |event| {
        let Some(turn) = event.dyn_ref::<WheelEvent>() else {
            return;
        };
        let Some((lane, at)) = lane_of(&own, turn) else {
            return;
        };
        let unit = if turn.delta_mode() == 0 { 1.0 } else { 16.0 };
        let (x, y) = (turn.delta_x() * unit, turn.delta_y() * unit);
        let window = own.goal.get();
        if turn.ctrl_key() {
            event.prevent_default();
            let by = y.clamp(-MAX_WHEEL_PX, MAX_WHEEL_PX) * WHEEL;
            // A notch of a mouse glides, the stream of a touch pad is smooth by itself.
            let gently = y.abs() >= MAX_WHEEL_PX;
            own.look(window.scaled(js_sys::Math::exp(by), at, own.length), gently);
        } else if !window.is_whole(own.length) && (turn.shift_key() || x.abs() > y.abs()) {
            event.prevent_default();
            let by = if x == 0.0 { y } else { x };
            let width = lane.get_bounding_client_rect().width().max(1.0);
            own.look(window.moved(by / width * window.span(), own.length), false);
        }
    });
}

/// One finger or button moves the window, two scale it; the map moves it too. A double click shows all.
fn drag(board: &Rc<Board>) {
    let fingers = Rc::new(RefCell::new(Vec::<(i32, f64)>::new()));
    let dragged = Rc::new(Cell::new(false));
    let root: EventTarget = board.root.clone().into();

    let (own, down, was) = (board.clone(), fingers.clone(), dragged.clone());
    on(&root, "pointerdown", true, move |event| {
        let Some(pointer) = event
            .dyn_ref::<PointerEvent>()
            .filter(|own| own.button() == 0)
        else {
            return;
        };
        if lane_of(&own, pointer).is_some() {
            let mut down = down.borrow_mut();
            if down.is_empty() {
                was.set(false);
            }
            down.push((pointer.pointer_id(), f64::from(pointer.client_x())));
        } else if on_map(&event) {
            center(&own, pointer);
        }
    });
    let (own, down, was) = (board.clone(), fingers.clone(), dragged.clone());
    on(&root, "pointermove", true, move |event| {
        let Some(pointer) = event.dyn_ref::<PointerEvent>() else {
            return;
        };
        if down.borrow().is_empty() {
            if pointer.buttons() & 1 == 1 && on_map(&event) {
                center(&own, pointer);
            }
            return;
        }
        let lane = match all(&own.root, ".lane").into_iter().next() {
            Some(lane) => lane,
            None => return,
        };
        let width = lane.get_bounding_client_rect().width().max(1.0);
        let (id, x) = (pointer.pointer_id(), f64::from(pointer.client_x()));
        let mut down = down.borrow_mut();
        let other = down.iter().find(|(own, _)| *own != id).map(|(_, x)| *x);
        let Some(finger) = down.iter_mut().find(|(own, _)| *own == id) else {
            return;
        };
        let by = x - finger.1;
        let window = own.goal.get();
        if let Some(other) = other {
            let (before, after) = ((finger.1 - other).abs(), (x - other).abs());
            finger.1 = x;
            was.set(true);
            let at = moment(&own, &lane, (x + other) / 2.0);
            let times = before.max(10.0) / after.max(10.0);
            own.look(window.scaled(times, at, own.length), false);
        } else if was.get() || (by.abs() > DRAG_PX && !window.is_whole(own.length)) {
            if !was.replace(true) {
                // Also outside of the lane; and the click that ends it goes to the lane, not to a bin.
                let _ = lane.set_pointer_capture(id);
            }
            finger.1 = x;
            own.look(window.moved(-by / width * window.span(), own.length), false);
        }
    });
    for name in ["pointerup", "pointercancel"] {
        let down = fingers.clone();
        on(&root, name, true, move |event| {
            if let Some(pointer) = event.dyn_ref::<PointerEvent>() {
                down.borrow_mut()
                    .retain(|(id, _)| *id != pointer.pointer_id());
            }
        });
    }
    // The click at the end of a drag neither seeks nor pins.
    for lane in all(&board.root, ".lane") {
        let was = dragged.clone();
        on_before(&lane, "click", move |event| {
            if was.replace(false) {
                event.stop_propagation();
                event.prevent_default();
            }
        });
    }
    let own = board.clone();
    on(&root, "dblclick", true, move |event| {
        let inside = event.dyn_ref().and_then(|click| lane_of(&own, click));
        if inside.is_some() || on_map(&event) {
            own.look(Window::whole(own.length), true);
        }
    });
}

/// As [`on`], before any listener of what is inside.
fn on_before(target: &EventTarget, name: &str, act: impl Fn(Event) + 'static) {
    let closure = Closure::<dyn Fn(Event)>::new(act);
    let _ = target.add_event_listener_with_callback_and_bool(
        name,
        closure.as_ref().unchecked_ref(),
        true,
    );
    closure.forget();
}

fn on_map(event: &Event) -> bool {
    element_of(event).is_some_and(|element| element.closest(".map").is_ok_and(|map| map.is_some()))
}

/// The window's middle comes to where the pointer is on the map.
fn center(board: &Rc<Board>, pointer: &PointerEvent) {
    let rect = board.map.element.get_bounding_client_rect();
    let share = (f64::from(pointer.client_x()) - rect.left()) / rect.width().max(1.0);
    let window = board.goal.get();
    let by = share * board.length - (window.from + window.to) / 2.0;
    board.look(window.moved(by, board.length), false);
}

/// While it plays, the playhead leads a zoomed window from page to page; a seek takes the window along.
fn follow(board: &Rc<Board>) {
    let Some(media) = board.media.clone() else {
        return;
    };
    let own = board.clone();
    on(&media, "seeking", true, move |_| bring(&own));
    let own = board.clone();
    on(&media, "play", true, move |_| {
        bring(&own);
        turn_pages(&own, own.goal.get(), true);
    });
}

fn bring(board: &Rc<Board>) {
    let window = board.goal.get();
    if let Some(media) = board
        .media
        .as_ref()
        .filter(|_| !window.is_whole(board.length))
    {
        let at = media.current_time();
        board.look(window.showing(at, at, board.length), true);
    }
}

/// `inside`: the playhead was within the window `before`. Who moved the window away from it wants to see something else.
fn turn_pages(board: &Rc<Board>, before: Window, inside: bool) {
    let own = board.clone();
    next_frame(move || {
        let Some(media) = own.media.as_ref().filter(|media| !media.paused()) else {
            return;
        };
        let (at, window) = (media.current_time(), own.goal.get());
        if !own.root.is_connected() {
            return;
        }
        if inside && window == before && !window.contains(at) {
            bring(&own);
        }
        let window = own.goal.get();
        turn_pages(&own, window, window.contains(at));
    });
}
