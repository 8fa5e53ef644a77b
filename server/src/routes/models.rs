//! `GET /api/models` and `GET /api/limits`: what may be asked of this server, and how busy it is.

use app::data::{LimitsView, ModelView};
use axum::Json;
use axum::extract::State;

use super::AppState;

pub async fn list(State(state): State<AppState>) -> Json<Vec<ModelView>> {
    Json(state.depot.models())
}

pub async fn limits(State(state): State<AppState>) -> Json<LimitsView> {
    Json(limits_view(&state))
}

/// Bounds and queue as they are now.
pub fn limits_view(state: &AppState) -> LimitsView {
    let load = state.depot.load_now();
    LimitsView {
        max_file_bytes: state.limits.max_file_bytes,
        max_request_bytes: state.limits.max_request_bytes,
        max_items: state.limits.max_items as u32,
        max_media_secs: state.limits.media.max_secs,
        max_new_tokens: state.limits.max_new_tokens,
        queued: load.queued,
        expected_wait_secs: load.wait_secs,
        workers: load.workers,
    }
}
