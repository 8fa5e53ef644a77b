//! A sound or film that can be played, seeked, and played from here to there.
//! In: the id of a media element. Out: signals for the playhead; all parts of one item share them.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlMediaElement;

/// Handle of one media element.
#[derive(Clone, Copy)]
pub struct Player {
    id: StoredValue<String>,
    until: StoredValue<Option<f64>>,
    /// The last position that the browser gave, and when it first did.
    given: StoredValue<(f64, f64)>,
    /// The shared time cursor, in seconds.
    pub time: RwSignal<f64>,
    /// Whether it runs.
    pub playing: RwSignal<bool>,
}

impl Player {
    /// For the element with this DOM id.
    pub fn new(id: String) -> Self {
        Self {
            id: StoredValue::new(id),
            until: StoredValue::new(None),
            given: StoredValue::new((0.0, 0.0)),
            time: RwSignal::new(0.0),
            playing: RwSignal::new(false),
        }
    }

    /// The DOM id.
    pub fn id(self) -> String {
        self.id.get_value()
    }

    fn element(self) -> Option<HtmlMediaElement> {
        document()
            .get_element_by_id(&self.id.get_value())?
            .dyn_into()
            .ok()
    }

    /// Shows this moment; what was to end somewhere no longer does.
    pub fn seek(self, secs: f64) {
        self.until.set_value(None);
        if let Some(media) = self.element() {
            media.set_current_time(secs.max(0.0));
        }
        self.time.set(secs.max(0.0));
    }

    /// Plays `start..end`.
    pub fn play_interval(self, start_secs: f64, end_secs: f64) {
        self.seek(start_secs);
        self.until.set_value(Some(end_secs));
        self.start();
    }

    /// Plays on or pauses.
    pub fn toggle(self) {
        if self.playing.get_untracked() {
            if let Some(media) = self.element() {
                let _ = media.pause();
            }
        } else {
            self.until.set_value(None);
            self.start();
        }
    }

    fn start(self) {
        // A refused start (no file, no user gesture) shows as "not playing"; the promise may be dropped.
        if let Some(media) = self.element() {
            let _ = media.play();
        }
    }

    /// For `on:play`: the cursor follows frame by frame.
    pub fn started(self) {
        self.playing.set(true);
        self.follow();
    }

    /// For `on:pause` and `on:ended`.
    pub fn stopped(self) {
        self.playing.set(false);
        self.until.set_value(None);
        self.read();
    }

    /// For `on:timeupdate` and `on:seeked`.
    pub fn read(self) {
        if let Some(media) = self.element() {
            self.at(&media, media.current_time());
        }
    }

    /// The cursor is here. An interval ends also where no frame is painted, in a tab behind another.
    fn at(self, media: &HtmlMediaElement, now: f64) {
        let _ = self.time.try_set(now);
        if self.until.get_value().is_some_and(|until| now >= until) {
            let _ = media.pause();
        }
    }

    /// Where the sound is now. Some browsers give the position in steps of 40 ms and more: what has passed since is added.
    fn moment(self, media: &HtmlMediaElement) -> f64 {
        let (read, now_ms) = (media.current_time(), js_sys::Date::now());
        let (given, since_ms) = self.given.get_value();
        if read != given {
            self.given.set_value((read, now_ms));
            return read;
        }
        // Not on and on: it may be waiting for bytes.
        let passed = ((now_ms - since_ms) / 1000.0).min(0.1);
        read + passed * media.playback_rate()
    }

    fn follow(self) {
        request_animation_frame(move || {
            let Some(true) = self.playing.try_get_untracked() else {
                return;
            };
            let Some(media) = self.element() else { return };
            let now = self.moment(&media);
            self.at(&media, now);
            self.follow();
        });
    }
}
