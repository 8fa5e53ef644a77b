//! Which questions a specification allows, in the words that training used.

use super::check::fits;
use super::{Asked, Content, Kind, Spec};
use crate::tasks::{audio_qa, video_qa, visual_qa};

/// A question that may be asked, in all its wordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The question in its first wording.
    pub asked: Asked,
    /// Every wording.
    pub wordings: Vec<String>,
}

impl Spec {
    /// Every question that fits what is shown and heard; none where nothing is asked (a summary, a description).
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let mut found = Vec::new();
        let mut may = |kind: Kind, of: usize, wordings: &[&str], key: &str| {
            found.push(Question {
                asked: Asked {
                    kind,
                    of,
                    wording: 0,
                },
                wordings: wordings.iter().map(|own| own.replace("{}", key)).collect(),
            });
        };
        match &self.content {
            Content::VisualQa { pictures, .. } => {
                let objects = pictures.iter().flat_map(|own| &own.objects);
                let shapes: Vec<&str> = objects.map(|own| own.shape.name()).collect();
                let mut kinds = vec![Kind::Colour, Kind::Place];
                if pictures.len() >= 3 {
                    kinds.push(Kind::Picture);
                }
                for kind in kinds {
                    for (of, shape) in shapes.iter().enumerate() {
                        may(kind, of, visual_qa::wordings(kind), shape);
                    }
                }
                if !shapes.is_empty() {
                    may(Kind::Count, 0, visual_qa::wordings(Kind::Count), "");
                }
            }
            Content::AudioQa { sounds, .. } => {
                let last = sounds.len().saturating_sub(1);
                for (of, own) in sounds.iter().enumerate() {
                    let kinds = [
                        (Kind::First, of == 0),
                        (Kind::Last, of == last),
                        (Kind::After, of < last),
                        (Kind::Before, of > 0),
                    ];
                    for (kind, _) in kinds.into_iter().filter(|(_, fits)| *fits) {
                        let key = audio_qa::key(kind, own.event);
                        may(kind, of, audio_qa::wordings(kind), &key);
                    }
                }
            }
            Content::VideoQa { scenes, .. } => {
                let last = scenes.len().saturating_sub(1);
                for (of, own) in scenes.iter().enumerate() {
                    let heard = own.heard.map(|heard| heard.event);
                    let kinds = [
                        (Kind::First, of == 0),
                        (Kind::Last, of == last),
                        (Kind::SeenWhenHeard, true),
                        (Kind::HeardWhileSeen, true),
                    ];
                    for (kind, _) in kinds.into_iter().filter(|(_, fits)| *fits) {
                        if let Some(key) = video_qa::key(kind, own.look(), heard) {
                            may(kind, of, video_qa::wordings(kind), &key);
                        }
                    }
                }
            }
            Content::Speech { .. } | Content::Dialogue { .. } | Content::Mixed { .. } => {}
        }
        found
    }

    /// Whether this question fits.
    pub(super) fn may_ask(&self, asked: Asked) -> bool {
        fits(&self.content, asked.kind)
            && self.questions().iter().any(|own| {
                (own.asked.kind, own.asked.of) == (asked.kind, asked.of)
                    && asked.wording < own.wordings.len()
            })
    }

    /// The same with a question that fits: the one asked, else the first. Without effect where nothing is asked.
    #[must_use]
    pub fn with_fitting_question(mut self) -> Self {
        let fits = self.asked().is_some_and(|asked| self.may_ask(asked));
        let first = self.questions().first().map(|own| own.asked);
        if let (
            Content::VisualQa { question, .. }
            | Content::AudioQa { question, .. }
            | Content::VideoQa { question, .. },
            Some(first),
            false,
        ) = (&mut self.content, first, fits)
        {
            *question = first;
        }
        self
    }
}
