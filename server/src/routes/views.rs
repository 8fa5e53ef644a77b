//! `GET /media/{hash}/v1/{view}` and `/media/{hash}/v1/{view}/{level}/{tile}`: what a page draws a long sound from.
//! `view` is `peaks` or `spectrum`; level 0 is the finest. The first address gives the header, of peaks the coarsest level
//! behind it; tiles of peaks are bytes, those of a spectrum PNG pictures.

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use media::view::HEADER_BYTES;

use super::{AppState, blocking, media::FOREVER};
use crate::blobs;
use crate::error::{ApiError, ServerError};
use crate::views::{View, shape};

pub async fn overview(
    State(state): State<AppState>,
    Path((hash, view)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let view = View::from_name(&view).ok_or_else(unknown)?;
    let path = state.views.file(&hash, view).await?;
    let bytes = blocking(move || {
        let part = match view {
            View::Peaks => shape(&path)?.overview(),
            View::Spectrum => 0..HEADER_BYTES as u64,
        };
        Ok(blobs::part(&path, part)?)
    })
    .await?;
    Ok(answer("application/octet-stream", bytes))
}

pub async fn tile(
    State(state): State<AppState>,
    Path((hash, view, level, tile)): Path<(String, String, usize, u64)>,
) -> Result<Response, ApiError> {
    let view = View::from_name(&view).ok_or_else(unknown)?;
    let path = state.views.file(&hash, view).await?;
    let bytes = blocking(move || {
        let part = shape(&path)?.tile(level, tile).ok_or_else(unknown)?;
        let bytes = blobs::part(&path, part)?;
        match view {
            View::Peaks => Ok(bytes),
            View::Spectrum => ::media::view::spectrum_png(&bytes)
                .map_err(|error| ServerError::Picture(error.to_string()).into()),
        }
    })
    .await?;
    let kind = match view {
        View::Peaks => "application/octet-stream",
        View::Spectrum => "image/png",
    };
    Ok(answer(kind, bytes))
}

fn unknown() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_view",
        "There is no such view of this file.",
    )
}

/// The address names content and layout: what it names never changes.
fn answer(kind: &'static str, bytes: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, kind)];
    let mut response = (headers, bytes).into_response();
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, FOREVER);
    // As the file itself: not for pages of other sites.
    own.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}
