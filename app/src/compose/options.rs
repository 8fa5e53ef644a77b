//! What may be chosen besides: closed until someone opens it, every field with a default that is fine.
//! In: the fields. Out: the part of the request's `options` that differs from the defaults.

use leptos::html::{Input, Select, Textarea};
use leptos::prelude::*;
use serde_json::{Map, Value, json};

/// The fields; the browser keeps their values.
#[derive(Clone, Copy, Default)]
pub struct OptionFields {
    system: NodeRef<Textarea>,
    chunk: NodeRef<Select>,
    image_grid: NodeRef<Select>,
    audio_units: NodeRef<Select>,
    silent: NodeRef<Input>,
    video_fps: NodeRef<Input>,
    dtype: NodeRef<Select>,
}

/// What the fields hold, as typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chosen {
    /// System message; empty: the model's own.
    pub system: String,
    /// `sentence` or `clause`.
    pub chunk: String,
    /// "1", "2", ...
    pub image_grid: String,
    /// Seconds of a bin, or `semantic`.
    pub audio_units: String,
    /// Whether films are seen only.
    pub silent: bool,
    /// Frames per second; empty: the model's own.
    pub video_fps: String,
    /// Precision; empty: the server's choice.
    pub dtype: String,
}

impl OptionFields {
    /// The values now.
    pub fn read(&self) -> Chosen {
        let select =
            |field: NodeRef<Select>| field.get_untracked().map(|f| f.value()).unwrap_or_default();
        Chosen {
            system: self
                .system
                .get_untracked()
                .map(|f| f.value())
                .unwrap_or_default(),
            chunk: select(self.chunk),
            image_grid: select(self.image_grid),
            audio_units: select(self.audio_units),
            silent: self.silent.get_untracked().is_some_and(|f| f.checked()),
            video_fps: self
                .video_fps
                .get_untracked()
                .map(|f| f.value())
                .unwrap_or_default(),
            dtype: select(self.dtype),
        }
    }
}

impl Chosen {
    /// Only what differs from the defaults; or the sentence that says which field is wrong.
    pub fn options(&self) -> Result<Map<String, Value>, String> {
        let mut options = Map::new();
        let mut set = |name: &str, value: Value| options.insert(name.to_owned(), value);
        if self.chunk == "clause" {
            set("chunk", json!("clause"));
        }
        if let Some(grid) = self.image_grid.parse::<u32>().ok().filter(|grid| *grid > 1) {
            set("image_grid", json!(grid));
        }
        match self.audio_units.as_str() {
            "semantic" => {
                set("audio_units", json!("semantic"));
            }
            secs => {
                if let Some(secs) = secs.parse::<f64>().ok().filter(|secs| *secs != 1.0) {
                    set("audio_bin_secs", json!(secs));
                }
            }
        }
        if self.silent {
            set("use_audio_in_video", json!(false));
        }
        if !self.video_fps.trim().is_empty() {
            let fps = self.video_fps.trim().parse::<f64>().ok();
            let fps = fps.filter(|fps| (0.1..=30.0).contains(fps));
            let fps = fps.ok_or("A film can be looked at between 0.1 and 30 times a second. Change “Frames per second”.")?;
            set("video_fps", json!(fps));
        }
        if !self.dtype.is_empty() {
            set("dtype", json!(self.dtype));
        }
        Ok(options)
    }
}

/// The fields, behind "Options".
#[component]
pub fn Options(
    /// Where their values are read from.
    fields: OptionFields,
) -> impl IntoView {
    let choices = |choices: &[(&str, &str)]| {
        let choices = choices.iter().map(|(value, name)| {
            view! { <option value=value.to_string()>{name.to_string()}</option> }
        });
        choices.collect_view()
    };
    view! {
        <details class="options">
            <summary>"Options"</summary>
            <div class="row">
                <label class="field">
                    <span>"Explain each"</span>
                    <select node_ref=fields.chunk>{choices(&[("sentence", "sentence"), ("clause", "part of a sentence")])}</select>
                </label>
                <label class="field">
                    <span>"Cite pictures"</span>
                    <select node_ref=fields.image_grid>
                        {choices(&[("1", "whole"), ("2", "in 2 x 2 parts"), ("3", "in 3 x 3 parts"), ("4", "in 4 x 4 parts")])}
                    </select>
                </label>
                <label class="field">
                    <span>"Cite sounds"</span>
                    <select node_ref=fields.audio_units>
                        {choices(&[("1", "by the second"), ("0.5", "by the half second"), ("5", "by five seconds"), ("semantic", "by what is said")])}
                    </select>
                </label>
            </div>
            <div class="row">
                <label class="field">
                    <span>"Frames per second of films"</span>
                    <input node_ref=fields.video_fps type="number" min="0.1" max="30" step="any" placeholder="the model's own"/>
                </label>
                <label class="field">
                    <span>"Precision"</span>
                    <select node_ref=fields.dtype>{choices(&[("", "the server's choice"), ("f32", "f32"), ("bf16", "bf16"), ("f16", "f16")])}</select>
                </label>
            </div>
            <label class="check"><input node_ref=fields.silent type="checkbox"/>" Watch films without their sound"</label>
            <label class="field">
                <span>"System message"</span>
                <textarea node_ref=fields.system rows="2" placeholder="You are a helpful assistant."></textarea>
            </label>
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_changed_is_sent() {
        let untouched = Chosen {
            chunk: "sentence".into(),
            image_grid: "1".into(),
            audio_units: "1".into(),
            ..Chosen::default()
        };
        assert_eq!(untouched.options(), Ok(Map::new()));
        let changed = Chosen {
            chunk: "clause".into(),
            image_grid: "3".into(),
            audio_units: "semantic".into(),
            silent: true,
            video_fps: " 1.5 ".into(),
            dtype: "bf16".into(),
            ..Chosen::default()
        };
        let expected = json!({
            "chunk": "clause", "image_grid": 3, "audio_units": "semantic", "use_audio_in_video": false,
            "video_fps": 1.5, "dtype": "bf16"
        });
        assert_eq!(changed.options().map(Value::Object), Ok(expected));
        let halves = Chosen {
            audio_units: "0.5".into(),
            ..Chosen::default()
        };
        assert_eq!(
            halves.options().map(Value::Object),
            Ok(json!({"audio_bin_secs": 0.5}))
        );
        for wrong in ["0", "99", "fast"] {
            let wrong = Chosen {
                video_fps: wrong.into(),
                ..Chosen::default()
            };
            assert!(
                wrong
                    .options()
                    .is_err_and(|sentence| sentence.contains("Frames per second"))
            );
        }
    }
}
