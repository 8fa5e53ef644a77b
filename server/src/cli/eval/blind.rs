//! A trace that knows nothing: attention that falls anywhere, anew at every token, made into sources as any trace is.
//! In: a sample's record. Out: sources and heat maps per sentence.
//!
//! Random pieces alone would be too easy to beat: who looks anywhere looks at large pieces and long sounds the oftener, and
//! cites a stretch of seconds rather than single ones. This is what weights that know nothing come down to.

use anyhow::Result;
use attribution::curation::Curator;
use attribution::layout::{Layout, UnitGrid};
use attribution::record::{
    Extent, Grid, Method, Record, Rect, SignalKind, SourceItem, Track, Unit, UnitScore,
};
use attribution::trace::TraceBuilder;
use world::rng::Rng;

use super::baselines::Given;

/// Every position gets an exponential share: such are random parts of a whole.
pub fn trace(record: &Record, seed: u64) -> Result<Vec<Given>> {
    let layout = layout(record);
    let mut rng = Rng::keyed(seed, "blind");
    let mut trace = TraceBuilder::new(&layout);
    let mut attention = vec![0f32; layout.unit_of.len()];
    for _ in &record.tokens {
        let mut total = 0.0;
        for own in &mut attention {
            *own = -(1.0 - rng.unit()).ln() as f32;
            total += *own;
        }
        attention.iter_mut().for_each(|own| *own /= total);
        trace.push_step(SignalKind::ALL.map(|_| attention.as_slice()))?;
    }
    for chunk in &record.chunks {
        trace.close_chunk(chunk, &record.tokens)?;
    }
    let method = Method {
        unit_score: UnitScore::Sum,
        cite_prompt: false,
        ..record.method.clone()
    };
    let curator = Curator::new(&record.sources, &record.units, &method);
    let masses = trace.masses(method.signal);
    let heat = trace.heat(method.signal);
    let chunks = record.chunks.iter().zip(heat);
    Ok(chunks
        .map(|(chunk, heat)| {
            let own = curator.chunk(&record.response, chunk, &record.tokens, masses);
            (own, heat.clone())
        })
        .collect())
}

/// The prompt as far as units own it: their positions one after another, patches row by row and again for every frame.
fn layout(record: &Record) -> Layout {
    let grids: Vec<Option<UnitGrid>> = (record.units.iter())
        .map(|unit| grid(record, unit))
        .collect();
    let (mut unit_of, mut cell_of) = (Vec::new(), Vec::new());
    for ((index, unit), grid) in (0u32..).zip(&record.units).zip(&grids) {
        for position in 0..unit.positions {
            unit_of.push(Some(index));
            cell_of.push(grid.map(|own| position % (own.grid.rows * own.grid.cols).max(1)));
        }
    }
    Layout {
        sources: record.sources.clone(),
        units: record.units.clone(),
        unit_of,
        cell_of,
        grids,
        spans: Vec::new(),
    }
}

fn grid(record: &Record, unit: &Unit) -> Option<UnitGrid> {
    let whole = Rect {
        x0: 0.0,
        y0: 0.0,
        x1: 1.0,
        y1: 1.0,
    };
    let (grid, rect_in_source): (Grid, Rect) =
        match (&record.sources[unit.source as usize].item, &unit.extent) {
            (SourceItem::Image { grid, .. }, Extent::Region { rect_in_source }) => {
                (*grid, *rect_in_source)
            }
            (
                SourceItem::Video { grid, .. },
                Extent::Time {
                    track: Track::Picture,
                    ..
                },
            ) => (*grid, whole),
            _ => return None,
        };
    Some(UnitGrid {
        grid,
        rect_in_source,
    })
}
