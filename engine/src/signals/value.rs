//! AttValue: attention whose values say the word that is written.
//! In: mean attention, and what the values of a few layers add to the chosen token's logit. Out: one row.
//!
//! A head may look at a position to know where it is, or out of habit. What it fetches there is the position's value, which its
//! output map takes into the residual stream; along the chosen token's row of the head that is a number of logits. A position
//! counts that is looked at and says the word: the geometric mean of both. The layers of most focus ([`super::focus`]) are
//! enough for the second, so that few values are read twice.

/// How many layers' values are read.
const LAYERS: usize = 2;

/// The layers of most weight, ascending; the first of equals.
pub(super) fn focused(weights: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    order.truncate(LAYERS);
    order.sort_unstable();
    order
}

/// Writes the geometric mean into `out`; 0 where nothing is added.
pub(super) fn value(attmean: &[f32], added: &[f32], out: &mut [f32]) {
    for ((out, looked), added) in out.iter_mut().zip(attmean).zip(added) {
        *out = (looked * added.max(0.0)).sqrt();
    }
}
