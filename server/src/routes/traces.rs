//! `/api/traces`: send a question, read its record, follow its events, stop it.

use app::data::{ModelState, RequestView};
use attribution::record::ChildOf;
use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AppState, blocking, upload};
use crate::admission::Admitted;
use crate::depot::Stopped;
use crate::error::ApiError;
use crate::jobs::{Place, Refused};
use crate::sample::Options;
use crate::store::{NewTrace, State as Stored};
use crate::truth::Truth;
use crate::{id, sse};

/// What was accepted.
#[derive(Debug, Serialize)]
pub struct Accepted {
    id: String,
    url: String,
    /// Who holds this link may delete the trace.
    delete: String,
    /// Seconds until it begins, as far as can be told.
    expected_wait_secs: Option<f64>,
}

/// 202 with where to look.
pub fn accepted(id: String, delete_key: &str, expected_wait_secs: Option<f64>) -> Response {
    let url = format!("/t/{id}");
    let delete = format!("/t/{id}/delete?key={delete_key}");
    let location = HeaderValue::try_from(&url);
    let accepted = Accepted {
        id,
        url,
        delete,
        expected_wait_secs,
    };
    let mut response = (StatusCode::ACCEPTED, Json(accepted)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub async fn create(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    // Before a byte of the upload is read.
    let (parts, body) = request.into_parts();
    let place = state.admit(&parts, upload::declared_bytes(&parts)).await?;
    let request = Request::from_parts(parts, body);
    let (mut request, options) = upload::read(&state, request).await?;
    request.model = choose_model(&state, &options)?;
    let submission = Submission {
        request,
        options,
        ..Submission::default()
    };
    submit(&state, submission, place).await
}

/// What is to be traced; its media are stored.
#[derive(Debug, Default)]
pub struct Submission {
    pub request: RequestView,
    pub options: Options,
    /// World task, or empty.
    pub task: String,
    /// Where it is known.
    pub truth: Option<Truth>,
    /// Of which trace it repeats the question, and what it leaves out.
    pub child_of: Option<ChildOf>,
}

/// Queues it.
pub async fn submit(
    state: &AppState,
    submission: Submission,
    place: Admitted,
) -> Result<Response, ApiError> {
    let (id, delete_key) = (id::fresh()?, id::fresh()?);
    let new = NewTrace {
        id: id.clone(),
        request: submission.request,
        options: submission.options,
        task: submission.task,
        gallery: None,
        delete_key: Some(delete_key.clone()),
        truth: submission.truth,
        child_of: submission.child_of,
        marks: place.marks().clone(),
    };
    let depot = state.depot.clone();
    let wait_secs = blocking(move || {
        depot.submit(&new).map_err(refusal)?;
        Ok(depot.wait_secs(&new.id))
    })
    .await?;
    place.keep(&id);
    tracing::info!(%id, "trace accepted");
    Ok(accepted(id, &delete_key, wait_secs))
}

/// What a form gets: with JavaScript or from a program the JSON; a plain form follows the redirect.
pub fn for_form(headers: &HeaderMap, answer: Response) -> Response {
    let html = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let to = answer.headers().get(header::LOCATION);
    match to.and_then(|url| url.to_str().ok()) {
        Some(url) if html => Redirect::to(url).into_response(),
        _ => answer,
    }
}

/// The error of a refused job.
pub fn refusal(refused: Refused) -> ApiError {
    match refused {
        Refused::Full { retry_after_secs } => ApiError::queue_full(retry_after_secs),
        Refused::Closing => {
            let message = "The server is about to restart. Try again in a minute.";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "restarting", message).retry_after(60)
        }
        Refused::Store(error) => error.into(),
    }
}

fn choose_model(state: &AppState, options: &Options) -> Result<String, ApiError> {
    let models = state.depot.models();
    if models.is_empty() {
        let message = "No machine is at work just now. Try again in a minute.";
        let refused = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_worker", message);
        return Err(refused.retry_after(30));
    }
    let wanted = options.model.as_deref().filter(|name| !name.is_empty());
    let found = match wanted {
        None => models.first(),
        Some(name) => models.iter().find(|model| model.name == name),
    };
    if let Some(model) = found
        && model.state == ModelState::Fetching
    {
        let message = format!(
            "The files of {} are still being downloaded. Please try again in some minutes, or choose another model.",
            model.name
        );
        let refused = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message);
        return Err(refused.retry_after(60));
    }
    found.map(|model| model.name.clone()).ok_or_else(|| {
        let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        let message = format!(
            "This server has no model {:?}. It has: {}.",
            wanted.unwrap_or_default(),
            known.join(", ")
        );
        ApiError::new(StatusCode::BAD_REQUEST, "unknown_model", message)
    })
}

pub async fn read(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (depot, wanted) = (state.depot.clone(), id.clone());
    let (stored, record, place) = blocking(move || {
        let Some(stored) = depot.load(&wanted)? else {
            if depot.was_taken_down(&wanted)? {
                return Err(ApiError::new(
                    StatusCode::GONE,
                    "taken_down",
                    "Whoever runs this server has removed this trace.",
                ));
            }
            return Err(ApiError::unknown_trace());
        };
        let (record, place) = match stored.state {
            Stored::Finished => (depot.record_json(&wanted)?, None),
            Stored::Failed { .. } => (None, None),
            Stored::Open => (None, depot.place(&wanted)),
        };
        Ok((stored, record, place))
    })
    .await?;
    match (stored.state, record) {
        (Stored::Finished, Some(record)) => Ok((
            [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            record,
        )
            .into_response()),
        (Stored::Failed { code, message }, _) => {
            let body = Json(json!({"code": code, "message": message}));
            Ok((
                StatusCode::UNPROCESSABLE_ENTITY,
                [(header::CACHE_CONTROL, "no-store")],
                body,
            )
                .into_response())
        }
        _ => {
            let (code, message, position) = match place {
                Some(Place::Queued(position)) => (
                    "queued",
                    "The trace is waiting for its turn.",
                    Some(position),
                ),
                _ => ("running", "The trace is being made.", None),
            };
            let events = format!("/api/traces/{id}/events");
            let body = Json(
                json!({"code": code, "message": message, "position": position, "events": events,
                       "expected_wait_secs": state.depot.wait_secs(&id)}),
            );
            let headers = [
                (header::CACHE_CONTROL, "no-store"),
                (header::RETRY_AFTER, "1"),
            ];
            Ok((StatusCode::ACCEPTED, headers, body).into_response())
        }
    }
}

/// Query of the event stream.
#[derive(Debug, Deserialize)]
pub struct Resume {
    after: Option<u64>,
}

pub async fn events(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(resume): Query<Resume>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = sse::resume_after(resume.after, &headers);
    let (depot, wanted) = (state.depot.clone(), id.clone());
    if let Some(live) = blocking(move || Ok(depot.follow(&wanted)?)).await? {
        return Ok(sse::live(live, after));
    }
    let depot = state.depot.clone();
    let stored = blocking(move || depot.load(&id)?.ok_or_else(ApiError::unknown_trace)).await?;
    Ok(sse::stored(stored, after))
}

pub async fn stop(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let depot = state.depot.clone();
    let status = match blocking(move || Ok(depot.stop(&id)?)).await? {
        Stopped::Withdrawn => {
            state.metrics.ended("withdrawn");
            "stopped"
        }
        Stopped::Stopping => "stopping",
        Stopped::Ended => "ended",
        Stopped::Busy => {
            let message = "Please press stop once more.";
            return Err(ApiError::new(StatusCode::CONFLICT, "busy", message));
        }
        Stopped::Unknown => return Err(ApiError::unknown_trace()),
    };
    Ok((StatusCode::ACCEPTED, Json(json!({"status": status}))).into_response())
}
