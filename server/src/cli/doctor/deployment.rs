//! A server as visitors reach it: routes, headers, clock, events as they happen, ranges, links.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::{Finding, bad, good, look};

/// A trace of the example takes seconds; on a busy server it waits before.
const PATIENCE: Duration = Duration::from_secs(180);

/// Clocks may differ by this much.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);

/// Tokens below which nothing can be said about when they came.
const FEW_TOKENS: usize = 4;

type Answer = Result<Response<Body>, ureq::Error>;

struct Site<'a> {
    url: &'a str,
    token: Option<&'a str>,
    agent: Agent,
}

pub(super) fn look_over(url: &str, token: Option<&str>) -> Vec<Finding> {
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let site = Site { url, token, agent };
    let home = match site.get("/") {
        Ok(home) => home,
        Err(error) => {
            return vec![bad(format!(
                "{url} does not answer ({error}): is the server running, and does the proxy lead to it?"
            ))];
        }
    };
    let mut findings = vec![clocks(home.headers())];
    findings.extend(transport(url, home.headers()));
    findings.extend(routes(&site));
    findings.extend(trace(&site));
    findings
}

impl Site<'_> {
    fn get(&self, path: &str) -> Answer {
        self.agent.get(format!("{}{path}", self.url)).call()
    }

    fn post(&self, path: &str) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(token) = self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.send_empty()
    }
}

fn clocks(headers: &HeaderMap) -> Finding {
    let date = headers.get("date").and_then(|date| date.to_str().ok());
    let Some(there) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return look(
            "The server's answers carry no date: its clock cannot be compared with this one.",
        );
    };
    let here = SystemTime::now();
    let apart = here
        .duration_since(there)
        .unwrap_or_else(|early| early.duration());
    if apart > CLOCKS_DIFFER {
        return look(format!(
            "The server's clock and this one are {} s apart: set both by the network (`timedatectl set-ntp true`).",
            apart.as_secs()
        ));
    }
    good("The server's clock agrees with this one.")
}

fn transport(url: &str, headers: &HeaderMap) -> Vec<Finding> {
    if url.starts_with("https://") {
        return match headers.get("strict-transport-security") {
            Some(_) => vec![good("Visitors come by HTTPS, and browsers remember to.")],
            None => vec![look(
                "Visitors come by HTTPS, but nothing tells browsers to stay with it: let the proxy send `Strict-Transport-Security: max-age=31536000`.",
            )],
        };
    }
    let host = url.split("://").nth(1).unwrap_or_default();
    let local = ["127.", "localhost", "[::1]"]
        .iter()
        .any(|name| host.starts_with(name));
    if local {
        return Vec::new();
    }
    vec![look(
        "Visitors come by plain HTTP: what they send can be read on its way. Put a proxy with TLS in front.",
    )]
}

/// Header, and whether a page must have it.
const HEADERS: [&str; 3] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
];

fn routes(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let paths = [
        "/",
        "/new",
        "/privacy",
        "/robots.txt",
        "/livez",
        "/readyz",
        "/api/limits",
        "/api/models",
    ];
    let mut whole = 0;
    for path in paths {
        let answer = match site.get(path) {
            Ok(answer) => answer,
            Err(error) => {
                findings.push(bad(format!("{path} does not answer ({error}).")));
                continue;
            }
        };
        let status = answer.status().as_u16();
        if status == 503 && path == "/readyz" {
            findings.push(look(
                "The model is still being loaded: look again in a minute.",
            ));
        } else if status != 200 {
            findings.push(bad(format!(
                "{path} answers with {status} instead of 200: the proxy must pass every path on."
            )));
        } else if let Some(missing) = HEADERS
            .iter()
            .find(|name| !answer.headers().contains_key(**name))
        {
            findings.push(bad(format!(
                "{path} comes without `{missing}`: the proxy must not take headers away."
            )));
        } else {
            whole += 1;
        }
    }
    if whole == paths.len() {
        findings.push(good(
            "Pages and API can be reached, with all their headers.",
        ));
    }
    if site
        .get("/metrics")
        .is_ok_and(|answer| answer.status().as_u16() == 200)
    {
        findings.push(bad(
            "/metrics is open to everyone: keep that address inside the house.",
        ));
    }
    findings
}

/// Traces an example, watches its events come, reads a part of its sound, and deletes it.
fn trace(site: &Site<'_>) -> Vec<Finding> {
    let sent = site
        .post("/api/examples/audio-qa?seed=7")
        .map_err(|error| error.to_string());
    let sent = sent.and_then(|mut answer| {
        let body = answer.body_mut().read_to_string().unwrap_or_default();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        match answer.status().as_u16() {
            202 => Ok(body),
            status => Err(format!(
                "{status}: {}",
                body["message"].as_str().unwrap_or("no reason given")
            )),
        }
    });
    let sent = match sent {
        Ok(sent) => sent,
        Err(error) => {
            return vec![look(format!(
                "No example could be sent to look at ({error})."
            ))];
        }
    };
    let id = sent["id"].as_str().unwrap_or_default().to_owned();
    let mut findings = Vec::new();
    let times = token_times(site, &id);
    let record = site.get(&format!("/api/traces/{id}")).ok();
    let record: Value = record
        .and_then(|mut answer| answer.body_mut().read_to_string().ok())
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    findings.push(events(times, &record));
    findings.extend(ranges(site, &record));
    findings.extend(links(site, &id));
    if let Some(key) = sent["delete"]
        .as_str()
        .and_then(|link| link.split("key=").nth(1))
    {
        let deleted = site.post(&format!("/api/traces/{id}/delete?key={key}"));
        if !deleted.is_ok_and(|answer| answer.status().is_success()) {
            findings.push(look(format!(
                "The example {id} could not be deleted again: do so by {}.",
                sent["delete"]
            )));
        }
    }
    findings
}

/// When each token of a trace arrived; an error says why none did.
fn token_times(site: &Site<'_>, id: &str) -> Result<Vec<Instant>, String> {
    let answer = site
        .get(&format!("/api/traces/{id}/events"))
        .map_err(|error| error.to_string())?;
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return Err(format!("they come as {}", kind.unwrap_or("nothing")));
    }
    let mut times = Vec::new();
    for line in BufReader::new(answer.into_body().into_reader()).lines() {
        let line = line.map_err(|error| error.to_string())?;
        if line.starts_with("data:") && line.contains("\"type\":\"token\"") {
            times.push(Instant::now());
        }
    }
    Ok(times)
}

fn events(times: Result<Vec<Instant>, String>, record: &Value) -> Finding {
    let times = match times {
        Ok(times) => times,
        Err(error) => {
            return bad(format!(
                "The events of a trace do not come through ({error})."
            ));
        }
    };
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return look(
            "The example wrote nothing, so that nothing can be said about events as they come.",
        );
    };
    let came_in = last.duration_since(*first).as_secs_f64();
    let stages = record["receipt"]["stage_secs"].as_array();
    let generate = stages
        .into_iter()
        .flatten()
        .find(|stage| stage[0] == "generate");
    let made_in = generate.and_then(|stage| stage[1].as_f64()).unwrap_or(0.0);
    judged(times.len(), came_in, made_in)
}

/// Tokens were made over `made_in` seconds and came over `came_in`.
fn judged(tokens: usize, came_in: f64, made_in: f64) -> Finding {
    if tokens < FEW_TOKENS || made_in < 0.05 {
        return look("The example was made too quickly to say whether a proxy holds events back.");
    }
    if came_in < made_in * 0.3 {
        return bad(format!(
            "A proxy holds events back: {tokens} tokens were made in {made_in:.1} s and came within {came_in:.2} s. Turn its buffering off for /api/traces/ (nginx: `proxy_buffering off;`)."
        ));
    }
    good("Events come as they happen.")
}

fn ranges(site: &Site<'_>, record: &Value) -> Option<Finding> {
    let sources = record["sources"].as_array()?;
    let media = sources
        .iter()
        .find_map(|source| source["item"]["media"].as_str())?;
    let asked = site
        .agent
        .get(format!("{}/media/{media}", site.url))
        .header("Range", "bytes=0-3");
    let mut answer = asked.call().ok()?;
    let bytes = answer.body_mut().read_to_vec().unwrap_or_default();
    Some(if answer.status().as_u16() == 206 && bytes.len() == 4 {
        good("Players can jump within sounds and films.")
    } else {
        bad(format!(
            "A part of a sound was asked for, and {} with {} bytes came: the proxy must pass `Range` on.",
            answer.status(),
            bytes.len()
        ))
    })
}

fn links(site: &Site<'_>, id: &str) -> Option<Finding> {
    let mut page = site.get(&format!("/t/{id}")).ok()?;
    let html = page.body_mut().read_to_string().ok()?;
    Some(if html.contains(&format!("\"{}/t/{id}", site.url)) {
        good("Links and codes lead to this address.")
    } else {
        look(format!(
            "Links and codes on pages lead elsewhere: start the server with `--public-url {}`.",
            site.url
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn held_back_events_are_told_from_such_that_come() {
        assert_eq!(judged(40, 1.9, 2.0).verdict, Verdict::Good);
        let held = judged(40, 0.01, 2.0);
        assert_eq!(held.verdict, Verdict::Bad);
        assert!(held.sentence.contains("proxy_buffering off"));
        assert_eq!(judged(2, 0.0, 2.0).verdict, Verdict::Look);
    }
}
