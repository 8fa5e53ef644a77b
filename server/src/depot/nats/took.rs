//! What traces took: workers tell, web processes learn from it how long a queue takes.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures_util::StreamExt;

use super::reach::Reach;
use super::{lines, nats};
use crate::admission::{JobSize, Took};
use crate::error::ServerError;
use crate::store::{from_json, to_json};

/// Every model's subject begins like this; the stream keeps the latest of each.
pub(super) const TOOK: &str = "omnitrace.took";

/// Says what a trace of this size took.
pub(super) async fn tell(js: &Context, size: &JobSize, took: Took) -> Result<(), ServerError> {
    let failed = "what a trace took cannot be told";
    let subject = format!("{TOOK}.{}", lines::name(&size.model, false));
    let told = js.publish(subject, to_json("time", &(size, took))?.into());
    let stored = told.await.map_err(nats(failed))?;
    stored.await.map(drop).map_err(nats(failed))
}

/// Learns from what was told and is being told, for ever.
pub(super) async fn listen(reach: Arc<Reach>) {
    let mut after = 0;
    loop {
        if let Err(error) = hear(&reach, &mut after).await {
            tracing::warn!(%error, "what traces took cannot be heard; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn hear(reach: &Reach, after: &mut u64) -> Result<(), ServerError> {
    let failed = "what traces took cannot be heard";
    let wanted = pull::OrderedConfig {
        filter_subject: format!("{TOOK}.>"),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: *after + 1,
        },
        ..pull::OrderedConfig::default()
    };
    let consumer = (reach.took.create_consumer(wanted).await).map_err(nats(failed))?;
    let mut messages = consumer.messages().await.map_err(nats(failed))?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(nats(failed))?;
        *after = message.info().map_err(nats(failed))?.stream_sequence;
        match from_json::<(JobSize, Took)>("time", &String::from_utf8_lossy(&message.payload)) {
            Ok((size, took)) => reach.census.learn(&size, took),
            // Of another version of this program.
            Err(error) => tracing::warn!(%error, "what a trace took is not understood"),
        }
    }
    Err(ServerError::Lost("a stream of times"))
}
