//! The limits and the queue, in words, before anything is uploaded.

use leptos::prelude::*;

use super::draft::size;
use crate::data::LimitsView;

/// A short list.
#[component]
pub fn Limits(
    /// As the server gave them.
    limits: LimitsView,
) -> impl IntoView {
    let queue = match limits.queued {
        _ if limits.workers == Some(0) => {
            "No machine is at work just now: your trace will wait until one is.".to_owned()
        }
        0 => "Nobody is waiting: your trace starts at once.".to_owned(),
        1 => format!(
            "One trace is waiting before yours: about {}.",
            wait(limits.expected_wait_secs)
        ),
        n => format!(
            "{n} traces are waiting before yours: about {}.",
            wait(limits.expected_wait_secs)
        ),
    };
    view! {
        <aside class="limits" aria-label="Limits and queue">
            <p class="queue"><span class="dot" class:busy=move || { limits.queued > 0 } aria-hidden="true"></span>{queue}</p>
            <ul>
                <li>{format!("up to {} items, {} together, {} per file", limits.max_items, size(limits.max_request_bytes), size(limits.max_file_bytes))}</li>
                <li>{format!("sound and film up to {} each", wait(limits.max_media_secs))}</li>
                <li>"JPEG, PNG, WebP, GIF · WAV, MP3, FLAC, OGG, M4A · MP4"</li>
            </ul>
            <p class="soft">"Everyone who has the link will see what you send and what comes of it."</p>
        </aside>
    }
}

/// "40 seconds", "3 minutes".
fn wait(secs: f64) -> String {
    let secs = if secs.is_finite() { secs.max(0.0) } else { 0.0 };
    match secs.ceil() as u64 {
        0 | 1 => "a second".to_owned(),
        secs @ 2..120 => format!("{secs} seconds"),
        secs => format!("{} minutes", secs.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::wait;

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(
            [wait(0.2), wait(41.3), wait(121.0), wait(f64::NAN)],
            ["a second", "42 seconds", "3 minutes", "a second"]
        );
    }
}
