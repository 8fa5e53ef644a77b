//! `POST /api/examples/{task}?seed=N`: "surprise me", a sample of the synthetic world as a new trace.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use world::Task;

use super::traces::Submission;
use super::{AppState, blocking, traces};
use crate::error::ApiError;
use crate::gallery;
use crate::truth::Truth;

/// Query of a surprise.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    seed: Option<u64>,
}

pub async fn create(
    State(state): State<AppState>,
    Path(task): Path<String>,
    Query(wanted): Query<Wanted>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let place = state.admit(&parts, 0).await?;
    let task: Task = task.parse().map_err(|_| {
        let known: Vec<_> = Task::ALL.into_iter().map(Task::name).collect();
        let message = format!(
            "There is no such task. The tasks are: {}.",
            known.join(", ")
        );
        ApiError::new(StatusCode::NOT_FOUND, "unknown_task", message)
    })?;
    let seed = match wanted.seed {
        Some(seed) => seed,
        None => gallery::fresh_seed()?,
    };
    let model = state.default_model()?;
    let _permit = state.upload_permit()?;
    let depot = state.depot.clone();
    let (request, truth) = blocking(move || {
        let sample = gallery::sample(task, seed)?;
        let request = gallery::request(depot.files(), &sample, model)?;
        Ok((request, Truth::of(&sample, None)))
    })
    .await?;
    let submission = Submission {
        request,
        task: task.name().to_owned(),
        truth: Some(truth),
        ..Submission::default()
    };
    let answer = traces::submit(&state, submission, place).await?;
    Ok(traces::for_form(&parts.headers, answer))
}
