//! Reads the word bank: each word in each voice, 16 kHz mono, IMA ADPCM.
//!
//! Layout, little-endian: `WORDBANK`, then as `u32` the version (1), the number of words `W` and of voices `V`; `W` strings
//! (one byte of length, then ASCII); `V` times a string and one byte that is 1 for a held-out voice; `V x W` entries, voice by
//! voice, each two `u32`: where the clip starts (counted from the end of the entries) and how many samples it has; the clips.
//! A clip is one byte with the starting step index, then two samples a byte, the earlier one in the low half.

/// A parsed bank; the clips are decoded when asked for.
#[derive(Debug)]
pub(super) struct Bank<'a> {
    words: Vec<&'a str>,
    voices: Vec<(&'a str, bool)>,
    entries: Vec<Entry>,
    clips: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: usize,
    samples: usize,
}

/// No word lasts longer than this many samples (two seconds): a bank that says otherwise is damaged.
const LONGEST_SAMPLES: usize = 32_000;

/// More words or voices than this: damaged too.
const MOST_NAMES: u32 = 4_096;

impl<'a> Bank<'a> {
    /// Reads the tables and checks that every clip lies inside `bytes`; `None` for anything else.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"WORDBANK")?;
        if number(&mut rest)? != 1 {
            return None;
        }
        let (word_count, voice_count) = (number(&mut rest)?, number(&mut rest)?);
        if word_count > MOST_NAMES || voice_count > MOST_NAMES {
            return None;
        }
        let words = (0..word_count)
            .map(|_| text(&mut rest))
            .collect::<Option<Vec<_>>>()?;
        let voices = (0..voice_count)
            .map(|_| {
                let name = text(&mut rest)?;
                Some((name, take(&mut rest, 1)? == [1]))
            })
            .collect::<Option<Vec<_>>>()?;
        // Grown by what is there, not by what the header claims.
        let mut entries = Vec::new();
        for _ in 0..voices.len() * words.len() {
            let (offset, samples) = (number(&mut rest)? as usize, number(&mut rest)? as usize);
            entries.push(Entry { offset, samples });
        }
        let fits = |e: &Entry| {
            let end = e.offset.checked_add(1 + e.samples.div_ceil(2));
            e.samples <= LONGEST_SAMPLES && end.is_some_and(|end| end <= rest.len())
        };
        entries.iter().all(fits).then_some(Self {
            words,
            voices,
            entries,
            clips: rest,
        })
    }

    /// The words in the bank's order.
    #[cfg(test)]
    pub(super) fn words(&self) -> &[&'a str] {
        &self.words
    }

    /// Name and held-out mark of every voice in the bank's order.
    #[cfg(test)]
    pub(super) fn voices(&self) -> &[(&'a str, bool)] {
        &self.voices
    }

    /// The index of a word, case ignored.
    pub(super) fn word(&self, word: &str) -> Option<usize> {
        self.words.iter().position(|w| w.eq_ignore_ascii_case(word))
    }

    /// The index of a voice.
    pub(super) fn voice(&self, name: &str) -> Option<usize> {
        self.voices.iter().position(|(n, _)| *n == name)
    }

    /// Decodes one word of one voice.
    pub(super) fn clip(&self, voice: usize, word: usize) -> Option<Vec<f32>> {
        if word >= self.words.len() {
            return None;
        }
        let entry = self
            .entries
            .get(voice.checked_mul(self.words.len())? + word)?;
        let bytes = self.clips.get(entry.offset..)?;
        let (&start, codes) = bytes.split_first()?;
        decode(
            start,
            codes.get(..entry.samples.div_ceil(2))?,
            entry.samples,
        )
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let bytes: [u8; 4] = take(rest, 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = take(rest, 1)?.first().copied()?;
    let string = core::str::from_utf8(take(rest, usize::from(length))?).ok()?;
    string.is_ascii().then_some(string)
}

/// The step sizes of IMA ADPCM.
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493,
    10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// How the step index moves after a code of this magnitude.
const INDEX_MOVES: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

fn decode(start: u8, codes: &[u8], samples: usize) -> Option<Vec<f32>> {
    let mut index = usize::from(start);
    let mut value = 0_i32;
    let mut out = Vec::with_capacity(samples);
    for code in codes
        .iter()
        .flat_map(|byte| [byte & 15, byte >> 4])
        .take(samples)
    {
        let magnitude = i32::from(code & 7);
        let change = (2 * magnitude + 1) * STEPS.get(index)? / 8;
        value = (if code & 8 == 0 {
            value + change
        } else {
            value - change
        })
        .clamp(-32_768, 32_767);
        let moved = index as i32 + INDEX_MOVES[(code & 7) as usize];
        index = moved.clamp(0, 88) as usize;
        out.push(value as f32 / 32_768.0);
    }
    Some(out)
}
