//! Self-attribution: the model is asked, after its answer, what each sentence rests on, in the words of the paper's prompts.
//! In: a sample, its record. Out: sources per sentence where the reply has the form that was asked for.

use std::fmt::Write;

use attribution::record::{ChunkAttribution, Extent, Modality, Record, SourceItem, SourceRole};
use serde_json::Value;

use super::baselines::{Given, cited, content};

/// The paper's appendix B.1.1, shortened to its task, rules and form.
const VISUAL: &str = "You are an annotation assistant for SOURCE ATTRIBUTION.\n\
    You will be given: 1) the images, numbered from 0 in their order. 2) A model-generated answer, split into sentences, each \
    with an index. 3) The source text chunks, each with a numeric text ID.\n\
    Task: For EACH generated sentence, decide which source evidence supports it.\n\
    - \"text_source\": a list of TEXT IDs that directly support that sentence.\n\
    - \"image_source\": a list of IMAGE IDs that directly support that sentence.\n\
    If a sentence is NOT directly supported, output an empty list for that field. Do NOT use the instruction as evidence.\n\
    Return a JSON array with one element per sentence, exactly: {\"image_source\": [...], \"text_source\": [...]}. No extra text.\n";

/// The same of B.1.2.
const TIMED: &str = "You are an annotation assistant for SOURCE ATTRIBUTION.\n\
    You will be given: 1) One AUDIO / VIDEO file that contains the source content. 2) A model-generated answer, split into \
    sentences, each with an index.\n\
    Task: For EACH generated sentence, decide which source evidence supports it.\n\
    - \"source\": a list of timestamp spans [start_sec, end_sec] that directly support that sentence, minimal, rounded to 1 s.\n\
    If a sentence is NOT directly supported, output an empty list. Do NOT use the instruction as evidence.\n\
    Return a JSON array with one element per sentence, exactly: {\"source\": [[start, end], ...]}. No extra text.\n";

/// What the model is asked about its answer.
pub fn prompt(record: &Record) -> String {
    let timed = record
        .sources
        .iter()
        .any(|source| matches!(source.modality(), Modality::Audio | Modality::Video));
    let mut out = if timed { TIMED } else { VISUAL }.to_owned();
    out += "Answer (sentences indexed):\n";
    for (index, chunk) in record.chunks.iter().enumerate() {
        let text = &record.response[chunk.start as usize..chunk.end as usize];
        let _ = writeln!(out, "[{index}] {}", text.trim());
    }
    let texts = texts(record);
    if !texts.is_empty() {
        out += "Text source chunks ([text_id] text):\n";
        for (id, unit) in texts.into_iter().enumerate() {
            let _ = writeln!(out, "[{id}] {}", text_of(record, unit));
        }
    }
    out
}

/// Sources per sentence; none where the reply is no such list.
pub fn given(record: &Record, reply: &str) -> Option<Vec<Given>> {
    let from = reply.find('[')?;
    let to = reply.rfind(']')?;
    let list: Vec<Value> = serde_json::from_str(reply.get(from..=to)?).ok()?;
    if list.len() != record.chunks.len() {
        return None;
    }
    let (texts, images) = (texts(record), images(record));
    let named = |element: &Value, field: &str, ids: &[u32]| -> Vec<u32> {
        let list = element.get(field).and_then(Value::as_array);
        let numbers = list.into_iter().flatten().filter_map(Value::as_u64);
        numbers
            .filter_map(|id| ids.get(usize::try_from(id).ok()?).copied())
            .collect()
    };
    let of = |element: &Value| {
        let mut units = named(element, "text_source", &texts);
        units.extend(named(element, "image_source", &images));
        for field in ["source", "audio_source", "video_source"] {
            units.extend(spans(element, field).flat_map(|span| during(record, span)));
        }
        units.sort_unstable();
        units.dedup();
        (cited(record, &units), Vec::new())
    };
    Some(list.iter().map(of).collect())
}

/// What stands where nothing was understood: no source for any sentence.
pub fn nothing(record: &Record) -> Vec<Given> {
    vec![(ChunkAttribution::default(), Vec::new()); record.chunks.len()]
}

/// `[[start, end], ...]` of a field.
pub fn spans<'v>(element: &'v Value, field: &str) -> impl Iterator<Item = (f64, f64)> + use<'v> {
    let list = element.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|span| {
        let (start, end) = (span.get(0)?.as_f64()?, span.get(1)?.as_f64()?);
        (start < end).then_some((start, end))
    })
}

fn during(record: &Record, (from, to): (f64, f64)) -> Vec<u32> {
    let units = content(record).into_iter();
    units
        .filter(|unit| match record.units[*unit as usize].extent {
            Extent::Time {
                start_secs,
                end_secs,
                ..
            } => start_secs < to && from < end_secs,
            _ => false,
        })
        .collect()
}

/// Text units of the content, in order.
fn texts(record: &Record) -> Vec<u32> {
    let units = content(record).into_iter();
    units
        .filter(|unit| matches!(record.units[*unit as usize].extent, Extent::Text { .. }))
        .collect()
}

/// The first unit of every picture.
fn images(record: &Record) -> Vec<u32> {
    let mut seen = Vec::new();
    let units = content(record).into_iter();
    units
        .filter(|unit| {
            let own = &record.units[*unit as usize];
            let new = matches!(own.extent, Extent::Region { .. }) && !seen.contains(&own.source);
            seen.push(own.source);
            new
        })
        .collect()
}

fn text_of(record: &Record, unit: u32) -> &str {
    let own = &record.units[unit as usize];
    let source = &record.sources[own.source as usize];
    match (&source.item, &own.extent, source.role) {
        (SourceItem::Text { text }, Extent::Text { start, end }, SourceRole::Content) => text
            .get(*start as usize..*end as usize)
            .unwrap_or_default()
            .trim(),
        _ => "",
    }
}
