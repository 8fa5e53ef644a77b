//! Units of a record in the world's own counting: lines of text, pictures.

use attribution::record::{Extent, Modality, Record, SourceItem, SourceRole};

/// What each unit of a record is in the world's own counting.
#[derive(Debug)]
pub struct Places {
    /// Per unit: which line of the question's texts it is of, counted over all of them.
    pub line: Vec<Option<usize>>,
    /// Per unit: which of the question's pictures it is of.
    pub image: Vec<Option<usize>>,
}

impl Places {
    /// Counts lines and pictures of the content; the instruction is not counted.
    pub fn of(record: &Record) -> Self {
        let (mut first_line, mut images) = (0, 0);
        let mut starts = Vec::with_capacity(record.sources.len());
        for source in &record.sources {
            starts.push((first_line, images));
            match (&source.item, source.role) {
                (SourceItem::Text { text }, SourceRole::Content) => {
                    first_line += text.split_inclusive('\n').count();
                }
                (SourceItem::Image { .. }, SourceRole::Content) => images += 1,
                _ => {}
            }
        }
        let content = |source: u32| {
            let own = &record.sources[source as usize];
            (own.role == SourceRole::Content).then(|| (own, starts[source as usize]))
        };
        Self {
            line: record
                .units
                .iter()
                .map(|unit| {
                    let (own, (first, _)) = content(unit.source)?;
                    let (SourceItem::Text { text }, Extent::Text { start, end }) =
                        (&own.item, &unit.extent)
                    else {
                        return None;
                    };
                    // The middle of a unit lies in its line, whichever blanks it begins or ends with.
                    let middle = (*start as usize + *end as usize) / 2;
                    let before = text.bytes().take(middle).filter(|byte| *byte == b'\n');
                    Some(first + before.count())
                })
                .collect(),
            image: record
                .units
                .iter()
                .map(|unit| {
                    let (own, (_, image)) = content(unit.source)?;
                    (own.modality() == Modality::Image).then_some(image)
                })
                .collect(),
        }
    }
}
