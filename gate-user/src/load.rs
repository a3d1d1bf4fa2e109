//! From a configuration to a plan: what `run`, `reload`, `check` and `lookup --config` have in common.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    config::{self, Config},
    error::Error,
    file,
    generation::{Inputs, Manifest, Plan, SourceMap},
    geoip::Opened,
    last_good::Copy,
    progress::Progress,
    watch::{Content, Known, Stamp},
};

/// A configuration, and the generation that it makes.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Its text.
    pub text: String,
    /// The data files that it names, as they were read.
    pub files: BTreeMap<PathBuf, Known>,
    /// The generation.
    pub plan: Plan,
}

/// Where the configuration comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The file that somebody just named: whatever can be read, `/dev/stdin` too.
    Named(&'a Path),
    /// The file that was named when the daemon started. It must not hang the daemon.
    Again(&'a Path),
    /// The text that was read from this file earlier.
    Kept {
        /// The file: list files and databases are relative to its directory.
        path: &'a Path,
        /// The text.
        text: &'a str,
    },
    /// What was kept as last good: none of the files that it was copied from is read.
    LastGood(&'a Copy),
}

impl Source<'_> {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Again(path) | Self::Kept { path, .. } => path,
            Self::LastGood(copy) => &copy.index().config,
        }
    }

    fn text(&self) -> io::Result<String> {
        match self {
            Self::Named(path) => fs::read_to_string(path),
            Self::Again(path) => file::read_text(path),
            Self::Kept { text, .. } => Ok((*text).to_owned()),
            Self::LastGood(copy) => Ok(copy.text().to_owned()),
        }
    }

    /// Where the content of the file at `path` is.
    fn place(&self, path: &Path) -> PathBuf {
        match self {
            Self::Named(_) | Self::Again(_) | Self::Kept { .. } => path.to_owned(),
            // What is not in the copy is nowhere: an empty path is that of no file.
            Self::LastGood(copy) => copy.place(path).unwrap_or_default(),
        }
    }

    /// How the file at `path` looks before it is read. That of a copy says nothing about the file that the copy is of.
    fn stamp(&self, path: &Path) -> Option<Stamp> {
        match self {
            Self::Named(_) | Self::Again(_) | Self::Kept { .. } => Stamp::of(path),
            Self::LastGood(_) => None,
        }
    }
}

/// What a generation follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Base<'a> {
    /// What the one before is made of.
    pub manifest: Option<&'a Manifest>,
    /// Where its prefixes came from.
    pub sources: Option<&'a SourceMap>,
    /// Its number; 0 if there is none.
    pub number: u32,
}

/// Reads the configuration and everything that it names.
pub fn load(source: Source<'_>, base: Base<'_>, progress: &mut Progress) -> Result<Loaded, Error> {
    let path = source.path();
    let text = source.text();
    // As files were before they were read: what changes meanwhile looks different afterwards.
    let stamps = RefCell::new(BTreeMap::new());
    // Of a configuration that can be used, only the file of exemptions.
    let missing = RefCell::new(BTreeSet::new());
    let read = |name: &Path| {
        if name == path {
            return match &text {
                Ok(text) => Ok(text.clone()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
        }
        stamps
            .borrow_mut()
            .entry(name.to_owned())
            .or_insert_with(|| source.stamp(name));
        let text = file::read_text(&source.place(name));
        if matches!(&text, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            missing.borrow_mut().insert(name.to_owned());
        }
        text
    };
    let mut config = config::load(path, &read)?;
    let mut files: BTreeMap<PathBuf, Known> = BTreeMap::new();
    for list in &config.list_files {
        let known = Known {
            stamp: stamps.borrow().get(&list.path).copied().flatten(),
            content: if missing.borrow().contains(&list.path) {
                Content::Gone
            } else {
                Content::Sha256(list.sha256.clone())
            },
        };
        // One file by two spellings of its name looked as it did before it was read first.
        files.entry(absolute(&list.path)?).or_insert(known);
    }
    make_absolute(&mut config)?;
    let databases = match &config.geoip {
        Some(geoip) => {
            let stamps = geoip
                .databases
                .iter()
                .map(|path| {
                    file::check(&source.place(path), file::DATABASE_MAX)
                        .map(|()| source.stamp(path))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let cancelled = progress.cancelled();
            let mut done = |path: &Path, networks| progress.read(path, networks);
            let opened = Opened::read_at(geoip, &|it| source.place(it), &mut done, cancelled)?;
            let countries = opened.countries();
            opened.verify(&|addr| countries.table.country(addr), cancelled)?;
            for (database, stamp) in countries.databases.iter().zip(stamps) {
                let known = Known {
                    stamp,
                    content: Content::Sha256(database.sha256.clone()),
                };
                files.insert(database.path.clone(), known);
            }
            Some(opened)
        }
        None => None,
    };
    let directory = absolute(Path::new("."))?;
    let inputs = Inputs {
        config: &config,
        countries: databases.as_ref().map(Opened::countries),
        previous: base.manifest,
        previous_sources: base.sources,
        directory: &directory,
        number: base.number.wrapping_add(1).max(1),
        now: Timestamp::now(),
    };
    let plan = Plan::new(inputs)?;
    Ok(Loaded {
        config,
        text: text.unwrap_or_default(),
        files,
        plan,
    })
}

/// What is loaded names its files for whoever asks later, from wherever.
fn make_absolute(config: &mut Config) -> Result<(), Error> {
    let databases = config.geoip.iter_mut().flat_map(|it| &mut it.databases);
    let lists = config.list_files.iter_mut().map(|it| &mut it.path);
    for file in databases
        .chain(lists)
        .chain([&mut config.file])
        .chain(&mut config.exemptions)
    {
        *file = absolute(file)?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::system("find the working directory"))
}
