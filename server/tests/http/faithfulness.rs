//! `POST /api/traces/{id}/faithfulness`: a chunk scored again without its sources, over HTTP.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{Ground, House, accepted, config, long, refused, short};

/// A conversation that the shipped model summarizes.
fn conversation() -> Value {
    json!({
        "prompt": "Summarize the conversation.\n",
        "question": [
            {"text": "Anna: I bought a red car.\n"},
            {"text": "Ben: Nice weather today.\n"},
            {"text": "Carl: I saw a blue bird.\n"},
        ],
    })
}

async fn ask(house: &House, id: &str, question: &Value) -> Response {
    let url = format!("{}/api/traces/{id}/faithfulness", house.url);
    house.client.post(url).json(question).send().await.unwrap()
}

crate::on_both!(a_cited_source_is_missed_more_than_a_random_one);

async fn a_cited_source_is_missed_more_than_a_random_one(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let id = house.accept(&conversation()).await;
    house.all_events(&id).await;
    let record = house.record(&id).await;

    let question = json!({"chunk": 0, "leave_one_out": true, "curves": true, "regenerate": true});
    let response = ask(&house, &id, &question).await;
    assert_eq!(response.status(), StatusCode::OK);
    let found: Value = response.json().await.unwrap();
    let number = |name: &str| {
        found[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {found}"))
    };
    let cited: Vec<u64> = record["attributions"][0]["cited"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cited| cited["unit"].as_u64().unwrap())
        .collect();
    let removed = found["units"].as_array().unwrap();
    assert!(
        removed
            .iter()
            .all(|unit| cited.contains(&unit.as_u64().unwrap()))
    );
    assert!((number("log_prob") - number("log_prob_without") - number("fall")).abs() < 1e-9);
    assert!(number("fall") > number("random_fall"), "{found}");
    assert_eq!(found["random"].as_array().unwrap().len(), 8);
    assert!(found["leave_one_out"]["units"].as_array().unwrap().len() > 2);
    assert!(found["curves"]["insertion_area"].is_number());
    assert_ne!(found["regenerated"]["text"], record["response"]);
    assert!(number("secs") > 0.0 && number("passes") > 10.0);

    // Other units, fewer questions; and the same question has the same answer.
    let other =
        json!({"chunk": 0, "units": [removed[0].as_u64().unwrap() + 1], "draws": 2, "seed": 5});
    let first: Value = ask(&house, &id, &other).await.json().await.unwrap();
    let second: Value = ask(&house, &id, &other).await.json().await.unwrap();
    assert_eq!(first["random"], second["random"]);
    assert!(first.get("curves").is_none() && first.get("regenerated").is_none());
    assert_ne!(first["log_prob_without"], found["log_prob_without"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_refused_with_a_reason() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let id = house.accept(&short()).await;
    house.all_events(&id).await;
    let bad = StatusCode::BAD_REQUEST;
    let cases = [
        (json!({"chunk": 999}), bad, "unknown_chunk"),
        (json!({"chunk": 0, "units": [99_999]}), bad, "unknown_unit"),
        (json!({"chunk": 0, "units": []}), bad, "bad_request"),
        (json!({"chunk": 0, "draws": 100_000}), bad, "bad_request"),
        (json!({"chunk": -1}), bad, "bad_request"),
        (json!({"chunk": 0, "unit": 3}), bad, "bad_request"),
        (json!({}), bad, "bad_request"),
    ];
    for (question, status, code) in cases {
        refused(ask(&house, &id, &question).await, status, code).await;
    }
    let unknown = ask(&house, "zzzzzzzz", &json!({"chunk": 0})).await;
    refused(unknown, StatusCode::NOT_FOUND, "unknown_trace").await;
    let url = format!("{}/api/traces/{id}/faithfulness", house.url);
    let plain = house.client.post(&url).body("{}").send().await.unwrap();
    refused(
        plain,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "wrong_content_type",
    )
    .await;
    let foreign = (house.client.post(&url))
        .header("Sec-Fetch-Site", "cross-site")
        .json(&json!({"chunk": 0}));
    refused(
        foreign.send().await.unwrap(),
        StatusCode::FORBIDDEN,
        "foreign_site",
    )
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_its_turn_and_a_full_queue_refuses_it() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.queue = 1;
    let house = House::with(config, Limits::default()).await;
    // One runs, one waits: no place is left, for a question neither.
    let running = house.accept(&long()).await;
    let waiting = loop {
        let response = house.send(&long()).await;
        if response.status() == StatusCode::ACCEPTED {
            break accepted(response).await;
        }
    };
    let full = ask(&house, &running, &json!({"chunk": 0})).await;
    refused(full, StatusCode::TOO_MANY_REQUESTS, "queue_full").await;
    for id in [waiting, running] {
        house.post(&format!("/api/traces/{id}/stop")).await;
    }
    house.close().await;

    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let id = house.accept(&conversation()).await;
    // Not finished yet, or already: both are answers, neither hangs.
    let early = ask(&house, &id, &json!({"chunk": 0, "draws": 0})).await;
    assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&early.status()));
    house.all_events(&id).await;
    // Three at once, in turn with a trace.
    let question = json!({"chunk": 0, "draws": 1});
    let other = conversation();
    let (a, b, trace, c) = tokio::join!(
        ask(&house, &id, &question),
        ask(&house, &id, &question),
        house.send(&other),
        ask(&house, &id, &question),
    );
    assert_eq!(trace.status(), StatusCode::ACCEPTED);
    for response in [a, b, c] {
        assert_eq!(response.status(), StatusCode::OK);
    }
    house.close().await;
}
