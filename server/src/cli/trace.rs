//! `omnitrace trace`: every sample of a JSON file through the model, in the released package's form.
//! In: one sample or a list of them. Out: records, and the raw scores on request.
//!
//! A media path is looked for beside the JSON file first, then from the current directory. Everything that can be wrong
//! with the file is found before a model is loaded; records made before a later failure are written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use attribution::curation::Competition;
use attribution::event::TraceEvent;
use attribution::record::{AudioUnits, ChunkSize, SignalKind, Stage, UnitScore};
use attribution::transcript::Transcript;
use clap::Args;
use engine::{Item, MediaItem, Model, Outcome, Precision, TraceRequest, Turn};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::Value;

use super::package;
use super::scores::Scores;
use crate::ears::Ears;
use crate::models::memory::parse_bytes;
use crate::models::{self, LoadedModel, ModelPool, memory};
use crate::sample::{Block, GivenTranscript, MediaKind, Options, Sample};
use crate::store::now_unix_secs;

/// `omnitrace trace`.
#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// JSON file with a list of samples, or one sample.
    #[arg(long, value_name = "F.json", alias = "questions_path")]
    pub questions_path: PathBuf,
    /// Model: a directory in the hub's layout, or an id on the hub such as Qwen/Qwen2.5-Omni-7B, which is downloaded into
    /// the hub's cache. Default: the tiny model inside.
    #[arg(long, value_name = "DIR|ID", env = "OMNITRACE_MODEL")]
    pub model: Option<String>,
    /// Precision of weights and activations: f32, bf16 or f16. Default: f32 for small models,
    /// that of the files for large ones, bf16 on a GPU.
    #[arg(long, value_name = "NAME", env = "OMNITRACE_DTYPE")]
    pub dtype: Option<Precision>,
    /// Memory that the weights of all models may take together, for example 18G. Default: 85 % of what is available.
    #[arg(long, value_name = "SIZE", env = "OMNITRACE_MODEL_MEMORY", value_parser = parse_bytes)]
    pub model_memory: Option<u64>,
    /// The signal that the sources are chosen by: attmean, attraw, attgrads, attfocus, attrise or attvalue. The record holds all.
    #[arg(long, value_parser = named::<SignalKind>, value_name = "NAME")]
    pub method: Option<SignalKind>,
    /// Where the records go: .json (a list) or .jsonl (one a line).
    #[arg(
        long,
        value_name = "O.json|.jsonl",
        default_value = "output.json",
        alias = "output_path"
    )]
    pub output_path: PathBuf,
    /// Only the first N samples.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Upper bound of generated tokens.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_new_tokens: Option<u32>,
    /// How a unit's score is made from its positions: sum, max or mean.
    #[arg(long, value_parser = named::<UnitScore>, value_name = "NAME")]
    pub unit_score: Option<UnitScore>,
    /// Which units compete for a token, and how a chunk's votes are curated: all (within each modality, as in the paper),
    /// together (all modalities as one; the default) or apart.
    #[arg(long, value_parser = named::<Competition>, value_name = "NAME")]
    pub competition: Option<Competition>,
    /// Chunks of the answer: sentence or clause.
    #[arg(long, value_parser = named::<ChunkSize>, value_name = "SIZE")]
    pub chunk: Option<ChunkSize>,
    /// Units of a picture: K x K parts; 1 is the whole picture.
    #[arg(long, value_name = "K")]
    pub image_grid: Option<u32>,
    /// Length of a time bin of a sound, seconds.
    #[arg(long, value_name = "SECS")]
    pub audio_bin_secs: Option<f64>,
    /// How much of each sound is heard, seconds, where the model's own bound (300) is too little.
    #[arg(long, value_name = "SECS")]
    pub audio_max_secs: Option<f64>,
    /// Frames per second at which films are sampled. Default: the model's own, as in the package (2).
    #[arg(long, value_name = "N")]
    pub video_fps: Option<f64>,
    /// Most pixels of a film's frame.
    #[arg(long, value_name = "N")]
    pub video_max_pixels: Option<u64>,
    /// Bound for the pixels of all frames of a film together.
    #[arg(long, value_name = "N")]
    pub video_total_pixels: Option<u64>,
    /// Whether a film's own sound is heard.
    #[arg(long, value_name = "true|false")]
    pub use_audio_in_video: Option<bool>,
    /// Put sounds and films before the instruction, as the released package does with its own samples.
    #[arg(long)]
    pub package_order: bool,
    /// Whisper model that writes transcripts for sounds whose units shall follow what is said: a directory in the hub's
    /// layout, or an id on the hub such as openai/whisper-small. Without one such units follow the voice alone.
    #[arg(long, value_name = "DIR|ID", env = "OMNITRACE_ASR_MODEL")]
    pub asr_model: Option<String>,
    /// Units of sounds follow what is said (sentences grouped by meaning), not bins of equal length.
    #[arg(long, alias = "use_asr_for_audio")]
    pub use_asr_for_audio: bool,
    /// Transcript (JSON, SRT or WebVTT) of the one sound of the one sample; several are named in their samples.
    #[arg(long, value_name = "FILE")]
    pub transcript: Option<PathBuf>,
    /// Also write the raw signals.
    #[arg(long, value_name = "S.safetensors")]
    pub scores_path: Option<PathBuf>,
}

/// The names that records use are the names of the flags.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, NameError> {
    let name: StrDeserializer<'_, NameError> = name.into_deserializer();
    T::deserialize(name)
}

/// A sample, checked.
struct Job {
    /// As given, for the record.
    given: Value,
    sample: Sample,
    /// By the sounds' names.
    transcripts: BTreeMap<String, Transcript>,
    /// The sample's, where no flag says otherwise.
    options: Options,
    /// Of the media blocks, in order.
    paths: Vec<PathBuf>,
}

/// A traced sample.
pub struct Traced<'a> {
    /// As given.
    pub given: &'a Value,
    /// What traced it.
    pub model: &'a Model,
    /// What the engine was asked.
    pub request: TraceRequest,
    /// What came out.
    pub outcome: Outcome,
}

/// Traces every sample of a file, with the flags' defaults.
pub fn trace_file(
    path: &Path,
    model: Option<&str>,
    each: &mut dyn FnMut(usize, Traced<'_>) -> Result<()>,
) -> Result<()> {
    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: TraceArgs,
    }
    let mut words: Vec<std::ffi::OsString> = vec!["trace".into(), "--questions-path".into()];
    words.push(path.into());
    if let Some(model) = model {
        words.extend(["--model".into(), model.into()]);
    }
    let args = <Alone as clap::Parser>::try_parse_from(words)?.args;
    trace_all(&args, &read(&args)?, false, each)
}

/// Runs the command.
pub fn run(args: &TraceArgs) -> Result<()> {
    let lines = match args.output_path.extension().and_then(|kind| kind.to_str()) {
        Some("json") => false,
        Some("jsonl") => true,
        _ => bail!(
            "--output-path must end in .json or .jsonl: {}",
            args.output_path.display()
        ),
    };
    let jobs = read(args)?;
    let mut scores = args.scores_path.as_ref().map(|_| Scores::default());
    let mut records = Vec::with_capacity(jobs.len());
    let result = trace_all(args, &jobs, scores.is_some(), &mut |index, traced| {
        let Traced {
            given, mut outcome, ..
        } = traced;
        outcome.record.receipt.created_unix_secs = now_unix_secs();
        records.push(package::record(given, &outcome)?);
        if let Some(scores) = &mut scores {
            scores.add(index, &mut outcome);
        }
        Ok(())
    });
    if result.is_err() && records.is_empty() {
        return result;
    }
    write(&args.output_path, lines, &records)?;
    if let (Some(path), Some(scores)) = (&args.scores_path, &scores) {
        scores.write(path)?;
    }
    result?;
    eprintln!(
        "{} records in {}",
        records.len(),
        args.output_path.display()
    );
    Ok(())
}

fn read(args: &TraceArgs) -> Result<Vec<Job>> {
    let path = &args.questions_path;
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let value: Value = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not valid JSON", path.display()))?;
    let samples = match value {
        Value::Array(samples) => samples,
        one @ Value::Object(_) => vec![one],
        _ => bail!("{} must hold a list of samples", path.display()),
    };
    let beside = path.parent().unwrap_or(Path::new(""));
    let limit = args.limit.unwrap_or(usize::MAX);
    let jobs = samples
        .into_iter()
        .take(limit)
        .enumerate()
        .map(|(index, given)| {
            let sample = Sample::parse(&given)
                .map_err(|error| anyhow!("{}: {error}", title(index, &given)))?;
            let mut paths = Vec::new();
            for block in sample.all_blocks() {
                let Block::Media(kind, name) = block else {
                    continue;
                };
                let found = [beside.join(name), PathBuf::from(name)]
                    .into_iter()
                    .find(|path| path.is_file());
                paths.push(found.ok_or_else(|| {
                    let beside = if beside.as_os_str().is_empty() {
                        ".".into()
                    } else {
                        beside.display().to_string()
                    };
                    anyhow!(
                        "{}: the {} {name:?} is neither in {beside} nor in the current directory",
                        title(index, &given),
                        kind.name()
                    )
                })?);
            }
            let transcripts =
                transcripts(args, &sample, beside).with_context(|| title(index, &given))?;
            let options = chosen(args, &sample.options);
            options
                .check()
                .map_err(|error| anyhow!("{}: {error}", title(index, &given)))?;
            Ok(Job {
                given,
                sample,
                transcripts,
                options,
                paths,
            })
        });
    jobs.collect()
}

/// The transcripts of a sample, those in files read; `--transcript` belongs to its one sound.
fn transcripts(
    args: &TraceArgs,
    sample: &Sample,
    beside: &Path,
) -> Result<BTreeMap<String, Transcript>> {
    let read = |path: &Path| -> Result<Transcript> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the transcript {}", path.display()))?;
        Transcript::parse(&text).with_context(|| path.display().to_string())
    };
    let mut found = BTreeMap::new();
    for (sound, given) in &sample.transcripts {
        let transcript = match given {
            GivenTranscript::Inline(transcript) => transcript.clone(),
            GivenTranscript::File(name) => {
                let near = beside.join(name);
                read(if near.is_file() {
                    &near
                } else {
                    Path::new(name)
                })?
            }
        };
        found.insert(sound.clone(), transcript);
    }
    if let Some(path) = &args.transcript {
        let mut sounds = sample.all_blocks().filter_map(|block| match block {
            Block::Media(MediaKind::Audio, name) => Some(name),
            _ => None,
        });
        let (Some(sound), None) = (sounds.next(), sounds.next()) else {
            bail!(
                "--transcript needs a sample with exactly one sound; name transcripts in the samples instead"
            );
        };
        found.insert(sound.clone(), read(path)?);
    }
    Ok(found)
}

/// A flag goes before what the sample says.
fn chosen(args: &TraceArgs, options: &Options) -> Options {
    let options = options.clone();
    Options {
        method: args.method.or(options.method),
        unit_score: args.unit_score.or(options.unit_score),
        competition: args.competition.or(options.competition),
        max_new_tokens: args.max_new_tokens.or(options.max_new_tokens),
        dtype: args.dtype.or(options.dtype),
        chunk: args.chunk.or(options.chunk),
        image_grid: args.image_grid.or(options.image_grid),
        audio_bin_secs: args.audio_bin_secs.or(options.audio_bin_secs),
        audio_max_secs: args.audio_max_secs.or(options.audio_max_secs),
        video_fps: args.video_fps.or(options.video_fps),
        video_max_pixels: args.video_max_pixels.or(options.video_max_pixels),
        video_total_pixels: args.video_total_pixels.or(options.video_total_pixels),
        use_audio_in_video: args.use_audio_in_video.or(options.use_audio_in_video),
        audio_units: (args.use_asr_for_audio)
            .then_some(AudioUnits::Semantic)
            .or(options.audio_units),
        package_order: args.package_order.then_some(true).or(options.package_order),
        ..options
    }
}

/// How messages name a sample.
fn title(index: usize, given: &Value) -> String {
    match given.get("id") {
        None | Some(Value::Null) => format!("sample {index}"),
        Some(id) => format!("sample {index} (id {id})"),
    }
}

fn trace_all(
    args: &TraceArgs,
    jobs: &[Job],
    keep_scores: bool,
    each: &mut dyn FnMut(usize, Traced<'_>) -> Result<()>,
) -> Result<()> {
    let budget = args.model_memory.unwrap_or_else(memory::default_bytes);
    let mut pool = ModelPool::new(Vec::new(), None, budget);
    let mut ears = Ears::new(args.asr_model.as_deref())?;
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} samples  {elapsed_precise}  {msg}",
    )?);
    bar.tick();
    for (index, job) in jobs.iter().enumerate() {
        let wanted = args
            .model
            .clone()
            .or_else(|| job.sample.options.model.clone())
            .unwrap_or_else(|| models::TINY.into());
        bar.set_message(format!("loading {wanted}"));
        let name = pool.admit(&wanted)?;
        let model = pool.get(&name, job.options.dtype)?;
        let (request, outcome) = trace_one(job, model, &mut ears, keep_scores, &bar)
            .with_context(|| title(index, &job.given))?;
        let traced = Traced {
            given: &job.given,
            model: &model.model,
            request,
            outcome,
        };
        each(index, traced).with_context(|| title(index, &job.given))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn trace_one(
    job: &Job,
    model: &LoadedModel,
    ears: &mut Ears,
    keep_scores: bool,
    bar: &ProgressBar,
) -> Result<(TraceRequest, Outcome)> {
    let mut options =
        job.options
            .resolve(&media::Limits::default(), u32::MAX, model.no_repeat_ngram);
    options.keep_scores = keep_scores;
    let mut transcripts = BTreeMap::new();
    let mut paths = job.paths.iter();
    let mut items = |blocks: &[Block]| -> Result<Vec<Item>> {
        let item = |block: &Block| match block {
            Block::Text(text) => Ok(Item::Text(text.clone())),
            Block::Media(kind, name) => {
                let path = paths.next().context("a block lost its file")?;
                let item = media_item(name, path, options.limits.max_bytes)?;
                if let Some(transcript) = job.transcripts.get(name) {
                    transcripts.insert(item.hash.clone(), transcript.clone());
                }
                Ok(match kind {
                    MediaKind::Image => Item::Image(item),
                    MediaKind::Audio => Item::Audio(item),
                    MediaKind::Video => Item::Video(item),
                })
            }
        };
        blocks.iter().map(item).collect()
    };
    let mut history = Vec::with_capacity(job.sample.history.len());
    for turn in &job.sample.history {
        history.push(Turn {
            assistant: turn.assistant,
            items: items(&turn.blocks)?,
        });
    }
    let items = items(&job.sample.blocks)?;
    let system = Some(job.sample.system.clone());
    let mut request = TraceRequest {
        system: system.filter(|system| !system.is_empty()),
        history,
        transcripts,
        prompt: job.sample.prompt.clone(),
        items,
        without: Vec::new(),
        options,
    };
    ears.listen(&mut request)?;
    let outcome = engine::pipeline::trace(&model.model, &request, &mut |event| {
        show(bar, &event);
        ControlFlow::Continue(())
    })?;
    Ok((request, outcome))
}

fn media_item(name: &str, path: &Path, max_bytes: u64) -> Result<MediaItem> {
    let size = fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    ensure!(
        size <= max_bytes,
        "{} has {size} bytes; at most {max_bytes} are read",
        path.display()
    );
    let bytes: Arc<[u8]> = fs::read(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .into();
    Ok(MediaItem {
        name: name.to_owned(),
        hash: media::content_hash(&bytes),
        bytes,
    })
}

fn show(bar: &ProgressBar, event: &TraceEvent) {
    match event {
        TraceEvent::Progress { stage, done, total } => {
            let stage = match stage {
                Stage::Decode => "decoding media",
                Stage::Encode => "encoding",
                Stage::Prefill => "reading the prompt",
                Stage::Generate => "writing",
            };
            bar.set_message(format!("{stage} {done}/{total}"));
        }
        TraceEvent::Token { index, .. } => bar.set_message(format!("token {}", index + 1)),
        _ => {}
    }
}

fn write(path: &Path, lines: bool, records: &[Value]) -> Result<()> {
    let mut text = Vec::new();
    if lines {
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
    } else {
        serde_json::to_writer_pretty(&mut text, records)?;
        text.push(b'\n');
    }
    let mut file =
        fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(&text)
        .with_context(|| format!("cannot write {}", path.display()))
}
