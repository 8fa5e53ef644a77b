//! The released package's output record, made from ours.
//! In: a sample as given and its outcome. Out: one JSON object.
//!
//! Fields and their forms, as `omnitrace==0.1.1` writes them:
//! - `id`, `task`, `source_dataset`, `prompt`, `question`, `answer`: as given; null where the sample has none.
//! - `modality`: `image_text`, `audio`, `video`; here also `mixed` (the package refuses such samples).
//! - `attribution.gen_chunks`: the chunks' texts. `per_chunk_attribution[k]`: `chunk_id`, `chunk_text` and
//!   `image_sources_curated: [{source_chunk_id}]`, `text_sources_curated: [{source_chunk_id, source_text}]`,
//!   `audio_sources_curated` and `video_sources_curated: [[start_s, end_s], ...]`, merged where bins touch.
//! - `input_text_chunks: [{chunk_id, input_id_span, text}]`, `input_image_chunks: [{chunk_id, input_id_span}]`,
//!   `input_audio_chunks: [{chunk_id, audio_span, input_id_span}]`; spans of ids include both ends.
//!
//! DIFFERENCE: every field is always there, empty where it does not apply. `input_id_span` counts from the first id of the
//! whole prompt for every modality (the package: for text and images from the first source). `input_video_chunks` is new.
//! Where a sample holds several sounds or several films, an interval is
//! `{"source_chunk_id": k, "time_range": [start_s, end_s]}`: a bare pair would not say of which.

use attribution::record::{ChunkAttribution, Extent, Modality, Record, SourceItem};
use engine::Outcome;
use serde_json::{Map, Value, json};

/// The package's record plus `trace`, ours.
pub fn record(sample: &Value, outcome: &Outcome) -> Result<Value, serde_json::Error> {
    let record = &outcome.record;
    let given = |key: &str| sample.get(key).cloned().unwrap_or(Value::Null);
    let spans = Spans::of(outcome);
    let mut out = Map::new();
    for key in ["id", "task", "source_dataset"] {
        out.insert(key.into(), given(key));
    }
    out.insert("modality".into(), modality(record).into());
    for key in ["prompt", "question", "answer"] {
        out.insert(key.into(), given(key));
    }
    out.insert("response".into(), record.response.as_str().into());
    let texts: Vec<&str> = record
        .chunks
        .iter()
        .map(|c| slice(&record.response, c.start, c.end).trim())
        .collect();
    let per_chunk: Vec<Value> = (texts.iter().zip(&record.attributions).enumerate())
        .map(|(k, (text, attribution))| chunk(record, k, text, attribution))
        .collect();
    out.insert(
        "attribution".into(),
        json!({"gen_chunks": texts, "per_chunk_attribution": per_chunk}),
    );
    out.insert(
        "input_text_chunks".into(),
        unit_chunks(record, &spans, Modality::Text),
    );
    out.insert(
        "input_image_chunks".into(),
        unit_chunks(record, &spans, Modality::Image),
    );
    out.insert(
        "input_audio_chunks".into(),
        timed_chunks(record, &spans, Modality::Audio, "audio_span"),
    );
    out.insert(
        "input_video_chunks".into(),
        timed_chunks(record, &spans, Modality::Video, "video_span"),
    );
    out.insert("trace".into(), serde_json::to_value(record)?);
    Ok(Value::Object(out))
}

fn modality(record: &Record) -> &'static str {
    let has = |modality| {
        record
            .sources
            .iter()
            .any(|source| source.modality() == modality)
    };
    match (
        has(Modality::Image),
        has(Modality::Audio),
        has(Modality::Video),
    ) {
        (_, false, false) => "image_text",
        (false, true, false) => "audio",
        (false, false, true) => "video",
        _ => "mixed",
    }
}

fn chunk(record: &Record, k: usize, text: &str, attribution: &ChunkAttribution) -> Value {
    let cited = |modality: Modality| {
        attribution
            .cited
            .iter()
            .map(|citation| citation.unit)
            .filter(move |&unit| unit_modality(record, unit) == Some(modality))
    };
    let image: Vec<Value> = cited(Modality::Image)
        .map(|unit| json!({"source_chunk_id": unit_number(record, unit)}))
        .collect();
    let texts: Vec<Value> = cited(Modality::Text)
        .map(|unit| json!({"source_chunk_id": unit_number(record, unit), "source_text": unit_text(record, unit)}))
        .collect();
    json!({
        "chunk_id": k,
        "chunk_text": text,
        "image_sources_curated": image,
        "text_sources_curated": texts,
        "audio_sources_curated": intervals(record, attribution, Modality::Audio),
        "video_sources_curated": intervals(record, attribution, Modality::Video),
    })
}

fn intervals(record: &Record, attribution: &ChunkAttribution, modality: Modality) -> Vec<Value> {
    let sources: Vec<u32> = of_modality(record, modality)
        .map(|(index, _)| index)
        .collect();
    attribution
        .intervals
        .iter()
        .filter_map(|interval| {
            let item = sources
                .iter()
                .position(|&source| source == interval.source)?;
            let range = json!([interval.start_secs, interval.end_secs]);
            Some(if sources.len() == 1 {
                range
            } else {
                json!({"source_chunk_id": item, "time_range": range})
            })
        })
        .collect()
}

fn of_modality(record: &Record, modality: Modality) -> impl Iterator<Item = (u32, &SourceItem)> {
    let sources = (0u32..).zip(&record.sources);
    sources
        .filter(move |(_, source)| source.modality() == modality)
        .map(|(index, source)| (index, &source.item))
}

fn unit_modality(record: &Record, unit: u32) -> Option<Modality> {
    let source = record.units.get(unit as usize)?.source;
    Some(record.sources.get(source as usize)?.modality())
}

/// A unit's number among those of its modality.
fn unit_number(record: &Record, unit: u32) -> usize {
    let modality = unit_modality(record, unit);
    (0..unit)
        .filter(|&before| unit_modality(record, before) == modality)
        .count()
}

fn unit_text(record: &Record, unit: u32) -> &str {
    let Some(unit) = record.units.get(unit as usize) else {
        return "";
    };
    match (
        &unit.extent,
        record
            .sources
            .get(unit.source as usize)
            .map(|source| &source.item),
    ) {
        (Extent::Text { start, end }, Some(SourceItem::Text { text })) => {
            slice(text, *start, *end).trim()
        }
        _ => "",
    }
}

fn slice(text: &str, start: u32, end: u32) -> &str {
    text.get(start as usize..end as usize).unwrap_or_default()
}

fn unit_chunks(record: &Record, spans: &Spans, modality: Modality) -> Value {
    let units = (0u32..)
        .zip(&record.units)
        .filter(|&(unit, _)| unit_modality(record, unit) == Some(modality));
    units
        .enumerate()
        .map(|(k, (unit, _))| {
            let mut chunk = json!({"chunk_id": k, "input_id_span": spans.units[unit as usize]});
            if modality == Modality::Text {
                chunk["text"] = unit_text(record, unit).into();
            }
            chunk
        })
        .collect()
}

fn timed_chunks(record: &Record, spans: &Spans, modality: Modality, span: &str) -> Value {
    of_modality(record, modality)
        .enumerate()
        .map(|(k, (source, item))| {
            let (SourceItem::Audio { duration_secs, .. } | SourceItem::Video { duration_secs, .. }) = item else {
                return Value::Null;
            };
            let units = (record.units.iter().zip(&spans.units)).filter(|(unit, _)| unit.source == source);
            let ids = units.filter_map(|(_, span)| *span).reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]);
            json!({"chunk_id": k, span: [0.0, duration_secs], "input_id_span": ids})
        })
        .collect()
}

/// First and last prompt position of each unit; none for a unit without positions.
struct Spans {
    units: Vec<Option<[usize; 2]>>,
}

impl Spans {
    fn of(outcome: &Outcome) -> Self {
        let mut units = vec![None; outcome.record.units.len()];
        for (position, unit) in outcome.unit_of.iter().enumerate() {
            let Some(span) = unit.and_then(|unit| units.get_mut(unit as usize)) else {
                continue;
            };
            let first = span.map_or(position, |[first, _]: [usize; 2]| first);
            *span = Some([first, position]);
        }
        Self { units }
    }
}
