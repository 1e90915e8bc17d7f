//! What is in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files below a folder by their paths, with their contents; links with what they lead to.
pub(crate) type State = BTreeMap<String, Vec<u8>>;

/// What people see, and all that is in a git repository: not what hubs have for themselves, nor temporary files.
pub(crate) fn visible(folder: &Path) -> State {
    let mut state = all(folder);
    state.retain(|path, _| !is_own(path) && !is_temporary(path));
    state
}

/// The paths of temporary files.
pub(crate) fn temporary(folder: &Path) -> Vec<String> {
    let all = all(folder).into_keys();
    all.filter(|path| is_temporary(path)).collect()
}

fn is_own(path: &str) -> bool {
    path.split('/').any(|part| part == ".btfgen")
}

fn is_temporary(path: &str) -> bool {
    let parts = path.split('/');
    let mut hidden =
        parts.filter(|part| part.starts_with(".btfgen-tmp-") || part.starts_with(".tmp"));
    hidden.next().is_some() || path.contains("/.btfgen/staging/")
}

fn all(folder: &Path) -> State {
    fn walk(folder: &Path, inside: &str, state: &mut State) {
        for entry in fs::read_dir(folder.join(inside))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inside.is_empty() {
                name
            } else {
                format!("{inside}/{name}")
            };
            let full = folder.join(&path);
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                walk(folder, &path, state);
            } else if let Ok(target) = fs::read_link(&full) {
                state.insert(path, target.into_os_string().into_encoded_bytes());
            } else {
                state.insert(path, fs::read(&full).unwrap_or_default());
            }
        }
    }
    let mut state = State::new();
    walk(folder, "", &mut state);
    state
}
