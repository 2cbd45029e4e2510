//! Finding case files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::FindError;

/// The case files behind `paths`, in the order given.
///
/// A file is taken whatever it is called. A folder stands for all `*.safetensors` files in it and
/// the folders below it, sorted by path; symbolic links are followed, and a folder that is reached
/// twice counts once, so that a cycle of links ends. A link to nothing is given like a file, and fails
/// when it is loaded. A folder without such files adds none.
///
/// # Errors
/// [`FindError`] naming the path that does not exist or cannot be read.
pub fn find_cases<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<PathBuf>, FindError> {
    let mut cases = Vec::new();
    for path in paths {
        let path = path.as_ref();
        if fs::metadata(path).map_err(|source| cannot_open(path, source))?.is_dir() {
            let mut found = Vec::new();
            find_in_folder(path, &mut BTreeSet::new(), &mut found)?;
            found.sort();
            cases.append(&mut found);
        } else {
            cases.push(path.to_owned());
        }
    }
    Ok(cases)
}

fn find_in_folder(
    folder: &Path,
    seen: &mut BTreeSet<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> Result<(), FindError> {
    if !seen.insert(fs::canonicalize(folder).map_err(|source| cannot_open(folder, source))?) {
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(|source| cannot_open(folder, source))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|source| cannot_open(folder, source)))
        .collect::<Result<Vec<_>, _>>()?;
    // So that of two ways to one folder it is always the same that counts.
    paths.sort();
    for path in paths {
        let is_case = path.extension().is_some_and(|extension| extension == "safetensors");
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => find_in_folder(&path, seen, found)?,
            Ok(_) if is_case => found.push(path),
            // A dangling link is a case that cannot be read; anything else is not ours.
            Err(_) if is_case => found.push(path),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn cannot_open(path: &Path, source: std::io::Error) -> FindError {
    FindError::Open { path: path.to_owned(), source }
}
