//! Nothing is listed, nothing outlives the policy, and what is reported can be taken down.

use std::process::Command;

use reqwest::StatusCode;
use serde_json::{Value, json};
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, config, refused, short};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_listed_and_the_policy_is_told() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.policy.keep_days = Some(30);
    config.policy.unshared_minutes = Some(15);
    config.policy.contact = Some("lab@example.org".into());
    let house = House::with(config, Limits::default()).await;
    let id = house.accept(&short()).await;
    house.record(&id).await;
    for path in [
        format!("/t/{id}"),
        format!("/t/{id}/embed"),
        format!("/t/{id}/card.png"),
        format!("/api/traces/{id}"),
    ] {
        let answer = house.get(&path).await;
        let robots = answer.headers()["x-robots-tag"].to_str().unwrap();
        assert!(robots.contains("noindex"), "{path}");
    }
    let page = house.get(&format!("/t/{id}")).await.text().await.unwrap();
    assert!(page.contains("<meta name=\"robots\" content=\"noindex\""));
    assert!(page.contains(&format!("/t/{id}/report")));
    assert!(page.contains("deleted 15 min after its end"));
    let home = house.get("/").await;
    assert!(
        !home.headers().contains_key("x-robots-tag"),
        "the house itself may be found"
    );
    assert!(
        !home.text().await.unwrap().contains(&id),
        "visitors' traces are not listed"
    );
    let robots = house.get("/robots.txt").await.text().await.unwrap();
    assert!(robots.contains("Disallow: /api/") && !robots.contains("/t/"));
    let privacy = house.get("/privacy").await;
    assert_eq!(privacy.status(), StatusCode::OK);
    let privacy = privacy.text().await.unwrap();
    for said in ["30 days", "15 minutes", "lab@example.org"] {
        assert!(privacy.contains(said), "{said}");
    }
    // Nothing of another server in any page.
    for path in ["/", "/new", "/privacy", "/about", &format!("/t/{id}")] {
        let html = house.get(path).await.text().await.unwrap();
        let loads = html.split(['<']).filter(|tag| {
            [
                "script", "link", "img", "iframe", "video", "audio", "source",
            ]
            .iter()
            .any(|name| tag.starts_with(name))
        });
        for tag in loads {
            let tag = tag.split('>').next().unwrap_or_default();
            assert!(!tag.contains("//"), "{path} loads {tag}");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reported_reaches_the_operator_who_takes_it_down() {
    let data = tempdir().unwrap();
    let tokens = data.path().join("operators");
    std::fs::write(&tokens, "op 0123456789abcdef0123\n").unwrap();
    let dir = data.path().join("data");
    let mut config = config(dir.clone());
    config.access.admin_token_file = Some(tokens);
    let house = House::with(config, Limits::default()).await;
    let (bad, worse) = (house.accept(&short()).await, house.accept(&short()).await);
    house.record(&bad).await;
    house.record(&worse).await;

    let page = house.get(&format!("/t/{bad}/report")).await;
    assert!(page.text().await.unwrap().contains("<textarea"));
    let report = async |id: &str, reason: &str| {
        let url = format!("{}/api/traces/{id}/report", house.url);
        house
            .client
            .post(url)
            .json(&json!({"reason": reason}))
            .send()
            .await
            .unwrap()
    };
    refused(
        report(&bad, "  ").await,
        StatusCode::BAD_REQUEST,
        "bad_request",
    )
    .await;
    refused(
        report("nosuch", "x").await,
        StatusCode::NOT_FOUND,
        "unknown_trace",
    )
    .await;
    for _ in 0..5 {
        assert_eq!(
            report(&bad, "It shows me.\u{1b}[2J").await.status(),
            StatusCode::ACCEPTED
        );
    }
    let refusal = report(&bad, "again").await;
    assert_eq!(refusal.headers()["retry-after"], "3600");
    refused(refusal, StatusCode::TOO_MANY_REQUESTS, "too_many_reports").await;

    let admin = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_omnitrace"))
            .args(["admin", "--data"])
            .arg(&dir)
            .args(args)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (ok, listed) = admin(&["reports"]);
    assert!(ok && listed.contains(&format!("/t/{bad}")) && listed.contains("It shows me."));
    assert!(
        !listed.contains('\u{1b}'),
        "a report does not draw on the terminal"
    );
    assert!(!admin(&["takedown", "nosuch"]).0);
    assert!(admin(&["takedown", &bad]).0);
    let gone = house.get(&format!("/api/traces/{bad}")).await;
    refused(gone, StatusCode::GONE, "taken_down").await;
    assert_eq!(
        house.get(&format!("/t/{bad}")).await.status(),
        StatusCode::NOT_FOUND
    );
    assert!(admin(&["reports"]).1.contains("Nobody"));

    let url = format!("{}/api/admin/takedown/{worse}", house.url);
    let stranger = house.client.post(&url).send().await.unwrap();
    refused(stranger, StatusCode::UNAUTHORIZED, "not_operator").await;
    assert_eq!(
        house.get("/api/admin/reports").await.status(),
        StatusCode::UNAUTHORIZED
    );
    let token = "0123456789abcdef0123";
    let removed = house
        .client
        .post(&url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(removed.status(), StatusCode::OK);
    let gone = house.get(&format!("/api/traces/{worse}/events")).await;
    refused(gone, StatusCode::NOT_FOUND, "unknown_trace").await;
    let url = format!("{}/api/admin/reports", house.url);
    let reports: Value = (house
        .client
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap())
    .json()
    .await
    .unwrap();
    assert_eq!(reports, json!([]));
    house.close().await;
}
