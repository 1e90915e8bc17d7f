//! Addresses of repositories.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use btfgen_hub::{Error, ErrorKind, Result};
use git2::{ObjectType, Oid};
use percent_encoding::percent_decode_str;

/// Schemes that both git and libgit2 support.
const REMOTE_SCHEMES: [&str; 6] = ["https", "http", "ssh", "git", "git+ssh", "ssh+git"];

/// A repository's address. Its `Display` omits a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A local folder, which needs no transfer.
    Local(PathBuf),
    Remote(Url),
}

/// A URL, or `user@host:path`. Its `Display` omits the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// The text as the user gave it. It may contain a password, so no other process may get it as an argument.
    pub(crate) secret: String,
    /// The text without the password.
    pub(crate) shown: String,
    pub(crate) login: Option<Login>,
}

/// The password of a URL, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The URL's scheme and host.
    pub(crate) server: String,
    pub(crate) user: OsString,
    pub(crate) password: OsString,
}

impl Address {
    /// Parses an address as git does (git-fetch(1), "GIT URLS").
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::new(
                ErrorKind::InvalidName,
                format!("{:?}", Url::new(text).shown),
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
                scheme if REMOTE_SCHEMES.contains(&scheme) => match Url::new(text) {
                    url if url.has_odd_login() => Err(refused("has a line break in its login")),
                    url => Ok(Self::Remote(url)),
                },
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
                Ok(Self::Remote(Url::new(text)))
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
            Self::Remote(url) => f.write_str(&url.shown),
        }
    }
}

impl Url {
    fn new(text: &str) -> Self {
        let mut url = Self {
            secret: text.to_owned(),
            shown: text.to_owned(),
            login: None,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return url;
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let Some((login, host)) = authority.rsplit_once('@') else {
            return url;
        };
        if let Some((user, password)) = login.split_once(':') {
            let decoded = |part| OsString::from_vec(percent_decode_str(part).collect());
            url.shown = format!("{scheme}://{user}@{host}{path}");
            url.login = Some(Login {
                server: format!("{scheme}://{host}"),
                user: decoded(user),
                password: decoded(password),
            });
        }
        url
    }

    /// Whether the login has a character that git's credential helpers cannot pass on (gitcredentials(7)).
    fn has_odd_login(&self) -> bool {
        let is_odd = |part: &OsString| part.as_encoded_bytes().iter().any(u8::is_ascii_control);
        let login = self.login.as_ref();
        login.is_some_and(|login| is_odd(&login.user) || is_odd(&login.password))
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
            "https://me:a%0ahost=b@example.org/a",
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

    /// Check that a login is what the URL means, and is only for the URL's server.
    #[test]
    fn logins() {
        let url = Url::new("https://m%40x:p%3Aq@r@example.org:8443/a@b:c");
        assert_eq!(url.shown, "https://m%40x@example.org:8443/a@b:c");
        let login = url.login.expect("a login");
        assert_eq!(login.server, "https://example.org:8443");
        assert_eq!((login.user, login.password), ("m@x".into(), "p:q@r".into()));
        for text in [
            "https://me@example.org/a",
            "me@example.org:a:b",
            "https://example.org/a:b@c",
        ] {
            assert!(Url::new(text).login.is_none(), "{text}");
        }
    }
}
