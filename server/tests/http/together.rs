//! Several traces at a time: the same records as one by one, in turn, stopped one by one, put back together; on one machine and
//! on many.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use server::config::ServeConfig;
use tempfile::{TempDir, tempdir};

use crate::house::{Ground, House, config, kind, long, short};

crate::on_both!(
    company_changes_no_record,
    they_run_at_a_time_and_are_stopped_one_by_one,
    all_that_run_survive_an_orderly_end,
    another_models_turn_comes_before_who_could_join,
);

fn several(data: &TempDir, together: u16) -> ServeConfig {
    ServeConfig {
        together,
        ..config(data.path().to_owned())
    }
}

/// Four questions of different lengths, one with its own dice.
fn questions() -> Vec<Value> {
    let question = |text: &str, options: Value| {
        json!({
            "prompt": "Summarize the conversation.\n",
            "question": [{"text": text}, {"text": "Ben: Nice. I saw a blue bird.\n"}],
            "options": options
        })
    };
    vec![
        short(),
        question(
            &"Anna: I bought a red car.\n".repeat(12),
            json!({"max_new_tokens": 40}),
        ),
        question(
            "Anna: I saw a green dog.\n",
            json!({"max_new_tokens": 30, "temperature": 0.9, "seed": 7, "model": "endless"}),
        ),
        question(
            "Ann: A yellow cat.\n",
            json!({"max_new_tokens": 60, "model": "endless"}),
        ),
        question(
            "Ann: A white cow.\n",
            json!({"max_new_tokens": 50, "model": "endless"}),
        ),
    ]
}

/// A record without what the server adds: id and times.
fn bare(mut record: Value) -> Value {
    record["id"] = Value::Null;
    for time in ["created_unix_secs", "stage_secs"] {
        record["receipt"][time] = Value::Null;
    }
    record
}

/// The records of all questions, sent at once.
async fn records(ground: Ground, together: u16) -> Vec<Value> {
    let data = tempdir().unwrap();
    let house = House::on_with(ground, several(&data, together), &data).await;
    let mut ids = Vec::new();
    for question in questions() {
        ids.push(house.accept(&question).await);
    }
    let mut records = Vec::new();
    for id in ids {
        records.push(bare(house.record(&id).await));
    }
    house.close().await;
    records
}

async fn company_changes_no_record(ground: Ground) {
    assert_eq!(records(Ground::Alone, 1).await, records(ground, 3).await);
}

/// What is said of a trace that has not ended.
async fn state(house: &House, id: &str) -> Value {
    let answer = house.get(&format!("/api/traces/{id}")).await;
    answer.json().await.unwrap()
}

async fn they_run_at_a_time_and_are_stopped_one_by_one(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on_with(ground, several(&data, 2), &data).await;
    let first = house.accept(&long()).await;
    let second = house.accept(&long()).await;
    let third = house.accept(&long()).await;
    // Both write at a time; the third waits.
    let mut streams = BTreeMap::new();
    for id in [&first, &second] {
        let mut stream = house.events(id, None).await;
        while kind(&stream.next().await.expect("an event")) != "token" {}
        streams.insert(id.clone(), stream);
    }
    let (one, two) = (state(&house, &first).await, state(&house, &second).await);
    let three = state(&house, &third).await;
    assert_eq!(
        (&one["code"], &two["code"]),
        (&json!("running"), &json!("running"))
    );
    assert_eq!(three["code"], json!("queued"), "{three}");
    let stopped = house.post(&format!("/api/traces/{first}/stop")).await;
    assert!(stopped.status().is_success());
    let record = house.record(&first).await;
    assert_eq!(record["receipt"]["finish"], "stopped");
    // Its place is taken by the next, and the other goes on.
    let mut stream = house.events(&third, None).await;
    while kind(&stream.next().await.expect("an event")) != "token" {}
    let two = state(&house, &second).await;
    assert_eq!(two["code"], json!("running"), "{two}");
    for id in [&second, &third] {
        let stopped = house.post(&format!("/api/traces/{id}/stop")).await;
        assert!(stopped.status().is_success());
        house.record(id).await;
    }
    house.close().await;
}

async fn all_that_run_survive_an_orderly_end(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on_with(ground, several(&data, 3), &data).await;
    let mut request = long();
    request["options"]["max_new_tokens"] = json!(200);
    let running = [house.accept(&request).await, house.accept(&request).await];
    for id in &running {
        let mut stream = house.events(id, None).await;
        while kind(&stream.next().await.expect("an event")) != "token" {}
    }
    let ground = house.close_but_for_nats().await;

    let house = House::on_with(ground, several(&data, 3), &data).await;
    let first = bare(house.record(&running[0]).await);
    assert_eq!(first["tokens"].as_array().unwrap().len(), 200);
    assert_eq!(bare(house.record(&running[1]).await), first);
    house.close().await;
}

async fn another_models_turn_comes_before_who_could_join(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on_with(ground, several(&data, 2), &data).await;
    let first = house.accept(&long()).await;
    let mut stream = house.events(&first, None).await;
    while kind(&stream.next().await.expect("an event")) != "token" {}
    let other = house.accept(&short()).await;
    let second = house.accept(&long()).await;
    // There is room for it beside the first, which goes on.
    tokio::time::sleep(Duration::from_millis(300)).await;
    while kind(&stream.next().await.expect("an event")) != "token" {}
    for id in [&other, &second] {
        assert_eq!(state(&house, id).await["code"], json!("queued"));
    }
    for id in [&first, &second] {
        let stopped = house.post(&format!("/api/traces/{id}/stop")).await;
        assert!(stopped.status().is_success());
    }
    house.record(&first).await;
    house.record(&other).await;
    house.close().await;
}
