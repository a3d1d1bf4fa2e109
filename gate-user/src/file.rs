//! Data files that others write: read whole, if they are files and of a size that data can have.
//!
//! A name in the configuration can lead anywhere. What never ends (a device) or never begins (a FIFO that nobody writes
//! to) must not hang whoever reads it.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::hex;

/// The longest country database that is read: the longest of the known providers has some 100 MiB.
pub const DATABASE_MAX: u64 = 1 << 30;
/// The longest list file, and the longest configuration, that is read: some ten million lines.
pub const LIST_MAX: u64 = 256 << 20;

/// A data file that is not even read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}", path = path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: io::Error,
}

/// Makes sure that what is at `path`, if anything is and may be looked at, can be read by [`read`].
pub fn check(path: &Path, limit: u64) -> Result<(), FileError> {
    let Ok(found) = path.metadata() else {
        // Whoever reads it says what that means.
        return Ok(());
    };
    readable(&found, limit).map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

/// The content of the regular file at `path`, if it has at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    take(&open(path, limit)?, limit)
}

/// The regular file at `path`, if it has at most `limit` bytes.
pub(crate) fn open(path: &Path, limit: u64) -> io::Result<File> {
    // Opening a FIFO waits for whoever writes to it, unless told not to.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    readable(&file.metadata()?, limit)?;
    Ok(file)
}

/// The SHA-256 of what [`read`] would return, in hexadecimal digits.
pub fn sha256(path: &Path, limit: u64) -> io::Result<String> {
    Ok(hex(&Sha256::digest(read(path, limit)?)))
}

/// The content of the regular file at `path`, if it is UTF-8 text of at most [`LIST_MAX`] bytes.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path, LIST_MAX)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// What is read while it grows ends at the limit as well.
fn take(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= limit) {
        Ok(content)
    } else {
        Err(too_large(limit))
    }
}

fn readable(found: &Metadata, limit: u64) -> io::Result<()> {
    if !found.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("this is {}, not a regular file", kind(found)),
        ));
    }
    if found.len() > limit {
        return Err(too_large(limit));
    }
    Ok(())
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!(
            "the file has more than the {} MiB that are read",
            limit >> 20
        ),
    )
}

fn kind(found: &Metadata) -> &'static str {
    let found = found.file_type();
    if found.is_dir() {
        "a directory"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::{sys::stat::Mode, unistd::mkfifo};
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn reads_regular_files_up_to_the_limit() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("list");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        for error in [
            read(&path, 4).unwrap_err(),
            check(&path, 4).unwrap_err().error,
        ] {
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{error}");
        }
        check(&path, 5).unwrap();
        // It may have grown since it was looked at.
        let file = File::open(&path).unwrap();
        assert_eq!(
            take(&file, 4).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_not_read() {
        let directory = tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        for (path, what) in [
            (fifo.as_path(), "a FIFO"),
            (Path::new("/dev/zero"), "a device"),
            (directory.path(), "a directory"),
        ] {
            for error in [
                read(path, 10).unwrap_err(),
                check(path, 10).unwrap_err().error,
            ] {
                assert!(error.to_string().contains(what), "{error}");
            }
        }
    }

    #[test]
    fn text_is_utf_8() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("list");
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(
            read_text(&path).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
