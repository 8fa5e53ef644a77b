//! `GET /t/{id}/card.png`, `/t/{id}/figure.svg`, `/t/{id}/figure.png`: a trace as a picture.

use attribution::record::Record;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{AppState, blocking};
use crate::error::ApiError;
use crate::figure::{self, Kind};
use crate::store::{State as Stored, from_json};

/// The card of a link.
pub async fn card(
    state: State<AppState>,
    id: Path<String>,
    query: RawQuery,
) -> Result<Response, ApiError> {
    picture(state, id, query, Kind::Card, true).await
}

/// The figure as SVG.
pub async fn svg(
    state: State<AppState>,
    id: Path<String>,
    query: RawQuery,
) -> Result<Response, ApiError> {
    picture(state, id, query, Kind::Figure, false).await
}

/// The figure as PNG.
pub async fn png(
    state: State<AppState>,
    id: Path<String>,
    query: RawQuery,
) -> Result<Response, ApiError> {
    picture(state, id, query, Kind::Figure, true).await
}

async fn picture(
    State(state): State<AppState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    kind: Kind,
    as_png: bool,
) -> Result<Response, ApiError> {
    let Ok(_permit) = state.drawing.acquire().await else {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The server is restarting. Try again in a moment.",
        ));
    };
    let depot = state.depot.clone();
    let name = format!(
        "inline; filename=\"omnitrace-{id}.{}\"",
        if as_png { "png" } else { "svg" }
    );
    let bytes = blocking(move || {
        let stored = depot.load(&id)?.ok_or_else(ApiError::unknown_trace)?;
        let (Stored::Finished, Some(json)) = (stored.state, depot.record_json(&id)?) else {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "not_finished",
                "The trace is not finished. Wait until the answer is complete.",
            ));
        };
        let record: Record = from_json("record", &json)?;
        let media = |hash: &str| depot.media_bytes(hash).ok().map(|bytes| bytes.to_vec());
        let query = query.unwrap_or_default();
        let svg = figure::svg(&record, &stored.request.prompt, &query, kind, &media);
        if as_png {
            Ok(figure::png(&svg)?)
        } else {
            Ok(svg.into_bytes())
        }
    })
    .await?;
    let kind = if as_png { "image/png" } else { "image/svg+xml" };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CACHE_CONTROL, "public, max-age=3600".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bytes).into_response())
}
