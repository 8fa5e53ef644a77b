//! Pictures: place coloured shapes in the quarters of a picture, with the mouse, a finger or the keyboard.
//! In: presses, drags, keys. Out: edits of the specification; the picture is drawn by the `world` crate after each.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use world::attributes::{Colour, Look, Quadrant, Shape};
use world::picture::SIZES;
use world::spec::{Content, ObjectSpec, PictureSpec, preview};

use crate::bench::{Bench, Seat};
use crate::paint::{Palette, put};
use crate::starters::{object, picture};

/// The brush, and the thing that it changes.
#[derive(Clone, Copy)]
struct Easel {
    look: RwSignal<Look>,
    picked: RwSignal<Option<(Seat, Quadrant)>>,
}

/// All pictures of a question.
#[component]
pub fn PicturesEditor() -> impl IntoView {
    let bench = Bench::around();
    let easel = Easel::provide();
    let count = Memo::new(move |_| {
        bench.spec.with(|spec| match &spec.content {
            Content::VisualQa { pictures, .. } => pictures.len(),
            _ => 0,
        })
    });
    let add = move |_: leptos::ev::MouseEvent| {
        bench.edit(|content| {
            let free = free_shapes(content);
            if let (Content::VisualQa { pictures, .. }, Some(shape)) = (content, free.first()) {
                let look = easel.look.get_untracked();
                pictures.push(picture(vec![object(
                    *shape,
                    look.colour,
                    Quadrant::TopLeft,
                )]));
            }
        });
    };
    let pictures = move || {
        (0..count.get())
            .map(|k| view! { <PictureEditor seat=Seat::Own(k) alone=false/> })
            .collect_view()
    };
    view! {
        <Brush/>
        <div class="pads">{pictures}</div>
        <button type="button" class="button small" data-add-picture="" disabled=move || { count.get() >= 4 } on:click=add>"Add a picture"</button>
    }
}

/// The palette; above every picture that it paints.
#[component]
pub fn Brush() -> impl IntoView {
    let bench = Bench::around();
    let easel = Easel::around();
    let choose = Callback::new(move |look: Look| {
        easel.look.set(look);
        let Some((seat, quadrant)) = easel.picked.get_untracked() else {
            return;
        };
        bench.edit(|content| {
            if let Some(own) = thing_mut(seat, content, quadrant) {
                (own.shape, own.colour) = (look.shape, look.colour);
            }
        });
    });
    view! {
        <p class="hint">"Choose a shape and a colour, then a free corner. Drag a thing to another corner, or move it with the arrow keys; Shift moves it a little, Delete removes it."</p>
        <Palette look=easel.look choose/>
    }
}

impl Easel {
    fn provide() -> Self {
        let easel = Self {
            look: RwSignal::new(Look {
                shape: Shape::Triangle,
                colour: Colour::Green,
            }),
            picked: RwSignal::new(None),
        };
        provide_context(easel);
        easel
    }

    fn around() -> Self {
        expect_context()
    }
}

/// For a mixed sample: the easel of its one picture.
pub fn provide_easel() {
    Easel::provide();
}

fn thing_mut(seat: Seat, content: &mut Content, at: Quadrant) -> Option<&mut ObjectSpec> {
    let objects = &mut seat.picture_mut(content)?.objects;
    objects.iter_mut().find(|own| own.quadrant == at)
}

/// Shapes that no picture of the question shows yet.
fn free_shapes(content: &Content) -> Vec<Shape> {
    let used: Vec<Shape> = match content {
        Content::VisualQa { pictures, .. } => {
            let objects = pictures.iter().flat_map(|own| &own.objects);
            objects.map(|own| own.shape).collect()
        }
        _ => Vec::new(),
    };
    let free = Shape::ALL.into_iter().filter(|own| !used.contains(own));
    free.collect()
}

/// One picture.
#[component]
pub fn PictureEditor(
    /// Where it stands.
    seat: Seat,
    /// Whether it stays.
    alone: bool,
) -> impl IntoView {
    let bench = Bench::around();
    let easel = Easel::around();
    let spec = Memo::new(move |_| bench.spec.with(|spec| seat.picture(&spec.content).cloned()));
    let seed = move || bench.spec.with(|spec| spec.seed);
    let canvas = NodeRef::<Canvas>::new();
    let pad = NodeRef::<Div>::new();
    Effect::new(move |_| {
        let drawn = spec.with(|own| Some(preview::picture(own.as_ref()?, seed(), seat.number())));
        if let Some(Ok(own)) = drawn {
            put(canvas.get(), own.width, own.height, &own.rgb);
        }
    });
    let dragged = RwSignal::new(None::<Drag>);
    let things = Quadrant::ALL.map(|quadrant| {
        view! { <Corner seat quadrant spec pad dragged/> }
    });
    let truth = move || {
        let pointed = bench.pointed.get();
        let parts = pointed.map(|own| own.image).unwrap_or_default();
        let own = parts.into_iter().filter(|own| own.image == seat.number());
        own.map(|own| {
            let [x0, y0, x1, y1] = own.rect.map(|part| part * 100.0);
            let style = format!(
                "left:{x0:.2}%;top:{y0:.2}%;width:{:.2}%;height:{:.2}%",
                x1 - x0,
                y1 - y0
            );
            view! { <i class="is-true" style=style></i> }
        })
        .collect_view()
    };
    let size = move || spec.with(|own| own.as_ref().map(|own| (own.width, own.height)));
    let resize = move |event: leptos::ev::Event| {
        let (width, height) = (SIZES.iter())
            .find(|own| format!("{}x{}", own.0, own.1) == event_target_value(&event))
            .copied()
            .unwrap_or(SIZES[0]);
        bench.edit(|content| {
            if let Some(own) = seat.picture_mut(content) {
                (own.width, own.height) = (width, height);
            }
        });
    };
    let remove = move |_: leptos::ev::MouseEvent| {
        bench.edit(|content| {
            if let (Content::VisualQa { pictures, .. }, Seat::Own(k)) = (content, seat)
                && k < pictures.len()
            {
                pictures.remove(k);
            }
        });
        easel.picked.set(None);
    };
    let name = format!("Picture {}", seat.number() + 1);
    let radius = move || {
        let (own, at) = easel.picked.get()?;
        let picked = (own == seat).then_some(at)?;
        spec.with(|own| {
            let found = own
                .as_ref()?
                .objects
                .iter()
                .find(|own| own.quadrant == picked)?;
            Some((picked, found.radius_px))
        })
    };
    let picked_radius = Memo::new(move |_| radius());
    view! {
        <figure class="pad-frame">
            <figcaption>
                <span>{name.clone()}</span>
                <label><span class="sr">{format!("Size of picture {}", seat.number() + 1)}</span>
                    <select on:change=resize>
                        {SIZES.map(|(w, h)| view! {
                            <option value=format!("{w}x{h}") prop:selected=move || size() == Some((w, h))>{format!("{w} × {h}")}</option>
                        }).into_iter().collect_view()}
                    </select>
                </label>
                {(!alone).then(|| view! {
                    <button type="button" class="icon" aria-label=format!("Remove picture {}", seat.number() + 1)
                        disabled=move || bench.spec.with(|spec| matches!(&spec.content, Content::VisualQa { pictures, .. } if pictures.len() < 2))
                        on:click=remove>"×"</button>
                })}
            </figcaption>
            <div class="pad" role="group" aria-label=name node_ref=pad
                style=move || size().map(|(w, h)| format!("aspect-ratio:{w}/{h};max-width:{}px", w * 2)).unwrap_or_default()>
                <canvas node_ref=canvas aria-hidden="true"></canvas>
                {things.into_iter().collect_view()}
                {truth}
            </div>
            {move || picked_radius.get().map(|(at, radius)| view! {
                <label class="slider">"Size" <input type="range" min="19" max="24" prop:value=radius.to_string() on:input=move |event| {
                    let wanted: u8 = event_target_value(&event).parse().unwrap_or(22);
                    bench.edit(|content| if let Some(own) = thing_mut(seat, content, at) {
                        own.radius_px = wanted.clamp(19, 24);
                        settle(own);
                    });
                }/></label>
            })}
        </figure>
    }
}

/// A thing on its way.
#[derive(Debug, Clone)]
struct Drag {
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
fn settle(own: &mut ObjectSpec) {
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
fn Corner(
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
