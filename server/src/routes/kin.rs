//! A trace's kin, in the page's words: the trace that it repeats, and those that repeat it without some sources.

use app::beside::{ChildView, Lineage};
use attribution::label::{label_of, source_label};
use attribution::record::{Record, SourceRole};

use crate::depot::Depot;
use crate::error::ServerError;
use crate::store::{State, from_json};

/// Everything that the page says of it.
pub fn lineage(depot: &dyn Depot, id: &str) -> Result<Lineage, ServerError> {
    let Some(stored) = depot.load(id)? else {
        return Ok(Lineage::default());
    };
    let record = |id: &str| -> Result<Option<Record>, ServerError> {
        let json = depot.record_json(id)?;
        json.map(|json| from_json("record", &json)).transpose()
    };
    let own = record(id)?;
    let mut found = Lineage::default();
    if let Some(child_of) = &stored.child_of {
        let parent = record(&child_of.id)?;
        // Both have the same units: either of them names them.
        let named = own.as_ref().or(parent.as_ref());
        found.left_out = named.map_or_else(Vec::new, |named| names(named, &child_of.without));
        found.parent = Some((child_of.id.clone(), parent.is_some()));
    }
    let Some(own) = own else {
        return Ok(found);
    };
    let absent = (own.child_of.as_ref()).map_or(&[][..], |child| child.without.as_slice());
    found.sources = (0u32..)
        .zip(&own.sources)
        .filter(|(index, source)| {
            let mut units = (0u32..).zip(&own.units);
            let there = units.any(|(k, unit)| unit.source == *index && !absent.contains(&k));
            source.role == SourceRole::Content && there
        })
        .map(|(index, source)| (index, source_label(source)))
        .collect();
    for child in depot.children(id)? {
        let answer = match child.state {
            State::Finished => record(&child.id)?.map(|record| record.response.trim().to_owned()),
            State::Failed { message, .. } => Some(message),
            State::Open => None,
        };
        let answer = answer.unwrap_or_else(|| "Being written …".to_owned());
        let new: Vec<u32> = (child.without.iter().copied())
            .filter(|unit| !absent.contains(unit))
            .collect();
        found.children.push(ChildView {
            left_out: names(&own, &new),
            same: answer == own.response.trim(),
            id: child.id,
            answer,
        });
    }
    Ok(found)
}

/// Units by name; a source of which every unit is meant by its own.
fn names(record: &Record, units: &[u32]) -> Vec<String> {
    let mut names = Vec::new();
    for (index, source) in (0u32..).zip(&record.sources) {
        let own = || {
            let all = (0u32..).zip(&record.units);
            all.filter(move |(_, unit)| unit.source == index)
                .map(|(unit, _)| unit)
        };
        if own().next().is_none() {
            continue;
        }
        if own().all(|unit| units.contains(&unit)) {
            names.push(source_label(source));
            continue;
        }
        let some = own().filter(|unit| units.contains(unit));
        names.extend(some.map(|unit| label_of(&record.sources, &record.units, unit)));
    }
    names.dedup();
    names
}
