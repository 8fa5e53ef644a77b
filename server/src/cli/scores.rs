//! `--scores-path`: the raw signals of every sample in one safetensors file.
//! In: outcomes with scores. Out: `{i}.input_ids`, `{i}.generated_ids` (i64) and `{i}.attmean|attraw|attgrads|attfocus|attrise|attvalue` (f32, [T, P]).

use std::path::Path;

use anyhow::{Context, Result};
use engine::Outcome;
use safetensors::tensor::{Dtype, TensorView};

/// Tensors waiting to be written.
#[derive(Default)]
pub struct Scores(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Scores {
    /// Takes the scores of sample `index` out of its outcome.
    pub fn add(&mut self, index: usize, outcome: &mut Outcome) {
        for (name, ids) in [
            ("input_ids", &outcome.input_ids),
            ("generated_ids", &outcome.generated_ids),
        ] {
            let bytes = ids
                .iter()
                .flat_map(|&id| i64::from(id).to_le_bytes())
                .collect();
            self.0.push((
                format!("{index}.{name}"),
                Dtype::I64,
                vec![ids.len()],
                bytes,
            ));
        }
        let Some(scores) = outcome.scores.take() else {
            return;
        };
        for (name, values) in [
            ("attmean", scores.attmean),
            ("attraw", scores.attraw),
            ("attgrads", scores.attgrads),
            ("attfocus", scores.attfocus),
            ("attrise", scores.attrise),
            ("attvalue", scores.attvalue),
        ] {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            self.0.push((
                format!("{index}.{name}"),
                Dtype::F32,
                vec![scores.steps, scores.prompt],
                bytes,
            ));
        }
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let views = self
            .0
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((
                    name.as_str(),
                    TensorView::new(*dtype, shape.clone(), bytes)?,
                ))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .context("the scores do not have the shape that they claim")?;
        safetensors::serialize_to_file(views, None, path)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
