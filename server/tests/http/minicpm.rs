//! A model of the second family over HTTP: listed, traced live with sliced pictures, asked for proof, stopped.

use std::path::Path;

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, accepted, config, kind};

/// The random checkpoint that the parity tests run on; a model is named by its directory.
fn checkpoint() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/minicpm/checkpoint");
    dir.to_string_lossy().into_owned()
}

/// Three times as wide as high: the fixture cuts it into three slices.
fn wide_picture() -> Vec<u8> {
    let rgb: Vec<u8> = (0..330 * 110 * 3).map(|i| (i * 7 % 251) as u8).collect();
    media::encode::png(330, 110, &rgb).expect("a PNG")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sliced_picture_is_traced_live_and_proven() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.models.wanted = vec![checkpoint()];
    let house = House::with(config, Limits::default()).await;
    let models: Value = house.get("/api/models").await.json().await.unwrap();
    assert_eq!(models[0]["name"], "checkpoint", "{models}");

    let request = json!({
        "prompt": "Describe the picture.\n",
        "question": [{"image": "a"}, {"text": "A red circle. A blue square."}],
        "options": {"max_new_tokens": 24, "method": "attgrads"},
    });
    let form = Form::new()
        .text("request", request.to_string())
        .part("a", Part::bytes(wide_picture()).file_name("a.png"));
    let id = accepted(house.send_form(form).await).await;
    let events = house.all_events(&id).await;
    let record = house.record(&id).await;
    assert_eq!(kind(events.last().unwrap()), "done");
    let chunks: Vec<&Value> = events
        .iter()
        .filter(|event| kind(event) == "chunk")
        .map(|(_, event)| &event["attribution"])
        .collect();
    assert_eq!(json!(chunks), record["attributions"]);

    // One source, one unit, maps in the picture's own grid of 8 x 24 patches: for every signal.
    let source = &record["sources"][1]["item"];
    assert_eq!(
        (&source["kind"], &source["grid"]),
        (&json!("image"), &json!({"rows": 8, "cols": 24}))
    );
    let units = record["units"].as_array().unwrap();
    let picture = units.iter().position(|unit| unit["id"] == "i0").unwrap();
    assert_eq!(units[picture]["positions"], 64);
    for signal in record["signals"].as_array().unwrap() {
        let maps = signal["heat"].as_array().unwrap();
        let mut maps = maps.iter().flat_map(|maps| maps.as_array().unwrap());
        assert!(maps.any(|map| map["unit"] == picture && map["grid"] == source["grid"]));
    }

    let url = format!("{}/api/traces/{id}/faithfulness", house.url);
    let question = json!({"chunk": 0, "units": [picture], "draws": 1});
    let answer = house.client.post(url).json(&question).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["fall"].is_number(), "{answer}");
    house.close().await;
}
