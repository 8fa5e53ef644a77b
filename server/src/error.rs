//! What can go wrong in the server, and the one place where it becomes an HTTP status and a safe sentence.

use std::borrow::Cow;
use std::path::PathBuf;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::EngineError;
use serde::Serialize;

/// The server's own failures; not a visitor's.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The database refused.
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file of the data directory could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data directory belongs to a later version of this program.
    #[error(
        "the data directory was written by a newer OmniTrace: run that one, or choose another directory with --data"
    )]
    NewerData,
    /// Something stored does not parse.
    #[error("a stored {what} cannot be read: {source}")]
    Stored {
        /// What it should have been.
        what: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A media file that a stored request names is gone.
    #[error("the media file {0} is missing from the data directory")]
    MissingMedia(String),
    /// The model or the trace.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A model could not be had.
    #[error("the model {name} cannot be loaded: {reason}")]
    Model {
        /// Which.
        name: String,
        /// What happened and what to do; for the operator.
        reason: String,
    },
    /// A sample of the synthetic world could not be made.
    #[error("the sample could not be made: {0}")]
    World(String),
    /// A picture of a trace could not be drawn.
    #[error("the picture could not be drawn: {0}")]
    Picture(String),
    /// The NATS server refused, or could not be reached.
    #[error("NATS: {what}: {reason}")]
    Nats {
        /// What was to be done.
        what: &'static str,
        /// Why it was not.
        reason: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// A thread or task ended without an answer.
    #[error("{0} ended without an answer")]
    Lost(&'static str),
}

impl ServerError {
    /// Wraps an i/o error with the path it happened at.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// An answer that is not a success: a fitting status and `{code, message}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    message: String,
    retry_after_secs: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    /// Any status.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            retry_after_secs: None,
        }
    }

    /// 400: the request is not what the API expects.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 404 for a trace.
    pub fn unknown_trace() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_trace",
            "There is no trace with this id. Check the address for a missing letter.",
        )
    }

    /// 413: more than a limit allows.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 429: the queue is full.
    pub fn queue_full(retry_after_secs: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "queue_full".into(),
            message: format!(
                "All places in the queue are taken. Nothing was lost; try again in {retry_after_secs} seconds."
            ),
            retry_after_secs: Some(retry_after_secs),
        }
    }

    /// Adds a `Retry-After`.
    pub fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }
}

impl From<ServerError> for ApiError {
    fn from(error: ServerError) -> Self {
        // The details go to the operator; a visitor can do nothing with a path or an SQL error.
        tracing::error!(%error, "request failed");
        if let ServerError::Nats { .. } = error {
            let message = "What is kept here is out of reach just now. It is not your fault; please try again in some seconds.";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "out_of_reach", message)
                .retry_after(5);
        }
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server could not do this. It is not your fault; please try again in a minute.",
        )
    }
}

/// The code of an error answer, for who counts them.
#[derive(Debug, Clone)]
pub struct ErrorCode(pub Cow<'static, str>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body {
            code: &self.code,
            message: &self.message,
        };
        let mut response = (self.status, axum::Json(&body)).into_response();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(ErrorCode(self.code));
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(secs) = self.retry_after_secs {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

/// The code and the sentence under which a failed trace is kept.
pub fn failure_of(error: &ServerError) -> (&'static str, String) {
    match error {
        ServerError::Engine(EngineError::Media { item, name, source }) => {
            // The file's name is the visitor's own and goes back to them; it is not for the log.
            tracing::warn!(item, reason = %source, "a file could not be decoded");
            let message = format!("item {item} ({name}): {}", source.outward());
            ("media", sentence(&message))
        }
        ServerError::Engine(EngineError::Request(_)) => ("request", sentence(&error.to_string())),
        ServerError::Model { name, .. } => {
            tracing::error!(%error, "a model cannot be loaded");
            let message = format!(
                "The model {name} cannot be loaded on this server at the moment. Choose another, or tell whoever runs the server."
            );
            ("model", message)
        }
        other => {
            tracing::error!(error = %other, "a trace failed");
            ("internal", "The model could not finish this trace. Please send it again; if it fails again, report it.".into())
        }
    }
}

/// First letter large, full stop at the end.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let mut out: String = first.to_uppercase().chain(chars).collect();
    if !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}
