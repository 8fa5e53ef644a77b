//! `omnitrace work`: a device thread for a house whose web processes are elsewhere; one trace at a time, or several.
//! In: jobs from NATS. Out: events and records there.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;

use crate::config::{Limits, WorkConfig};
use crate::depot::Nats;
use crate::device::Rig;
use crate::gallery;
use crate::metrics::Metrics;
use crate::routes;
use crate::serve::{DeviceEnd, lock, serve_metrics, work_until};

/// How long a trace may take to be put back after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// Workers of one machine that share a directory.
const MAX_WORKERS: usize = 64;

/// A worker at work.
pub struct Working {
    /// Where it answers `/metrics`, if it does.
    pub metrics_address: Option<SocketAddr>,
    depot: Arc<Nats>,
    device: Option<DeviceEnd>,
    drain: Duration,
    shutdown: watch::Sender<bool>,
    /// Held until the end: two workers must not empty one another's cache.
    _lock: File,
}

/// Connects and starts the device thread; the models may still be loading.
pub async fn start(config: WorkConfig, limits: Limits) -> Result<Working> {
    if config.nats.nats.is_none() {
        bail!("a worker needs to know where jobs come from: --nats nats://host:4222");
    }
    let rig = Rig::new(&config.models)?;
    let (lock, cache_dir) = free_place(&config.data)?;
    let (specs, states, loaded) = (rig.specs.clone(), rig.states.clone(), rig.loaded.clone());
    let together = config.together;
    let depot = Nats::worker(&config.nats, &cache_dir, specs, states, loaded, together)?;
    let slots = if config.examples {
        gallery::slots()
    } else {
        Vec::new()
    };
    let metrics = Arc::new(Metrics::default());
    let device = rig.spawn(
        depot.clone(),
        limits,
        slots,
        metrics.clone(),
        together.into(),
    )?;
    let (shutdown, down) = watch::channel(false);
    let metrics_address = match config.metrics {
        Some(address) => {
            let router = routes::metrics_router(metrics, depot.clone());
            Some(serve_metrics(address, router, down).await?)
        }
        None => None,
    };
    Ok(Working {
        metrics_address,
        depot,
        device: Some(device),
        drain: Duration::from_secs(config.drain_secs),
        shutdown,
        _lock: lock,
    })
}

impl Working {
    /// Works until `signal`, then ends in order: the running traces have some time to end, then go back to the queue.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<()> {
        work_until(signal, &*self.depot, &mut self.device, self.drain).await?;
        self.shutdown.send_replace(true);
        if let Some(device) = &mut self.device {
            // Within one decode step; a model still loading is not waited for.
            let _ = tokio::time::timeout(GRACE, device).await;
        }
        Ok(())
    }
}

/// The first directory under `data` that no other worker of this machine uses.
fn free_place(data: &Path) -> Result<(File, PathBuf)> {
    for k in 1..=MAX_WORKERS {
        let place = data.join(format!("worker-{k}"));
        if let Ok(lock) = lock(&place) {
            return Ok((lock, place.join("nats-cache")));
        }
    }
    // Says what is wrong where it is not that all are taken.
    let lock = lock(&data.join("worker-1"))
        .with_context(|| format!("no room for another worker in {}", data.display()))?;
    Ok((lock, data.join("worker-1").join("nats-cache")))
}
