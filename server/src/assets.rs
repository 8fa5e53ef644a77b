//! The page's scripts, styles and icons: inside the program, or in a directory while developing.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

include!(concat!(env!("OUT_DIR"), "/site_files.rs"));

/// Where the files come from.
#[derive(Debug, Clone)]
pub enum Assets {
    /// Linked into the program; possibly none.
    Inside,
    /// Read at every request.
    Dir(PathBuf),
}

impl Assets {
    /// Whether the page has its scripts and styles at all.
    pub fn complete(&self) -> bool {
        match self {
            Self::Inside => !SITE_FILES.is_empty(),
            Self::Dir(dir) => dir.join("pkg").is_dir(),
        }
    }

    /// The file at a URL path, if there is one.
    pub fn get(&self, url_path: &str, request: &HeaderMap) -> Option<Response> {
        let name = url_path.strip_prefix('/').filter(|name| !name.is_empty())?;
        match self {
            Self::Inside => {
                let found = SITE_FILES
                    .binary_search_by(|(known, _)| (*known).cmp(name))
                    .ok()?;
                let bytes = SITE_FILES[found].1;
                Some(respond(name, &blake3::hash(bytes), request, || {
                    Body::from(bytes)
                }))
            }
            Self::Dir(dir) => {
                // Nothing but plain names: no way out of the directory.
                if !Path::new(name)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)))
                {
                    return None;
                }
                let bytes = std::fs::read(dir.join(name)).ok()?;
                Some(respond(name, &blake3::hash(&bytes), request, || {
                    Body::from(bytes)
                }))
            }
        }
    }
}

fn respond(
    name: &str,
    hash: &blake3::Hash,
    request: &HeaderMap,
    body: impl FnOnce() -> Body,
) -> Response {
    // The names carry no version, so a browser asks each time and is told "unchanged".
    let etag = format!("W/\"{}\"", &hash.to_hex()[..24]);
    let unchanged = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body().into_response()
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(name)),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
