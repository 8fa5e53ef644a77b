//! Keeps the operator's promises: sweeps what the policy does not keep, every now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::depot::Depot;
use crate::error::ServerError;
use crate::store::{Policy, Swept};

/// A promise in minutes is kept to this.
const EVERY: Duration = Duration::from_secs(20);

/// What sweeps.
pub struct Keeper {
    depot: Arc<dyn Depot>,
    policy: Policy,
    /// What was in use when it was last counted, and when that was.
    used: Mutex<Option<(u64, Instant)>>,
}

/// Counting what is in use looks at every file's row: uploads in between go by the last count.
const COUNT_LASTS: Duration = Duration::from_millis(500);

impl Keeper {
    /// Sweeps by `policy`.
    pub fn new(depot: Arc<dyn Depot>, policy: Policy) -> Self {
        Self {
            depot,
            policy,
            used: Mutex::new(None),
        }
    }

    /// Whether an upload of so many bytes fits into the quota, after a sweep where it does not at first.
    pub fn has_room(&self, bytes: u64) -> Result<bool, ServerError> {
        let Some(quota) = self.policy.quota_bytes else {
            return Ok(true);
        };
        if self.used_bytes(COUNT_LASTS)?.saturating_add(bytes) <= quota {
            return Ok(true);
        }
        let room = Policy {
            quota_bytes: Some(quota.saturating_sub(bytes)),
            ..self.policy
        };
        self.depot.sweep(&room)?;
        Ok(self.used_bytes(Duration::ZERO)?.saturating_add(bytes) <= quota)
    }

    fn used_bytes(&self, lasts: Duration) -> Result<u64, ServerError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match *used {
            Some((bytes, counted)) if counted.elapsed() < lasts => Ok(bytes),
            _ => {
                let bytes = self.depot.used_bytes()?;
                *used = Some((bytes, Instant::now()));
                Ok(bytes)
            }
        }
    }

    /// Takes away what the policy does not keep.
    pub fn sweep(&self) -> Result<Swept, ServerError> {
        if !self.depot.on_duty()? {
            return Ok(Swept::default());
        }
        let swept = self.depot.sweep(&self.policy)?;
        if !swept.is_nothing() {
            let Swept {
                aged,
                unshared,
                for_room,
                orphans,
            } = swept;
            tracing::info!(aged, unshared, for_room, orphans, "swept");
        }
        Ok(swept)
    }

    /// Sweeps until the server goes down.
    pub async fn run(self: Arc<Self>, mut down: watch::Receiver<bool>) {
        loop {
            let keeper = self.clone();
            match tokio::task::spawn_blocking(move || keeper.sweep()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(%error, "nothing could be swept"),
                Err(error) => tracing::error!(%error, "the sweep ended early"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                // An error means that the other half is gone: down as well.
                _ = down.wait_for(|down| *down) => return,
            }
        }
    }
}
