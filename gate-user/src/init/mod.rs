//! `gate init`: a configuration to begin with, from the interfaces, addresses and routes of this machine.
//!
//! It observes, and refuses nothing. What it says is a guess that whoever knows the network corrects; each guess says in a comment what it is made of.
//! What it writes passes `gate check`: it was loaded before it is written.

mod databases;
mod guess;
mod pools;
mod text;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::guess::Guess;
use crate::{
    error::Error,
    load::{Base, Source, load},
    progress::Progress,
    report::Report,
    sys,
};

/// Why there is no configuration to begin with.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is something already.
    #[error("{}: this is there already, and is not written over", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No interface looks like one that the gate is for.
    #[error("no interface of this machine can be configured: {why}")]
    Nothing {
        /// What was found.
        why: String,
    },
    /// It cannot be written.
    #[error("{}: cannot write this: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl InitError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "name another file, or say `--force`",
            Self::Nothing { .. } => {
                "give the interface to subscribers its addresses and routes, or start from examples/gate.toml (of the package, in /usr/share/doc/gate)"
            }
            Self::Io { .. } => "make its directory, or name another file",
        }
    }
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Begun {
    /// The file; nothing where it is the answer itself.
    pub file: Option<PathBuf>,
    /// The configuration.
    pub text: String,
    /// The interfaces to subscribers.
    pub access: Vec<String>,
    /// The interfaces to the Internet.
    pub uplinks: Vec<String>,
    /// The country databases.
    pub databases: Vec<PathBuf>,
}

/// Makes a configuration, and writes it to `file`, if one is named; over what is there only with `force`.
pub fn init(file: Option<&Path>, force: bool) -> Result<Begun, Error> {
    if let Some(path) = file.filter(|it| !force && it.symlink_metadata().is_ok()) {
        let path = path.to_owned();
        return Err(InitError::Exists { path }.into());
    }
    let details = sys::details().map_err(Error::system("list the network interfaces"))?;
    let addresses = sys::addresses().map_err(Error::system("list the addresses"))?;
    let routes = sys::routes().map_err(Error::system("list the routes"))?;
    let mut guess = Guess::new(&details, &addresses, &routes);
    guess.databases = databases::find(&databases::DIRECTORIES.map(Path::new));
    let mut text = text::text(&guess);
    let place = file.unwrap_or(Path::new("gate.toml"));
    if let Err(error) = loads(place, &text) {
        // Something else than a country database may have such a name.
        if guess.databases.is_empty() {
            return Err(guess.nothing().map_or(error, Error::from));
        }
        guess.unusable = Some(error.to_string());
        guess.databases.clear();
        text = text::text(&guess);
        loads(place, &text).map_err(|error| guess.nothing().map_or(error, Error::from))?;
    }
    if let Some(path) = file {
        write(path, &text, force).map_err(|error| {
            let path = path.to_owned();
            if error.kind() == io::ErrorKind::AlreadyExists {
                InitError::Exists { path }
            } else {
                InitError::Io { path, error }
            }
        })?;
    }
    let names = |of: &[guess::Interface]| of.iter().map(|it| it.name.clone()).collect();
    Ok(Begun {
        file: file.map(Path::to_owned),
        text,
        access: names(&guess.access),
        uplinks: names(&guess.uplinks),
        databases: guess.databases,
    })
}

/// Makes sure that it can be loaded.
fn loads(path: &Path, text: &str) -> Result<(), Error> {
    let mut progress = Progress::new();
    let loaded = load(Source::Kept { path, text }, Base::default(), &mut progress);
    progress.finish();
    loaded.map(drop)
}

/// Whole or not at all: written beside it, and given its name when it is on the disk.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    // A link is made for a file that is to be changed where it lies.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let found = path.metadata();
    if let Ok(found) = &found
        && !found.is_file()
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this is no regular file, and stays",
        ));
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let next = path.with_file_name(name);
    // What one of the same number left that was killed.
    let _ = fs::remove_file(&next);
    let written = create(&next, text)
        .and_then(|()| match found {
            Ok(found) => fs::set_permissions(&next, found.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| {
            if force {
                fs::rename(&next, path)
            } else {
                // Unlike a rename, this never takes the place of what came meanwhile.
                fs::hard_link(&next, path)
            }
        });
    // Renamed, it is gone; the error that counts is told.
    let _ = fs::remove_file(&next);
    written?;
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// A file that is not there yet, on the disk afterwards.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

impl Report for Begun {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Some(file) = &self.file else {
            return out.write_all(self.text.as_bytes());
        };
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let file = file.display();
        writeln!(out, "wrote {file}; it only observes")?;
        writeln!(out, "access      {}", list(&self.access))?;
        writeln!(out, "uplink      {}", list(&self.uplinks))?;
        writeln!(
            out,
            "next        read it, then `gate check --config {file}`"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn here(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_came_meanwhile_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate.toml");
        write(&path, "new\n", false).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let error = write(&path, "newer\n", false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(here(directory.path()), ["gate.toml"]);
    }

    #[test]
    fn by_force_a_file_is_replaced_where_it_lies_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = ["gate.toml", "link"]
            .map(|it| directory.path().join(it))
            .into();
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("gate.toml", &link).unwrap();
        write(&link, "new\n", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(here(directory.path()), ["gate.toml", "link"]);
        for path in [Path::new("/dev/null"), directory.path()] {
            let error = write(path, "new\n", true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }
}
