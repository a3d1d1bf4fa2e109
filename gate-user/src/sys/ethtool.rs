//! What a device's driver does with frames before anybody sees them, by the `SIOCETHTOOL` ioctl.

use std::{
    io,
    os::{fd::AsRawFd as _, unix::net::UnixDatagram},
};

/// `ETHTOOL_GFLAGS` of `include/uapi/linux/ethtool.h`; anybody may ask.
const GET_FLAGS: u32 = 0x25;
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
    // Any socket will do: it only says in which network namespace.
    let socket = UnixDatagram::unbound()?;
    let mut value = Value {
        command: GET_FLAGS,
        data: 0,
    };
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
        return Ok(value.data & RX_VLAN != 0);
    }
    match io::Error::last_os_error() {
        // A driver that cannot be asked has nothing that could be switched.
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        error => Err(error),
    }
}
