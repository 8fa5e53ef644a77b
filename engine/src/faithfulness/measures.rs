//! Numbers made from log-probabilities after removals: ranks, curves, areas.
//! In: masses and falls per unit, points of a curve. Out: a correlation, areas.

use serde::Serialize;

/// One unit, removed alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct UnitFall {
    /// Index into the record's units.
    pub unit: u32,
    /// The trace's mass on it over the chunk.
    pub mass: f64,
    /// How far the chunk's log-probability falls without it.
    pub fall: f64,
}

/// Every unit removed alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaveOneOut {
    /// The strongest mass first.
    pub units: Vec<UnitFall>,
    /// Spearman's, between mass and fall; none below three units, or where either is constant.
    pub rank_correlation: Option<f64>,
}

/// `[share of the units removed (deletion) or given (insertion), mean probability of a token]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point(
    /// 0..=1, ascending.
    pub f64,
    /// `e^(mean log-probability)`, 0..=1.
    pub f64,
);

/// Units removed, or given back, in the order of the trace's mass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curves {
    /// The strongest are removed first: a true order makes the curve fall early.
    pub deletion: Vec<Point>,
    /// The strongest are given first: a true order makes the curve rise early.
    pub insertion: Vec<Point>,
    /// Area under `deletion`, 0..=1: low is good.
    pub deletion_area: f64,
    /// Area under `insertion`, 0..=1: high is good.
    pub insertion_area: f64,
}

impl LeaveOneOut {
    pub(super) fn new(units: &[u32], falls: impl Iterator<Item = f64>, masses: &[f64]) -> Self {
        let units: Vec<UnitFall> = (units.iter().zip(falls))
            .map(|(&unit, fall)| UnitFall {
                unit,
                mass: masses[unit as usize],
                fall,
            })
            .collect();
        let of = |value: fn(&UnitFall) -> f64| units.iter().map(value).collect::<Vec<f64>>();
        Self {
            rank_correlation: rank_correlation(&of(|own| own.mass), &of(|own| own.fall)),
            units,
        }
    }
}

impl Curves {
    pub(super) fn new(deletion: Vec<Point>, insertion: Vec<Point>) -> Self {
        Self {
            deletion_area: area(&deletion),
            insertion_area: area(&insertion),
            deletion,
            insertion,
        }
    }
}

/// Units by mass, the strongest first; the first of equals stays ahead.
pub(super) fn ranked(units: &[u32], masses: &[f64]) -> Vec<u32> {
    let mut ranked = units.to_vec();
    ranked.sort_by(|a, b| masses[*b as usize].total_cmp(&masses[*a as usize]));
    ranked
}

/// How many of `units` are removed at each point of a curve: from none to all, in at most `steps` steps.
pub(super) fn curve_steps(units: usize, steps: usize) -> Vec<usize> {
    let steps = steps.min(units).max(1);
    (0..=steps).map(|k| k * units / steps).collect()
}

/// Area under a curve by trapezia.
pub fn area(points: &[Point]) -> f64 {
    (points.windows(2))
        .map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0)
        .sum()
}

/// Spearman's rank correlation, equals sharing their mean rank.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 3 {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        (x.iter().zip(y))
            .map(|(x, y)| (x - mean) * (y - mean))
            .sum()
    };
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

/// From 1; equals get the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&x, &y| values[x].total_cmp(&values[y]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |&&at: &&usize| values[at] == values[order[start]];
        let count = order[start..].iter().take_while(same).count().max(1);
        let mean = start as f64 + (count as f64 + 1.0) / 2.0;
        for &at in &order[start..start + count] {
            ranks[at] = mean;
        }
        start += count;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_as_spearman_says() {
        let rising = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(rank_correlation(&rising, &[2.0, 4.0, 8.0, 9.0]), Some(1.0));
        assert_eq!(rank_correlation(&rising, &[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
        // By hand: ranks 1, 2.5, 2.5, 4 against 1..=4 give 4.5 / sqrt(4.5 * 5).
        let tied = rank_correlation(&[1.0, 2.0, 2.0, 3.0], &rising).expect("varies");
        assert!((tied - 4.5 / 22.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(rank_correlation(&rising, &[1.0; 4]), None);
        assert_eq!(rank_correlation(&[1.0, 2.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn curves_run_from_none_to_all() {
        assert_eq!(curve_steps(3, 10), [0, 1, 2, 3]);
        assert_eq!(curve_steps(25, 5), [0, 5, 10, 15, 20, 25]);
        assert_eq!(curve_steps(0, 10), [0, 0]);
        let falling = [Point(0.0, 1.0), Point(0.5, 0.5), Point(1.0, 0.0)];
        assert!((area(&falling) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_strongest_comes_first() {
        assert_eq!(ranked(&[0, 1, 2], &[0.1, 0.5, 0.1]), [1, 0, 2]);
    }
}
