//! Data files of a copy, read and written a piece at a time: between two, whoever waits for the daemon hears that it lives.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::LastGoodError;
use crate::{file, geoip::Cancelled, hex};

/// One piece, which any disk has written within seconds.
const PIECE: usize = 1 << 20;

/// Makes sure that a file has this content.
pub(super) fn check(
    path: &Path,
    sha256: &str,
    cancelled: Cancelled<'_>,
) -> Result<(), LastGoodError> {
    let file = file::open(path, file::DATABASE_MAX).map_err(LastGoodError::io("read", path))?;
    let found = each(&file, path, cancelled, &mut |_| Ok(()))?;
    if found == sha256 {
        Ok(())
    } else {
        Err(LastGoodError::Damaged {
            path: path.to_owned(),
        })
    }
}

/// Copies a file that has to have this content, all of which is on the disk afterwards. One that is missing is a file of exemptions without any.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    sha256: &str,
    cancelled: Cancelled<'_>,
) -> Result<(), LastGoodError> {
    let source = match file::open(from, file::DATABASE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened.map_err(LastGoodError::io("read", from))?),
    };
    let mut target = create(to)?;
    let mut write = |piece: &[u8]| {
        let written = target.write_all(piece).and_then(|()| target.sync_data());
        written.map_err(LastGoodError::io("write", to))
    };
    let found = match source {
        Some(source) => each(&source, from, cancelled, &mut write)?,
        None => hex(&Sha256::digest([])),
    };
    if found != sha256 {
        return Err(LastGoodError::Changed {
            path: from.to_owned(),
        });
    }
    target.sync_all().map_err(LastGoodError::io("write", to))
}

/// A file that is not there yet, and that nobody else reads.
pub(super) fn create(path: &Path) -> Result<File, LastGoodError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(LastGoodError::io("write", path))
}

/// Hands out one piece after the other; returns the SHA-256 of all.
fn each(
    file: &File,
    path: &Path,
    cancelled: Cancelled<'_>,
    of: &mut dyn FnMut(&[u8]) -> Result<(), LastGoodError>,
) -> Result<String, LastGoodError> {
    // What grows while it is read ends at the limit as well, and is not what it was.
    let mut file = file.take(file::DATABASE_MAX.saturating_add(1));
    let mut piece = vec![0; PIECE];
    let mut hash = Sha256::new();
    loop {
        if cancelled() {
            return Err(LastGoodError::Cancelled);
        }
        let length = match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(LastGoodError::io("read", path))?,
        };
        let Some(read) = piece.get(..length).filter(|it| !it.is_empty()) else {
            return Ok(hex(&hash.finalize()));
        };
        hash.update(read);
        of(read)?;
    }
}
