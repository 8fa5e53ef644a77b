//! Notes go, pixels and samples stay: every kind that is cleaned, with a marker in each place where a note may stand.

use media::{Kind, Limits, decode_image, decode_sound, is_cleaned, sniff, without_notes};

mod given;

use given::data;

const MARK: &[u8] = b"SECRET PLACE 48.85N 2.29E";

fn has_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|part| part == MARK)
}

fn insert(bytes: &[u8], at: usize, note: &[u8]) -> Vec<u8> {
    [&bytes[..at], note, &bytes[at..]].concat()
}

/// `name` is a field of four letters, or less for what needs no filling.
fn chunk(name: &[u8], len: [u8; 4], body: &[u8]) -> Vec<u8> {
    [name, &len, body].concat()
}

fn segment(code: u8, head: &[u8]) -> Vec<u8> {
    let len = (2 + head.len() + MARK.len()) as u16;
    [&[0xFF, code], &len.to_be_bytes()[..], head, MARK].concat()
}

/// A note is in it before, none after; and the picture is the same.
fn cleaned(name: &str, noted: Vec<u8>, original: &[u8]) -> Vec<u8> {
    assert!(has_mark(&noted), "{name}: the note stands in it");
    let kind = sniff(original);
    assert!(is_cleaned(kind), "{name}");
    let clean = without_notes(noted);
    assert!(!has_mark(&clean), "{name}: the note is still there");
    assert_eq!(sniff(&clean), kind, "{name}");
    assert_eq!(
        without_notes(clean.clone()),
        clean,
        "{name}: clean is clean"
    );
    clean
}

fn same_picture(name: &str, noted: Vec<u8>, original: &[u8]) {
    let clean = cleaned(name, noted, original);
    let decode = |bytes: &[u8]| decode_image(bytes, &Limits::default()).expect("a picture");
    assert!(decode(&clean) == decode(original), "{name}: other pixels");
}

fn same_sound(name: &str, noted: Vec<u8>, original: &[u8]) {
    let clean = cleaned(name, noted, original);
    let decode = |bytes: &[u8]| decode_sound(bytes, &Limits::default()).expect("a sound");
    assert_eq!(decode(&clean).samples, decode(original).samples, "{name}");
}

#[test]
fn pictures_lose_their_notes_and_nothing_else() {
    for name in ["baseline.jpg", "progressive.jpg", "turned.jpg", "cmyk.jpg"] {
        let original = data(name);
        let mut noted = original.clone();
        for (code, head) in [
            (0xE1, &b"Exif\0\0"[..]),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
            (0xED, b"Photoshop 3.0\0"),
            (0xFE, b""),
        ] {
            noted = insert(&noted, 2, &segment(code, head));
        }
        // A second picture, or the film of a "live" one, behind the end.
        noted.extend_from_slice(MARK);
        same_picture(name, noted, &original);
    }
    let turned = without_notes(data("turned.jpg"));
    assert!(!turned.windows(4).any(|part| part == b"Exif"));

    for name in ["plain.png", "palette.png", "alpha.png"] {
        let original = data(name);
        let len = (MARK.len() as u32).to_be_bytes();
        let mut noted = original.clone();
        for kind in [b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"prVt"] {
            let note = [&len[..], kind, MARK, &[0; 4]].concat();
            noted = insert(&noted, 33, &note);
        }
        noted.extend_from_slice(MARK);
        // Its decoder would stop at the wrong sums of these chunks: what is compared is the clean one.
        same_picture(name, noted, &original);
    }

    let original = data("alpha.webp");
    let len = (MARK.len() as u32).to_le_bytes();
    let note = |kind: &[u8]| [chunk(kind, len, MARK), vec![0; MARK.len() % 2]].concat();
    let mut noted = [original.clone(), note(b"EXIF"), note(b"XMP ")].concat();
    let size = (noted.len() as u32 - 8).to_le_bytes();
    noted[4..8].copy_from_slice(&size);
    same_picture("alpha.webp", noted, &original);

    let original = data("moving.gif");
    let blocks = [&[MARK.len() as u8], MARK, &[0]].concat();
    let comment = [&[0x21, 0xFE][..], &blocks].concat();
    let xmp = [&[0x21, 0xFF, 11][..], b"XMP DataXMP", &blocks].concat();
    let first = 13 + (3usize << ((original[10] & 7) + 1)) * usize::from(original[10] >> 7);
    let noted = insert(&insert(&original, first, &comment), first, &xmp);
    same_picture("moving.gif", [noted, MARK.to_vec()].concat(), &original);
}

#[test]
fn sounds_and_films_keep_their_samples_and_lose_their_notes() {
    let mp3 = data("tone.mp3");
    let body = [b"TIT2", &[0, 0, 0, MARK.len() as u8, 0, 0][..], MARK].concat();
    let tag = [&b"ID3\x04\0\0\0\0\0"[..], &[body.len() as u8], &body].concat();
    let mut end = [b"TAG", MARK].concat();
    end.resize(128, 0);
    same_sound("tone.mp3", [tag, mp3.clone(), end].concat(), &mp3);

    let wav = data("tone.wav");
    let len = ((MARK.len() + 4 + MARK.len() % 2) as u32).to_le_bytes();
    let padded = [b"INFO", MARK, &vec![0; MARK.len() % 2]].concat();
    let mut noted = insert(&wav, 12, &chunk(b"LIST", len, &padded));
    let size = (noted.len() as u32 - 8).to_le_bytes();
    noted[4..8].copy_from_slice(&size);
    same_sound("tone.wav", noted, &wav);

    let flac = data("tone.flac");
    let after_info = 4 + 4 + 34;
    let comment = [&[4, 0, 0, MARK.len() as u8], MARK].concat();
    same_sound("tone.flac", insert(&flac, after_info, &comment), &flac);

    // At the end of the movie's box, so that no offset into the samples moves where they come first.
    for name in ["tone.m4a", "film.mp4"] {
        let original = data(name);
        let boxed = |kind: &[u8], body: &[u8]| {
            [&((8 + body.len()) as u32).to_be_bytes()[..], kind, body].concat()
        };
        let place = boxed(b"\xA9xyz", MARK);
        let mut noted = original.clone();
        noted.extend(boxed(b"uuid", MARK));
        let moov = original
            .windows(4)
            .position(|part| part == b"moov")
            .expect("an index")
            - 4;
        let size = u32::from_be_bytes(original[moov..moov + 4].try_into().expect("four"));
        let end = moov + size as usize;
        // What belongs to the sound in a list of tags stays, the other tags go.
        let text = |text: &[u8]| boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text].concat());
        let named = [boxed(b"name", b"\0\0\0\0iTunSMPB"), text(b" 00000000")].concat();
        let tags = [
            boxed(b"\xA9cmt", &text(MARK)),
            boxed(b"----", &named),
            boxed(b"\xA9nam", &text(MARK)),
        ];
        let meta = boxed(
            b"meta",
            &[&[0; 4], &boxed(b"ilst", &tags.concat())[..]].concat(),
        );
        let udta = boxed(b"udta", &[place, meta].concat());
        noted[moov..moov + 4].copy_from_slice(&(size + udta.len() as u32).to_be_bytes());
        assert_eq!(end, original.len(), "{name}: its index comes last");
        let noted = insert(&noted, end, &udta);
        let clean = without_notes(noted.clone());
        assert!(clean.windows(8).any(|part| part == b"iTunSMPB"), "{name}");
        same_sound(name, noted, &original);
    }
    let film = data("film.mp4");
    let clean = without_notes(film.clone());
    assert_ne!(clean, film, "ffmpeg notes itself in a film");
    let frames = |bytes: &[u8]| {
        let film = media::Film::open(bytes, &Limits::default()).expect("a film");
        film.frames(&[0, 7, 29]).expect("frames")
    };
    assert!(frames(&clean) == frames(&film));
}

#[test]
fn ogg_and_matroska_lose_their_tags_where_they_stand() {
    for (name, kind) in [
        ("noted.ogg", Kind::Ogg),
        ("noted.oga", Kind::Ogg),
        ("noted.opus", Kind::Opus),
        ("noted.mka", Kind::Matroska),
        ("noted.mkv", Kind::Matroska),
    ] {
        let noted = data(name);
        assert_eq!(sniff(&noted), kind, "{name}");
        same_sound(name, noted.clone(), &noted);
        assert_eq!(without_notes(noted.clone()).len(), noted.len(), "{name}");
    }
    let film = data("noted.mkv");
    let clean = without_notes(film.clone());
    let frames = |bytes: &[u8]| {
        let film = media::Film::open(bytes, &Limits::default()).expect("a film");
        film.frames(&[0, 7, 29]).expect("frames")
    };
    assert!(frames(&clean) == frames(&film));
    for name in [&b"attached.txt"[..], b"Lavf", b"DURATION"] {
        let has = |bytes: &[u8]| bytes.windows(name.len()).any(|part| part == name);
        assert!(!has(&clean), "{name:?}");
    }
    assert_ne!(without_notes(data("film.webm")), data("film.webm"));
}

/// A page's check sum, bit by bit.
fn page_sum(page: &[u8]) -> u32 {
    page.iter().fold(0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    })
}

/// The packets of an Ogg file with one stream, and its pages anew with the second packet replaced: pages of at most 600
/// bytes, so that long packets span several.
fn repaged(bytes: &[u8], second: &[u8]) -> Vec<u8> {
    let (mut packets, mut packet, mut at) = (Vec::new(), Vec::new(), 0);
    let mut last = Vec::new();
    while at < bytes.len() {
        let laces = usize::from(bytes[at + 26]);
        let mut body = at + 27 + laces;
        last = bytes[at..at + 27].to_vec();
        for lace in &bytes[at + 27..at + 27 + laces] {
            packet.extend_from_slice(&bytes[body..body + usize::from(*lace)]);
            body += usize::from(*lace);
            if *lace < 255 {
                packets.push((std::mem::take(&mut packet), last[6..14].to_vec()));
            }
        }
        at = body;
    }
    packets[1].0 = second.to_vec();
    let (mut out, mut number) = (Vec::new(), 0u32);
    let count = packets.len();
    for (k, (packet, granule)) in packets.into_iter().enumerate() {
        let mut rest = packet.as_slice();
        let mut begun = false;
        loop {
            let whole = rest.len() < 2 * 255;
            let now = &rest[..rest.len().min(2 * 255)];
            rest = &rest[now.len()..];
            let mut laces = vec![255; now.len() / 255];
            if whole {
                laces.push((now.len() % 255) as u8);
            }
            let flags = u8::from(begun) | u8::from(k == 0) << 1 | u8::from(k + 1 == count) << 2;
            let granule = if whole { &granule[..] } else { &[0xFF; 8] };
            let head = [
                &b"OggS\0"[..],
                &[flags],
                granule,
                &last[14..18],
                &number.to_le_bytes(),
            ];
            let mut page = [
                &head.concat()[..],
                &[0; 4],
                &[laces.len() as u8],
                &laces,
                now,
            ]
            .concat();
            let sum = page_sum(&page).to_le_bytes();
            page[22..26].copy_from_slice(&sum);
            out.extend(page);
            number += 1;
            begun = true;
            if whole {
                break;
            }
        }
    }
    out
}

#[test]
fn comments_that_span_pages_go_and_every_page_has_its_sum() {
    let original = data("tone.ogg");
    let of = |text: &[u8]| [&(text.len() as u32).to_le_bytes()[..], text].concat();
    let cover = [b"METADATA_BLOCK_PICTURE=", MARK, &[b'A'; 5000], MARK].concat();
    let two = 2u32.to_le_bytes();
    let header = [
        &b"\x03vorbis"[..],
        &of(MARK),
        &two,
        &of(b"A=b"),
        &of(&cover),
        &[1],
    ]
    .concat();
    let noted = repaged(&original, &header);
    // Behind it another stream of the same number, as radio stations write them.
    let chained = [noted.clone(), noted.clone()].concat();
    for (name, noted) in [("spanning", noted), ("chained", chained)] {
        let before = noted.clone();
        let clean = without_notes(noted.clone());
        assert!(has_mark(&before) && !has_mark(&clean), "{name}");
        assert!(!clean.windows(9).any(|part| part == b"AAAAAAAAA"), "{name}");
        let (mut at, mut pages) = (0, 0);
        while at < clean.len() {
            let laces = usize::from(clean[at + 26]);
            let body: usize = (clean[at + 27..at + 27 + laces].iter())
                .map(|lace| usize::from(*lace))
                .sum();
            let end = at + 27 + laces + body;
            let mut page = clean[at..end].to_vec();
            page[22..26].fill(0);
            assert_eq!(
                clean[at + 22..at + 26],
                page_sum(&page).to_le_bytes(),
                "{name}"
            );
            (at, pages) = (end, pages + 1);
        }
        assert!(pages > 20, "{name}: {pages}");
        assert_eq!(without_notes(clean.clone()), clean, "{name}");
        // A chain is refused by the decoder, with and without notes.
        let decode = |bytes: &[u8]| {
            let sound = decode_sound(bytes, &Limits::default());
            sound
                .map(|sound| sound.samples)
                .map_err(|error| error.to_string())
        };
        assert_eq!(decode(&clean), decode(&before), "{name}");
        assert_eq!(decode(&clean).is_ok(), name == "spanning");
    }
    // A page that was broken before is broken after.
    let mut broken = repaged(&original, &header);
    let second = 27 + usize::from(broken[26]) + 30;
    broken[second + 22] ^= 1;
    let clean = without_notes(broken.clone());
    assert!(!has_mark(&clean));
    assert_eq!(
        clean[second + 22..second + 26],
        broken[second + 22..second + 26]
    );
}

#[test]
fn what_is_broken_is_passed_on_and_nothing_panics() {
    let names = [
        "noted.ogg",
        "noted.oga",
        "noted.opus",
        "noted.mka",
        "noted.mkv",
        "baseline.jpg",
        "plain.png",
        "alpha.webp",
        "moving.gif",
        "tone.mp3",
        "tone.wav",
        "tone.flac",
        "film.mp4",
    ];
    for name in names {
        let original = data(name);
        for cut in 0..original.len().min(400) {
            let _ = without_notes(original[..cut].to_vec());
        }
        // Sizes set to extremes, everywhere in the head.
        for at in 0..original.len().min(400) {
            for value in [0u8, 0x7F, 0xFF] {
                let mut bytes = original.clone();
                let end = (at + 4).min(bytes.len());
                bytes[at..end].fill(value);
                let _ = without_notes(bytes);
            }
        }
        let half = without_notes(original[..original.len() / 2].to_vec());
        let limits = Limits::default();
        if matches!(sniff(&half), Kind::Png | Kind::WebP) {
            assert!(
                decode_image(&half, &limits).is_err(),
                "{name}: half stays half"
            );
        }
    }
    assert_eq!(without_notes(Vec::new()), Vec::<u8>::new());
    assert_eq!(without_notes(b"#EXTM3U".to_vec()), b"#EXTM3U");
}
