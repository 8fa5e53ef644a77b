//! What is deleted is overwritten on the disks of NATS, not only forgotten: a purge leaves the bytes in their file.
//! In: a stream and a subject. Out: nothing of it, there or in the file.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures_util::StreamExt;

use super::nats;
use crate::error::ServerError;

const FAILED: &str = "what was deleted cannot be removed";

/// Others may write anew what is removed; beyond this they do so on purpose.
const MAX_ROUNDS: usize = 20;

/// A message that does not come in so long was removed meanwhile.
const LOST: Duration = Duration::from_secs(5);

/// The one message under a subject.
pub(super) async fn last(stream: &Stream, subject: &str) -> Result<(), ServerError> {
    for _ in 0..MAX_ROUNDS {
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => {
                if stream.delete_message(message.sequence).await.is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(()),
            Err(error) => return Err(nats(FAILED)(error)),
        }
    }
    // A bucket that an older program made does not let a message be overwritten.
    let purged = stream.purge().filter(subject).await;
    purged.map(drop).map_err(nats(FAILED))
}

/// Every message under a subject, also those that come meanwhile.
pub(super) async fn all(stream: &Stream, subject: &str) -> Result<(), ServerError> {
    for _ in 0..MAX_ROUNDS {
        // Asked of the stream: what a consumer is said to have before it counts messages that were removed.
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(_) => {}
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(()),
            Err(error) => return Err(nats(FAILED)(error)),
        }
        let mut numbers = Vec::new();
        each(stream, subject, 0, true, async |_, number, _| {
            numbers.push(number);
            Ok(())
        })
        .await?;
        let mut overwritten = false;
        for number in numbers {
            // One that somebody else was faster with is not there in the next round.
            overwritten |= stream.delete_message(number).await.is_ok();
        }
        if !overwritten {
            break;
        }
    }
    // What cannot be overwritten, as in a bucket that an older program made.
    let purged = stream.purge().filter(subject).await;
    purged.map(drop).map_err(nats(FAILED))
}

/// Goes once through the messages under a subject, from a number on: each with its number and the seconds since the epoch
/// at which it was stored. It may end early where NATS is slow: who must see all of them goes again.
pub(super) async fn each(
    stream: &Stream,
    subject: &str,
    from: u64,
    headers_only: bool,
    mut take: impl AsyncFnMut(&Message, u64, u64) -> Result<(), ServerError>,
) -> Result<(), ServerError> {
    let failed = "what is stored cannot be looked through";
    let wanted = pull::OrderedConfig {
        filter_subject: subject.to_owned(),
        deliver_policy: match from {
            0 | 1 => DeliverPolicy::All,
            start_sequence => DeliverPolicy::ByStartSequence { start_sequence },
        },
        headers_only,
        ..pull::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(wanted).await.map_err(nats(failed))?;
    if consumer.cached_info().num_pending == 0 {
        return Ok(());
    }
    let mut messages = consumer.messages().await.map_err(nats(failed))?;
    loop {
        let message = match tokio::time::timeout(LOST, messages.next()).await {
            Ok(Some(message)) => message.map_err(nats(failed))?,
            Ok(None) => return Err(ServerError::Lost("a stream of messages")),
            Err(_) => return Ok(()),
        };
        let info = message.info().map_err(nats(failed))?;
        let (number, left) = (info.stream_sequence, info.pending);
        let stored = u64::try_from(info.published.unix_timestamp()).unwrap_or(0);
        take(&message, number, stored).await?;
        if left == 0 {
            return Ok(());
        }
    }
}
