//! `POST /api/world`: a composed sample of the synthetic world, as its specification alone, becomes a new trace.
//! In: a [`Spec`] that nobody trusts. Out: 202; the server renders the sample itself, so that what is kept as its truth is true.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use world::{Spec, WorldError};

use super::traces::Submission;
use super::{AppState, blocking, traces};
use crate::error::{ApiError, ServerError};
use crate::gallery;
use crate::truth::Truth;

/// The request's body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composed {
    spec: Spec,
}

pub async fn create(
    State(state): State<AppState>,
    parts: Parts,
    composed: Result<Json<Composed>, JsonRejection>,
) -> Result<Response, ApiError> {
    let place = state.admit(&parts, 0).await?;
    let Json(Composed { spec }) = composed.map_err(|rejection| match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            "Send the specification as application/json.",
        ),
        _ => ApiError::bad_request(format!(
            "This is not the specification of a sample ({}). Send {{\"spec\": …}} as the page /world does.",
            rejection.body_text().trim_end_matches('.')
        )),
    })?;
    let model = state.default_model()?;
    let _permit = state.upload_permit()?;
    let depot = state.depot.clone();
    let submission = blocking(move || {
        let sample = spec.compose().map_err(refused)?;
        Ok(Submission {
            request: gallery::request(depot.files(), &sample, model)?,
            task: sample.task.name().to_owned(),
            truth: Some(Truth::of(&sample, Some(spec))),
            ..Submission::default()
        })
    })
    .await?;
    traces::submit(&state, submission, place).await
}

/// What lies outside of the world is the sender's to change; all else is ours.
fn refused(error: WorldError) -> ApiError {
    match error {
        WorldError::Spec(sentence) => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "outside_the_world",
            sentence,
        ),
        other => ServerError::World(other.to_string()).into(),
    }
}
