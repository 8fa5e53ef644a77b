//! The page's scripts, styles and icons: inside the program, or in a directory while developing.

use std::borrow::Cow;
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

    /// The file at a URL path, if there is one; its compressed twin for those who take brotli.
    pub fn get(&self, url_path: &str, request: &HeaderMap) -> Option<Response> {
        let name = url_path.strip_prefix('/').filter(|name| !name.is_empty())?;
        let small = takes_brotli(request)
            .then(|| self.bytes(&format!("{name}.br")))
            .flatten();
        let encoding = small.is_some().then_some("br");
        let bytes = match small {
            Some(small) => small,
            None => self.bytes(name)?,
        };
        Some(respond(name, bytes, encoding, request))
    }

    /// A file by its name.
    pub fn bytes(&self, name: &str) -> Option<Cow<'static, [u8]>> {
        match self {
            Self::Inside => {
                let found = SITE_FILES
                    .binary_search_by(|(known, _)| (*known).cmp(name))
                    .ok()?;
                Some(Cow::Borrowed(SITE_FILES[found].1))
            }
            Self::Dir(dir) => {
                // Nothing but plain names: no way out of the directory.
                let plain = Path::new(name)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
                plain
                    .then(|| std::fs::read(dir.join(name)).ok())
                    .flatten()
                    .map(Cow::Owned)
            }
        }
    }
}

fn takes_brotli(request: &HeaderMap) -> bool {
    let accepted = request.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "br" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn respond(
    name: &str,
    bytes: Cow<'static, [u8]>,
    encoding: Option<&'static str>,
    request: &HeaderMap,
) -> Response {
    // The names carry no version, so a browser asks each time and is told "unchanged".
    let etag = format!("W/\"{}\"", &blake3::hash(&bytes).to_hex()[..24]);
    let unchanged = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match bytes {
            Cow::Borrowed(bytes) => Body::from(bytes).into_response(),
            Cow::Owned(bytes) => Body::from(bytes).into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(name)),
    );
    // Icons are asked for again at every change of the address; they may be old.
    let icon = matches!(name.rsplit('.').next(), Some("svg" | "png" | "ico"));
    let cache = if icon {
        "public, max-age=86400"
    } else {
        "no-cache"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
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
