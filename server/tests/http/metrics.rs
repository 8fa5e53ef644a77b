//! What the operator watches tells what happened, on its own address only, and nothing about anybody.

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::json;
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, config, kind, long, short};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened_and_name_nobody() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.queue = 1;
    config.metrics = Some(([127, 0, 0, 1], 0).into());
    let house = House::with(config, Limits::default()).await;
    let mut request = short();
    request["prompt"] = json!("A secret question?");
    let finished = house.accept(&request).await;
    house.record(&finished).await;
    let stopped = house.accept(&long()).await;
    let mut events = house.events(&stopped, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    let withdrawn = house.accept(&short()).await;
    let refused = house.send(&short()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    house.post(&format!("/api/traces/{withdrawn}/stop")).await;
    house.post(&format!("/api/traces/{stopped}/stop")).await;
    house.all_events(&stopped).await;
    assert_eq!(
        house.get("/api/traces/none").await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(house.get("/metrics").await.status(), StatusCode::NOT_FOUND);

    let url = house.metrics_url.clone().expect("asked for");
    let text = house.client.get(url).send().await.unwrap();
    let text = text.text().await.unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is missing in\n{text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value(r#"omnitrace_traces_total{end="finished"}"#), 1.0);
    assert_eq!(value(r#"omnitrace_traces_total{end="withdrawn"}"#), 1.0);
    assert_eq!(value(r#"omnitrace_rejected_total{code="queue_full"}"#), 1.0);
    assert_eq!(value(r#"omnitrace_errors_total{code="queue_full"}"#), 1.0);
    assert_eq!(
        value(r#"omnitrace_errors_total{code="unknown_trace"}"#),
        1.0
    );
    assert!(value("omnitrace_waited_seconds_count") >= 2.0);
    assert!(value(r#"omnitrace_model_uses_total{model="in_memory"}"#) >= 1.0);
    assert_eq!(value(r#"omnitrace_model_uses_total{model="loaded"}"#), 1.0);
    assert!(value("omnitrace_data_bytes ") > 1e4);
    if cfg!(target_os = "linux") {
        assert!(value("omnitrace_process_resident_bytes ") > 1e7);
    }
    assert_eq!(value("omnitrace_queued_traces "), 0.0);
    assert!(value("omnitrace_first_token_seconds_count") >= 1.0);
    assert!(value("omnitrace_token_seconds_count") >= 1.0);
    assert!(value(r#"omnitrace_stage_seconds_count{stage="prefill"}"#) >= 1.0);
    assert!(value(r#"omnitrace_http_responses_total{status="404"}"#) >= 2.0);
    assert!(value(r#"omnitrace_model_weights_bytes{model="tiny-omni"}"#) > 1e6);
    assert!(text.ends_with("# EOF\n"));
    for secret in ["secret", &finished, "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    house.close().await;
}
