//! `omnitrace eval world`: how well a model answers, and how true its traces are, on samples whose sources are known exactly.
//! In: tasks, seeds, a model. Out: tables; on request the same numbers as JSON and CSV, charts, and the page's file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use attribution::curation::recurate;
use attribution::record::{ChunkAttribution, HeatMap, Method, Record, SignalKind, UnitScore};
use clap::{Args, Subcommand};
use engine::faithfulness::Replay;
use engine::{EngineError, Item, MediaItem, Model, TraceRequest};
use indicatif::{ProgressBar, ProgressStyle};
use world::sample::{Block, Sample};
use world::{Split, Task};

use crate::models::{self, ModelPool, memory};
use crate::sample::Options;
use crate::truth::{Places, last_letter};

mod ablations;
mod analysis;
mod asked;
mod baselines;
mod blind;
mod labelled;
mod marks;
mod objects;
mod removal;
mod report;
#[cfg(test)]
mod tests;

use ablations::Ablations;
use analysis::Gathered;
use baselines::Given;
use marks::{Marks, Truth};
use removal::Removals;
use report::{Judged, Report, TaskReport};

/// `omnitrace eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Samples of the synthetic world, whose sources are known exactly.
    World(WorldEvalArgs),
    /// Samples of your own with labels: the package's form, and per answer sentence what it rests on.
    Labelled(labelled::LabelledArgs),
}

/// `omnitrace eval world`.
#[derive(Debug, Clone, Args)]
pub struct WorldEvalArgs {
    /// dialogue, speech, audio-qa, visual-qa, video-qa, mixed; several with commas. Default: all.
    #[arg(long, value_name = "TASKS", value_delimiter = ',', value_parser = |name: &str| name.parse::<Task>())]
    tasks: Vec<Task>,
    /// The first seed; sample k of every task has the seed S + k.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Samples per task.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    n: u64,
    /// eval: unseen seeds; heldout: every sample holds a combination or a voice that training never showed.
    #[arg(long, value_name = "SPLIT", default_value = "eval", value_parser = |name: &str| name.parse::<Split>())]
    split: Split,
    /// Model: a directory in the hub's layout, or an id on the hub. Default: the tiny model inside.
    #[arg(long, value_name = "DIR|ID", env = "OMNITRACE_MODEL")]
    model: Option<String>,
    /// Also take cited sources away and score again, in the first K samples of each task.
    #[arg(long, value_name = "K", default_value_t = 0)]
    removal: u64,
    /// Also ask the model itself what its sentences rest on, in the first K samples of each task.
    #[arg(long, value_name = "K", default_value_t = 0)]
    ask: u64,
    /// Also compare with CLIP: a directory with a checkpoint in the hub's layout (openai/clip-vit-large-patch14).
    #[arg(long, value_name = "DIR")]
    clip: Option<PathBuf>,
    /// Also write the charts as SVG, each with its data as CSV.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// Also write what the page /eval shows.
    #[arg(long, value_name = "F.json")]
    page: Option<PathBuf>,
    /// Also write the numbers as JSON.
    #[arg(long, value_name = "F.json")]
    json: Option<PathBuf>,
    /// Also write the scores as CSV, one a line.
    #[arg(long, value_name = "F.csv")]
    csv: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Result<()> {
    match &args.what {
        What::World(args) => world_run(args),
        What::Labelled(args) => labelled::run(args),
    }
}

fn world_run(args: &WorldEvalArgs) -> Result<()> {
    let mut pool = ModelPool::new(Vec::new(), None, memory::default_bytes());
    let name = pool.admit(args.model.as_deref().unwrap_or(models::TINY))?;
    let loaded = pool.get(&name, None)?;
    let report = evaluate(&loaded.model, loaded.no_repeat_ngram, args)?;
    print!("{}", report.table());
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(&report.json())? + "\n")?;
    }
    if let Some(path) = &args.csv {
        write(path, report.csv())?;
    }
    if let Some(dir) = &args.charts {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for (name, svg, data) in analysis::files(&report.analysis) {
            write(&dir.join(format!("{name}.svg")), svg)?;
            write(&dir.join(format!("{name}.csv")), data)?;
        }
    }
    if let Some(path) = &args.page {
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        let usual = Method::default();
        let usual = format!(
            "{}, {}, {}",
            usual.signal.name(),
            usual.unit_score.name(),
            usual.curation.competition.name()
        );
        let page = report.page(format!("omnitrace {command}"), usual);
        write(path, serde_json::to_string(&page)? + "\n")?;
    }
    Ok(())
}

/// Everything that is measured on a model.
fn evaluate(model: &Model, no_repeat_ngram: u32, args: &WorldEvalArgs) -> Result<Report> {
    let tasks = if args.tasks.is_empty() {
        Task::ALL.to_vec()
    } else {
        args.tasks.clone()
    };
    let clip = args.clip.as_deref().map(baselines::open_clip).transpose()?;
    let bar = ProgressBar::new(args.n * tasks.len() as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} samples  {elapsed_precise}  {msg}")?,
    );
    let mut report = Report::new(model, args.seed, args.n, args.split);
    let usual = Method::default();
    let (mut ablations, mut gathered) = (Ablations::of(&usual), Gathered::default());
    let mut all_removals = Removals::default();
    for task in tasks {
        bar.set_message(task.name());
        let (mut judged, mut removals) = (Vec::new(), Removals::default());
        for k in 0..args.n {
            let seed = args.seed.wrapping_add(k);
            let at = || format!("{task}, seed {seed}");
            let sample = world::generate(task, seed, args.split).with_context(at)?;
            let request = request(&sample, no_repeat_ngram)?;
            let record = traced(model, &request).with_context(at)?;
            let replay = Replay::open(model, &request, &record).with_context(at)?;
            let right = right_sentences(&sample, &record);
            let mut given = [
                baselines::random(&record, &record.attributions, seed),
                blind::trace(&record, seed).with_context(at)?,
                baselines::alike(&record, &replay)?,
                Vec::new(),
                match &clip {
                    Some(clip) => {
                        baselines::seen_alike(clip, model, &request, &record).with_context(at)?
                    }
                    None => Vec::new(),
                },
            ];
            if k < args.ask {
                let reply = ask(model, &request, &record).with_context(at)?;
                let found = asked::given(&record, &reply);
                report.asked[0] += 1;
                report.asked[1] += u64::from(found.is_some());
                given[3] = found.unwrap_or_else(|| asked::nothing(&record));
            }
            if k < args.removal {
                removals.add(&replay, &right, seed).with_context(at)?;
            }
            let places = Places::of(&record);
            ablations.add(&record, &places, &sample, &right);
            let own = judge(&sample, &record, &places, &right, &given);
            gathered.add(
                &sample,
                &record,
                &places,
                &usual,
                (own.answered, own.sources_f1()),
            );
            judged.push(own);
            bar.inc(1);
        }
        (report.removal).extend(removals.figures(task.name(), args.seed));
        all_removals.extend(&removals);
        report.tasks.push(TaskReport::new(task, &judged, args.seed));
    }
    bar.finish_and_clear();
    report
        .removal
        .extend(all_removals.figures("all", args.seed));
    report.ablations = ablations.rows();
    report.analysis = gathered.figures(args.seed);
    Ok(report)
}

/// A sample as a visitor's request, from its files.
fn request(sample: &Sample, no_repeat_ngram: u32) -> Result<TraceRequest> {
    let mut images = 0;
    let mut file = |extension: &str, bytes: Vec<u8>| {
        images += 1;
        MediaItem {
            name: format!("{images}.{extension}"),
            hash: media::content_hash(&bytes),
            bytes: bytes.into(),
        }
    };
    let mut items = Vec::with_capacity(sample.blocks.len());
    for block in &sample.blocks {
        items.push(match block {
            Block::Text(text) => Item::Text(text.clone()),
            Block::Image(picture) => Item::Image(file("png", world::files::png(picture)?)),
            Block::Audio(sound) => Item::Audio(file("wav", world::files::wav(sound)?)),
            Block::Video(film) => Item::Video(file("mp4", world::files::mp4(film)?)),
        });
    }
    let options = Options::default().resolve(&media::Limits::default(), u32::MAX, no_repeat_ngram);
    Ok(TraceRequest {
        prompt: sample.prompt.clone(),
        items,
        options,
        ..TraceRequest::default()
    })
}

fn traced(model: &Model, request: &TraceRequest) -> Result<Record> {
    let mut go_on = |_| ControlFlow::Continue(());
    Ok(engine::pipeline::trace(model, request, &mut go_on)?.record)
}

/// The model's reply when it is asked what its answer rests on; nothing where the question is too long for it.
fn ask(model: &Model, request: &TraceRequest, record: &Record) -> Result<String> {
    let mut again = request.clone();
    again.prompt = asked::prompt(record);
    // Text stands in the question already, with its numbers.
    again.items.retain(|item| !matches!(item, Item::Text(_)));
    let mut go_on = |_| ControlFlow::Continue(());
    match engine::pipeline::trace(model, &again, &mut go_on) {
        Ok(outcome) => Ok(outcome.record.response),
        Err(EngineError::Request(_)) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

/// Per expected sentence: whether it stands at its place, word for word.
fn right_sentences(sample: &Sample, record: &Record) -> Vec<bool> {
    let told: Vec<&str> = record
        .chunks
        .iter()
        .map(|chunk| record.response[chunk.start as usize..chunk.end as usize].trim())
        .collect();
    (sample.answer.iter().enumerate())
        .map(|(k, sentence)| told.get(k) == Some(&sentence.sentence.as_str()))
        .collect()
}

/// Compares an answer, its trace and the baselines with what is known.
fn judge(
    sample: &Sample,
    record: &Record,
    places: &Places,
    right: &[bool],
    given: &[Vec<Given>; report::BASELINES.len()],
) -> Judged {
    let film = sample.blocks.iter().find_map(Block::film);
    let marked = |given: &mut dyn Iterator<Item = (ChunkAttribution, &[HeatMap])>| -> Vec<_> {
        (given.zip(&sample.answer).zip(right))
            .map(|(((attribution, heat), truth), right)| {
                let truth = Truth {
                    support: &truth.support,
                    film,
                };
                (*right, Marks::of(record, places, &attribution, heat, truth))
            })
            .collect()
    };
    let mut marks = Vec::new();
    for signal in SignalKind::ALL {
        for unit_score in UnitScore::ALL {
            // The instruction is no source of any sentence, so it does not stand for election.
            let method = Method {
                signal,
                unit_score,
                cite_prompt: false,
                ..record.method.clone()
            };
            let heat = &record.signals[signal.index()].heat;
            let chunks = recurate(record, &method).into_iter();
            marks.push(marked(&mut chunks.zip(heat.iter().map(Vec::as_slice))));
        }
    }
    let chunks = recurate(record, &Method::paper()).into_iter();
    let heat = &record.signals[Method::paper().signal.index()].heat;
    marks.push(marked(&mut chunks.zip(heat.iter().map(Vec::as_slice))));
    for (own, name) in given.iter().zip(report::BASELINES) {
        let own = own.iter();
        let own =
            marked(&mut own.map(|(attribution, heat)| (attribution.clone(), heat.as_slice())));
        let spoken_of: &[&str] = match name {
            "embedding" => &["text_f1", "image_f1"],
            // Frames are pictures; of sounds CLIP knows nothing.
            "clip" if film.is_some() => &["text_f1", "image_f1", "time_f1", "interval_iou"],
            "clip" => &["text_f1", "image_f1"],
            "self" => &Marks::SOURCES,
            _ => &Marks::NAMES,
        };
        let own = own.into_iter();
        marks.push(
            own.map(|(right, own)| (right, own.only(spoken_of)))
                .collect(),
        );
    }
    let chances = objects::any(sample, &record.units, record.attributions.len());
    marks.push(right.iter().copied().zip(chances).collect());
    Judged {
        answered: match sample.option_letter {
            Some(letter) => last_letter(&record.response) == Some(letter),
            None => record.response.trim() == sample.answer_text(),
        },
        sentences: right.to_vec(),
        marks,
    }
}
