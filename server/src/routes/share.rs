//! Short links with their QR codes, and the deletion of a trace.

use app::lens::pairs;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};

use super::{AppState, blocking};
use crate::error::ApiError;
use crate::store::State as Stored;

/// Longest view that a short link may hold.
const MAX_VIEW_BYTES: usize = 500;

/// What is to be shared.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// The query of the page, `?s=1&signal=attraw`, or nothing.
    #[serde(default)]
    view: String,
}

#[derive(Debug, Serialize)]
struct Short {
    url: String,
}

/// `POST /api/traces/{id}/share`: the short link of a view.
pub async fn create(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Response, ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "?&=._,-".contains(c);
    if wanted.view.len() > MAX_VIEW_BYTES || !wanted.view.chars().all(plain) {
        return Err(ApiError::bad_request(
            "This is not a view of the page. Send its query, for example {\"view\": \"?s=1\"}.",
        ));
    }
    // In one order and without empty parts: the same view has one short link.
    let view: Vec<String> = pairs(&wanted.view)
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let view = if view.is_empty() {
        String::new()
    } else {
        format!("?{}", view.join("&"))
    };
    let depot = state.depot.clone();
    let short = blocking(move || {
        depot.load(&id)?.ok_or_else(ApiError::unknown_trace)?;
        Ok(depot.share(&id, &view)?)
    })
    .await?;
    let url = format!("/s/{short}");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, url.clone())],
        Json(Short { url }),
    )
        .into_response())
}

/// `GET /s/{short}`: on to the trace.
pub async fn follow(
    State(state): State<AppState>,
    Path(short): Path<String>,
) -> Result<Response, ApiError> {
    let depot = state.depot.clone();
    let found = blocking(move || Ok(depot.shared(&short)?)).await?;
    // An unknown one leads to the page that says there is no such trace.
    let to = found.map_or("/t/unknown".to_owned(), |(id, view)| {
        format!("/t/{id}{view}")
    });
    Ok(Redirect::to(&to).into_response())
}

/// `GET /s/{short}/qr.svg`.
pub async fn short_code(
    Path(short): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    code(&headers, &format!("/s/{short}"))
}

/// `GET /t/{id}/qr.svg`.
pub async fn trace_code(Path(id): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    code(&headers, &format!("/t/{id}"))
}

fn code(headers: &HeaderMap, path: &str) -> Result<Response, ApiError> {
    let link = format!("{}{path}", app::origin_of(headers));
    let code = QrCode::new(link.as_bytes())
        .map_err(|_| ApiError::bad_request("This address is too long for a QR code."))?;
    // Black on white with its quiet zone, in light and dark: cameras want it so.
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(200, 200)
        .build();
    Ok((
        [
            (header::CONTENT_TYPE, "image/svg+xml"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        picture,
    )
        .into_response())
}

/// The key of a deletion.
#[derive(Debug, Deserialize)]
pub struct Key {
    #[serde(default)]
    key: String,
}

/// `POST /api/traces/{id}/delete?key=…`: the trace, its short links and its files are gone.
pub async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(Key { key }): Query<Key>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let depot = state.depot.clone();
    let wanted = id.clone();
    blocking(move || {
        let stored = depot.load(&wanted)?.ok_or_else(ApiError::unknown_trace)?;
        if !depot.may_delete(&wanted, &key)? {
            let message = "This is not the delete link of this trace. It was shown once, to the browser that sent it.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "wrong_key", message));
        }
        if stored.state == Stored::Open {
            let message = "The trace is still being made. Stop it first, then delete it.";
            return Err(ApiError::new(StatusCode::CONFLICT, "not_finished", message));
        }
        Ok(depot.delete(&wanted)?)
    })
    .await?;
    tracing::info!(%id, "trace deleted");
    let html = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if html {
        return Ok(Redirect::to("/").into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
