//! The `omnitrace` binary.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Never what people typed or uploaded: ids, counts and times only. The demuxers warn about every odd file.
    let quiet = "warn,server=info,symphonia_core=error,symphonia_bundle_mp3=error,symphonia_format_isomp4=error";
    let filter = EnvFilter::try_from_env("OMNITRACE_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match server::cli::Cli::read().and_then(server::cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line of causes: a person reads it, not a debugger.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
