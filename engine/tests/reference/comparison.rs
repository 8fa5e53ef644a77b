//! One recorded case against what this engine computed: every quantity a row.

use engine::inspect::Inspection;
use safetensors::SafeTensors;

use super::{Row, files, floats, integers};

/// What is compared of one case, and how close it must be.
pub struct Comparison<'a> {
    pub(super) case: &'a str,
    pub(super) tensors: &'a SafeTensors<'a>,
    pub(super) rows: Vec<Row>,
}

impl Comparison<'_> {
    pub(super) fn all(mut self, ours: &Inspection) -> Vec<Row> {
        let widen = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
        self.identical("input ids", "input_ids", &widen(&ours.input_ids));
        let by_axis: Vec<i64> = (0..3)
            .flat_map(|axis| {
                ours.positions
                    .iter()
                    .map(move |position| i64::from(position[axis]))
            })
            .collect();
        self.identical("positions", "position_ids", &by_axis);
        self.identical(
            "generated ids",
            "generated_ids",
            &widen(&ours.generated_ids),
        );
        for (index, mel) in ours.mels.iter().enumerate() {
            self.close(
                &format!("mel {index}"),
                &format!("mel_{index}"),
                &mel.values,
                usize::MAX,
                1e-4,
                true,
            );
        }
        self.batch_of_mels(ours);
        self.patches(ours);
        let hidden = ours.inputs_embeds.len() / ours.input_ids.len().max(1);
        let images = self.tensors.tensor("image_embeds").is_ok();
        let films = self.tensors.tensor("video_embeds").is_ok();
        // Encoder outputs come in prompt order; a case has pictures or a film, and sounds.
        let mut rest = ours.embeds.iter();
        let pictures: Vec<f32> = rest
            .by_ref()
            .take(ours.patches.len())
            .flatten()
            .copied()
            .collect();
        let sounds: Vec<f32> = rest.flatten().copied().collect();
        let (mut pictures, mut sounds) = (pictures, sounds);
        if self.case.starts_with("mixed") {
            (pictures, sounds) = mixed_embeds(ours, hidden);
        }
        if images {
            self.close(
                "picture embeddings",
                "image_embeds",
                &pictures,
                hidden,
                1e-3,
                false,
            );
        }
        self.close(
            "embeddings of slices",
            "vision_embeds",
            &pictures,
            hidden,
            1e-3,
            false,
        );
        if films {
            self.close(
                "film embeddings",
                "video_embeds",
                &pictures,
                hidden,
                1e-3,
                false,
            );
        }
        self.close(
            "sound embeddings",
            "audio_embeds",
            &sounds,
            hidden,
            1e-3,
            false,
        );
        self.close(
            "input embeddings",
            "inputs_embeds",
            &ours.inputs_embeds,
            hidden,
            1e-3,
            false,
        );
        let vocabulary = ours.logits.first().map_or(1, Vec::len);
        self.close(
            "logits",
            "logits",
            &ours.logits.concat(),
            vocabulary,
            1e-3,
            false,
        );
        let prompt = ours.scores.prompt;
        self.close(
            "attmean",
            "attmean_lastquery",
            &ours.scores.attmean,
            prompt,
            1e-3,
            false,
        );
        let attraw = self.attraw(ours);
        let own = &ours.scores.attraw[..attraw.len().min(ours.scores.attraw.len())];
        self.close_to("attraw", &attraw, own, prompt, 1e-3, false);
        let attgrads: Vec<f32> = (0..ours.scores.steps)
            .map_while(|step| floats(self.tensors, &format!("attgrads.{step:03}")))
            .flat_map(|row| row[..prompt].to_vec())
            .collect();
        let own = &ours.scores.attgrads[..attgrads.len()];
        self.close_to("attgrads", &attgrads, own, prompt, 1e-3, false);
        let reference = |name: &str| floats(self.tensors, name).unwrap_or_default();
        let attmean = reference("attmean_lastquery");
        self.winners("attmean", ours, &ours.scores.attmean, &attmean);
        self.winners("attraw", ours, &ours.scores.attraw, &attraw);
        self.winners("attgrads", ours, own, &attgrads);
        self.rows
    }

    /// Recorded by itself, or as the last layer of every layer's last row.
    pub(super) fn attraw(&self, ours: &Inspection) -> Vec<f32> {
        if let Some(recorded) = floats(self.tensors, "attraw_lastquery") {
            return recorded;
        }
        let last_layer = |step: usize| {
            let name = format!("attn_last_row.{step:03}");
            let keys = *self.tensors.tensor(&name).ok()?.shape().last()?;
            let rows = floats(self.tensors, &name)?;
            let row = rows[rows.len() - keys..].to_vec();
            Some(row[..ours.scores.prompt].to_vec())
        };
        (0..ours.scores.steps)
            .map_while(last_layer)
            .flatten()
            .collect()
    }

    /// Spectra that were recorded as one batch, padded to the longest.
    pub(super) fn batch_of_mels(&mut self, ours: &Inspection) {
        let frames: Vec<i64> = ours.mels.iter().map(|mel| mel.frames as i64).collect();
        self.identical("mel frames", "mel_frames", &frames);
        let Ok(view) = self.tensors.tensor("mel") else {
            return;
        };
        let [_, bins, longest] = view.shape()[..] else {
            panic!("mel is a batch");
        };
        let batch = floats(self.tensors, "mel").expect("f32");
        for (index, (mel, theirs)) in ours
            .mels
            .iter()
            .zip(batch.chunks(bins * longest))
            .enumerate()
        {
            let lines = theirs.chunks(longest);
            let theirs: Vec<f32> = lines
                .flat_map(|line| &line[..mel.frames])
                .copied()
                .collect();
            let quantity = format!("mel {index}");
            // A film's own sound is decoded by another decoder: a level of 16 bits here and there, seen in quiet bands.
            let bound = if files::media_root().is_some() {
                5e-3
            } else {
                1e-4
            };
            self.close_to(&quantity, &theirs, &mel.values, usize::MAX, bound, true);
        }
    }

    /// Patches against what was recorded of them: some rows, and every row's sum. One level is 1 / (255 std).
    pub(super) fn patches(&mut self, ours: &Inspection) {
        let level = 1.0 / (255.0 * 0.261_302_58);
        let width = ours.patches.first().map_or(1, |patches| patches.width);
        for (index, patches) in ours.patches.iter().enumerate() {
            let four = &patches.values[..(4 * width).min(patches.values.len())];
            let name = format!("pixel_values_img{index}_first4");
            self.close(
                &format!("patches {index}, first 4"),
                &name,
                four,
                usize::MAX,
                level,
                true,
            );
            let two = &patches.values[patches.values.len().saturating_sub(2 * width)..];
            let name = format!("pixel_values_img{index}_last2");
            self.close(
                &format!("patches {index}, last 2"),
                &name,
                two,
                usize::MAX,
                level,
                true,
            );
            self.close(
                "film patches, first 4",
                "pixel_values_videos_first4",
                four,
                usize::MAX,
                level,
                true,
            );
        }
        for (index, patches) in ours.patches.iter().enumerate() {
            let four = &patches.values[..(4 * width).min(patches.values.len())];
            let name = format!("pixel_values.{index:02}.first4patches");
            let quantity = format!("slice {index}, first 4");
            self.close(&quantity, &name, four, usize::MAX, level, true);
            let rows = patches.values.chunks_exact(width);
            let sums: Vec<f32> = rows.map(|row| row.iter().sum()).collect();
            let name = format!("pixel_values.{index:02}.patchsum");
            let bound = level * width as f64 / 100.0;
            self.close(
                &format!("slice {index}, sums"),
                &name,
                &sums,
                usize::MAX,
                bound,
                true,
            );
        }
        let sums: Vec<f32> = ours
            .patches
            .iter()
            .flat_map(|patches| patches.values.chunks_exact(width))
            .map(|row| row.iter().map(|&v| f64::from(v)).sum::<f64>() as f32)
            .collect();
        for name in ["pixel_values_rowsum", "pixel_values_videos_rowsum"] {
            // A hundredth of a level on average over a patch.
            self.close(
                name,
                name,
                &sums,
                usize::MAX,
                level * width as f64 / 100.0,
                true,
            );
        }
    }

    pub(super) fn identical(&mut self, quantity: &str, name: &str, ours: &[i64]) {
        let Some(theirs) = integers(self.tensors, name) else {
            return;
        };
        let differing = theirs.iter().zip(ours).filter(|(a, b)| a != b).count();
        let ok = differing == 0 && theirs.len() == ours.len();
        self.row(quantity, differing as f64, 0.0, 0.0, ok);
    }

    pub(super) fn close(
        &mut self,
        quantity: &str,
        name: &str,
        ours: &[f32],
        width: usize,
        bound: f64,
        absolute: bool,
    ) {
        if let Some(theirs) = floats(self.tensors, name) {
            self.close_to(quantity, &theirs, ours, width, bound, absolute);
        }
    }

    pub(super) fn close_to(
        &mut self,
        quantity: &str,
        theirs: &[f32],
        ours: &[f32],
        width: usize,
        bound: f64,
        absolute: bool,
    ) {
        let (mut max_abs, mut max_rel) = (0f64, 0f64);
        let width = width.min(theirs.len()).max(1);
        for (theirs, ours) in theirs.chunks(width).zip(ours.chunks(width)) {
            let scale = theirs
                .iter()
                .fold(0f64, |top, &v| top.max(f64::from(v).abs()));
            for (&a, &b) in theirs.iter().zip(ours) {
                let difference = (f64::from(a) - f64::from(b)).abs();
                // `max` would swallow a NaN.
                let difference = if difference.is_nan() {
                    f64::INFINITY
                } else {
                    difference
                };
                max_abs = max_abs.max(difference);
                max_rel = max_rel.max(difference / scale.max(1e-12));
            }
        }
        let ok = theirs.len() == ours.len() && (if absolute { max_abs } else { max_rel }) <= bound;
        self.row(quantity, max_abs, max_rel, bound, ok);
    }

    /// The unit with the largest sum, step by step, wherever the recorded margin exceeds the tolerance.
    pub(super) fn winners(&mut self, signal: &str, ours: &Inspection, own: &[f32], theirs: &[f32]) {
        let prompt = ours.scores.prompt;
        let units = ours
            .unit_of
            .iter()
            .flatten()
            .max()
            .map_or(0, |&last| last as usize + 1);
        let sums = |row: &[f32]| {
            let mut sums = vec![0f64; units];
            for (unit, &value) in ours.unit_of.iter().zip(row) {
                if let Some(unit) = unit {
                    sums[*unit as usize] += f64::from(value);
                }
            }
            sums
        };
        let (mut wrong, mut tied) = (0, 0);
        for (own, theirs) in own.chunks(prompt).zip(theirs.chunks(prompt)) {
            let (own, theirs) = (sums(own), sums(theirs));
            let best = |sums: &[f64]| {
                (0..sums.len()).max_by(|&a, &b| sums[a].total_cmp(&sums[b]).then(b.cmp(&a)))
            };
            let (Some(a), Some(b)) = (best(&own), best(&theirs)) else {
                continue;
            };
            if a != b {
                let margin = theirs[b] - theirs[a];
                if margin > 1e-3 * theirs[b] {
                    wrong += 1
                } else {
                    tied += 1
                }
            }
        }
        self.row(
            &format!("winning unit by {signal}"),
            f64::from(wrong),
            f64::from(tied),
            0.0,
            wrong == 0,
        );
    }

    pub(super) fn row(&mut self, quantity: &str, max_abs: f64, max_rel: f64, bound: f64, ok: bool) {
        self.rows.push(Row {
            case: self.case.to_owned(),
            quantity: quantity.to_owned(),
            max_abs,
            max_rel,
            bound,
            ok,
        });
    }
}

/// Pictures' and sounds' embeddings of a case that mixes both, told apart by their lengths.
fn mixed_embeds(ours: &Inspection, hidden: usize) -> (Vec<f32>, Vec<f32>) {
    let cells: Vec<usize> = ours
        .patches
        .iter()
        .map(|p| p.grid.iter().product::<usize>() / 4)
        .collect();
    let (mut pictures, mut sounds, mut next) = (Vec::new(), Vec::new(), 0);
    for embeds in &ours.embeds {
        if cells.get(next) == Some(&(embeds.len() / hidden.max(1))) {
            pictures.extend(embeds);
            next += 1;
        } else {
            sounds.extend(embeds);
        }
    }
    (pictures, sounds)
}
