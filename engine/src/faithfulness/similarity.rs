//! A baseline that asks the model nothing: how alike a chunk's words and a unit's input embeddings are.
//! In: a replayed trace. Out: a cosine per unit.

use super::Replay;
use crate::EngineError;

impl Replay<'_> {
    /// Per unit: the cosine between the mean input embedding of its positions and that of the chunk's tokens; none for units
    /// that may not be cited or whose vectors are nothing. The paper's "processor embeddings".
    pub fn similarities(&self, chunk: usize) -> Result<Vec<Option<f64>>, EngineError> {
        let Some(chunk) = self.record.chunks.get(chunk) else {
            return Ok(vec![None; self.record.units.len()]);
        };
        let tokens = chunk.token_start as usize..chunk.token_end as usize;
        let ids: Vec<u32> = (self.record.tokens[tokens].iter())
            .filter(|token| token.end > token.start)
            .map(|token| token.id)
            .collect();
        let words = self.model.family.word_vectors(&ids)?;
        let said = mean(words.iter().map(Vec::as_slice));
        let rows: Vec<Vec<f32>> = self
            .embeds
            .to_dtype(candle_core::DType::F32)?
            .to_vec2::<f32>()?;
        let of = |unit: u32| {
            let unit_of = self.prompt.layout.unit_of.iter().zip(&rows);
            let own = unit_of.filter(|(owner, _)| **owner == Some(unit));
            mean(own.map(|(_, row)| row.as_slice()))
        };
        Ok((0u32..)
            .zip(&self.group_of)
            .map(|(unit, group)| group.and_then(|_| cosine(&said, &of(unit))))
            .collect())
    }
}

fn mean<'r>(rows: impl Iterator<Item = &'r [f32]>) -> Vec<f64> {
    let mut sum: Vec<f64> = Vec::new();
    for row in rows {
        sum.resize(row.len(), 0.0);
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    // The length of a mean does not change its direction.
    sum
}

fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    (lengths > 0.0).then(|| dot(a, b) / lengths)
}
