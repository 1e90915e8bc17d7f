//! The hub of a user who names none.

use std::path::PathBuf;

/// The variables that name the default hub. The first one that is not empty wins.
pub const HUB_VARIABLES: [&str; 3] = ["BTFGEN_HUB", "BTFHUB_CACHE_DIR", "BTFHUB_CACHE"];

/// The folder of the default hub: that of the first of [`HUB_VARIABLES`], else `btfgen/btfhub` in the XDG cache folder
/// (`$XDG_CACHE_HOME`, else `~/.cache`). `None` if no home folder is known either.
pub fn default_hub() -> Option<PathBuf> {
    let named = HUB_VARIABLES.into_iter().find_map(variable);
    named.or_else(|| Some(cache_folder()?.join("btfgen").join("btfhub")))
}

/// The XDG cache folder. `None` if no home folder is known.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    variable("XDG_CACHE_HOME")
        // The XDG specification says that relative paths are ignored.
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".cache")))
}

/// The path in an environment variable, unless it is empty.
fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}
