//! Addresses of repositories.

use std::fmt;
use std::path::{Path, PathBuf};

use btfgen_hub::{Error, ErrorKind, Result};
use git2::{ObjectType, Oid};

/// Schemes that both git and libgit2 support.
const REMOTE_SCHEMES: [&str; 6] = ["https", "http", "ssh", "git", "git+ssh", "ssh+git"];

/// A repository's address. Its `Display` omits the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A local folder, which needs no transfer.
    Local(PathBuf),
    /// A URL, or `user@host:path`.
    Remote(String),
}

impl Address {
    /// Parses an address as git does (git-fetch(1), "GIT URLS").
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::new(
                ErrorKind::InvalidName,
                format!("{:?}", without_password(text)),
                why,
            )
            .with_help("write https://HOST/PATH, ssh://HOST/PATH, USER@HOST:PATH or a folder")
        };
        if text.is_empty() || text.starts_with('-') || text.contains(char::is_control) {
            return Err(refused("is not a repository address"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            return match scheme.as_str() {
                "file" => local(rest),
                scheme if REMOTE_SCHEMES.contains(&scheme) => Ok(Self::Remote(text.to_owned())),
                _ => Err(refused("has an unsupported scheme")),
            };
        }
        if Path::new(text).exists() {
            return local(text);
        }
        match text.split_once(':') {
            Some((_, path)) if path.starts_with(':') => {
                Err(refused("names a git helper program, which is not allowed"))
            }
            Some((host, _)) if !host.is_empty() && !host.contains('/') => {
                Ok(Self::Remote(text.to_owned()))
            }
            _ => local(text),
        }
    }

    /// The name of the folder for the data of this repository.
    pub(crate) fn slug(&self) -> String {
        let shown = self.to_string();
        let last = shown
            .trim_end_matches('/')
            .rsplit(['/', ':'])
            .next()
            .unwrap_or_default();
        let name: String = last
            .trim_end_matches(".git")
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .take(40)
            .collect();
        let hash = Oid::hash_object(ObjectType::Blob, shown.as_bytes())
            .map(|id| id.to_string())
            .unwrap_or_default();
        format!("{name}-{hash:.12}")
    }
}

/// The absolute path of a folder, because the hub records it.
fn local(path: &str) -> Result<Address> {
    let absolute = std::path::absolute(path)
        .map_err(|e| Error::io(Path::new(path), "is not a valid path", e))?;
    Ok(Address::Local(absolute))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Remote(url) => f.write_str(&without_password(url)),
        }
    }
}

/// A URL without its password: `https://user:secret@host` becomes `https://user@host`.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> bool {
        matches!(Address::parse(text), Ok(Address::Remote(_)))
    }

    /// Check that URLs, the short form of ssh, and folders are distinguished as git does.
    #[test]
    fn forms() {
        for url in [
            "https://example.org/a/b",
            "ssh://git@example.org/a",
            "git@example.org:a/b.git",
            "host:path",
        ] {
            assert!(remote(url), "{url}");
        }
        for (text, path) in [
            ("/srv/hub.git", "/srv/hub.git"),
            ("file:///srv/hub", "/srv/hub"),
            ("./a:b", "./a:b"),
            ("hub", "hub"),
        ] {
            let local = Address::parse(text).expect("a folder");
            let path = std::path::absolute(path).expect("a path");
            assert_eq!(local, Address::Local(path), "{text}");
        }
    }

    /// Check that options, helper programs and unknown schemes are refused.
    #[test]
    fn refused() {
        for text in [
            "",
            "--upload-pack=true",
            "ext::sh -c true",
            "ftp://example.org/a",
            "https://example.org/\n",
        ] {
            let error = Address::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidName, "{text}");
        }
    }

    /// Check that neither the shown address nor the folder's name contains the password.
    #[test]
    fn passwords_are_not_shown() {
        let address = Address::parse("https://me:secret@example.org/a/btfhub.git").expect("a URL");
        assert_eq!(address.to_string(), "https://me@example.org/a/btfhub.git");
        assert!(address.slug().starts_with("btfhub-"), "{}", address.slug());
        let other = Address::parse("https://me:other@example.org/a/btfhub.git").expect("a URL");
        assert_eq!(address.slug(), other.slug());
    }
}
