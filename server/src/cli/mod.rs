//! The command line: `serve`, `work`, `trace`, `eval`, `world`, `doctor`, `admin`, `bench`, `backup`.

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::{Limits, ServeConfig, WorkConfig};
use crate::{serve, work};

mod admin;
mod backup;
pub mod bench;
mod doctor;
pub mod eval;
mod package;
mod scores;
mod settings;
pub mod trace;
pub mod world;

/// Generates answers from text, images, sound and video, and shows for every sentence where it came from.
#[derive(Debug, Parser)]
#[command(name = "omnitrace", version, about)]
pub struct Cli {
    /// Form of the log on stderr. `json`: one object a line, for machines.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "OMNITRACE_LOG_FORMAT"
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Cli {
    /// The command line with the environment and the settings file. Ends the program where help was asked for or an option
    /// is wrong.
    pub fn read() -> Result<Self> {
        let matches = settings::matches(Self::command(), std::env::args_os().collect())?;
        Ok(Self::from_arg_matches(&matches)?)
    }

    /// Form of the log.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Whether strangers' input is worked on.
    pub fn serves(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the page and the API.
    Serve(Box<ServeConfig>),
    /// Make the traces of `omnitrace serve --nats` on this machine.
    Work(WorkConfig),
    /// Trace every sample of a JSON file.
    Trace(trace::TraceArgs),
    /// Measure answers and traces on samples whose sources are known.
    Eval(eval::EvalArgs),
    /// Write one sample of the synthetic world: files, question and truth.
    World(world::WorldArgs),
    /// Look a machine, and a server that runs, over: what is wrong, and what to do.
    Doctor(doctor::DoctorArgs),
    /// Read reports of abuse, take traces down.
    Admin(admin::AdminArgs),
    /// Measure speed and memory of this machine with this program.
    Bench(bench::BenchArgs),
    /// Copy a data directory, also while it is served.
    Backup(backup::BackupArgs),
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(config) => until_done(async {
            let limits = config.admission.limits();
            let running = serve::start(*config, limits).await?;
            // On stdout, for people and scripts alike; everything else is log.
            println!("Listening on http://{}", running.address);
            running.run_until(serve::interrupted()).await
        }),
        Command::Work(config) => until_done(async {
            let working = work::start(config, Limits::default()).await?;
            println!("Working");
            working.run_until(serve::interrupted()).await
        }),
        Command::Trace(args) => trace::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::World(args) => world::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Admin(args) => admin::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Backup(args) => backup::run(&args),
    }
}

/// Runs a service on a runtime of its own.
fn until_done(service: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // On a thread of the runtime: starting may wait for NATS.
    let result = runtime.block_on(service);
    // Threads that still load a model are not waited for.
    runtime.shutdown_background();
    result
}
