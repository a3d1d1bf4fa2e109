//! tshark: started on frames.
//!
//! Frames of many files go into one temporary capture, because most of the time of a short run is tshark's own start. Its settings are
//! those of a fresh installation, but for what would make it answer about other than the packet at hand: reassembly is off.

use std::{
    io::{BufWriter, Write as _},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Frame,
    layers::{self, FIELDS, Layer},
};
use crate::exec;

const PREFERENCES: [&str; 4] = [
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
];

/// For some hundred megabytes of frames on a busy machine.
const PATIENCE: Duration = Duration::from_mins(15);

/// A tshark that was found.
#[derive(Clone, Debug)]
pub struct Tshark {
    /// What it says of itself, such as `4.0.17`.
    pub version: String,
}

impl Tshark {
    /// Looks for it in `PATH`.
    pub fn find() -> Result<Self> {
        let output = exec::output(Command::new("tshark").arg("--version"), "", PATIENCE).context(
            "tshark, which the gate is compared with, is not here: `cargo xtask setup conformance` installs it",
        )?;
        // TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as ...).
        let version = output
            .stdout
            .split_whitespace()
            .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
            .context("`tshark --version` names no version")?;
        Ok(Self {
            version: version.trim_end_matches('.').to_owned(),
        })
    }

    /// How many packets capinfos, which comes with tshark, finds in each file, and how many octets they had on the wire; in the order of
    /// `files`.
    pub fn count(&self, files: &[PathBuf]) -> Result<Vec<(u64, u64)>> {
        let mut command = Command::new("capinfos");
        command.args(["-T", "-M", "-r", "-c", "-d"]).args(files);
        // Exit code 1 is for a file that ends inside a packet.
        let output = exec::output(&mut command, "", PATIENCE)?;
        let lines = output.stdout.lines().map(|line| {
            let mut columns = line.rsplit('\t').map(str::parse);
            match (columns.next(), columns.next()) {
                (Some(Ok(octets)), Some(Ok(packets))) => Ok((packets, octets)),
                _ => bail!("capinfos says `{line}`"),
            }
        });
        let counts: Vec<_> = lines.collect::<Result<_>>()?;
        ensure!(
            counts.len() == files.len(),
            "capinfos of tshark {} answered about {} of {} files: {}",
            self.version,
            counts.len(),
            files.len(),
            output.stderr.trim()
        );
        Ok(counts)
    }

    /// What tshark makes of each frame.
    pub(super) fn decode<'a>(
        &self,
        frames: impl Iterator<Item = &'a Frame> + Clone,
    ) -> Result<Vec<Vec<Layer>>> {
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let path = directory.path().join("frames.pcap");
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(std::fs::File::create(&path)?);
            write_pcap(&mut file, frames.clone())?;
            file.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = Command::new("tshark");
        command
            // No settings of whoever runs this.
            .env("WIRESHARK_CONFIG_DIR", directory.path())
            .args(["-n", "-T", "fields", "-E", "occurrence=a"])
            .args(PREFERENCES.iter().flat_map(|preference| ["-o", preference]))
            .args(FIELDS.iter().flat_map(|field| ["-e", field]))
            .arg("-r")
            .arg(&path);
        let output = exec::output(&mut command, "", PATIENCE)?;
        ensure!(
            output.status.success(),
            "tshark {} failed ({}): {}",
            self.version,
            output.status,
            output.stderr.trim()
        );
        let decoded = output.stdout.lines().enumerate().map(|(index, line)| {
            let (number, layers) =
                layers::read(line).with_context(|| format!("tshark's answer `{line}`"))?;
            ensure!(
                number == index as u64 + 1,
                "tshark's answers are not in order: frame {number} stands in line {}",
                index + 1
            );
            Ok(layers)
        });
        let decoded: Vec<_> = decoded.collect::<Result<_>>()?;
        let expected = frames.count();
        ensure!(
            decoded.len() == expected,
            "tshark answered about {} of {expected} frames: {}",
            decoded.len(),
            output.stderr.trim()
        );
        Ok(decoded)
    }
}

fn write_pcap<'a>(
    file: &mut impl std::io::Write,
    frames: impl Iterator<Item = &'a Frame>,
) -> std::io::Result<()> {
    file.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    // The longest packet, and the link type: Ethernet.
    file.write_all(&(1u32 << 18).to_le_bytes())?;
    file.write_all(&1u32.to_le_bytes())?;
    for (second, frame) in (0u32..).zip(frames) {
        let captured = u32::try_from(frame.octets.len()).unwrap_or(u32::MAX);
        for word in [second, 0, captured, frame.length.max(captured)] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame.octets)?;
    }
    Ok(())
}
