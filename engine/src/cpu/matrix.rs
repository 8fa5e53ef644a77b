//! A weight matrix as the checkpoint stores it (f32, bf16 or f16), widened in registers while it is multiplied.
//! In: rows of activations. Out: products, each summed in one fixed order.
#![allow(unsafe_code)]

use candle_core::{CpuStorage, DType, Result, Storage, Tensor};
use half::{bf16, f16};

use super::aligned::Floats;
use super::kernels;
use super::pool::{self, Shares};

/// Bytes of weights that one piece of a matrix-vector product reads.
const PIECE_BYTES: usize = 32 << 10;
/// Outputs of one piece of a matrix-matrix product.
const PIECE_OUTPUTS: usize = 192;
/// Columns of one piece of a product with the transposed matrix: what registers can sum.
const PIECE_COLUMNS: usize = 256;
/// Stretches of rows of such a product, whose parts are added in order.
const ROW_PARTS: usize = 4;

/// From this size on a matrix stays in the tensor it was loaded as; smaller ones move to a cache-line boundary.
const KEPT_BYTES: usize = 4 << 20;

/// Where the weights are, by type.
#[derive(Debug, Clone, Copy)]
enum Place {
    F32(*const f32),
    Bf16(*const bf16),
    F16(*const f16),
}

/// What keeps them there.
#[derive(Debug)]
enum Owner {
    Tensor(#[allow(dead_code)] Tensor),
    Floats(#[allow(dead_code)] Floats),
}

/// `[out, in]`, row-major.
#[derive(Debug)]
pub(crate) struct Matrix {
    place: Place,
    #[allow(dead_code)]
    owner: Owner,
    outputs: usize,
    inputs: usize,
}

// SAFETY: the weights are owned and never written after loading.
unsafe impl Send for Matrix {}
// SAFETY: likewise.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// A CPU tensor `[out, in]` of f32, bf16 or f16.
    pub(crate) fn from_tensor(tensor: Tensor) -> Result<Self> {
        let (outputs, inputs) = tensor.dims2()?;
        let tensor = match tensor.dtype() {
            DType::F32 | DType::BF16 | DType::F16 => tensor.contiguous()?,
            _ => tensor.to_dtype(DType::F32)?.contiguous()?,
        };
        let count = outputs * inputs;
        let place = {
            let (storage, layout) = tensor.storage_and_layout();
            let range = layout.start_offset()..layout.start_offset() + count;
            match &*storage {
                Storage::Cpu(CpuStorage::F32(w)) => Place::F32(w[range].as_ptr()),
                Storage::Cpu(CpuStorage::BF16(w)) => Place::Bf16(w[range].as_ptr()),
                Storage::Cpu(CpuStorage::F16(w)) => Place::F16(w[range].as_ptr()),
                _ => {
                    return Err(candle_core::Error::Msg(
                        "a matrix for the CPU lies on another device".to_owned(),
                    ));
                }
            }
        };
        let mut matrix = Self {
            place,
            owner: Owner::Tensor(tensor),
            outputs,
            inputs,
        };
        if matrix.bytes() < KEPT_BYTES {
            let mut floats = Floats::zeros(matrix.bytes().div_ceil(4));
            let to = floats.as_mut_ptr();
            // SAFETY: `to` has room for as many bytes as are read; its content is plain numbers.
            matrix.place = unsafe {
                match place {
                    Place::F32(w) => {
                        std::ptr::copy_nonoverlapping(w, to.cast(), count);
                        Place::F32(to.cast_const().cast())
                    }
                    Place::Bf16(w) => {
                        std::ptr::copy_nonoverlapping(w, to.cast(), count);
                        Place::Bf16(to.cast_const().cast())
                    }
                    Place::F16(w) => {
                        std::ptr::copy_nonoverlapping(w, to.cast(), count);
                        Place::F16(to.cast_const().cast())
                    }
                }
            };
            matrix.owner = Owner::Floats(floats);
        }
        Ok(matrix)
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Bytes that one product with a vector reads.
    pub(crate) fn bytes(&self) -> usize {
        self.outputs
            * self.inputs
            * match self.place {
                Place::F32(_) => 4,
                Place::Bf16(_) | Place::F16(_) => 2,
            }
    }

    /// Row `index`, widened.
    pub(crate) fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.outputs && out.len() == self.inputs);
        self.widen(index * self.inputs, out);
    }

    /// `out[i] = weight first + i` in row-major order.
    fn widen(&self, first: usize, out: &mut [f32]) {
        let n = out.len();
        assert!(first + n <= self.outputs * self.inputs);
        // SAFETY: checked above.
        unsafe {
            match self.place {
                Place::F32(w) => std::ptr::copy_nonoverlapping(w.add(first), out.as_mut_ptr(), n),
                Place::Bf16(w) => kernels::widen_bf16(w.add(first), n, out.as_mut_ptr()),
                Place::F16(w) => kernels::widen_f16(w.add(first), n, out.as_mut_ptr()),
            }
        }
    }

    /// Outputs of one piece of a product with a vector: a whole number of fours.
    pub(crate) fn piece_rows(&self) -> usize {
        let row_bytes = (self.bytes() / self.outputs.max(1)).max(1);
        (PIECE_BYTES / row_bytes).next_multiple_of(4).max(4)
    }

    /// `out[i] = <row first + i, x> (+ bias[first + i])`, on this thread.
    pub(crate) fn rows_dot(&self, first: usize, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        let rows = out.len();
        assert!(first + rows <= self.outputs && x.len() == self.inputs);
        let (n, x, o) = (self.inputs, x.as_ptr(), out.as_mut_ptr());
        // SAFETY: checked above.
        unsafe {
            match self.place {
                Place::F32(w) => kernels::rows_dot_f32(w.add(first * n), n, rows, x, o),
                Place::Bf16(w) => kernels::rows_dot_bf16(w.add(first * n), n, rows, x, o),
                Place::F16(w) => kernels::rows_dot_f16(w.add(first * n), n, rows, x, o),
            }
        }
        if let Some(bias) = bias {
            for (value, bias) in out.iter_mut().zip(&bias[first..first + rows]) {
                *value += bias;
            }
        }
    }

    /// `out = W x`, on all threads.
    pub(crate) fn times_vector(&self, x: &[f32], out: &mut [f32]) {
        assert_eq!(out.len(), self.outputs);
        let step = self.piece_rows();
        let shares = Shares::new(out);
        pool::run(self.outputs.div_ceil(step), |piece| {
            let first = piece * step;
            let count = step.min(self.outputs - first);
            // SAFETY: pieces cover disjoint rows.
            let out = unsafe { std::slice::from_raw_parts_mut(shares.at(first), count) };
            self.rows_dot(first, x, None, out);
        });
    }

    /// `out = W^T g`, on all threads.
    pub(crate) fn transposed_times_vector(&self, g: &[f32], out: &mut [f32]) {
        transposed_products(&[(self, g)], out);
    }

    /// Pieces of a product with the transposed matrix.
    fn transposed_pieces(&self) -> usize {
        self.inputs.div_ceil(PIECE_COLUMNS) * ROW_PARTS
    }

    /// Columns `first..` of the part of `W^T g` that comes of one stretch of rows, on this thread.
    fn columns_dot(&self, part: usize, first: usize, g: &[f32], out: &mut [f32]) {
        let step = self.outputs.div_ceil(ROW_PARTS);
        let from = (part * step).min(self.outputs);
        let rows = step.min(self.outputs - from);
        let cols = out.len();
        assert!(first + cols <= self.inputs && g.len() == self.outputs);
        let (n, start, g) = (self.inputs, from * self.inputs + first, &g[from..]);
        let (g, o) = (g.as_ptr(), out.as_mut_ptr());
        // SAFETY: rows and columns were checked to be there.
        unsafe {
            match self.place {
                Place::F32(w) => {
                    kernels::columns_dot_f32(w.wrapping_add(start), n, rows, g, cols, o)
                }
                Place::Bf16(w) => {
                    kernels::columns_dot_bf16(w.wrapping_add(start), n, rows, g, cols, o)
                }
                Place::F16(w) => {
                    kernels::columns_dot_f16(w.wrapping_add(start), n, rows, g, cols, o)
                }
            }
        }
    }

    /// `out[:, ..count] (+)= x W[first.., :]^T` on this thread; `x` is `[rows, in]`, `out` the first place and the step
    /// from row to row. `panel` is scratch for widened weights.
    ///
    /// # Safety
    /// `out` covers these rows and columns, and no other thread touches them.
    pub(crate) unsafe fn panel_times_rows(
        &self,
        first: usize,
        count: usize,
        x: &[f32],
        (out, step): (*mut f32, usize),
        add: bool,
        panel: &mut Vec<f32>,
    ) {
        let (rows, n) = (x.len() / self.inputs.max(1), self.inputs);
        assert!(first + count <= self.outputs && x.len() == rows * n);
        let weights = match self.place {
            // SAFETY: the rows were checked to be there.
            Place::F32(w) => unsafe { w.add(first * n) },
            _ => {
                panel.resize((count * n).max(panel.len()), 0.0);
                self.widen(first * n, &mut panel[..count * n]);
                panel.as_ptr()
            }
        };
        // SAFETY: sizes as asserted; `out` is the caller's promise.
        unsafe {
            gemm_f32(
                (rows, count, n),
                (out, step as isize, 1),
                add,
                (x.as_ptr(), n as isize, 1),
                (weights, 1, n as isize),
            );
        }
    }

    /// `[rows, in]` -> `[rows, out]`, on all threads.
    pub(crate) fn times_rows(&self, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        if x.len() == self.inputs {
            self.times_vector(x, out);
            if let Some(bias) = bias {
                out.iter_mut()
                    .zip(bias)
                    .for_each(|(value, bias)| *value += bias);
            }
        } else {
            self.tiled(x, bias, false, out);
        }
    }

    /// `out += x W^T`, on all threads.
    pub(crate) fn add_times_rows(&self, x: &[f32], out: &mut [f32]) {
        self.tiled(x, None, true, out);
    }

    fn tiled(&self, x: &[f32], bias: Option<&[f32]>, add: bool, out: &mut [f32]) {
        let rows = x.len() / self.inputs.max(1);
        assert!(x.len() == rows * self.inputs && out.len() == rows * self.outputs);
        let tiles = Tiles::new(rows, &[self.outputs]);
        let shares = Shares::new(out);
        pool::run(tiles.count(), |piece| {
            let tile = tiles.at(piece);
            let x = &x[tile.rows.start * self.inputs..tile.rows.end * self.inputs];
            // SAFETY: tiles are disjoint.
            unsafe {
                let out = shares.at(tile.rows.start * self.outputs + tile.first);
                let to = (out, self.outputs);
                PANEL.with_borrow_mut(|panel| {
                    self.panel_times_rows(tile.first, tile.count, x, to, add, panel);
                });
                if let Some(bias) = bias {
                    add_bias(bias, &tile, out, self.outputs);
                }
            }
        });
    }
}

/// `out = sum_i W_i^T g_i` of matrices with equally many inputs, on all threads.
pub(crate) fn transposed_products(products: &[(&Matrix, &[f32])], out: &mut [f32]) {
    let width = out.len();
    assert!(products.iter().all(|(matrix, _)| matrix.inputs == width));
    let mut parts = Floats::zeros(products.len() * ROW_PARTS * width);
    let shares = Shares::new(&mut parts);
    let pieces: usize = products.iter().map(|(m, _)| m.transposed_pieces()).sum();
    let each = pieces / products.len().max(1);
    pool::run(pieces, |piece| {
        let (product, piece) = (piece / each, piece % each);
        let (tile, part) = (piece / ROW_PARTS, piece % ROW_PARTS);
        let (matrix, g) = products[product];
        let first = tile * PIECE_COLUMNS;
        let count = PIECE_COLUMNS.min(width - first);
        let at = (product * ROW_PARTS + part) * width + first;
        // SAFETY: pieces cover disjoint stretches of the parts.
        let out = unsafe { std::slice::from_raw_parts_mut(shares.at(at), count) };
        matrix.columns_dot(part, first, g, out);
    });
    out.fill(0.0);
    for part in parts.chunks_exact(width) {
        for (sum, value) in out.iter_mut().zip(part) {
            *sum += value;
        }
    }
}

/// Adds a bias `[outputs]` to a tile whose first place is `out`, `step` from row to row.
///
/// # Safety
/// `out` covers the tile, and no other thread touches it.
pub(crate) unsafe fn add_bias(bias: &[f32], tile: &Tile, out: *mut f32, step: usize) {
    for row in 0..tile.rows.len() {
        // SAFETY: the caller's promise.
        let out = unsafe { std::slice::from_raw_parts_mut(out.add(row * step), tile.count) };
        for (value, bias) in out.iter_mut().zip(&bias[tile.first..]) {
            *value += bias;
        }
    }
}

thread_local! {
    /// Widened weights of the piece at hand.
    pub(crate) static PANEL: std::cell::RefCell<Vec<f32>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Most rows of one tile of a matrix-matrix product.
const TILE_ROWS: usize = 1024;

/// Tiles of several matrices' products with the same rows.
pub(crate) struct Tiles {
    rows: usize,
    /// Per matrix: index of its first column tile, and its outputs.
    matrices: Vec<(usize, usize)>,
    columns: usize,
}

/// One tile.
pub(crate) struct Tile {
    pub(crate) matrix: usize,
    pub(crate) rows: std::ops::Range<usize>,
    /// First output within the matrix.
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Tiles {
    pub(crate) fn new(rows: usize, outputs: &[usize]) -> Self {
        let mut columns = 0;
        let matrices = outputs
            .iter()
            .map(|&outputs| {
                let first = columns;
                columns += outputs.div_ceil(PIECE_OUTPUTS);
                (first, outputs)
            })
            .collect();
        Self {
            rows,
            matrices,
            columns,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.columns * self.rows.div_ceil(TILE_ROWS)
    }

    pub(crate) fn at(&self, piece: usize) -> Tile {
        let (row, column) = (piece / self.columns * TILE_ROWS, piece % self.columns);
        let matrix = self.matrices.partition_point(|&(first, _)| first <= column) - 1;
        let (before, outputs) = self.matrices[matrix];
        let first = (column - before) * PIECE_OUTPUTS;
        Tile {
            matrix,
            rows: row..(row + TILE_ROWS).min(self.rows),
            first,
            count: PIECE_OUTPUTS.min(outputs - first),
        }
    }
}

/// `dst (+)= lhs rhs` for `(m, n, k)`, on this thread; each matrix is a pointer with row and column stride.
///
/// # Safety
/// The pointers cover the strided matrices.
pub(crate) unsafe fn gemm_f32(
    (m, n, k): (usize, usize, usize),
    dst: (*mut f32, isize, isize),
    add: bool,
    lhs: (*const f32, isize, isize),
    rhs: (*const f32, isize, isize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.0,
            dst.2,
            dst.1,
            add,
            lhs.0,
            lhs.2,
            lhs.1,
            rhs.0,
            rhs.2,
            rhs.1,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
