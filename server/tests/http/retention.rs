//! Nothing outlives the policy, on one machine and on many: by age, unless shared, and within a quota.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use server::blobs::Blobs;
use server::clock::Clock;
use server::config::{Limits, PolicyConfig};
use server::store::Swept;
use tempfile::{TempDir, tempdir};

use crate::guard::raw;
use crate::house::{Ground, House, PATIENCE, accepted, config, get, send, short};
use crate::on_both;

/// A house whose clock a test turns.
struct Kept {
    house: House,
    now: Arc<AtomicU64>,
    /// Everything that it may write to.
    dirs: Vec<PathBuf>,
    _data: TempDir,
}

impl Kept {
    async fn on(ground: Ground, policy: PolicyConfig) -> Self {
        let data = tempdir().unwrap();
        let mut dirs = vec![data.path().to_owned()];
        if let Ground::Many(nats) = &ground {
            dirs.push(nats.dir().to_owned());
        }
        let now = Arc::new(AtomicU64::new(Clock::default().now_unix_secs()));
        let shown = now.clone();
        let mut config = config(data.path().to_owned());
        config.policy = policy;
        config.policy.clock = Clock::of(move || shown.load(Ordering::Relaxed));
        config.metrics = Some(([127, 0, 0, 1], 0).into());
        Self {
            house: House::on_with(ground, config, &data).await,
            now,
            dirs,
            _data: data,
        }
    }

    fn pass(&self, secs: u64) {
        self.now.fetch_add(secs, Ordering::Relaxed);
    }

    async fn sweep(&self) -> Swept {
        let keeper = self.house.keeper.clone();
        let swept = tokio::task::spawn_blocking(move || keeper.sweep()).await;
        swept.unwrap().unwrap()
    }

    /// A finished trace of a picture of noise, some three bytes a pixel.
    async fn trace(&self, mark: &str, side: u32) -> String {
        self.trace_with_bytes(mark, side).await.0
    }

    /// The same, and some bytes out of its picture: what is asked may lie compressed on the disk.
    async fn trace_with_bytes(&self, mark: &str, side: u32) -> (String, Vec<u8>) {
        let mut dice = u32::from(mark.as_bytes()[0]) | 1;
        let rgb: Vec<u8> = (0..side * side * 3)
            .map(|_| {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (dice >> 24) as u8
            })
            .collect();
        let png = media::encode::png(side, side, &rgb).expect("a PNG");
        let bytes = png[png.len() / 2..][..40].to_vec();
        let request = json!({
            "prompt": format!("{mark}\n"), "question": [{"image": "a"}], "options": {"max_new_tokens": 2}
        });
        let form = Form::new()
            .text("request", request.to_string())
            .part("a", Part::bytes(png).file_name(format!("{mark}.png")));
        let id = accepted(self.house.send_form(form).await).await;
        self.house.record(&id).await;
        (id, bytes)
    }

    async fn share(&self, id: &str) {
        let url = format!("{}/api/traces/{id}/share", self.house.url);
        let answer = self
            .house
            .client
            .post(url)
            .json(&json!({"view": ""}))
            .send();
        assert_eq!(answer.await.unwrap().status(), StatusCode::CREATED);
    }

    async fn is_there(&self, id: &str) -> bool {
        self.house.get(&format!("/t/{id}")).await.status() == StatusCode::OK
    }

    /// Whether a text stands anywhere in a file.
    fn holds(&self, mark: &[u8]) -> bool {
        self.dirs.iter().any(|dir| holds(dir, mark))
    }

    /// What a worker has of it goes a moment later.
    async fn until_gone(&self, mark: &[u8]) {
        let begun = Instant::now();
        while self.holds(mark) {
            assert!(begun.elapsed() < PATIENCE, "{mark:?} is left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Bytes in use, as the operator sees them.
    async fn used(&self) -> u64 {
        let url = self.house.metrics_url.as_deref().expect("metrics");
        let text = get(&self.house.client, url, "").await.text().await.unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("omnitrace_data_bytes "));
        let bytes = line
            .and_then(|line| line.split(' ').nth(1))
            .expect("a gauge");
        bytes.parse().expect("a number")
    }
}

fn holds(dir: &Path, mark: &[u8]) -> bool {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return holds(&path, mark);
        }
        // Gone since it was listed.
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(mark.len()).any(|part| part == mark)
    })
}

on_both!(
    an_unshared_upload_is_gone_from_the_disk_when_its_minutes_are_over,
    days_count_for_shared_ones_too,
    a_full_disk_refuses_and_what_is_old_makes_room,
);

async fn an_unshared_upload_is_gone_from_the_disk_when_its_minutes_are_over(ground: Ground) {
    let policy = PolicyConfig {
        unshared_minutes: Some(15),
        ..PolicyConfig::default()
    };
    let kept = Kept::on(ground, policy).await;
    let (shared, shown) = kept.trace_with_bytes("SHARED-MARK", 56).await;
    let (gone, hidden) = kept.trace_with_bytes("PRIVATE-MARK", 60).await;
    let record = kept.house.record(&gone).await.to_string();
    let mut media = Vec::new();
    for word in record.split('"').filter(|word| Blobs::is_hash(word)) {
        // Some name weights.
        let file = kept.house.get(&format!("/media/{word}")).await;
        if file.status() == StatusCode::OK {
            media.push(word.to_owned());
        }
    }
    assert!(!media.is_empty(), "{record}");
    kept.share(&shared).await;

    kept.pass(14 * 60);
    kept.sweep().await;
    assert!(kept.is_there(&gone).await);
    for mark in [&hidden[..], b"PRIVATE-MARK"] {
        assert!(kept.holds(mark), "{mark:?} can be found");
    }
    for hash in &media {
        assert_eq!(
            kept.house.get(&format!("/media/{hash}")).await.status(),
            StatusCode::OK
        );
    }

    // A minute more, and the seconds between the file and its end.
    kept.pass(60 + PATIENCE.as_secs());
    assert_eq!(kept.sweep().await.unshared, 1);
    kept.until_gone(&hidden).await;
    kept.until_gone(b"PRIVATE-MARK").await;
    assert!(kept.holds(&shown));
    for hash in media {
        assert_eq!(
            kept.house.get(&format!("/media/{hash}")).await.status(),
            StatusCode::NOT_FOUND
        );
        assert!(!kept.dirs.iter().any(|dir| has_file(dir, &hash)), "{hash}");
    }
    for path in [
        format!("/t/{gone}"),
        format!("/api/traces/{gone}"),
        format!("/api/traces/{gone}/events"),
    ] {
        assert_eq!(
            kept.house.get(&path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    assert!(kept.is_there(&shared).await);
    assert_eq!(kept.sweep().await, Swept::default());
    kept.house.close().await;
}

fn has_file(dir: &Path, name: &str) -> bool {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        path.file_name().is_some_and(|own| own == name) || path.is_dir() && has_file(&path, name)
    })
}

async fn days_count_for_shared_ones_too(ground: Ground) {
    let policy = PolicyConfig {
        keep_days: Some(2),
        ..PolicyConfig::default()
    };
    let kept = Kept::on(ground, policy).await;
    let old = kept.trace("OLD", 30).await;
    kept.share(&old).await;
    kept.pass(86_400);
    let new = kept.trace("NEW", 30).await;
    kept.pass(86_400);
    assert_eq!(kept.sweep().await.aged, 1);
    assert_eq!(
        [kept.is_there(&old).await, kept.is_there(&new).await],
        [false, true]
    );
    kept.house.close().await;
}

async fn a_full_disk_refuses_and_what_is_old_makes_room(ground: Ground) {
    const QUOTA: u64 = 4 << 20;
    let policy = PolicyConfig {
        disk_quota: Some(QUOTA),
        ..PolicyConfig::default()
    };
    let kept = Kept::on(ground, policy).await;
    // By what it says of itself, before it is read: the body never comes.
    let head = |bytes: u64| {
        format!(
            "POST /api/traces HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
        )
    };
    let (status, answer) = raw(&kept.house, &head(5 << 20)).await;
    assert_eq!(status, 429, "{answer}");
    assert!(
        answer.contains("retry-after: 300") && answer.contains("disk_full"),
        "{answer}"
    );
    let shared = kept.trace("SHARED", 300).await;
    kept.share(&shared).await;
    kept.pass(100);
    let heavy = kept.trace("HEAVY", 300).await;
    let light = kept.trace("LIGHT", 20).await;
    kept.pass(100);
    // The count of a moment ago is not gone by any more.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let bytes = QUOTA - kept.used().await + 1000;
    let (status, answer) = raw(&kept.house, &(head(bytes) + &" ".repeat(bytes as usize))).await;
    assert!(status != 429 && status >= 400, "{answer}");
    let mut there = Vec::new();
    for id in [&shared, &heavy, &light] {
        there.push(kept.is_there(id).await);
    }
    assert_eq!(there, [true, false, true]);
    kept.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_web_processes_sweeps() {
    let ground = Ground::many();
    let Ground::Many(nats) = &ground else {
        unreachable!("just made")
    };
    let data = tempdir().unwrap();
    let mut other = config(data.path().join("other"));
    other.nats = crate::nats::args(nats);
    other.policy.unshared_minutes = Some(15);
    let policy = other.policy.clone();
    let kept = Kept::on(ground, policy).await;
    let other = House::with(other, Limits::default()).await;
    let id = accepted(send(&other.client, &other.url, &short()).await).await;
    kept.house.record(&id).await;
    kept.pass(16 * 60 + PATIENCE.as_secs());
    let (first, second) = (kept.sweep().await, {
        let keeper = other.keeper.clone();
        tokio::task::spawn_blocking(move || keeper.sweep())
            .await
            .unwrap()
            .unwrap()
    });
    assert_eq!((first.unshared, second.unshared), (1, 0));
    for house in [&kept.house, &other] {
        assert_eq!(
            house.get(&format!("/t/{id}")).await.status(),
            StatusCode::NOT_FOUND
        );
    }
    other.close().await;
    kept.house.close().await;
}
