//! Writes what the fuzzer starts from into `fuzz/corpus`: out of captures, one frame of each kind and the small files themselves.
//!
//! `cargo run --package gate-fuzz --example seeds -- DIRECTORY`, with the directory that `cargo xtask conformance` unpacks. What has grown
//! out of it since is in the corpora too; `cargo fuzz cmin` takes away what adds nothing.

#![allow(
    clippy::unwrap_used,
    reason = "whoever makes seeds sees what goes wrong"
)]

use std::{
    collections::HashSet,
    env, fs,
    path::{Path, PathBuf},
};

use gate_common::{Flow, parse::parse};
use gate_user::capture::Capture;

/// The longest frame and the longest capture that is a seed.
const FRAME: usize = 256;
const CAPTURE: usize = 1500;

fn main() {
    let directory = PathBuf::from(env::args().nth(1).unwrap());
    let mut kinds = HashSet::new();
    for (count, file) in captures(&directory).iter().enumerate() {
        let bytes = fs::read(file).unwrap();
        if bytes.len() <= CAPTURE {
            write("pcap", &format!("capture-{count}"), &bytes);
        }
        let Ok(mut capture) = Capture::new(bytes.as_slice()) else {
            continue;
        };
        while let Ok(Some(packet)) = capture.next_packet() {
            let frame = packet.data;
            let mut flow = Flow::default();
            let shape = parse(frame, &mut flow);
            let kind = (shape, flow.marks, flow.network, flow.transport, flow.pppoe);
            if frame.len() <= FRAME && kinds.insert(kind) {
                let name = format!("{}-{}", shape.name(), kinds.len());
                write("parse", &name, frame);
                if flow.transport != 0 {
                    for choice in 0..=1 {
                        let case = [&[choice], frame].concat();
                        write("answers", &format!("{name}-{choice}"), &case);
                    }
                }
            }
        }
    }
}

fn captures(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(captures(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), bytes).unwrap();
}
