//! Where the socket is, and the link beside the pins that leads to it.

use std::{
    env, fs,
    fs::{DirBuilder, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{
            DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink,
        },
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
};

use nix::unistd::Uid;

use super::ControlError;
use crate::{clock, pins::Pins};

/// Where systemd says that a service may put its socket; several directories are separated by colons.
const VARIABLE: &str = "RUNTIME_DIRECTORY";
/// Where it is without systemd.
const DIRECTORY: &str = "/run/gate";

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_SOCKET: u32 = 0o600;
const OTHERS_WRITE: u32 = 0o022;

/// A socket that listens. Dropping it removes it, and the link to it.
#[derive(Debug)]
pub struct Endpoint {
    listener: UnixListener,
    path: PathBuf,
    link: PathBuf,
}

impl Endpoint {
    /// Makes the socket, which nobody finds before it is published.
    pub fn new(pins: &Pins) -> Result<Self, ControlError> {
        let directory = directory();
        make(&directory)?;
        // The time tells two daemons with the same process id, in different namespaces, apart.
        let now = clock::monotonic_ns().map_err(|errno| {
            ControlError::io("make a control socket in", &directory)(errno.into())
        })?;
        let path = directory.join(format!("control-{}-{now:x}.sock", process::id()));
        let made = ControlError::io("make the control socket", &path);
        let listener = UnixListener::bind(&path).map_err(made)?;
        let endpoint = Self {
            listener,
            path,
            link: pins.control(),
        };
        fs::set_permissions(&endpoint.path, Permissions::from_mode(PRIVATE_SOCKET)).map_err(
            ControlError::io("change the permissions of", &endpoint.path),
        )?;
        Ok(endpoint)
    }

    /// Makes the link to it, unless it is there; needs the lock on the pins.
    pub fn publish(&self) -> Result<(), ControlError> {
        if fs::read_link(&self.link).is_ok_and(|target| target == self.path) {
            return Ok(());
        }
        remove_if_there(&self.link)?;
        symlink(&self.path, &self.link).map_err(ControlError::io("make the link", &self.link))
    }

    /// Another handle on the socket, for the event loop.
    pub fn listener(&self) -> io::Result<UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the next start removes what is left.
        if fs::read_link(&self.link).is_ok_and(|target| target == self.path) {
            let _ = fs::remove_file(&self.link);
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the link and the socket of a daemon that was killed; needs the lock on the pins.
pub fn clean_up(pins: &Pins) -> Result<(), ControlError> {
    let link = pins.control();
    if let Ok(target) = fs::read_link(&link) {
        let socket = fs::symlink_metadata(&target).is_ok_and(|found| found.file_type().is_socket());
        let refuses = UnixStream::connect(&target)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if socket && refuses {
            remove_if_there(&target)?;
        }
    }
    remove_if_there(&link)
}

fn directory() -> PathBuf {
    let named = env::var_os(VARIABLE).and_then(|value| {
        let first = value.as_bytes().split(|byte| *byte == b':').next()?;
        (!first.is_empty()).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(first)))
    });
    named.unwrap_or_else(|| DIRECTORY.into())
}

/// Makes the directory, for its owner only, or makes sure that nobody else can change what is in it.
fn make(directory: &Path) -> Result<(), ControlError> {
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(ControlError::io("make the directory", directory)(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(directory).map_err(ControlError::io("look at", directory))?;
    let ours = found.is_dir() && found.uid() == Uid::effective().as_raw();
    if ours && found.mode() & OTHERS_WRITE == 0 {
        Ok(())
    } else {
        Err(ControlError::Unsafe {
            path: directory.to_owned(),
        })
    }
}

fn remove_if_there(path: &Path) -> Result<(), ControlError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ControlError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn the_directory_is_private_or_refused() {
        let parent = tempdir().unwrap();
        let directory = parent.path().join("gate");
        make(&directory).unwrap();
        assert_eq!(
            directory.metadata().unwrap().mode() & 0o777,
            PRIVATE_DIRECTORY
        );
        make(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(make(&directory), Err(ControlError::Unsafe { .. })));
        let link = parent.path().join("link");
        symlink(parent.path(), &link).unwrap();
        assert!(matches!(make(&link), Err(ControlError::Unsafe { .. })));
    }

    #[test]
    fn what_a_killed_daemon_left_is_removed_and_a_socket_in_use_is_not() {
        let parent = tempdir().unwrap();
        let pins = Pins::new(parent.path()).unwrap();
        let link = pins.control();
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let [dead, alive] = ["dead", "alive"].map(|name| parent.path().join(name));
        drop(UnixListener::bind(&dead).unwrap());
        let _listener = UnixListener::bind(&alive).unwrap();
        for (target, left) in [(&dead, false), (&alive, true)] {
            symlink(target, &link).unwrap();
            clean_up(&pins).unwrap();
            assert!(!link.is_symlink());
            assert_eq!(target.exists(), left);
        }
        clean_up(&pins).unwrap();
    }
}
