//! Reports of abuse, for the operator of a house of many machines.

use async_nats::jetstream::kv::Store;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::nats;
use super::records::{erase, read};
use crate::clock::Clock;
use crate::error::ServerError;
use crate::id;
use crate::store::{Report, from_json, to_json};

/// Reports taken in an hour, of one trace and of all.
const MAX_AN_HOUR: (usize, usize) = (5, 100);

/// The open reports, one key each.
pub(super) struct Reports(pub(super) Store, pub(super) Clock);

/// A report as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    created_unix_secs: u64,
    reason: String,
}

impl Reports {
    /// Keeps a report; false when too many came within the hour.
    pub(super) async fn add(&self, id: &str, reason: &str) -> Result<bool, ServerError> {
        let now = self.1.now_unix_secs();
        let recent: Vec<Report> = (self.all().await?.into_iter())
            .filter(|report| report.created_unix_secs > now.saturating_sub(3600))
            .collect();
        let of_it = recent.iter().filter(|report| report.id == id).count();
        if of_it >= MAX_AN_HOUR.0 || recent.len() >= MAX_AN_HOUR.1 {
            return Ok(false);
        }
        let kept = Kept {
            id: id.to_owned(),
            created_unix_secs: now,
            reason: reason.to_owned(),
        };
        let put = self.0.put(id::fresh()?, to_json("report", &kept)?.into());
        put.await.map_err(nats("a report cannot be kept"))?;
        Ok(true)
    }

    /// Every open report, the oldest first.
    pub(super) async fn all(&self) -> Result<Vec<Report>, ServerError> {
        let reports = self.keyed().await?;
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }

    /// Closes the reports about a trace.
    pub(super) async fn close(&self, id: &str) -> Result<(), ServerError> {
        for (key, report) in self.keyed().await? {
            if report.id == id {
                erase(&self.0, &key).await?;
            }
        }
        Ok(())
    }

    async fn keyed(&self) -> Result<Vec<(String, Report)>, ServerError> {
        let failed = "the reports cannot be read";
        let mut keys = self.0.keys().await.map_err(nats(failed))?;
        let mut reports = Vec::new();
        while let Some(key) = keys.next().await {
            let key = key.map_err(nats(failed))?;
            let Some((value, revision)) = read(&self.0, &key).await? else {
                continue;
            };
            let kept: Kept = from_json("report", &String::from_utf8_lossy(&value))?;
            let report = Report {
                number: i64::try_from(revision).unwrap_or(i64::MAX),
                id: kept.id,
                created_unix_secs: kept.created_unix_secs,
                reason: kept.reason,
            };
            reports.push((key, report));
        }
        reports.sort_by_key(|(_, report)| report.number);
        Ok(reports)
    }
}
