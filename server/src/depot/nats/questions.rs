//! Questions about finished traces, asked here and answered by a worker elsewhere.
//! In: a question, queued with the traces. Out: the answer, on a subject of its own, while somebody listens there.

use std::time::Duration;

use async_nats::{Client, RequestErrorKind, Subscriber};
use engine::faithfulness::Question;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use super::nats;
use crate::checks::{Answer, Check, CheckError};
use crate::error::ServerError;
use crate::store::{from_json, to_json};

/// How often a worker looks whether somebody still waits.
const LOOK: Duration = Duration::from_secs(1);

/// A question on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) question: Question,
    /// Where the answer is awaited.
    pub(super) subject: String,
}

/// Waits on the web's side: tells workers that somebody waits, passes the answer on, leaves with whoever asked.
pub(super) async fn wait(
    client: Client,
    mut heard: Subscriber,
    mut check: Check,
    mut down: watch::Receiver<bool>,
) {
    loop {
        let message = tokio::select! {
            message = heard.next() => message,
            // Unsubscribed on the way out: the worker hears that nobody listens.
            () = check.deserted() => return,
            _ = down.wait_for(|down| *down) => return,
        };
        let Some(message) = message else { return };
        match message.reply {
            // Whether somebody is here.
            Some(reply) => {
                let _ = client.publish(reply, "".into()).await;
            }
            None => {
                let answer =
                    from_json::<Answer>("answer", &String::from_utf8_lossy(&message.payload));
                check.reply(answer.unwrap_or_else(|error| {
                    Err(CheckError::Failed("internal".to_owned(), error.to_string()))
                }));
                return;
            }
        }
    }
}

/// Whether somebody waits for the answer.
pub(super) async fn awaited(client: &Client, subject: &str) -> bool {
    match client.request(subject.to_owned(), "".into()).await {
        Ok(_) => true,
        // Only a plain no counts: a slow network is no reason to give up.
        Err(error) => error.kind() != RequestErrorKind::NoResponders,
    }
}

/// On the worker's side: brings the answer to who asked, and drops the question when nobody waits any more. `false` when
/// somebody waits, but this worker has no answer.
pub(super) async fn bring(
    client: &Client,
    subject: &str,
    mut answer: oneshot::Receiver<Answer>,
) -> Result<bool, ServerError> {
    let failed = "an answer cannot be sent";
    loop {
        tokio::select! {
            answer = &mut answer => {
                let Ok(answer) = answer else {
                    return Ok(!awaited(client, subject).await);
                };
                let json = to_json("answer", &answer)?;
                let sent = client.publish(subject.to_owned(), json.into()).await;
                sent.map_err(nats(failed))?;
                return client.flush().await.map(|()| true).map_err(nats(failed));
            }
            () = tokio::time::sleep(LOOK) => {
                if !awaited(client, subject).await {
                    return Ok(true);
                }
            }
        }
    }
}
