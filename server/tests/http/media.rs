//! Uploads and `/media`: what was sent comes back, in ranges, under its true type.

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::house::{Ground, House, accepted, no_incoming, refused};

fn picture() -> Vec<u8> {
    let rgb: Vec<u8> = (0..56 * 56)
        .flat_map(|k| [(k % 251) as u8, (k / 56) as u8, 90])
        .collect();
    media::encode::png(56, 56, &rgb).expect("a PNG")
}

crate::on_both!(
    an_upload_is_traced_and_served_in_ranges,
    damaged_media_fail_the_trace_with_a_sentence,
);

async fn an_upload_is_traced_and_served_in_ranges(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let png = picture();
    let request = json!({
        "prompt": "Describe the picture.\n",
        "question": [{"image": "a"}, {"text": "And again:\n"}, {"image": "a"}],
        "options": {"max_new_tokens": 4}
    });
    // Files may come before the field that names them.
    let form = Form::new()
        .part("a", Part::bytes(png.clone()).file_name("../../dot.exe"))
        .text("request", request.to_string());
    let id = accepted(house.send_form(form).await).await;
    let record = house.record(&id).await;
    let items: Vec<&Value> = record["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["item"])
        .collect();
    let kinds: Vec<_> = items
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["text", "image", "text", "image"]);
    assert_eq!(items[1]["name"], "dot.exe");
    assert_eq!(items[1]["media"], items[3]["media"]);

    let path = format!("/media/{}", items[1]["media"].as_str().unwrap());
    let whole = house.get(&path).await;
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.headers()["content-type"], "image/png");
    assert_eq!(whole.headers()["x-content-type-options"], "nosniff");
    assert!(
        whole.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let etag = whole.headers()["etag"].clone();
    assert_eq!(whole.bytes().await.unwrap(), png);

    let url = format!("{}{path}", house.url);
    let ranged = |range: &'static str| house.client.get(&url).header("Range", range).send();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=-5", png.len() - 5, png.len()),
    ] {
        let part = ranged(range).await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(
            part.headers()["content-range"],
            format!("bytes {from}-{}/{}", to - 1, png.len()).as_str()
        );
        assert_eq!(part.bytes().await.unwrap(), png[from..to], "{range}");
    }
    let beyond = ranged("bytes=99999999-").await.unwrap();
    assert_eq!(
        beyond.headers()["content-range"],
        format!("bytes */{}", png.len()).as_str()
    );
    refused(beyond, StatusCode::RANGE_NOT_SATISFIABLE, "bad_range").await;
    let known = house
        .client
        .get(&url)
        .header("If-None-Match", etag)
        .send()
        .await
        .unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);

    for hash in [
        "0123456789abcdef0123456789abcdef",
        "..%2f..%2fomnitrace.sqlite",
        "x",
    ] {
        refused(
            house.get(&format!("/media/{hash}")).await,
            StatusCode::NOT_FOUND,
            "unknown_media",
        )
        .await;
    }
    no_incoming(&data);
    house.close().await;
}

async fn damaged_media_fail_the_trace_with_a_sentence(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let mut png = picture();
    png.truncate(png.len() / 2);
    let request = json!({"question": [{"image": "a"}]});
    let form = Form::new()
        .text("request", request.to_string())
        .part("a", Part::bytes(png).file_name("half.png"));
    let id = accepted(house.send_form(form).await).await;
    let last = house.all_events(&id).await.pop().unwrap().1;
    assert_eq!(
        (last["type"].as_str(), last["code"].as_str()),
        (Some("failed"), Some("media"))
    );
    let message = refused(
        house.get(&format!("/api/traces/{id}")).await,
        StatusCode::UNPROCESSABLE_ENTITY,
        "media",
    )
    .await;
    assert!(message.contains("half.png"), "{message}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surprise_is_a_fresh_sample_and_a_seed_repeats_it() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let path = format!("/api/examples/audio-qa?seed={}", u64::MAX);
    let (a, b) = (
        accepted(house.post(&path).await).await,
        accepted(house.post(&path).await).await,
    );
    assert_ne!(a, b);
    let mut records = [house.record(&a).await, house.record(&b).await];
    assert_eq!(
        records[0]["sources"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["item"]["kind"] == "audio")
            .count(),
        1
    );
    for record in &mut records {
        record["id"] = Value::Null;
        record["receipt"]["created_unix_secs"] = Value::Null;
        record["receipt"]["stage_secs"] = Value::Null;
    }
    assert_eq!(
        records[0], records[1],
        "input, weights and settings decide the record, nothing else"
    );
    refused(
        house.post("/api/examples/tea").await,
        StatusCode::NOT_FOUND,
        "unknown_task",
    )
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_turn_may_show_a_picture() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let request = json!({
        "system": "Be short.",
        "turns": [
            {"role": "user", "content": [{"image": "a"}, {"text": "What is it?"}]},
            {"role": "assistant", "content": "A circle."}
        ],
        "prompt": "And this?\n",
        "question": [{"image": "a"}],
        "options": {"max_new_tokens": 4, "image_grid": 2}
    });
    let form = Form::new()
        .text("request", request.to_string())
        .part("a", Part::bytes(picture()).file_name("a.png"));
    let url = format!("{}/api/traces", house.url);
    let response = house.client.post(url).multipart(form).send().await.unwrap();
    let record = house.record(&accepted(response).await).await;
    let settings = &record["receipt"]["settings"];
    assert_eq!(settings["image_grid"], 2);
    assert_eq!(settings["system"], "Be short.");
    let firsts: Vec<u64> = settings["turns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| turn["first_source"].as_u64().unwrap())
        .collect();
    assert_eq!(firsts, [0, 2, 3]);
    assert_eq!(record["sources"].as_array().unwrap().len(), 5);

    let turns = json!({"prompt": "p", "turns": [{"role": "assistant", "content": "x"}]});
    let message = refused(
        house.send(&turns).await,
        StatusCode::BAD_REQUEST,
        "bad_request",
    )
    .await;
    assert!(message.contains("Turn 1"), "{message}");
    house.close().await;
}
