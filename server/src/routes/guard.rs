//! Who may ask: the pages of this site, programs with a token, and (where no tokens are handed out) programs without.
//! In: a request's headers. Out: a [`Caller`], or a refusal.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AppState;
use crate::error::ApiError;
use crate::tokens::TokenSets;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A page of this site, in a browser.
    Page,
    /// A program without a token.
    Program,
    /// The holder of an API token, by its name.
    Token(String),
    /// An operator, by name.
    Operator(String),
}

/// Every request: one plain host, and the address under which this server is known to the world.
pub async fn one_host(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    let plain = |host: &[u8]| {
        let letter = |c: &u8| c.is_ascii_alphanumeric() || b".:-_[]".contains(c);
        !host.is_empty() && host.len() <= 255 && host.iter().all(letter)
    };
    if hosts.next().is_some() || host.is_some_and(|host| !plain(host)) {
        let message = "The request must name one host. Check the address and try again.";
        return ApiError::bad_request(message).into_response();
    }
    if let Some((scheme, host)) = &state.public_origin {
        // Whatever a client claims: links and codes lead to the address that the operator gave.
        let headers = request.headers_mut();
        headers.insert(header::HOST, host.clone());
        headers.insert("x-forwarded-proto", scheme.clone());
    }
    next.run(request).await
}

/// Requests that change something: from this site or by a token alone. The rest passes.
pub async fn who_asks(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    match caller(request.headers(), &state.tokens) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// Browsers tell where a request came from in headers that a page cannot forge.
pub fn caller(headers: &HeaderMap, tokens: &TokenSets) -> Result<Caller, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = text("authorization").and_then(|given| given.strip_prefix("Bearer ")) {
        let token = token.trim();
        if let Some(name) = tokens.operators.name_of(token) {
            return Ok(Caller::Operator(name.to_owned()));
        }
        let name = tokens.api.name_of(token);
        return name
            .map(|name| Caller::Token(name.to_owned()))
            .ok_or_else(|| {
                let message = "This server does not know the token. Ask whoever runs it for one.";
                ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", message)
            });
    }
    let foreign = || {
        let message =
            "This request came from another website. Open this site itself and try again.";
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign_site",
            message,
        ))
    };
    match (text("sec-fetch-site"), headers.get(header::ORIGIN)) {
        // `none`: the person did it, not a page.
        (Some("same-origin" | "none"), _) => Ok(Caller::Page),
        (Some(_), _) => foreign(),
        // A browser from before that header.
        (None, Some(origin)) => {
            let origin = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.split_once("://"));
            match (origin, text("host")) {
                (Some((_, from)), Some(host)) if from.eq_ignore_ascii_case(host) => {
                    Ok(Caller::Page)
                }
                _ => foreign(),
            }
        }
        (None, None) if tokens.api.is_empty() => Ok(Caller::Program),
        (None, None) => {
            let message = "Programs need a token here: send it as `Authorization: Bearer TOKEN`. Whoever runs this server hands them out.";
            Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token_needed",
                message,
            ))
        }
    }
}

/// The name of the operator who asks; nobody else gets further.
pub fn operator(headers: &HeaderMap, tokens: &TokenSets) -> Result<String, ApiError> {
    match caller(headers, tokens) {
        Ok(Caller::Operator(name)) => Ok(name),
        _ => {
            let message = "This needs an operator's token: `Authorization: Bearer TOKEN`, from the file of --admin-token-file.";
            Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "not_operator",
                message,
            ))
        }
    }
}

/// Scheme and host of `https://example.org`, as the headers want them.
pub fn public_origin(url: &str) -> anyhow::Result<(HeaderValue, HeaderValue)> {
    let parts = url.trim_end_matches('/').split_once("://");
    match parts {
        Some((scheme @ ("http" | "https"), host))
            if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) =>
        {
            Ok((HeaderValue::from_str(scheme)?, HeaderValue::from_str(host)?))
        }
        _ => anyhow::bail!(
            "--public-url must look like https://example.org, without a path; it is {url:?}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokens;

    fn ask(headers: &[(&'static str, &str)], tokens: &TokenSets) -> Result<Caller, StatusCode> {
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("here.org:3000"));
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).expect("a value"));
        }
        caller(&map, tokens).map_err(|refused| refused.into_response().status())
    }

    #[test]
    fn only_this_site_and_tokens_may_change_things() {
        let none = TokenSets::default();
        let some = TokenSets {
            api: Tokens::parse("ann 0123456789abcdef0123").expect("tokens"),
            operators: Tokens::parse("op zzzzzzzzzzzzzzzzzzzzzz").expect("tokens"),
            ..TokenSets::default()
        };
        let (foreign, stranger) = (Err(StatusCode::FORBIDDEN), Err(StatusCode::UNAUTHORIZED));
        for tokens in [&none, &some] {
            assert_eq!(
                ask(&[("sec-fetch-site", "same-origin")], tokens),
                Ok(Caller::Page)
            );
            assert_eq!(ask(&[("sec-fetch-site", "cross-site")], tokens), foreign);
            assert_eq!(ask(&[("sec-fetch-site", "same-site")], tokens), foreign);
            assert_eq!(
                ask(&[("origin", "http://here.org:3000")], tokens),
                Ok(Caller::Page)
            );
            for origin in [
                "null",
                "http://here.org",
                "http://here.org:3000.evil.net",
                "http://evil.net",
                "",
            ] {
                assert_eq!(ask(&[("origin", origin)], tokens), foreign, "{origin}");
            }
            // The newer header decides: a forged Origin does not help.
            let both = [
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://here.org:3000"),
            ];
            assert_eq!(ask(&both, tokens), foreign);
            assert_eq!(ask(&[("authorization", "Bearer guess")], tokens), stranger);
        }
        assert_eq!(ask(&[], &none), Ok(Caller::Program));
        assert_eq!(ask(&[], &some), stranger);
        let token = [
            ("authorization", "Bearer 0123456789abcdef0123"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(ask(&token, &some), Ok(Caller::Token("ann".into())));
        let token = [("authorization", "Bearer zzzzzzzzzzzzzzzzzzzzzz")];
        assert_eq!(ask(&token, &some), Ok(Caller::Operator("op".into())));
    }

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        let (scheme, host) = public_origin("https://trace.example.org/").expect("fine");
        assert_eq!(
            (scheme, host),
            (
                HeaderValue::from_static("https"),
                HeaderValue::from_static("trace.example.org")
            )
        );
        for bad in [
            "example.org",
            "ftp://x",
            "https://",
            "https://x/y",
            "https://a@b",
        ] {
            assert!(public_origin(bad).is_err(), "{bad}");
        }
    }
}
