//! Who asks for a place: told by token, cookie and address. In: a request's headers. Out: an [`Applicant`].

use std::net::{IpAddr, SocketAddr};

use axum::http::{Extensions, HeaderMap, HeaderValue, header};

use super::{Client, telling};
use crate::error::ServerError;
use crate::id;
use crate::routes::guard::Caller;
use crate::tokens::Tokens;
use axum::extract::ConnectInfo;

/// The cookie that tells browsers apart; random, for one session of the browser.
const CLIENT: &str = "client";

/// The cookie of who came in by `/join/TOKEN`.
pub const INVITE: &str = "invite";

/// The header by which a program shows an invitation.
const INVITE_HEADER: &str = "x-omnitrace-invite";

/// Letters of a client's cookie.
const CLIENT_LETTERS: usize = 24;

/// Who asks for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// By name, cookie or not at all.
    pub client: Client,
    /// Where the connection comes from, or what a proxy says of it.
    pub address: Option<IpAddr>,
    /// Whether it may have a place that is kept for invited ones.
    pub invited: bool,
}

/// By what one client's open traces are told from another's, in whichever process they were accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of the token's name or the cookie.
    pub client: Option<String>,
    /// Of the address, where that counts.
    pub address: Option<String>,
}

impl Applicant {
    /// What tells this applicant's traces.
    pub fn marks(&self) -> Marks {
        let client = match &self.client {
            Client::Token(name) => Some(format!("token {name}")),
            Client::Cookie(id) => Some(format!("cookie {id}")),
            Client::Unknown => None,
        };
        Marks {
            client,
            address: self.counted_address().map(|address| address.to_string()),
        }
    }

    /// The address, where a bound of its own holds for it: a room full of invited people may well share one, and so may the
    /// programs behind a token.
    pub(super) fn counted_address(&self) -> Option<IpAddr> {
        let exempt = self.invited || matches!(self.client, Client::Token(_));
        self.address.and_then(telling).filter(|_| !exempt)
    }

    /// Reads who asks. `forwarded`: a proxy of the house's own tells where requests come from.
    pub fn of(
        headers: &HeaderMap,
        extensions: &Extensions,
        invites: &Tokens,
        forwarded: bool,
    ) -> Self {
        let client = match extensions.get::<Caller>() {
            Some(Caller::Token(name)) => Client::Token(name.clone()),
            _ => known_client(headers).map_or(Client::Unknown, |id| Client::Cookie(id.to_owned())),
        };
        let connected = extensions.get::<ConnectInfo<SocketAddr>>();
        let address = if forwarded {
            forwarded_for(headers)
        } else {
            connected.map(|ConnectInfo(address)| address.ip())
        };
        let shown = headers
            .get(INVITE_HEADER)
            .and_then(|value| value.to_str().ok());
        let invite = shown.or_else(|| cookie(headers, INVITE));
        Self {
            client,
            address,
            invited: invite.is_some_and(|token| invites.name_of(token).is_some()),
        }
    }
}

/// The last entry is the one that the house's own proxy wrote.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// The client's cookie, if it is one of ours by its looks.
fn known_client(headers: &HeaderMap) -> Option<&str> {
    let letters = |value: &&str| {
        value.len() == CLIENT_LETTERS
            && value
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    cookie(headers, CLIENT).filter(letters)
}

/// A cookie for a browser that has none yet.
pub fn fresh_cookie(headers: &HeaderMap) -> Result<Option<HeaderValue>, ServerError> {
    if known_client(headers).is_some() {
        return Ok(None);
    }
    let value = format!("{}{}", id::fresh()?, id::fresh()?);
    Ok(set_cookie(headers, CLIENT, &value))
}

/// `Set-Cookie` for this session of the browser, out of reach for scripts and other sites.
pub fn set_cookie(headers: &HeaderMap, name: &str, value: &str) -> Option<HeaderValue> {
    let secure = if headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme == "https")
    {
        "; Secure"
    } else {
        ""
    };
    HeaderValue::try_from(format!(
        "{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}"
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    #[test]
    fn clients_are_told_by_cookie_and_addresses_by_the_own_proxy_alone() {
        let none = Extensions::new();
        let invites = Tokens::parse("room 0123456789abcdef0123").expect("tokens");
        let map = headers(&[
            ("cookie", "theme=dark; client=23456789abcd23456789abcd"),
            ("cookie", "invite=0123456789abcdef0123"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
        ]);
        let applicant = Applicant::of(&map, &none, &invites, true);
        assert_eq!(
            applicant.client,
            Client::Cookie("23456789abcd23456789abcd".into())
        );
        assert_eq!(applicant.address, "203.0.113.9".parse().ok());
        assert!(applicant.invited);
        assert_eq!(Applicant::of(&map, &none, &invites, false).address, None);
        assert!(fresh_cookie(&map).expect("asked").is_none());
        for bad in [
            "client=",
            "client=short",
            "client=../../../../../../../../",
            "other=1",
        ] {
            let map = headers(&[("cookie", bad)]);
            assert_eq!(
                Applicant::of(&map, &none, &invites, true).client,
                Client::Unknown,
                "{bad}"
            );
            let fresh = fresh_cookie(&map).expect("asked").expect("a cookie");
            let fresh = fresh.to_str().expect("text");
            assert!(
                fresh.starts_with("client=") && fresh.contains("HttpOnly"),
                "{fresh}"
            );
        }
        let guess = headers(&[("x-omnitrace-invite", "0123456789abcdef0124")]);
        assert!(!Applicant::of(&guess, &none, &invites, false).invited);
    }
}
