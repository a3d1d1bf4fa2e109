//! The filters of traffic control on a device, by rtnetlink.
//!
//! Read by hand, as far as it matters here: other people's filters come in more kinds than any library knows.

use std::io;

use bytemuck::{Pod, Zeroable};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` of `include/uapi/linux/pkt_sched.h`.
const INGRESS: u32 = 0xffff_fff2;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)`.
const EGRESS: u32 = 0xffff_fff3;
/// `TC_H_CLSACT`, and the handle of the queueing discipline.
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

const RTM_DELQDISC: u16 = 37;
const RTM_GETTFILTER: u16 = 46;
pub(super) const NLM_F_REQUEST: u16 = 1;
pub(super) const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
/// The bits of an attribute's type that say something else than its number.
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// `struct nlmsghdr` and `struct tcmsg`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Message {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u32,
    index: i32,
    handle: u32,
    parent: u32,
    info: u32,
}

const HEADER: usize = 16;

/// A filter that runs a BPF program on what a device receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfFilter {
    /// Filters with a lower one run first.
    pub priority: u16,
    /// Tells filters of one priority apart.
    pub handle: u32,
    /// What whoever attached it calls the program.
    pub name: String,
    /// The kernel's number for the program.
    pub program: u32,
}

/// The filters that run a BPF program on what the device with this index receives.
pub fn ingress_filters(index: u32) -> io::Result<Vec<BpfFilter>> {
    let answers = ask(RTM_GETTFILTER, NLM_F_DUMP, index, 0, INGRESS)?;
    Ok(answers.iter().filter_map(|it| bpf_filter(it)).collect())
}

/// Takes the queueing discipline clsact off the device with this index, if it has no filter; says whether it did.
pub fn remove_empty_clsact(index: u32) -> io::Result<bool> {
    for parent in [INGRESS, EGRESS] {
        if !ask(RTM_GETTFILTER, NLM_F_DUMP, index, 0, parent)?.is_empty() {
            return Ok(false);
        }
    }
    match ask(RTM_DELQDISC, NLM_F_ACK, index, CLSACT_HANDLE, CLSACT) {
        // It is gone already.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {
            Ok(false)
        }
        answer => answer.map(|_| true),
    }
}

/// Sends a request, and returns what the messages of the answer have behind `struct nlmsghdr`.
fn ask(kind: u16, flags: u16, index: u32, handle: u32, parent: u32) -> io::Result<Vec<Vec<u8>>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let request = Message {
        length: u32::try_from(size_of::<Message>()).map_err(io::Error::other)?,
        kind,
        flags: NLM_F_REQUEST | flags,
        sequence: 1,
        port: 0,
        family: 0,
        index: i32::try_from(index).map_err(io::Error::other)?,
        handle,
        parent,
        info: 0,
    };
    socket.send(bytemuck::bytes_of(&request), 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for (kind, body) in messages(&datagram) {
            match kind {
                NLMSG_DONE => return Ok(answers),
                NLMSG_ERROR => {
                    return match body.first_chunk().copied().map_or(0, i32::from_ne_bytes) {
                        0 => Ok(answers),
                        number => Err(io::Error::from_raw_os_error(-number)),
                    };
                }
                _ => answers.push(body.to_vec()),
            }
        }
    }
}

/// Type and content of each message of a datagram.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Type and content of each attribute.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & !ATTRIBUTE_FLAGS;
        let content = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, content))
    })
}

pub(super) fn attribute(within: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(within).find_map(|(kind, content)| (kind == wanted).then_some(content))
}

/// The filter in a message, if it runs a BPF program.
fn bpf_filter(body: &[u8]) -> Option<BpfFilter> {
    let word = |at: usize| Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?));
    let rest = body.get(size_of::<Message>() - HEADER..)?;
    if attribute(rest, TCA_KIND)? != b"bpf\0" {
        return None;
    }
    // The kernel shows a priority by itself first, without a filter.
    let options = attribute(rest, TCA_OPTIONS)?;
    let name = attribute(options, TCA_BPF_NAME).unwrap_or_default();
    let id = attribute(options, TCA_BPF_ID)?.first_chunk()?;
    Some(BpfFilter {
        priority: u16::try_from(word(16)? >> 16).ok()?,
        handle: word(8)?,
        name: String::from_utf8_lossy(name)
            .trim_end_matches('\0')
            .to_owned(),
        program: u32::from_ne_bytes(*id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute_of(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + content.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn body(kind: &[u8], options: &[u8]) -> Vec<u8> {
        let words = [0u32, 7, 0x6761, INGRESS, 25 << 16 | 0x0300];
        let mut bytes: Vec<u8> = words.iter().flat_map(|it| it.to_ne_bytes()).collect();
        bytes.extend(attribute_of(TCA_KIND, kind));
        bytes.extend(attribute_of(TCA_OPTIONS | 0x8000, options));
        bytes
    }

    #[test]
    fn a_filter_is_read_as_the_kernel_writes_it() {
        let mut options = attribute_of(TCA_BPF_NAME, b"gate_mark\0");
        options.extend(attribute_of(TCA_BPF_ID, &41u32.to_ne_bytes()));
        let found = bpf_filter(&body(b"bpf\0", &options)).unwrap();
        let expected = BpfFilter {
            priority: 25,
            handle: 0x6761,
            name: "gate_mark".to_owned(),
            program: 41,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_bpf_filter_or_cut_short_is_none() {
        let whole = body(b"bpf\0", &attribute_of(TCA_BPF_ID, &41u32.to_ne_bytes()));
        assert!(bpf_filter(&whole).is_some());
        assert_eq!(bpf_filter(&body(b"flower\0", b"")), None);
        for length in 0..whole.len() {
            assert_eq!(bpf_filter(whole.get(..length).unwrap()), None, "{length}");
        }
    }
}
