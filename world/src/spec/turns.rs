//! A conversation's turns: who says what, and who shows a picture.

use serde::{Deserialize, Serialize};

use super::check::{check_fact, check_picture, refuse};
use super::{FactSpec, PictureSpec};
use crate::WorldError;
use crate::tasks::dialogue::{CHAT, SHOWS};
use crate::vocabulary::NAMES;

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TurnSpec {
    /// Somebody says what they did.
    Fact(FactSpec),
    /// Small talk, which no summary retells.
    Chat {
        /// Who, one of [`NAMES`].
        name: String,
        /// Which of [`CHAT`].
        wording: usize,
    },
    /// Somebody shows a picture.
    Picture {
        /// Who, one of [`NAMES`].
        name: String,
        /// Which of [`SHOWS`].
        wording: usize,
        /// What they show: one thing.
        picture: PictureSpec,
    },
}

impl TurnSpec {
    /// Whose turn it is.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Fact(fact) => &fact.name,
            Self::Chat { name, .. } | Self::Picture { name, .. } => name,
        }
    }
}

pub(super) fn check_turns(turns: &[TurnSpec]) -> Result<(), WorldError> {
    if !(3..=5).contains(&turns.len()) {
        return refuse("A conversation has three to five turns.");
    }
    let (mut facts, mut pictures) = (0, 0);
    for turn in turns {
        if !NAMES.contains(&turn.name()) {
            return refuse("A turn belongs to one of the people that are offered, nobody else.");
        }
        match turn {
            TurnSpec::Fact(fact) => {
                check_fact(fact)?;
                facts += 1;
            }
            TurnSpec::Chat { wording, .. } => check_wording(*wording, CHAT.len())?,
            TurnSpec::Picture {
                wording, picture, ..
            } => {
                check_wording(*wording, SHOWS.len())?;
                check_picture(picture)?;
                if picture.objects.len() != 1 {
                    return refuse("The picture of a conversation shows one thing.");
                }
                pictures += 1;
            }
        }
    }
    if facts < 2 {
        return refuse("In a conversation at least two turns say what somebody did.");
    }
    if pictures > 1 {
        return refuse("A conversation has one picture at most.");
    }
    Ok(())
}

fn check_wording(wording: usize, known: usize) -> Result<(), WorldError> {
    if wording < known {
        return Ok(());
    }
    refuse("Small talk is one of the sentences that are offered, no other.")
}
