//! The way in to the queue: who asks gets a place or is told when to come again; browsers get a cookie to be told by.

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::{AppState, blocking};
use crate::admission::applicant::{self, INVITE, set_cookie};
use crate::admission::{Admitted, Applicant, Full, refusal};
use crate::error::ApiError;

impl AppState {
    /// A place for one more job of whoever sent this, and room for so many bytes on the disk; at once, or 429.
    pub(super) async fn admit(&self, parts: &Parts, bytes: u64) -> Result<Admitted, ApiError> {
        let applicant = Applicant::of(
            &parts.headers,
            &parts.extensions,
            &self.tokens.invites,
            self.forwarded_for,
        );
        let (admission, depot, keeper) = (
            self.admission.clone(),
            self.depot.clone(),
            self.keeper.clone(),
        );
        let metrics = self.metrics.clone();
        blocking(move || {
            let load = depot.recount();
            let elsewhere = depot.elsewhere(&applicant.marks())?;
            let waiting = load.queued as usize;
            let admitted = admission.admit(&applicant, waiting, elsewhere, |id| depot.place(id));
            let admitted = admitted.map_err(|full| {
                metrics.rejected(match full {
                    Full::Queue => "queue_full",
                    Full::Client | Full::Address => "too_many_jobs",
                });
                refusal(full, load.free_in_secs, admission.rules())
            })?;
            if !keeper.has_room(bytes)? {
                metrics.rejected("disk_full");
                let message = "The disk of this server is full. Nothing was lost; try again later, with smaller files if you can.";
                let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "disk_full", message);
                return Err(refused.retry_after(300));
            }
            Ok(admitted)
        })
        .await
    }
}

/// `GET /join/{token}`: takes an invitation, and leads to the composer.
pub async fn join(
    State(state): State<AppState>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = state.tokens.invites.name_of(&token).is_some();
    let cookie = known
        .then(|| set_cookie(&headers, INVITE, &token))
        .flatten();
    let Some(cookie) = cookie else {
        let message = "This invitation is not known here. Check the address for a missing letter.";
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown_invitation",
            message,
        ));
    };
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/new")).into_response())
}

/// Pages from which traces are sent give a browser that has none a cookie to be told by.
pub async fn give_cookie(request: Request, next: Next) -> Response {
    let embedded = request.uri().path().ends_with("/embed");
    let wanted = request.method() == Method::GET && !embedded;
    let cookie = match wanted.then(|| applicant::fresh_cookie(request.headers())) {
        Some(Ok(cookie)) => cookie,
        Some(Err(error)) => {
            tracing::error!(%error, "no cookie could be made");
            None
        }
        None => None,
    };
    let mut response = next.run(request).await;
    let page = (response.headers().get(header::CONTENT_TYPE))
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if let (Some(cookie), true) = (cookie, page) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
