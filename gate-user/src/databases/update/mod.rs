//! `gate geoip update`: databases fetched from where `[[geoip.update]]` says, and a look at those that others fetch.
//!
//! | module | what it is |
//! |---|---|
//! | `place` | where a database lies, and the files beside it |
//! | `unpack` | a database out of an archive |
//! | `report` | what became of each |
//! | `error` | why one was not fetched |
//!
//! It asks the daemon for nothing: that one follows the file, whoever writes it, and judges it by itself (`crate::watch`).

mod error;
mod place;
mod report;
mod unpack;

use std::{
    fs::File,
    io::{self, Seek as _, Write},
    path::Path,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

pub use self::{
    error::UpdateError,
    report::{Outcome, Updated, Updates},
    unpack::UnpackError,
};
use self::{place::Place, unpack::unpack};
use crate::{
    config::{self, GeoipFiles, Guard, Update},
    error::Error,
    fetch::{self, Credentials, Fetched, Limits, Url, Version, Wanted},
    file,
    generation::manifest::Database,
    geoip::Single,
    guard, hex,
    pins::Pins,
    view::View,
};

/// For how long a download may go on: 256 MiB in that time are some 150 KiB a second.
const TOTAL: Duration = Duration::from_mins(30);
/// The longest file with a checksum that is read: a line, or some.
const CHECKSUM_MAX: u64 = 64 << 10;

/// Fetches the databases of the configuration at `config`, of the one in force if none is named, unless their servers have
/// no others. `force` overrides the guards.
pub fn update(pins: &Pins, config: Option<&Path>, force: bool) -> Result<Updates, Error> {
    let loaded = View::loaded(pins).map(|view| view.manifest);
    let (config, loaded) = match (config, loaded) {
        (Some(config), loaded) => (config.to_owned(), loaded.ok()),
        (None, loaded) => {
            let manifest = loaded?;
            (manifest.config.clone(), Some(manifest))
        }
    };
    let files = config::load_geoip(&config, &file::read_text)?;
    let outcomes = files.databases.iter().map(|path| {
        let update = files.updates.iter().find(|it| it.database == *path);
        let outcome = update.map_or(Outcome::Followed, |update| {
            one(update, &files, force).unwrap_or_else(|error| Outcome::failed(&error))
        });
        (path.as_path(), update.map(|it| it.url.origin()), outcome)
    });
    Ok(Updates::of(outcomes, files.country, loaded.as_ref()))
}

fn one(update: &Update, files: &GeoipFiles, force: bool) -> Result<Outcome, UpdateError> {
    let place = Place::lock(&update.database)?;
    let credentials = update.credentials.as_deref().map(Credentials::read);
    let credentials = credentials.transpose()?;
    let ask = |url, octets, version, sink: &mut dyn Write| {
        let wanted = Wanted {
            url,
            // Those of one host are no business of another, which `checksum` may name.
            credentials: credentials.as_ref().filter(|_| update.url.same_origin(url)),
            ca: update.ca.as_deref(),
            version,
            limits: Limits {
                octets,
                silence: update.timeout,
                total: TOTAL,
            },
        };
        fetch::fetch(&wanted, sink)
    };
    let before = place.sha256();
    let version = place.version(update, before.as_deref());
    let path = place.packed();
    let mut packed = Hashed {
        file: Place::create(&path)?,
        sha256: Sha256::new(),
    };
    let fetched = ask(&update.url, update.octets_max, version, &mut packed);
    let Fetched::File(version) = fetched.map_err(UpdateError::fetch(&path))? else {
        return Ok(Outcome::Unchanged);
    };
    if let Some(checksum) = &update.checksum {
        let mut listed = Vec::new();
        ask(checksum, CHECKSUM_MAX, Version::default(), &mut listed)
            .map_err(UpdateError::Checksum)?;
        compare(checksum, &listed, &hex(&packed.sha256.finalize()))?;
    }
    let origin = update.url.origin();
    let mut file = open(packed.file, &place, update.octets_max, &origin)?;
    let read = |path: &Path| Single::read(path, files.country, &mut |_, _| (), &|| false);
    let new = read(&place.new_database())
        .map_err(|error| UpdateError::Unusable { origin, error })?
        .database;
    let new = Database {
        path: update.database.clone(),
        ..new
    };
    if before.as_deref() == Some(new.sha256.as_str()) {
        place.remember(update, &new.sha256, version)?;
        return Ok(Outcome::Unchanged);
    }
    // One that cannot be read is no measure of anything.
    let old = read(place.target()).ok().map(|it| it.database);
    if !force {
        judge(files.guard, old.as_ref(), &new)?;
    }
    place.remember(update, &new.sha256, version)?;
    place.replace(&mut file)?;
    Ok(Outcome::Replaced {
        before: old.map(|it| it.built),
    })
}

/// The database in what came, unpacked.
fn open(mut packed: File, place: &Place, limit: u64, origin: &str) -> Result<File, UpdateError> {
    packed
        .rewind()
        .map_err(UpdateError::io("read", &place.packed()))?;
    let path = place.new_database();
    let mut file = Place::create(&path)?;
    match unpack(packed, &mut file, limit) {
        Ok(()) => Ok(file),
        Err(UnpackError::Write(error)) => Err(UpdateError::io("write", &path)(error)),
        Err(error) => Err(UpdateError::Unpack {
            origin: origin.to_owned(),
            error,
        }),
    }
}

fn judge(guard: Guard, old: Option<&Database>, new: &Database) -> Result<(), UpdateError> {
    let violations = old.map_or_else(Vec::new, |old| guard::database_violations(guard, old, new));
    if violations.is_empty() {
        Ok(())
    } else {
        Err(UpdateError::Guard { violations })
    }
}

/// Compares a SHA-256 with the first word of what sha256sum(1) writes.
fn compare(url: &Url, listed: &[u8], found: &str) -> Result<(), UpdateError> {
    const DIGITS: usize = 64;
    let text = String::from_utf8_lossy(listed);
    let wanted = text.split_whitespace().next().map(str::to_ascii_lowercase);
    let wanted =
        wanted.filter(|it| it.len() == DIGITS && it.bytes().all(|it| it.is_ascii_hexdigit()));
    match wanted {
        Some(wanted) if wanted == found => Ok(()),
        Some(wanted) => Err(UpdateError::OtherChecksum {
            found: found.to_owned(),
            wanted,
        }),
        None => Err(UpdateError::NoChecksum {
            origin: url.origin(),
        }),
    }
}

/// A file and the SHA-256 of what was written to it.
struct Hashed {
    file: File,
    sha256: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.file.write(data)?;
        self.sha256.update(data.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
