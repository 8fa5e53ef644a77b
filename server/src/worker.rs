//! The thread that owns the device: takes jobs, runs the engine, stores what came out.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use app::data::{ItemView, ModelState};
use attribution::event::TraceEvent;
use attribution::record::{ChildOf, Finish, Record, Source, SourceItem, Stage};
use engine::pipeline::trace_among;
use engine::{Company, Item, MediaItem, Outcome, TraceRequest, Turn};

use crate::admission::Took;
use crate::config::Limits;
use crate::depot::{Depot, Work};
use crate::ears::Ears;
use crate::error::{ServerError, failure_of};
use crate::jobs::Job;
use crate::live::Live;
use crate::metrics::{Metrics, TokenClock};
use crate::models::{LoadedModel, ModelPool};
use crate::round::{Round, Spent};
use crate::store::{Stored, from_json, now_unix_secs};

/// What the worker needs; it runs until the queue shuts down.
pub struct Worker {
    /// What every job works with.
    pub site: Site,
    /// The models, used by this thread alone.
    pub models: ModelPool,
    /// Speech recognition.
    pub ears: Ears,
    /// Traces that are made at a time, their decode steps together.
    pub together: usize,
}

/// What every job works with.
pub struct Site {
    /// Where jobs and requests come from and records go.
    pub depot: Arc<dyn Work>,
    /// Bounds for the decoders and for generation.
    pub limits: Limits,
    /// What the operator watches.
    pub metrics: Arc<Metrics>,
}

/// What an attempt's parts took of the device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// From the first token to the last.
    answer_secs: f64,
    tokens: u32,
}

/// How an attempt ended.
pub(crate) enum End {
    /// With its pace, if it ended by itself.
    Finished(Option<Pace>),
    Failed(&'static str, String),
    /// NATS was away: the trace is made again, as after a worker's death.
    Unreached,
    /// The server goes down: the trace waits for the next start.
    Interrupted,
}

/// A trace that begins: its request is read, its model there.
pub(crate) struct Begun {
    pub(crate) live: Arc<Live>,
    pub(crate) request: TraceRequest,
    pub(crate) child_of: Option<ChildOf>,
    pub(crate) clock: StageClock,
}

impl Worker {
    /// Works until the queue shuts down.
    pub fn run(mut self) {
        while let Some(job) = self.site.depot.next() {
            match job {
                Job::Trace(live) => self.traces(live),
                Job::Check(check) => {
                    let begun = Instant::now();
                    self.check(check);
                    self.site.depot.answered(begun.elapsed().as_secs_f64());
                }
            }
        }
    }

    /// Makes a trace, and with it those that come for the same model while there is room.
    fn traces(&mut self, first: Arc<Live>) {
        let (site, spent) = (&self.site, Spent::start());
        let (model, stored) = match site.open_first(&mut self.models, &first, &spent) {
            Ok(Ok(opened)) => opened,
            Ok(Err(end)) => return site.conclude(first, Ok(end), &spent),
            Err(error) => return site.conclude(first, Err(error), &spent),
        };
        let (company, dtype) = (Company::new(), stored.options.dtype);
        let mut round = Round::new(site, model, &company, &mut self.ears);
        round.enter(first, stored, spent);
        while round.len() > 0 {
            round.turn();
            while round.len() < self.together
                && let Some(live) = site.depot.next_like(&model.name, dtype)
            {
                round.join(live);
            }
        }
    }
}

impl Site {
    /// What is asked, and the model that is to answer.
    fn open_first<'m>(
        &self,
        models: &'m mut ModelPool,
        live: &Live,
        spent: &Spent,
    ) -> Result<Result<(&'m LoadedModel, Stored), End>, ServerError> {
        let stored = self.depot.begin(live)?;
        let (name, dtype) = (&stored.request.model, stored.options.dtype);
        if !models.knows(name) {
            let message = format!(
                "This server no longer has the model {name:?}. Please send the trace again."
            );
            return Ok(Err(End::Failed("unknown_model", message)));
        }
        let in_memory = matches!(models.states().of(name), ModelState::Loaded { .. });
        self.metrics.begun(live.waited_secs(), in_memory);
        // A model that has to be loaded first is not the job's own cost.
        let asked = Instant::now();
        let model = models.get(name, dtype)?;
        spent.add(-asked.elapsed().as_secs_f64());
        Ok(Ok((model, stored)))
    }

    /// Makes one trace, in company; `others` is called where they may take their steps.
    pub(crate) async fn attempt<'m>(
        &self,
        company: &Company<'m>,
        model: &'m LoadedModel,
        begun: Begun,
        spent: Rc<Spent>,
        others: impl Fn(),
    ) -> Result<End, ServerError> {
        let Begun {
            live,
            request,
            child_of,
            mut clock,
        } = begun;
        let mut first_token = None;
        let mut too_long = false;
        let mut tokens = TokenClock::start(self.metrics.clone());
        let mut observe = |mut event: TraceEvent| {
            clock.note(&event);
            if let TraceEvent::Sources { sources, .. } = &mut event {
                only_stored_thumbnails(&*self.depot, sources);
            }
            tokens.note(&event);
            if matches!(event, TraceEvent::Token { .. }) {
                first_token.get_or_insert_with(|| spent.secs());
            }
            // The engine may report its own end; the stored record is what counts here.
            if !matches!(event, TraceEvent::Done | TraceEvent::Failed { .. }) {
                live.push(&event);
            }
            too_long = spent.secs() > self.limits.max_job_secs;
            if too_long || live.stopped() || self.depot.shutting_down() {
                return ControlFlow::Break(());
            }
            if matches!(event, TraceEvent::Progress { .. }) {
                others();
            }
            ControlFlow::Continue(())
        };
        let traced = trace_among(company, &model.model, &request, &mut observe).await;
        if self.interrupted(&live) {
            return Ok(End::Interrupted);
        }
        let mut outcome = traced?;
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
        let ended = spent.secs();
        let pace = Pace {
            answer_secs: ended - first_token.unwrap_or(ended),
            tokens: outcome.record.tokens.len() as u32,
        };
        self.keep(&live, outcome, clock.finish(), child_of)?;
        // What was broken off tells nothing of how long such traces take.
        Ok(End::Finished((!stopped).then_some(pace)))
    }

    /// Whether a trace ends only because the server goes down.
    pub(crate) fn interrupted(&self, live: &Live) -> bool {
        self.depot.shutting_down() && !live.stopped()
    }

    /// What was asked, with its media, its options resolved for its model, and what was said in its sounds.
    pub(crate) fn request(
        &self,
        ears: &mut Ears,
        model: &LoadedModel,
        stored: Stored,
    ) -> Result<TraceRequest, ServerError> {
        let turns = (stored.request.history.into_iter())
            .map(|turn| {
                Ok(Turn {
                    assistant: turn.assistant,
                    items: items(&*self.depot, turn.items)?,
                })
            })
            .collect::<Result<_, ServerError>>()?;
        let items = items(&*self.depot, stored.request.items)?;
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
        ears.listen(&mut request)?;
        Ok(request)
    }

    /// Whatever became of a trace is stored and told.
    pub(crate) fn conclude(&self, live: Arc<Live>, end: Result<End, ServerError>, spent: &Spent) {
        let end = end.unwrap_or_else(|error| {
            if let ServerError::Nats { .. } = error {
                tracing::warn!(id = %live.id, %error, "a trace is made again");
                return End::Unreached;
            }
            let (code, message) = failure_of(&error);
            End::Failed(code, message)
        });
        let pace = match &end {
            End::Finished(pace) => *pace,
            _ => None,
        };
        let begun = Instant::now();
        self.tell(&live, end);
        if let Some(pace) = pace {
            // Reading the request and storing the record hold the next one up as well.
            let secs = spent.secs() + begun.elapsed().as_secs_f64();
            let took = Took {
                front_secs: secs - pace.answer_secs,
                answer_secs: pace.answer_secs,
                tokens: pace.tokens,
            };
            self.depot.learn(&live, took);
        }
        let secs = spent.wall_secs();
        tracing::info!(id = %live.id, secs = format!("{secs:.2}"), "trace ended");
        self.depot.ended(live, secs);
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

    fn tell(&self, live: &Live, end: End) {
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
            End::Unreached => {
                self.metrics.ended("interrupted");
                live.close();
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
pub(crate) struct StageClock {
    current: Stage,
    begun: Instant,
    done: Vec<(Stage, f64)>,
}

impl StageClock {
    pub(crate) fn start() -> Self {
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
