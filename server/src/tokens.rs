//! Secrets that an operator hands out: a file of names and tokens. In: the file. Out: whose token one is.
//!
//! A line is `NAME TOKEN`; empty lines and those that begin with `#` are skipped. Only hashes are kept in memory.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Shortest token: 20 letters of a random text are beyond guessing.
const MIN_LETTERS: usize = 20;

/// Names and hashes of their tokens.
#[derive(Debug, Default, Clone)]
pub struct Tokens(Vec<(String, blake3::Hash)>);

/// Everyone who was handed a token.
#[derive(Debug, Default, Clone)]
pub struct TokenSets {
    /// Programs; with any of them, programs need one.
    pub api: Tokens,
    /// Who reads reports and takes traces down.
    pub operators: Tokens,
    /// Who may use places that are kept for a workshop.
    pub invites: Tokens,
}

impl Tokens {
    /// Reads a file of tokens; no file, no tokens.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the tokens in {}", path.display()))?;
        warn_if_open(path);
        Self::parse(&text).with_context(|| format!("{} is no file of tokens", path.display()))
    }

    /// Reads the text of such a file.
    pub fn parse(text: &str) -> Result<Self> {
        let mut tokens: Vec<(String, blake3::Hash)> = Vec::new();
        for (k, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line itself is not repeated: errors end up in logs.
            let Some((name, token)) = line.split_once(char::is_whitespace) else {
                bail!("line {k} must be a name, a space and a token");
            };
            let token = token.trim();
            if token.len() < MIN_LETTERS || token.contains(char::is_whitespace) {
                bail!(
                    "the token in line {k} must be one word of at least {MIN_LETTERS} letters (try `openssl rand -hex 16`)"
                );
            }
            if tokens.iter().any(|(known, _)| known == name) {
                bail!("line {k} gives {name:?} a second token");
            }
            tokens.push((name.to_owned(), blake3::hash(token.as_bytes())));
        }
        if tokens.is_empty() {
            bail!("it holds no token");
        }
        Ok(Self(tokens))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is.
    pub fn name_of(&self, token: &str) -> Option<&str> {
        let hash = blake3::hash(token.as_bytes());
        // blake3 compares its hashes in constant time.
        let found = self.0.iter().find(|(_, known)| *known == hash);
        found.map(|(name, _)| name.as_str())
    }
}

/// A file that every user of the machine can read is no secret.
fn warn_if_open(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
        if open {
            tracing::warn!(
                "other users of this machine can read {}: `chmod 600` it",
                path.display()
            );
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_by_their_tokens_and_bad_lines_by_their_number() {
        let text = "# ours\n\nann 0123456789abcdef0123\n  ben   zzzzzzzzzzzzzzzzzzzzz \n";
        let tokens = Tokens::parse(text).expect("tokens");
        assert_eq!(tokens.name_of("0123456789abcdef0123"), Some("ann"));
        assert_eq!(tokens.name_of("zzzzzzzzzzzzzzzzzzzzz"), Some("ben"));
        assert_eq!(tokens.name_of(""), None);
        for (bad, place) in [
            ("ann short", "line 1"),
            ("\nalone", "line 2"),
            ("", "no token"),
            ("a 0123456789abcdef0123\na 0123456789abcdef0124", "line 2"),
        ] {
            let error = Tokens::parse(bad).expect_err("refused").to_string();
            assert!(error.contains(place), "{error}");
            assert!(
                !error.contains("short"),
                "a secret is not repeated: {error}"
            );
        }
    }
}
