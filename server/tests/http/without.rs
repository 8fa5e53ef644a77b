//! `POST /api/traces/{id}/without`: the same question as a trace of its own, with a part of its sources masked.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::house::{House, accepted, refused};

/// A conversation that the shipped model summarizes.
fn conversation() -> Value {
    json!({
        "prompt": "Summarize the conversation.\n",
        "question": [
            {"text": "Anna: I lost a boat at the school.\n"},
            {"text": "Peter: I sold a lamp at the market.\n"},
        ],
    })
}

async fn without(house: &House, id: &str, wanted: &Value) -> Response {
    let url = format!("{}/api/traces/{id}/without", house.url);
    house.client.post(url).json(wanted).send().await.unwrap()
}

async fn page(house: &House, id: &str) -> String {
    house.get(&format!("/t/{id}")).await.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_lacks_what_was_left_out_and_both_name_one_another() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let parent = house.accept(&conversation()).await;
    let whole = house.record(&parent).await;
    assert!(whole.get("child_of").is_none());
    assert!(whole["response"].as_str().unwrap().contains("Anna"));
    // The source with Anna's line: the instruction is source 0.
    let response = without(&house, &parent, &json!({"sources": [1]})).await;
    let body: Value = {
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.json().await.unwrap()
    };
    let child = body["id"].as_str().unwrap().to_owned();
    let part = house.record(&child).await;
    assert_eq!(part["child_of"]["id"], parent);
    assert_eq!(part["units"], whole["units"], "nothing moved");
    let gone: Vec<u64> = part["child_of"]["without"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| unit.as_u64().unwrap())
        .collect();
    assert!(!gone.is_empty());
    assert_ne!(part["response"], whole["response"]);
    // Nothing of what was masked may hold any mass, in any signal.
    for signal in part["signals"].as_array().unwrap() {
        for token in signal["tokens"].as_array().unwrap() {
            for mass in token.as_array().unwrap() {
                let zero = mass[1].as_f64() == Some(0.0);
                assert!(zero || !gone.contains(&mass[0].as_u64().unwrap()), "{mass}");
            }
        }
    }
    let cited = part["attributions"].to_string();
    for unit in &gone {
        assert!(!cited.contains(&format!("\"unit\":{unit},")), "{cited}");
    }
    let html = page(&house, &child).await;
    assert!(html.contains("Answered without Text 1") && html.contains(&format!("/t/{parent}")));
    assert!(
        page(&house, &parent)
            .await
            .contains(&format!("data-child=\"{child}\""))
    );

    // A child of a child lacks both; a measurement on a child knows what is not there.
    let both = accepted(without(&house, &child, &json!({"units": [gone.len() + 1]})).await).await;
    let both = house.record(&both).await;
    assert!(both["child_of"]["without"].as_array().unwrap().len() > gone.len());
    let url = format!("{}/api/traces/{child}/faithfulness", house.url);
    let question = json!({"chunk": 0, "units": [gone.len() + 1], "draws": 4});
    let asked = house.client.post(url).json(&question).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    let asked: Value = asked.json().await.unwrap();
    let drawn = asked["random"].as_array().unwrap().iter();
    for unit in drawn.flat_map(|own| own["units"].as_array().unwrap()) {
        assert!(!gone.contains(&unit.as_u64().unwrap()), "{asked}");
    }

    // A deleted child is no longer named.
    let key = body["delete"]
        .as_str()
        .unwrap()
        .split("key=")
        .nth(1)
        .unwrap();
    let delete = format!("/api/traces/{child}/delete?key={key}");
    assert_eq!(house.post(&delete).await.status(), StatusCode::NO_CONTENT);
    assert!(!page(&house, &parent).await.contains("data-child"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_form_is_led_to_the_child_and_nonsense_is_refused() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let parent = house.accept(&conversation()).await;
    house.record(&parent).await;
    let url = format!("{}/api/traces/{parent}/without?source=2", house.url);
    let form = house.client.post(url).header("Accept", "text/html");
    let page = form.send().await.unwrap();
    assert!(page.url().path().starts_with("/t/"), "{}", page.url());
    let bad = StatusCode::BAD_REQUEST;
    let cases = [
        (json!({}), "bad_request"),
        (json!({"units": []}), "bad_request"),
        (json!({"units": [99_999]}), "unknown_unit"),
        (json!({"sources": [99]}), "unknown_source"),
        (json!({"unit": [1]}), "bad_request"),
        (json!([1]), "bad_request"),
    ];
    for (wanted, code) in cases {
        refused(without(&house, &parent, &wanted).await, bad, code).await;
    }
    let unknown = without(&house, "nosuchtrace", &json!({"units": [1]})).await;
    refused(unknown, StatusCode::NOT_FOUND, "unknown_trace").await;
    house.close().await;
}
