//! Sounds that can be heard at once: samples as a WAV file in the page's memory, and their waveform.

use leptos::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::{Blob, BlobPropertyBag, HtmlAudioElement, Url};
use world::rng::Rng;
use world::sample::SOUND_RATE_HZ;
use world::sound::Event;

/// The samples as a WAV file, 16 bits, mono.
pub fn wav(samples: &[f32]) -> Vec<u8> {
    let bytes = (samples.len() * 2) as u32;
    let mut out = Vec::with_capacity(44 + samples.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + bytes).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16u32.to_le_bytes());
    // Plain samples, one channel.
    out.extend_from_slice(&[1, 0, 1, 0]);
    out.extend_from_slice(&SOUND_RATE_HZ.to_le_bytes());
    out.extend_from_slice(&(SOUND_RATE_HZ * 2).to_le_bytes());
    out.extend_from_slice(&[2, 0, 16, 0]);
    out.extend_from_slice(b"data");
    out.extend_from_slice(&bytes.to_le_bytes());
    for sample in samples {
        let level = (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16;
        out.extend_from_slice(&level.to_le_bytes());
    }
    out
}

/// An address under which the page itself finds the sound; empty where the browser gives none.
fn address(samples: &[f32]) -> String {
    let bytes = js_sys::Uint8Array::from(wav(samples).as_slice());
    let parts = js_sys::Array::of1(&JsValue::from(bytes));
    let options = BlobPropertyBag::new();
    options.set_type("audio/wav");
    Blob::new_with_u8_array_sequence_and_options(&parts, &options)
        .and_then(|blob| Url::create_object_url_with_blob(&blob))
        .unwrap_or_default()
}

/// A sound's address that is replaced when the sound changes.
#[derive(Clone, Copy)]
pub struct Player {
    /// For `<audio src>`.
    pub src: RwSignal<String>,
}

impl Player {
    /// Silent.
    pub fn new() -> Self {
        let src = RwSignal::new(String::new());
        on_cleanup(move || {
            if let Some(old) = src.try_get_untracked() {
                let _ = Url::revoke_object_url(&old);
            }
        });
        Self { src }
    }

    /// Another sound.
    pub fn load(self, samples: &[f32]) {
        let old = self.src.get_untracked();
        self.src.set(address(samples));
        // Not at once: a player that is still reading would complain.
        set_timeout(
            move || {
                let _ = Url::revoke_object_url(&old);
            },
            std::time::Duration::from_secs(5),
        );
    }
}

/// Plays an event alone, so that one hears what is chosen.
pub fn play_alone(event: Event) {
    let heard = world::sound::render(event, 1.0, &mut Rng::new(1));
    let at = address(&heard);
    if let Ok(audio) = HtmlAudioElement::new_with_src(&at)
        && let Ok(playing) = audio.play()
    {
        // A browser that refuses to play before anything was pressed says so to nobody.
        wasm_bindgen_futures::spawn_local(async move {
            let _ = wasm_bindgen_futures::JsFuture::from(playing).await;
        });
    }
}

/// A path of `bars` strokes in a box of `bars` x 100.
pub fn wave_path(samples: &[f32], bars: usize) -> String {
    let each = samples.len().div_ceil(bars.max(1)).max(1);
    let mut path = String::new();
    for (k, part) in samples.chunks(each).enumerate() {
        let peak = part.iter().fold(0.0f32, |most, own| most.max(own.abs()));
        let half = f64::from(peak.min(1.0)) * 80.0 + 0.6;
        path += &format!(
            "M{k}.5 {:.1}V{:.1}",
            50.0 - half.min(49.0),
            50.0 + half.min(49.0)
        );
    }
    path
}
