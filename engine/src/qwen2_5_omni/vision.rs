//! The vision tower: patches of pictures or of a film's frame pairs -> embeddings of merged 2x2 cells.
//! In: `[patches, channels * time * side * side]` in merge order and the grid. Out: `[cells, hidden of the decoder]`, row-major per slice.
//!
//! Reference: transformers 5.23.0 `modeling_qwen2_5_omni.py`, `Qwen2_5OmniVisionEncoder`.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::VisionConfig;
use crate::attention::attend_segments;
use crate::layers::{Linear, RmsNorm, SwiGlu, rotary_tables, rotate, split_heads};
use crate::preprocess::patches::Patches;

/// Norms of the tower carry this in code, not in the config.
const NORM_EPS: f64 = 1e-6;
/// Axial rotary base, likewise.
const ROPE_THETA: f64 = 10_000.0;
/// Most patches that pass through the tower at once; a film's slices never look at one another, so they may be cut.
const MAX_PATCHES_AT_ONCE: usize = 8_192;

/// The vision tower.
#[derive(Debug)]
pub(crate) struct VisionTower {
    patch_embed: Linear,
    blocks: Vec<Block>,
    merger: Merger,
    config: VisionConfig,
}

#[derive(Debug)]
struct Block {
    norm1: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    proj: Linear,
    norm2: RmsNorm,
    feed_forward: SwiGlu,
    heads: usize,
}

#[derive(Debug)]
struct Merger {
    norm: RmsNorm,
    inner: Linear,
    outer: Linear,
    /// Width of `merge * merge` patches side by side.
    width: usize,
}

impl VisionTower {
    pub(crate) fn load(vb: &VarBuilder, config: &VisionConfig) -> Result<Self> {
        let c = config;
        let side = c.patch_size;
        let kernel = (
            c.hidden_size,
            c.in_channels,
            c.temporal_patch_size,
            side,
            side,
        );
        // The convolution's stride is its kernel: a linear map of flattened patches.
        let patch_embed = vb.get(kernel, "patch_embed.proj.weight")?.flatten_from(1)?;
        Ok(Self {
            patch_embed: Linear::from_weight(patch_embed)?,
            blocks: (0..c.depth)
                .map(|index| Block::load(&vb.pp("blocks").pp(index), c))
                .collect::<Result<_>>()?,
            merger: Merger::load(&vb.pp("merger"), c)?,
            config: config.clone(),
        })
    }

    /// Patches of one item -> `[cells, hidden of the decoder]`. `slices_done(done, total)` is told after each batch of slices.
    pub(crate) fn encode(
        &self,
        patches: &Patches,
        device: &Device,
        slices_done: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor> {
        let [slices, rows, cols] = patches.grid;
        let per_slice = rows * cols;
        let at_once = (MAX_PATCHES_AT_ONCE / per_slice.max(1)).max(1);
        let plan = SlicePlan::new(rows, cols, &self.config);
        let mut parts = Vec::new();
        for first in (0..slices).step_by(at_once) {
            let count = at_once.min(slices - first);
            let values = &patches.values
                [first * per_slice * patches.width..(first + count) * per_slice * patches.width];
            let x = Tensor::from_slice(values, (count * per_slice, patches.width), device)?;
            parts.push(self.encode_slices(&x, count, &plan)?);
            slices_done(first + count, slices);
        }
        Tensor::cat(&parts, 0)
    }

    /// `x`: `[count * per_slice, patch width]`
    fn encode_slices(&self, x: &Tensor, count: usize, plan: &SlicePlan) -> Result<Tensor> {
        let merge = self.config.spatial_merge_size.pow(2);
        let cells = plan.cell_order.len();
        let cell_order: Vec<u32> = (0..count)
            .flat_map(|slice| {
                plan.cell_order
                    .iter()
                    .map(move |&cell| (slice * cells) as u32 + cell)
            })
            .collect();
        let patch_order: Vec<u32> = cell_order
            .iter()
            .flat_map(|&cell| (0..merge as u32).map(move |inner| cell * merge as u32 + inner))
            .collect();
        let mut cell_rank = vec![0u32; cell_order.len()];
        for (rank, &cell) in cell_order.iter().enumerate() {
            cell_rank[cell as usize] = rank as u32;
        }
        let embedded = self
            .patch_embed
            .forward(&x.to_dtype(self.patch_embed.dtype())?)?;
        let mut hidden =
            embedded.index_select(&Tensor::new(patch_order.as_slice(), x.device())?, 0)?;

        let head_dim = self.config.hidden_size / self.config.num_heads;
        let per_slice = plan.coordinates.len() as u32;
        let angles: Vec<f32> = patch_order
            .iter()
            .flat_map(|&patch| {
                axial_angles(plan.coordinates[(patch % per_slice) as usize], head_dim)
            })
            .collect();
        let rotary = rotary_tables(&angles, head_dim / 2, &hidden)?;
        let whole = vec![per_slice as usize; count];
        let windows: Vec<usize> = (0..count)
            .flat_map(|_| plan.window_cells.iter().map(|cells| cells * merge))
            .collect();
        for (index, block) in self.blocks.iter().enumerate() {
            let full = self.config.fullatt_block_indexes.contains(&index);
            hidden = block.forward(&hidden, &rotary, if full { &whole } else { &windows })?;
        }
        let merged = self.merger.forward(&hidden)?;
        merged.index_select(&Tensor::new(cell_rank.as_slice(), x.device())?, 0)
    }
}

/// How one temporal slice is cut into attention windows.
struct SlicePlan {
    /// Merged cells in window order.
    cell_order: Vec<u32>,
    /// Cells of each window, none empty.
    window_cells: Vec<usize>,
    /// Row and column of each patch, in merge order.
    coordinates: Vec<(u32, u32)>,
}

impl SlicePlan {
    fn new(rows: usize, cols: usize, config: &VisionConfig) -> Self {
        let merge = config.spatial_merge_size;
        let window = config.window_size / merge / config.patch_size;
        let (cell_rows, cell_cols) = (rows / merge, cols / merge);
        let mut cell_order = Vec::with_capacity(cell_rows * cell_cols);
        let mut window_cells = Vec::new();
        for top in (0..cell_rows).step_by(window) {
            for left in (0..cell_cols).step_by(window) {
                let before = cell_order.len();
                for row in top..(top + window).min(cell_rows) {
                    for col in left..(left + window).min(cell_cols) {
                        cell_order.push((row * cell_cols + col) as u32);
                    }
                }
                window_cells.push(cell_order.len() - before);
            }
        }
        let mut coordinates = Vec::with_capacity(rows * cols);
        for cell in 0..cell_rows * cell_cols {
            for inner in 0..merge * merge {
                let row = cell / cell_cols * merge + inner / merge;
                let col = cell % cell_cols * merge + inner % merge;
                coordinates.push((row as u32, col as u32));
            }
        }
        Self {
            cell_order,
            window_cells,
            coordinates,
        }
    }
}

/// Half the head's rotary angles: the first half of them from the row, the second from the column.
fn axial_angles((row, col): (u32, u32), head_dim: usize) -> impl Iterator<Item = f32> {
    let spatial = head_dim / 2;
    let frequency = move |index: usize| ROPE_THETA.powf(-(index as f64) / spatial as f64) as f32;
    [row, col].into_iter().flat_map(move |at| {
        (0..spatial)
            .step_by(2)
            .map(move |index| at as f32 * frequency(index))
    })
}

impl Block {
    fn load(vb: &VarBuilder, c: &VisionConfig) -> Result<Self> {
        let (dim, attention) = (c.hidden_size, vb.pp("attn"));
        Ok(Self {
            norm1: RmsNorm::load(&vb.pp("norm1"), dim, NORM_EPS)?,
            query: Linear::load(&attention.pp("q"), dim, dim, true)?,
            key: Linear::load(&attention.pp("k"), dim, dim, true)?,
            value: Linear::load(&attention.pp("v"), dim, dim, true)?,
            proj: Linear::load(&attention.pp("proj"), dim, dim, true)?,
            norm2: RmsNorm::load(&vb.pp("norm2"), dim, NORM_EPS)?,
            feed_forward: SwiGlu::load(&vb.pp("mlp"), dim, c.intermediate_size, true)?,
            heads: c.num_heads,
        })
    }

    /// `[patches, dim]` -> `[patches, dim]`
    fn forward(&self, x: &Tensor, rotary: &(Tensor, Tensor), segments: &[usize]) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let queries = rotate(
            &split_heads(&self.query.forward(&normed)?, self.heads)?,
            rotary,
        )?;
        let keys = rotate(
            &split_heads(&self.key.forward(&normed)?, self.heads)?,
            rotary,
        )?;
        let values = split_heads(&self.value.forward(&normed)?, self.heads)?;
        let context = attend_segments(&queries, &keys, &values, segments)?;
        let x = (x + self.proj.forward(&context)?)?;
        let fed = self.feed_forward.forward(&self.norm2.forward(&x)?)?;
        x + fed
    }
}

impl Merger {
    fn load(vb: &VarBuilder, c: &VisionConfig) -> Result<Self> {
        let width = c.hidden_size * c.spatial_merge_size.pow(2);
        Ok(Self {
            norm: RmsNorm::load(&vb.pp("ln_q"), c.hidden_size, NORM_EPS)?,
            inner: Linear::load(&vb.pp("mlp.0"), width, width, true)?,
            outer: Linear::load(&vb.pp("mlp.2"), width, c.out_hidden_size, true)?,
            width,
        })
    }

    /// `[patches, dim]` -> `[cells, out]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let joined = self.norm.forward(x)?.reshape(((), self.width))?;
        self.outer
            .forward(&self.inner.forward(&joined)?.gelu_erf()?)
    }
}
