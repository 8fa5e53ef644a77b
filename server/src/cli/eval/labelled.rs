//! `omnitrace eval labelled F.json`: samples of one's own with labels, as the rows of the paper's table 2.
//! In: samples in the package's form, each with `labels`, one per answer sentence, in the form of the paper's appendix B.1.
//! Out: F1 of text, pictures and seconds per signal and baseline.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use attribution::curation::recurate;
use attribution::metrics::{Score, mean_over_samples, span_score, time_score};
use attribution::record::{ChunkAttribution, Extent, Method, Modality, Record, SignalKind};
use clap::Args;
use engine::faithfulness::Replay;
use serde_json::{Value, json};

use super::asked::spans;
use super::baselines::{self, content};
use crate::cli::trace::trace_file;

/// `omnitrace eval labelled`.
#[derive(Debug, Clone, Args)]
pub struct LabelledArgs {
    /// Samples in the package's form. Each has `labels`: per answer sentence `{"text_source": [ids], "image_source": [ids]}`
    /// (numbers of text chunks and pictures from 0, the instruction not counted) or `{"audio_source": [[start, end]]}`,
    /// `{"video_source": [[start, end]]}` in seconds.
    #[arg(value_name = "F.json")]
    file: PathBuf,
    /// Model: a directory in the hub's layout, or an id on the hub. Default: the tiny model inside.
    #[arg(long, value_name = "DIR|ID", env = "OMNITRACE_MODEL")]
    model: Option<String>,
    /// Also compare with CLIP: a directory with a checkpoint in the hub's layout (openai/clip-vit-large-patch14).
    #[arg(long, value_name = "DIR")]
    clip: Option<PathBuf>,
    /// Also write the numbers as JSON.
    #[arg(long, value_name = "F.json")]
    json: Option<PathBuf>,
}

/// Columns of table 2.
const COLUMNS: [&str; 4] = ["text_f1", "image_f1", "audio_time_f1", "video_time_f1"];

/// What a sentence rests on, in a person's word.
#[derive(Debug, Default)]
struct Label {
    texts: Option<Vec<usize>>,
    images: Option<Vec<usize>>,
    spans: Option<Vec<(f64, f64)>>,
}

/// Per column, per sample, its sentences.
type Scores = [Vec<Vec<Score>>; COLUMNS.len()];

/// Runs the command.
pub fn run(args: &LabelledArgs) -> Result<()> {
    let mut names: Vec<String> = SignalKind::ALL.map(|own| own.name().to_owned()).to_vec();
    names.extend(["embedding".to_owned(), "random".to_owned()]);
    let clip = args.clip.as_deref().map(baselines::open_clip).transpose()?;
    names.extend(clip.is_some().then(|| "clip".to_owned()));
    let mut rows: Vec<Scores> = names.iter().map(|_| Scores::default()).collect();
    let (mut samples, mut unmatched, mut hash) = (0usize, 0usize, String::new());
    trace_file(&args.file, args.model.as_deref(), &mut |index, traced| {
        let labels = labels(traced.given)?;
        let record = &traced.outcome.record;
        hash.clone_from(&record.receipt.model_hash);
        samples += 1;
        // Labels are of one answer: another model's, or another version's, has other sentences.
        unmatched += usize::from(labels.len() != record.chunks.len());
        let replay = Replay::open(traced.model, &traced.request, record)?;
        let mut given: Vec<Vec<ChunkAttribution>> = (SignalKind::ALL.into_iter())
            .map(|signal| {
                let usual = Method::default();
                recurate(record, &Method { signal, ..usual })
            })
            .collect();
        let alone = |given: Vec<baselines::Given>| given.into_iter().map(|own| own.0).collect();
        given.push(alone(baselines::alike(record, &replay)?));
        let seed = index as u64;
        given.push(alone(baselines::random(record, &record.attributions, seed)));
        if let Some(clip) = &clip {
            let seen = baselines::seen_alike(clip, traced.model, &traced.request, record)?;
            given.push(alone(seen));
        }
        for ((row, given), name) in rows.iter_mut().zip(&given).zip(&names) {
            let mut own: [Vec<Score>; COLUMNS.len()] = Default::default();
            for (chunk, label) in given.iter().zip(&labels) {
                judge(record, chunk, label, &mut own);
            }
            for column in unspoken(name) {
                own[*column].clear();
            }
            for (all, own) in row.iter_mut().zip(own) {
                all.push(own);
            }
        }
        Ok(())
    })?;
    ensure!(samples > 0, "{} holds no sample", args.file.display());
    let figures: Vec<[Option<f64>; COLUMNS.len()]> = rows
        .iter()
        .map(|row| std::array::from_fn(|k| Some(100.0 * mean_over_samples(&row[k])?.f1)))
        .collect();
    let mut out = format!("{samples} samples, model {hash}\n    {:<12}", "");
    for name in COLUMNS {
        let _ = write!(out, "{name:<16}");
    }
    for (name, figures) in names.iter().zip(&figures) {
        let _ = write!(out, "\n    {name:<12}");
        for own in figures {
            let cell = own.map_or_else(|| "-".to_owned(), |own| format!("{own:.2}"));
            let _ = write!(out, "{cell:<16}");
        }
    }
    println!("{out}");
    if unmatched > 0 {
        println!(
            "{unmatched} samples have another number of labels than the answer has sentences: only the first of both are compared"
        );
    }
    if let Some(path) = &args.json {
        let rows: Vec<Value> = (names.iter().zip(&figures))
            .map(|(name, figures)| {
                let cells = COLUMNS.iter().zip(figures);
                let cells: serde_json::Map<String, Value> = cells
                    .filter_map(|(column, own)| Some(((*column).to_owned(), json!(own.as_ref()?))))
                    .collect();
                json!({"method": name, "scores": cells})
            })
            .collect();
        let all = json!({
            "model_hash": hash,
            "code_version": env!("CARGO_PKG_VERSION"),
            "n": samples,
            "unmatched": unmatched,
            "rows": rows,
        });
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The columns of which a method says nothing: embeddings of words and pictures are none of seconds, CLIP's none of sounds.
fn unspoken(method: &str) -> &'static [usize] {
    match method {
        "embedding" => &[2, 3],
        "clip" => &[2],
        _ => &[],
    }
}

/// A sample's labels, checked.
fn labels(given: &Value) -> Result<Vec<Label>> {
    let Some(list) = given.get("labels").and_then(Value::as_array) else {
        bail!("the sample has no `labels`: a list with one object per sentence of the answer");
    };
    let numbers = |own: &Value, field: &str| -> Result<Option<Vec<usize>>> {
        let Some(list) = own.get(field) else {
            return Ok(None);
        };
        let ids = list.as_array().map(|ids| {
            let numbers = ids.iter().map(|id| usize::try_from(id.as_u64()?).ok());
            numbers.collect::<Option<Vec<usize>>>()
        });
        match ids {
            Some(Some(ids)) => Ok(Some(ids)),
            _ => bail!("`{field}` of a label must be a list of numbers from 0"),
        }
    };
    list.iter()
        .map(|own| {
            let timed = ["audio_source", "video_source"];
            let timed = timed.into_iter().find(|field| own.get(field).is_some());
            Ok(Label {
                texts: numbers(own, "text_source")?,
                images: numbers(own, "image_source")?,
                spans: timed.map(|field| spans(own, field).collect()),
            })
        })
        .collect()
}

/// Scores of one sentence, for the kinds that its label speaks of.
fn judge(
    record: &Record,
    chunk: &ChunkAttribution,
    label: &Label,
    scores: &mut [Vec<Score>; COLUMNS.len()],
) {
    let numbered = |wanted: fn(&Extent) -> bool| -> Vec<usize> {
        let units: Vec<u32> = (content(record).into_iter())
            .filter(|unit| wanted(&record.units[*unit as usize].extent))
            .collect();
        let cited = chunk.cited.iter();
        cited
            .filter_map(|own| units.iter().position(|unit| *unit == own.unit))
            .collect()
    };
    let mut put = |column: usize, ours: bool, theirs: bool, score: Score| {
        if ours || theirs {
            scores[column].push(score);
        }
    };
    if let Some(texts) = &label.texts {
        let ours = numbered(|own| matches!(own, Extent::Text { .. }));
        let score = span_score(&ours, texts);
        put(0, !ours.is_empty(), !texts.is_empty(), score);
    }
    if let Some(images) = &label.images {
        let ours = numbered(|own| matches!(own, Extent::Region { .. }));
        let score = span_score(&ours, images);
        put(1, !ours.is_empty(), !images.is_empty(), score);
    }
    if let Some(truth) = &label.spans {
        let ours: Vec<(f64, f64)> = (chunk.intervals.iter())
            .map(|own| (own.start_secs, own.end_secs))
            .collect();
        let film = (record.sources.iter()).any(|own| own.modality() == Modality::Video);
        let score = time_score(&ours, truth);
        put(
            2 + usize::from(film),
            !ours.is_empty(),
            !truth.is_empty(),
            score,
        );
    }
}
