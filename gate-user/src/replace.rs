//! Files that are replaced as a whole, by one rename, so that whoever reads them meanwhile, or after a crash, reads the one or the other.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

/// The permissions of a lock: who could open it could hold it.
const LOCK_MODE: u32 = 0o600;

/// The file to change: whoever made a symbolic link wants the one changed, or made, that it leads to.
pub(crate) fn target(path: &Path) -> PathBuf {
    if let Ok(found) = fs::canonicalize(path) {
        return found;
    }
    let path = match (fs::read_link(path), path.parent()) {
        (Ok(target), Some(directory)) => directory.join(target),
        (Ok(target), None) => target,
        (Err(_), _) => path.to_owned(),
    };
    let directory = path.parent().and_then(|it| fs::canonicalize(it).ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path,
    }
}

/// A hidden file beside the one at `path`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// Opens the file that whoever replaces another one locks. It stays: the other is replaced each time, and whoever may read the directory
/// could hold a lock on that.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(LOCK_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Removes what a writer left that was killed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives `file` the permissions and the owner of the one at `old`; `mode` where there is none.
pub(crate) fn dress(file: &File, old: &Path, mode: u32) -> io::Result<()> {
    let mode = match fs::metadata(old) {
        Ok(old) => {
            fchown(file, Some(old.uid()), Some(old.gid()))?;
            old.mode() & 0o7777
        }
        Err(_) => mode,
    };
    file.set_permissions(Permissions::from_mode(mode))
}
