//! Formats that need the machine's `ffmpeg`: read where it is, plainly named where it is not.

use media::{Film, Limits, MediaError, decode_sound};

mod given;

use given::data;

fn installed() -> bool {
    let quiet = || std::process::Stdio::null();
    std::process::Command::new("ffmpeg")
        .arg("-version")
        .stdout(quiet())
        .stderr(quiet())
        .status()
        .is_ok()
}

#[test]
fn with_ffmpeg_other_formats_are_read() {
    assert!(
        installed(),
        "this test reads films with ffmpeg; install it: apt-get install ffmpeg"
    );
    let limits = Limits::default();
    for name in ["film.webm", "hevc.mp4", "fragmented.mp4"] {
        let bytes = data(name);
        let film = Film::open(&bytes, &limits).unwrap_or_else(|error| panic!("{name}: {error}"));
        let info = film.info();
        assert_eq!(
            (info.width, info.height, info.frame_count),
            (96, 64, 30),
            "{name}"
        );
        assert!((info.fps - 25.0).abs() < 0.8, "{name}: {}", info.fps);
        let frames = film.frames(&[29, 0]).expect("frames");
        assert_eq!(frames.len(), 2);
        // The same pictures as in the film that is read here, up to the loss of another codec.
        let original = data("film.mp4");
        let expected = Film::open(&original, &limits)
            .and_then(|film| film.frames(&[29, 0]))
            .expect("frames");
        for (frame, expected) in frames.iter().zip(&expected) {
            let sum: u64 = frame
                .rgb
                .iter()
                .zip(&expected.rgb)
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum();
            assert!(
                sum as f64 / (frame.rgb.len() as f64) < 12.0,
                "{name}: {sum}"
            );
        }
        assert_eq!(info.has_sound, name != "hevc.mp4", "{name}");
        assert_eq!(
            film.sound().expect("a sound").is_some(),
            name != "hevc.mp4",
            "{name}"
        );
    }
    // B-frames of an MP4 are exact, too.
    let bytes = data("film.mp4");
    let frame = Film::open(&bytes, &limits)
        .and_then(|film| film.frames(&[7]))
        .expect("a frame")
        .remove(0);
    let exact = media::decode_image(&data("film.mp4.2.png"), &limits).expect("a picture");
    assert!(frame == exact, "frame 7 differs from what ffmpeg wrote");
    let opus = decode_sound(&data("tone.opus"), &limits).expect("a sound");
    assert!(
        (opus.duration_secs() - 1.2).abs() < 0.05,
        "{}",
        opus.duration_secs()
    );
    // Bounded output: the frames asked for and no more.
    let short = Limits {
        max_secs: 0.5,
        ..limits
    };
    assert!(matches!(
        Film::open(&data("film.webm"), &short).err(),
        Some(MediaError::TooLong { .. })
    ));
    let little = Limits {
        max_decoded_bytes: 4_096,
        ..limits
    };
    assert!(matches!(
        decode_sound(&data("tone.opus"), &little),
        Err(MediaError::TooMuchMemory { .. })
    ));
    let hurried = Limits {
        max_work_secs: 0.0,
        ..limits
    };
    assert!(matches!(
        Film::open(&data("film.webm"), &hurried).err(),
        Some(MediaError::TookTooLong { .. })
    ));
    // A broken file is ffmpeg's to refuse, with its own words.
    let broken = &data("film.webm")[..300];
    assert!(matches!(
        Film::open(broken, &limits).err(),
        Some(MediaError::Ffmpeg { .. } | MediaError::Empty)
    ));
}

/// Runs the test below again in a process whose PATH is empty.
#[test]
fn without_ffmpeg_its_absence_is_said_plainly() {
    let this = std::env::current_exe().expect("this test");
    let output = std::process::Command::new(this)
        .args(["--exact", "absence", "--ignored", "--nocapture"])
        .env("PATH", "")
        .output()
        .expect("the test runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
#[ignore = "run by the test above, without a PATH"]
fn absence() {
    let limits = Limits::default();
    let error = Film::open(&data("film.webm"), &limits)
        .err()
        .expect("no ffmpeg");
    assert!(matches!(error, MediaError::FfmpegMissing { .. }), "{error}");
    let sentence = error.to_string();
    assert!(
        sentence.starts_with("WebM film needs the program ffmpeg")
            && sentence.contains("apt install ffmpeg")
    );
    let error = Film::open(&data("hevc.mp4"), &limits)
        .err()
        .expect("no ffmpeg")
        .to_string();
    assert!(
        error.starts_with("MP4 film with HEVC (H.265) needs the program ffmpeg"),
        "{error}"
    );
    assert!(matches!(
        decode_sound(&data("tone.opus"), &limits),
        Err(MediaError::FfmpegMissing { .. })
    ));
    // What is built in does not need it.
    assert!(
        Film::open(&data("film.mp4"), &limits)
            .and_then(|film| film.frames(&[3]))
            .is_ok()
    );
}

/// What a child may do, told by a program named `ffmpeg` that tries it all. Limits must hold everywhere, the fences where
/// the kernel has them.
#[cfg(target_os = "linux")]
#[test]
fn the_child_can_reach_nothing() {
    let programs = tempfile::tempdir().expect("a directory");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, "secret").expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let written = programs.path().join("written");
    let script = format!(
        "#!/bin/bash\nwhile [ \"$1\" != -i ]; do shift; done\n\
         said=\"core=$(ulimit -c) write=$(ulimit -f) cpu=$(ulimit -t) memory=$(ulimit -v) files=$(ulimit -n) nice=$(nice)\"\n\
         said=\"$said token=${{OMNITRACE_SECRET:-none}}\"\n\
         said=\"$said input=$(head -c 4 \"$2\")\"\n\
         said=\"$said secret=$(cat {} 2>/dev/null || echo closed)\"\n\
         (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null && said=\"$said network=open\"\n\
         (echo x > {}) 2>/dev/null && said=\"$said disk=open\"\n\
         echo \"$said\" >&2\nexit 1\n",
        secret.display(),
        written.display(),
    );
    let program = programs.path().join("ffmpeg");
    std::fs::write(&program, script).expect("written");
    let mut mode = std::fs::metadata(&program).expect("there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&program, mode).expect("may be run");
    let path = std::env::var("PATH").expect("a path");
    let this = std::env::current_exe().expect("this test");
    let output = std::process::Command::new(this)
        .args(["--exact", "tell", "--ignored", "--nocapture"])
        .env("PATH", format!("{}:{path}", programs.path().display()))
        .env("OMNITRACE_SECRET", "leaked")
        .output()
        .expect("the test runs");
    let said = String::from_utf8_lossy(&output.stdout);
    for part in [
        "core=0 write=0 ",
        // Two threads for two minutes.
        "cpu=241 ",
        "memory=3145728 ",
        "files=16 ",
        "nice=19",
        "token=none",
        "input=OggS",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert!(!said.contains("disk=open") && !written.exists(), "{said}");
    let fences = media::fences();
    assert_eq!(fences.files, said.contains("secret=closed"), "{said}");
    assert!(!fences.network || !said.contains("network=open"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by the test above, with another ffmpeg"]
fn tell() {
    match decode_sound(&data("tone.opus"), &Limits::default()) {
        Err(MediaError::Ffmpeg { why, .. }) => println!("{why}"),
        other => println!("unexpected: {:?}", other.err()),
    }
}

#[test]
fn a_list_of_other_files_is_no_film_whatever_it_is_called() {
    let limits = Limits::default();
    for list in [
        "ffconcat version 1.0\nfile '/etc/passwd'\n",
        "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "<?xml version=\"1.0\"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>",
    ] {
        let refused = Film::open(list.as_bytes(), &limits).err();
        assert!(matches!(refused, Some(MediaError::Unsupported { .. })));
    }
}

#[test]
fn what_goes_outward_names_neither_program_nor_path() {
    let inside = MediaError::Ffmpeg {
        format: "WebM film".into(),
        why: "/tmp/media-x: Invalid data at libavformat".into(),
    };
    let missing = MediaError::FfmpegMissing {
        format: "WebM film".into(),
    };
    for error in [inside, missing] {
        let said = error.outward();
        assert!(said.contains("WebM film") && said.contains("MP4"), "{said}");
        for word in ["ffmpeg", "/tmp", "libav", "apt"] {
            assert!(!said.contains(word), "{word} in {said}");
        }
    }
}
