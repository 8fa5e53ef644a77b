//! Where the hub and its cache are, and who asks: the environment variables of the hub's own tools.

use std::ffi::OsString;
use std::path::PathBuf;

/// The hub, its cache, and the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Directory of `models--owner--name` folders.
    pub cache: PathBuf,
    /// Address of the hub.
    pub endpoint: String,
    /// Sent with every request, where there is one.
    pub token: Option<String>,
    /// Never use the network.
    pub offline: bool,
    /// Show a progress bar per file (on a terminal).
    pub progress: bool,
}

/// The token is never printed.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// From `HF_HUB_CACHE`, `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| {
            let caches = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
                Some(PathBuf::from(set("HOME").or_else(|| set("USERPROFILE"))?).join(".cache"))
            });
            Some(caches?.join("huggingface"))
        });
        let home = home.unwrap_or_else(|| PathBuf::from("huggingface"));
        let token_file = set("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| std::fs::read_to_string(token_file).ok());
        let yes = |value: String| {
            matches!(
                value.to_ascii_lowercase().as_str(),
                "1" | "true" | "yes" | "on"
            )
        };
        Self {
            cache: set("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            endpoint: text("HF_ENDPOINT")
                .unwrap_or_else(|| "https://huggingface.co".into())
                .trim_end_matches('/')
                .to_owned(),
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
            offline: text("HF_HUB_OFFLINE").is_some_and(yes),
            progress: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Place {
        Place::from_variables(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_hubs_own_variables_are_obeyed() {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::write(dir.path().join("token"), "hf_file\n").expect("written");
        let home = dir.path().to_str().expect("UTF-8");
        let plain = place(&[("HF_HOME", home)]);
        assert_eq!(plain.cache, dir.path().join("hub"));
        assert_eq!(plain.token.as_deref(), Some("hf_file"));
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert!(!plain.offline);
        let told = place(&[
            ("HF_HOME", home),
            ("HF_HUB_CACHE", "/elsewhere"),
            ("HF_TOKEN", "hf_env"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "1"),
        ]);
        assert_eq!(told.cache, PathBuf::from("/elsewhere"));
        assert_eq!(told.token.as_deref(), Some("hf_env"));
        assert_eq!(told.endpoint, "http://mirror");
        assert!(told.offline);
        assert!(!format!("{told:?}").contains("hf_env"));
        let bare = place(&[("HOME", "/home/x")]);
        assert_eq!(bare.cache, PathBuf::from("/home/x/.cache/huggingface/hub"));
    }
}
