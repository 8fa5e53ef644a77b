//! A quarter of a picture: the thing in it, or the place for one; presses, drags and keys.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use world::attributes::Quadrant;
use world::spec::{ObjectSpec, PictureSpec};

use super::{Easel, free_shapes, thing_mut};
use crate::bench::{Bench, Seat};
use crate::starters::object;

/// A thing on its way.
#[derive(Debug, Clone)]
pub(super) struct Drag {
    /// From which quarter.
    from: Quadrant,
    /// In which it is now.
    now: Quadrant,
    /// What the picture showed before: what is passed over comes back.
    before: Vec<ObjectSpec>,
    /// Where the pointer went down, in pixels of the page.
    down_px: (f64, f64),
    /// From the pointer to the middle of the thing, in fractions of the picture.
    grip: (f64, f64),
    /// Whether it has left its place: a press that trembles is no drag.
    moving: bool,
}

/// So far may a press tremble.
const TREMBLE_PX: f64 = 4.0;

/// Within its quarter.
pub(super) fn settle(own: &mut ObjectSpec) {
    let most = (26 - i16::from(own.radius_px)).max(0) as i8;
    own.dx = own.dx.clamp(-most, most);
    own.dy = own.dy.clamp(-most, most);
}

/// Moves the thing of one quarter into another; what is there comes back.
fn carry(picture: &mut PictureSpec, from: Quadrant, to: Quadrant) {
    for own in &mut picture.objects {
        if own.quadrant == from {
            own.quadrant = to;
        } else if own.quadrant == to {
            own.quadrant = from;
        }
    }
}

fn dom_id(seat: Seat, quadrant: Quadrant) -> String {
    let place = quadrant.name().replace(' ', "-");
    match seat {
        Seat::Own(k) => format!("thing-{k}-{place}"),
        Seat::Part(_) | Seat::Turn(_) => format!("thing-part-{place}"),
    }
}

fn focus(id: &str) {
    let found = document().get_element_by_id(id);
    if let Some(own) = found.and_then(|own| own.dyn_into::<HtmlElement>().ok()) {
        let _ = own.focus();
    }
}

/// The quarter beside one, in the direction of an arrow key.
fn beside(own: Quadrant, key: &str) -> Option<Quadrant> {
    let at = own as usize;
    let to = match (key, at % 2, at / 2) {
        ("ArrowLeft", 1, _) => at - 1,
        ("ArrowRight", 0, _) => at + 1,
        ("ArrowUp", _, 1) => at - 2,
        ("ArrowDown", _, 0) => at + 2,
        _ => return None,
    };
    Quadrant::ALL.get(to).copied()
}

/// A quarter: the thing in it, or the place for one.
#[component]
pub(super) fn Corner(
    seat: Seat,
    quadrant: Quadrant,
    spec: Memo<Option<PictureSpec>>,
    pad: NodeRef<Div>,
    dragged: RwSignal<Option<Drag>>,
) -> impl IntoView {
    let bench = Bench::around();
    let easel = Easel::around();
    let held = Memo::new(move |_| {
        spec.with(|own| {
            let own = own.as_ref()?;
            own.objects
                .iter()
                .find(|own| own.quadrant == quadrant)
                .copied()
        })
    });
    let here = (seat, quadrant);
    let label = move || match held.get() {
        Some(own) => format!("{}, {}", own.look().name(), quadrant.name()),
        None => format!(
            "Place {} at the {}",
            easel.look.get().with_article(),
            quadrant.name()
        ),
    };
    let press = move || match held.get_untracked() {
        Some(own) => {
            easel.look.set(own.look());
            easel.picked.set(Some(here));
        }
        None => {
            let mut look = easel.look.get_untracked();
            bench.edit(|content| {
                let free = free_shapes(content);
                if !free.contains(&look.shape)
                    && let Some(shape) = free.first()
                {
                    look.shape = *shape;
                }
                if let Some(own) = seat.picture_mut(content) {
                    // A picture of a conversation shows one thing: the new one takes its place.
                    if matches!(seat, Seat::Turn(_)) {
                        own.objects.clear();
                    }
                    own.objects.push(object(look.shape, look.colour, quadrant));
                }
            });
            easel.look.set(look);
            easel.picked.set(Some(here));
        }
    };
    let to = move |quadrant: Quadrant| {
        easel.picked.set(Some((seat, quadrant)));
        request_animation_frame(move || focus(&dom_id(seat, quadrant)));
    };
    let key = move |event: KeyboardEvent| {
        let key = event.key();
        let there = held.get_untracked().is_some();
        let step = match key.as_str() {
            "ArrowLeft" => (-1, 0),
            "ArrowRight" => (1, 0),
            "ArrowUp" => (0, -1),
            "ArrowDown" => (0, 1),
            "Delete" | "Backspace" if there => {
                event.prevent_default();
                bench.edit(|content| {
                    if let Some(own) = seat.picture_mut(content) {
                        own.objects.retain(|own| own.quadrant != quadrant);
                    }
                });
                return easel.picked.set(None);
            }
            _ => return,
        };
        event.prevent_default();
        if there && event.shift_key() {
            return bench.edit(|content| {
                if let Some(own) = thing_mut(seat, content, quadrant) {
                    (own.dx, own.dy) = (own.dx + step.0, own.dy + step.1);
                    settle(own);
                }
            });
        }
        let Some(next) = beside(quadrant, &key) else {
            return;
        };
        if there {
            bench.edit(|content| {
                if let Some(own) = seat.picture_mut(content) {
                    carry(own, quadrant, next);
                }
            });
            to(next);
        } else {
            focus(&dom_id(seat, next));
        }
    };
    // Where the pointer is, in fractions of the picture.
    let share = move |event: &PointerEvent| {
        let own = pad.get_untracked()?.get_bounding_client_rect();
        let x = (f64::from(event.client_x()) - own.left()) / own.width().max(1.0);
        let y = (f64::from(event.client_y()) - own.top()) / own.height().max(1.0);
        Some((x, y))
    };
    let down = move |event: PointerEvent| {
        let own = spec.get_untracked();
        let (Some(held), Some(own), Some((x, y))) = (held.get_untracked(), own, share(&event))
        else {
            return;
        };
        let (cx, cy) = quadrant.centre();
        let middle = (
            cx + f64::from(held.dx) / f64::from(own.width),
            cy + f64::from(held.dy) / f64::from(own.height),
        );
        dragged.set(Some(Drag {
            from: quadrant,
            now: quadrant,
            before: own.objects,
            down_px: (f64::from(event.client_x()), f64::from(event.client_y())),
            grip: (middle.0 - x, middle.1 - y),
            moving: false,
        }));
        let target = event.current_target();
        if let Some(own) = target.and_then(|own| own.dyn_into::<HtmlElement>().ok()) {
            let _ = own.set_pointer_capture(event.pointer_id());
        }
    };
    // The thing follows the pointer at once: into the quarter under it, as far as the quarter lets it.
    let moved = move |event: PointerEvent| {
        let (Some(mut drag), Some((x, y))) = (dragged.get_untracked(), share(&event)) else {
            return;
        };
        let (dx, dy) = (
            f64::from(event.client_x()) - drag.down_px.0,
            f64::from(event.client_y()) - drag.down_px.1,
        );
        drag.moving |= dx.hypot(dy) > TREMBLE_PX;
        if !drag.moving {
            return;
        }
        let under = usize::from(x >= 0.5) + 2 * usize::from(y >= 0.5);
        drag.now = Quadrant::ALL[under];
        let (x, y) = (x + drag.grip.0, y + drag.grip.1);
        bench.edit(|content| {
            let Some(own) = seat.picture_mut(content) else {
                return;
            };
            let (width, height) = (f64::from(own.width), f64::from(own.height));
            own.objects.clone_from(&drag.before);
            if drag.now != drag.from {
                carry(own, drag.from, drag.now);
            }
            if let Some(own) = own.objects.iter_mut().find(|own| own.quadrant == drag.now) {
                let (cx, cy) = drag.now.centre();
                own.dx = ((x - cx) * width).round().clamp(-60.0, 60.0) as i8;
                own.dy = ((y - cy) * height).round().clamp(-60.0, 60.0) as i8;
                settle(own);
            }
        });
        dragged.set(Some(drag));
    };
    // The click that follows a drag is part of it.
    let dropped = StoredValue::new(false);
    let up = move |_: PointerEvent| {
        let drag = dragged.get_untracked();
        dragged.set(None);
        if let Some(drag) = drag.filter(|drag| drag.moving) {
            dropped.set_value(true);
            set_timeout(
                move || {
                    let _ = dropped.try_update_value(|own| *own = false);
                },
                std::time::Duration::from_millis(50),
            );
            to(drag.now);
        }
    };
    let press = move |_: leptos::ev::MouseEvent| {
        if !dropped.get_value() {
            press();
        }
    };
    let place = {
        let (x, y) = (quadrant as usize % 2 * 50, quadrant as usize / 2 * 50);
        format!("left:{x}%;top:{y}%")
    };
    view! {
        <button
            type="button"
            id=dom_id(seat, quadrant)
            class="corner"
            class:full=move || held.get().is_some()
            class:picked=move || easel.picked.get() == Some(here) && held.get().is_some()
            style=place
            aria-label=label
            on:click=press
            on:keydown=key
            on:pointerdown=down
            on:pointermove=moved
            on:pointerup=up
            on:pointercancel=move |_| dragged.set(None)
        >
            {move || held.get().is_none().then_some("+")}
        </button>
    }
}
