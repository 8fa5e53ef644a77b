//! The crate's one error type.

/// Why a layout, a trace or a record was refused. `Display` is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum AttributionError {
    /// A record of a version that this program does not read.
    #[error(
        "this record has format version {found}; this program reads versions 1 to {newest}: update it"
    )]
    RecordVersion {
        /// As written in the record.
        found: u64,
        /// The newest version known here.
        newest: u32,
    },
    /// Not a record at all.
    #[error("this is not a trace record: {0}")]
    RecordJson(#[source] serde_json::Error),
    /// A record that contradicts itself.
    #[error("this record is damaged: {0}")]
    RecordDamaged(String),
    /// A bound of the record was passed.
    #[error(
        "the trace has {found} {what}, more than the {limit} that a record holds: send less, or ask for a shorter answer"
    )]
    TooMany {
        /// What was counted.
        what: &'static str,
        /// How many there were.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The sequence was laid out inconsistently.
    #[error("the prompt cannot be laid out: {0}")]
    Layout(String),
    /// A step's signal does not have one value per prompt position.
    #[error("a signal has {found} values for {expected} prompt positions")]
    SignalLength {
        /// Values given.
        found: usize,
        /// Positions laid out.
        expected: usize,
    },
    /// Chunks were closed out of order or beyond the steps seen.
    #[error("chunk {chunk} does not continue the trace")]
    ChunkOrder {
        /// Index among chunks.
        chunk: usize,
    },
    /// A transcript cannot be read.
    #[error("the transcript cannot be read: {0}")]
    Transcript(String),
}
