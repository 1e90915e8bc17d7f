//! The hub of a user who names none.

use std::path::PathBuf;

/// The folder of the default hub: `$BTFHUB_CACHE_DIR` or `$BTFHUB_CACHE`, else `btfgen/btfhub` in the XDG cache folder
/// (`$XDG_CACHE_HOME`, else `~/.cache`). `None` if no home folder is known either.
pub fn default_hub() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("BTFHUB_CACHE_DIR")
        .or_else(|| var("BTFHUB_CACHE"))
        .or_else(|| {
            let cache = var("XDG_CACHE_HOME")
                // The XDG specification says that relative paths are ignored.
                .filter(|p| p.is_absolute())
                .or_else(|| Some(var("HOME")?.join(".cache")))?;
            Some(cache.join("btfgen").join("btfhub"))
        })
}
