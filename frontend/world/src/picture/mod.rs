//! Pictures: place coloured shapes in the quarters of a picture, with the mouse, a finger or the keyboard.
//! In: presses, drags, keys. Out: edits of the specification; the picture is drawn by the `world` crate after each.

mod corner;

use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use world::attributes::{Colour, Look, Quadrant, Shape};
use world::picture::SIZES;
use world::spec::{Content, ObjectSpec, preview};

use crate::bench::{Bench, Seat};
use crate::paint::{Palette, put};
use crate::starters::{object, picture};

use corner::{Corner, Drag, settle};

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
