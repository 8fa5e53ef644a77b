//! Light or dark: the system's choice until the visitor makes another.
//! In: the `theme` cookie, so that the server already renders the choice. Out: `data-theme` on `<html>`.

use leptos::prelude::*;

/// The visitor's own choice: "light", "dark", or none. Server only; the browser keeps what the server rendered.
pub fn chosen() -> Option<&'static str> {
    #[cfg(feature = "ssr")]
    {
        let parts = use_context::<http::request::Parts>()?;
        let cookies = parts
            .headers
            .get(http::header::COOKIE)?
            .to_str()
            .ok()?
            .to_owned();
        cookies.split(';').find_map(|pair| match pair.trim() {
            "theme=light" => Some("light"),
            "theme=dark" => Some("dark"),
            _ => None,
        })
    }
    #[cfg(not(feature = "ssr"))]
    None
}

fn toggle() {
    let Some(root) = document().document_element() else {
        return;
    };
    let system_dark = || {
        window()
            .match_media("(prefers-color-scheme: dark)")
            .ok()
            .flatten()
            .is_some_and(|query| query.matches())
    };
    let dark = match root.get_attribute("data-theme").as_deref() {
        Some("dark") => true,
        Some("light") => false,
        _ => system_dark(),
    };
    let theme = if dark { "light" } else { "dark" };
    let _ = root.set_attribute("data-theme", theme);
    use wasm_bindgen::JsCast;
    if let Ok(page) = document().dyn_into::<web_sys::HtmlDocument>() {
        let _ = page.set_cookie(&format!(
            "theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax"
        ));
    }
}

/// The switch in the header.
#[component]
pub fn ThemeToggle() -> impl IntoView {
    view! {
        <button type="button" class="icon needs-js" aria-label="Switch between light and dark" on:click=|_| toggle()>
            <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
                <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.5"></circle>
                <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor"></path>
            </svg>
        </button>
    }
}
