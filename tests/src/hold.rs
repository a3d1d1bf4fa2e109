//! A process that waits at the moment when it makes a BPF link, for as long as whoever watches it needs to do something in between.
//!
//! A seccomp filter has the kernel tell of `bpf(BPF_LINK_CREATE)` instead of doing it (`SECCOMP_RET_USER_NOTIF`, see `seccomp_unotify(2)`). The watcher then
//! has the kernel go on with the call as it is (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`): nothing about it is changed but when it happens.

use std::{
    fs::File,
    io,
    mem::zeroed,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{fs::FileExt as _, process::CommandExt as _},
    },
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The descriptor by which the process has the listener: one that it has no use for.
const LISTENER: i32 = 200;
/// `BPF_LINK_CREATE`
const LINK_CREATE: u32 = 28;
/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND`
const RECEIVE: libc::Ioctl = 0xc050_2100;
const SEND: libc::Ioctl = 0xc018_2101;

/// Tells of `BPF_LINK_CREATE`, and allows everything else. The numbers are offsets in `struct seccomp_data`: of the call, and of its first argument, of
/// which the lower half says it all on a little-endian machine.
static FILTER: [libc::sock_filter; 6] = [
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
    #[expect(clippy::cast_possible_truncation, reason = "a small number")]
    instruction(JUMP, libc::SYS_bpf as u32, 0, 3),
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 16, 0, 0),
    instruction(JUMP, LINK_CREATE, 0, 1),
    instruction(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0),
    instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
];
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

#[expect(clippy::cast_possible_truncation, reason = "codes have 16 bits")]
const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// A link that a process is about to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The index of the interface; of links to interfaces.
    pub interface: u32,
    /// To what: `BPF_XDP`, for example.
    pub attach_type: u32,
}

/// Has the process wait before each link that it makes. Needs `CAP_SYS_ADMIN`.
pub fn prepare(command: &mut Command) {
    let install = || {
        let program = libc::sock_fprog {
            len: 6,
            filter: FILTER.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel reads the filter, which lives forever, and writes nothing.
        let listener = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                &raw const program,
            )
        };
        let listener = i32::try_from(listener).unwrap_or(-1);
        // SAFETY: both are numbers; the copy stays open in what is executed.
        if listener < 0 || unsafe { libc::dup2(listener, LISTENER) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: between fork and exec there are two system calls, and no allocation.
    unsafe { command.pre_exec(install) };
}

/// Calls `happens` each time before the process `pid` makes a link, until it has ended. It has to be made with [`prepare`].
pub fn watch(pid: u32, mut happens: impl FnMut(Attempt) -> Result<()>) -> Result<()> {
    let listener = listener(pid).context("cannot listen to what the process does")?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut outcome = Ok(());
    loop {
        let mut events = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut events, PollTimeout::NONE)?;
        let seen = events[0].revents().unwrap_or(PollFlags::empty());
        if !seen.contains(PollFlags::POLLIN) {
            // Nobody is left whom the filter is for.
            return outcome;
        }
        // SAFETY: numbers, of which all may be zero.
        let mut call: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the kernel writes one such structure.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut call) } < 0 {
            let error = io::Error::last_os_error();
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
                // It was killed before it was told of, or this thread was woken.
                continue;
            }
            return Err(error).context("cannot hear what the process does");
        }
        // `prog_fd`, `target_ifindex`, `attach_type` of `union bpf_attr`
        let mut attributes = [0; 12];
        let read = memory.read_exact_at(&mut attributes, call.data.args[1]);
        let [_, interface, attach_type] = bytemuck::cast::<[u8; 12], [u32; 3]>(attributes);
        let attempt = Attempt {
            interface,
            attach_type,
        };
        if outcome.is_ok() {
            outcome = read.map_err(Into::into).and_then(|()| happens(attempt));
        }
        let mut answer = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: 0,
            flags: u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE)?,
        };
        // SAFETY: the kernel reads one such structure. Whoever was killed meanwhile waits for no answer.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut answer) };
    }
}

/// The process's end of what the kernel tells of it.
fn listener(pid: u32) -> Result<OwnedFd> {
    let open = |descriptor: libc::c_long| {
        if descriptor < 0 {
            bail!(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made it, for nobody else.
        Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor)?) })
    };
    // SAFETY: numbers.
    let process = open(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: numbers.
    open(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), LISTENER, 0) })
}
