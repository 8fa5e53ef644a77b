//! `omnitrace eval world`: how well a model answers, and how true its traces are, on samples whose sources are known exactly.
//! In: tasks, seeds, a model. Out: a table; on request the same numbers as JSON and CSV.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result};
use attribution::curation::recurate;
use attribution::record::{Method, Record, SignalKind, UnitScore};
use clap::{Args, Subcommand};
use engine::{Item, MediaItem, Model, TraceRequest};
use indicatif::{ProgressBar, ProgressStyle};
use world::sample::{Block, Sample};
use world::{Split, Task};

use crate::models::{self, ModelPool, memory};
use crate::sample::Options;

mod marks;
mod report;

use marks::{Marks, Places};
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
    /// Also write the numbers as JSON.
    #[arg(long, value_name = "F.json")]
    json: Option<PathBuf>,
    /// Also write the scores as CSV, one a line.
    #[arg(long, value_name = "F.csv")]
    csv: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Result<()> {
    let What::World(args) = &args.what;
    let mut pool = ModelPool::new(Vec::new(), None, memory::default_bytes());
    let name = pool.admit(args.model.as_deref().unwrap_or(models::TINY))?;
    let loaded = pool.get(&name, None)?;
    let tasks = if args.tasks.is_empty() {
        Task::ALL.to_vec()
    } else {
        args.tasks.clone()
    };
    let bar = ProgressBar::new(args.n * tasks.len() as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} samples  {elapsed_precise}  {msg}")?,
    );
    let mut report = Report::new(&loaded.model, args.seed, args.n, args.split);
    for task in tasks {
        bar.set_message(task.name());
        let mut judged = Vec::new();
        for seed in (0..args.n).map(|k| args.seed.wrapping_add(k)) {
            let sample = world::generate(task, seed, args.split)
                .with_context(|| format!("{task}, seed {seed}"))?;
            let record = trace(&loaded.model, &sample, loaded.no_repeat_ngram)
                .with_context(|| format!("{task}, seed {seed}"))?;
            judged.push(judge(&sample, &record));
            bar.inc(1);
        }
        report.tasks.push(TaskReport::new(task, &judged, args.seed));
    }
    bar.finish_and_clear();
    print!("{}", report.table());
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(&report.json())? + "\n")?;
    }
    if let Some(path) = &args.csv {
        write(path, report.csv())?;
    }
    Ok(())
}

/// Generates and traces the answer to a sample, from its files, as for a visitor.
fn trace(model: &Model, sample: &Sample, no_repeat_ngram: u32) -> Result<Record> {
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
    let request = TraceRequest {
        prompt: sample.prompt.clone(),
        items,
        options,
        ..TraceRequest::default()
    };
    let mut go_on = |_| ControlFlow::Continue(());
    Ok(engine::pipeline::trace(model, &request, &mut go_on)?.record)
}

/// Compares an answer and its trace with what is known.
fn judge(sample: &Sample, record: &Record) -> Judged {
    let told: Vec<&str> = record
        .chunks
        .iter()
        .map(|chunk| record.response[chunk.start as usize..chunk.end as usize].trim())
        .collect();
    let right: Vec<bool> = sample
        .answer
        .iter()
        .enumerate()
        .map(|(k, sentence)| told.get(k) == Some(&sentence.sentence.as_str()))
        .collect();
    let places = Places::of(record);
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
            let chunks = recurate(record, &method);
            let each = chunks.iter().zip(heat).zip(&sample.answer).zip(&right);
            marks.push(
                each.map(|(((attribution, heat), truth), right)| {
                    (
                        *right,
                        Marks::of(record, &places, attribution, heat, &truth.support),
                    )
                })
                .collect(),
            );
        }
    }
    Judged {
        answered: match sample.option_letter {
            Some(letter) => last_letter(&record.response) == Some(letter),
            None => record.response.trim() == sample.answer_text(),
        },
        sentences: right,
        marks,
    }
}

/// The last option's letter in brackets: `B` of `So the answer is bell (B).`
fn last_letter(text: &str) -> Option<char> {
    let at = text.rfind('(')?;
    let mut rest = text[at + 1..].chars();
    let letter = rest.next()?;
    (rest.next() == Some(')')).then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_is_the_last_in_brackets() {
        assert_eq!(
            last_letter("It is (A). So the answer is bell (B)."),
            Some('B')
        );
        assert_eq!(last_letter("bell (B"), None);
        assert_eq!(last_letter(""), None);
    }
}
