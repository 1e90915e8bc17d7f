//! What `--json` prints: one object for each run of a command, with the same names in all commands.

use serde::{Serialize, Serializer};

use crate::explain::{caused, chain, help};

/// The fields of a report that say why the command failed. There are none if it did not fail.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Failure {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Failure {
    /// The failure that an error describes.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        Self {
            error: Some(chain(error.as_ref())),
            help: error.chain().find_map(help).map(str::to_owned),
        }
    }

    /// A failure that the other fields of the report explain.
    pub(crate) fn told(error: String) -> Self {
        Self {
            error: Some(error),
            help: None,
        }
    }
}

/// A file that was left out.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    /// The kernel, if its name is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    path: String,
    reason: String,
}

impl LeftOut {
    /// The file that an error is about.
    pub(crate) fn of(error: &btfgen::Error) -> Self {
        Self {
            kernel: error.kernel().map(ToString::to_string),
            path: error.subject().to_owned(),
            reason: caused(error.message(), error),
        }
    }

    /// A file that the user named.
    pub(crate) fn named(path: &std::path::Path, error: &btfgen_hub::Error) -> Self {
        Self {
            kernel: None,
            path: path.display().to_string(),
            reason: caused(error.message(), error),
        }
    }

    /// All files that errors are about.
    pub(crate) fn all<'e>(errors: impl IntoIterator<Item = &'e btfgen::Error>) -> Vec<Self> {
        errors.into_iter().map(Self::of).collect()
    }
}

/// Writes a value's text as JSON.
pub(crate) fn text<S: Serializer>(
    value: &impl std::fmt::Display,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}
