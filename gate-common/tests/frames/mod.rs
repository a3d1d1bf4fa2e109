//! Frames, octet by octet.

#![allow(dead_code, reason = "each test file takes what it needs")]

use gate_common::{
    Flow, Shape,
    parse::{glance, parse},
};

pub(crate) const MACS: [u8; 12] = [2; 12];
pub(crate) const V4: [u8; 2] = [0x08, 0x00];
pub(crate) const V6: [u8; 2] = [0x86, 0xdd];

pub(crate) fn read(frame: &[u8]) -> (Shape, Flow) {
    let mut flow = Flow::default();
    let shape = parse(frame, &mut flow);
    // Wherever a glance is enough, it finds the same.
    let mut glanced = Flow::default();
    if let Some(found) = glance(frame, &mut glanced) {
        assert_eq!((found, glanced), (shape, flow), "{frame:x?}");
    }
    (shape, flow)
}

pub(crate) fn shape(frame: &[u8]) -> Shape {
    read(frame).0
}

pub(crate) fn ethernet(behind: &[&[u8]]) -> Vec<u8> {
    [&MACS[..], &behind.concat()].concat()
}

pub(crate) fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap().to_be_bytes()
}

/// A SYN from port 40000 to port 25.
pub(crate) fn syn() -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[..4].copy_from_slice(&[0x9c, 0x40, 0, 25]);
    (segment[12], segment[13]) = (0x50, 2);
    segment
}

/// An IPv4 packet with `fragment` as its flags and offset.
pub(crate) fn v4_of(protocol: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let [l0, l1] = length(header + payload.len());
    let [f0, f1] = fragment.to_be_bytes();
    let first = 0x40 | u8::try_from(header / 4).unwrap();
    let mut packet = vec![first, 0, l0, l1, 0, 0, f0, f1, 64, protocol, 0, 0];
    packet.extend([100, 64, 0, 2, 198, 51, 100, 1]);
    packet.extend(options);
    packet.extend(payload);
    packet
}

pub(crate) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_of(protocol, &[], 0, payload)
}

pub(crate) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = length(payload.len());
    let mut packet = vec![0x60, 0, 0, 0, l0, l1, next, 64];
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25]);
    packet.extend(payload);
    packet
}

/// An extension header in the uniform format, of 8 octets and `units` times eight more.
pub(crate) fn extension(next: u8, units: u8) -> Vec<u8> {
    let mut header = vec![0; 8 + 8 * usize::from(units)];
    (header[0], header[1]) = (next, units);
    header
}

pub(crate) fn fragment(next: u8, word: u16) -> Vec<u8> {
    let [f0, f1] = word.to_be_bytes();
    vec![next, 0, f0, f1, 0, 0, 0, 7]
}

pub(crate) fn labels(count: usize, payload: &[u8]) -> Vec<u8> {
    let mut stack = [0, 1, 0, 64].repeat(count);
    stack[4 * count - 2] = 1;
    stack.extend(payload);
    stack
}

pub(crate) fn session(protocol: &[u8], payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = length(protocol.len() + payload.len());
    let header = [0x88, 0x64, 0x11, 0, 0, 1, l0, l1];
    ethernet(&[&header, protocol, payload])
}
