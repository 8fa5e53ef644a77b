//! Chunks of another size, made from the record alone, are those that the rules would have made live.
#![cfg(all(feature = "sentences", feature = "tagger"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod sample;

use attribution::chunk::{split, split_as};
use attribution::record::{Chunk, ChunkSize, Method, Record};
use attribution::resize::{Size, resized};

const TEXTS: [&str; 5] = [
    "On Monday the red boat, which was new, left; it came back: empty. Then it rained. It rained on.",
    "First:\n- the bell, rings twice\n- the dog barks; loudly\n\nThat was it.",
    "Dr. Who said, in the end, no. Yes?",
    "One word",
    "",
];

/// The sample's record with another answer, cut like this.
fn record(text: &str, size: ChunkSize) -> Record {
    let (mut record, _) = sample::traced(&Method::default());
    let token = record.tokens[0].clone();
    record.response = text.to_owned();
    record.tokens = sample::offsets(text)
        .into_iter()
        .filter(|(start, end)| start < end)
        .map(|(start, end)| {
            let mut token = token.clone();
            (token.start, token.end) = (start as u32, end as u32);
            token
        })
        .collect();
    let pieces = split_as(text, size);
    let bytes: Vec<_> = (record.tokens.iter())
        .map(|t| t.start as usize..t.end as usize)
        .collect();
    record.chunks = attribution::chunk::with_tokens(text, &pieces, &bytes);
    record
}

#[test]
fn sizes_are_those_of_the_live_rules() {
    for text in TEXTS {
        let sentences = record(text, ChunkSize::Sentence);
        let clauses = record(text, ChunkSize::Clause);
        let only = |record: &Record, size| -> Vec<Chunk> {
            resized(record, size)
                .into_iter()
                .map(|(chunk, _)| chunk)
                .collect()
        };
        assert_eq!(split(text).len(), sentences.chunks.len());
        assert_eq!(only(&sentences, Size::Sentence), sentences.chunks, "{text}");
        assert_eq!(only(&clauses, Size::Clause), clauses.chunks, "{text}");
        assert_eq!(only(&sentences, Size::Clause), clauses.chunks, "{text}");
        assert_eq!(only(&clauses, Size::Sentence), sentences.chunks, "{text}");
        assert_eq!(
            only(&clauses, Size::Answer).len(),
            usize::from(!text.is_empty())
        );
    }
}

#[test]
fn chunks_of_any_size_partition_text_and_tokens_and_know_what_they_overlap() {
    for text in TEXTS {
        let record = record(text, ChunkSize::Sentence);
        for size in Size::ALL {
            let (mut byte, mut token) = (0, 0);
            for (chunk, over) in resized(&record, size) {
                assert_eq!(
                    (chunk.start, chunk.token_start),
                    (byte, token),
                    "{text} {size:?}"
                );
                (byte, token) = (chunk.end, chunk.token_end);
                let touched: Vec<usize> = (0..record.chunks.len())
                    .filter(|k| {
                        record.chunks[*k].start < chunk.end && record.chunks[*k].end > chunk.start
                    })
                    .collect();
                assert_eq!(over.collect::<Vec<_>>(), touched);
            }
            assert_eq!(byte as usize, text.len());
            if !text.is_empty() {
                assert_eq!(token as usize, record.tokens.len());
            }
        }
    }
    let paragraphs = resized(&record(TEXTS[1], ChunkSize::Clause), Size::Paragraph);
    assert_eq!(paragraphs.len(), 4);
}

#[test]
fn attention_outside_the_sources_is_what_no_unit_took() {
    let (record, _) = sample::traced(&Method::default());
    let trace = &record.signals[0];
    assert_eq!(trace.inside.len(), record.tokens.len());
    let outside = trace.outside(0..4).unwrap();
    let inside: f64 = trace.inside[..4].iter().map(|x| f64::from(*x)).sum::<f64>() / 4.0;
    assert!((outside - (1.0 - inside).clamp(0.0, 1.0)).abs() < 1e-6);
    assert_eq!(
        record.signals[2].outside(0..4),
        None,
        "a gradient is no share of a whole"
    );
    assert_eq!(trace.outside(0..0), None);
    let mut old = trace.clone();
    old.inside.clear();
    assert_eq!(old.outside(0..4), None);
}
