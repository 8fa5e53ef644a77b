//! One drawn glyph per modality: shape carries the meaning where colour cannot.
//! In: a modality. Out: an inline SVG, hidden from screen readers.

use attribution::record::Modality;
use leptos::prelude::*;

/// The modality's name in `data-modality`, and so its colour in the style sheet.
pub fn modality_name(modality: Modality) -> &'static str {
    match modality {
        Modality::Text => "text",
        Modality::Image => "image",
        Modality::Audio => "audio",
        Modality::Video => "video",
    }
}

/// The glyph.
#[component]
pub fn Glyph(
    /// Whose.
    modality: Modality,
) -> impl IntoView {
    let path = match modality {
        Modality::Text => "M2.5 4h11M2.5 8h11M2.5 12h6.5",
        Modality::Image => "M2 3h12v10H2zM2.5 12l4-4.5 2.5 2.5 2-2 3 3.5M10.7 5.6h.01",
        Modality::Audio => "M2 7v2M5 4.5v7M8 2v12M11 5v6M14 7v2",
        Modality::Video => "M2 3h12v10H2zM6.6 5.6v4.8L10.6 8z",
    };
    view! {
        <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
            <path d=path></path>
        </svg>
    }
}
