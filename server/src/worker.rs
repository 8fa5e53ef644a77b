//! The thread that owns the device: takes a job, runs the engine, stores what came out.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use app::data::{ItemView, ModelState};
use attribution::event::TraceEvent;
use attribution::record::{ChildOf, Finish, Record, Source, SourceItem, Stage};
use engine::{Item, MediaItem, Outcome, TraceRequest, Turn};

use crate::admission::Took;
use crate::config::Limits;
use crate::depot::{Depot, Work};
use crate::ears::Ears;
use crate::error::{ServerError, failure_of};
use crate::jobs::Job;
use crate::live::Live;
use crate::metrics::{Metrics, TokenClock};
use crate::models::ModelPool;
use crate::store::{Stored, from_json, now_unix_secs};

/// What the worker needs; it runs until the queue shuts down.
pub struct Worker {
    /// Where jobs and requests come from and records go.
    pub depot: Arc<dyn Work>,
    /// The models, used by this thread alone.
    pub models: ModelPool,
    /// Speech recognition.
    pub ears: Ears,
    /// Bounds for the decoders and for generation.
    pub limits: Limits,
    /// What the operator watches.
    pub metrics: Arc<Metrics>,
}

/// What an attempt's parts took.
#[derive(Clone, Copy)]
struct Pace {
    /// Of a model that was not in memory.
    loading_secs: f64,
    /// From the first token to the last.
    answer_secs: f64,
    tokens: u32,
}

/// How an attempt ended.
enum End {
    /// With its pace, if it ended by itself.
    Finished(Option<Pace>),
    Failed(&'static str, String),
    /// The server goes down: the trace waits for the next start.
    Interrupted,
}

impl Worker {
    /// Works until the queue shuts down.
    pub fn run(mut self) {
        while let Some(job) = self.depot.next() {
            let live = match job {
                Job::Trace(live) => live,
                Job::Check(check) => {
                    let begun = Instant::now();
                    self.check(check);
                    self.depot.answered(begun.elapsed().as_secs_f64());
                    continue;
                }
            };
            let begun = Instant::now();
            let end = match self.attempt(&live) {
                Ok(end) => end,
                Err(error) => {
                    let (code, message) = failure_of(&error);
                    End::Failed(code, message)
                }
            };
            let pace = match &end {
                End::Finished(pace) => *pace,
                _ => None,
            };
            self.conclude(&live, end);
            let secs = begun.elapsed().as_secs_f64();
            if let Some(pace) = pace {
                // Reading the request and storing the record hold the next one up as well.
                let took = Took {
                    front_secs: secs - pace.loading_secs - pace.answer_secs,
                    answer_secs: pace.answer_secs,
                    tokens: pace.tokens,
                };
                self.depot.learn(&live.size, took);
            }
            tracing::info!(id = %live.id, secs = format!("{secs:.2}"), "trace ended");
            self.depot.ended(live, secs);
        }
    }

    fn attempt(&mut self, live: &Live) -> Result<End, ServerError> {
        let stored = self.depot.begin(live)?;
        if !self.models.knows(&stored.request.model) {
            let message = format!(
                "This server no longer has the model {:?}. Please send the trace again.",
                stored.request.model
            );
            return Ok(End::Failed("unknown_model", message));
        }
        let (name, dtype) = (stored.request.model.clone(), stored.options.dtype);
        let child_of = stored.child_of.clone();
        let in_memory = matches!(self.models.states().of(&name), ModelState::Loaded { .. });
        self.metrics.begun(live.waited_secs(), in_memory);
        // A model that has to be loaded first is not the job's own cost.
        let asked = Instant::now();
        self.models.get(&name, dtype)?;
        let mut clock = StageClock::start();
        let begun = Instant::now();
        let loading_secs = (begun - asked).as_secs_f64();
        let mut first_token = None;
        let mut too_long = false;
        let request = self.request(stored)?;
        let model = self.models.get(&name, dtype)?;
        let mut tokens = TokenClock::start(self.metrics.clone());
        let mut observe = |mut event: TraceEvent| {
            clock.note(&event);
            if let TraceEvent::Sources { sources, .. } = &mut event {
                only_stored_thumbnails(&*self.depot, sources);
            }
            tokens.note(&event);
            if matches!(event, TraceEvent::Token { .. }) {
                first_token.get_or_insert_with(Instant::now);
            }
            // The engine may report its own end; the stored record is what counts here.
            if !matches!(event, TraceEvent::Done | TraceEvent::Failed { .. }) {
                live.push(&event);
            }
            too_long = begun.elapsed().as_secs_f64() > self.limits.max_job_secs;
            if too_long || live.stopped() || self.depot.shutting_down() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        // A panic is a bug, but one visitor's input must not end the service for all: the model is only read, never left
        // half-changed.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            engine::pipeline::trace(&model.model, &request, &mut observe)
        }));
        if self.depot.shutting_down() && !live.stopped() {
            return Ok(End::Interrupted);
        }
        let mut outcome = match outcome {
            Ok(outcome) => outcome?,
            Err(_) => return Err(ServerError::Lost("the model")),
        };
        if let Some(own) = &child_of
            && !self.same_units(own, &outcome)?
        {
            let message = "The sources no longer give the units of the trace that this one was made from: the model or the \
                 program changed. Trace the question anew, then leave sources out of that trace.";
            return Ok(End::Failed("model_changed", message.into()));
        }
        let stopped = outcome.record.receipt.finish == Finish::Stopped;
        if too_long && stopped && !live.stopped() {
            let secs = self.limits.max_job_secs;
            (outcome.record.warnings).push(format!(
                "The answer was broken off after {secs:.0} seconds, the most that a trace may take on this server."
            ));
        }
        let ended = Instant::now();
        let pace = Pace {
            loading_secs,
            answer_secs: (ended - first_token.unwrap_or(ended)).as_secs_f64(),
            tokens: outcome.record.tokens.len() as u32,
        };
        self.keep(live, outcome, clock.finish(), child_of)?;
        // What was broken off tells nothing of how long such traces take.
        Ok(End::Finished((!stopped).then_some(pace)))
    }

    /// What was asked, with its media, its options resolved for its model, and what was said in its sounds.
    pub(crate) fn request(&mut self, stored: Stored) -> Result<TraceRequest, ServerError> {
        let turns = (stored.request.history.into_iter())
            .map(|turn| {
                Ok(Turn {
                    assistant: turn.assistant,
                    items: items(&*self.depot, turn.items)?,
                })
            })
            .collect::<Result<_, ServerError>>()?;
        let items = items(&*self.depot, stored.request.items)?;
        let model = (self.models).get(&stored.request.model, stored.options.dtype)?;
        let options = stored.options.resolve(
            &self.limits.media,
            self.limits.max_new_tokens,
            model.no_repeat_ngram,
        );
        let system = Some(stored.request.system);
        let mut request = TraceRequest {
            system: system.filter(|system| !system.is_empty()),
            history: turns,
            prompt: stored.request.prompt,
            transcripts: stored.request.transcripts,
            items,
            without: stored.child_of.map(|own| own.without).unwrap_or_default(),
            options,
        };
        self.ears.listen(&mut request)?;
        Ok(request)
    }

    /// Whether what was left out is what the parent's units mean; also where the parent was deleted meanwhile.
    fn same_units(&self, child_of: &ChildOf, outcome: &Outcome) -> Result<bool, ServerError> {
        let Some(json) = self.depot.record_json(&child_of.id)? else {
            return Ok(true);
        };
        let parent: Record = from_json("record", &json)?;
        Ok(parent.units == outcome.record.units)
    }

    fn keep(
        &self,
        live: &Live,
        outcome: Outcome,
        stage_secs: Vec<(Stage, f64)>,
        child_of: Option<ChildOf>,
    ) -> Result<(), ServerError> {
        for (hash, bytes) in &outcome.derived_media {
            self.depot.files().put_named(hash, bytes)?;
        }
        let mut record = outcome.record;
        record.id.clone_from(&live.id);
        if let (Some(own), Some(parent)) = (record.child_of.as_mut(), child_of) {
            own.id = parent.id;
        }
        record.receipt.created_unix_secs = now_unix_secs();
        self.metrics.stages(&stage_secs);
        record.receipt.stage_secs = stage_secs;
        let json = serde_json::to_string(&record).map_err(|source| ServerError::Stored {
            what: "record",
            source,
        })?;
        self.depot.finish(live, &json)
    }

    fn conclude(&self, live: &Live, end: End) {
        match end {
            End::Finished(_) => {
                let end = if live.stopped() {
                    "stopped"
                } else {
                    "finished"
                };
                self.metrics.ended(end);
                live.push(&TraceEvent::Done);
            }
            End::Failed(code, message) => {
                self.metrics.ended("failed");
                self.metrics.failed(code);
                if let Err(error) = self.depot.fail(live, code, &message) {
                    tracing::error!(id = %live.id, %error, "a failure could not be stored");
                }
                live.push(&TraceEvent::Failed {
                    code: code.into(),
                    message,
                });
            }
            End::Interrupted => {
                self.metrics.ended("interrupted");
                if let Err(error) = self.depot.put_back(live) {
                    tracing::error!(id = %live.id, %error, "an interrupted trace could not be put back");
                }
                live.close();
            }
        }
    }
}

/// A new film's thumbnails are stored with the record: until then a page that asks for them would ask in vain.
fn only_stored_thumbnails(depot: &dyn Depot, sources: &mut [Source]) {
    for source in sources {
        if let SourceItem::Video { thumbnails, .. } = &mut source.item {
            thumbnails.retain(|hash| matches!(depot.media(hash), Ok(Some(_))));
        }
    }
}

/// The question's files, read from the store.
fn items(depot: &dyn Depot, items: Vec<ItemView>) -> Result<Vec<Item>, ServerError> {
    let media = |hash: String, name: String| {
        Ok::<_, ServerError>(MediaItem {
            bytes: depot.media_bytes(&hash)?,
            hash,
            name,
        })
    };
    items
        .into_iter()
        .map(|item| {
            Ok(match item {
                ItemView::Text { text } => Item::Text(text),
                ItemView::Image { hash, name } => Item::Image(media(hash, name)?),
                ItemView::Audio { hash, name } => Item::Audio(media(hash, name)?),
                ItemView::Video { hash, name } => Item::Video(media(hash, name)?),
            })
        })
        .collect()
}

/// Wall time per stage. The engine reports what is done, not what begins: a stage begins where the one before it ended.
struct StageClock {
    current: Stage,
    begun: Instant,
    done: Vec<(Stage, f64)>,
}

impl StageClock {
    fn start() -> Self {
        Self {
            current: Stage::Decode,
            begun: Instant::now(),
            done: Vec::new(),
        }
    }

    fn note(&mut self, event: &TraceEvent) {
        match event {
            TraceEvent::Progress { stage, done, total } => {
                self.enter(*stage);
                if done == total {
                    self.enter(following(*stage));
                }
            }
            TraceEvent::Token { .. } => self.enter(Stage::Generate),
            _ => {}
        }
    }

    fn enter(&mut self, stage: Stage) {
        if stage == self.current {
            return;
        }
        let secs = self.begun.elapsed().as_secs_f64();
        match self
            .done
            .iter_mut()
            .find(|(known, _)| *known == self.current)
        {
            Some((_, total)) => *total += secs,
            None => self.done.push((self.current, secs)),
        }
        self.current = stage;
        self.begun = Instant::now();
    }

    fn finish(mut self) -> Vec<(Stage, f64)> {
        self.done
            .push((self.current, self.begun.elapsed().as_secs_f64()));
        self.done
    }
}

/// The stage after a stage; generation is the last.
fn following(stage: Stage) -> Stage {
    match stage {
        Stage::Decode => Stage::Encode,
        Stage::Encode => Stage::Prefill,
        Stage::Prefill | Stage::Generate => Stage::Generate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_timed_once_in_order() {
        let mut clock = StageClock::start();
        let progress = |stage, done, total| TraceEvent::Progress { stage, done, total };
        for event in [
            progress(Stage::Decode, 1, 2),
            progress(Stage::Decode, 2, 2),
            progress(Stage::Encode, 1, 1),
            progress(Stage::Prefill, 1, 2),
            progress(Stage::Prefill, 2, 2),
            progress(Stage::Generate, 0, 9),
            TraceEvent::Token {
                index: 0,
                text: "a".into(),
            },
        ] {
            clock.note(&event);
        }
        let stages: Vec<Stage> = clock.finish().into_iter().map(|(stage, _)| stage).collect();
        assert_eq!(
            stages,
            [
                Stage::Decode,
                Stage::Encode,
                Stage::Prefill,
                Stage::Generate
            ]
        );
    }
}
