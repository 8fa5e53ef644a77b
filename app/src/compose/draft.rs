//! The items of a request before it is sent.
//! In: files and text. Out: an ordered list that keeps what was entered, whatever goes wrong.

use attribution::record::Modality;
use leptos::prelude::*;
use web_sys::File;

use crate::data::LimitsView;

/// One item. Cheap to clone: it holds handles.
#[derive(Clone)]
pub struct Draft {
    /// Unique on the page.
    pub key: u64,
    /// Text or file.
    pub content: DraftContent,
}

/// What an item holds.
#[derive(Clone)]
pub enum DraftContent {
    /// Typed.
    Text(RwSignal<String>),
    /// Picked, dropped or pasted.
    Media {
        /// The file itself; it lives in the browser only.
        file: StoredValue<File, LocalStorage>,
        /// Picture, sound or film.
        modality: Modality,
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// A `blob:` address for the preview.
        preview: String,
    },
}

/// The list, with a counter for keys.
#[derive(Clone, Copy)]
pub struct Drafts {
    /// In order.
    pub items: RwSignal<Vec<Draft>>,
    next: StoredValue<u64>,
}

impl Drafts {
    /// One empty text: most requests need one.
    pub fn new() -> Self {
        let drafts = Self {
            items: RwSignal::new(Vec::new()),
            next: StoredValue::new(0),
        };
        drafts.add_text("");
        drafts
    }

    fn push(self, content: DraftContent) {
        let key = self.next.get_value();
        self.next.set_value(key + 1);
        self.items
            .update(|items| items.push(Draft { key, content }));
    }

    /// Appends a text.
    pub fn add_text(self, text: &str) {
        self.push(DraftContent::Text(RwSignal::new(text.to_owned())));
    }

    /// Appends a file, or says why not.
    pub fn add_file(self, file: File, limits: &LimitsView) -> Result<(), String> {
        let name = file.name();
        let bytes = file.size() as u64;
        let modality = modality_of(&file.type_(), &name).ok_or_else(|| {
            format!("“{name}” is neither a picture, a sound nor a film. Take JPEG, PNG, WebP, GIF, WAV, MP3, FLAC, OGG, M4A or MP4.")
        })?;
        if bytes > limits.max_file_bytes {
            return Err(format!(
                "“{name}” has {}, the limit is {} per file. Make it shorter or smaller, then add it again.",
                size(bytes),
                size(limits.max_file_bytes)
            ));
        }
        if self.filled() >= limits.max_items as usize {
            return Err(format!(
                "“{name}” was not added: {} items are the limit. Remove one first.",
                limits.max_items
            ));
        }
        let preview = web_sys::Url::create_object_url_with_blob(&file).unwrap_or_default();
        self.push(DraftContent::Media {
            file: StoredValue::new_local(file),
            modality,
            name,
            bytes,
            preview,
        });
        Ok(())
    }

    /// Items that would be sent: an empty text would not.
    pub fn filled(self) -> usize {
        self.items
            .with_untracked(|items| items.iter().filter(|draft| !draft.is_empty()).count())
    }

    /// Takes an item out.
    pub fn remove(self, key: u64) {
        self.items.update(|items| {
            let Some(at) = items.iter().position(|draft| draft.key == key) else {
                return;
            };
            if let DraftContent::Media { preview, .. } = items.remove(at).content {
                // Not at once: a preview that is still loading would complain that its file is gone.
                set_timeout(
                    move || {
                        let _ = web_sys::Url::revoke_object_url(&preview);
                    },
                    std::time::Duration::from_secs(10),
                );
            }
        });
    }

    /// Moves an item one place; at an end it stays.
    pub fn shift(self, key: u64, by: isize) {
        self.items.update(|items| {
            if let Some(at) = items.iter().position(|draft| draft.key == key)
                && let Some(to) = at.checked_add_signed(by).filter(|to| *to < items.len())
            {
                items.swap(at, to);
            }
        });
    }
}

impl Draft {
    /// A text without words.
    pub fn is_empty(&self) -> bool {
        matches!(&self.content, DraftContent::Text(text) if text.with_untracked(|text| text.trim().is_empty()))
    }
}

/// From the browser's type, else from the name's ending.
pub fn modality_of(mime: &str, name: &str) -> Option<Modality> {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .unwrap_or_default();
    match (mime.split('/').next().unwrap_or_default(), ending.as_str()) {
        ("image", _) => Some(Modality::Image),
        ("audio", _) => Some(Modality::Audio),
        ("video", _) => Some(Modality::Video),
        (_, "jpg" | "jpeg" | "png" | "webp" | "gif") => Some(Modality::Image),
        (_, "wav" | "mp3" | "flac" | "ogg" | "oga" | "m4a" | "aac") => Some(Modality::Audio),
        (_, "mp4" | "m4v" | "mov" | "webm" | "mkv") => Some(Modality::Video),
        _ => None,
    }
}

/// "3.4 MB", in powers of 1,024 as the server's limits are.
pub fn size(bytes: u64) -> String {
    const KB: u64 = 1 << 10;
    const MB: u64 = 1 << 20;
    match bytes {
        0..KB => format!("{bytes} bytes"),
        KB..MB => format!("{:.0} KB", bytes as f64 / KB as f64),
        _ => {
            let mb = format!("{:.1}", bytes as f64 / MB as f64);
            format!("{} MB", mb.strip_suffix(".0").unwrap_or(&mb))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_type_then_by_name() {
        assert_eq!(modality_of("image/png", "x.mp4"), Some(Modality::Image));
        assert_eq!(modality_of("", "Talk.FLAC"), Some(Modality::Audio));
        assert_eq!(
            modality_of("application/octet-stream", "clip.mov"),
            Some(Modality::Video)
        );
        assert_eq!(modality_of("application/pdf", "paper.pdf"), None);
        assert_eq!(modality_of("", "noending"), None);
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(
            [size(12), size(1_600), size(3_600_000), size(256 << 20)],
            ["12 bytes", "2 KB", "3.4 MB", "256 MB"]
        );
    }
}
