//! Threads of their own for NATS: who waits for an answer from it may hold a thread of another runtime.

use tokio::runtime::{Builder, Runtime};

use super::nats;
use crate::error::ServerError;

/// A runtime that may be dropped anywhere.
pub(super) struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        // Dropping it plainly would wait, which async code may not.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Threads {
    /// Two threads: nothing here computes.
    pub(super) fn start() -> Result<Self, ServerError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("nats")
            .enable_all()
            .build();
        Ok(Self(Some(runtime.map_err(nats("no threads"))?)))
    }

    /// Runs work beside everything else.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }

    /// Waits from any thread.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let handle = match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            // Only while it is dropped.
            None => tokio::runtime::Handle::current(),
        };
        tokio::task::block_in_place(|| handle.block_on(work))
    }
}
