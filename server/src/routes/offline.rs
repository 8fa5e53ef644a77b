//! `GET /t/{id}/page.html`: the trace page as one file that works from a USB stick.
//! In: the page as it is served. Out: the same with style, wasm and media inside.

use axum::body::to_bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{AppState, blocking, pages};
use crate::error::{ApiError, ServerError};
use crate::{blobs, store};

/// Most bytes of media that go into one file.
const MAX_MEDIA_BYTES: usize = 128 << 20;

/// Starts the wasm that is inside the file, and tells it where the media are.
const BOOT: &str = "
const text = (id) => document.getElementById(id).textContent;
globalThis.omnitraceMedia = {};
for (const own of document.querySelectorAll('[data-media]')) globalThis.omnitraceMedia[own.dataset.media] = own.src;
const glue = URL.createObjectURL(new Blob([text('omnitrace-glue')], { type: 'text/javascript' }));
const bytes = Uint8Array.from(atob(text('omnitrace-wasm')), (c) => c.charCodeAt(0));
const { default: init, wake } = await import(glue);
await init({ module_or_path: bytes });
wake();
";

pub async fn page(
    State(state): State<AppState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let request = Request::get(format!("/t/{id}{query}"))
        .body(axum::body::Body::empty())
        .map_err(|_| ApiError::unknown_trace())?;
    let page = pages::render(state.clone(), request).await;
    if page.status() != StatusCode::OK {
        return Err(ApiError::unknown_trace());
    }
    let lost = |_| ServerError::Lost("the page");
    let html = to_bytes(page.into_body(), store::MAX_PAGE_BYTES)
        .await
        .map_err(lost)?;
    let html = String::from_utf8_lossy(&html).into_owned();
    let file = blocking(move || whole(&state, &html)).await?;
    let name = format!("attachment; filename=\"omnitrace-{id}.html\"");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, file).into_response())
}

/// The page with everything inside. What the program does not have inside itself is left out: then the page reads, but
/// does not light up.
fn whole(state: &AppState, html: &str) -> Result<String, ApiError> {
    let asset = |name: &str| state.assets.bytes(name).map(|bytes| bytes.into_owned());
    let text = |name: &str| asset(name).and_then(|bytes| String::from_utf8(bytes).ok());
    let mut out = with_media(state, html)?;
    for (open, close) in [
        ("<link rel=\"stylesheet\"", ">"),
        ("<link rel=\"icon\"", ">"),
        ("<script type=\"module\"", "</script>"),
    ] {
        out = without(&out, open, close);
    }
    out = out.replacen("<html ", "<html data-offline=\"\" ", 1);
    let style = text("pkg/omnitrace.css").unwrap_or_default();
    out = out.replacen("</head>", &format!("<style>{style}</style></head>"), 1);
    if let (Some(glue), Some(wasm)) = (text("pkg/omnitrace.js"), asset("pkg/omnitrace_bg.wasm")) {
        let code = format!(
            "<script type=\"text/plain\" id=\"omnitrace-glue\">{}</script><script type=\"text/plain\" id=\"omnitrace-wasm\">{}</script><script type=\"module\">{BOOT}</script></body>",
            glue.replace("</script", "<\\/script"),
            STANDARD.encode(wasm)
        );
        out = out.replacen("</body>", &code, 1);
    }
    Ok(out)
}

/// `src="/media/HASH"` becomes the file itself.
fn with_media(state: &AppState, html: &str) -> Result<String, ApiError> {
    let mut out = String::with_capacity(html.len());
    let mut left = MAX_MEDIA_BYTES;
    let mut parts = html.split("=\"/media/");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (hash, rest) = part.split_once('"').unwrap_or((part, ""));
        let Some(path) = state.depot.media(hash)? else {
            out.push_str(&format!("=\"\"{rest}"));
            continue;
        };
        let bytes = std::fs::read(&path).map_err(ServerError::file(&path))?;
        left = left.checked_sub(bytes.len()).ok_or_else(|| {
            ApiError::too_large(
                "The files of this trace are too large for one page. Share the link instead.",
            )
        })?;
        let data = format!(
            "=\"data:{};base64,{}\"",
            blobs::kind(&path)?.mime(),
            STANDARD.encode(&bytes)
        );
        out.push_str(&data);
        if out[..out.len() - data.len()].ends_with("src") {
            out.push_str(&format!(" data-media=\"{hash}\""));
        }
        out.push_str(rest);
    }
    Ok(out)
}

/// Without every element that begins with `open`, up to `close`.
fn without(html: &str, open: &str, close: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(open) {
        let end = rest[at..]
            .find(close)
            .map_or(rest.len(), |end| at + end + close.len());
        out.push_str(&rest[..at]);
        rest = &rest[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn elements_are_taken_out_whole() {
        let html = "<a><link rel=\"icon\" x><b></b><link rel=\"icon\" y></a>";
        assert_eq!(without(html, "<link rel=\"icon\"", ">"), "<a><b></b></a>");
        assert_eq!(without("<link", "<link", ">"), "");
    }
}
