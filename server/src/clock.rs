//! What time it is; a test brings its own.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock of whole seconds since the Unix epoch.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that shows what `now` says.
    pub fn of(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Seconds since the Unix epoch.
    pub fn now_unix_secs(&self) -> u64 {
        (self.0)()
    }
}

impl Default for Clock {
    /// The machine's; 0 on one that is set to before the epoch.
    fn default() -> Self {
        Self::of(|| {
            let age = SystemTime::now().duration_since(UNIX_EPOCH);
            age.map_or(0, |age| age.as_secs())
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now_unix_secs())
    }
}
