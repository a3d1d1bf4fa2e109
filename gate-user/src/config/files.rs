//! List files that the configuration names.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    slice,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::{
    ListFile, Listed, Origin, Reader,
    fault::Fault,
    problem::{Problems, Reported},
};
use crate::{
    hex,
    lists::{self, Entry, Line},
};

/// Where list files are, how they are read, and which were.
pub(super) struct Files<'a> {
    /// What relative names are relative to.
    pub(super) directory: &'a Path,
    /// Reads one.
    pub(super) read: &'a Reader<'a>,
    /// Those that were read, each once, in the order in which they are named.
    pub(super) seen: Vec<ListFile>,
    /// Their paths.
    pub(super) paths: HashSet<Arc<Path>>,
}

impl Files<'_> {
    /// The entries of all these files. Every bad line is reported.
    pub(super) fn entries(
        &mut self,
        names: &[Listed<PathBuf>],
        problems: &mut Problems,
    ) -> Result<Vec<Listed<Entry>>, Reported> {
        let mut entries = Vec::new();
        let mut outcome = Ok(());
        for name in names {
            outcome = self.append(name, &mut entries, problems).and(outcome);
        }
        outcome.map(|()| entries)
    }

    /// The entries of this file, which may be missing: then it has none.
    pub(super) fn entries_if_there(
        &mut self,
        name: &Listed<PathBuf>,
        problems: &mut Problems,
    ) -> Result<Vec<Listed<Entry>>, Reported> {
        let path: Arc<Path> = self.directory.join(&name.value).into();
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if !(self.read)(&path).is_err_and(|error| missing(&error)) {
            return self.entries(slice::from_ref(name), problems);
        }
        self.seen.push(ListFile {
            path: path.to_path_buf(),
            sha256: hex(&Sha256::digest("")),
            prefixes: 0,
        });
        Ok(Vec::new())
    }

    fn append(
        &mut self,
        name: &Listed<PathBuf>,
        entries: &mut Vec<Listed<Entry>>,
        problems: &mut Problems,
    ) -> Result<(), Reported> {
        let path: Arc<Path> = self.directory.join(&name.value).into();
        let text = (self.read)(&path).map_err(|error| unreadable(name, &path, &error, problems))?;
        let mut outcome = Ok(());
        let before = entries.len();
        for Line {
            number,
            column,
            content,
        } in lists::lines(&text)
        {
            let origin = Origin {
                file: Arc::clone(&path),
                line: number,
                column,
            };
            match content {
                Ok(value) => entries.push(Listed { value, origin }),
                Err(Fault { message, hint }) => {
                    outcome = Err(problems.error(origin, message, hint));
                }
            }
        }
        if self.paths.insert(Arc::clone(&path)) {
            self.seen.push(ListFile {
                path: path.to_path_buf(),
                sha256: hex(&Sha256::digest(&text)),
                prefixes: entries.len() - before,
            });
        }
        outcome
    }
}

fn unreadable(
    name: &Listed<PathBuf>,
    path: &Path,
    error: &io::Error,
    problems: &mut Problems,
) -> Reported {
    let path = path.display();
    let kind = error.kind();
    // What `file::read` refuses to read.
    let unusable = matches!(
        kind,
        io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge
    );
    let (message, hint) = if kind == io::ErrorKind::InvalidData {
        (
            format!("the list file `{path}` is not UTF-8 text"),
            "write one `PREFIX [until=RFC3339] [ticket=TEXT]` a line; databases belong to `geoip.databases`",
        )
    } else if unusable {
        (
            format!("the list file `{path}` cannot be used: {error}"),
            "name a text file with one prefix a line; `ls -lL` shows what is there",
        )
    } else {
        (
            format!("the list file `{path}` cannot be read: {error}"),
            "create it, or put the name right: it is relative to the directory of the configuration",
        )
    };
    problems.error(name.origin.clone(), message, hint)
}
