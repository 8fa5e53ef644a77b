//! `/livez`: the process answers. `/readyz`: the models are loaded and traces will be made.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::AppState;
use crate::error::ApiError;

pub async fn live() -> &'static str {
    "ok"
}

pub async fn ready(State(state): State<AppState>) -> Response {
    if *state.ready.borrow() && !state.jobs.shutting_down() {
        return "ready".into_response();
    }
    let message = "The models are still being loaded. Traces can be sent already; they wait.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
        .retry_after(1)
        .into_response()
}
