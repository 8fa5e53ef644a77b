//! `GET /t/{id}/page.html`: the trace page as one file that works from a USB stick.
//! In: the page as it is served. Out: the same with style, wasm and media inside.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use axum::body::to_bytes;
use axum::extract::{Path as UrlPath, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{AppState, blocking, pages};
use crate::error::{ApiError, ServerError};
use crate::views::{View, shape};
use crate::{blobs, store};

/// Most bytes of media that go into one file.
const MAX_MEDIA_BYTES: usize = 128 << 20;

/// Most bytes of peaks that go into one file: half an hour at full detail. Beyond it time lines stay as the record has them.
const MAX_VIEW_BYTES: usize = 2 << 20;

/// The wasm modules that go into the file, by name.
const MODULES: [&str; 2] = ["omnitrace", "scope"];

/// Tells boot.js where modules, media and tiles are: inside the file.
const INSIDE: &str = "
const text = (id) => document.getElementById(id).textContent;
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
globalThis.omnitraceMedia = {};
for (const own of document.querySelectorAll('[data-media]')) globalThis.omnitraceMedia[own.dataset.media] = own.src;
globalThis.omnitraceModule = async (name) => {
  const glue = await import(URL.createObjectURL(new Blob([text(`${name}-glue`)], { type: 'text/javascript' })));
  await glue.default({ module_or_path: bytes(text(`${name}-wasm`)) });
  return glue;
};
const views = JSON.parse(text('omnitrace-views'));
const fetched = globalThis.fetch;
globalThis.fetch = async (own, ...more) => (own in views ? new Response(bytes(views[own])) : fetched(own, ...more));
";

pub async fn page(
    State(state): State<AppState>,
    UrlPath(id): UrlPath<String>,
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
    let views = views_of(&state, &html).await;
    let file = blocking(move || whole(&state, &html, &views)).await?;
    let name = format!("attachment; filename=\"omnitrace-{id}.html\"");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, file).into_response())
}

/// Every tile of the waveforms on the page, by its address, as long as there is room. A sound without a view stays as it is.
async fn views_of(state: &AppState, html: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = MAX_VIEW_BYTES;
    let marked = html.split(" data-scope=\"").skip(1);
    let hashes: BTreeSet<&str> = marked.filter_map(|rest| rest.split('"').next()).collect();
    for hash in hashes {
        let Ok(path) = state.views.file(hash, View::Peaks).await else {
            continue;
        };
        let url = format!("/media/{hash}/v1/peaks");
        let room = left;
        let tiles = blocking(move || tiles(&url, &path, room)).await;
        if let Ok(Some((tiles, bytes))) = tiles {
            left -= bytes;
            found.extend(tiles);
        }
    }
    found
}

/// The tiles of one file and its size; none where it is larger than `room`.
fn tiles(url: &str, path: &Path, room: usize) -> Result<Option<(Tiles, usize)>, ApiError> {
    let file = std::fs::read(path).map_err(ServerError::file(path))?;
    if file.len() > room {
        return Ok(None);
    }
    let shape = shape(path)?;
    let part = |range: Range<u64>| {
        let part = file.get(range.start as usize..range.end as usize);
        STANDARD.encode(part.unwrap_or_default())
    };
    let mut tiles = vec![(url.to_owned(), part(shape.overview()))];
    for level in 0..shape.levels().len() {
        let own = (0..).map_while(|tile| Some((tile, shape.tile(level, tile)?)));
        tiles.extend(own.map(|(tile, range)| (format!("{url}/{level}/{tile}"), part(range))));
    }
    Ok(Some((tiles, file.len())))
}

/// Address and base64.
type Tiles = Vec<(String, String)>;

/// The page with everything inside. What the program does not have inside itself is left out: then the page reads, but
/// does not light up.
fn whole(
    state: &AppState,
    html: &str,
    views: &BTreeMap<String, String>,
) -> Result<String, ApiError> {
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
    let plain = |id: &str, content: &str| {
        let content = content.replace("</script", "<\\/script");
        format!("<script type=\"text/plain\" id=\"{id}\">{content}</script>")
    };
    let mut code = String::new();
    for name in MODULES {
        let glue = text(&format!("pkg/{name}.js"));
        let wasm = asset(&format!("pkg/{name}_bg.wasm"));
        if let (Some(glue), Some(wasm)) = (glue, wasm) {
            code += &plain(&format!("{name}-glue"), &glue);
            code += &plain(&format!("{name}-wasm"), &STANDARD.encode(wasm));
        }
    }
    if let Some(boot) = text("boot.js").filter(|_| !code.is_empty()) {
        // Text that names addresses in letters of base64: nothing in it can end the element.
        let views = serde_json::to_string(views).unwrap_or_else(|_| "{}".to_owned());
        code += &plain("omnitrace-views", &views);
        for script in [INSIDE, &boot] {
            code += &format!("<script type=\"module\">{script}</script>");
        }
        out = out.replacen("</body>", &(code + "</body>"), 1);
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
