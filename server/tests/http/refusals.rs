//! What is not a request is refused with a fitting status and a sentence, before it costs anything.

use reqwest::multipart::{Form, Part};
use reqwest::{Body, Response, StatusCode};
use serde_json::{Value, json};
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, config, no_incoming, refused, short};

async fn post(house: &House, kind: &str, body: impl Into<Body>) -> Response {
    let url = format!("{}/api/traces", house.url);
    house
        .client
        .post(url)
        .header("Content-Type", kind)
        .body(body)
        .send()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_named() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let bad = StatusCode::BAD_REQUEST;
    refused(
        post(&house, "application/json", "{").await,
        bad,
        "bad_request",
    )
    .await;
    refused(
        post(&house, "application/json", "[]").await,
        bad,
        "bad_request",
    )
    .await;
    refused(
        post(&house, "application/json", "{}").await,
        bad,
        "bad_request",
    )
    .await;
    refused(
        post(&house, "text/plain", "hello").await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "wrong_content_type",
    )
    .await;
    refused(
        post(&house, "multipart/form-data", "x").await,
        bad,
        "bad_request",
    )
    .await;
    refused(
        post(&house, "multipart/form-data; boundary=b", "--b\r\nno").await,
        bad,
        "bad_request",
    )
    .await;
    refused(
        post(&house, "multipart/form-data; boundary=b", "--b--\r\n").await,
        bad,
        "bad_request",
    )
    .await;
    refused(
        house.send(&json!({"question": [{"image": "a.png"}]})).await,
        bad,
        "missing_part",
    )
    .await;

    let mut unknown_model = short();
    unknown_model["options"]["model"] = json!("gpt");
    let message = refused(house.send(&unknown_model).await, bad, "unknown_model").await;
    assert!(message.contains("gpt"));
    let mut unknown_option = short();
    unknown_option["options"]["temprature"] = json!(1);
    assert!(
        refused(house.send(&unknown_option).await, bad, "bad_request")
            .await
            .contains("temprature")
    );
    let mut too_long = short();
    too_long["options"]["max_new_tokens"] = json!(1_000_000);
    refused(house.send(&too_long).await, bad, "bad_request").await;

    let request = json!({"question": [{"image": "a"}]}).to_string();
    refused(
        house
            .send_form(Form::new().text("request", request.clone()))
            .await,
        bad,
        "missing_part",
    )
    .await;
    refused(
        house
            .send_form(Form::new().part("a", Part::bytes(vec![1])))
            .await,
        bad,
        "bad_request",
    )
    .await;
    let twice = Form::new()
        .part("a", Part::bytes(vec![1]))
        .part("a", Part::bytes(vec![2]));
    refused(house.send_form(twice).await, bad, "bad_request").await;
    let no_picture = Form::new()
        .text("request", request)
        .part("a", Part::bytes(&b"<html>"[..]).file_name("a.png"));
    let message = refused(
        house.send_form(no_picture).await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media",
    )
    .await;
    assert!(message.contains("a.png"));

    no_incoming(&data);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_are_json_under_the_api() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let missing = StatusCode::NOT_FOUND;
    refused(
        house.get("/api/traces/nosuchtrace").await,
        missing,
        "unknown_trace",
    )
    .await;
    refused(
        house.get("/api/traces/nosuchtrace/events").await,
        missing,
        "unknown_trace",
    )
    .await;
    refused(
        house.post("/api/traces/nosuchtrace/stop").await,
        missing,
        "unknown_trace",
    )
    .await;
    refused(house.get("/api/nothing").await, missing, "unknown_route").await;
    refused(
        house.get("/api/traces/%ff").await,
        StatusCode::BAD_REQUEST,
        "bad_request",
    )
    .await;
    refused(
        house.get("/api/traces/x/events?after=minus").await,
        StatusCode::BAD_REQUEST,
        "bad_request",
    )
    .await;
    let wrong = house.get("/api/traces").await;
    assert_eq!(wrong.headers()["allow"], "POST");
    refused(wrong, StatusCode::METHOD_NOT_ALLOWED, "wrong_method").await;
    let url = format!("{}/api/examples/dialogue", house.url);
    let foreign = house
        .client
        .post(url)
        .header("Sec-Fetch-Site", "cross-site")
        .send()
        .await
        .unwrap();
    refused(foreign, StatusCode::FORBIDDEN, "foreign_site").await;

    let models: Value = house.get("/api/models").await.json().await.unwrap();
    assert_eq!(models[0]["default"], true);
    assert_eq!(house.get("/livez").await.status(), StatusCode::OK);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_refused_before_it_is_kept() {
    let data = tempdir().unwrap();
    let limits = Limits {
        max_file_bytes: 1000,
        max_request_bytes: 20_000,
        max_text_bytes: 2000,
        max_items: 3,
        ..Limits::default()
    };
    let house = House::with(config(data.path().to_owned()), limits).await;
    let large = StatusCode::PAYLOAD_TOO_LARGE;
    let request = json!({"question": [{"audio": "a"}]}).to_string();
    let with = |bytes: usize| {
        Form::new()
            .text("request", request.clone())
            .part("a", Part::bytes(vec![0; bytes]))
    };
    refused(house.send_form(with(1001)).await, large, "too_large").await;
    // By its declared length.
    refused(house.send_form(with(30_000)).await, large, "too_large").await;
    // Of so much most is still on its way when it is refused: it is read on, or the sentence would be lost with the connection.
    refused(house.send_form(with(24 << 20)).await, large, "too_large").await;
    // Without one.
    let head = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
    let chunks = std::iter::once(head.as_bytes().to_vec()).chain((0..3).map(|_| vec![b'x'; 300]));
    let stream = futures_util::stream::iter(chunks.map(Ok::<_, std::io::Error>));
    let answer = post(
        &house,
        "multipart/form-data; boundary=b",
        Body::wrap_stream(stream),
    )
    .await;
    assert_eq!(
        answer.status(),
        StatusCode::BAD_REQUEST,
        "cut off, though small enough"
    );
    let long = json!({"prompt": "x".repeat(2500)});
    refused(house.send(&long).await, large, "too_large").await;
    let many = json!({"question": [{"text": "a"}, {"text": "a"}, {"text": "a"}, {"text": "a"}]});
    refused(house.send(&many).await, large, "too_large").await;
    no_incoming(&data);
    assert_eq!(
        std::fs::read_dir(data.path().join("media"))
            .unwrap()
            .count(),
        0,
        "nothing refused is kept"
    );
    house.close().await;
}
