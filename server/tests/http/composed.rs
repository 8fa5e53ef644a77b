//! `POST /api/world`: a composed sample is rendered, traced, and shown against its own truth.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::house::{House, accepted, refused};

fn object(shape: &str, colour: &str, quadrant: &str) -> Value {
    json!({"shape": shape, "colour": colour, "quadrant": quadrant, "dx": 0, "dy": 1, "radius_px": 22})
}

/// Two shapes and the question where one of them is.
fn picture() -> Value {
    let objects = [
        object("star", "red", "bottom_right"),
        object("ring", "black", "top_left"),
    ];
    json!({"seed": 3, "content": {
        "task": "visual-qa",
        "pictures": [{"width": 112, "height": 112, "objects": objects}],
        "question": {"kind": "place", "of": 0, "wording": 1},
    }})
}

async fn compose(house: &House, spec: &Value) -> Response {
    let url = format!("{}/api/world", house.url);
    let body = json!({"spec": spec});
    house.client.post(url).json(&body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composed_picture_is_traced_and_its_truth_stands_beside_the_trace() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let id = accepted(compose(&house, &picture()).await).await;
    let record = house.record(&id).await;
    let texts: Vec<&str> = record["sources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|own| own["item"]["text"].as_str())
        .collect();
    assert!(
        texts.concat().contains("In which corner is the star?"),
        "{texts:?}"
    );
    let response = house.get(&format!("/t/{id}")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let html = response.text().await.unwrap();
    assert!(html.contains("Truth against trace"));
    assert!(html.contains("data-row=\"right\"") || html.contains("data-row=\"wrong\""));
    // The way back to the bench holds the same specification.
    let link = html.split("href=\"/world#").nth(1).unwrap();
    let link = link.split('"').next().unwrap();
    let spec = world::Spec::from_link(link).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), picture());
    // A trace of anything else has no truth.
    let other = house.accept(&crate::house::short()).await;
    house.record(&other).await;
    let html = house
        .get(&format!("/t/{other}"))
        .await
        .text()
        .await
        .unwrap();
    assert!(!html.contains("Truth against trace"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sounds_speech_and_films_come_as_specifications_too() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let sounds = json!({"seed": 1, "content": {"task": "audio-qa", "sounds": [
        {"event": "bell", "at_secs": 0.5, "secs": 1.0}, {"event": "rain", "at_secs": 2.0, "secs": 0.8},
    ], "question": {"kind": "after", "of": 0, "wording": 0}}});
    let fact = json!({"name": "Emma", "verb": "lost", "object": "lamp", "place": "beach"});
    let speech = json!({"seed": 1, "content": {"task": "speech", "said": [
        {"fact": fact, "voice": "iris", "speed": 1.1, "at_secs": 0.2},
    ]}});
    let scene = |shape: &str, colour: &str, heard: Value| json!({"shape": shape, "colour": colour, "secs": 2, "heard": heard});
    let film = json!({"seed": 1, "content": {"task": "video-qa", "scenes": [
        scene("star", "red", json!({"event": "drum", "at_secs": 0.5, "secs": 1.0})),
        scene("ring", "black", Value::Null),
    ], "question": {"kind": "first", "of": 0, "wording": 0}}});
    let kinds = [(sounds, "audio"), (speech, "audio"), (film, "video")];
    for (spec, kind) in kinds {
        let id = accepted(compose(&house, &spec).await).await;
        let record = house.record(&id).await;
        let sources = record["sources"].as_array().unwrap();
        assert!(sources.iter().any(|own| own["item"]["kind"] == kind));
        let html = house.get(&format!("/t/{id}")).await.text().await.unwrap();
        assert!(html.contains("truth-time"), "{kind}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_outside_of_the_world_is_refused_with_a_sentence() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut spec = picture();
        change(&mut spec["content"]);
        spec
    };
    let outside = [
        with(&|own| own["pictures"] = json!([])),
        with(&|own| own["pictures"][0]["width"] = json!(4_000_000)),
        with(&|own| own["pictures"][0]["objects"][0]["radius_px"] = json!(255)),
        with(&|own| own["pictures"][0]["objects"][0]["quadrant"] = json!("top_left")),
        with(&|own| own["question"]["kind"] = json!("last")),
        with(&|own| own["question"]["of"] = json!(999)),
    ];
    for spec in outside {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        refused(compose(&house, &spec).await, status, "outside_the_world").await;
    }
    let nonsense = [
        json!(null),
        json!({}),
        with(&|own| own["task"] = json!("poetry")),
        with(&|own| own["answer"] = json!("a lie")),
        with(&|own| own["pictures"][0]["objects"][0]["dx"] = json!(1e9)),
    ];
    for spec in nonsense {
        let status = StatusCode::BAD_REQUEST;
        refused(compose(&house, &spec).await, status, "bad_request").await;
    }
    house.close().await;
}
