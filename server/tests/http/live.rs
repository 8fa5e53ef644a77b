//! Live generation: events tell the whole story, once, to everyone, from wherever they come in; stop stops.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::house::{Ground, House, config, kind, long, refused, short};

crate::on_both!(
    events_rebuild_the_record,
    a_stream_resumes_where_it_was,
    a_viewer_leaving_does_not_cancel_and_two_see_the_same,
    stop_stops_within_one_step,
    a_full_queue_says_so_at_once,
);

async fn events_rebuild_the_record(ground: Ground) {
    let alone = matches!(ground, Ground::Alone);
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let id = house.accept(&short()).await;
    let events = house.all_events(&id).await;
    let record = house.record(&id).await;

    let ids: Vec<u64> = events.iter().map(|(id, _)| *id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    if alone {
        assert_eq!(ids, (0..events.len() as u64).collect::<Vec<_>>());
    }
    assert_eq!(kind(&events[0]), "queued");
    assert_eq!(kind(events.last().unwrap()), "done");
    let of = |wanted: &str| {
        events
            .iter()
            .filter(|event| kind(event) == wanted)
            .map(|(_, e)| e)
            .collect::<Vec<_>>()
    };
    let sources = of("sources");
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0]["sources"], record["sources"]);
    assert_eq!(sources[0]["units"], record["units"]);
    let text: String = of("token")
        .iter()
        .map(|token| token["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, record["response"].as_str().unwrap());
    assert!(!text.is_empty(), "the model says something");
    let chunks: Vec<Value> = of("chunk")
        .iter()
        .map(|event| event["chunk"].clone())
        .collect();
    assert_eq!(Value::from(chunks), record["chunks"]);
    let attributions: Vec<Value> = of("chunk")
        .iter()
        .map(|event| event["attribution"].clone())
        .collect();
    assert_eq!(Value::from(attributions), record["attributions"]);
    assert_eq!(record["id"], id.as_str());
    assert!(record["receipt"]["created_unix_secs"].as_u64().unwrap() > 0);
    assert!(!record["receipt"]["model_hash"].as_str().unwrap().is_empty());
    house.close().await;
}

async fn a_stream_resumes_where_it_was(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let id = house.accept(&short()).await;
    // The first viewer leaves after a few events; the trace goes on.
    let mut first: Vec<_> = house.events(&id, None).await.take(4).collect().await;
    let last = first.last().unwrap().0;
    let rest: Vec<_> = house.events(&id, Some(last)).await.collect().await;
    first.extend(rest);
    assert_eq!(first, house.all_events(&id).await);

    // As a browser does it by itself.
    let url = format!("{}/api/traces/{id}/events", house.url);
    let resumed = |after: u64| {
        house
            .client
            .get(&url)
            .header("Last-Event-ID", after.to_string())
            .send()
    };
    let again: Vec<_> = crate::house::events(resumed(last).await.unwrap())
        .collect()
        .await;
    assert_eq!(again, first[4..]);
    // Nothing is left: the status that ends a browser's retries.
    let end = first.last().unwrap().0;
    assert_eq!(resumed(end).await.unwrap().status(), StatusCode::NO_CONTENT);
    house.close().await;
}

async fn a_viewer_leaving_does_not_cancel_and_two_see_the_same(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let mut request = long();
    request["options"]["max_new_tokens"] = json!(60);
    let id = house.accept(&request).await;
    let mut leaver = house.events(&id, None).await;
    while kind(&leaver.next().await.expect("an event")) != "token" {}
    let second = house.events(&id, None).await;
    drop(leaver);
    let seen: Vec<_> = second.collect().await;
    assert_eq!(seen, house.all_events(&id).await);
    assert_eq!(house.record(&id).await["receipt"]["finish"], "length");
    house.close().await;
}

async fn stop_stops_within_one_step(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let id = house.accept(&long()).await;
    let mut events = house.events(&id, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    let answer = house.post(&format!("/api/traces/{id}/stop")).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let rest: Vec<_> = events.collect().await;
    assert_eq!(kind(rest.last().unwrap()), "done");
    let record = house.record(&id).await;
    assert_eq!(record["receipt"]["finish"], "stopped");
    let tokens = record["tokens"].as_array().unwrap().len();
    assert!((1..1000).contains(&tokens), "{tokens} tokens were made");
    // Stopping what has ended is no error.
    assert_eq!(
        house.post(&format!("/api/traces/{id}/stop")).await.status(),
        StatusCode::ACCEPTED
    );
    house.close().await;
}

async fn a_full_queue_says_so_at_once(ground: Ground) {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.queue = 1;
    let house = House::on_with(ground, config, &data).await;
    let running = house.accept(&long()).await;
    let mut events = house.events(&running, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    let waiting = house.accept(&short()).await;

    let answer = house.send(&short()).await;
    let secs: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(secs >= 1);
    refused(answer, StatusCode::TOO_MANY_REQUESTS, "queue_full").await;
    let limits: Value = house.get("/api/limits").await.json().await.unwrap();
    assert_eq!(limits["queued"], 1);

    let status = house.get(&format!("/api/traces/{waiting}")).await;
    assert_eq!(status.status(), StatusCode::ACCEPTED);
    let status: Value = status.json().await.unwrap();
    assert_eq!(
        (&status["code"], &status["position"]),
        (&json!("queued"), &json!(0))
    );

    // What waits can be taken back, and its place is free again.
    house.post(&format!("/api/traces/{waiting}/stop")).await;
    let last = house.all_events(&waiting).await.pop().unwrap();
    assert_eq!(
        (kind(&last), last.1["code"].as_str()),
        ("failed", Some("stopped"))
    );
    let answer = house.get(&format!("/api/traces/{waiting}")).await;
    refused(answer, StatusCode::UNPROCESSABLE_ENTITY, "stopped").await;
    let next = house.accept(&short()).await;
    house.post(&format!("/api/traces/{running}/stop")).await;
    house.record(&next).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_in_the_queue_counts_down() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let running = house.accept(&long()).await;
    let mut events = house.events(&running, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    let ids = [
        house.accept(&short()).await,
        house.accept(&short()).await,
        house.accept(&short()).await,
    ];
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.post(&format!("/api/traces/{running}/stop")).await;
    let last = house.all_events(&ids[2]).await;
    let positions: Vec<_> = last
        .iter()
        .filter(|event| kind(event) == "queued")
        .map(|(_, event)| event["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, [2, 1, 0]);
    house.close().await;
}
