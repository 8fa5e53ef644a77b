//! `omnitrace backup`: a copy made while the server runs is a data directory like the original.

use std::path::Path;
use std::process::{Command, Output};

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::house::{House, accepted, short};

fn backup(data: &TempDir, to: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_omnitrace"))
        .args(["backup", "--data"])
        .arg(data.path())
        .arg("--to")
        .arg(to)
        .output()
        .expect("the program starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_server_serves_the_same_and_forgets_what_was_deleted() {
    let (data, copy) = (tempdir().unwrap(), tempdir().unwrap());
    let house = House::open(&data).await;
    let request = json!({
        "prompt": "Describe the picture.\n", "question": [{"image": "a"}],
        "options": {"max_new_tokens": 4}
    });
    let rgb = [9; 56 * 56 * 3];
    let png = media::encode::png(56, 56, &rgb).unwrap();
    let form = Form::new()
        .text("request", request.to_string())
        .part("a", Part::bytes(png).file_name("a.png"));
    let response = house.send_form(form).await;
    let body: serde_json::Value = response.json().await.unwrap();
    let (seen, delete) = (
        body["id"].as_str().unwrap(),
        body["delete"].as_str().unwrap(),
    );
    let before = house.record(seen).await;
    let sources = before["sources"].as_array().unwrap();
    let hash = sources
        .iter()
        .find_map(|source| source["item"]["media"].as_str())
        .unwrap();
    let media = format!("/media/{hash}");

    let first = backup(&data, copy.path());
    let said = String::from_utf8_lossy(&first.stdout);
    assert!(
        said.contains("1 traces") && said.contains("1 copied"),
        "{first:?}"
    );
    let later = accepted(house.send(&short()).await).await;
    house.record(&later).await;
    let second = backup(&data, copy.path());
    let said = String::from_utf8_lossy(&second.stdout);
    assert!(
        said.contains("2 traces") && said.contains("1 there already"),
        "{second:?}"
    );

    let restored = House::open(&copy).await;
    assert_eq!(restored.record(seen).await, before);
    assert_eq!(restored.get(&media).await.status(), StatusCode::OK);
    assert_eq!(
        restored.get(&format!("/t/{later}")).await.status(),
        StatusCode::OK
    );
    restored.close().await;

    let key = delete.split("key=").nth(1).unwrap();
    let gone = house
        .client
        .post(format!("{}/api/traces/{seen}/delete?key={key}", house.url))
        .send()
        .await
        .unwrap();
    assert!(gone.status().is_success(), "{}", gone.status());
    let third = backup(&data, copy.path());
    let said = String::from_utf8_lossy(&third.stdout);
    assert!(
        said.contains("1 traces") && said.contains("1 deleted"),
        "{third:?}"
    );
    house.close().await;
    let restored = House::open(&copy).await;
    assert_eq!(restored.get(&media).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        restored.get(&format!("/api/traces/{seen}")).await.status(),
        StatusCode::NOT_FOUND
    );
    restored.close().await;
}

#[test]
fn what_is_no_data_directory_is_refused_in_a_sentence() {
    let (data, copy) = (tempdir().unwrap(), tempdir().unwrap());
    let out = backup(&data, copy.path());
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("is no data directory"), "{said}");
}
