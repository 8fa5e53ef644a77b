//! What the operator watches tells what happened, on its own address only, and nothing about anybody.

use reqwest::StatusCode;
use serde_json::json;
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, config, long, short};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened_and_name_nobody() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.metrics = Some(([127, 0, 0, 1], 0).into());
    let house = House::with(config, Limits::default()).await;
    let mut request = short();
    request["prompt"] = json!("A secret question?");
    let finished = house.accept(&request).await;
    house.record(&finished).await;
    let stopped = house.accept(&long()).await;
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
