//! The engine in the shape of the released package: a tracer around one model, samples in, traces out.
//! In: a model's directory, and questions put together from texts and files. Out: records, live on request.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use attribution::event::TraceEvent;
use attribution::label::unit_label;
use attribution::record::Record;
use candle_core::Device;

use crate::faithfulness::{Faithfulness, Question, Replay};
use crate::{
    EngineError, Item, MediaItem, Model, ModelFiles, Outcome, Precision, TraceOptions,
    TraceRequest, Turn, pipeline,
};

/// A model that answers and says where its answers come from.
///
/// ```
/// use engine::{OmniTracer, Sample};
///
/// let tracer = OmniTracer::new("../models/tiny-omni")?;
/// let sample = Sample::new("Summarize the conversation.\n")
///     .text("Anna: I bought a red car.\n")
///     .text("Ben: I saw a blue bird.\n");
/// let trace = tracer.trace(&sample)?;
/// for (sentence, sources) in trace.cited() {
///     println!("{sentence} <- {}", sources.join(", "));
/// }
/// assert!(trace.cited().any(|(_, sources)| !sources.is_empty()));
/// # Ok::<(), engine::EngineError>(())
/// ```
#[derive(Debug)]
pub struct OmniTracer {
    model: Model,
    options: TraceOptions,
}

/// How a tracer is made.
#[derive(Debug)]
pub struct OmniTracerBuilder {
    files: ModelFiles,
    name: Option<String>,
    device: Device,
    precision: Option<Precision>,
    options: TraceOptions,
}

impl OmniTracer {
    /// Loads a model (a directory in the hub's layout, or linked bytes) onto the CPU, with the package's defaults.
    pub fn new(model: impl Into<ModelFiles>) -> Result<Self, EngineError> {
        Self::builder(model).build()
    }

    /// To choose device, precision or options.
    pub fn builder(model: impl Into<ModelFiles>) -> OmniTracerBuilder {
        OmniTracerBuilder {
            files: model.into(),
            name: None,
            device: Device::Cpu,
            precision: None,
            options: TraceOptions::default(),
        }
    }

    /// Generates an answer and traces it.
    pub fn trace(&self, sample: &Sample) -> Result<Outcome, EngineError> {
        self.stream(sample, |_| ControlFlow::Continue(()))
    }

    /// [`Self::trace`] with every event as it happens: sources, tokens, and each sentence with its sources as soon as the next
    /// has begun. `Break` ends the generation; what there is comes back.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use attribution::event::TraceEvent;
    /// use engine::{OmniTracer, Sample};
    ///
    /// let tracer = OmniTracer::builder("../models/tiny-omni").max_new_tokens(20).build()?;
    /// let mut answer = String::new();
    /// let trace = tracer.stream(&Sample::new("Summarize.\n").text("Anna: I bought a red car.\n"), |event| {
    ///     match event {
    ///         TraceEvent::Token { text, .. } => answer += &text,
    ///         TraceEvent::Chunk { attribution, .. } => println!("{} sources", attribution.cited.len()),
    ///         _ => {}
    ///     }
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(answer, trace.record.response);
    /// # Ok::<(), engine::EngineError>(())
    /// ```
    pub fn stream(
        &self,
        sample: &Sample,
        mut observe: impl FnMut(TraceEvent) -> ControlFlow<()>,
    ) -> Result<Outcome, EngineError> {
        let mut request = sample.0.clone();
        request.options = self.options.clone();
        pipeline::trace(&self.model, &request, &mut observe)
    }

    /// Whether a chunk of a finished trace becomes less likely when what it cites is removed, and how far against random
    /// units. `sample` is what `record` was made from, under the options of now.
    ///
    /// ```
    /// use engine::faithfulness::Question;
    /// use engine::{OmniTracer, Sample};
    ///
    /// let tracer = OmniTracer::new("../models/tiny-omni")?;
    /// let sample = Sample::new("Summarize the conversation.\n")
    ///     .text("Anna: I bought a red car.\n")
    ///     .text("Ben: I saw a blue bird.\n");
    /// let trace = tracer.trace(&sample)?;
    /// let proof = tracer.faithfulness(&sample, &trace.record, &Question::new(0))?;
    /// println!("{:.2} nats, random units {:?}", proof.fall, proof.random_fall);
    /// assert!(proof.log_prob > proof.log_prob_nothing);
    /// # Ok::<(), engine::EngineError>(())
    /// ```
    pub fn faithfulness(
        &self,
        sample: &Sample,
        record: &Record,
        question: &Question,
    ) -> Result<Faithfulness, EngineError> {
        let mut request = sample.0.clone();
        request.options = self.options.clone();
        let asked = Replay::open(&self.model, &request, record)?.ask(question, &mut || true)?;
        asked.ok_or_else(|| EngineError::Request("scoring was stopped".to_owned()))
    }

    /// The options of every trace from now on.
    pub fn options_mut(&mut self) -> &mut TraceOptions {
        &mut self.options
    }

    /// The model itself.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

impl OmniTracerBuilder {
    /// The model's name in records; the directory's where nothing is said.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where it runs; the CPU where nothing is said.
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Precision of weights and activations; the usual one where nothing is said.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Everything else that may be chosen.
    pub fn options(mut self, options: TraceOptions) -> Self {
        self.options = options;
        self
    }

    /// Upper bound of generated tokens.
    pub fn max_new_tokens(mut self, most: u32) -> Self {
        self.options.decoding.max_new_tokens = most;
        self
    }

    /// Loads the model.
    pub fn build(self) -> Result<OmniTracer, EngineError> {
        let name = self.name.unwrap_or_else(|| match &self.files {
            ModelFiles::Dir(dir) => dir
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            ModelFiles::Bytes(_) => "built-in".to_owned(),
        });
        Ok(OmniTracer {
            model: Model::load_as(&self.files, &name, &self.device, self.precision)?,
            options: self.options,
        })
    }
}

/// A question: an instruction and any interleaving of texts, pictures, sounds and films, after earlier turns if there were any.
#[derive(Debug, Clone, Default)]
pub struct Sample(TraceRequest);

impl Sample {
    /// With an instruction, which may be empty.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self(TraceRequest {
            prompt: prompt.into(),
            ..TraceRequest::default()
        })
    }

    /// A system message in place of the model's own.
    pub fn system(mut self, system: impl Into<String>) -> Self {
        self.0.system = Some(system.into());
        self
    }

    /// Appends a text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.items.push(Item::Text(text.into()));
        self
    }

    /// Appends a picture file.
    pub fn image(mut self, path: impl AsRef<Path>) -> Result<Self, EngineError> {
        self.0.items.push(Item::Image(MediaItem::read(path)?));
        Ok(self)
    }

    /// Appends a sound file.
    pub fn audio(mut self, path: impl AsRef<Path>) -> Result<Self, EngineError> {
        self.0.items.push(Item::Audio(MediaItem::read(path)?));
        Ok(self)
    }

    /// Appends a film file.
    pub fn video(mut self, path: impl AsRef<Path>) -> Result<Self, EngineError> {
        self.0.items.push(Item::Video(MediaItem::read(path)?));
        Ok(self)
    }

    /// Appends an item that is in memory.
    pub fn item(mut self, item: Item) -> Self {
        self.0.items.push(item);
        self
    }

    /// What was asked so far becomes an earlier turn, with its `answer`; the next question begins with `prompt`.
    pub fn answered(mut self, answer: impl Into<String>, prompt: impl Into<String>) -> Self {
        let asked = std::mem::replace(&mut self.0.prompt, prompt.into());
        let mut items = std::mem::take(&mut self.0.items);
        if !asked.is_empty() {
            items.insert(0, Item::Text(asked));
        }
        let turn = |assistant, items| Turn { assistant, items };
        self.0.history.push(turn(false, items));
        self.0
            .history
            .push(turn(true, vec![Item::Text(answer.into())]));
        self
    }
}

impl MediaItem {
    /// From a file, under its own name.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let bytes: Arc<[u8]> = std::fs::read(path)
            .map_err(|error| {
                EngineError::Request(format!("{} cannot be read: {error}", path.display()))
            })?
            .into();
        Ok(Self {
            name: path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            hash: media::content_hash(&bytes),
            bytes,
        })
    }
}

impl Outcome {
    /// The chunks of the answer in order, each with the names of its sources, the strongest first within a modality
    /// ("T2", "Image 1", "0:04-0:05").
    pub fn cited(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        let record = &self.record;
        let chunks = record.chunks.iter().zip(&record.attributions);
        chunks.map(|(chunk, attribution)| {
            let text = record
                .response
                .get(chunk.start as usize..chunk.end as usize)
                .unwrap_or_default();
            let units = attribution.cited.iter();
            (
                text.trim(),
                units.map(|cited| unit_label(record, cited.unit)).collect(),
            )
        })
    }
}
