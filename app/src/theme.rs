//! Light or dark: the system's choice until the visitor makes another.
//! In: the `theme` cookie, so that the server already renders the choice. Out: `data-theme` on `<html>`; the switch
//! itself is a few lines of `/boot.js`, so that it works before any wasm is there.

use leptos::prelude::*;

/// The visitor's own choice: "light", "dark", or none.
pub fn chosen() -> Option<&'static str> {
    let parts = use_context::<http::request::Parts>()?;
    // An embed says what suits the page around it.
    let query = parts.uri.query().unwrap_or_default();
    if let Some(theme) = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("theme="))
    {
        match theme {
            "light" => return Some("light"),
            "dark" => return Some("dark"),
            _ => {}
        }
    }
    let cookies = parts.headers.get(http::header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|pair| match pair.trim() {
        "theme=light" => Some("light"),
        "theme=dark" => Some("dark"),
        _ => None,
    })
}

/// The switch in the header.
#[component]
pub fn ThemeToggle() -> impl IntoView {
    view! {
        <button type="button" class="icon needs-js" aria-label="Switch between light and dark" data-switch-theme="">
            <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
                <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.5"></circle>
                <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor"></path>
            </svg>
        </button>
    }
}
