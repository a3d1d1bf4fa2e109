//! Whether the clock is kept right.

use std::io;

/// Whether the kernel's clock is synchronised with another one: something disciplines it, and has not lost its source (`STA_UNSYNC` of
/// adjtimex(2)).
pub fn is_synchronised() -> io::Result<bool> {
    // SAFETY: a structure of numbers and padding, of which zeros are a value; `modes` 0 changes nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `state` is a whole `struct timex`, which the call writes.
    let clock = unsafe { libc::adjtimex(&raw mut state) };
    match clock {
        -1 => Err(io::Error::last_os_error()),
        clock => Ok(clock != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0),
    }
}
