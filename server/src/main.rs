//! The `omnitrace` binary.

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let cli = server::cli::Cli::parse();
    // Never what people typed or uploaded: ids, counts and times only.
    let filter = EnvFilter::try_from_env("OMNITRACE_LOG").unwrap_or_else(|_| EnvFilter::new("warn,server=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    server::cli::run(cli)
}
