//! What can be taken along, and what is gone after a deletion.

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::house::{Ground, House, refused, short};

crate::on_both!(
    a_deleted_trace_takes_its_files_along_unless_another_needs_them,
    a_view_has_one_short_link_and_nonsense_none,
);

/// A trace of a small picture; its id, its delete link and the picture's address.
async fn with_picture(house: &House) -> (String, String, String) {
    let rgb: Vec<u8> = (0..56 * 56)
        .flat_map(|k| [(k % 251) as u8, 9, 90])
        .collect();
    let png = media::encode::png(56, 56, &rgb).expect("a PNG");
    let request = json!({
        "prompt": "Describe the picture.\n", "question": [{"image": "a"}], "options": {"max_new_tokens": 4}
    });
    let form = Form::new()
        .part("a", Part::bytes(png).file_name("a.png"))
        .text("request", request.to_string());
    let response = house.send_form(form).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let body: Value = response.json().await.unwrap();
    let id = body["id"].as_str().unwrap().to_owned();
    let record = house.record(&id).await;
    let item = record["sources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["item"]["kind"] == "image");
    let media = format!(
        "/media/{}",
        item.unwrap()["item"]["media"].as_str().unwrap()
    );
    (id, body["delete"].as_str().unwrap().to_owned(), media)
}

async fn a_deleted_trace_takes_its_files_along_unless_another_needs_them(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let (first, first_key, media) = with_picture(&house).await;
    let (second, second_key, same) = with_picture(&house).await;
    assert_eq!(media, same, "the same file is kept once");
    let delete = |id: &str, link: &str| {
        let key = link.split("key=").nth(1).unwrap_or_default().to_owned();
        format!("/api/traces/{id}/delete?key={key}")
    };
    refused(
        house.post(&delete(&first, &second_key)).await,
        StatusCode::FORBIDDEN,
        "wrong_key",
    )
    .await;
    refused(
        house.post(&format!("/api/traces/{first}/delete")).await,
        StatusCode::FORBIDDEN,
        "wrong_key",
    )
    .await;
    assert_eq!(
        house.post(&delete(&first, &first_key)).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house.get(&format!("/t/{first}")).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        house.get(&media).await.status(),
        StatusCode::OK,
        "the second trace needs it"
    );
    assert_eq!(
        house.post(&delete(&second, &second_key)).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(house.get(&media).await.status(), StatusCode::NOT_FOUND);
    refused(
        house.post(&delete(&second, &second_key)).await,
        StatusCode::NOT_FOUND,
        "unknown_trace",
    )
    .await;
    house.close().await;
}

async fn a_view_has_one_short_link_and_nonsense_none(ground: Ground) {
    let data = tempdir().unwrap();
    let house = House::on(ground, &data).await;
    let id = house.accept(&short()).await;
    house.record(&id).await;
    let share = async |view: &str| {
        let url = format!("{}/api/traces/{id}/share", house.url);
        house
            .client
            .post(url)
            .json(&json!({"view": view}))
            .send()
            .await
            .unwrap()
    };
    let link: Value = share("?s=0&signal=attraw").await.json().await.unwrap();
    let again: Value = share("s=0&signal=attraw&").await.json().await.unwrap();
    let other: Value = share("").await.json().await.unwrap();
    assert_eq!(link["url"], again["url"]);
    assert_ne!(link["url"], other["url"]);
    let code = house
        .get(&format!("{}/qr.svg", link["url"].as_str().unwrap()))
        .await;
    assert_eq!(code.headers()["content-type"], "image/svg+xml");
    for view in ["?s=<script>", "?s=\r\nSet-Cookie: a=b", &"?s=1".repeat(400)] {
        refused(share(view).await, StatusCode::BAD_REQUEST, "bad_request").await;
    }
    let lost = house.get("/s/nosuchlink").await;
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
    for path in ["card.png", "figure.svg", "figure.png", "page.html"] {
        let file = house.get(&format!("/t/{id}/{path}")).await;
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        assert!(file.bytes().await.unwrap().len() > 500, "{path}");
        assert_eq!(
            house.get(&format!("/t/nosuch/{path}")).await.status(),
            StatusCode::NOT_FOUND
        );
    }
    house.close().await;
}
