//! `--nats` and its sisters.

use std::path::PathBuf;

use clap::Args;

use crate::models::memory::parse_bytes;

/// How the processes of one house find one another.
#[derive(Debug, Clone, Args)]
pub struct NatsArgs {
    /// Share the work with other machines through this NATS server (JetStream on): nats://host:4222, several by commas.
    #[arg(long, value_name = "URL", env = "OMNITRACE_NATS")]
    pub nats: Option<String>,
    /// Credentials file for the NATS server.
    #[arg(long, value_name = "FILE", env = "OMNITRACE_NATS_CREDS")]
    pub nats_creds: Option<PathBuf>,
    /// Copies that a NATS cluster keeps of everything: 1, 3 or 5. Only the first start decides.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        env = "OMNITRACE_NATS_REPLICAS"
    )]
    pub nats_replicas: usize,
    /// A trace goes to another worker when its own has been silent for so many seconds. Only the first start decides.
    #[arg(
        long,
        value_name = "SECS",
        default_value_t = 20,
        env = "OMNITRACE_NATS_LEASE_SECS"
    )]
    pub nats_lease_secs: u64,
    /// Disk that copies of media may take on this machine, for example 20G; beyond it those go that nobody used for longest.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10G",
        value_parser = parse_bytes,
        env = "OMNITRACE_NATS_CACHE"
    )]
    pub nats_cache: u64,
}

impl Default for NatsArgs {
    /// As where no flag is given.
    fn default() -> Self {
        Self {
            nats: None,
            nats_creds: None,
            nats_replicas: 1,
            nats_lease_secs: 20,
            nats_cache: 10 << 30,
        }
    }
}
