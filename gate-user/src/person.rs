//! Who asks: for the notes that say who did.

use std::{env, fs};

use nix::unistd::{Uid, User};

/// The user that logged in, which the kernel keeps through `su` and `sudo` (proc(5), `loginuid`).
const LOGIN: &str = "/proc/self/loginuid";
/// What stands there for a process that nobody logged in for.
const NOBODY: u32 = u32::MAX;
/// The longest name that is kept, in characters.
const NAME_MAX: usize = 64;

/// The name of who runs this process; nothing if that is not known.
#[must_use]
pub fn name() -> Option<String> {
    let login = fs::read_to_string(LOGIN).ok();
    let login = login.and_then(|text| text.trim().parse::<u32>().ok());
    let login = login.filter(|uid| *uid != NOBODY).map(Uid::from_raw);
    let named = |uid: Uid| User::from_uid(uid).ok().flatten().map(|user| user.name);
    // Without such a record, sudo's own word is the best that there is.
    let name = login
        .and_then(named)
        .or_else(|| env::var("SUDO_USER").ok())
        .or_else(|| named(Uid::current()))?;
    let printable: String = name.chars().filter(|it| !it.is_control()).collect();
    let name: String = printable.chars().take(NAME_MAX).collect();
    (!name.is_empty()).then_some(name)
}
