//! `POST /api/traces/{id}/faithfulness`: a chunk of a finished trace, scored again without some of its sources.

use attribution::record::Record;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::faithfulness::{MAX_DRAWS, Question};
use serde::Deserialize;

use super::{AppState, blocking, traces};
use crate::checks::{Check, CheckError};
use crate::error::{ApiError, ServerError};
use crate::store::{State as Stored, from_json};

/// The request's body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    chunk: usize,
    #[serde(default)]
    units: Option<Vec<u32>>,
    #[serde(default = "usual_draws")]
    draws: usize,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    leave_one_out: bool,
    #[serde(default)]
    curves: bool,
    #[serde(default)]
    regenerate: bool,
}

fn usual_draws() -> usize {
    Question::new(0).draws
}

pub async fn ask(
    State(state): State<AppState>,
    Path(id): Path<String>,
    parts: Parts,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(asked) = asked.map_err(|rejection| match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            "Send the question as application/json.",
        ),
        _ => ApiError::bad_request(format!(
            "This is not a question about a chunk ({}). Send {{\"chunk\": 0}}, and what README names besides.",
            rejection.body_text()
        )),
    })?;
    if asked.draws > MAX_DRAWS {
        let message = format!(
            "At most {MAX_DRAWS} random draws; {} were asked for.",
            asked.draws
        );
        return Err(ApiError::bad_request(message));
    }
    // Held until the answer is there.
    let _place = state.admit(&parts, 0).await?;
    let question = Question {
        chunk: asked.chunk,
        units: asked.units,
        draws: asked.draws,
        seed: asked.seed,
        leave_one_out: asked.leave_one_out,
        curves: asked.curves,
        regenerate: asked.regenerate,
    };
    let (depot, wanted) = (state.depot.clone(), id.clone());
    let record = blocking(move || {
        let stored = depot.load(&wanted)?.ok_or_else(ApiError::unknown_trace)?;
        match (stored.state, depot.record_json(&wanted)?) {
            (Stored::Finished, Some(json)) => Ok(from_json::<Record>("record", &json)?),
            _ => Err(ApiError::new(
                StatusCode::CONFLICT,
                "not_finished",
                "Only a finished trace can be checked. Wait until the answer is complete.",
            )),
        }
    })
    .await?;
    possible(&record, &question)?;
    let (check, answer) = Check::new(id, question);
    let depot = state.depot.clone();
    blocking(move || depot.ask(check).map_err(traces::refusal)).await?;
    match answer.await {
        Ok(Ok(checked)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            Ok((headers, checked).into_response())
        }
        Ok(Err(CheckError::ModelChanged)) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "model_changed",
            "This trace was made by a model that is no longer here. Send the question again to trace it anew.",
        )),
        Ok(Err(CheckError::Failed(code, _))) if code == "internal" => {
            Err(ServerError::Lost("the measurement").into())
        }
        Ok(Err(CheckError::Failed(code, message))) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            code,
            message,
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The server is restarting. Try again in a moment.",
        )),
    }
}

/// Whether the record has what is asked about.
fn possible(record: &Record, question: &Question) -> Result<(), ApiError> {
    let Some(attribution) = record.attributions.get(question.chunk) else {
        let message = format!(
            "There is no chunk {}: the answer has {}, counted from 0.",
            question.chunk,
            record.chunks.len()
        );
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "unknown_chunk",
            message,
        ));
    };
    match &question.units {
        Some(units) => {
            let known = record.units.len();
            if let Some(unit) = units.iter().find(|unit| **unit as usize >= known) {
                let message =
                    format!("There is no unit {unit}: the record has {known}, counted from 0.");
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "unknown_unit",
                    message,
                ));
            }
            if units.is_empty() {
                return Err(ApiError::bad_request(
                    "Name at least one unit, or leave them out.",
                ));
            }
        }
        None if attribution.cited.is_empty() => {
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "nothing_cited",
                "This sentence cites nothing, so there is nothing to take away. Name units to remove.",
            ));
        }
        None => {}
    }
    Ok(())
}
