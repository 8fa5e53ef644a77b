//! What a lane shows of a window: waveform, spectrogram, or a film's frames.
//! In: the window and what tiles are there. Out: pixels, and wishes for finer tiles.

use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlElement, HtmlImageElement};

use super::board::page;
use super::tiles::{Peaks, Pictures, fixed};
use super::window::Window;

/// A waveform's largest amplitude, as a part of half the lane.
const FULL_SCALE: f64 = 0.94;

/// A canvas of its parent's size.
pub(super) struct Surface {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
}

/// A cleared surface: its size and the pixels of the device per pixel of the page.
pub(super) struct Sheet<'a> {
    pub(super) context: &'a CanvasRenderingContext2d,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) density: f64,
}

impl Surface {
    /// A canvas before all else in `parent`.
    pub(super) fn within(parent: &HtmlElement) -> Option<Self> {
        let canvas: HtmlCanvasElement = page()?.create_element("canvas").ok()?.dyn_into().ok()?;
        let _ = canvas.set_attribute("aria-hidden", "true");
        let context = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        parent.prepend_with_node_1(&canvas).ok()?;
        Some(Self { canvas, context })
    }

    /// Clear and as large as it is shown; filled shapes take the canvas' text colour.
    pub(super) fn cleared(&self) -> Sheet<'_> {
        let browser = web_sys::window();
        let density = (browser.as_ref())
            .map_or(1.0, |browser| browser.device_pixel_ratio())
            .clamp(1.0, 3.0);
        let size = |css: i32| (f64::from(css) * density).round().clamp(1.0, 8_192.0);
        let (width, height) = (
            size(self.canvas.client_width()),
            size(self.canvas.client_height()),
        );
        if f64::from(self.canvas.width()) != width || f64::from(self.canvas.height()) != height {
            self.canvas.set_width(width as u32);
            self.canvas.set_height(height as u32);
        }
        self.context.clear_rect(0.0, 0.0, width, height);
        let style = browser.and_then(|browser| browser.get_computed_style(&self.canvas).ok()?);
        let colour = style.and_then(|style| style.get_property_value("color").ok());
        self.context.set_fill_style_str(&colour.unwrap_or_default());
        Sheet {
            context: &self.context,
            width,
            height,
            density,
        }
    }
}

/// Lowest to highest sample under every pixel. False where there is nothing to draw from yet.
pub(super) fn wave(sheet: &Sheet<'_>, peaks: &Rc<Peaks>, window: Window) -> bool {
    let Some(shape) = peaks.shape() else {
        return false;
    };
    let pixel_secs = window.span() / sheet.width;
    let level = shape.level_for(pixel_secs);
    let column_secs = shape.column_secs(level);
    let column = |secs: f64| (secs / column_secs).max(0.0) as u64;
    peaks.want(&shape, level, column(window.from), column(window.to));
    let middle = sheet.height / 2.0;
    let scale = middle * FULL_SCALE / 127.0;
    let mut at = window.from;
    for x in 0..sheet.width as u32 {
        let next = window.from + f64::from(x + 1) * pixel_secs;
        if let Some((low, high)) = peaks.extremes(&shape, level, column(at), column(next)) {
            let top = middle - f64::from(high) * scale;
            let height = (f64::from(high) - f64::from(low)) * scale;
            let least = sheet.density;
            let (top, height) = if height < least {
                (top - (least - height) / 2.0, least)
            } else {
                (top, height)
            };
            sheet.context.fill_rect(f64::from(x), top, 1.0, height);
        }
        at = next;
    }
    true
}

/// The pictures of the spectrum, in the colour of the canvas. False where there is nothing to draw from yet.
pub(super) fn spectrum(sheet: &Sheet<'_>, pictures: &Pictures, window: Window) -> bool {
    let Some(shape) = pictures.shape() else {
        return false;
    };
    let pixel_secs = window.span() / sheet.width;
    let level = shape.level_for(pixel_secs);
    let wide = u64::from(shape.tile_columns);
    let tile_secs = shape.column_secs(level) * wide as f64;
    let columns = shape.levels().get(level).copied().unwrap_or(1);
    let last = ((window.to / tile_secs) as u64).min((columns - 1) / wide);
    let mut drawn = false;
    for tile in (window.from / tile_secs) as u64..=last {
        pictures.want(&shape, level, tile);
        let Some((image, coarse, of)) = pictures.find(level, tile) else {
            continue;
        };
        // The part of a coarser picture that shows the same seconds.
        let factor = (1u64 << (2 * (coarse - level))) as f64;
        let part = wide as f64 / factor;
        let from = (tile as f64 - of as f64 * factor) * part;
        let part = part.min(f64::from(image.natural_width()) - from);
        let begin = tile as f64 * tile_secs;
        let end = begin + part * shape.column_secs(coarse);
        // Whole pixels: between two that are covered in part a seam would show.
        let pixel = |secs: f64| ((secs - window.from) / pixel_secs).round();
        let (x0, x1) = (pixel(begin), pixel(end));
        if part <= 0.0 || x1 <= x0 {
            continue;
        }
        let done = sheet
            .context
            .draw_image_with_html_image_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
                &image,
                from,
                0.0,
                part,
                f64::from(image.natural_height()),
                x0,
                0.0,
                x1 - x0,
                sheet.height,
            );
        drawn |= done.is_ok();
    }
    // The pictures are black where there is sound: what they cover takes the colour.
    let _ = sheet.context.set_global_composite_operation("source-in");
    sheet.context.fill_rect(0.0, 0.0, sheet.width, sheet.height);
    let _ = sheet.context.set_global_composite_operation("source-over");
    drawn
}

/// Names of frequencies, as HTML over the lane: from low to high on the mel scale.
pub(super) fn frequencies(top_hz: f64) -> String {
    let mel = |hz: f64| js_sys::Math::log(1.0 + hz / 700.0);
    [(250.0, "250 Hz"), (1_000.0, "1 kHz"), (4_000.0, "4 kHz")]
        .into_iter()
        .filter(|(hz, _)| *hz < top_hz * 0.8)
        .map(|(hz, name)| {
            let height = fixed(mel(hz) / mel(top_hz) * 100.0, 1);
            format!("<span style=\"bottom:{height}%\">{name}</span>")
        })
        .collect()
}

/// A film's frames, each as wide as it is, at the moments at which they stand. False where none is loaded.
pub(super) fn strip(
    sheet: &Sheet<'_>,
    frames: &[HtmlImageElement],
    window: Window,
    length: f64,
) -> bool {
    let loaded = |frame: &&HtmlImageElement| frame.complete() && frame.natural_height() > 0;
    let Some(one) = frames.iter().find(loaded) else {
        return false;
    };
    let ratio = f64::from(one.natural_width()) / f64::from(one.natural_height());
    let wide = (sheet.height * ratio).max(8.0);
    let pixel_secs = window.span() / sheet.width;
    let begin = window.from / pixel_secs;
    let first = (begin / wide).floor();
    let mut x = first * wide - begin;
    while x < sheet.width {
        let middle = window.from + (x + wide / 2.0) * pixel_secs;
        let at = (middle / length * frames.len() as f64).max(0.0) as usize;
        let frame = &frames[at.min(frames.len() - 1)];
        if loaded(&frame) {
            let _ = sheet
                .context
                .draw_image_with_html_image_element_and_dw_and_dh(
                    frame,
                    x,
                    0.0,
                    wide - sheet.density,
                    sheet.height,
                );
        }
        x += wide;
    }
    true
}
