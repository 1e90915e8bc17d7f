//! Why a repository could not be fetched, and what its user can do about it.

use git2::{ErrorClass, ErrorCode};

use super::git::Failure;
use crate::error::{Error, ErrorKind, ROOM_HELP};

const CREDENTIALS_HELP: &str = "check the address; if it is right, a credential helper, ssh-agent or a terminal \
to ask on must give the login, as for `git clone`";
const CERTIFICATE_HELP: &str =
    "if you trust the server, name a file with its authority's certificate in SSL_CERT_FILE";
const HOST_KEY_HELP: &str = "if you trust the server, connect to it once with `ssh`, which adds its key to ~/.ssh/known_hosts";
const REPOSITORY_HELP: &str = "check the address and the network; `git ls-remote` with it must work (HTTPS_PROXY names a proxy)";

/// What the C library says of a full disk, in the messages of git and libgit2.
const NO_SPACE: &str = "No space left on device";

/// What auth-git2 says when it knows no login that the server takes.
const NO_LOGIN: &str = "all authentication attempts failed";

/// What git's words mean to its user.
pub(super) fn of_git(url: &str, shown: &str, failure: &Failure) -> Error {
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

/// What libgit2's words mean to its user.
pub(super) fn of_libgit2(shown: &str, e: &git2::Error) -> Error {
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
        .with_git_source(e)
        .with_help(help)
}

/// Whether a message of libgit2's is about a full disk.
pub(super) fn is_full_disk(message: &str) -> bool {
    message.contains(NO_SPACE)
}

/// The error for a repository without a commit.
pub(super) fn empty(shown: &str) -> Error {
    Error::new(
        ErrorKind::Repository,
        shown,
        "its HEAD names no commit: the repository is empty",
    )
    .with_help("check the address: a repository of kernels has some")
}
