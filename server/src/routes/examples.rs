//! `POST /api/examples/{task}?seed=N`: "surprise me", a sample of the synthetic world as a new trace.

use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use world::Task;

use super::{AppState, blocking, traces};
use crate::error::ApiError;
use crate::gallery;
use crate::sample::Options;

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
    let Some(model) = state
        .depot
        .models()
        .into_iter()
        .next()
        .map(|model| model.name)
    else {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_model",
            "This server has no model.",
        ));
    };
    let Ok(_permit) = state.uploads.try_acquire() else {
        let message = "Too many requests are under way. Try again in a few seconds.";
        return Err(
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", message)
                .retry_after(5),
        );
    };
    let depot = state.depot.clone();
    let request = blocking(move || Ok(gallery::request(depot.files(), task, seed, model)?)).await?;
    let answer = traces::submit(
        &state,
        request,
        Options::default(),
        task.name().to_owned(),
        place,
    )
    .await?;
    // A form without JavaScript follows the redirect; a program reads the JSON.
    let html = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|a| a.contains("text/html"));
    match answer
        .headers()
        .get(header::LOCATION)
        .and_then(|url| url.to_str().ok())
    {
        Some(url) if html => Ok(Redirect::to(url).into_response()),
        _ => Ok(answer),
    }
}
