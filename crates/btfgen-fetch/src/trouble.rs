//! Turns errors of git and libgit2 into errors with a help text.

use btfgen_hub::{Error, ErrorKind, ROOM_HELP};
use git2::{ErrorClass, ErrorCode};

use crate::git::Failure;

const CREDENTIALS_HELP: &str = "check the address; if it is right, provide the login as for `git clone`: by a credential \
helper, by ssh-agent, or on a terminal";
const CERTIFICATE_HELP: &str =
    "if you trust the server, set SSL_CERT_FILE to a file with the certificate of its authority";
const HOST_KEY_HELP: &str = "if you trust the server, connect to it once with `ssh`, which adds its key to ~/.ssh/known_hosts";
const REPOSITORY_HELP: &str = "check the address and the network; `git ls-remote ADDRESS` must work (HTTPS_PROXY names a proxy)";

/// The C library's message for a full disk, which git and libgit2 repeat.
const NO_SPACE: &str = "No space left on device";

/// The message of auth-git2 when the server accepts none of the logins.
const NO_LOGIN: &str = "all authentication attempts failed";

/// The error for a failure of git.
pub(crate) fn of_git(url: &str, shown: &str, failure: &Failure) -> Error {
    let any = |texts: &[&str]| texts.iter().any(|text| failure.says(text));
    let (kind, help) = if any(&[NO_SPACE]) {
        (ErrorKind::Io, ROOM_HELP)
    } else if any(&[
        "could not read Username",
        "could not read Password",
        "Authentication failed",
        "Permission denied",
        "terminal prompts disabled",
        "error: 401",
        "error: 403",
    ]) {
        (ErrorKind::Credentials, CREDENTIALS_HELP)
    } else if any(&["Host key verification failed"]) {
        (ErrorKind::Certificate, HOST_KEY_HELP)
    } else if any(&["certificate", "SSL"]) {
        (ErrorKind::Certificate, CERTIFICATE_HELP)
    } else {
        (ErrorKind::Repository, REPOSITORY_HELP)
    };
    Error::new(kind, shown, failure.message().replace(url, shown)).with_help(help)
}

/// The error for an error of libgit2.
pub(crate) fn of_libgit2(shown: &str, e: &git2::Error) -> Error {
    let (kind, help) = match (e.code(), e.class()) {
        _ if is_full_disk(e.message()) => (ErrorKind::Io, ROOM_HELP),
        (ErrorCode::Auth, _) => (ErrorKind::Credentials, CREDENTIALS_HELP),
        _ if e.message() == NO_LOGIN => (ErrorKind::Credentials, CREDENTIALS_HELP),
        (ErrorCode::Certificate, ErrorClass::Ssh) => (ErrorKind::Certificate, HOST_KEY_HELP),
        (ErrorCode::Certificate, _) | (_, ErrorClass::Ssl) => {
            (ErrorKind::Certificate, CERTIFICATE_HELP)
        }
        _ => (ErrorKind::Repository, REPOSITORY_HELP),
    };
    Error::new(kind, shown, "cannot be fetched")
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
