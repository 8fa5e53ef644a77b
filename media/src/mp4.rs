//! Reads the index of an MP4: tracks and where their samples lie. Nothing is allocated beyond what the bytes can back.

use crate::{Limits, MediaError};

/// One coded picture or block of sound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// One track, as far as film needs it.
#[derive(Debug, Default)]
pub(crate) struct Track {
    /// `vide`, `soun`, ...
    pub(crate) handler: [u8; 4],
    /// Ticks a second.
    pub(crate) timescale: u32,
    /// The codec: `avc1`, `hvc1`, `mp4a`, ...
    pub(crate) codec: [u8; 4],
    /// The payload of `avcC`.
    pub(crate) avc_config: Option<Vec<u8>>,
    /// `colr` of kind `nclx`: matrix coefficients and full range.
    pub(crate) colour: Option<(u8, bool)>,
    /// Samples in the order of decoding.
    pub(crate) samples: Vec<Sample>,
    /// Sum of the sample durations, in ticks.
    pub(crate) duration_ticks: u64,
    /// Frames are shown in another order than they are coded (B-frames).
    pub(crate) reordered: bool,
    /// Ticks that the first edit skips at the start (the priming of an AAC encoder).
    pub(crate) skipped_ticks: u64,
}

/// Whether the tracks are listed and none of them is a picture; cheap, for sniffing.
pub(crate) fn has_only_sound(bytes: &[u8]) -> bool {
    let Ok(Some(moov)) = find(bytes, b"moov") else {
        return false;
    };
    let mut sound = false;
    for trak in boxes(moov)
        .filter_map(Result::ok)
        .filter(|b| b.name == *b"trak")
    {
        match handler_of(trak.body).as_ref() {
            Some(b"vide") => return false,
            Some(b"soun") => sound = true,
            _ => {}
        }
    }
    sound
}

/// The first picture track, or the first sound track.
pub(crate) fn read_track(
    bytes: &[u8],
    handler: &[u8; 4],
    limits: &Limits,
) -> Result<Option<Track>, MediaError> {
    let moov = find(bytes, b"moov")?
        .ok_or_else(|| MediaError::truncated("the MP4 index (moov) is missing"))?;
    for child in boxes(moov) {
        let child = child?;
        if child.name == *b"trak" && handler_of(child.body).as_ref() == Some(handler) {
            return parse_track(child.body, bytes.len(), limits).map(Some);
        }
    }
    Ok(None)
}

/// Whether the samples are in fragments (`moof`) instead of the index.
pub(crate) fn is_fragmented(bytes: &[u8]) -> bool {
    matches!(find(bytes, b"moov"), Ok(Some(moov)) if matches!(find(moov, b"mvex"), Ok(Some(_))))
}

struct Box4<'a> {
    name: [u8; 4],
    body: &'a [u8],
}

/// The boxes that lie side by side in `bytes`; an error ends the walk.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = Result<Box4<'_>, MediaError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        // Fewer than eight bytes at the end of a box are padding (QuickTime ends lists with four zeros).
        if rest.len() < 8 {
            return None;
        }
        let item = next_box(rest);
        match &item {
            Ok((_, after)) => rest = after,
            Err(_) => rest = &[],
        }
        Some(item.map(|(found, _)| found))
    })
}

fn next_box(rest: &[u8]) -> Result<(Box4<'_>, &[u8]), MediaError> {
    let short = || MediaError::truncated("an MP4 box reaches past its end");
    let mut reader = Reader(rest);
    let size32 = reader.u32()?;
    let name = reader.four()?;
    let (header, size) = match size32 {
        0 => (8, rest.len() as u64),
        1 => (16, reader.u64()?),
        size => (8, u64::from(size)),
    };
    let size = usize::try_from(size).map_err(|_| short())?;
    if size < header {
        return Err(MediaError::corrupt(
            "an MP4 box is smaller than its own header",
        ));
    }
    let body = rest.get(header..size).ok_or_else(short)?;
    Ok((Box4 { name, body }, &rest[size..]))
}

fn find<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Result<Option<&'a [u8]>, MediaError> {
    for child in boxes(bytes) {
        let child = child?;
        if child.name == *name {
            return Ok(Some(child.body));
        }
    }
    Ok(None)
}

fn find_path<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Result<Option<&'a [u8]>, MediaError> {
    let mut at = bytes;
    for name in path {
        match find(at, name)? {
            Some(inner) => at = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn handler_of(trak: &[u8]) -> Option<[u8; 4]> {
    let hdlr = find_path(trak, &[b"mdia", b"hdlr"]).ok()??;
    hdlr.get(8..12)?.try_into().ok()
}

fn parse_track(trak: &[u8], file_len: usize, limits: &Limits) -> Result<Track, MediaError> {
    let need = |path: &[&[u8; 4]], what: &str| {
        find_path(trak, path)?
            .ok_or_else(|| MediaError::corrupt(format!("the MP4 track has no {what}")))
    };
    let mut track = Track {
        handler: handler_of(trak).unwrap_or_default(),
        ..Track::default()
    };
    let mut mdhd = Reader(need(&[b"mdia", b"mdhd"], "media header")?);
    let version = mdhd.u32()? >> 24;
    mdhd.skip(if version == 1 { 16 } else { 8 })?;
    track.timescale = mdhd.u32()?;
    if track.timescale == 0 {
        return Err(MediaError::corrupt(
            "the MP4 track counts zero ticks a second",
        ));
    }
    let stbl = need(&[b"mdia", b"minf", b"stbl"], "sample table")?;
    if let Some(stsd) = find(stbl, b"stsd")? {
        parse_entry(stsd, &mut track)?;
    }
    if let Some(elst) = find_path(trak, &[b"edts", b"elst"])? {
        track.skipped_ticks = skipped_ticks(elst)?;
    }
    track.samples = samples(stbl, file_len, limits)?;
    track.reordered = find(stbl, b"ctts")?.is_some();
    track.duration_ticks = duration_ticks(stbl)?;
    Ok(track)
}

fn parse_entry(stsd: &[u8], track: &mut Track) -> Result<(), MediaError> {
    let entry = boxes(stsd.get(8..).unwrap_or(&[]))
        .next()
        .ok_or_else(|| MediaError::corrupt("the MP4 track names no codec"))??;
    track.codec = entry.name;
    if &track.handler != b"vide" {
        return Ok(());
    }
    // A visual sample entry has 78 bytes of fields before its boxes.
    for child in boxes(entry.body.get(78..).unwrap_or(&[])) {
        let child = child?;
        match &child.name {
            b"avcC" => track.avc_config = Some(child.body.to_vec()),
            b"colr" if child.body.starts_with(b"nclx") => {
                if let Some(&[_, matrix, flags]) = child.body.get(8..11) {
                    track.colour = Some((matrix, flags & 0x80 != 0));
                }
            }
            b"colr" if child.body.starts_with(b"nclc") => {
                if let Some(&[_, matrix]) = child.body.get(8..10) {
                    track.colour = Some((matrix, false));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn skipped_ticks(elst: &[u8]) -> Result<u64, MediaError> {
    let mut reader = Reader(elst);
    let version = reader.u32()? >> 24;
    let count = reader.u32()?;
    for _ in 0..count {
        let media_time = if version == 1 {
            reader.skip(8)?;
            reader.u64()? as i64
        } else {
            reader.skip(4)?;
            i64::from(reader.u32()? as i32)
        };
        reader.skip(4)?;
        // -1 is an empty edit: a pause before the first sample.
        if let Ok(ticks) = u64::try_from(media_time) {
            return Ok(ticks);
        }
    }
    Ok(0)
}

fn duration_ticks(stbl: &[u8]) -> Result<u64, MediaError> {
    let Some(stts) = find(stbl, b"stts")? else {
        return Ok(0);
    };
    let mut total = 0u64;
    for entry in entries(stts, 8)? {
        let mut entry = Reader(entry);
        let (count, delta) = (entry.u32()?, entry.u32()?);
        total = total
            .checked_add(u64::from(count) * u64::from(delta))
            .ok_or_else(|| MediaError::corrupt("the MP4 durations overflow"))?;
    }
    Ok(total)
}

/// The rows of a table box: version, count, rows of `width` bytes.
fn entries(table: &[u8], width: usize) -> Result<std::slice::ChunksExact<'_, u8>, MediaError> {
    let mut reader = Reader(table);
    reader.skip(4)?;
    let count = reader.u32()? as usize;
    let rows = count.checked_mul(width).and_then(|len| reader.0.get(..len));
    rows.map(|rows| rows.chunks_exact(width))
        .ok_or_else(|| MediaError::corrupt("an MP4 table claims more rows than it has"))
}

fn samples(stbl: &[u8], file_len: usize, limits: &Limits) -> Result<Vec<Sample>, MediaError> {
    let table = |name: &[u8; 4]| find(stbl, name);
    let Some(stsz) = table(b"stsz")? else {
        return Ok(Vec::new());
    };
    let mut reader = Reader(stsz);
    reader.skip(4)?;
    let uniform = reader.u32()? as usize;
    let count = reader.u32()?;
    limits.check_frames(u64::from(count))?;
    let count = count as usize;
    let sizes = reader.0;
    if uniform == 0 && sizes.len() / 4 < count {
        return Err(MediaError::corrupt(
            "the MP4 lists more samples than it has sizes for",
        ));
    }
    let (chunks, width) = match (table(b"stco")?, table(b"co64")?) {
        (Some(stco), _) => (entries(stco, 4)?, 4),
        (None, Some(co64)) => (entries(co64, 8)?, 8),
        (None, None) => return Ok(Vec::new()),
    };
    let stsc = table(b"stsc")?.ok_or_else(|| {
        MediaError::corrupt("the MP4 does not say which chunk holds which sample")
    })?;
    let mut runs = entries(stsc, 12)?.peekable();
    let mut per_chunk = 0u32;
    let mut found = Vec::with_capacity(count);
    for (index, chunk) in chunks.enumerate() {
        let mut chunk = Reader(chunk);
        let mut offset = if width == 4 {
            u64::from(chunk.u32()?)
        } else {
            chunk.u64()?
        };
        while let Some(run) = runs.peek() {
            let mut run = Reader(run);
            if u64::from(run.u32()?) > index as u64 + 1 {
                break;
            }
            per_chunk = run.u32()?;
            runs.next();
        }
        for _ in 0..per_chunk {
            if found.len() == count {
                return Ok(found);
            }
            let len = match uniform {
                0 => Reader(&sizes[found.len() * 4..]).u32()? as usize,
                len => len,
            };
            let end = offset
                .checked_add(len as u64)
                .filter(|end| *end <= file_len as u64);
            let end = end.ok_or_else(|| {
                MediaError::truncated("an MP4 sample lies past the end of the file")
            })?;
            found.push(Sample {
                offset: offset as usize,
                len,
            });
            offset = end;
        }
    }
    if found.len() < count {
        return Err(MediaError::corrupt("the MP4 has fewer places than samples"));
    }
    Ok(found)
}

/// Big-endian numbers from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], MediaError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| MediaError::truncated("an MP4 box ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, len: usize) -> Result<(), MediaError> {
        self.take(len).map(|_| ())
    }

    fn four(&mut self) -> Result<[u8; 4], MediaError> {
        let taken = self.take(4)?;
        Ok([taken[0], taken[1], taken[2], taken[3]])
    }

    fn u32(&mut self) -> Result<u32, MediaError> {
        self.four().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, MediaError> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }
}
