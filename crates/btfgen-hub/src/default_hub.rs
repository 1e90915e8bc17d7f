//! The hub of a user who names none.

use std::path::PathBuf;

/// The variables that name the default hub. The first one that is not empty wins.
pub const HUB_VARIABLES: [&str; 3] = ["BTFGEN_HUB", "BTFHUB_CACHE_DIR", "BTFHUB_CACHE"];

/// The folder of the default hub: that of the first of [`HUB_VARIABLES`], else `btfgen/btfhub` in the XDG cache folder
/// (`$XDG_CACHE_HOME`, else `~/.cache`). `None` if no home folder is known either.
pub fn default_hub() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    HUB_VARIABLES.into_iter().find_map(var).or_else(|| {
        let cache = var("XDG_CACHE_HOME")
            // The XDG specification says that relative paths are ignored.
            .filter(|p| p.is_absolute())
            .or_else(|| Some(var("HOME")?.join(".cache")))?;
        Some(cache.join("btfgen").join("btfhub"))
    })
}
