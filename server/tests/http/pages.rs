//! Pages arrive readable, under a policy that lets no foreign or injected script run.

use reqwest::StatusCode;
use serde_json::json;
use tempfile::tempdir;

use crate::house::{House, config, short};

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_trace_reads_without_a_script() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let mut request = short();
    request["question"][0]["text"] = json!("Anna: <script>alert(1)</script> & more.\n");
    let id = house.accept(&request).await;
    let record = house.record(&id).await;
    let page = house.get(&format!("/t/{id}")).await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .expect("a nonce")
        .to_owned();
    assert!(nonce.len() >= 16);
    let html = page.text().await.unwrap();
    assert!(!html.contains("<script>alert(1)"), "typed text stays text");
    let data = html.matches("<script type=\"application/json\"").count();
    assert_eq!(data, 1, "the trace's data, which no browser runs");
    let scripts = html.matches("<script").count() - data;
    assert!(scripts > 0);
    assert_eq!(
        html.matches(&format!("nonce=\"{nonce}\""))
            .count()
            .min(scripts),
        scripts,
        "every script that runs has the nonce"
    );
    for chunk in 0..record["chunks"].as_array().unwrap().len() {
        assert!(html.contains(&format!("data-chunk=\"{chunk}\"")));
    }
    let again = house.get(&format!("/t/{id}")).await;
    assert_ne!(
        again.headers()["content-security-policy"].to_str().unwrap(),
        policy,
        "a nonce is used once"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_page_that_says_so() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    for path in ["/t/nosuchtrace", "/no-such-page", "/pkg/../../etc/passwd"] {
        let page = house.get(path).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(page.text().await.unwrap().contains("<h1"), "{path}");
    }
    for path in ["/", "/new", "/about"] {
        let page = house.get(path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_traces_the_examples_and_the_second_keeps_them() {
    let data = tempdir().unwrap();
    let start = || {
        let mut config = config(data.path().to_owned());
        config.no_examples = false;
        House::with(config, Default::default())
    };
    let house = start().await;
    let slots = server::gallery::slots();
    let mut before = Vec::new();
    for slot in &slots {
        // Queued in order, in the background: the first question may come before its trace is there.
        while house
            .get(&format!("/api/traces/{}", slot.id))
            .await
            .status()
            == StatusCode::NOT_FOUND
        {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        before.push(house.record(&slot.id).await);
    }
    let html = house.get("/").await.text().await.unwrap();
    for slot in &slots {
        assert!(html.contains(&format!("/t/{}", slot.id)), "{}", slot.id);
    }
    house.close().await;

    let house = start().await;
    for (slot, before) in slots.iter().zip(&before) {
        assert_eq!(&house.record(&slot.id).await, before, "made once");
    }
    house.close().await;
}
