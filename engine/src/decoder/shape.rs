//! What one decoder of the Llama kind differs in from another: sizes, biases, norms of heads.
//! In: a family's config. Out: a [`DecoderShape`].

/// Sizes and options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DecoderShape {
    /// Width of the hidden state.
    pub(crate) hidden: usize,
    /// Width within the feed-forward block.
    pub(crate) inner: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) vocabulary: usize,
    pub(crate) norm_eps: f32,
    /// Whether the output map is the embedding table.
    pub(crate) tied: bool,
    /// Whether the maps to queries, keys and values have biases.
    pub(crate) bias: bool,
    /// Whether each head of queries and keys is normed before it is rotated.
    pub(crate) head_norms: bool,
}

impl DecoderShape {
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    pub(crate) fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}
