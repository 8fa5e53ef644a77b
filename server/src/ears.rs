//! Speech recognition before a trace: sounds whose units shall follow what is said, and that came without a transcript.
//! In: a request. Out: the same with transcripts, where a recognition model is configured.

use attribution::record::AudioUnits;
use engine::{Item, TraceRequest, Transcriber};

use crate::error::ServerError;
use crate::models::{ModelError, ModelSpec, spec};

/// The recognition model, loaded when it is first needed.
pub struct Ears {
    spec: Option<ModelSpec>,
    loaded: Option<Transcriber>,
}

impl Ears {
    /// `wanted`: a Whisper directory or an id on the hub; without one nothing is recognized, and units follow the voice.
    pub fn new(wanted: Option<&str>) -> Result<Self, ModelError> {
        Ok(Self {
            spec: wanted.map(spec).transpose()?,
            loaded: None,
        })
    }

    /// Adds the transcripts that are asked for and missing.
    pub fn listen(&mut self, request: &mut TraceRequest) -> Result<(), ServerError> {
        let Some(spec) = &self.spec else {
            return Ok(());
        };
        if request.options.settings.audio_units != AudioUnits::Semantic {
            return Ok(());
        }
        let earlier = request.history.iter().flat_map(|turn| &turn.items);
        for item in earlier.chain(&request.items) {
            let Item::Audio(file) = item else { continue };
            if request.transcripts.contains_key(&file.hash) {
                continue;
            }
            let transcriber = match &mut self.loaded {
                Some(transcriber) => transcriber,
                empty => {
                    let failed = |error: engine::EngineError| ServerError::Model {
                        name: spec.name.clone(),
                        reason: error.to_string(),
                    };
                    let files = spec.files()?;
                    empty.insert(
                        Transcriber::load(&files, &spec.name, &engine::default_device()?)
                            .map_err(failed)?,
                    )
                }
            };
            if let Some(heard) = transcriber.transcribe(file, &request.options.limits)? {
                request.transcripts.insert(file.hash.clone(), heard);
            }
        }
        Ok(())
    }
}
