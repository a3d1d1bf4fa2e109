//! What can be wrong with a capture, and what to do about it.

use std::io;

use super::LinkType;

/// A capture that cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub struct CaptureError {
    /// How many packets were read before.
    pub packets: u64,
    /// Where in the file the record begins that is wrong.
    pub offset: u64,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It does not begin as a capture does.
    #[error("is neither pcap nor pcapng")]
    Unknown,
    /// It is packed.
    #[error("is compressed")]
    Compressed {
        /// What unpacks it to standard output.
        tool: &'static str,
    },
    /// It ends too early.
    #[error("is cut short")]
    Cut,
    /// Its packets have no Ethernet header.
    #[error("the link type is {0}, and only ETHERNET (1) can be replayed")]
    LinkType(LinkType),
    /// It says what cannot be.
    #[error("is damaged: {0}")]
    Damaged(String),
}

impl Cause {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            packets,
            offset,
            cause,
        } = self;
        // A file that is wrong from the very beginning needs no place.
        match offset {
            0 => write!(f, "{cause}"),
            _ => write!(f, "{cause}, at octet {offset}, after packet {packets}"),
        }
    }
}

impl CaptureError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.cause {
            Cause::Read(_) => "`ls -l` shows who may read it".to_owned(),
            Cause::Empty | Cause::Unknown => {
                "name a file of `tcpdump -w` or Wireshark; `file FILE` says what this one is".to_owned()
            }
            Cause::Compressed { tool } => {
                format!("unpack it on the way: `{tool} FILE | gate replay - --config FILE`")
            }
            Cause::Cut => {
                "a capture that was ended while it was written, or copied in part: stop tcpdump with SIGINT, or copy it again"
                    .to_owned()
            }
            Cause::LinkType(link_type) => link_type.hint().to_owned(),
            Cause::Damaged(_) => {
                "copy it again; `editcap FILE NEW`, of Wireshark, saves what comes before the damage".to_owned()
            }
        }
    }
}

/// What unpacks a file that begins so.
pub(super) fn unpacks(begin: &[u8]) -> Option<&'static str> {
    const PACKED: [(&[u8], &str); 4] = [
        (&[0x1f, 0x8b], "zcat"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstdcat"),
        (&[0xfd, b'7', b'z', b'X'], "xzcat"),
        (b"BZh", "bzcat"),
    ];
    let packed = PACKED.iter().find(|(magic, _)| begin.starts_with(magic));
    packed.map(|(_, tool)| *tool)
}
