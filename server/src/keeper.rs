//! Keeps the operator's promises: sweeps what the policy does not keep, every now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::depot::Depot;
use crate::error::ServerError;
use crate::store::{Policy, Swept};

/// A promise in minutes is kept to this.
const EVERY: Duration = Duration::from_secs(20);

/// What sweeps.
pub struct Keeper {
    /// From where.
    pub depot: Arc<dyn Depot>,
    /// What stays.
    pub policy: Policy,
}

impl Keeper {
    /// Takes away what the policy does not keep.
    pub fn sweep(&self) -> Result<Swept, ServerError> {
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
