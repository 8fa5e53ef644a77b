//! Traces that somebody watches here: a mirror of each one's log, and places in the queue while it waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::events::{self, Mirrored};
use super::reach::Reach;
use super::records::Stage;
use crate::error::ServerError;
use crate::jobs::Place;
use crate::live::Live;

/// How long a viewer waits for the events so far before it is served what is here.
const CATCH_UP: Duration = Duration::from_secs(2);

/// A log that has ended stays so long, for viewers who reconnect.
const KEPT: Duration = Duration::from_secs(60);

/// How often places in the queue are looked up.
const PULSE: Duration = Duration::from_millis(500);

/// A log that is being mirrored.
pub(super) struct Mirror {
    live: Arc<Live>,
    told: watch::Receiver<Mirrored>,
}

impl Mirror {
    /// Ends its viewers' streams.
    pub(super) fn close(&self) {
        self.live.close();
    }
}

/// The map's and the mirroring task's own.
const OWN_HOLDERS: usize = 2;

/// The log of a trace; `None` when its events are gone, or there is no such trace.
pub(super) async fn follow(reach: &Arc<Reach>, id: &str) -> Result<Option<Arc<Live>>, ServerError> {
    let Some(entry) = reach.ledger.get(id).await? else {
        return Ok(None);
    };
    let (live, mut told) = join(reach, id);
    let caught_up = told.wait_for(|told| *told != Mirrored::Joining);
    let _ = tokio::time::timeout(CATCH_UP, caught_up).await;
    if entry.over() && *told.borrow() == Mirrored::CaughtUp(false) && live.next_event() == 0 {
        reach.mirrors().remove(id);
        live.close();
        return Ok(None);
    }
    if !live.begun() && !entry.over() {
        live.push_position(reach.census.position(id, &entry.line));
    }
    Ok(Some(live))
}

/// The mirror of a trace, begun where there is none.
fn join(reach: &Arc<Reach>, id: &str) -> (Arc<Live>, watch::Receiver<Mirrored>) {
    let mut mirrors = reach.mirrors();
    if let Some(mirror) = mirrors.get(id) {
        return (mirror.live.clone(), mirror.told.clone());
    }
    let live = Arc::new(Live::mirror(id.to_owned()));
    let (tell, told) = watch::channel(Mirrored::Joining);
    let mirror = Mirror {
        live: live.clone(),
        told: told.clone(),
    };
    mirrors.insert(id.to_owned(), mirror);
    tokio::spawn(keep(reach.clone(), live.clone(), tell));
    (live, told)
}

async fn keep(reach: Arc<Reach>, live: Arc<Live>, tell: watch::Sender<Mirrored>) {
    let alone = || {
        let mut mirrors = reach.mirrors();
        let own = mirrors
            .get(&live.id)
            .is_some_and(|kept| Arc::ptr_eq(&kept.live, &live));
        if own && Arc::strong_count(&live) > OWN_HOLDERS {
            return false;
        }
        // Under the lock that new viewers take: nobody joins what nobody fills.
        if own {
            mirrors.remove(&live.id);
        }
        true
    };
    events::mirror(&reach.events, &live, &tell, &alone).await;
    if live.closed() {
        tokio::time::sleep(KEPT).await;
    }
    let mut mirrors = reach.mirrors();
    if mirrors
        .get(&live.id)
        .is_some_and(|kept| Arc::ptr_eq(&kept.live, &live))
    {
        mirrors.remove(&live.id);
    }
}

/// Where a trace that has not ended stands.
pub(super) async fn place(reach: &Reach, id: &str) -> Result<Option<Place>, ServerError> {
    let Some(entry) = reach.ledger.get(id).await? else {
        return Ok(None);
    };
    Ok(match entry.stage {
        Stage::Queued => Some(Place::Queued(reach.census.position(id, &entry.line))),
        Stage::Running => Some(Place::Running),
        Stage::Finished | Stage::Failed => Some(Place::Ended),
    })
}

/// Tells viewers of waiting traces where they stand, for ever.
pub(super) async fn tell_positions(reach: Arc<Reach>) {
    loop {
        tokio::time::sleep(PULSE).await;
        let waiting: Vec<Arc<Live>> = (reach.mirrors().values())
            .map(|mirror| mirror.live.clone())
            .filter(|live| !live.begun() && !live.closed())
            .collect();
        for live in waiting {
            if let Some(position) = reach.census.waiting(&live.id) {
                live.push_position(position);
            }
        }
    }
}
