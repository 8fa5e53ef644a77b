//! The curation with one part left out at a time (the paper's table 3), and with another competition.
//! In: records and truths. Out: precision, recall and F1 per modality.

use app::evaluation::Ablation;
use attribution::curation::{Competition, CurationConfig, recurate};
use attribution::metrics::{Score, mean_over_samples, span_score, time_score};
use attribution::record::{ChunkAttribution, Method, Modality, Record};
use world::sample::Sample;

use crate::truth::Places;

/// Switches a part off.
type LeaveOut = fn(&mut CurationConfig);

/// Text, image, audio, video.
const MODALITIES: usize = 4;

/// Every variant, and per modality each sample's sentences.
#[derive(Debug)]
pub struct Ablations {
    variants: Vec<(String, Method)>,
    scores: Vec<[Vec<Vec<Score>>; MODALITIES]>,
}

impl Ablations {
    /// Of a method: the method itself, each part left out, each competition.
    pub fn of(method: &Method) -> Self {
        let full = &method.curation;
        let mut variants = vec![(format!("full ({})", full.competition.name()), full.clone())];
        let parts: [(&str, LeaveOut); 6] = [
            ("w/o POS weighting", |own| own.use_pos_weights = false),
            ("w/o confidence weight", |own| own.use_gamma = false),
            ("w/o confidence", |own| own.use_confidence = false),
            ("w/o run coherence", |own| own.use_runs = false),
            ("w/o p_min filtering", |own| own.use_p_min = false),
            ("w/o reach in time", |own| own.reach = 0.0),
        ];
        for (name, leave_out) in parts {
            let mut own = full.clone();
            leave_out(&mut own);
            variants.push((name.to_owned(), own));
        }
        for way in Competition::WAYS {
            if way == full.competition {
                continue;
            }
            let own = CurationConfig {
                competition: way,
                ..full.clone()
            };
            variants.push((format!("competition {}", way.name()), own));
        }
        let variants: Vec<(String, Method)> = (variants.into_iter())
            .map(|(name, curation)| {
                let own = Method {
                    curation,
                    ..method.clone()
                };
                (name, own)
            })
            .collect();
        Self {
            scores: variants.iter().map(|_| Default::default()).collect(),
            variants,
        }
    }

    /// One sample; only the sentences that are right count.
    pub fn add(&mut self, record: &Record, places: &Places, sample: &Sample, right: &[bool]) {
        for ((_, method), scores) in self.variants.iter().zip(&mut self.scores) {
            let mut own: [Vec<Score>; MODALITIES] = Default::default();
            let chunks = recurate(record, method);
            for ((chunk, truth), _) in
                (chunks.iter().zip(&sample.answer).zip(right)).filter(|(_, right)| **right)
            {
                let found = modal_scores(record, places, chunk, truth);
                for (own, score) in own.iter_mut().zip(found) {
                    own.extend(score);
                }
            }
            for (all, own) in scores.iter_mut().zip(own) {
                all.push(own);
            }
        }
    }

    /// The rows, in percent.
    pub fn rows(&self) -> Vec<Ablation> {
        (self.variants.iter().zip(&self.scores))
            .map(|((name, _), scores)| Ablation {
                name: name.clone(),
                scores: std::array::from_fn(|k| {
                    let mean = mean_over_samples(&scores[k])?;
                    Some(
                        [mean.precision, mean.recall, mean.f1].map(|own| (own * 1e4).round() / 1e2),
                    )
                }),
            })
            .collect()
    }
}

/// A sentence's score per modality; none where neither trace nor truth has such sources.
fn modal_scores(
    record: &Record,
    places: &Places,
    chunk: &ChunkAttribution,
    truth: &world::sample::Sentence,
) -> [Option<Score>; MODALITIES] {
    let truth = &truth.support;
    let units = || chunk.cited.iter().map(|own| own.unit as usize);
    let lines: Vec<usize> = units().filter_map(|unit| places.line[unit]).collect();
    let images: Vec<usize> = units().filter_map(|unit| places.image[unit]).collect();
    let true_images: Vec<usize> = truth.image.iter().map(|own| own.image).collect();
    let spans: Vec<(f64, f64)> = (chunk.intervals.iter())
        .map(|own| (own.start_secs, own.end_secs))
        .collect();
    let true_spans: Vec<(f64, f64)> = truth.time.iter().map(|own| (own[0], own[1])).collect();
    // A sample has one sound or one film.
    let film = (record.sources.iter()).any(|source| source.modality() == Modality::Video);
    let asked = |ours: bool, theirs: bool| !ours || !theirs;
    let timed =
        asked(spans.is_empty(), true_spans.is_empty()).then(|| time_score(&spans, &true_spans));
    [
        asked(lines.is_empty(), truth.text.is_empty()).then(|| span_score(&lines, &truth.text)),
        asked(images.is_empty(), true_images.is_empty()).then(|| span_score(&images, &true_images)),
        timed.filter(|_| !film),
        timed.filter(|_| film),
    ]
}
