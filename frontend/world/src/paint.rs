//! Pixels of the `world` crate on canvases of the page.

use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};
use world::attributes::{Colour, Look, Shape};

/// Puts RGB pixels onto a canvas of their own size.
pub fn put(canvas: Option<HtmlCanvasElement>, width: u32, height: u32, rgb: &[u8]) {
    let Some(canvas) = canvas else {
        return;
    };
    let context = canvas.get_context("2d").ok().flatten();
    let Some(context) = context.and_then(|own| own.dyn_into::<CanvasRenderingContext2d>().ok())
    else {
        return;
    };
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    let rgba: Vec<u8> = rgb
        .chunks_exact(3)
        .flat_map(|own| [own[0], own[1], own[2], 255])
        .collect();
    if let Ok(data) = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&rgba), width, height) {
        let _ = context.put_image_data(&data, 0.0, 0.0);
    }
}

/// A shape as the model would see it, small.
#[component]
pub fn Swatch(
    /// What.
    #[prop(into)]
    look: Signal<Look>,
) -> impl IntoView {
    const SIDE_PX: u32 = 44;
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        let rgb = world::picture::swatch(look.get(), SIDE_PX, [243, 243, 246]);
        put(canvas.get(), SIDE_PX, SIDE_PX, &rgb);
    });
    view! { <canvas class="swatch" node_ref=canvas width=SIDE_PX height=SIDE_PX aria-hidden="true"></canvas> }
}

/// A row of shapes and a row of colours; what is pressed is `look`.
#[component]
pub fn Palette(
    /// What is chosen now.
    #[prop(into)]
    look: Signal<Look>,
    /// Called with what is chosen next.
    choose: Callback<Look>,
) -> impl IntoView {
    let shapes = Shape::ALL.map(|shape| {
        let own = Signal::derive(move || Look {
            shape,
            colour: look.get().colour,
        });
        view! {
            <button type="button" class="pick" title=shape.name() aria-label=shape.name()
                aria-pressed=move || (look.get().shape == shape).to_string()
                on:click=move |_| choose.run(own.get_untracked())>
                <Swatch look=own/>
            </button>
        }
    });
    let colours = Colour::ALL.map(|colour| {
        let [r, g, b] = colour.rgb();
        view! {
            <button type="button" class="pick ink" title=colour.name() aria-label=colour.name()
                aria-pressed=move || (look.get().colour == colour).to_string()
                on:click=move |_| choose.run(Look { colour, ..look.get_untracked() })>
                <i style=format!("background:rgb({r} {g} {b})")></i>
            </button>
        }
    });
    view! {
        <div class="palette">
            <div role="group" aria-label="Shape">{shapes.into_iter().collect_view()}</div>
            <div role="group" aria-label="Colour">{colours.into_iter().collect_view()}</div>
        </div>
    }
}
