//! AttFocus: attention, each layer with the weight of what it puts on few sources.
//! In: every layer's row. Out: one row.
//!
//! A layer that looks something up puts much of its attention on one source; a layer that does something else spreads it, or
//! spends it on the template and the answer so far. With `m_u` a layer's mass on unit `u`, the layer weighs `sum_u m_u^2`:
//! the square of its mass on sources, times how concentrated that mass is (one over the number of units it is spread over).

use super::Ground;

/// Writes the weighted mean of `layers` (`[layers, prompt]`) into `out` (`[prompt]`).
/// Where no layer looks at any source, all weigh the same. Each layer's weight stands in `weights` then.
pub(super) fn focus(
    layers: &[f32],
    ground: &Ground,
    masses: &mut [f32],
    weights: &mut Vec<f32>,
    out: &mut [f32],
) {
    let prompt = out.len();
    let count = layers.len() / prompt.max(1);
    out.fill(0.0);
    weights.clear();
    let mut total = 0.0;
    for row in layers.chunks_exact(prompt.max(1)) {
        let weight = weight(row, ground, masses);
        weights.push(weight);
        total += weight;
        add(out, row, weight);
    }
    if total > 0.0 {
        out.iter_mut().for_each(|value| *value /= total);
        return;
    }
    out.fill(0.0);
    for row in layers.chunks_exact(prompt.max(1)) {
        add(out, row, 1.0 / count.max(1) as f32);
    }
}

fn weight(row: &[f32], ground: &Ground, masses: &mut [f32]) -> f32 {
    masses.fill(0.0);
    for own in &ground.stretches {
        masses[own.unit as usize] += sum(&row[own.start as usize..own.end as usize]);
    }
    masses.iter().map(|mass| mass * mass).sum()
}

/// In lanes, always in the same order: one after the other would wait for each addition.
pub(super) fn sum(row: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0f32; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for part in whole {
        for (lane, value) in lanes.iter_mut().zip(part) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).sum()
}

fn add(out: &mut [f32], row: &[f32], weight: f32) {
    for (sum, value) in out.iter_mut().zip(row) {
        *sum += weight * value;
    }
}
