//! `/livez`: the process answers. `/readyz`: the default model is loaded and traces will be made; one line per model
//! says whether it is in memory.

use app::data::ModelState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::AppState;
use crate::error::ApiError;

pub async fn live() -> &'static str {
    "ok"
}

pub async fn ready(State(state): State<AppState>) -> Response {
    if state.depot.ready() {
        let lines = state.depot.models().into_iter().map(|model| {
            let is = match model.state {
                ModelState::Unloaded => "loaded on first use".to_owned(),
                ModelState::Fetching => "being downloaded".to_owned(),
                ModelState::Loading => "being loaded".to_owned(),
                ModelState::Loaded { dtype, bytes } => format!("loaded, {dtype}, {bytes} bytes"),
                ModelState::Failed => "could not be loaded".to_owned(),
            };
            format!("\n{}: {is}", model.name)
        });
        return format!("ready{}", lines.collect::<String>()).into_response();
    }
    let message = match state.depot.load_now().workers {
        Some(0) => "No machine is at work just now.",
        _ => "The model is still being loaded. Traces can be sent already; they wait.",
    };
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
        .retry_after(1)
        .into_response()
}
