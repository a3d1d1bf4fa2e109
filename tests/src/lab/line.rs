//! An access line that is not plain Ethernet. The kernel below need not know VLANs or PPP: the host sends through a TAP
//! device, and a thread carries frames between that and the link to the router, with and without what stands between
//! Ethernet and IP there.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::UnixStream,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{NetNs, Wire, wiring};
use crate::packets::{DOT1AD, DOT1Q};

/// What stands between Ethernet and IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Nothing.
    Plain,
    /// A VLAN tag.
    Tag,
    /// A service tag and a customer tag.
    TwoTags,
    /// A PPPoE session.
    Pppoe,
}

impl Encapsulation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Tag, Self::TwoTags, Self::Pppoe];

    const SESSION: u16 = 0x4711;

    /// What is before the EtherType of a frame, for tags; it goes between the addresses and that.
    fn tags(self) -> Vec<u8> {
        let tag = |kind: u16, id: u16| [kind.to_be_bytes(), id.to_be_bytes()].concat();
        match self {
            Self::Tag => tag(DOT1Q, 100),
            // VLAN 200 with a priority, which has to come back as well.
            Self::TwoTags => [tag(DOT1AD, 0x60c8), tag(DOT1Q, 300)].concat(),
            Self::Plain | Self::Pppoe => Vec::new(),
        }
    }

    /// How long what it adds is.
    #[must_use]
    pub fn overhead(self) -> usize {
        match self {
            Self::Pppoe => 8,
            Self::Plain | Self::Tag | Self::TwoTags => self.tags().len(),
        }
    }

    /// `frame`, plain Ethernet around IP, as it goes over the line; nothing for what does not.
    #[must_use]
    pub fn wrap(self, frame: &[u8]) -> Option<Vec<u8>> {
        let (addresses, rest) = frame.split_at_checked(12)?;
        let Self::Pppoe = self else {
            return Some([addresses, &self.tags(), rest].concat());
        };
        let (ether_type, packet) = rest.split_at_checked(2)?;
        let protocol = match ether_type {
            [0x08, 0x00] => [0x00, 0x21],
            [0x86, 0xdd] => [0x00, 0x57],
            _ => return None,
        };
        let length = u16::try_from(packet.len() + 2).ok()?.to_be_bytes();
        let session = Self::SESSION.to_be_bytes();
        let header = [[0x88, 0x64], [0x11, 0x00], session, length, protocol].concat();
        Some([addresses, &header, packet].concat())
    }

    /// What [`Self::wrap`] makes of a frame that it came from; nothing if it does not come from any.
    #[must_use]
    pub fn unwrap(self, frame: &[u8]) -> Option<Vec<u8>> {
        let (addresses, rest) = frame.split_at_checked(12)?;
        let Self::Pppoe = self else {
            return Some([addresses, rest.strip_prefix(self.tags().as_slice())?].concat());
        };
        let (header, rest) = rest.split_first_chunk::<10>()?;
        let [0x88, 0x64, 0x11, 0x00, s0, s1, l0, l1, p0, p1] = *header else {
            return None;
        };
        if u16::from_be_bytes([s0, s1]) != Self::SESSION {
            return None;
        }
        let ether_type = match [p0, p1] {
            [0x00, 0x21] => [0x08, 0x00],
            [0x00, 0x57] => [0x86, 0xdd],
            _ => return None,
        };
        // What comes after the length that the session header says is padding.
        let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(2)?;
        Some([addresses, &ether_type, rest.get(..length)?].concat())
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain Ethernet",
            Self::Tag => "one VLAN tag",
            Self::TwoTags => "two VLAN tags",
            Self::Pppoe => "PPPoE",
        })
    }
}

/// The line. While it lives, everything that the host sends goes over it; dropping it leaves the host as it was.
#[derive(Debug)]
pub struct Line {
    /// Closing this end wakes the thread and tells it to end.
    leash: Option<UnixStream>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Line {
    const DEVICE: &str = "line0";

    pub(super) fn new(host: &NetNs, router: &str, encapsulation: Encapsulation) -> Result<Self> {
        let device = host.run(|| device(Self::DEVICE))??;
        let wire = Wire::new(host, wiring::UPLINK)?;
        wiring::divert(host, Self::DEVICE, router)?;
        let (leash, end) = UnixStream::pair()?;
        let thread = host.spawn(move || carry(&device, &wire, &end, encapsulation));
        Ok(Self {
            leash: Some(leash),
            thread: Some(thread),
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.leash.take());
        if let Some(thread) = self.thread.take() {
            // Whatever went wrong on the line, the client on it has seen.
            let _ = thread.join();
        }
    }
}

/// A TAP device, which is gone when it is closed.
fn device(name: &str) -> Result<File> {
    const PATH: &str = "/dev/net/tun";
    /// `struct ifreq`, as `TUNSETIFF` reads it.
    #[repr(C)]
    struct Request {
        name: [u8; libc::IFNAMSIZ],
        flags: libc::c_short,
        rest: [u8; 22],
    }
    let file = File::options()
        .read(true)
        .write(true)
        .open(PATH)
        .with_context(|| format!("cannot open {PATH}: is the module `tun` there?"))?;
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        flags: libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI)?,
        rest: [0; 22],
    };
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: the kernel reads and writes a structure of this size.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(made).with_context(|| format!("cannot make a TAP device {name}"))?;
    Ok(file)
}

fn carry(device: &File, wire: &Wire, end: &UnixStream, encapsulation: Encapsulation) -> Result<()> {
    let mut frame = vec![0; 2048];
    let readable = |poll: &PollFd<'_>| poll.any() == Some(true);
    loop {
        let mut waiting = [device.as_fd(), wire.as_fd(), end.as_fd()]
            .map(|file| PollFd::new(file, PollFlags::POLLIN));
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [sent, arrived, ended] = waiting.each_ref().map(readable);
        if ended {
            return Ok(());
        }
        if sent {
            let mut device = device;
            let length = device.read(&mut frame)?;
            let wrapped = encapsulation.wrap(frame.get(..length).unwrap_or_default());
            if let Some(wrapped) = wrapped {
                wire.send(&wrapped)?;
            }
        }
        if arrived {
            match wire.next() {
                Ok(arrived) => deliver(device, encapsulation.unwrap(&arrived))?,
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Hands over what arrived, after the time that it takes over some kilometres. An answer that is back before the client's own
/// system call has returned is none that a client ever gets: Linux forgets an ICMP error about a socket in use.
fn deliver(mut device: &File, frame: Option<Vec<u8>>) -> io::Result<()> {
    const DELAY: Duration = Duration::from_millis(1);
    frame.map_or(Ok(()), |frame| {
        thread::sleep(DELAY);
        device.write_all(&frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::{Ethernet, V4, V6, flag, tcp};

    #[test]
    fn what_is_wrapped_comes_back() {
        let segment = tcp(40_000, 25, flag::SYN);
        let v4 = V4::new([100, 64, 0, 2].into(), [192, 0, 2, 1].into()).tcp(&segment);
        let v6 = V6::new(1.into(), 2.into()).tcp(&segment);
        for encapsulation in Encapsulation::ALL {
            for packet in [&v4, &v6] {
                let frame = Ethernet::new().carry(packet);
                let mut wrapped = encapsulation.wrap(&frame).unwrap();
                assert_eq!(wrapped.len() - frame.len(), encapsulation.overhead());
                let plain = encapsulation == Encapsulation::Plain;
                let unwrapped = encapsulation.unwrap(&frame);
                assert_eq!(unwrapped.is_some(), plain, "{encapsulation}");
                assert_eq!(encapsulation.unwrap(&wrapped).as_ref(), Some(&frame));
                if encapsulation == Encapsulation::Pppoe {
                    wrapped.extend([0; 6]);
                    assert_eq!(encapsulation.unwrap(&wrapped), Some(frame));
                }
            }
        }
    }
}
