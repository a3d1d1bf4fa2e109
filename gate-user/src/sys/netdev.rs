//! What the driver of a device says that it can do with XDP, by the generic netlink family `netdev` (since Linux 6.3).

use std::io;

use bytemuck::{Pod, Zeroable};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::filter::{NLM_F_REQUEST, NLMSG_ERROR, attribute, messages};

/// `GENL_ID_CTRL`
const CONTROL: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID` and `CTRL_ATTR_FAMILY_NAME` of `include/uapi/linux/genetlink.h`.
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `NETDEV_CMD_DEV_GET`, `NETDEV_A_DEV_IFINDEX` and `NETDEV_A_DEV_XDP_FEATURES` of `include/uapi/linux/netdev.h`.
const GET_DEVICE: u8 = 1;
const INDEX: u16 = 1;
const FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC` and `NETDEV_XDP_ACT_RX_SG`.
const BASIC: u64 = 1;
const BUFFERS: u64 = 32;

/// What a driver can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures(u64);

impl XdpFeatures {
    /// What these bits say.
    #[must_use]
    pub const fn of(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether it runs programs by itself, and does what they say.
    #[must_use]
    pub const fn native(self) -> bool {
        self.0 & BASIC != 0
    }

    /// Whether it gives programs frames in several buffers.
    #[must_use]
    pub const fn several_buffers(self) -> bool {
        self.0 & BUFFERS != 0
    }
}

/// `struct nlmsghdr`, `struct genlmsghdr` and the head of one attribute.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Message {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    command: u8,
    version: u8,
    reserved: u16,
    attribute_length: u16,
    attribute_kind: u16,
}

/// What the driver of the device with this index says; nothing where the kernel does not tell.
pub fn xdp_features(index: u32) -> io::Result<Option<XdpFeatures>> {
    let family = match ask(CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0") {
        Ok(answer) => answer,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        Err(error) => return Err(error),
    };
    let id = attribute(&family, FAMILY_ID).and_then(|id| id.first_chunk().copied());
    let Some(id) = id.map(u16::from_ne_bytes) else {
        return Ok(None);
    };
    let device = ask(id, GET_DEVICE, INDEX, &index.to_ne_bytes())?;
    let bits = attribute(&device, FEATURES).and_then(|bits| bits.first_chunk().copied());
    Ok(bits.map(|bits| XdpFeatures(u64::from_ne_bytes(bits))))
}

/// Sends a request with one attribute, and returns the attributes of the answer.
fn ask(kind: u16, command: u8, attribute_kind: u16, content: &[u8]) -> io::Result<Vec<u8>> {
    /// What is before the attributes of an answer: `struct genlmsghdr`.
    const HEAD: usize = 4;
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut content = content.to_vec();
    let attribute_length = u16::try_from(4 + content.len()).map_err(io::Error::other)?;
    content.resize(content.len().next_multiple_of(4), 0);
    let message = Message {
        length: u32::try_from(size_of::<Message>() + content.len()).map_err(io::Error::other)?,
        kind,
        flags: NLM_F_REQUEST,
        sequence: 1,
        port: 0,
        command,
        version: 1,
        reserved: 0,
        attribute_length,
        attribute_kind,
    };
    socket.send(&[bytemuck::bytes_of(&message), &content].concat(), 0)?;
    let (datagram, _) = socket.recv_from_full()?;
    let answer = messages(&datagram).next();
    match answer {
        Some((NLMSG_ERROR, body)) => {
            let number = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
            Err(io::Error::from_raw_os_error(-number))
        }
        Some((_, body)) => Ok(body.get(HEAD..).unwrap_or_default().to_vec()),
        None => Err(io::Error::other("the kernel's answer is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_kernel() {
        assert!(XdpFeatures(1).native() && !XdpFeatures(1).several_buffers());
        assert!(XdpFeatures(0x23).several_buffers());
        assert!(!XdpFeatures(0).native());
    }

    /// The loopback interface has no XDP of its own, in whatever namespace this runs.
    #[test]
    fn the_kernel_answers() {
        let features = xdp_features(1).unwrap();
        assert!(features.is_none_or(|it| !it.native()));
        assert!(xdp_features(u32::MAX >> 1).is_err() || features.is_none());
    }
}
