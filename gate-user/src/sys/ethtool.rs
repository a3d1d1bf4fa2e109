//! What a device's driver does with frames before anybody sees them, by the `SIOCETHTOOL` ioctl.

use std::{
    io,
    os::{fd::AsRawFd as _, unix::net::UnixDatagram},
};

/// `ETHTOOL_GFLAGS` of `include/uapi/linux/ethtool.h`; anybody may ask.
const GET_FLAGS: u32 = 0x25;
/// `ETHTOOL_GGRO`.
const GET_GRO: u32 = 0x2b;
/// `ETH_FLAG_LRO`: the device puts segments of a connection together.
const LRO: u32 = 1 << 15;
/// `ETH_FLAG_RXVLAN`: the device takes VLAN tags off what it receives.
const RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Whether the device called `name` takes VLAN tags off frames that it receives (`rx-vlan-offload` of ethtool(8)).
pub fn strips_vlans(name: &str) -> io::Result<bool> {
    Ok(ask(name, GET_FLAGS)? & RX_VLAN != 0)
}

/// Whether the device called `name` puts received segments together by itself (`large-receive-offload`).
pub fn joins_segments(name: &str) -> io::Result<bool> {
    Ok(ask(name, GET_FLAGS)? & LRO != 0)
}

/// Whether the kernel puts segments that the device called `name` receives together (`generic-receive-offload`).
pub fn has_gro(name: &str) -> io::Result<bool> {
    Ok(ask(name, GET_GRO)? != 0)
}

/// What the device says to a command that has one word for an answer.
fn ask(name: &str, command: u32) -> io::Result<u32> {
    // Any socket will do: it only says in which network namespace.
    let socket = UnixDatagram::unbound()?;
    let mut value = Value { command, data: 0 };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: std::ptr::from_mut(&mut value).cast(),
        },
    };
    // A null byte must be left to end the name.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request
        .ifr_name
        .iter_mut()
        .zip(name.bytes())
        .for_each(|(to, from)| *to = from.cast_signed());
    // SAFETY: `request` is a whole `struct ifreq`, and its pointer is to a whole `struct ethtool_value`, which the command
    // writes; both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result == 0 {
        return Ok(value.data);
    }
    match io::Error::last_os_error() {
        // A driver that cannot be asked has nothing that could be switched.
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(0),
        error => Err(error),
    }
}
