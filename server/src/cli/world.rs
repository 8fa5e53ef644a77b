//! `omnitrace world`: one sample of the synthetic world as files, with the exact sources of every answer sentence.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use world::{Split, Task, WorldError};

/// `omnitrace world`.
#[derive(Debug, Clone, Args)]
pub struct WorldArgs {
    /// dialogue, speech, audio-qa, visual-qa, video-qa or mixed.
    #[arg(long, value_name = "TASK", value_parser = |name: &str| name.parse::<Task>())]
    pub task: Task,
    /// Any 64-bit number; the same seed gives the same sample everywhere.
    #[arg(long, value_name = "N")]
    pub seed: u64,
    /// Directory for sample.json, truth.json and the media; made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
pub fn run(args: &WorldArgs) -> Result<()> {
    let written = || -> Result<(), WorldError> {
        // The public's part of the world: no sample of it was seen in training.
        world::files::write_sample(
            &world::generate(args.task, args.seed, Split::Eval)?,
            &args.out,
        )
    };
    written().with_context(|| format!("no sample was written to {}", args.out.display()))?;
    println!("{}", args.out.join("sample.json").display());
    Ok(())
}
