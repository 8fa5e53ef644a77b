//! Tokens as the token view shows them.
//! In: a record and a lens. Out: every token with the units that it drew on most.

use attribution::record::{Record, SourceRole, Unit, UnitMass};

use crate::lens::Lens;

/// A token as the token view shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// First byte in the response.
    pub start: u32,
    /// One past the last.
    pub end: u32,
    /// Its part of speech.
    pub pos: &'static str,
    /// Units with their scores, strongest first; the first one is what the token votes for.
    pub units: Vec<(u32, f64)>,
}

/// Most units that one token shows.
const MAX_WORD_UNITS: usize = 6;
/// Units with less than this share of the strongest are not shown.
const MIN_WORD_SHARE: f64 = 0.08;

/// Every token with its strongest units under a lens.
pub(super) fn words(record: &Record, lens: &Lens) -> Vec<Word> {
    let trace = record
        .signals
        .iter()
        .find(|s| s.signal == lens.method.signal);
    let citable = |unit: &Unit| {
        let role = record
            .sources
            .get(unit.source as usize)
            .map(|source| source.role);
        lens.method.cite_prompt || role != Some(SourceRole::Prompt)
    };
    let scored = |&UnitMass(unit, sum, max): &UnitMass| {
        let own = record.units.get(unit as usize).filter(|own| citable(own))?;
        let score = lens.method.unit_score.of(sum, max, own.positions);
        (score > 0.0).then_some((unit, score))
    };
    let masses = trace
        .map(|trace| trace.tokens.as_slice())
        .unwrap_or_default();
    (record.tokens.iter().enumerate())
        .map(|(k, token)| {
            let mut units: Vec<(u32, f64)> = masses
                .get(k)
                .into_iter()
                .flatten()
                .filter_map(scored)
                .collect();
            units.sort_by(|a, b| b.1.total_cmp(&a.1));
            let least = units.first().map_or(0.0, |best| best.1 * MIN_WORD_SHARE);
            units.retain(|(_, score)| *score >= least);
            units.truncate(MAX_WORD_UNITS);
            Word {
                start: token.start,
                end: token.end,
                pos: token.pos.name(),
                units,
            }
        })
        .collect()
}
