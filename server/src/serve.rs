//! `omnitrace serve`: opens the store, starts the device thread, listens, and goes down in order.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use leptos::config::{Env, LeptosOptions};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::assets::Assets;
use crate::config::{Limits, ServeConfig};
use crate::depot::{Depot, Embedded, Nats};
use crate::device::Rig;
use crate::error::ServerError;
use crate::gallery;
use crate::jobs::Jobs;
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::routes::{self, AppState, Shared, guard};
use crate::store::Store;
use crate::tokens::{TokenSets, Tokens};
use crate::views::Views;

/// How long open requests may take to end after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// How the device thread ended.
pub(crate) type DeviceEnd = oneshot::Receiver<Result<(), ServerError>>;

/// A server at work.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it answers `/metrics`, if it does.
    pub metrics_address: Option<SocketAddr>,
    depot: Arc<dyn Depot>,
    keeper: Arc<Keeper>,
    server: JoinHandle<std::io::Result<()>>,
    /// Of this process, if it has one.
    device: Option<DeviceEnd>,
    drain: Duration,
    shutdown: watch::Sender<bool>,
    /// Held until the end: two servers on one data directory would each run the other's traces.
    _lock: File,
}

/// Starts everything and returns once the address answers; the models may still be loading.
pub async fn start(config: ServeConfig, limits: Limits) -> Result<Running> {
    let public_origin = (config.access.public_url.as_deref())
        .map(guard::public_origin)
        .transpose()?;
    let tokens = TokenSets {
        api: Tokens::read(config.access.api_token_file.as_deref())?,
        operators: Tokens::read(config.access.admin_token_file.as_deref())?,
        invites: Tokens::read(config.admission.invite_token_file.as_deref())?,
    };
    let rules = (config.admission).rules(config.queue, !tokens.invites.is_empty());
    let house = House::new(&config)?;
    let drain = Duration::from_secs(config.drain_secs);
    let assets = match config.site {
        Some(dir) => Assets::Dir(dir),
        None => Assets::Inside,
    };
    if !assets.complete() {
        tracing::warn!(
            "the page's scripts and styles are not built into this program: pages can be read, but not hovered. \
             `cargo xtask demo` builds them; `--site DIR` serves them from a directory"
        );
    }
    let slots = if config.no_examples {
        Vec::new()
    } else {
        gallery::slots()
    };
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (is another server running there?)",
            config.listen
        )
    })?;
    let address = listener.local_addr()?;

    let metrics = Arc::new(Metrics::default());
    let (depot, device): (Arc<dyn Depot>, _) = match house.keep {
        Keep::Here(rig, depot) => {
            let device = rig.spawn(
                depot.clone(),
                limits.clone(),
                slots.clone(),
                metrics.clone(),
                config.together.max(1).into(),
            )?;
            (depot, Some(device))
        }
        Keep::Nats(depot) => (depot, None),
    };
    let keeper = Arc::new(Keeper::new(depot.clone(), config.policy.policy()));
    let state = AppState::new(Shared {
        views: Arc::new(Views::new(depot.clone(), limits.media)),
        depot: depot.clone(),
        uploads: Semaphore::new(limits.max_uploads),
        drawing: Semaphore::new(2),
        limits,
        metrics: metrics.clone(),
        public_origin,
        admission: Arc::new(Admission::new(rules)),
        forwarded_for: config.admission.forwarded_for,
        keeper: keeper.clone(),
        policy: routes::privacy::policy_view(&config.policy),
        tokens,
        assets,
        gallery: slots,
        cards: Mutex::new(BTreeMap::new()),
        leptos: LeptosOptions::builder()
            .output_name("omnitrace")
            .env(Env::PROD)
            .build(),
    });
    let (shutdown, mut down) = watch::channel(false);
    tokio::spawn(keeper.clone().run(down.clone()));
    let metrics_address = match config.metrics {
        Some(address) => {
            let router = routes::metrics_router(metrics, depot.clone());
            Some(serve_metrics(address, router, down.clone()).await?)
        }
        None => None,
    };
    let router = routes::router(state);
    let server = tokio::spawn(async move {
        let down = async move {
            // An error means that the other half is gone: down as well.
            let _ = down.wait_for(|down| *down).await;
        };
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(down)
            .await
    });
    Ok(Running {
        address,
        metrics_address,
        depot,
        keeper,
        server,
        device,
        drain,
        shutdown,
        _lock: house.lock,
    })
}

/// A locked data directory and what keeps traces.
struct House {
    lock: File,
    keep: Keep,
}

/// Where traces, media and the queue are.
enum Keep {
    /// In the data directory and this process, with a device of its own.
    Here(Box<Rig>, Arc<Embedded>),
    /// Behind NATS.
    Nats(Arc<Nats>),
}

impl House {
    fn new(config: &ServeConfig) -> Result<Self> {
        if config.nats.nats.is_some() {
            if !config.models.wanted.is_empty() {
                tracing::warn!(
                    "with --nats this process has no model of its own: give --model to `omnitrace work` instead"
                );
            }
            let lock = lock(&config.data)?;
            let nats = Nats::web(
                &config.nats,
                config.queue,
                &config.data.join("nats-cache"),
                config.policy.clock.clone(),
            )?;
            let keep = Keep::Nats(Arc::new(nats));
            return Ok(Self { lock, keep });
        }
        let rig = Rig::new(&config.models)?;
        let lock = lock(&config.data)?;
        let store = Store::open_at(&config.data, config.policy.clock.clone());
        let store = store.context("the data directory cannot be used")?;
        let jobs = Jobs::new(config.queue.max(1), config.together.max(1).into());
        let (specs, states, loaded) = (rig.specs.clone(), rig.states.clone(), rig.loaded.clone());
        let depot = Arc::new(Embedded::new(store, jobs, specs, states, loaded)?);
        let keep = Keep::Here(Box::new(rig), depot);
        Ok(Self { lock, keep })
    }
}

/// Another listener, so that a public address need not show it.
pub(crate) async fn serve_metrics(
    address: SocketAddr,
    router: Router,
    mut down: watch::Receiver<bool>,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for --metrics"))?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let down = async move {
            // An error means that the other half is gone: down as well.
            let _ = down.wait_for(|down| *down).await;
        };
        let served = axum::serve(listener, router).with_graceful_shutdown(down);
        if let Err(error) = served.await {
            tracing::error!(%error, "the listener for metrics ended");
        }
    });
    Ok(address)
}

impl Running {
    /// What sweeps, for who cannot wait for it to do so by itself.
    pub fn keeper(&self) -> Arc<Keeper> {
        self.keeper.clone()
    }

    /// Serves until `signal`, then ends in order: the running trace has some time to end while pages go on being served, then
    /// goes back to the queue, and viewers are let go.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<()> {
        work_until(signal, &*self.depot, &mut self.device, self.drain).await?;
        self.shutdown.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            tracing::warn!("some requests did not end in time");
            self.server.abort();
        }
        // Within one decode step; a model still loading is not waited for.
        if let Some(device) = &mut self.device {
            let _ = tokio::time::timeout(GRACE, device).await;
        }
        Ok(())
    }
}

/// Works until `signal`, then begins nothing any more and lets the running trace end, for so long at most. An error where the
/// device thread ended by itself.
pub(crate) async fn work_until(
    signal: impl Future<Output = ()>,
    depot: &dyn Depot,
    device: &mut Option<DeviceEnd>,
    drain: Duration,
) -> Result<()> {
    tokio::select! {
        () = signal => tracing::info!("shutting down"),
        ended = device_end(device) => {
            depot.shut_down();
            return Err(ended);
        }
    }
    if depot.drain() {
        drained(device, drain).await;
    }
    depot.shut_down();
    Ok(())
}

/// Waits until the device has ended its job, for so long at most, or until a second signal says that it shall not.
async fn drained(device: &mut Option<DeviceEnd>, most: Duration) {
    let Some(ending) = device else { return };
    if most.is_zero() {
        return;
    }
    tracing::info!("the running trace may end; another signal ends it at once");
    tokio::select! {
        _ = ending => *device = None,
        () = tokio::time::sleep(most) => tracing::warn!("the running trace is put back"),
        () = interrupted() => {}
    }
}

/// Resolves on ctrl-c and, where there is one, SIGTERM.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be heard");
                let _ = tokio::signal::ctrl_c().await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Resolves when the device thread ends though nobody asked it to; never where there is none.
async fn device_end(device: &mut Option<DeviceEnd>) -> anyhow::Error {
    let Some(device) = device else {
        return std::future::pending().await;
    };
    match device.await {
        Ok(Ok(())) => anyhow!("the device thread ended by itself"),
        Ok(Err(error)) => error.into(),
        Err(_) => anyhow!("the device thread died"),
    }
}

/// One process a data directory.
pub(crate) fn lock(data: &Path) -> Result<File> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data directory {}", data.display()))?;
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another server uses the data directory {}: choose another with --data",
                data.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
