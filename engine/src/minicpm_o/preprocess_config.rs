//! `preprocessor_config.json`: how pictures are sliced and what marks them in the prompt.
//! The released audio processor is Whisper's with its defaults; a checkpoint may set them here too.

use serde::Deserialize;

/// How media become model input; the released processor's own constants where the file is silent.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct PreprocessConfig {
    /// Most slices of a picture.
    pub(crate) max_slice_nums: usize,
    /// Side of the square whose area a slice has, pixels.
    pub(crate) scale_resolution: usize,
    pub(crate) patch_size: usize,
    /// Whether pictures are numbered in the prompt.
    pub(crate) use_image_id: bool,
    /// Placeholders of a picture or slice.
    pub(crate) image_feature_size: usize,
    /// Whether pictures are resized and sliced at all.
    pub(crate) slice_mode: bool,
    pub(crate) im_start: String,
    pub(crate) im_end: String,
    pub(crate) slice_start: String,
    pub(crate) slice_end: String,
    pub(crate) im_id_start: String,
    pub(crate) im_id_end: String,
    pub(crate) unk: String,
    pub(crate) norm_mean: [f32; 3],
    pub(crate) norm_std: [f32; 3],
    pub(crate) n_fft: usize,
    pub(crate) hop_length: usize,
    pub(crate) sampling_rate: u32,
    /// A longer sound is read in pieces of these seconds.
    pub(crate) chunk_length: usize,
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self {
            max_slice_nums: 9,
            scale_resolution: 448,
            patch_size: 14,
            use_image_id: true,
            image_feature_size: 64,
            slice_mode: true,
            im_start: "<image>".to_owned(),
            im_end: "</image>".to_owned(),
            slice_start: "<slice>".to_owned(),
            slice_end: "</slice>".to_owned(),
            im_id_start: "<image_id>".to_owned(),
            im_id_end: "</image_id>".to_owned(),
            unk: "<unk>".to_owned(),
            norm_mean: [0.5; 3],
            norm_std: [0.5; 3],
            n_fft: 400,
            hop_length: 160,
            sampling_rate: 16_000,
            chunk_length: 30,
        }
    }
}

impl PreprocessConfig {
    /// `patch_size` and `queries` are the model's own.
    pub(crate) fn check(&self, patch_size: usize, queries: usize) -> Result<(), String> {
        let sizes = [
            self.max_slice_nums,
            self.scale_resolution,
            self.n_fft,
            self.hop_length,
            self.chunk_length,
        ];
        if sizes.contains(&0) || self.sampling_rate == 0 {
            return Err("a size is 0".to_owned());
        }
        if self.patch_size != patch_size {
            return Err(format!(
                "patch_size is {}, that of config.json {patch_size}",
                self.patch_size
            ));
        }
        if self.image_feature_size != queries {
            return Err(format!(
                "image_feature_size is {}, query_num of config.json {queries}",
                self.image_feature_size
            ));
        }
        Ok(())
    }
}
