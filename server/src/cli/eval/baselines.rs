//! What a trace is compared with: chance, alike embeddings (the model's own, CLIP's), and the model's own word for it.
//! In: a sample's record. Out: sources per sentence, as a trace gives them.

use std::path::Path;

use anyhow::{Context, Result};
use attribution::record::{
    ChunkAttribution, Citation, Extent, Grid, HeatBox, HeatMap, Record, Rect, SourceItem,
    SourceRole, Track,
};
use attribution::time::cited_intervals;
use engine::faithfulness::Replay;
use engine::{Clip, Model, ModelFiles, TraceRequest};
use world::rng::Rng;

/// A cosine from which on a unit counts as a source: what the paper found best.
const ALIKE: f64 = 0.25;

/// One sentence's sources and heat maps.
pub type Given = (ChunkAttribution, Vec<HeatMap>);

/// As many units as the trace cites, drawn at random, each with one random cell.
pub fn random(record: &Record, traced: &[ChunkAttribution], seed: u64) -> Vec<Given> {
    let mut rng = Rng::keyed(seed, "random sources");
    traced
        .iter()
        .map(|own| {
            let mut units = content(record);
            for end in (1..units.len()).rev() {
                units.swap(end, rng.below(end + 1));
            }
            let heat = (units.iter())
                .filter_map(|&unit| random_cell(record, unit, &mut rng))
                .collect();
            units.truncate(own.cited.len().max(1));
            (cited(record, &units), heat)
        })
        .collect()
}

/// Texts and pictures whose input embeddings are like the sentence's words. Seconds are no words: as in the paper, nothing
/// is said of them.
pub fn alike(record: &Record, replay: &Replay<'_>) -> Result<Vec<Given>> {
    (0..record.chunks.len())
        .map(|chunk| {
            let mut cosines = replay.similarities(chunk)?;
            for (cosine, unit) in cosines.iter_mut().zip(&record.units) {
                if matches!(unit.extent, Extent::Time { .. }) {
                    *cosine = None;
                }
            }
            Ok(alike_enough(record, &cosines))
        })
        .collect()
}

/// Texts, pictures and frames of films that CLIP finds like the sentence. The paper leaves films out; but a frame is a
/// picture, so that a bin of them counts here, by their mean.
pub fn seen_alike(
    clip: &Clip,
    model: &Model,
    request: &TraceRequest,
    record: &Record,
) -> Result<Vec<Given>> {
    let cosines = clip.similarities(model, request, record)?;
    Ok(cosines
        .iter()
        .map(|own| alike_enough(record, own))
        .collect())
}

/// The checkpoint of `--clip`.
pub fn open_clip(dir: &Path) -> Result<Clip> {
    let load = || Clip::load(&ModelFiles::Dir(dir.to_owned()), &engine::default_device()?);
    load().with_context(|| {
        format!(
            "--clip expects a CLIP checkpoint in the hub's layout in {}: config.json, preprocessor_config.json, \
             tokenizer.json and {} (openai/clip-vit-large-patch14, say)",
            dir.display(),
            engine::SINGLE_FILE
        )
    })
}

fn alike_enough(record: &Record, cosines: &[Option<f64>]) -> Given {
    let own = content(record).into_iter();
    let units: Vec<u32> = own
        .filter(|unit| cosines[*unit as usize].is_some_and(|own| own >= ALIKE))
        .collect();
    (cited(record, &units), Vec::new())
}

/// Units of the content; the instruction's are none.
pub fn content(record: &Record) -> Vec<u32> {
    let role = |unit: u32| record.sources[record.units[unit as usize].source as usize].role;
    (0..record.units.len() as u32)
        .filter(|unit| role(*unit) == SourceRole::Content)
        .collect()
}

/// These units as a trace would cite them.
pub fn cited(record: &Record, units: &[u32]) -> ChunkAttribution {
    let share = 1.0 / units.len().max(1) as f64;
    let cited: Vec<Citation> = units
        .iter()
        .map(|&unit| Citation {
            unit,
            score: share,
            mass: share,
            run: share,
        })
        .collect();
    let intervals = cited_intervals(&record.sources, &record.units, &cited);
    ChunkAttribution { cited, intervals }
}

fn random_cell(record: &Record, unit: u32, rng: &mut Rng) -> Option<HeatMap> {
    let own = &record.units[unit as usize];
    let grid = match (&record.sources[own.source as usize].item, &own.extent) {
        (SourceItem::Image { grid, .. }, _) => *grid,
        (
            SourceItem::Video { grid, .. },
            Extent::Time {
                track: Track::Picture,
                ..
            },
        ) => *grid,
        _ => return None,
    };
    let Grid { rows, cols } = grid;
    let count = rows as usize * cols as usize;
    let cell = rng.below(count);
    let cells = (0..count).map(|k| if k == cell { "ff" } else { "00" });
    let (row, col) = (cell as u32 / cols.max(1), cell as u32 % cols.max(1));
    let edge = |at: u32, of: u32| at as f32 / of.max(1) as f32;
    Some(HeatMap {
        unit,
        grid,
        cells: cells.collect(),
        peak: rng.below(1 << 20) as f32,
        boxes: vec![HeatBox {
            rect_in_source: Rect {
                x0: edge(col, cols),
                y0: edge(row, rows),
                x1: edge(col + 1, cols),
                y1: edge(row + 1, rows),
            },
            share: 1.0,
        }],
    })
}
