//! `GET /media/{hash}`: a stored file, with ranges, under the type that its first bytes show.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::{AppState, blocking};
use crate::blobs;
use crate::error::ApiError;

/// The name is the content's hash: what it names never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub async fn read(
    State(state): State<AppState>,
    Path(hash): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let etag = HeaderValue::try_from(format!("\"{hash}\"")).ok();
    let depot = state.depot.clone();
    let (path, kind) = blocking(move || {
        let path = depot.media(&hash)?.ok_or_else(|| {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "unknown_media",
                "There is no file under this address.",
            )
        })?;
        let kind = blobs::kind(&path)?.mime();
        Ok((path, kind))
    })
    .await?;
    if etag.is_some() && request.headers().get(header::IF_NONE_MATCH) == etag.as_ref() {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let mime = kind
        .parse()
        .map_err(|_| ApiError::bad_request("The file has no type."))?;
    let response = match ServeFile::new_with_mime(path, &mime).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    // The time at which a file was first uploaded is nobody's business.
    headers.remove(header::LAST_MODIFIED);
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, FOREVER);
        if let Some(etag) = etag {
            headers.insert(header::ETAG, etag);
        }
    }
    Ok(response)
}
