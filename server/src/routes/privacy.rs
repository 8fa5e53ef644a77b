//! What visitors may expect: nothing is listed, what is kept is told, abuse can be reported and is taken down.

use app::data::PolicyView;
use axum::extract::{Form, FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::guard::{self, Caller};
use super::{AppState, blocking};
use crate::config::PolicyConfig;
use crate::error::ApiError;

/// Longest reason.
const MAX_REASON_CHARS: usize = 2000;

/// What search engines shall leave alone. Traces are not in it: a crawler that may not read a page never learns that it is
/// not to be listed, and lists its address when it finds it elsewhere. They carry `noindex` instead.
const ROBOTS: &str = "User-agent: *\nDisallow: /api/\nDisallow: /media/\nDisallow: /new\n";

/// `GET /robots.txt`.
pub async fn robots() -> Response {
    let kind = "text/plain; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], ROBOTS).into_response()
}

/// Whether what lies there is for those who have its link only.
pub fn is_unlisted(path: &str) -> bool {
    ["/t/", "/s/", "/media/", "/api/", "/compare/"]
        .iter()
        .any(|place| path.starts_with(place))
}

/// The policy in the page's words.
pub fn policy_view(config: &PolicyConfig) -> PolicyView {
    PolicyView {
        keep_days: config.keep_days,
        unshared_minutes: config.unshared_minutes,
        disk_quota_bytes: config.disk_quota,
        contact: config.contact.clone(),
    }
}

/// What is wrong with a trace.
#[derive(Debug, Deserialize)]
pub struct Wrong {
    #[serde(default)]
    reason: String,
}

/// `POST /api/traces/{id}/report`, as JSON or as the form of `/t/{id}/report`.
pub async fn report(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let said = if json {
        let read = Json::<Wrong>::from_request(request, &state).await;
        read.map(|Json(said)| said).ok()
    } else {
        let read = Form::<Wrong>::from_request(request, &state).await;
        read.map(|Form(said)| said).ok()
    };
    let reason = said.map(|said| said.reason.trim().to_owned());
    let Some(reason) = reason.filter(|reason| !reason.is_empty()) else {
        return Err(ApiError::bad_request(
            "Please say what is wrong, for example {\"reason\": \"It shows a person who did not agree.\"}.",
        ));
    };
    let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
    let (depot, wanted) = (state.depot.clone(), id.clone());
    let kept = blocking(move || {
        depot.load(&wanted)?.ok_or_else(ApiError::unknown_trace)?;
        Ok(depot.report(&wanted, &reason)?)
    })
    .await?;
    if !kept {
        let message = "Many reports came in just now. This trace will be looked at; please try again in an hour.";
        let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_reports", message);
        return Err(refused.retry_after(3600));
    }
    // The operator looks at the log, too; what was said stays in the data directory.
    tracing::warn!(%id, "a trace was reported: `omnitrace admin reports` tells why");
    if json {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    Ok(Redirect::to(&format!("/t/{id}/report?sent=1")).into_response())
}

/// `GET /api/admin/reports`, for operators.
pub async fn reports(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    guard::operator(&headers, &state.tokens)?;
    let depot = state.depot.clone();
    let reports = blocking(move || Ok(depot.reports()?)).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(reports)).into_response())
}

/// `POST /api/admin/takedown/{id}`, for operators.
pub async fn take_down(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let Caller::Operator(name) = caller else {
        // With the same words as elsewhere.
        guard::operator(&HeaderMap::new(), &state.tokens)?;
        return Err(ApiError::unknown_trace());
    };
    let (depot, wanted) = (state.depot.clone(), id.clone());
    if !blocking(move || Ok(depot.take_down(&wanted)?)).await? {
        return Err(ApiError::unknown_trace());
    }
    tracing::warn!(%id, operator = %name, "a trace was taken down");
    Ok(Json(json!({"id": id, "removed": true})).into_response())
}
