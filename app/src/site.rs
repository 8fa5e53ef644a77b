//! The document, the router and the frame around every page.
//! In: a request. Out: a whole HTML document with its security policy.

use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::SsrMode;
use leptos_router::components::{A, Route, Router, Routes};
use leptos_router::path;

use crate::pages::{
    About, ComparePage, DeletePage, EmbedPage, Eval, Home, Missing, New, Privacy, ReportPage,
    StagePage, TracePage, World,
};
use crate::theme::{self, ThemeToggle};

/// The document around the app, for the server.
pub fn shell(_options: LeptosOptions) -> impl IntoView {
    set_policy();
    let nonce = leptos::nonce::use_nonce();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme::chosen()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="stylesheet" href="/pkg/omnitrace.css"/>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="icon" href="/favicon.png" type="image/png" sizes="64x64"/>
                <meta property="og:site_name" content="OmniTrace"/>
                <meta property="og:type" content="website"/>
                <meta name="twitter:card" content="summary_large_image"/>
                <script type="module" src="/boot.js" nonce=nonce></script>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// Strict: own files only, and no inline script but those that carry this response's nonce.
fn set_policy() {
    let Some(response) = use_context::<leptos_axum::ResponseOptions>() else {
        return;
    };
    let nonce = leptos::nonce::use_nonce()
        .map(|nonce| format!(" 'nonce-{nonce}'"))
        .unwrap_or_default();
    // An embed is made to stand in other people's pages; nothing else may.
    let path = use_context::<http::request::Parts>().map(|parts| parts.uri.path().to_owned());
    let frames = match path {
        Some(path) if path.starts_with("/t/") && path.ends_with("/embed") => "*",
        _ => "'self'",
    };
    let policy = format!(
        "default-src 'self'; script-src 'self'{nonce} 'wasm-unsafe-eval'; style-src 'self'; \
         style-src-attr 'unsafe-inline'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors {frames}"
    );
    if let Ok(value) = http::HeaderValue::from_str(&policy) {
        response.insert_header(http::header::CONTENT_SECURITY_POLICY, value);
    }
}

/// Under which address a request reached this server: from its `Host` and what a proxy says of the scheme.
pub fn origin_of(headers: &http::HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let plain = |host: &&str| {
        host.chars()
            .all(|c| c.is_ascii_alphanumeric() || ".:-[]".contains(c))
    };
    let host = text("host").filter(plain).unwrap_or("localhost");
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

/// [`origin_of`] the request that is being rendered.
pub fn origin() -> String {
    use_context::<http::request::Parts>()
        .map_or_else(String::new, |parts| origin_of(&parts.headers))
}

/// Tells the response that the page is an error page.
pub fn set_status(code: u16) {
    if let (Some(response), Ok(status)) = (
        use_context::<leptos_axum::ResponseOptions>(),
        http::StatusCode::from_u16(code),
    ) {
        response.set_status(status);
    }
}

/// The whole page. Links are plain: every page is a document of its own, and small.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=|text: String| if text.is_empty() { "OmniTrace".to_owned() } else { format!("{text} · OmniTrace") }/>
        <Router>
            <Routes fallback=|| view! { <Frame><Missing/></Frame> }>
                <Route path=path!("/") view=|| view! { <Frame><Home/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/new") view=|| view! { <Frame><New/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/world") view=|| view! { <Frame><World/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/t/:id") view=|| view! { <Frame><TracePage/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/t/:id/embed") view=EmbedPage ssr=SsrMode::Async/>
                <Route path=path!("/t/:id/present") view=StagePage ssr=SsrMode::Async/>
                <Route path=path!("/t/:id/delete") view=|| view! { <Frame><DeletePage/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/t/:id/report") view=|| view! { <Frame><ReportPage/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/compare/:left/:right") view=|| view! { <Frame><ComparePage/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/eval") view=|| view! { <Frame><Eval/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/privacy") view=|| view! { <Frame><Privacy/></Frame> } ssr=SsrMode::Async/>
                <Route path=path!("/about") view=|| view! { <Frame><About/></Frame> } ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}

/// What is around a page of the site; embeds and the stage go without.
#[component]
fn Frame(children: Children) -> impl IntoView {
    view! {
            <a class="skip" href="#main">"Skip to the content"</a>
            <header class="site">
                <A href="/" attr:class="brand">
                    <Mark/>
                    "OmniTrace"
                </A>
                <nav aria-label="Site">
                    <A href="/new">"New trace"</A>
                    <A href="/eval">"Evaluation"</A>
                    <A href="/about">"About"</A>
                    <ThemeToggle/>
                </nav>
            </header>
            <main id="main">{children()}</main>
            <footer class="site">
                <p>
                    "Attention shows where a model looked; it is not proof of cause. "
                    <A href="/about">"How to read a trace"</A> " · " <A href="/privacy">"Privacy"</A>
                </p>
            </footer>
    }
    .into_any()
}

/// The brand's mark: four threads, one per modality, meeting in one sentence.
#[component]
fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path class="m-text" d="M3 4.5C10 4.5 10 12 15 12"></path>
            <path class="m-image" d="M3 9.5c5 0 6 2.5 12 2.5"></path>
            <path class="m-audio" d="M3 14.5c5 0 6-2.5 12-2.5"></path>
            <path class="m-video" d="M3 19.5c7 0 7-7.5 12-7.5"></path>
            <circle cx="18" cy="12" r="3.4"></circle>
        </svg>
    }
}
