//! `GET /media/{hash}`: a stored file, with ranges, under the type that its first bytes show.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::{AppState, blocking};
use crate::blobs;
use crate::error::ApiError;

/// The name is the content's hash: what it names never changes.
pub(super) const FOREVER: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");

pub async fn read(
    State(state): State<AppState>,
    Path(hash): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = hash.clone();
    let etag = HeaderValue::try_from(format!("\"{hash}\"")).ok();
    let depot = state.depot.clone();
    let (kind, path) = blocking(move || {
        let path = depot.media(&hash)?.ok_or_else(|| {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "unknown_media",
                "There is no file under this address.",
            )
        })?;
        Ok((blobs::kind(&path)?, path))
    })
    .await?;
    if etag.is_some() && request.headers().get(header::IF_NONE_MATCH) == etag.as_ref() {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let mime = (kind.mime().parse()).map_err(|_| ApiError::bad_request("The file has no type."))?;
    let response = match ServeFile::new_with_mime(path, &mime).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    // The time at which a file was first uploaded is nobody's business.
    headers.remove(header::LAST_MODIFIED);
    // Pages of other sites may not load what visitors sent here. A whole page of this one may be framed, files not.
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    if let Ok(disposition) = HeaderValue::try_from(disposition(kind, &name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, FOREVER);
        if let Some(etag) = etag {
            headers.insert(header::ETAG, etag);
        }
    }
    Ok(response)
}

/// Shown in place as what its bytes are, or else only to be saved; the name is never the visitor's.
fn disposition(kind: media::Kind, hash: &str) -> String {
    let how = match kind.family() {
        Some(_) => "inline",
        None => "attachment",
    };
    let ending = match kind.mime().split_once('/') {
        Some((_, "jpeg")) => ".jpg",
        Some((_, "png")) => ".png",
        Some((_, "webp")) => ".webp",
        Some((_, "gif")) => ".gif",
        Some((_, "wav")) => ".wav",
        Some(("audio", "mpeg")) => ".mp3",
        Some((_, "flac")) => ".flac",
        Some((_, "ogg")) => ".ogg",
        Some(("audio", "mp4")) => ".m4a",
        Some(("video", "mp4")) => ".mp4",
        Some((_, "quicktime")) => ".mov",
        Some((_, "webm")) => ".webm",
        _ => "",
    };
    format!("{how}; filename=\"{hash}{ending}\"")
}
