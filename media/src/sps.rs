//! H.264 parameter sets: the size and colours a stream declares, read before a decoder is let near it.

use crate::MediaError;

/// What a sequence parameter set says about its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sps {
    /// Shown width in pixels, after cropping.
    pub(crate) width: u64,
    /// Shown height in pixels, after cropping.
    pub(crate) height: u64,
    /// 1 is 4:2:0.
    pub(crate) chroma_format: u32,
    /// Bits of a luma sample.
    pub(crate) bit_depth: u32,
    /// Frames only, no interlaced fields.
    pub(crate) progressive: bool,
    /// `matrix_coefficients`, when declared.
    pub(crate) matrix: Option<u8>,
    /// `video_full_range_flag`.
    pub(crate) full_range: Option<bool>,
}

/// Parameter sets and the width of length fields, from `avcC`.
pub(crate) struct AvcConfig {
    /// Bytes of the length in front of each unit: 1, 2 or 4.
    pub(crate) length_size: usize,
    pub(crate) sps: Sps,
    /// All parameter sets with start codes, to be fed first.
    pub(crate) annex_b: Vec<u8>,
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Reads the payload of `avcC`.
pub(crate) fn parse_config(config: &[u8]) -> Result<AvcConfig, MediaError> {
    let short = || MediaError::truncated("the H.264 configuration ends too early");
    let &[1, _, _, _, lengths, sps_count, ref rest @ ..] = config else {
        return Err(MediaError::corrupt(
            "the H.264 configuration has an unknown version",
        ));
    };
    let length_size = usize::from(lengths & 3) + 1;
    if length_size == 3 {
        return Err(MediaError::corrupt(
            "three-byte lengths do not exist in H.264",
        ));
    }
    let mut annex_b = Vec::new();
    let mut first = None;
    let mut rest = rest;
    let mut take_sets = |rest: &mut &[u8], count: u8| -> Result<(), MediaError> {
        for _ in 0..count {
            let (&len, after) = rest.split_first_chunk::<2>().ok_or_else(short)?;
            let (set, after) = after
                .split_at_checked(usize::from(u16::from_be_bytes(len)))
                .ok_or_else(short)?;
            annex_b.extend_from_slice(&START_CODE);
            annex_b.extend_from_slice(set);
            if first.is_none() {
                first = Some(parse_sps(set)?);
            }
            *rest = after;
        }
        Ok(())
    };
    take_sets(&mut rest, sps_count & 31)?;
    let (&pps_count, after) = rest.split_first().ok_or_else(short)?;
    rest = after;
    take_sets(&mut rest, pps_count)?;
    let sps = first.ok_or_else(|| MediaError::corrupt("the H.264 stream has no parameter set"))?;
    Ok(AvcConfig {
        length_size,
        sps,
        annex_b,
    })
}

/// Rewrites one sample's length-prefixed units with start codes, appending to `out`.
pub(crate) fn append_annex_b(
    sample: &[u8],
    length_size: usize,
    out: &mut Vec<u8>,
) -> Result<(), MediaError> {
    let mut rest = sample;
    while !rest.is_empty() {
        let (len, after) = rest
            .split_at_checked(length_size)
            .ok_or_else(|| MediaError::corrupt("a length field of an H.264 frame is cut off"))?;
        let len = len
            .iter()
            .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, after) = after
            .split_at_checked(len)
            .ok_or_else(|| MediaError::corrupt("an H.264 unit is longer than its frame"))?;
        if !unit.is_empty() {
            out.extend_from_slice(&START_CODE);
            out.extend_from_slice(unit);
        }
        rest = after;
    }
    Ok(())
}

/// Reads a sequence parameter set (ITU-T H.264, 7.3.2.1.1) as far as its colour description.
fn parse_sps(unit: &[u8]) -> Result<Sps, MediaError> {
    if unit.first().is_none_or(|byte| byte & 31 != 7) {
        return Err(MediaError::corrupt(
            "the first H.264 parameter set describes no sequence",
        ));
    }
    let raw = without_emulation(&unit[1..]);
    let mut bits = Bits { bytes: &raw, at: 0 };
    let profile = bits.read(8)?;
    bits.read(16)?;
    bits.exp()?;
    let (mut chroma_format, mut bit_depth) = (1, 8);
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = bits.exp()?;
        if chroma_format == 3 {
            bits.read(1)?;
        }
        bit_depth = bits.exp()?.saturating_add(8);
        bits.exp()?;
        bits.read(1)?;
        if bits.read(1)? == 1 {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.read(1)? == 1 {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.exp()?;
    match bits.exp()? {
        0 => {
            bits.exp()?;
        }
        1 => {
            bits.read(1)?;
            bits.exp()?;
            bits.exp()?;
            for _ in 0..bits.exp()?.min(256) {
                bits.exp()?;
            }
        }
        _ => {}
    }
    bits.exp()?;
    bits.read(1)?;
    let blocks_wide = u64::from(bits.exp()?) + 1;
    let map_units_high = u64::from(bits.exp()?) + 1;
    let progressive = bits.read(1)? == 1;
    if !progressive {
        bits.read(1)?;
    }
    bits.read(1)?;
    let (mut width, mut height) = (
        blocks_wide * 16,
        map_units_high * 16 * if progressive { 1 } else { 2 },
    );
    if bits.read(1)? == 1 {
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format == 1 { 2 } else { 1 } * if progressive { 1 } else { 2 };
        let (left, right) = (u64::from(bits.exp()?), u64::from(bits.exp()?));
        let (top, bottom) = (u64::from(bits.exp()?), u64::from(bits.exp()?));
        width = width.saturating_sub((left + right) * unit_x);
        height = height.saturating_sub((top + bottom) * unit_y);
    }
    let (mut matrix, mut full_range) = (None, None);
    if bits.read(1)? == 1 {
        if bits.read(1)? == 1 && bits.read(8)? == 255 {
            bits.read(32)?;
        }
        if bits.read(1)? == 1 {
            bits.read(1)?;
        }
        if bits.read(1)? == 1 {
            bits.read(3)?;
            full_range = Some(bits.read(1)? == 1);
            if bits.read(1)? == 1 {
                bits.read(16)?;
                matrix = Some(bits.read(8)? as u8);
            }
        }
    }
    Ok(Sps {
        width,
        height,
        chroma_format,
        bit_depth,
        progressive,
        matrix,
        full_range,
    })
}

fn skip_scaling_list(bits: &mut Bits<'_>, len: usize) -> Result<(), MediaError> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..len {
        if next != 0 {
            let code = i64::from(bits.exp()?);
            let delta = if code % 2 == 1 {
                code / 2 + 1
            } else {
                -(code / 2)
            };
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// Drops the 3 of each 0 0 3, which only keeps start codes from appearing inside a unit.
fn without_emulation(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: u32) -> Result<u32, MediaError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self
                .bytes
                .get(self.at / 8)
                .ok_or_else(|| MediaError::truncated("an H.264 parameter set ends too early"))?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    /// An unsigned Exp-Golomb code.
    fn exp(&mut self) -> Result<u32, MediaError> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros == 32 {
                return Err(MediaError::corrupt(
                    "a number of an H.264 parameter set is too long",
                ));
            }
        }
        let tail = self.read(zeros)?;
        Ok(((1u64 << zeros) - 1 + u64::from(tail)) as u32)
    }
}
