//! Reads `POST /api/traces`: a multipart form (field `request` and the files it names) or JSON with text alone.
//! In: a body that nobody trusts. Out: a sample whose files are stored, or an error that names what is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use app::data::{ItemView, RequestView, TurnView};
use axum::body::to_bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use media::Family;
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{AppState, blocking};
use crate::blobs::{self, Blobs};
use crate::error::{ApiError, ServerError};
use crate::sample::{Block, GivenTranscript, MediaKind, Options, Sample};

/// Longest file name that is kept for display.
const MAX_NAME_CHARS: usize = 200;

/// How long a body that is refused is read on and forgotten: who is still sending when the connection closes (a proxy, a
/// browser) reports a broken connection instead of our sentence.
const MOST_DRAIN: Duration = Duration::from_secs(10);

/// Reads the body: the question with its files stored (its model is not chosen yet), and the options.
pub async fn read(state: &AppState, request: Request) -> Result<(RequestView, Options), ApiError> {
    let declared = content_length(request.headers());
    if declared.is_some_and(|bytes| bytes > state.limits.max_request_bytes) {
        let mut rest = request.into_body().into_data_stream();
        let rest = async { while let Some(Ok(_)) = rest.next().await {} };
        let _ = timeout(MOST_DRAIN, rest).await;
        return Err(request_too_large(state));
    }
    let _permit = state.upload_permit()?;
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let (sample, files) = if kind.starts_with("application/json") {
        let body = to_bytes(request.into_body(), state.limits.max_text_bytes)
            .await
            .map_err(|_| {
                ApiError::too_large("The request's text is larger than this server takes.")
            })?;
        (parse(&body)?, Vec::new())
    } else if kind.starts_with("multipart/form-data") {
        let mut form = Multipart::from_request(request, state)
            .await
            .map_err(|rejection| {
                ApiError::bad_request(format!(
                    "The form cannot be read: {}.",
                    rejection.body_text()
                ))
            })?;
        match read_form(state, &mut form).await {
            Ok(read) => read,
            Err(refused) => {
                let rest = async { while let Ok(Some(_)) = form.next_field().await {} };
                let _ = timeout(MOST_DRAIN, rest).await;
                return Err(refused);
            }
        }
    } else {
        let message = "Send multipart/form-data with a field `request` and the files it names, or application/json.";
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            message,
        ));
    };
    let items = sample.all_blocks().count();
    if items > state.limits.max_items || sample.history.len() > state.limits.max_items {
        return Err(ApiError::too_large(format!(
            "The question has {items} items in {} turns; at most {} are taken.",
            sample.history.len() + 1,
            state.limits.max_items
        )));
    }
    if sample
        .options
        .max_new_tokens
        .is_some_and(|tokens| tokens > state.limits.max_new_tokens)
    {
        return Err(ApiError::bad_request(format!(
            "`max_new_tokens` may be at most {}.",
            state.limits.max_new_tokens
        )));
    }
    let named = |given: &GivenTranscript| matches!(given, GivenTranscript::File(_));
    if sample.transcripts.values().any(named) {
        return Err(ApiError::bad_request(
            "A `transcript` must hold the transcript itself: a list of {\"start\", \"end\", \"text\"}, or the text of an \
             SRT or WebVTT file.",
        ));
    }
    let depot = state.depot.clone();
    blocking(move || {
        let items = adopt(depot.files(), sample.all_blocks().cloned().collect(), files)?;
        Ok(question(sample, items))
    })
    .await
}

/// The question with its items, which come in the order of [`Sample::all_blocks`].
fn question(sample: Sample, items: Vec<ItemView>) -> (RequestView, Options) {
    let mut transcripts = BTreeMap::new();
    for (block, item) in sample.all_blocks().zip(&items) {
        if let (Block::Media(_, name), ItemView::Audio { hash, .. }) = (block, item)
            && let Some(GivenTranscript::Inline(transcript)) = sample.transcripts.get(name)
        {
            transcripts.insert(hash.clone(), transcript.clone());
        }
    }
    let mut items = items.into_iter();
    let mut history = Vec::with_capacity(sample.history.len());
    for turn in sample.history {
        history.push(TurnView {
            assistant: turn.assistant,
            items: items.by_ref().take(turn.blocks.len()).collect(),
        });
    }
    let request = RequestView {
        prompt: sample.prompt,
        items: items.collect(),
        system: sample.system,
        history,
        transcripts,
        ..RequestView::default()
    };
    (request, sample.options)
}

/// How large an upload says that it is; 0 where it does not say.
pub fn declared_bytes(parts: &Parts) -> u64 {
    content_length(&parts.headers).unwrap_or(0)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn request_too_large(state: &AppState) -> ApiError {
    ApiError::too_large(format!(
        "The request is larger than the {} MB that this server takes.",
        state.limits.max_request_bytes >> 20
    ))
}

fn parse(body: &[u8]) -> Result<Sample, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("The request is not valid JSON: {error}."))
    })?;
    Sample::parse(&value).map_err(|error| ApiError::bad_request(error.0))
}

/// A part of the form on disk; removed when it is not taken over.
struct Incoming {
    part: String,
    name: String,
    path: PathBuf,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Already moved into the store on success; otherwise the next start would remove it.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn read_form(
    state: &AppState,
    form: &mut Multipart,
) -> Result<(Sample, Vec<Incoming>), ApiError> {
    let mut sample = None;
    let mut files: Vec<Incoming> = Vec::new();
    while let Some(field) = form
        .next_field()
        .await
        .map_err(|error| form_error(state, &error))?
    {
        let Some(part) = field.name().map(str::to_owned) else {
            return Err(ApiError::bad_request("A part of the form has no name."));
        };
        if part == "request" {
            if sample.is_some() {
                return Err(ApiError::bad_request("The form has two fields `request`."));
            }
            sample = Some(parse(&read_text(state, field).await?)?);
            continue;
        }
        if files.iter().any(|file| file.part == part) {
            return Err(ApiError::bad_request(format!(
                "Two parts of the form are named {part:?}."
            )));
        }
        if files.len() == state.limits.max_items {
            return Err(ApiError::too_large(format!(
                "The form has more than {} files.",
                state.limits.max_items
            )));
        }
        let name = display_name(field.file_name().unwrap_or(&part));
        let file = Incoming {
            part,
            name,
            path: state.depot.files().incoming()?,
        };
        write_file(state, field, &file).await?;
        files.push(file);
    }
    match sample {
        Some(sample) => Ok((sample, files)),
        None => Err(ApiError::bad_request("The form has no field `request`.")),
    }
}

async fn read_text(state: &AppState, mut field: Field<'_>) -> Result<Vec<u8>, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = field
        .chunk()
        .await
        .map_err(|error| form_error(state, &error))?
    {
        if text.len() + chunk.len() > state.limits.max_text_bytes {
            return Err(ApiError::too_large(
                "The field `request` is larger than this server takes.",
            ));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

async fn write_file(
    state: &AppState,
    mut field: Field<'_>,
    file: &Incoming,
) -> Result<(), ApiError> {
    let mut out = File::create_new(&file.path)
        .await
        .map_err(ServerError::file(&file.path))?;
    let mut written = 0;
    while let Some(chunk) = field
        .chunk()
        .await
        .map_err(|error| form_error(state, &error))?
    {
        written += chunk.len() as u64;
        if written > state.limits.max_file_bytes {
            return Err(ApiError::too_large(format!(
                "{} is larger than the {} MB that this server takes per file.",
                file.name,
                state.limits.max_file_bytes >> 20
            )));
        }
        out.write_all(&chunk)
            .await
            .map_err(ServerError::file(&file.path))?;
    }
    out.flush().await.map_err(ServerError::file(&file.path))?;
    Ok(())
}

fn form_error(state: &AppState, error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return request_too_large(state);
    }
    ApiError::bad_request(format!("The form cannot be read: {}.", error.body_text()))
}

/// The last part of a path, without control characters, of bounded length.
fn display_name(given: &str) -> String {
    let name = given.rsplit(['/', '\\']).next().unwrap_or(given);
    name.chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARS)
        .collect()
}

/// Takes the files over into the store, in the order of the question.
fn adopt(
    blobs: &Blobs,
    blocks: Vec<Block>,
    files: Vec<Incoming>,
) -> Result<Vec<ItemView>, ApiError> {
    // One part may be named by several blocks.
    let mut stored: Vec<Option<String>> = vec![None; files.len()];
    let mut items = Vec::with_capacity(blocks.len());
    for block in blocks {
        items.push(match block {
            Block::Text(text) => ItemView::Text { text },
            Block::Media(kind, part) => {
                let found = files.iter().position(|file| file.part == part);
                let (file, place) = match found {
                    Some(k) => (&files[k], &mut stored[k]),
                    None => {
                        let message = format!(
                            "The question names the {} {part:?}, but the form has no such part.",
                            kind.name()
                        );
                        return Err(ApiError::new(
                            StatusCode::BAD_REQUEST,
                            "missing_part",
                            message,
                        ));
                    }
                };
                check_kind(kind, file)?;
                let hash = match place {
                    Some(hash) => hash.clone(),
                    None => {
                        clean(&file.path)?;
                        place.insert(blobs.adopt(&file.path)?).clone()
                    }
                };
                kind.item(hash, file.name.clone())
            }
        });
    }
    Ok(items)
}

/// Where and with what a photograph was taken is not what was asked about: it never reaches the store.
fn clean(path: &Path) -> Result<(), ServerError> {
    let given = std::fs::read(path).map_err(ServerError::file(path))?;
    let hash = media::content_hash(&given);
    let kept = media::without_notes(given);
    if media::content_hash(&kept) != hash {
        std::fs::write(path, kept).map_err(ServerError::file(path))?;
    }
    Ok(())
}

/// Refuses at once what is plainly not a file of its kind; the decoders look closer when its turn comes.
fn check_kind(kind: MediaKind, file: &Incoming) -> Result<(), ApiError> {
    // Adopted by an earlier block already: then it was checked.
    if !file.path.exists() {
        return Ok(());
    }
    let found = blobs::kind(&file.path)?;
    let fits = match (kind, found.family()) {
        (MediaKind::Image, Some(Family::Image)) | (MediaKind::Audio, Some(Family::Audio)) => true,
        // Some containers are films and sounds alike, and a film's sound can be asked about alone.
        (MediaKind::Audio | MediaKind::Video, Some(Family::Video)) => true,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let (a, known) = match kind {
        MediaKind::Image => ("a picture", "JPEG, PNG, WebP or GIF"),
        MediaKind::Audio => ("a sound", "WAV, MP3, FLAC, OGG or M4A"),
        MediaKind::Video => ("a film", "MP4 with H.264"),
    };
    let message = format!(
        "{} does not look like {a} (it is: {}). Send {known}.",
        file.name,
        found.name()
    );
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media",
        message,
    ))
}
