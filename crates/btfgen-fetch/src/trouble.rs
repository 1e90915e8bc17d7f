//! Turns errors of git and libgit2 into errors with a help text.

use btfgen_hub::{Error, ErrorKind, ROOM_HELP};
use git2::{ErrorClass, ErrorCode};

use crate::address::Url;
use crate::messages::{Failure, NO_SPACE, Said};

const CREDENTIALS_HELP: &str = "check the address; if it is right, provide the login as for `git clone`: by a credential \
helper, by ssh-agent, or on a terminal";
const CERTIFICATE_HELP: &str =
    "if you trust the server, set SSL_CERT_FILE to a file with the certificate of its authority";
const HOST_KEY_HELP: &str = "if you trust the server, connect to it once with `ssh`, which adds its key to ~/.ssh/known_hosts";
const REPOSITORY_HELP: &str = "check the address and the network; `git ls-remote ADDRESS` must work (HTTPS_PROXY names a proxy)";

/// The message of auth-git2 when the server accepts none of the logins.
const NO_LOGIN: &str = "all authentication attempts failed";

/// The error for a failure of git.
pub(crate) fn of_git(url: &Url, failure: &Failure) -> Error {
    let (kind, help) = match failure.said() {
        Some(Said::Empty) => return empty(&url.shown),
        Some(Said::NoRoom) => (ErrorKind::Machine, ROOM_HELP),
        Some(Said::Credentials) => (ErrorKind::Credentials, CREDENTIALS_HELP),
        Some(Said::HostKey) => (ErrorKind::Certificate, HOST_KEY_HELP),
        Some(Said::Certificate) => (ErrorKind::Certificate, CERTIFICATE_HELP),
        Some(Said::WholeOnly | Said::NoProtocol | Said::AnotherGit) | None => {
            (ErrorKind::Repository, REPOSITORY_HELP)
        }
    };
    Error::new(kind, &url.shown, failure.message()).with_help(help)
}

/// The error for an error of libgit2.
pub(crate) fn of_libgit2(url: &Url, e: &git2::Error) -> Error {
    let (kind, help) = match (e.code(), e.class()) {
        _ if is_full_disk(e.message()) => (ErrorKind::Machine, ROOM_HELP),
        (ErrorCode::Auth, _) => (ErrorKind::Credentials, CREDENTIALS_HELP),
        _ if e.message() == NO_LOGIN => (ErrorKind::Credentials, CREDENTIALS_HELP),
        (ErrorCode::Certificate, ErrorClass::Ssh) => (ErrorKind::Certificate, HOST_KEY_HELP),
        (ErrorCode::Certificate, _) | (_, ErrorClass::Ssl) => {
            (ErrorKind::Certificate, CERTIFICATE_HELP)
        }
        _ => (ErrorKind::Repository, REPOSITORY_HELP),
    };
    Error::new(kind, &url.shown, "cannot be fetched")
        .with_source(e.message())
        .with_help(help)
}

/// Whether a message of libgit2 is about a full disk.
pub(crate) fn is_full_disk(message: &str) -> bool {
    message.contains(NO_SPACE)
}

/// The error for a repository without a commit.
pub(crate) fn empty(shown: &str) -> Error {
    Error::new(
        ErrorKind::Repository,
        shown,
        "the repository is empty: its HEAD names no commit",
    )
    .with_help("check the address")
}
