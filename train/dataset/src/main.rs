//! Writes shards of world samples for training; the format is described in `train/FORMAT.md`.

mod film;
mod shard;

use anyhow::Context;
use clap::{Parser, Subcommand};
use shard::Shard;
use std::path::PathBuf;
use world::attributes::{Colour, Quadrant, Shape};
use world::perception::{Perception, perceive};
use world::{Split, Task};

/// Samples of the synthetic world as training data.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Samples of a task: question, media, answer.
    Export {
        /// dialogue, speech, audio-qa, visual-qa, video-qa or mixed.
        #[arg(long)]
        task: Task,
        #[command(flatten)]
        range: Range,
    },
    /// Pictures and sounds with dense labels, for the encoders alone.
    Perception {
        /// image, event or speech.
        #[arg(long)]
        kind: Perception,
        #[command(flatten)]
        range: Range,
    },
    /// All label lists and the spoken words, as JSON on standard output.
    Words,
}

#[derive(Debug, clap::Args)]
struct Range {
    /// The first seed; the others follow it.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// How many samples.
    #[arg(long)]
    count: u64,
    /// train, eval or heldout.
    #[arg(long, default_value = "train")]
    split: Split,
    /// Writes OUT.jsonl and OUT.bin.
    #[arg(long)]
    out: PathBuf,
}

impl Range {
    fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.first_seed;
        (0..self.count).map(move |k| first.wrapping_add(k))
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Export { task, range } => {
            let mut shard = Shard::create(&range.out)?;
            for seed in range.seeds() {
                let sample = world::generate(task, seed, range.split)
                    .with_context(|| format!("{task}, seed {seed}"))?;
                shard.write_sample(&sample)?;
            }
            shard.finish()
        }
        Command::Perception { kind, range } => {
            let mut shard = Shard::create(&range.out)?;
            for seed in range.seeds() {
                let block = perceive(kind, seed, range.split)
                    .with_context(|| format!("{}, seed {seed}", kind.name()))?;
                shard.write_perception(kind.name(), seed, range.split, block)?;
            }
            shard.finish()
        }
        Command::Words => {
            println!("{}", serde_json::to_string_pretty(&words())?);
            Ok(())
        }
    }
}

/// The label lists, each in label order.
fn words() -> serde_json::Value {
    serde_json::json!({
        "shapes": Shape::ALL.map(Shape::name),
        "colours": Colour::ALL.map(Colour::name),
        "places": Quadrant::ALL.map(Quadrant::name),
        "events": world::sound::Event::ALL.map(world::sound::Event::name),
        "words": world::vocabulary::spoken_words().collect::<Vec<_>>(),
        "tasks": Task::ALL.map(Task::name),
    })
}
