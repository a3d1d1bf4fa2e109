//! The directory on bpffs where everything of the gate that outlives its daemon is pinned, and the lock on it.
//!
//! ```text
//! DIR/                      locked by whoever changes anything below
//!   v5/                     one directory a version of the map ABI; two of them while one takes over from the other
//!     maps/NAME             state maps and maps of maps
//!     program               the XDP program; program:next for an instant
//!     links/INTERFACE       one link an interface; link:ID while names change, or once another one has the name
//!     marks/INDEX           the TCX link of the program that sets the skb mark, by the interface's index; where there is a filter of clsact
//!                           instead: a symbolic link to `clsact`, or to `made-clsact` if the gate made that
//!     tracepoints/NAME      the link of the program that counts answers that failed to leave; NAME:next for an instant
//!     notes/NAME              what people asked of the gate, in maps of text; NAME:next for an instant
//!     rehearsal/              locked by whoever rehearses a configuration; empty
//!     events/                 locked by whoever listens to events; empty
//!     generations/7/NAME    the tables of generation 7, read-only: the one in force, and the one that a rollback goes back to
//!     current               -> generations/7
//!     control               -> the daemon's control socket, which is elsewhere
//! ```
//!
//! All of it is its owner's; some of it is for [`Readers`] as well.
//!
//! What is here is the truth about what runs; there is no other state.

mod claims;
mod error;
mod marks;
mod notes;
mod readers;
#[cfg(test)]
mod tests;
mod versions;

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use gate_common::abi::ABI_VERSION;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2},
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::Uid,
};

pub use self::{
    claims::{Claim, ClaimLock},
    error::PinsError,
    notes::Note,
    readers::{Blocked, Readers},
};
use crate::sys::{TcxLink, TracepointLink, XdpLink};

/// How often, and how long apart, a held lock is tried again: `status` holds it for an instant to see whether a daemon
/// does.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(25);

/// The permissions of directories that are nobody else's business.
const PRIVATE: u32 = 0o700;
/// Those of directories that [`Readers`] may go through.
const TRAVERSABLE: u32 = 0o710;
/// Everything that permissions say.
const ALL: u32 = 0o7777;
/// Permissions that the directory must not have.
const OTHERS_WRITE: u32 = 0o022;

/// Where the pins are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    root: PathBuf,
    /// The version of the map ABI whose pins these are.
    version: u32,
}

/// The right to change what is pinned; given up when dropped.
#[derive(Debug)]
pub struct Lock {
    _flock: Flock<File>,
    /// Whether the directory was made for it.
    made_directory: bool,
}

impl Pins {
    /// The pins in `root`; a relative path starts where the process does.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: std::path::absolute(root)?,
            version: ABI_VERSION,
        })
    }

    /// The directory that the lock is on.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn version(&self) -> PathBuf {
        self.root.join(format!("v{}", self.version))
    }

    /// Where the maps are.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.version().join("maps")
    }

    /// Where a map is.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// Where the program is.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.version().join("program")
    }

    /// Where the program is pinned that is to take the place of the one at [`Pins::program`].
    #[must_use]
    pub fn next_program(&self) -> PathBuf {
        self.version().join("program:next")
    }

    /// Where a program may be pinned that links run: the one that is to take its place before the one whose place that is, so that who looks in this
    /// order misses neither, and that of another version, whose links run it until a migration is through.
    pub fn programs(&self) -> Result<Vec<PathBuf>, PinsError> {
        let others = if self.root.is_dir() {
            self.others_among_foreign()?
        } else {
            Vec::new()
        };
        let own = [self.next_program(), self.program()];
        Ok(own
            .into_iter()
            .chain(others.iter().map(Self::program))
            .collect())
    }

    fn links(&self) -> PathBuf {
        self.version().join("links")
    }

    /// Where the link of an interface is.
    #[must_use]
    pub fn link(&self, interface: &str) -> PathBuf {
        self.links().join(encode(interface))
    }

    fn tracepoints(&self) -> PathBuf {
        self.version().join("tracepoints")
    }

    /// Where the link to a tracepoint is.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> PathBuf {
        self.tracepoints().join(name)
    }

    /// Where the link is pinned that is to take the place of that at [`Pins::tracepoint`].
    #[must_use]
    pub fn next_tracepoint(&self, name: &str) -> PathBuf {
        self.tracepoints().join(format!("{name}:next"))
    }

    fn generations(&self) -> PathBuf {
        self.version().join("generations")
    }

    /// Where the tables of a generation are.
    #[must_use]
    pub fn generation(&self, number: u32) -> PathBuf {
        self.generations().join(number.to_string())
    }

    /// The link to the tables of the generation in force.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.version().join("current")
    }

    /// The link to the daemon's control socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.version().join("control")
    }

    /// What becomes [`Pins::current`] by a rename.
    fn next(&self) -> PathBuf {
        self.version().join("next")
    }

    /// Whether anything is pinned by a gate of this version.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.version().is_dir()
    }

    /// Whether the directory is, or can be made, on a BPF file system.
    pub fn check_file_system(&self) -> Result<(), PinsError> {
        let existing = self
            .root
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        let found =
            statfs(existing).map_err(|errno| PinsError::io("look at", existing)(errno.into()))?;
        if found.filesystem_type() == BPF_FS_MAGIC {
            Ok(())
        } else {
            Err(PinsError::NotBpffs {
                path: self.root.clone(),
            })
        }
    }

    /// Takes the lock, making the directory if it is not there.
    pub fn lock(&self) -> Result<Lock, PinsError> {
        self.check_file_system()?;
        for _ in 0..TRIES {
            let made_directory = self.make_root()?;
            let Some(file) = self.open_root()? else {
                continue;
            };
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(flock) if self.is_root(&flock)? => {
                    self.check_safety()?;
                    return Ok(Lock {
                        _flock: flock,
                        made_directory,
                    });
                }
                // Whoever had the lock removed the directory meanwhile: this is a lock on nothing.
                Ok(_) => {}
                Err((_, Errno::EWOULDBLOCK)) => thread::sleep(PAUSE),
                Err((_, errno)) => return Err(PinsError::io("lock", &self.root)(errno.into())),
            }
        }
        Err(PinsError::Locked {
            path: self.root.clone(),
            pid: self.holder(),
        })
    }

    /// Makes the directory, for its owner only: whoever can open it can lock it. Says whether it was not there.
    fn make_root(&self) -> Result<bool, PinsError> {
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent).map_err(PinsError::io("make the directory", parent))?;
        }
        match DirBuilder::new().mode(PRIVATE).create(&self.root) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(PinsError::io("make the directory", &self.root)(error)),
        }
    }

    fn open_root(&self) -> Result<Option<File>, PinsError> {
        match File::open(&self.root) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PinsError::io("open", &self.root)(error)),
        }
    }

    /// Whether `file` is the directory that has its name now.
    fn is_root(&self, file: &File) -> Result<bool, PinsError> {
        let opened = file
            .metadata()
            .map_err(PinsError::io("look at", &self.root))?;
        match fs::metadata(&self.root) {
            Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(PinsError::io("look at", &self.root)(error)),
        }
    }

    /// Makes sure that nobody else can change what is in the directory, or lock it.
    fn check_safety(&self) -> Result<(), PinsError> {
        let found = fs::metadata(&self.root).map_err(PinsError::io("look at", &self.root))?;
        if found.uid() != Uid::effective().as_raw() || found.mode() & OTHERS_WRITE != 0 {
            return Err(PinsError::Unsafe {
                path: self.root.clone(),
            });
        }
        // Readers of the generation in force go on reading; who can list the directory could lock it.
        if found.mode() & ALL == TRAVERSABLE {
            return Ok(());
        }
        fs::set_permissions(&self.root, Permissions::from_mode(PRIVATE))
            .map_err(PinsError::io("change the permissions of", &self.root))
    }

    /// Whether somebody holds the lock, which a daemon does for as long as it lives.
    pub fn locked(&self) -> Result<bool, PinsError> {
        let Some(file) = self.open_root()? else {
            return Ok(false);
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(PinsError::io("lock", &self.root)(errno.into())),
        }
    }

    /// Removes the directory again if it was made for the lock and is still empty.
    pub fn take_back(&self, lock: &Lock) {
        if lock.made_directory {
            // Not empty means that it is in use, and then it stays.
            let _ = fs::remove_dir(&self.root);
        }
    }

    /// Makes sure that nothing but the gate's own pins is in the directory.
    pub fn check_ownership(&self) -> Result<(), PinsError> {
        if let Some(other) = self.others()?.first() {
            return Err(PinsError::OtherVersion {
                path: other.version(),
            });
        }
        self.check_version()
    }

    /// Makes sure that nothing but the gate's own pins is among those of this version.
    pub fn check_version(&self) -> Result<(), PinsError> {
        let version = self.version();
        let known = [
            self.maps(),
            self.program(),
            self.next_program(),
            self.links(),
            self.marks(),
            self.tracepoints(),
            self.notes(),
            self.claim_path(Claim::Rehearsal),
            self.claim_path(Claim::Events),
            self.generations(),
            self.current(),
            self.next(),
            self.control(),
        ];
        if version.exists()
            && let Some(path) = list(&version)?
                .into_iter()
                .find(|path| !known.contains(path))
        {
            return Err(PinsError::Foreign { path });
        }
        if self.links().is_dir()
            && let Some(path) = list(&self.links())?
                .into_iter()
                .find(|path| XdpLink::open(path).is_err())
        {
            return Err(PinsError::Foreign { path });
        }
        if self.marks().is_dir()
            && let Some(path) = list(&self.marks())?
                .into_iter()
                .find(|path| !path.is_symlink() && TcxLink::open(path).is_err())
        {
            return Err(PinsError::Foreign { path });
        }
        if self.tracepoints().is_dir()
            && let Some(path) = list(&self.tracepoints())?
                .into_iter()
                .find(|path| TracepointLink::open(path).is_err())
        {
            return Err(PinsError::Foreign { path });
        }
        Ok(())
    }

    /// Makes the directories.
    pub fn create(&self) -> Result<(), PinsError> {
        for path in [
            self.maps(),
            self.links(),
            self.marks(),
            self.tracepoints(),
            self.generations(),
        ] {
            make_private(&path)?;
        }
        Ok(())
    }

    /// The interfaces that have a link.
    pub fn linked(&self) -> Result<Vec<String>, PinsError> {
        if !self.links().is_dir() {
            return Ok(Vec::new());
        }
        Ok(list(&self.links())?
            .iter()
            .map(|path| decode(&file_name(path)))
            .collect())
    }

    /// Gives a link another name, under which there must be none.
    pub fn rename_link(&self, from: &str, to: &str) -> Result<(), PinsError> {
        let path = self.link(from);
        let rename = renameat2(
            AT_FDCWD,
            &path,
            AT_FDCWD,
            &self.link(to),
            RenameFlags::RENAME_NOREPLACE,
        );
        rename.map_err(|errno| PinsError::io("rename", &path)(errno.into()))
    }

    /// Puts the link at [`Pins::next_tracepoint`] in its place; the one that was there is gone then.
    pub fn settle_tracepoint(&self, name: &str) -> Result<(), PinsError> {
        let path = self.tracepoint(name);
        fs::rename(self.next_tracepoint(name), &path).map_err(PinsError::io("replace", &path))
    }

    /// Puts the program at [`Pins::next_program`] in its place; the one that was there is gone then. There is one at every moment.
    pub fn settle_program(&self) -> Result<(), PinsError> {
        let path = self.program();
        fs::rename(self.next_program(), &path).map_err(PinsError::io("replace", &path))
    }

    /// Points [`Pins::current`] to a generation.
    pub fn set_current(&self, number: u32) -> Result<(), PinsError> {
        let current = self.current();
        // One rename, so that readers find the old one or the new one.
        let new = self.next();
        remove_if_there(&new)?;
        let target = Path::new("generations").join(number.to_string());
        symlink(&target, &new).map_err(PinsError::io("make the link", &new))?;
        fs::rename(&new, &current).map_err(PinsError::io("replace", &current))
    }

    /// The numbers of the generations that have tables here: the one in force, and usually the one before.
    pub fn pinned_generations(&self) -> Result<Vec<u32>, PinsError> {
        if !self.generations().is_dir() {
            return Ok(Vec::new());
        }
        let paths = list(&self.generations())?;
        let numbers = paths.iter().filter_map(|path| file_name(path).parse().ok());
        Ok(numbers.collect())
    }

    /// Makes an empty directory for the tables of a generation, and returns it.
    pub fn create_generation(&self, number: u32) -> Result<PathBuf, PinsError> {
        let path = self.generation(number);
        remove_tree(&path)?;
        make_private(&path)?;
        Ok(path)
    }

    /// Unpins the tables of every generation but these.
    pub fn remove_other_generations(&self, numbers: &[u32]) -> Result<(), PinsError> {
        let keep: Vec<PathBuf> = numbers.iter().map(|it| self.generation(*it)).collect();
        for path in list(&self.generations())? {
            if !keep.contains(&path) {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Unpins the tables of a generation.
    pub fn remove_generation(&self, number: u32) -> Result<(), PinsError> {
        remove_tree(&self.generation(number))
    }

    /// Removes a pin.
    pub fn remove(&self, path: &Path) -> Result<(), PinsError> {
        remove_if_there(path)
    }

    /// Removes everything that a gate of this version pinned, links first, and then the directory if it is empty.
    pub fn remove_all(&self) -> Result<(), PinsError> {
        self.remove_all_but_root()?;
        // Others may have pins of their own there.
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }

    /// Removes everything that a gate of this version pinned, links first.
    pub fn remove_all_but_root(&self) -> Result<(), PinsError> {
        for path in [
            self.links(),
            self.marks(),
            self.tracepoints(),
            self.notes(),
            self.claim_path(Claim::Rehearsal),
            self.claim_path(Claim::Events),
            self.current(),
            self.next(),
            self.control(),
            self.program(),
            self.next_program(),
            self.generations(),
            self.maps(),
            self.version(),
        ] {
            remove_tree(&path)?;
        }
        Ok(())
    }
}

/// Makes a directory, and those above it, for its owner only; [`Readers`] let others in.
fn make_private(path: &Path) -> Result<(), PinsError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(PRIVATE);
    builder
        .create(path)
        .map_err(PinsError::io("make the directory", path))
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, PinsError> {
    let entries = fs::read_dir(directory).map_err(PinsError::io("list", directory))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(PinsError::io("list", directory))?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default()
        .into_owned()
}

fn remove_if_there(path: &Path) -> Result<(), PinsError> {
    // Of a file system that is read-only, the kernel says so before it says that nothing is there.
    if let Err(error) = path.symlink_metadata()
        && error.kind() == io::ErrorKind::NotFound
    {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PinsError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<(), PinsError> {
    if path.is_dir() && !path.is_symlink() {
        for child in list(path)? {
            remove_tree(&child)?;
        }
        fs::remove_dir(path).map_err(PinsError::io("remove", path))
    } else {
        remove_if_there(path)
    }
}

/// An interface name as a file name: bpffs takes no dots, and interfaces of VLANs have them.
fn encode(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

fn decode(file: &str) -> String {
    file.replace("%2e", ".").replace("%25", "%")
}
