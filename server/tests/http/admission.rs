//! Who gets a place: clients have bounds of their own, a workshop has places of its own, a full disk refuses before it reads.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, accepted, config, kind, long, refused, short};

/// The cookie that a page gives.
fn cookie_of(page: &Response, name: &str) -> Option<String> {
    let set = page.headers().get_all("set-cookie").iter();
    set.filter_map(|value| value.to_str().ok())
        .find(|value| value.starts_with(&format!("{name}=")))
        .and_then(|value| value.split(';').next())
        .map(str::to_owned)
}

async fn send_as(house: &House, cookie: &str, request: &Value) -> Response {
    let url = format!("{}/api/traces", house.url);
    let request = house
        .client
        .post(url)
        .header("Cookie", cookie)
        .json(request);
    request.send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_has_so_many_traces_and_another_still_gets_in() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.admission.jobs_per_client = 2;
    let house = House::with(config, Limits::default()).await;
    let page = house.get("/new").await;
    let ann = cookie_of(&page, "client").expect("a cookie");
    let set = page.headers()["set-cookie"].to_str().unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Lax"),
        "{set}"
    );
    let url = format!("{}/new", house.url);
    let again = house
        .client
        .get(url)
        .header("Cookie", &ann)
        .send()
        .await
        .unwrap();
    assert_eq!(cookie_of(&again, "client"), None, "one is enough");
    let ben = cookie_of(&house.get("/").await, "client").expect("a cookie");
    assert_ne!(ann, ben);

    let running = accepted(send_as(&house, &ann, &long()).await).await;
    let mut events = house.events(&running, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    let waiting = send_as(&house, &ann, &short()).await;
    let waiting: Value = waiting.json().await.unwrap();
    assert!(
        waiting["expected_wait_secs"].as_f64().unwrap() > 0.0,
        "{waiting}"
    );
    let path = format!("/api/traces/{}", waiting["id"].as_str().unwrap());
    let status: Value = house.get(&path).await.json().await.unwrap();
    assert!(
        status["expected_wait_secs"].as_f64().unwrap() > 0.0,
        "{status}"
    );

    let begun = Instant::now();
    let answer = send_as(&house, &ann, &short()).await;
    assert!(
        answer.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    let message = refused(answer, StatusCode::TOO_MANY_REQUESTS, "too_many_jobs").await;
    assert!(message.contains('2'), "{message}");
    assert!(
        begun.elapsed().as_secs() < 5,
        "at once, not when there is room"
    );
    accepted(send_as(&house, &ben, &short()).await).await;
    house.post(&format!("/api/traces/{running}/stop")).await;
    house.record(&running).await;
    // One of hers has ended: its place is free, a moment after its record is there.
    let mut answer = send_as(&house, &ann, &short()).await;
    while answer.status() == StatusCode::TOO_MANY_REQUESTS && begun.elapsed().as_secs() < 60 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = send_as(&house, &ann, &short()).await;
    }
    let next = accepted(answer).await;
    house.record(&next).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workshop_has_places_of_its_own() {
    let data = tempdir().unwrap();
    let invites = data.path().join("invites");
    std::fs::write(&invites, "room 0123456789abcdef0123\n").unwrap();
    let mut config = config(data.path().join("data"));
    config.queue = 3;
    config.admission.invite_token_file = Some(invites);
    config.admission.invite_places = 2;
    let house = House::with(config, Limits::default()).await;
    refused(
        house.get("/join/nonsense").await,
        StatusCode::NOT_FOUND,
        "unknown_invitation",
    )
    .await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let door = format!("{}/join/0123456789abcdef0123", house.url);
    let door = client.get(door).send().await.unwrap();
    assert_eq!(
        (door.status(), &door.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/new".parse().unwrap())
    );
    let invite = cookie_of(&door, "invite").expect("an invitation");

    let running = house.accept(&long()).await;
    let mut events = house.events(&running, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    house.accept(&short()).await;
    refused(
        house.send(&short()).await,
        StatusCode::TOO_MANY_REQUESTS,
        "queue_full",
    )
    .await;
    accepted(send_as(&house, &invite, &short()).await).await;
    let url = format!("{}/api/traces", house.url);
    let by_header = house
        .client
        .post(url)
        .header("X-OmniTrace-Invite", "0123456789abcdef0123");
    accepted(by_header.json(&short()).send().await.unwrap()).await;
    refused(
        send_as(&house, &invite, &short()).await,
        StatusCode::TOO_MANY_REQUESTS,
        "queue_full",
    )
    .await;
    house.post(&format!("/api/traces/{running}/stop")).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_ends_when_its_seconds_are_over_with_what_it_has() {
    let data = tempdir().unwrap();
    let limits = Limits {
        max_job_secs: 0.3,
        ..Limits::default()
    };
    let house = House::with(config(data.path().to_owned()), limits).await;
    let id = house.accept(&long()).await;
    let record = house.record(&id).await;
    assert_eq!(record["receipt"]["finish"], "stopped");
    let warning = record["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("broken off"), "{record}");
    house.close().await;
}
