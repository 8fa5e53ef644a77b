//! `omnitrace bench`: decoding traced and untraced, alone and together, prefill, and peak memory, on random weights or a checkpoint; a server under load.
//! Each printed triple is the smallest, middle and largest of the rounds of one run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use engine::bench::{
    BenchModel, BenchShape, DecodeSettings, MemoryPoint, TogetherSettings, fitted_slope,
    measure_long_sound, write_checkpoint,
};
use engine::{Precision, default_device};
use serde_json::{Value, json};

mod load;
mod workers;

/// `omnitrace bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
    /// Print JSON, one object a line, instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Time of a token: untraced, with attmean and attraw, with attfocus, attrise, all signals; and against memory's speed.
    Decode {
        #[command(flatten)]
        models: Models,
        /// Prompt tokens in the cache.
        #[arg(long, value_name = "N", default_values_t = [1024, 8192])]
        context: Vec<usize>,
        /// Tokens of one measurement.
        #[arg(long, value_name = "N", default_value_t = 48)]
        tokens: usize,
        /// Rounds, each of every mode.
        #[arg(long, value_name = "N", default_value_t = 9)]
        rounds: usize,
    },
    /// Tokens a second of several generations that decode together, with all signals, against one alone.
    Batch {
        #[command(flatten)]
        models: Models,
        /// Generations that step together.
        #[arg(long, value_name = "N", default_values_t = [4, 16])]
        generations: Vec<usize>,
        /// Prompt tokens in each cache.
        #[arg(long, value_name = "N", default_values_t = [1024])]
        context: Vec<usize>,
        /// Tokens of each generation in one measurement.
        #[arg(long, value_name = "N", default_value_t = 12)]
        tokens: usize,
        /// Rounds, each of every number of generations.
        #[arg(long, value_name = "N", default_value_t = 7)]
        rounds: usize,
    },
    /// Time of reading a prompt.
    Prefill {
        #[command(flatten)]
        models: Models,
        /// Prompt tokens.
        #[arg(long, value_name = "N", default_values_t = [512, 2048])]
        tokens: Vec<usize>,
        /// Tokens of an answer, written and traced by all three signals within the measured time.
        #[arg(long, value_name = "N", default_value_t = 0)]
        answer: usize,
        /// Readings.
        #[arg(long, value_name = "N", default_value_t = 3)]
        rounds: usize,
    },
    /// Peak memory of tracing one long sound with all three signals, each length in a process of its own.
    Memory {
        /// Audio tokens (25 a second).
        #[arg(long, value_name = "N", default_values_t = [2048, 8192, 32_768])]
        tokens: Vec<usize>,
    },
    /// One length of `memory`, in this process.
    #[command(hide = true)]
    MemoryPoint {
        #[arg(long)]
        tokens: usize,
    },
    /// Readers of permalinks and a full queue against a server, for minutes: latencies, errors, memory.
    Serve(load::LoadArgs),
    /// Traces a minute of 1, 2, 4 worker processes, a web process and a NATS server, all on this machine.
    Workers(#[command(flatten)] workers::WorkersArgs),
    /// Write a checkpoint of random weights, for other programs to load.
    Checkpoint {
        #[arg(long)]
        shape: Shape,
        /// In which its weights are stored.
        #[arg(long, value_name = "NAME", default_value = "f32")]
        dtype: Precision,
        /// Made where it is missing.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
struct Models {
    /// Shapes of random weights.
    #[arg(long, value_name = "SHAPE", default_values = ["tiny", "200m", "1b"])]
    shape: Vec<Shape>,
    /// A checkpoint instead.
    #[arg(long, value_name = "DIR", conflicts_with = "shape")]
    model: Option<PathBuf>,
    /// In which weights are held: f32, bf16 or f16.
    #[arg(long, value_name = "NAME", default_value = "bf16")]
    dtype: Precision,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shape {
    Tiny,
    #[value(name = "200m")]
    Small,
    #[value(name = "1b")]
    Medium,
    #[value(name = "7b")]
    Large,
}

impl From<Shape> for BenchShape {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Tiny => Self::Tiny,
            Shape::Small => Self::Small,
            Shape::Medium => Self::Medium,
            Shape::Large => Self::Large,
        }
    }
}

/// Answer tokens of the memory measurement.
const ANSWER_TOKENS: u32 = 8;

/// Runs the command.
pub fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Decode {
            models,
            context,
            tokens,
            rounds,
        } => models.each(|model| {
            for &context in context {
                let report = model.decode(&DecodeSettings {
                    context,
                    tokens: *tokens,
                    rounds: *rounds,
                })?;
                show(args.json, "decode", &serde_json::to_value(report)?);
            }
            Ok(())
        }),
        What::Batch {
            models,
            generations,
            context,
            tokens,
            rounds,
        } => models.each(|model| {
            for &context in context {
                let reports = model.together(&TogetherSettings {
                    context,
                    generations: generations.clone(),
                    tokens: *tokens,
                    rounds: *rounds,
                })?;
                for report in reports {
                    show(args.json, "batch", &serde_json::to_value(report)?);
                }
            }
            Ok(())
        }),
        What::Prefill {
            models,
            tokens,
            answer,
            rounds,
        } => models.each(|model| {
            for &tokens in tokens {
                let report = model.prefill(tokens, *answer, *rounds)?;
                show(args.json, "prefill", &serde_json::to_value(report)?);
            }
            Ok(())
        }),
        What::Memory { tokens } => memory(tokens, args.json),
        What::MemoryPoint { tokens } => {
            let point = measure_long_sound(*tokens, ANSWER_TOKENS)?;
            println!("{}", serde_json::to_string(&point)?);
            Ok(())
        }
        What::Serve(load) => {
            show(args.json, "serve", &load::run(load)?);
            Ok(())
        }
        What::Workers(workers) => {
            workers::run(workers, |title, report| show(args.json, title, report))
        }
        What::Checkpoint { shape, dtype, out } => {
            write_checkpoint((*shape).into(), *dtype, out)?;
            println!("{}", out.display());
            Ok(())
        }
    }
}

impl Models {
    /// Hands over one model after the other; only one is held at a time.
    fn each(&self, mut measure: impl FnMut(&BenchModel) -> Result<()>) -> Result<()> {
        let device = default_device()?;
        if let Some(dir) = &self.model {
            return measure(&BenchModel::from_dir(dir.clone(), self.dtype, &device)?);
        }
        for &shape in &self.shape {
            measure(&BenchModel::random(shape.into(), self.dtype, &device)?)?;
        }
        Ok(())
    }
}

fn memory(tokens: &[usize], json: bool) -> Result<()> {
    let program = std::env::current_exe().context("this program cannot be found again")?;
    let mut points = Vec::new();
    for count in tokens {
        let output = Command::new(&program)
            .args(["bench", "memory-point", "--tokens", &count.to_string()])
            .output()
            .context("the measuring process could not be started")?;
        if !output.status.success() {
            bail!(
                "measuring {count} tokens failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let point: MemoryPoint = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("the measuring process of {count} tokens said nothing"))?;
        show(json, "memory", &serde_json::to_value(point)?);
        points.push(point);
    }
    let (slope, offset) = fitted_slope(&points);
    // How far the points are from the line: 0 where memory is linear in the prompt.
    let bent = points.iter().map(|point| {
        let line = slope * point.prompt_tokens as f64 + offset;
        (point.peak_rss_bytes as f64 / line - 1.0).abs()
    });
    let fit = json!({
        "bytes_per_token": slope,
        "bytes_at_no_token": offset,
        "largest_distance_from_line": bent.fold(0.0, f64::max),
    });
    show(json, "memory fit", &fit);
    Ok(())
}

/// One report: a JSON line, or a table of its fields.
fn show(json: bool, title: &str, report: &Value) {
    if json {
        println!("{}", json!({ "bench": title, "report": report }));
        return;
    }
    println!("{title}");
    for (name, value) in report.as_object().into_iter().flatten() {
        println!("  {:<28} {}", name.replace('_', " "), readable(name, value));
    }
}

/// A number with a unit, or the three of a spread.
fn readable(name: &str, value: &Value) -> String {
    let number = |value: &Value| {
        let value = value.as_f64().unwrap_or_default();
        if name.ends_with("bytes_per_sec") {
            format!("{:.2} GB/s", value / 1e9)
        } else if name.contains("rss_bytes") || name == "bytes_per_token" && value > 1e6 {
            format!("{:.1} MB", value / 1e6)
        } else if name.contains("secs_per_token") {
            format!("{:.3} ms", value * 1e3)
        } else if value.fract() == 0.0 {
            format!("{value}")
        } else {
            format!("{value:.4}")
        }
    };
    match value {
        Value::Object(spread) => ["min", "median", "max"]
            .iter()
            .filter_map(|part| spread.get(*part))
            .map(number)
            .collect::<Vec<_>>()
            .join(" / "),
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        value => number(value),
    }
}
