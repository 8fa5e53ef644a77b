//! The log of the real program, as JSON: what happened to which trace, and never a word, a name or a file of anybody's.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::house::{PATIENCE, accepted, get, record, send};

/// Ended when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with its log in a file; its address.
fn start(dir: &std::path::Path) -> (Ended, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_omnitrace"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--no-examples",
            "--log-format",
            "json",
            "--data",
        ])
        .arg(dir.join("data"))
        .env("OMNITRACE_LOG", "debug")
        .stdout(File::create(dir.join("out")).unwrap())
        .stderr(File::create(dir.join("log")).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .expect("the program starts");
    let child = Ended(child);
    let begun = Instant::now();
    loop {
        let said = std::fs::read_to_string(dir.join("out")).unwrap();
        if let Some(url) = said.trim().strip_prefix("Listening on ") {
            return (child, url.to_owned());
        }
        assert!(begun.elapsed() < PATIENCE, "it says {said:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_happened_and_quotes_nobody() {
    let dir = tempdir().unwrap();
    let (program, url) = start(dir.path());
    let client = Client::new();
    let mark = "MARKED-BY-THE-VISITOR";
    let ready = Instant::now();
    while get(&client, &url, "/readyz").await.status() != StatusCode::OK {
        assert!(ready.elapsed() < PATIENCE, "not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = json!({
        "prompt": format!("{mark}?\n"), "system": mark,
        "question": [{"text": format!("{mark}: I bought a red car.\n")}], "options": {"max_new_tokens": 4}
    });
    let id = accepted(send(&client, &url, &asked).await).await;
    record(&client, &url, &id).await;
    // What fails is logged, too: a broken file with a name, nonsense in requests and addresses.
    let broken = Form::new()
        .text(
            "request",
            json!({"prompt": mark, "question": [{"image": "a"}]}).to_string(),
        )
        .part(
            "a",
            Part::bytes(format!("\u{89}PNG {mark}").into_bytes()).file_name(format!("{mark}.png")),
        );
    client
        .post(format!("{url}/api/traces"))
        .multipart(broken)
        .send()
        .await
        .unwrap();
    let mut png = media::encode::png(8, 8, &[7; 192]).expect("a PNG");
    png.truncate(50);
    let half = Form::new()
        .text(
            "request",
            json!({"prompt": mark, "question": [{"image": "a"}]}).to_string(),
        )
        .part("a", Part::bytes(png).file_name(format!("{mark}.png")));
    let half = client
        .post(format!("{url}/api/traces"))
        .multipart(half)
        .send()
        .await
        .unwrap();
    let half = accepted(half).await;
    while get(&client, &url, &format!("/api/traces/{half}"))
        .await
        .status()
        == StatusCode::ACCEPTED
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for body in [
        format!("{{\"{mark}"),
        format!("{{\"options\": {{\"{mark}\": 1}}, \"prompt\": \"{mark}\"}}"),
    ] {
        let request = client
            .post(format!("{url}/api/traces"))
            .header("Content-Type", "application/json");
        request.body(body).send().await.unwrap();
    }
    for path in [
        format!("/t/{mark}"),
        format!("/{mark}"),
        format!("/api/traces/{id}?{mark}"),
        format!("/media/{mark}"),
    ] {
        get(&client, &url, &path).await;
    }
    let report = client.post(format!("{url}/api/traces/{id}/report"));
    report.json(&json!({"reason": mark})).send().await.unwrap();
    drop(program);

    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines: Vec<Value> = (log.lines())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let told = |message: &str, of: &str| {
        lines.iter().any(|line| {
            line["message"]
                .as_str()
                .is_some_and(|said| said.starts_with(message))
                && line["id"] == of
        })
    };
    assert!(
        told("trace accepted", &id)
            && told("trace ended", &id)
            && told("a trace was reported", &id),
        "{log}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line["message"] == "a file could not be decoded"),
        "{log}"
    );
    assert!(
        !log.contains(mark) && !log.to_lowercase().contains("red car"),
        "{log}"
    );
}

#[test]
fn the_doctor_looks_a_running_server_over() {
    let dir = tempdir().unwrap();
    let (_program, url) = start(dir.path());
    let doctor = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_omnitrace"))
            .arg("doctor")
            .args(args)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let data = dir.path().join("data");
    let (well, said) = doctor(&["--data", data.to_str().unwrap(), "--url", &url]);
    assert!(well, "{said}");
    for finding in [
        "can be written",
        "The database is whole",
        "loads and writes",
        "clock agrees",
        "with all their headers",
        "Players can jump",
        "Links and codes lead to this address",
    ] {
        assert!(said.contains(finding), "{finding} is missing in\n{said}");
    }
    // The example that it looked at is gone again.
    let store = server::store::Store::open_beside(&data).unwrap();
    assert!(store.recover().unwrap().is_empty());
    let used = server::blobs::Blobs::beside(&data)
        .older_than(std::time::SystemTime::now())
        .unwrap();
    assert!(used.is_empty(), "{used:?}");

    // A place where no directory can be, a model that is none, a server that is not there.
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let (well, said) = doctor(&[
        "--data",
        file.to_str().unwrap(),
        "--model",
        dir.path().to_str().unwrap(),
        "--url",
        "http://127.0.0.1:9",
    ]);
    assert!(!well);
    let bad = said.lines().filter(|line| line.starts_with("BAD")).count();
    assert_eq!(bad, 3, "{said}");
}
