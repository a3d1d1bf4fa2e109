//! List files that the configuration names.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Listed, Origin, Reader,
    fault::Fault,
    problem::{Problems, Reported},
};
use crate::lists::{self, Entry, Line};

/// Where list files are, and how they are read.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    /// What relative names are relative to.
    pub(super) directory: &'a Path,
    /// Reads one.
    pub(super) read: &'a Reader<'a>,
}

impl Files<'_> {
    /// The entries of all these files. Every bad line is reported.
    pub(super) fn entries(
        &self,
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

    fn append(
        &self,
        name: &Listed<PathBuf>,
        entries: &mut Vec<Listed<Entry>>,
        problems: &mut Problems,
    ) -> Result<(), Reported> {
        let path: Arc<Path> = self.directory.join(&name.value).into();
        let text = (self.read)(&path).map_err(|error| unreadable(name, &path, &error, problems))?;
        let mut outcome = Ok(());
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
    let (message, hint) = if error.kind() == io::ErrorKind::InvalidData {
        (
            format!("the list file `{path}` is not UTF-8 text"),
            "write one `PREFIX [until=RFC3339] [ticket=TEXT]` a line; databases belong to `geoip.databases`".to_owned(),
        )
    } else {
        (
            format!("the list file `{path}` cannot be read: {error}"),
            "create it, or put the name right: it is relative to the directory of the configuration".to_owned(),
        )
    };
    problems.error(name.origin.clone(), message, hint)
}
