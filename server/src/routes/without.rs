//! `POST /api/traces/{id}/without`: the same question as a new trace, answered with a part of its sources masked.
//! In: units or whole sources, as JSON (`{"units": [3], "sources": [1]}`) or in the query (`?source=1`). Out: 202.

use attribution::record::{ChildOf, Record};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;

use super::traces::Submission;
use super::{AppState, blocking, traces};
use crate::error::ApiError;
use crate::store::{State as Stored, from_json};

/// What is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// Indices into the record's units.
    units: Vec<u32>,
    /// Indices into the record's sources.
    sources: Vec<u32>,
}

/// The same of one source, as a form without a body says it.
#[derive(Debug, Deserialize)]
pub struct InQuery {
    source: Option<u32>,
}

pub async fn create(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<InQuery>,
    parts: Parts,
    body: Bytes,
) -> Result<Response, ApiError> {
    let mut wanted = match body.iter().all(u8::is_ascii_whitespace) {
        true => Wanted::default(),
        false => serde_json::from_slice::<Wanted>(&body).map_err(|error| {
            ApiError::bad_request(format!(
                "This does not say what to leave out ({error}). Send {{\"units\": [0]}} or {{\"sources\": [0]}}."
            ))
        })?,
    };
    wanted.sources.extend(query.source);
    let place = state.admit(&parts, 0).await?;
    let (depot, parent) = (state.depot.clone(), id.clone());
    let (stored, record) = blocking(move || {
        let stored = depot.load(&parent)?.ok_or_else(ApiError::unknown_trace)?;
        match (&stored.state, depot.record_json(&parent)?) {
            (Stored::Finished, Some(json)) => Ok((stored, from_json::<Record>("record", &json)?)),
            _ => Err(ApiError::new(
                StatusCode::CONFLICT,
                "not_finished",
                "Only a finished trace can be answered again. Wait until the answer is complete.",
            )),
        }
    })
    .await?;
    let without = left_out(&record, &wanted)?;
    let submission = Submission {
        request: stored.request,
        options: stored.options,
        task: stored.task,
        truth: None,
        child_of: Some(ChildOf { id, without }),
    };
    let answer = traces::submit(&state, submission, place).await?;
    Ok(traces::for_form(&parts.headers, answer))
}

/// Every unit that is left out, those that the parent itself left out included; ascending.
fn left_out(record: &Record, wanted: &Wanted) -> Result<Vec<u32>, ApiError> {
    let unknown = |what: &str, index: u32, known: usize| {
        let message =
            format!("There is no {what} {index}: the record has {known}, counted from 0.");
        let code = match what {
            "unit" => "unknown_unit",
            _ => "unknown_source",
        };
        Err(ApiError::new(StatusCode::BAD_REQUEST, code, message))
    };
    let (units, sources) = (record.units.len(), record.sources.len());
    if let Some(unit) = wanted.units.iter().find(|unit| **unit as usize >= units) {
        return unknown("unit", *unit, units);
    }
    if let Some(source) = wanted.sources.iter().find(|own| **own as usize >= sources) {
        return unknown("source", *source, sources);
    }
    let mut without = wanted.units.clone();
    let of_source = (0u32..).zip(&record.units);
    without.extend(
        of_source
            .filter(|(_, unit)| wanted.sources.contains(&unit.source))
            .map(|(index, _)| index),
    );
    if without.is_empty() {
        return Err(ApiError::bad_request(
            "Say what to leave out: name at least one unit, or a source that has units.",
        ));
    }
    without.extend(record.child_of.iter().flat_map(|own| &own.without));
    without.sort_unstable();
    without.dedup();
    Ok(without)
}
