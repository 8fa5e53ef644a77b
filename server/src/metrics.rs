//! What an operator watches, in the text format of Prometheus: queue, times, ends, errors, models in memory.
//! No prompt, no name, no address: only counts and seconds.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use app::data::ModelState;
use attribution::event::TraceEvent;
use attribution::record::Stage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::depot::Depot;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    end: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorCode {
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Use {
    model: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InStage {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Share {
    share: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

/// Counters and histograms of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    queued: Gauge,
    wait_secs: Gauge<f64, AtomicU64>,
    model_bytes: Family<OfModel, Gauge>,
    ended: Family<End, Counter>,
    failures: Family<Code, Counter>,
    rejected: Family<Code, Counter>,
    errors: Family<ErrorCode, Counter>,
    waited_secs: Histogram,
    model_uses: Family<Use, Counter>,
    resident_bytes: Gauge,
    device_bytes: Family<Share, Gauge>,
    data_bytes: Gauge,
    responses: Family<Status, Counter>,
    first_token_secs: Histogram,
    token_secs: Histogram,
    stage_secs: Family<InStage, Histogram>,
}

/// From a tenth of a second to half an hour.
fn slow() -> Histogram {
    Histogram::new(exponential_buckets(0.1, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        // From a tenth of a millisecond to three seconds.
        let token_secs = Histogram::new(exponential_buckets(1e-4, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::default(),
            queued: Gauge::default(),
            wait_secs: Gauge::default(),
            model_bytes: Family::default(),
            ended: Family::default(),
            failures: Family::default(),
            rejected: Family::default(),
            errors: Family::default(),
            waited_secs: slow(),
            model_uses: Family::default(),
            resident_bytes: Gauge::default(),
            device_bytes: Family::default(),
            data_bytes: Gauge::default(),
            responses: Family::default(),
            first_token_secs: slow(),
            token_secs,
            stage_secs: Family::new_with_constructor(slow),
        };
        let mut registry = Registry::with_prefix("omnitrace");
        registry.register("queued_traces", "Traces that wait", metrics.queued.clone());
        registry.register_with_unit(
            "expected_wait",
            "How long a new trace would wait",
            Unit::Seconds,
            metrics.wait_secs.clone(),
        );
        registry.register_with_unit(
            "model_weights",
            "Weights in memory, by model",
            Unit::Bytes,
            metrics.model_bytes.clone(),
        );
        registry.register(
            "traces",
            "Traces that ended: finished, stopped (running), withdrawn (waiting), failed, interrupted by a restart",
            metrics.ended.clone(),
        );
        registry.register(
            "failures",
            "Failed traces by code",
            metrics.failures.clone(),
        );
        registry.register("errors", "Error answers by code", metrics.errors.clone());
        registry.register_with_unit(
            "waited",
            "How long traces were in the queue before they began",
            Unit::Seconds,
            metrics.waited_secs.clone(),
        );
        registry.register(
            "model_uses",
            "Traces whose model was in memory already, and such that had it loaded first",
            metrics.model_uses.clone(),
        );
        registry.register_with_unit(
            "process_resident",
            "Memory of this process",
            Unit::Bytes,
            metrics.resident_bytes.clone(),
        );
        if cfg!(feature = "cuda") {
            registry.register_with_unit(
                "device_memory",
                "Memory of the GPU: used by all programs, and total",
                Unit::Bytes,
                metrics.device_bytes.clone(),
            );
        }
        registry.register_with_unit(
            "data",
            "Disk that traces and files take",
            Unit::Bytes,
            metrics.data_bytes.clone(),
        );
        registry.register(
            "rejected",
            "Requests that got no place, by code",
            metrics.rejected.clone(),
        );
        registry.register(
            "http_responses",
            "Answers by status; 429: the queue was full",
            metrics.responses.clone(),
        );
        registry.register_with_unit(
            "first_token",
            "From the begin of a trace's work to its first token",
            Unit::Seconds,
            metrics.first_token_secs.clone(),
        );
        registry.register_with_unit(
            "token",
            "Between two tokens, tracing included",
            Unit::Seconds,
            metrics.token_secs.clone(),
        );
        registry.register_with_unit(
            "stage",
            "Work of finished traces by stage",
            Unit::Seconds,
            metrics.stage_secs.clone(),
        );
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    /// An answer went out; `code` where it was an error.
    pub fn responded(&self, status: u16, code: Option<&str>) {
        self.responses.get_or_create(&Status { status }).inc();
        if let Some(code) = code {
            let code = code.to_owned();
            self.errors.get_or_create(&ErrorCode { code }).inc();
        }
    }

    /// A trace begins after so many seconds in the queue; its model was in memory, or had to be loaded.
    pub fn begun(&self, waited_secs: f64, in_memory: bool) {
        self.waited_secs.observe(waited_secs);
        let model = if in_memory { "in_memory" } else { "loaded" };
        self.model_uses.get_or_create(&Use { model }).inc();
    }

    /// A request got no place.
    pub fn rejected(&self, code: &'static str) {
        self.rejected.get_or_create(&Code { code }).inc();
    }

    /// A trace ended: `finished`, `stopped`, `failed` or `interrupted`.
    pub fn ended(&self, end: &'static str) {
        self.ended.get_or_create(&End { end }).inc();
    }

    /// Why one failed.
    pub fn failed(&self, code: &'static str) {
        self.failures.get_or_create(&Code { code }).inc();
    }

    /// How long a finished trace was in each stage.
    pub fn stages(&self, stage_secs: &[(Stage, f64)]) {
        for (stage, secs) in stage_secs {
            let stage = match stage {
                Stage::Decode => "decode",
                Stage::Encode => "encode",
                Stage::Prefill => "prefill",
                Stage::Generate => "generate",
            };
            let histogram = self.stage_secs.get_or_create(&InStage { stage });
            histogram.observe(*secs);
        }
    }

    /// Everything, as Prometheus reads it.
    pub fn render(&self, depot: &dyn Depot) -> String {
        let load = depot.load_now();
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.set(bytes);
        }
        if let Some(memory) = engine::device_memory() {
            for (share, bytes) in [("used", memory.used_bytes), ("total", memory.total_bytes)] {
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                self.device_bytes.get_or_create(&Share { share }).set(bytes);
            }
        }
        match depot.used_bytes() {
            Ok(bytes) => drop(
                self.data_bytes
                    .set(i64::try_from(bytes).unwrap_or(i64::MAX)),
            ),
            Err(error) => tracing::error!(%error, "what is in use could not be counted"),
        }
        self.queued.set(i64::from(load.queued));
        self.wait_secs.set(load.wait_secs);
        for model in depot.models() {
            let bytes = match model.state {
                ModelState::Loaded { bytes, .. } => i64::try_from(bytes).unwrap_or(i64::MAX),
                _ => 0,
            };
            let model = model.name;
            self.model_bytes
                .get_or_create(&OfModel { model })
                .set(bytes);
        }
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Memory that this process holds; `None` where the machine does not say.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Watches the events of one trace.
#[derive(Debug)]
pub struct TokenClock {
    metrics: Arc<Metrics>,
    last: Instant,
    any: bool,
}

impl TokenClock {
    /// The trace's work begins.
    pub fn start(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            last: Instant::now(),
            any: false,
        }
    }

    /// One event of it.
    pub fn note(&mut self, event: &TraceEvent) {
        if !matches!(event, TraceEvent::Token { .. }) {
            return;
        }
        let now = Instant::now();
        let secs = now.duration_since(self.last).as_secs_f64();
        let histogram = if self.any {
            &self.metrics.token_secs
        } else {
            &self.metrics.first_token_secs
        };
        histogram.observe(secs);
        (self.last, self.any) = (now, true);
    }
}
