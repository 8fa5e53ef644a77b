//! The one place that says whether another job is taken: places in the queue, places kept for a workshop, jobs of one
//! client, room on the disk. In: who asks. Out: a place, or a refusal that says when to come again.
//!
//! A process counts its own exactly; what others accepted it hears of a moment later ([`Elsewhere`]). A client is told by its token or its cookie; an address is looked at besides, because cookies are free, and only where
//! it says something (not that of a proxy or of this machine). What a job costs is [`size`], what it takes [`estimate`], how
//! long a queue takes [`course`].

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ApiError;
use crate::jobs::Place;

pub mod applicant;
pub mod course;
pub mod estimate;
#[cfg(test)]
mod simulation;
pub mod size;

pub use applicant::{Applicant, Marks};
pub use estimate::{Estimator, Took};
pub use size::JobSize;

/// Bounds on who may have how many jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Jobs that may wait.
    pub queue: usize,
    /// Of these, places that only invited clients get.
    pub reserved: usize,
    /// Jobs of one client, waiting or running.
    pub of_client: usize,
    /// Jobs of one address, where it says something.
    pub of_address: usize,
}

/// Who a job belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// By the name of an API token.
    Token(String),
    /// By a random cookie.
    Cookie(String),
    /// Nothing but where it came from.
    Unknown,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Every place in the queue is taken.
    Queue,
    /// This client has enough.
    Client,
    /// This address has enough.
    Address,
}

/// Open traces of a client that other processes of the house accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Of the same token or cookie.
    pub of_client: usize,
    /// Of the same address.
    pub of_address: usize,
}

/// Open jobs and those that are about to be.
#[derive(Debug)]
pub struct Admission {
    rules: Rules,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_key: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    /// Its trace, once it is in the queue.
    id: Option<String>,
    client: Client,
    address: Option<IpAddr>,
}

/// A place. Dropped before [`Self::keep`], it is free again.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    key: u64,
    marks: Marks,
}

impl Admission {
    /// Nobody is there yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            open: Mutex::default(),
        }
    }

    /// Takes a place, at once or not at all. `place` tells where a trace stands; `waiting`: all that wait, those included
    /// that were queued by other ways; `elsewhere`: this client's in other processes.
    pub fn admit(
        self: &Arc<Self>,
        applicant: &Applicant,
        waiting: usize,
        elsewhere: Elsewhere,
        place: impl Fn(&str) -> Option<Place>,
    ) -> Result<Admitted, Full> {
        let mut open = self.lock();
        open.entries.retain(|entry| match &entry.id {
            None => true,
            Some(id) => matches!(place(id), Some(Place::Queued(_) | Place::Running)),
        });
        let coming = open.entries.iter().filter(|entry| entry.id.is_none());
        let reserved = if applicant.invited {
            0
        } else {
            self.rules.reserved
        };
        if waiting + coming.count() >= self.rules.queue.saturating_sub(reserved) {
            return Err(Full::Queue);
        }
        let having =
            |same: &dyn Fn(&Entry) -> bool| open.entries.iter().filter(|entry| same(entry)).count();
        if applicant.client != Client::Unknown
            && having(&|entry| entry.client == applicant.client) + elsewhere.of_client
                >= self.rules.of_client
        {
            return Err(Full::Client);
        }
        let address = applicant.counted_address();
        if address.is_some()
            && having(&|entry| entry.address == address) + elsewhere.of_address
                >= self.rules.of_address
        {
            return Err(Full::Address);
        }
        let key = open.next_key;
        open.next_key += 1;
        open.entries.push(Entry {
            key,
            id: None,
            client: applicant.client.clone(),
            address,
        });
        Ok(Admitted {
            admission: self.clone(),
            key,
            marks: applicant.marks(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Every change to it is a single push, assignment or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Whose place it is.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The job is in the queue under this id; the place is its own until it ends.
    pub fn keep(self, id: &str) {
        let mut open = self.admission.lock();
        if let Some(entry) = open.entries.iter_mut().find(|entry| entry.key == self.key) {
            entry.id = Some(id.to_owned());
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        open.entries
            .retain(|entry| entry.key != self.key || entry.id.is_some());
    }
}

/// An address as far as it tells clients apart: none of this machine or a private network (a proxy's, most likely), and of
/// an IPv6 one the network that a household has.
fn telling(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let local =
                v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified();
            (!local).then_some(IpAddr::V4(v4))
        }
        IpAddr::V6(v6) => {
            let local = v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified();
            let network = u128::from(v6) >> 64 << 64;
            (!local).then_some(IpAddr::V6(Ipv6Addr::from(network)))
        }
    }
}

/// 429, when to come again, and why.
pub fn refusal(full: Full, retry_after_secs: u64, rules: &Rules) -> ApiError {
    use axum::http::StatusCode;
    let (code, message) = match full {
        Full::Queue => return ApiError::queue_full(retry_after_secs),
        Full::Client => (
            "too_many_jobs",
            format!(
                "You have {} traces waiting or running, which is as many as one may have here. Send the next when one has ended.",
                rules.of_client
            ),
        ),
        Full::Address => (
            "too_many_jobs",
            format!(
                "{} traces from your network are waiting or running, which is as many as one may have here. Try again in {retry_after_secs} seconds.",
                rules.of_address
            ),
        ),
    };
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, code, message).retry_after(retry_after_secs)
}

impl Admission {
    /// The bounds.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing was accepted elsewhere.
    const HERE: Elsewhere = Elsewhere {
        of_client: 0,
        of_address: 0,
    };

    fn rules() -> Rules {
        Rules {
            queue: 6,
            reserved: 2,
            of_client: 2,
            of_address: 3,
        }
    }

    fn from(client: Client, address: &str) -> Applicant {
        Applicant {
            client,
            address: address.parse().ok(),
            invited: false,
        }
    }

    fn cookie(name: &str) -> Client {
        Client::Cookie(name.into())
    }

    #[test]
    fn a_client_has_its_places_and_gets_them_back() {
        let admission = Arc::new(Admission::new(rules()));
        let ann = from(cookie("ann"), "127.0.0.1");
        let waits = |_: &str| Some(Place::Queued(0));
        admission
            .admit(&ann, 0, HERE, waits)
            .expect("a place")
            .keep("a");
        let second = admission.admit(&ann, 1, HERE, waits).expect("a place");
        assert_eq!(
            admission.admit(&ann, 1, HERE, waits).err(),
            Some(Full::Client)
        );
        let ben = from(cookie("ben"), "127.0.0.1");
        assert!(
            admission.admit(&ben, 1, HERE, waits).is_ok(),
            "not by address alone"
        );
        // An upload that was broken off.
        drop(second);
        let third = admission
            .admit(&ann, 1, HERE, waits)
            .expect("a place again");
        third.keep("b");
        assert_eq!(
            admission.admit(&ann, 2, HERE, waits).err(),
            Some(Full::Client)
        );
        // One of them has ended.
        let ended = |id: &str| (id != "a").then_some(Place::Running);
        assert!(admission.admit(&ann, 0, HERE, ended).is_ok());
    }

    #[test]
    fn new_cookies_from_one_address_do_not_help_but_invited_rooms_pass() {
        let admission = Arc::new(Admission::new(rules()));
        let running = |_: &str| Some(Place::Running);
        for k in 0..3 {
            let fresh = from(cookie(&k.to_string()), "203.0.113.7");
            admission
                .admit(&fresh, 0, HERE, running)
                .expect("a place")
                .keep("x");
        }
        let fourth = from(cookie("4"), "203.0.113.7");
        assert_eq!(
            admission.admit(&fourth, 0, HERE, running).err(),
            Some(Full::Address)
        );
        assert!(
            admission
                .admit(&from(cookie("4"), "203.0.113.8"), 0, HERE, running)
                .is_ok()
        );
        let invited = Applicant {
            invited: true,
            ..fourth
        };
        assert!(admission.admit(&invited, 0, HERE, running).is_ok());
        let network = |text: &str| telling(text.parse().expect("an address"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::2:3"));
        assert_eq!(network("::ffff:10.0.0.1"), None);
    }

    #[test]
    fn what_other_processes_accepted_counts() {
        let admission = Arc::new(Admission::new(rules()));
        let waits = |_: &str| Some(Place::Queued(0));
        let ann = from(cookie("ann"), "203.0.113.7");
        let admit = |of_client, of_address| {
            let elsewhere = Elsewhere {
                of_client,
                of_address,
            };
            admission.admit(&ann, 0, elsewhere, waits).map(drop)
        };
        assert_eq!(admit(1, 2), Ok(()));
        assert_eq!(admit(2, 2), Err(Full::Client));
        assert_eq!(admit(1, 3), Err(Full::Address));
    }

    #[test]
    fn some_places_are_the_workshops() {
        let admission = Arc::new(Admission::new(rules()));
        let waits = |_: &str| Some(Place::Queued(0));
        let anyone = from(Client::Unknown, "127.0.0.1");
        let invited = Applicant {
            invited: true,
            ..from(cookie("room"), "127.0.0.1")
        };
        assert!(admission.admit(&anyone, 3, HERE, waits).is_ok());
        assert_eq!(
            admission.admit(&anyone, 4, HERE, waits).err(),
            Some(Full::Queue)
        );
        let upload = admission.admit(&invited, 4, HERE, waits).expect("reserved");
        assert!(
            admission.admit(&invited, 5, HERE, waits).is_err(),
            "an upload under way has its place"
        );
        drop(upload);
        assert!(admission.admit(&invited, 5, HERE, waits).is_ok());
        assert_eq!(
            admission.admit(&invited, 6, HERE, waits).err(),
            Some(Full::Queue)
        );
    }
}
