//! Which models there are and in what state each is: loaded on first use, evicted when memory is short, in the precision that
//! a request chooses.

use reqwest::StatusCode;
use serde_json::{Value, json};
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, config, short};

#[tokio::test(flavor = "multi_thread")]
async fn models_come_and_go_and_say_so() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    // Room for one of the two in f32 (26 MiB each), for both in bf16.
    config.models.model_memory = Some(30 << 20);
    let house = House::with(config, Limits::default()).await;
    let states = async || {
        let models: Value = house.get("/api/models").await.json().await.unwrap();
        [0, 1].map(|k| models[k]["state"]["is"].as_str().unwrap().to_owned())
    };
    let ask = async |model: &str, dtype: Value| {
        let mut request = short();
        request["options"] = json!({"model": model, "dtype": dtype, "max_new_tokens": 2});
        let id = house.accept(&request).await;
        house.record(&id).await["receipt"]["dtype"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(ask("tiny-omni", Value::Null).await, "f32");
    assert_eq!(states().await, ["loaded", "unloaded"]);
    let ready = house.get("/readyz").await;
    assert_eq!(ready.status(), StatusCode::OK);
    let ready = ready.text().await.unwrap();
    assert!(
        ready.starts_with("ready")
            && ready.contains("tiny-omni: loaded, f32")
            && ready.contains("endless: loaded on first use"),
        "{ready}"
    );
    assert_eq!(ask("endless", Value::Null).await, "f32");
    assert_eq!(states().await, ["unloaded", "loaded"]);
    assert_eq!(ask("tiny-omni", json!("bf16")).await, "bf16");
    assert_eq!(states().await, ["loaded", "unloaded"]);
    assert_eq!(ask("endless", json!("bf16")).await, "bf16");
    assert_eq!(states().await, ["loaded", "loaded"]);
    house.close().await;
}
