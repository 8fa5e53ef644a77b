//! Time: bins of a sound or film, and cited seconds merged where they touch.
//! In: a duration and a bin length or segments; cited units. Out: bins that cover the duration; intervals.

use crate::record::{Citation, Extent, Interval, Source, SourceItem, Track, Unit};

/// Gaps below this are rounding, not time.
const TOUCH_SECS: f64 = 1e-6;

/// Consecutive bins that cover `0..duration` without a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeBins {
    /// `edges[k]..edges[k + 1]` is bin k; at least two, strictly increasing, the first 0.
    edges: Vec<f64>,
}

impl TimeBins {
    /// Bins of `bin_secs`; the last ends with the duration and may be shorter.
    ///
    /// DIFFERENCE: the released package divides tokens into `round(duration / bin)` groups and drops the tail into the
    /// last one; here a bin is a time, and a token falls into the bin of its own time.
    pub fn uniform(duration_secs: f64, bin_secs: f64) -> Self {
        let duration = usable(duration_secs, TOUCH_SECS).max(TOUCH_SECS * 10.0);
        let bin = usable(bin_secs, duration).max(duration / MAX_BINS as f64);
        // A remainder that is only rounding does not make a bin of its own.
        let count = ((duration - TOUCH_SECS) / bin).floor().max(0.0) as usize + 1;
        let mut edges: Vec<f64> = (0..count).map(|k| rounded(k as f64 * bin)).collect();
        edges.push(duration);
        Self { edges }
    }

    /// One bin per segment and one per gap between segments; overlapping segments share their overlap's middle.
    pub fn from_segments(duration_secs: f64, segments: &[(f64, f64)]) -> Self {
        let duration = usable(duration_secs, TOUCH_SECS).max(TOUCH_SECS * 10.0);
        let mut cuts: Vec<f64> = segments
            .iter()
            .filter(|(start, end)| start.is_finite() && end.is_finite() && start < end)
            .flat_map(|&(start, end)| [start, end])
            .filter(|t| *t > TOUCH_SECS && *t < duration - TOUCH_SECS)
            .collect();
        cuts.sort_by(f64::total_cmp);
        cuts.truncate(MAX_BINS - 1);
        let mut edges = vec![0.0];
        for cut in cuts {
            if edges.last().is_none_or(|last| cut - last > TOUCH_SECS) {
                edges.push(cut);
            }
        }
        edges.push(duration);
        Self { edges }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.edges.len() - 1
    }

    /// Never: there is always one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Begin and end of bin k.
    pub fn bounds(&self, bin: usize) -> (f64, f64) {
        let bin = bin.min(self.len() - 1);
        (self.edges[bin], self.edges[bin + 1])
    }

    /// The bin of a time; times outside fall into the first or last.
    pub fn bin_of(&self, secs: f64) -> usize {
        // A time that is an edge but for rounding belongs to the bin that begins there.
        self.edges[1..self.len()].partition_point(|edge| *edge <= secs + TOUCH_SECS)
    }
}

/// More bins than any model has positions for them.
pub const MAX_BINS: usize = 20_000;

/// To the microsecond: `0.6`, not `0.6000000000000001`, in every record.
fn rounded(secs: f64) -> f64 {
    (secs * 1e6).round() / 1e6
}

fn usable(secs: f64, otherwise: f64) -> f64 {
    if secs.is_finite() && secs > 0.0 {
        secs
    } else {
        otherwise
    }
}

/// Overlapping or touching spans as one, in order.
pub fn merged(spans: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = spans
        .iter()
        .copied()
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut out: Vec<(f64, f64)> = Vec::new();
    for (start, end) in spans {
        match out.last_mut() {
            Some(last) if start <= last.1 + TOUCH_SECS => last.1 = last.1.max(end),
            _ => out.push((start, end)),
        }
    }
    out
}

/// The cited seconds of each timed source, both tracks of a film united, merged where bins touch.
pub fn cited_intervals(sources: &[Source], units: &[Unit], cited: &[Citation]) -> Vec<Interval> {
    let mut spans: Vec<(u32, f64, f64, f64)> = cited
        .iter()
        .filter_map(|c| {
            let unit = units.get(c.unit as usize)?;
            match unit.extent {
                Extent::Time {
                    start_secs,
                    end_secs,
                    ..
                } => Some((unit.source, start_secs, end_secs, c.mass)),
                _ => None,
            }
        })
        .collect();
    spans.sort_by(|a, b| {
        a.0.cmp(&b.0)
            .then(a.1.total_cmp(&b.1))
            .then(a.2.total_cmp(&b.2))
    });
    let mut out: Vec<Interval> = Vec::new();
    for (source, start_secs, end_secs, mass) in spans {
        match out.last_mut() {
            Some(last) if last.source == source && start_secs <= last.end_secs + TOUCH_SECS => {
                last.end_secs = last.end_secs.max(end_secs);
                last.mass = ((last.mass + mass) * 1e6).round() / 1e6;
            }
            _ if (source as usize) < sources.len() => out.push(Interval {
                source,
                start_secs,
                end_secs,
                mass,
            }),
            _ => {}
        }
    }
    out
}

/// Per unit: the slices of the same track that end where it begins and begin where it ends. Units are slices where time was cut
/// evenly; what follows the words that are said has a sense of its own, and nothing beside it.
pub(crate) fn slices_beside(sources: &[Source], units: &[Unit]) -> Vec<[Option<u32>; 2]> {
    let mut out = vec![[None; 2]; units.len()];
    // Of each track of the source at hand, the unit seen last and its end.
    let mut last: Vec<(Track, usize, f64)> = Vec::new();
    let mut at = None;
    for (index, unit) in units.iter().enumerate() {
        if at.replace(unit.source) != Some(unit.source) {
            last.clear();
        }
        let said = sources
            .get(unit.source as usize)
            .is_none_or(|source| match &source.item {
                SourceItem::Audio { transcript, .. } => transcript.is_some(),
                _ => false,
            });
        let Extent::Time {
            start_secs,
            end_secs,
            track,
        } = unit.extent
        else {
            continue;
        };
        if said {
            continue;
        }
        match last.iter_mut().find(|own| own.0 == track) {
            Some((_, before, end)) => {
                if (start_secs - *end).abs() <= TOUCH_SECS {
                    out[index][0] = Some(*before as u32);
                    out[*before][1] = Some(index as u32);
                }
                (*before, *end) = (index, end_secs);
            }
            None => last.push((track, index, end_secs)),
        }
    }
    out
}
