//! The `omnitrace` binary.

use std::process::ExitCode;

use server::cli::{Cli, LogFormat};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Never what people typed or uploaded: ids, counts and times only. The demuxers warn about every odd file.
    let quiet = "warn,server=info,symphonia_core=error,symphonia_bundle_mp3=error,symphonia_format_isomp4=error";
    let filter = EnvFilter::try_from_env("OMNITRACE_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let ended = Cli::read().and_then(|cli| {
        match cli.log_format() {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        if cli.serves() {
            quiet_panics();
        }
        server::cli::run(cli)
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line of causes: a person reads it, not a debugger.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a panic says may quote what a visitor typed; where it happened says enough.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_default();
        tracing::error!(place, "a bug was met; please report where");
    }));
}
