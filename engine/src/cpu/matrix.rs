//! A weight matrix as the checkpoint stores it (f32, bf16 or f16), widened in registers while it is multiplied.
//! In: rows of activations. Out: products, each summed in one fixed order.
#![allow(unsafe_code)]

use candle_core::{CpuStorage, DType, Result, Storage, Tensor};
use half::{bf16, f16};

use super::aligned::Floats;
use super::kernels;
use super::pool::{self, Shares};
use super::several;

/// Bytes of weights that one piece of a matrix-vector product reads.
const PIECE_BYTES: usize = 32 << 10;
/// Outputs of one piece of a matrix-matrix product.
const PIECE_OUTPUTS: usize = 192;

/// How a product with a transposed matrix is cut: columns of a piece, and stretches of rows, whose parts are added in order.
/// Columns alone where the matrix stays in a cache; pieces of longer rows where memory has to stream them.
const fn transposed_cut(bytes: usize) -> (usize, usize) {
    if bytes <= 1 << 20 { (64, 1) } else { (256, 4) }
}

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

    /// `out[i] = <row first + i, x>`, on this thread.
    pub(crate) fn rows_dot(&self, first: usize, x: &[f32], out: &mut [f32]) {
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
    }

    /// Puts vector `which` of `count` where [`Self::rows_dot_several`] of this matrix, or another of its type, reads it.
    ///
    /// # Safety
    /// `to` has room for [`several::packed_len`] values, of which no other thread touches these.
    pub(crate) unsafe fn pack(&self, x: &[f32], (which, count): (usize, usize), to: *mut f32) {
        assert!(x.len() == self.inputs && which < count);
        let (n, x) = (self.inputs, x.as_ptr());
        // SAFETY: the caller's promise.
        unsafe {
            match self.place {
                Place::Bf16(_) => several::pack_bf16(x, n, which, count, to),
                Place::F32(_) | Place::F16(_) => several::pack_f32(x, n, which, count, to),
            }
        }
    }

    /// `outs[k][i] = <row first + i, x_k>` for the packed vectors `x`, as many as `outs`, on this thread.
    ///
    /// # Safety
    /// `x` was packed so for a matrix of this type; each of `outs` has room for `rows` values that no other thread touches.
    pub(crate) unsafe fn rows_dot_several(
        &self,
        (first, rows): (usize, usize),
        x: *const f32,
        outs: &[*mut f32],
    ) {
        assert!(first + rows <= self.outputs);
        let (n, count, o) = (self.inputs, outs.len(), outs.as_ptr());
        let at = first * n;
        // SAFETY: the rows were checked to be there; the rest is the caller's promise.
        unsafe {
            match self.place {
                Place::F32(w) => several::rows_dot_several_f32(w.add(at), n, rows, x, count, o),
                Place::Bf16(w) => several::rows_dot_several_bf16(w.add(at), n, rows, x, count, o),
                Place::F16(w) => several::rows_dot_several_f16(w.add(at), n, rows, x, count, o),
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
            self.rows_dot(first, x, out);
        });
    }

    /// `out = W^T g`, on all threads.
    pub(crate) fn transposed_times_vector(&self, g: &[f32], out: &mut [f32]) {
        transposed_products(&[(self, g)], out, |_, _| {});
    }

    /// Columns `first..first + cols` of the part of `W^T g` that comes of stretch `part` of `parts` of the rows, for each of
    /// the vectors `g` `[count, out]`, on this thread; `out` steps by `step` from vector to vector.
    ///
    /// # Safety
    /// `out` covers these columns, and no other thread touches them.
    unsafe fn columns_dot(
        &self,
        (part, parts): (usize, usize),
        (first, cols): (usize, usize),
        g: &[f32],
        (out, step): (*mut f32, usize),
    ) {
        let rows = self.outputs.div_ceil(parts);
        let from = (part * rows).min(self.outputs);
        let rows = rows.min(self.outputs - from);
        let (n, pitch) = (self.inputs, self.outputs);
        let count = g.len() / pitch;
        assert!(first + cols <= n && g.len() == count * pitch);
        let start = from * n + first;
        let g = g[from..].as_ptr();
        // SAFETY: rows and columns were checked to be there.
        unsafe {
            match (self.place, count) {
                (Place::F32(w), 1) => {
                    kernels::columns_dot_f32(w.wrapping_add(start), n, rows, g, cols, out);
                }
                (Place::Bf16(w), 1) => {
                    kernels::columns_dot_bf16(w.wrapping_add(start), n, rows, g, cols, out);
                }
                (Place::F16(w), 1) => {
                    kernels::columns_dot_f16(w.wrapping_add(start), n, rows, g, cols, out);
                }
                (Place::F32(w), _) => {
                    let w = w.wrapping_add(start);
                    several::columns_dot_several_f32(w, n, rows, g, pitch, count, cols, out, step);
                }
                (Place::Bf16(w), _) => {
                    let w = w.wrapping_add(start);
                    several::columns_dot_several_bf16(w, n, rows, g, pitch, count, cols, out, step);
                }
                (Place::F16(w), _) => {
                    let w = w.wrapping_add(start);
                    several::columns_dot_several_f16(w, n, rows, g, pitch, count, cols, out, step);
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

/// `out_k = sum_i W_i^T g_ik` of matrices with equally many inputs, on all threads; `g_i` is `[vectors, outputs]`, `out`
/// `[vectors, inputs]`; then `finish(k, out_k)`. A vector gets the same bits alone and among others.
pub(crate) fn transposed_products(
    products: &[(&Matrix, &[f32])],
    out: &mut [f32],
    finish: impl Fn(usize, &mut [f32]) + Sync,
) {
    let Some(&(matrix, g)) = products.first() else {
        return out.fill(0.0);
    };
    let (width, count) = (matrix.inputs, g.len() / matrix.outputs.max(1));
    assert!(out.len() == width * count && width > 0);
    for (matrix, g) in products {
        assert!(matrix.inputs == width && g.len() == count * matrix.outputs);
    }
    let (columns, stretches) = transposed_cut(matrix.bytes());
    let each = width.div_ceil(columns) * stretches;
    let parts = products.len() * stretches;
    PARTS.with_borrow_mut(|room| {
        // One part is the sum itself.
        let alone = parts == 1;
        if !alone {
            room.ensure(parts * out.len());
        }
        let shares = Shares::new(if alone { out } else { room });
        pool::run(products.len() * each, |piece| {
            let (product, piece) = (piece / each, piece % each);
            let (tile, part) = (piece / stretches, piece % stretches);
            let (matrix, g) = products[product];
            let first = tile * columns;
            let cols = columns.min(width - first);
            let at = (product * stretches + part) * count * width + first;
            let which = (part, stretches);
            // SAFETY: pieces cover disjoint stretches of the parts.
            unsafe { matrix.columns_dot(which, (first, cols), g, (shares.at(at), width)) };
        });
        let outs = Shares::new(out);
        let parts = if alone {
            &[]
        } else {
            &room[..parts * count * width]
        };
        pool::run(count, |k| {
            // SAFETY: each piece writes its own row.
            let out = unsafe { outs.row(k, width) };
            for (index, part) in parts.chunks_exact(count * width).enumerate() {
                let part = &part[k * width..(k + 1) * width];
                match index {
                    0 => out.copy_from_slice(part),
                    _ => (out.iter_mut().zip(part)).for_each(|(sum, value)| *sum += value),
                }
            }
            finish(k, out);
        });
    });
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
    /// Parts of products with transposed matrices.
    static PARTS: std::cell::RefCell<Floats> = std::cell::RefCell::new(Floats::zeros(0));
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::noise::{assert_close, noise};
    use super::*;

    /// Both ways of cutting: a matrix within a cache, and one beyond.
    #[test]
    fn transposed_products_are_right_and_each_vector_gets_the_bits_of_one_alone() {
        for (outputs, inputs) in [(70, 130), (701, 523)] {
            let weights = [noise(outputs * inputs, 3), noise(outputs * inputs, 4)];
            let matrices = weights.clone().map(|own| {
                let tensor = Tensor::from_vec(own, (outputs, inputs), &Device::Cpu);
                Matrix::from_tensor(tensor.expect("a tensor")).expect("a matrix")
            });
            let count = 5;
            let g = [noise(count * outputs, 7), noise(count * outputs, 8)];
            let products = |k: std::ops::Range<usize>| {
                let rows = k.start * outputs..k.end * outputs;
                let mut out = vec![7f32; k.len() * inputs];
                let products = [0, 1].map(|m| (&matrices[m], &g[m][rows.clone()]));
                // What comes after the sums sees them whole.
                transposed_products(&products, &mut out, |_, own| {
                    own.iter_mut().for_each(|own| *own *= 2.0);
                });
                out
            };
            let together = products(0..count);
            for (k, own) in together.chunks_exact(inputs).enumerate() {
                assert_eq!(products(k..k + 1), own, "{k}");
                let exact: Vec<f64> = (0..inputs)
                    .map(|c| {
                        let each = (0..2).flat_map(|m| (0..outputs).map(move |r| (m, r)));
                        let product = |(m, r): (usize, usize)| {
                            f64::from(weights[m][r * inputs + c]) * f64::from(g[m][k * outputs + r])
                        };
                        2.0 * each.map(product).sum::<f64>()
                    })
                    .collect();
                assert_close(own, &exact, 1e-4);
            }
            let mut alone = vec![7f32; inputs];
            matrices[0].transposed_times_vector(&g[0][..outputs], &mut alone);
            let exact = |c: usize| {
                let each = (0..outputs).map(|r| weights[0][r * inputs + c] * g[0][r]);
                each.map(f64::from).sum()
            };
            assert_close(&alone, &(0..inputs).map(exact).collect::<Vec<_>>(), 1e-4);
        }
    }
}
