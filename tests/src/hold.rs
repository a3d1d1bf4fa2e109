//! A process that waits at the moment when it makes certain calls of `bpf(2)`, for as long as whoever watches it needs to do something in between, or to
//! say that the call fails.
//!
//! A seccomp filter has the kernel tell of the call instead of doing it (`SECCOMP_RET_USER_NOTIF`, see `seccomp_unotify(2)`). The watcher then
//! has the kernel go on with the call as it is (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`): nothing about it is changed but when it happens; or has it fail with
//! an error, and then it did nothing.

use std::{
    fs::{self, File},
    io,
    mem::zeroed,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{fs::FileExt as _, process::CommandExt as _},
    },
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// The descriptor by which the process has the listener: one that it has no use for.
const LISTENER: i32 = 200;
/// `SECCOMP_IOCTL_NOTIF_ID_VALID`
const WAITS: libc::Ioctl = 0x4008_2102;
/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND`
const RECEIVE: libc::Ioctl = 0xc050_2100;
const SEND: libc::Ioctl = 0xc018_2101;

/// The commands of `bpf(2)` that a process waits before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Before {
    /// `BPF_MAP_LOOKUP_ELEM`: it reads one entry of a map.
    Lookup = 1,
    /// `BPF_MAP_LOOKUP_BATCH`: it reads many.
    LookupBatch = 24,
    /// `BPF_LINK_CREATE`: it attaches a program.
    Link = 28,
}

/// Tells of this one, and allows everything else. The numbers are offsets in `struct seccomp_data`: of the call, and of its first argument, of
/// which the lower half says it all on a little-endian machine.
fn filter(before: [Before; 2]) -> [libc::sock_filter; 7] {
    [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
        instruction(JUMP, libc::SYS_bpf as u32, 0, 4),
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 16, 0, 0),
        instruction(JUMP, before[0] as u32, 1, 0),
        instruction(JUMP, before[1] as u32, 0, 1),
        instruction(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0),
        instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]
}
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

/// A call that a process is about to make.
#[derive(Debug)]
pub struct Call<'a> {
    pid: u32,
    memory: &'a File,
    /// Which one.
    pub command: u32,
    /// The first words of its `union bpf_attr`.
    attributes: [u32; 10],
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel does it.
    Done,
    /// It does nothing, and says this.
    Fails(Errno),
}

/// A link that a process is about to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The index of the interface; of links to interfaces.
    pub interface: u32,
    /// To what: `BPF_XDP`, for example.
    pub attach_type: u32,
}

impl Call<'_> {
    /// The link that [`Before::Link`] makes: `target_ifindex` and `attach_type`.
    #[must_use]
    pub fn link(&self) -> Attempt {
        let [_, interface, attach_type, ..] = self.attributes;
        Attempt {
            interface,
            attach_type,
        }
    }

    /// The kernel's number of the map that is read, and of which entry where its key is a number.
    pub fn read(&self) -> Result<(u32, Option<u32>)> {
        let one = self.command == Before::Lookup as u32;
        // Of one entry `map_fd` is the first word; of many, what comes after four addresses and a number.
        let [first, _, low, high, .., last] = self.attributes;
        let descriptor = if one { first } else { last };
        let about = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", self.pid))?;
        let field = |name: &str| {
            let value = about.lines().find_map(|it| it.strip_prefix(name));
            value.and_then(|it| it.trim().parse::<u32>().ok())
        };
        let map = field("map_id:").context("no map is read")?;
        if !one || field("key_size:") != Some(4) {
            return Ok((map, None));
        }
        let mut key = [0; 4];
        let at = u64::from(low) | u64::from(high) << 32;
        self.memory.read_exact_at(&mut key, at)?;
        Ok((map, Some(u32::from_ne_bytes(key))))
    }
}

/// Has the process wait before each of these calls that it makes. Needs `CAP_SYS_ADMIN`.
pub fn prepare(command: &mut Command, before: [Before; 2]) {
    let filter = filter(before);
    let install = move || {
        let program = libc::sock_fprog {
            len: 7,
            filter: filter.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel reads the filter, which lives as long as this does, and writes nothing.
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

/// Calls `happens` each time before the process `pid` makes such a call, until it has ended. It has to be made with [`prepare`].
pub fn watch(pid: u32, mut happens: impl FnMut(&Call<'_>) -> Result<Verdict>) -> Result<()> {
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
        let mut attributes = [0; 40];
        // There may be fewer: a link to an interface has four words.
        let there = usize::try_from(call.data.args[2])?.min(attributes.len());
        let words = attributes.get_mut(..there).unwrap_or_default();
        let read = memory.read_exact_at(words, call.data.args[1]);
        let mut verdict = Verdict::Done;
        if outcome.is_ok() {
            let about = Call {
                pid,
                memory: &memory,
                command: u32::try_from(call.data.args[0])?,
                attributes: bytemuck::cast(attributes),
            };
            match read.map_err(Into::into).and_then(|()| happens(&about)) {
                Ok(said) => verdict = said,
                // Whoever was killed meanwhile has no memory left to look at.
                Err(error) if waits(&listener, call.id) => outcome = Err(error),
                Err(_) => {}
            }
        }
        let (error, flags) = match verdict {
            Verdict::Done => (0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE)?),
            Verdict::Fails(errno) => (-(errno as i32), 0),
        };
        let mut answer = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error,
            flags,
        };
        // SAFETY: the kernel reads one such structure. Whoever was killed meanwhile waits for no answer.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut answer) };
    }
}

/// Whether the process waits before a call still.
fn waits(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the kernel reads one number.
    unsafe { libc::ioctl(listener.as_raw_fd(), WAITS, &raw const id) == 0 }
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
