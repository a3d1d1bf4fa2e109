//! Whether nftables has a table, by nfnetlink.

use std::io;

use bytemuck::{Pod, Zeroable};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::filter::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, messages};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE` of `include/uapi/linux/netfilter/`.
const GET_TABLE: u16 = 10 << 8 | 1;
/// `NFTA_TABLE_NAME`
const NAME: u16 = 1;
/// `NFPROTO_INET`
const INET: u8 = 1;

/// `struct nlmsghdr`, `struct nfgenmsg` and the head of one attribute.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Message {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u8,
    version: u8,
    resource: u16,
    attribute_length: u16,
    attribute_kind: u16,
}

/// Whether this network namespace has a table `name` of the family `inet`; an error where that cannot be asked, as in a kernel without nftables.
pub fn has_table(name: &str) -> io::Result<bool> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut text = [name.as_bytes(), &[0]].concat();
    // Behind the first four octets of an attribute is what it says.
    let attribute_length = u16::try_from(4 + text.len()).map_err(io::Error::other)?;
    text.resize(text.len().next_multiple_of(4), 0);
    let message = Message {
        length: u32::try_from(size_of::<Message>() + text.len()).map_err(io::Error::other)?,
        kind: GET_TABLE,
        flags: NLM_F_REQUEST | NLM_F_ACK,
        sequence: 1,
        port: 0,
        family: INET,
        version: 0,
        resource: 0,
        attribute_length,
        attribute_kind: NAME,
    };
    socket.send(&[bytemuck::bytes_of(&message), &text].concat(), 0)?;
    let (datagram, _) = socket.recv_from_full()?;
    // The table, or why there is none; what follows is of no more use.
    match messages(&datagram).next() {
        Some((NLMSG_ERROR, body)) => {
            match body.first_chunk().copied().map_or(0, i32::from_ne_bytes) {
                0 => Ok(true),
                number if number == -libc::ENOENT => Ok(false),
                number => Err(io::Error::from_raw_os_error(-number)),
            }
        }
        Some(_) => Ok(true),
        None => Err(io::Error::other("the kernel's answer is empty")),
    }
}
