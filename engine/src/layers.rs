//! The small blocks that every model family is made of: linear maps, norms and their backward forms.
//! Weights keep the checkpoint's shape, which stands beside each field.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, Device, Result, Shape, Storage, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::cpu::matrix::Matrix;

/// `y = x W^T + b`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// `[out, in]`
    weight: Weight,
    /// `[out]`
    bias: Option<Tensor>,
}

/// On the CPU weights stay as the checkpoint stores them and are widened while they are multiplied.
#[derive(Debug, Clone)]
enum Weight {
    Cpu(Arc<Matrix>),
    Device(Tensor),
}

/// What activations are computed in: f32 on the CPU, whatever its weights; the weights' type elsewhere.
pub(crate) fn compute_dtype(vb: &VarBuilder) -> DType {
    if vb.device().is_cpu() {
        DType::F32
    } else {
        vb.dtype()
    }
}

/// A small parameter (norm, bias, convolution), in the type of the activations.
pub(crate) fn parameter<S: Into<Shape>>(vb: &VarBuilder, shape: S, name: &str) -> Result<Tensor> {
    vb.get_with_hints_dtype(shape, name, Init::Const(0.0), compute_dtype(vb))
}

impl Linear {
    pub(crate) fn load(vb: &VarBuilder, input: usize, output: usize, bias: bool) -> Result<Self> {
        let bias = if bias {
            Some(parameter(vb, output, "bias")?)
        } else {
            None
        };
        Ok(Self {
            bias,
            ..Self::from_weight(vb.get((output, input), "weight")?)?
        })
    }

    /// From a weight `[out, in]` that is shared or reshaped.
    pub(crate) fn from_weight(weight: Tensor) -> Result<Self> {
        let weight = if weight.device().is_cpu() {
            Weight::Cpu(Arc::new(Matrix::from_tensor(weight)?))
        } else {
            Weight::Device(weight)
        };
        Ok(Self { weight, bias: None })
    }

    /// From a weight `[out, in]` and a bias `[out]` that stand elsewhere.
    pub(crate) fn from_parts(weight: Tensor, bias: Tensor) -> Result<Self> {
        Ok(Self {
            bias: Some(bias),
            ..Self::from_weight(weight)?
        })
    }

    /// Bytes that one product with a vector reads.
    pub(crate) fn bytes(&self) -> usize {
        match &self.weight {
            Weight::Cpu(matrix) => matrix.bytes(),
            Weight::Device(weight) => weight.elem_count() * weight.dtype().size_in_bytes(),
        }
    }

    /// The type of the rows that it reads.
    pub(crate) fn dtype(&self) -> DType {
        match &self.weight {
            Weight::Cpu(_) => DType::F32,
            Weight::Device(weight) => weight.dtype(),
        }
    }

    /// `[rows, in]` -> `[rows, out]`
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Cpu(matrix) => {
                let rows = x.dim(0)?;
                let mut out = vec![0f32; rows * matrix.outputs()];
                with_floats(x, |x| matrix.times_rows(x, None, &mut out))?;
                Tensor::from_vec(out, (rows, matrix.outputs()), x.device())?
            }
            Weight::Device(weight) => x.matmul(&weight.t()?)?,
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    /// Gradient at the output `[1, out]` -> gradient at the input `[1, in]`.
    pub(crate) fn backward(&self, grad: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Weight::Cpu(matrix) => {
                let mut out = vec![0f32; matrix.inputs()];
                with_floats(grad, |grad| matrix.transposed_times_vector(grad, &mut out))?;
                Tensor::from_vec(out, (1, matrix.inputs()), grad.device())
            }
            Weight::Device(weight) => grad.matmul(weight),
        }
    }

    /// Row `index` of the weight: `[1, in]`.
    pub(crate) fn weight_row(&self, index: usize) -> Result<Tensor> {
        match &self.weight {
            Weight::Cpu(matrix) => {
                let mut row = vec![0f32; matrix.inputs()];
                matrix.row(index, &mut row);
                Tensor::from_vec(row, (1, matrix.inputs()), &Device::Cpu)
            }
            Weight::Device(weight) => weight.narrow(0, index, 1),
        }
    }
}

/// Hands the f32 values of a CPU tensor to `read`.
fn with_floats(x: &Tensor, read: impl FnOnce(&[f32])) -> Result<()> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        return Err(candle_core::Error::Msg(
            "rows for the CPU are not f32 in its memory".to_owned(),
        ));
    };
    let start = layout.start_offset();
    read(&values[start..start + x.elem_count()]);
    Ok(())
}

/// Root-mean-square norm.
#[derive(Debug, Clone)]
pub(crate) struct RmsNorm {
    /// `[dim]`
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn load(vb: &VarBuilder, dim: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: parameter(vb, dim, "weight")?,
            eps,
        })
    }

    /// `[rows, dim]` -> `[rows, dim]`
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::rms_norm(x, &self.weight, self.eps as f32)
    }

    /// The same with the scale taken as it was: a direction at the output -> the direction at the input `x`, in f32.
    pub(crate) fn scaled(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        let scaled = grad
            .to_dtype(DType::F32)?
            .broadcast_mul(&self.weight.to_dtype(DType::F32)?)?;
        let mean_square = (x.sqr()?.sum_keepdim(1)? / x.dim(1)? as f64)?;
        scaled.broadcast_mul(&(mean_square + self.eps)?.sqrt()?.recip()?)
    }

    /// Gradient at the output and the input `x`, both `[1, dim]`, -> gradient at the input, in f32.
    ///
    /// With `r = (mean(x^2) + eps)^-1/2` and `u = grad * weight`: `r u - x r^3 mean(u x)`.
    pub(crate) fn backward(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        let scaled = grad
            .to_dtype(DType::F32)?
            .broadcast_mul(&self.weight.to_dtype(DType::F32)?)?;
        let dim = x.dim(1)? as f64;
        let mean_square = (x.sqr()?.sum_keepdim(1)? / dim)?;
        let inverse = (mean_square + self.eps)?.sqrt()?.recip()?;
        let along = ((&scaled * &x)?.sum_keepdim(1)? / dim)?;
        let cubed = (inverse.sqr()? * &inverse)?;
        scaled.broadcast_mul(&inverse)? - x.broadcast_mul(&(along * cubed)?)?
    }
}

/// Layer norm with bias.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    /// `[dim]`
    weight: Tensor,
    /// `[dim]`
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn load(vb: &VarBuilder, dim: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: parameter(vb, dim, "weight")?,
            bias: parameter(vb, dim, "bias")?,
            eps,
        })
    }

    /// `[rows, dim]` -> `[rows, dim]`
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::layer_norm(x, &self.weight, &self.bias, self.eps as f32)
    }
}

/// `down(silu(gate x) * up x)`, the feed-forward block of the decoder and of the vision tower.
#[derive(Debug, Clone)]
pub(crate) struct SwiGlu {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl SwiGlu {
    pub(crate) fn load(vb: &VarBuilder, dim: usize, inner: usize, bias: bool) -> Result<Self> {
        Ok(Self {
            gate: Linear::load(&vb.pp("gate_proj"), dim, inner, bias)?,
            up: Linear::load(&vb.pp("up_proj"), dim, inner, bias)?,
            down: Linear::load(&vb.pp("down_proj"), inner, dim, bias)?,
        })
    }

    /// `[rows, dim]` -> `[rows, dim]`
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let gate = self.gate.forward(x)?.silu()?;
        self.down.forward(&(gate * self.up.forward(x)?)?)
    }

    /// Bytes that one product with a vector reads.
    pub(crate) fn bytes(&self) -> usize {
        self.gate.bytes() + self.up.bytes() + self.down.bytes()
    }

    /// Input `x` and gradient at the output, both `[1, dim]`, -> gradient at the input `[1, dim]`.
    pub(crate) fn backward(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let gate = self.gate.forward(x)?;
        let up = self.up.forward(x)?;
        let inner = self.down.backward(grad)?;
        let sigmoid = candle_nn::ops::sigmoid(&gate)?;
        // d silu(g)/dg = s (1 + g (1 - s)), s = sigmoid(g)
        let slope = (&sigmoid * (1.0 + (&gate * (1.0 - &sigmoid)?)?)?)?;
        let at_gate = ((&inner * &up)? * slope)?;
        let at_up = (inner * (gate * sigmoid)?)?;
        self.gate.backward(&at_gate)? + self.up.backward(&at_up)?
    }
}

/// `cos` and `sin`, each `[rows, angles_per_row]`, of row-major angles.
pub(crate) fn rotary_tables(
    angles: &[f32],
    angles_per_row: usize,
    like: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let shape = (angles.len() / angles_per_row.max(1), angles_per_row);
    let table = |f: fn(f32) -> f32| {
        let values: Vec<f32> = angles.iter().map(|&a| f(a)).collect();
        Tensor::from_vec(values, shape, like.device())?.to_dtype(like.dtype())
    };
    Ok((table(f32::cos)?, table(f32::sin)?))
}

/// Rotates `x` `[heads, rows, dim]` by half-dimension rotary embedding.
pub(crate) fn rotate(x: &Tensor, tables: &(Tensor, Tensor)) -> Result<Tensor> {
    candle_nn::rotary_emb::rope(&x.unsqueeze(0)?, &tables.0, &tables.1)?.squeeze(0)
}

/// `[rows, heads * dim]` -> `[heads, rows, dim]`, contiguous.
pub(crate) fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    x.reshape((rows, heads, width / heads))?
        .transpose(0, 1)?
        .contiguous()
}

/// `[heads, rows, dim]` -> `[rows, heads * dim]`, contiguous.
pub(crate) fn join_heads(x: &Tensor) -> Result<Tensor> {
    let (heads, rows, dim) = x.dims3()?;
    x.transpose(0, 1)?
        .contiguous()?
        .reshape((rows, heads * dim))
}
