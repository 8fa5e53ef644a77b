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

    /// Shows this moment.
    pub fn seek(self, secs: f64) {
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
            let _ = self.time.try_set(media.current_time());
        }
    }

    fn follow(self) {
        request_animation_frame(move || {
            let Some(true) = self.playing.try_get_untracked() else {
                return;
            };
            let Some(media) = self.element() else { return };
            let now = media.current_time();
            let _ = self.time.try_set(now);
            if self.until.get_value().is_some_and(|until| now >= until) {
                let _ = media.pause();
            } else {
                self.follow();
            }
        });
    }
}
