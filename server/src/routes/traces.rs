//! `/api/traces`: send a question, read its record, follow its events, stop it.

use app::data::{ModelState, RequestView};
use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AppState, blocking, upload};
use crate::error::ApiError;
use crate::jobs::{Place, Refused};
use crate::sample::Options;
use crate::store::{NewTrace, State as Stored};
use crate::{id, sse};

/// What was accepted.
#[derive(Debug, Serialize)]
pub struct Accepted {
    id: String,
    url: String,
    /// Who holds this link may delete the trace.
    delete: String,
}

/// 202 with where to look.
pub fn accepted(id: String, delete_key: &str) -> Response {
    let url = format!("/t/{id}");
    let delete = format!("/t/{id}/delete?key={delete_key}");
    let location = HeaderValue::try_from(&url);
    let mut response = (StatusCode::ACCEPTED, Json(Accepted { id, url, delete })).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub async fn create(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    // Before a byte of the upload is read.
    state.jobs.check_room().map_err(refusal)?;
    let (mut request, options) = upload::read(&state, request).await?;
    request.model = choose_model(&state, &options)?;
    submit(&state, request, options, String::new()).await
}

/// Queues a request whose media are stored.
pub async fn submit(
    state: &AppState,
    request: RequestView,
    options: Options,
    task: String,
) -> Result<Response, ApiError> {
    let (id, delete_key) = (id::fresh()?, id::fresh()?);
    let new = NewTrace {
        id: id.clone(),
        request,
        options,
        task,
        gallery: None,
        delete_key: Some(delete_key.clone()),
    };
    let (jobs, store) = (state.jobs.clone(), state.store.clone());
    blocking(move || jobs.submit(&store, &new).map_err(refusal)).await?;
    tracing::info!(%id, "trace accepted");
    Ok(accepted(id, &delete_key))
}

/// The error of a refused job.
pub fn refusal(refused: Refused) -> ApiError {
    match refused {
        Refused::Full { retry_after_secs } => ApiError::queue_full(retry_after_secs),
        Refused::Store(error) => error.into(),
    }
}

fn choose_model(state: &AppState, options: &Options) -> Result<String, ApiError> {
    let wanted = options.model.as_deref().filter(|name| !name.is_empty());
    let found = match wanted {
        None => state.models.first(),
        Some(name) => state.models.iter().find(|model| model.name == name),
    };
    if let Some(model) = found
        && state.model_states.of(&model.name) == ModelState::Fetching
    {
        let message = format!(
            "The files of {} are still being downloaded. Please try again in some minutes, or choose another model.",
            model.name
        );
        let refused = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message);
        return Err(refused.retry_after(60));
    }
    found.map(|model| model.name.clone()).ok_or_else(|| {
        let known: Vec<_> = state
            .models
            .iter()
            .map(|model| model.name.as_str())
            .collect();
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
    let (store, wanted) = (state.store.clone(), id.clone());
    let (stored, record) = blocking(move || {
        let stored = store.load(&wanted)?.ok_or_else(ApiError::unknown_trace)?;
        Ok((stored, store.record_json(&wanted)?))
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
            let (code, message, position) = match state.jobs.find(&id).map(|(_, place)| place) {
                Some(Place::Queued(position)) => (
                    "queued",
                    "The trace is waiting for its turn.",
                    Some(position),
                ),
                _ => ("running", "The trace is being made.", None),
            };
            let events = format!("/api/traces/{id}/events");
            let body = Json(
                json!({"code": code, "message": message, "position": position, "events": events}),
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
    if let Some((live, _)) = state.jobs.find(&id) {
        return Ok(sse::live(live, after));
    }
    let store = state.store.clone();
    let stored = blocking(move || store.load(&id)?.ok_or_else(ApiError::unknown_trace)).await?;
    Ok(sse::stored(stored, after))
}

pub async fn stop(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let answer = |status| (StatusCode::ACCEPTED, Json(json!({"status": status}))).into_response();
    if let Some(live) = state.jobs.withdraw(&id) {
        let store = state.store.clone();
        blocking(move || {
            let message = "This trace was stopped before the model began.";
            store.fail(&id, "stopped", message, live.next_event())?;
            live.push(&attribution::event::TraceEvent::Failed {
                code: "stopped".into(),
                message: message.into(),
            });
            Ok(())
        })
        .await?;
        return Ok(answer("stopped"));
    }
    match state.jobs.find(&id) {
        Some((live, Place::Running)) => {
            live.stop();
            let store = state.store.clone();
            blocking(move || Ok(store.note_stop(&id)?)).await?;
            Ok(answer("stopping"))
        }
        Some((_, Place::Queued(_))) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "busy",
            "Please press stop once more.",
        )),
        ended => {
            let store = state.store.clone();
            let known = ended.is_some() || blocking(move || Ok(store.load(&id)?.is_some())).await?;
            if known {
                Ok(answer("ended"))
            } else {
                Err(ApiError::unknown_trace())
            }
        }
    }
}
