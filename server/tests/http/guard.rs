//! Tricks with paths, hosts, ranges and headers lead nowhere; what is served says what it is; notes in pictures are gone.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use server::config::Limits;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, accepted, config, refused, short};

/// Sends bytes as they are, which no client library would; the answer, head and body.
pub async fn raw(house: &House, request: &str) -> (u16, String) {
    let address = house.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // The server may hang up before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or(0), answer)
}

async fn raw_get(house: &House, path: &str, headers: &str) -> (u16, String) {
    let host = house.url.strip_prefix("http://").expect("an address");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    raw(house, &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_its_place() {
    let data = tempdir().unwrap();
    std::fs::create_dir_all(data.path().join("site/pkg")).unwrap();
    std::fs::write(data.path().join("site/pkg/own.css"), "own").unwrap();
    std::fs::write(data.path().join("outside.css"), "SECRET").unwrap();
    let mut config = config(data.path().join("data"));
    config.site = Some(data.path().join("site"));
    let house = House::with(config, Limits::default()).await;
    let (status, _) = raw_get(&house, "/pkg/own.css", "").await;
    assert_eq!(status, 200, "what belongs to the page is served");
    let long = format!("/t/{}", "a/".repeat(30_000));
    for path in [
        "/pkg/../../outside.css",
        "/../outside.css",
        "//outside.css",
        "/pkg/%2e%2e/%2e%2e/outside.css",
        "/pkg/..%2f..%2foutside.css",
        "/pkg/%252e%252e/%252e%252e/outside.css",
        "/pkg/..\\..\\outside.css",
        "/pkg/./../../outside.css",
        "/pkg/own.css%00",
        "/etc/passwd",
        "/%2fetc%2fpasswd",
        "/media/..%2f..%2fomnitrace.sqlite",
        "/media/%2e%2e/omnitrace.sqlite",
        "/media/%2e%2e%2fomnitrace.sqlite",
        "/media/%00",
        "/media/0123456789abcdef%2f..",
        "/t/..%2f..%2fomnitrace.sqlite/card.png",
        "/t/%00",
        "/s/..%2f..",
        &long,
    ] {
        let (status, answer) = raw_get(&house, path, "").await;
        // A short link that is none leads to a page that says so.
        assert!(matches!(status, 400..=431 | 303), "{path}: {status}");
        for secret in ["SECRET", "root:", "SQLite format"] {
            assert!(!answer.contains(secret), "{path}");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_play_no_tricks() {
    let data = tempdir().unwrap();
    let mut config = config(data.path().to_owned());
    config.access.public_url = Some("https://trace.example.org".into());
    let house = House::with(config, Limits::default()).await;
    let head = "Connection: close\r\n";
    for hosts in [
        "Host: a\r\nHost: b\r\n",
        "Host: a\"><script>\r\n",
        "Host: a/b\r\n",
        "Host: \r\n",
    ] {
        let (status, _) = raw(&house, &format!("GET /livez HTTP/1.1\r\n{hosts}{head}\r\n")).await;
        assert_eq!(status, 400, "{hosts:?}");
    }
    // Two opinions on where a body ends: never a second request in it.
    let inner = "GET /api/limits HTTP/1.1\r\nHost: a\r\n\r\n";
    for body in [
        format!(
            "Content-Length: 5\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n0\r\n\r\n{inner}",
            inner.len()
        ),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n{inner}"),
        format!("Content-Length: -1\r\n\r\n{inner}"),
    ] {
        let request = format!("POST /api/traces HTTP/1.1\r\nHost: a\r\n{head}{body}");
        let (status, answer) = raw(&house, &request).await;
        assert!((400..=415).contains(&status), "{status} for {body:?}");
        assert!(!answer.contains("max_file_bytes"), "{body:?}");
    }
    let (status, _) = raw_get(&house, "/livez", &format!("X: {}\r\n", "x".repeat(1 << 20))).await;
    assert!(matches!(status, 0 | 400 | 431), "{status}");
    let (status, _) = raw_get(&house, "/livez", &"X: y\r\n".repeat(2000)).await;
    assert!(matches!(status, 0 | 400 | 431), "{status}");

    // Links lead where the operator said, whatever the request claims.
    let id = house.accept(&short()).await;
    house.record(&id).await;
    let claims =
        "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: javascript\r\n";
    let request = format!("GET /t/{id} HTTP/1.1\r\n{claims}{head}\r\n");
    let (status, page) = raw(&house, &request).await;
    assert_eq!(status, 200);
    assert!(
        page.contains("https://trace.example.org/t/"),
        "{page:.2000}"
    );
    assert!(!page.contains("evil.example"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_need_a_token_where_tokens_are_handed_out_and_pages_do_not() {
    let data = tempdir().unwrap();
    let file = data.path().join("tokens");
    std::fs::write(&file, "lab 0123456789abcdef0123\n").unwrap();
    let mut config = config(data.path().join("data"));
    config.access.api_token_file = Some(file);
    let house = House::with(config, Limits::default()).await;
    refused(
        house.send(&short()).await,
        StatusCode::UNAUTHORIZED,
        "token_needed",
    )
    .await;
    let url = format!("{}/api/traces", house.url);
    let send = async |name: &str, value: &str| {
        let request = house.client.post(&url).header(name, value).json(&short());
        request.send().await.unwrap()
    };
    accepted(send("Authorization", "Bearer 0123456789abcdef0123").await).await;
    accepted(send("Sec-Fetch-Site", "same-origin").await).await;
    accepted(send("Origin", &house.url).await).await;
    refused(
        send("Authorization", "Bearer 0").await,
        StatusCode::UNAUTHORIZED,
        "bad_token",
    )
    .await;
    refused(
        send("Origin", "https://evil.example").await,
        StatusCode::FORBIDDEN,
        "foreign_site",
    )
    .await;
    refused(
        send("Sec-Fetch-Site", "same-site").await,
        StatusCode::FORBIDDEN,
        "foreign_site",
    )
    .await;
    // Reading is free.
    assert_eq!(house.get("/api/limits").await.status(), StatusCode::OK);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photograph_tells_nothing_but_its_pixels_and_says_what_it_is() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let rgb: Vec<u8> = (0..56 * 56)
        .flat_map(|k| [(k % 251) as u8, 9, 90])
        .collect();
    let mut png = media::encode::png(56, 56, &rgb).expect("a PNG");
    let note = b"tEXtGPS 48.85N 2.29E";
    let chunk = [&(note.len() as u32 - 4).to_be_bytes()[..], note, &[0; 4]].concat();
    png.splice(33..33, chunk);
    let request = json!({"question": [{"image": "a"}], "options": {"max_new_tokens": 2}});
    let form = Form::new().text("request", request.to_string()).part(
        "a",
        Part::bytes(png)
            .file_name("a.html")
            .mime_str("text/html")
            .unwrap(),
    );
    let id = accepted(house.send_form(form).await).await;
    let record = house.record(&id).await;
    let sources = record["sources"].as_array().unwrap();
    let item = sources
        .iter()
        .find(|source| source["item"]["kind"] == "image");
    let hash = item.unwrap()["item"]["media"].as_str().unwrap().to_owned();
    let stored = std::fs::read(data.path().join("media").join(&hash[..2]).join(&hash)).unwrap();
    assert!(
        !stored.windows(3).any(|part| part == b"GPS"),
        "it never reaches the store"
    );
    let served = house.get(&format!("/media/{hash}")).await;
    let header = |name: &str| served.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(
        header("content-disposition"),
        format!("inline; filename=\"{hash}.png\"")
    );
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin");
    assert!(header("content-security-policy").contains("sandbox"));
    let len = served.bytes().await.unwrap().len();

    let ranges = [
        "bytes=-0",
        "bytes=18446744073709551615-",
        "bytes=99999999999999999999999-",
        "bytes=5-2",
        "bits=0-1",
        "bytes=",
        "bytes=a-b",
        "bytes=--5",
        "bytes=0-99999999999",
    ];
    let many = format!("bytes={}", vec!["0-0"; 1000].join(","));
    for range in ranges
        .into_iter()
        .chain([many.as_str(), "bytes=0-1\r\nRange: bytes=2-3"])
    {
        let path = format!("/media/{hash}");
        let (status, answer) = raw_get(&house, &path, &format!("Range: {range}\r\n")).await;
        assert!(matches!(status, 200 | 206 | 400 | 416), "{range}: {status}");
        assert!(answer.len() < len + 4000, "{range}: {} bytes", answer.len());
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_a_question_is_never_opened() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for place in [
        format!("http://{address}/a.png"),
        "file:///etc/passwd".into(),
        "/etc/passwd".into(),
    ] {
        let asked = json!({"question": [{"image": place}]});
        refused(
            house.send(&asked).await,
            StatusCode::BAD_REQUEST,
            "missing_part",
        )
        .await;
        let form = Form::new().text("request", asked.to_string());
        refused(
            house.send_form(form).await,
            StatusCode::BAD_REQUEST,
            "missing_part",
        )
        .await;
        let heard = json!({"question": [{"audio": "a", "transcript": place}]});
        let form = Form::new()
            .text("request", heard.to_string())
            .part("a", Part::bytes(vec![0; 4]));
        refused(
            house.send_form(form).await,
            StatusCode::BAD_REQUEST,
            "bad_request",
        )
        .await;
        let mut told = short();
        told["prompt"] = Value::from(format!("Look at {place}\n"));
        house.record(&house.accept(&told).await).await;
    }
    let knocked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(knocked.is_err(), "somebody fetched it");
    house.close().await;
}
