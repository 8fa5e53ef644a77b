//! Notes go, pixels and samples stay: every kind that is cleaned, with a marker in each place where a note may stand.

use media::{Kind, Limits, decode_image, decode_sound, is_cleaned, sniff, without_notes};

const MARK: &[u8] = b"SECRET PLACE 48.85N 2.29E";

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a fixture")
}

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
fn what_is_broken_is_passed_on_and_nothing_panics() {
    let names = [
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
