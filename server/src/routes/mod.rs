//! Everything that answers HTTP: the API, media, pages, health.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use app::data::{GalleryCard, PolicyView};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use leptos::config::LeptosOptions;
use tokio::sync::{Semaphore, SemaphorePermit};
use tower_http::compression::CompressionLayer;

use crate::admission::Admission;
use crate::assets::Assets;
use crate::config::Limits;
use crate::depot::Depot;
use crate::error::{ApiError, ErrorCode};
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::tokens::TokenSets;
use crate::views::Views;

mod composed;
mod entry;
mod examples;
mod faithfulness;
mod figure;
pub mod guard;
mod health;
mod kin;
mod media;
mod models;
mod offline;
pub mod pages;
pub mod privacy;
mod share;
mod traces;
mod upload;
mod views;
mod without;

/// What every route shares.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// Behind [`AppState`].
pub struct Shared {
    /// Traces, media and the queue.
    pub depot: Arc<dyn Depot>,
    /// Bounds on requests.
    pub limits: Limits,
    /// Permits to read an upload.
    pub uploads: Semaphore,
    /// Drawable forms of sounds.
    pub views: Arc<Views>,
    /// Permits to draw a picture.
    pub drawing: Semaphore,
    /// Where the page's scripts and styles come from.
    pub assets: Assets,
    /// Ids of the shipped examples, in gallery order.
    pub gallery: Vec<crate::gallery::Slot>,
    /// Cards of finished examples.
    pub cards: Mutex<BTreeMap<String, GalleryCard>>,
    /// For server-side rendering.
    pub leptos: LeptosOptions,
    /// What the operator watches.
    pub metrics: Arc<Metrics>,
    /// Scheme and host under which this server is known; without them those of each request.
    pub public_origin: Option<(HeaderValue, HeaderValue)>,
    /// Of programs and operators.
    pub tokens: TokenSets,
    /// Who gets a place.
    pub admission: Arc<Admission>,
    /// Whether a proxy of the house's own tells where requests come from.
    pub forwarded_for: bool,
    /// What makes room on the disk.
    pub keeper: Arc<Keeper>,
    /// What is kept, for /privacy.
    pub policy: PolicyView,
}

impl AppState {
    /// Shares what the routes need.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Held while an upload is read or a sample is made; 429 when too many are.
    fn upload_permit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let message = "Too many uploads are under way. Try again in a few seconds.";
        let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", message);
        self.uploads
            .try_acquire()
            .map_err(|_| refused.retry_after(5))
    }

    /// The model that answers where none is chosen.
    fn default_model(&self) -> Result<String, ApiError> {
        let first = self.depot.models().into_iter().next();
        first.map(|model| model.name).ok_or_else(|| {
            let message = "This server has no model.";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_model", message)
        })
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}

/// The whole site.
pub fn router(state: AppState) -> Router {
    let api = Router::new()
        .route("/api/traces", post(traces::create))
        .route("/api/traces/{id}", get(traces::read))
        .route("/api/traces/{id}/events", get(traces::events))
        .route("/api/traces/{id}/stop", post(traces::stop))
        .route("/api/traces/{id}/faithfulness", post(faithfulness::ask))
        .route(
            "/api/traces/{id}/without",
            post(without::create).layer(DefaultBodyLimit::max(1 << 20)),
        )
        .route("/api/traces/{id}/share", post(share::create))
        .route("/api/traces/{id}/delete", post(share::delete))
        .route("/api/traces/{id}/report", post(privacy::report))
        .route("/api/admin/reports", get(privacy::reports))
        .route("/api/admin/takedown/{id}", post(privacy::take_down))
        .route("/join/{token}", get(entry::join))
        .route("/robots.txt", get(privacy::robots))
        .route("/s/{short}", get(share::follow))
        .route("/s/{short}/qr.svg", get(share::short_code))
        .route("/t/{id}/qr.svg", get(share::trace_code))
        .route("/t/{id}/card.png", get(figure::card))
        .route("/t/{id}/figure.svg", get(figure::svg))
        .route("/t/{id}/figure.png", get(figure::png))
        .route("/t/{id}/page.html", get(offline::page))
        .route("/api/examples/{task}", post(examples::create))
        .route(
            "/api/world",
            post(composed::create).layer(DefaultBodyLimit::max(64 << 10)),
        )
        .route("/api/models", get(models::list))
        .route("/api/limits", get(models::limits))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/api/{*rest}", axum::routing::any(unknown_route))
        .layer(DefaultBodyLimit::max(
            usize::try_from(state.limits.max_request_bytes).unwrap_or(usize::MAX),
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            guard::who_asks,
        ))
        .layer(middleware::from_fn(errors_as_json));
    // Not compressed: a player could no longer seek.
    let media = Router::new()
        .route("/media/{hash}", get(media::read))
        .route("/media/{hash}/v1/{view}", get(views::overview))
        .route("/media/{hash}/v1/{view}/{level}/{tile}", get(views::tile))
        .layer(middleware::from_fn(errors_as_json));
    api.merge(pages::router(&state))
        // Events are left as they are by the layer's own rules.
        .layer(CompressionLayer::new())
        .merge(media)
        .layer(middleware::from_fn_with_state(
            state.clone(),
            guard::one_host,
        ))
        .layer(middleware::from_fn(common_headers))
        .layer(middleware::from_fn_with_state(state.clone(), count))
        .with_state(state)
}

/// `GET /metrics` alone, for a listener of its own.
pub fn metrics_router(metrics: Arc<Metrics>, depot: Arc<dyn Depot>) -> Router {
    let read = move || {
        let (metrics, depot) = (metrics.clone(), depot.clone());
        async move {
            let text = blocking(move || Ok(metrics.render(&*depot))).await?;
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Ok::<_, ApiError>(([(header::CONTENT_TYPE, kind)], text))
        }
    };
    Router::new().route("/metrics", get(read))
}

async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let code = response.extensions().get::<ErrorCode>();
    (state.metrics).responded(response.status().as_u16(), code.map(|code| &*code.0));
    response
}

async fn unknown_route() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_route",
        "The API has no such address.",
    )
}

/// Errors that axum makes itself (wrong method, wrong path encoding, range) become `{code, message}` too.
async fn errors_as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    if !(status.is_client_error() || status.is_server_error()) || json {
        return response;
    }
    let (code, message) = match status {
        StatusCode::METHOD_NOT_ALLOWED => (
            "wrong_method",
            "This address does not answer to that method.",
        ),
        StatusCode::RANGE_NOT_SATISFIABLE => ("bad_range", "The file has no such bytes."),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("too_large", "The request is larger than this server takes.")
        }
        StatusCode::NOT_FOUND => ("not_found", "There is nothing at this address."),
        StatusCode::URI_TOO_LONG => ("too_long", "The address is too long."),
        StatusCode::SERVICE_UNAVAILABLE => (
            "unavailable",
            "The server is restarting. Try again in a moment.",
        ),
        status if status.is_client_error() => (
            "bad_request",
            "The request is not one that this server understands.",
        ),
        _ => (
            "internal",
            "The server could not do this. Please try again in a minute.",
        ),
    };
    let (parts, _) = response.into_parts();
    let mut replaced = ApiError::new(status, code, message).into_response();
    // `Allow` and `Content-Range` belong to the error.
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE {
            replaced.headers_mut().insert(name.clone(), value.clone());
        }
    }
    replaced
}

/// For answers that are not pages; pages bring a policy with a nonce of their own.
const NO_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

async fn common_headers(request: Request, next: Next) -> Response<Body> {
    let unlisted = privacy::is_unlisted(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(
        headers,
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        headers,
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    );
    set(headers, header::CONTENT_SECURITY_POLICY, NO_PAGE_POLICY);
    if unlisted {
        set(
            headers,
            HeaderName::from_static("x-robots-tag"),
            "noindex, nofollow, noarchive",
        );
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}

/// Runs blocking work (database, files) off the async threads.
async fn blocking<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(crate::error::ServerError::Lost("a task").into()),
    }
}
