//! Where each prefix of a generation comes from.
//!
//! Tables know numbers, not prefixes. What an operator asks for (which prefix, from which line, since when, on whose
//! ticket) travels with its generation, compressed, in a map pinned beside the tables: answers come from what is loaded
//! and not from today's files.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use gate_common::{Addr, abi::List};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{exemptions::Exemption, prefix::Prefix};
use crate::config::Origin;

/// How much text a source map may have before it is packed: lists of some ten million lines.
const MAX_BYTES: usize = 1 << 30;

/// A prefix of a list and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source<'m> {
    /// The prefix.
    pub prefix: Prefix,
    /// What it stands for in its list.
    pub number: u16,
    /// The pool or class that it belongs to; nothing for relays and servers.
    pub owner: Option<&'m str>,
    /// The file and the line; nothing for prefixes that the gate knows by itself.
    pub place: Option<(&'m Path, u32)>,
    /// The operator's note.
    pub ticket: Option<&'m str>,
    /// Since when it has been in force in this list for this owner.
    pub since: Timestamp,
}

/// Every prefix of every list but the countries'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMap {
    files: Vec<PathBuf>,
    owners: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    list: u8,
    hi: u64,
    lo: u64,
    length: u8,
    pub(super) number: u16,
    /// One more than the place in `owners`; 0 is none.
    owner: u32,
    /// One more than the place in `files`; 0 is none.
    file: u32,
    line: u32,
    /// UNIX time in seconds.
    since: i64,
    ticket: Option<String>,
}

/// What makes a prefix the same one in the next generation.
type Identity<'m> = (u8, Prefix, Option<&'m str>);

/// A source map that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SourceMapError {
    /// It is not what this program writes.
    #[error("the source map of the loaded generation cannot be read: {0}")]
    Unreadable(#[from] postcard::Error),
    /// It cannot be packed or unpacked.
    #[error("the source map cannot be packed or unpacked: {0}")]
    Packing(#[from] io::Error),
    /// Nobody could read it back.
    #[error(
        "where {prefixes} prefixes come from takes {} MiB to put down, more than the {} MiB that a generation can carry: \
         name fewer prefixes, or shorten tickets",
        bytes.div_ceil(1 << 20),
        limit >> 20
    )]
    TooLarge {
        /// How many prefixes there are.
        prefixes: usize,
        /// How many bytes they take.
        bytes: usize,
        /// How many they may take.
        limit: usize,
    },
}

/// What a prefix stands for, to be put down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'c> {
    pub(super) list: List,
    pub(super) prefix: Prefix,
    pub(super) number: u16,
    pub(super) owner: Option<&'c str>,
    pub(super) origin: Option<&'c Origin>,
    pub(super) ticket: Option<&'c str>,
}

/// A source map in the making.
pub(super) struct Writer<'p> {
    map: SourceMap,
    directory: &'p Path,
    files: HashMap<PathBuf, u32>,
    owners: HashMap<String, u32>,
    before: HashMap<Identity<'p>, i64>,
    now: i64,
}

impl<'p> Writer<'p> {
    /// Starts at `now`, from what was in force before; relative paths begin in `directory`.
    pub(super) fn after(
        previous: Option<&'p SourceMap>,
        now: Timestamp,
        directory: &'p Path,
    ) -> Self {
        let entries = previous.map(|map| (map, &map.entries));
        let before = entries.into_iter().flat_map(|(map, entries)| {
            entries
                .iter()
                .map(|entry| (map.identity(entry), entry.since))
        });
        Self {
            map: SourceMap::default(),
            directory,
            files: HashMap::new(),
            owners: HashMap::new(),
            before: before.collect(),
            now: now.as_second(),
        }
    }

    pub(super) fn add(&mut self, item: Item<'_>) {
        let Item {
            list,
            prefix,
            number,
            owner,
            origin,
            ticket,
        } = item;
        let identity = (list as u8, prefix, owner);
        let since = self.before.get(&identity).copied().unwrap_or(self.now);
        let (file, line) = origin.map_or((0, 0), |origin| {
            let file = self.directory.join(&origin.file);
            (
                place(&mut self.files, &mut self.map.files, file),
                origin.line,
            )
        });
        let owner = owner.map_or(0, |owner| {
            place(&mut self.owners, &mut self.map.owners, owner.to_owned())
        });
        let Addr { hi, lo } = prefix.addr();
        self.map.entries.push(Entry {
            list: list as u8,
            hi,
            lo,
            length: prefix.length(),
            number,
            owner,
            file,
            line,
            since,
            ticket: ticket.map(str::to_owned),
        });
    }

    pub(super) fn finish(self) -> SourceMap {
        self.map
    }
}

/// One more than the place of `value` in `list`, where it is put unless it is there.
fn place<T: Clone + Eq + std::hash::Hash>(
    places: &mut HashMap<T, u32>,
    list: &mut Vec<T>,
    value: T,
) -> u32 {
    // No memory holds as many files or owners as there are numbers.
    let next = u32::try_from(list.len() + 1).unwrap_or(0);
    *places.entry(value).or_insert_with_key(|value| {
        list.push(value.clone());
        next
    })
}

/// One more than the place of `value` in a short `list`, where it is put unless it is there.
fn placed<T: PartialEq>(list: &mut Vec<T>, value: T) -> u32 {
    let index = list.iter().position(|it| *it == value);
    let index = index.unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    });
    u32::try_from(index + 1).unwrap_or(0)
}

impl Entry {
    pub(super) fn prefix(&self) -> Prefix {
        let Self { hi, lo, .. } = *self;
        Prefix::of(Addr { hi, lo }, self.length)
    }
}

impl SourceMap {
    /// The prefixes of a list that have `addr`, the longest first.
    #[must_use]
    pub fn covering(&self, list: List, addr: Addr) -> Vec<Source<'_>> {
        let in_family = |entry: &&Entry| {
            let prefix = entry.prefix();
            prefix.addr().is_v4() == addr.is_v4() && Prefix::of(addr, entry.length) == prefix
        };
        let mut found: Vec<Source<'_>> = self
            .entries
            .iter()
            .filter(|entry| entry.list == list as u8)
            .filter(in_family)
            .map(|entry| self.source(entry))
            .collect();
        // What the operator lists comes after what the gate knows by itself, and wins where the prefix is the same.
        found.reverse();
        found.sort_by_key(|source| std::cmp::Reverse(source.prefix.length()));
        found
    }

    /// The prefixes of a list.
    pub fn of(&self, list: List) -> impl Iterator<Item = Source<'_>> {
        let entries = self.entries.iter();
        entries
            .filter(move |entry| entry.list == list as u8)
            .map(|entry| self.source(entry))
    }

    /// Takes the entries of a list out, but for those of `owner`, which are gone.
    pub(super) fn take(&mut self, list: List, owner: &str) -> Vec<Entry> {
        let owner = self.owners.iter().position(|it| it == owner);
        // A place is one more than an index.
        let owner = owner.and_then(|it| u32::try_from(it + 1).ok());
        let (mut taken, kept): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| entry.list == list as u8);
        self.entries = kept;
        taken.retain(|entry| Some(entry.owner) != owner);
        taken
    }

    /// Puts an entry in that was taken out, under another number.
    pub(super) fn put(&mut self, entry: Entry, number: u16) {
        self.entries.push(Entry { number, ..entry });
    }

    /// The entry of an exemption in the list of access, which is not put in yet.
    pub(super) fn entry(&mut self, exemption: &Exemption, owner: &str) -> Entry {
        let Exemption {
            prefix,
            until_ns: _,
            file,
            line,
            ticket,
            since,
        } = exemption;
        let Addr { hi, lo } = prefix.addr();
        Entry {
            list: List::Access as u8,
            hi,
            lo,
            length: prefix.length(),
            number: 0,
            owner: placed(&mut self.owners, owner.to_owned()),
            file: placed(&mut self.files, file.clone()),
            line: *line,
            since: since.as_second(),
            ticket: ticket.clone(),
        }
    }

    fn source<'m>(&'m self, entry: &'m Entry) -> Source<'m> {
        Source {
            prefix: entry.prefix(),
            number: entry.number,
            owner: self.owner(entry),
            place: at(&self.files, entry.file).map(|file| (file.as_path(), entry.line)),
            ticket: entry.ticket.as_deref(),
            since: Timestamp::from_second(entry.since).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    fn owner(&self, entry: &Entry) -> Option<&str> {
        at(&self.owners, entry.owner).map(String::as_str)
    }

    fn identity(&self, entry: &Entry) -> Identity<'_> {
        (entry.list, entry.prefix(), self.owner(entry))
    }

    /// The bytes that travel with the generation.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SourceMapError> {
        self.packed(MAX_BYTES)
    }

    fn packed(&self, limit: usize) -> Result<Vec<u8>, SourceMapError> {
        let text = postcard::to_stdvec(self)?;
        if text.len() > limit {
            return Err(SourceMapError::TooLarge {
                prefixes: self.entries.len(),
                bytes: text.len(),
                limit,
            });
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text)?;
        Ok(encoder.finish()?)
    }

    /// Reads the bytes back; what follows the packed text is filling.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SourceMapError> {
        let mut text = Vec::new();
        DeflateDecoder::new(bytes)
            .take(MAX_BYTES as u64)
            .read_to_end(&mut text)?;
        Ok(postcard::from_bytes(&text)?)
    }
}

/// What is at `place`, which is one more than an index.
fn at<T>(list: &[T], place: u32) -> Option<&T> {
    list.get((place as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use ipnet::IpNet;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse::<IpNet>().unwrap().into()
    }

    fn map(previous: Option<&SourceMap>, second: i64, items: &[(&str, &str, u32)]) -> SourceMap {
        let mut writer = Writer::after(
            previous,
            Timestamp::from_second(second).unwrap(),
            Path::new("/etc/gate"),
        );
        for (prefix_text, owner, line) in items {
            let origin = Origin {
                file: Arc::from(Path::new("pools/static.txt")),
                line: *line,
                column: 1,
            };
            writer.add(Item {
                list: List::Access,
                prefix: prefix(prefix_text),
                number: 3,
                owner: Some(owner),
                origin: Some(&origin),
                ticket: Some("NOC-1"),
            });
        }
        writer.finish()
    }

    #[test]
    fn comes_back_from_its_bytes_with_filling() {
        let map = map(
            None,
            7,
            &[("10.0.0.0/8", "a", 4), ("2001:db8::/32", "b", 5)],
        );
        let mut bytes = map.to_bytes().unwrap();
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        assert_eq!(SourceMap::from_bytes(&bytes).unwrap(), map);
        assert!(SourceMap::from_bytes(&bytes[..10]).is_err());
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let map = map(None, 7, &[("10.0.0.0/8", "a", 4)]);
        let text = postcard::to_stdvec(&map).unwrap();
        assert_eq!(map.packed(text.len()).unwrap(), map.to_bytes().unwrap());
        let error = map.packed(text.len() - 1).unwrap_err();
        assert!(matches!(
            error,
            SourceMapError::TooLarge { prefixes: 1, .. }
        ));
        assert!(error.to_string().contains("1 prefixes"), "{error}");
    }

    #[test]
    fn files_have_no_end() {
        let mut writer = Writer::after(None, Timestamp::UNIX_EPOCH, Path::new("/etc/gate"));
        let count = u32::from(u16::MAX) + 2;
        for index in 0..count {
            let origin = Origin {
                file: Arc::from(Path::new(&index.to_string())),
                line: 1,
                column: 1,
            };
            writer.add(Item {
                list: List::Access,
                prefix: Prefix::of(Addr::v4(index), 128),
                number: 1,
                owner: None,
                origin: Some(&origin),
                ticket: None,
            });
        }
        let map = SourceMap::from_bytes(&writer.finish().to_bytes().unwrap()).unwrap();
        for index in [0, 65_534, 65_535, count - 1] {
            let found = map.covering(List::Access, Addr::v4(index));
            let (file, _) = found[0].place.unwrap();
            assert_eq!(file, Path::new("/etc/gate").join(index.to_string()));
        }
    }

    #[test]
    fn the_longest_comes_first_and_families_stay_apart() {
        let map = map(
            None,
            7,
            &[
                ("10.0.0.0/8", "a", 4),
                ("::/0", "six", 9),
                ("10.1.0.0/16", "b", 5),
            ],
        );
        let addr = Addr::from("10.1.2.3".parse::<IpAddr>().unwrap());
        let found: Vec<_> = map
            .covering(List::Access, addr)
            .into_iter()
            .map(|it| (it.owner.unwrap(), it.place.unwrap()))
            .collect();
        let file = Path::new("/etc/gate/pools/static.txt");
        assert_eq!(found, [("b", (file, 5)), ("a", (file, 4))]);
        assert_eq!(map.covering(List::Relays, addr), []);
    }

    #[test]
    fn since_is_kept_while_the_owner_stays() {
        let first = map(
            None,
            100,
            &[("10.0.0.0/8", "a", 4), ("10.1.0.0/16", "a", 5)],
        );
        let second = map(
            Some(&first),
            200,
            &[
                ("10.1.0.0/16", "b", 1),
                ("10.0.0.0/8", "a", 2),
                ("10.2.0.0/16", "a", 3),
            ],
        );
        let since = |addr: &str| {
            let addr = Addr::from(addr.parse::<IpAddr>().unwrap());
            second.covering(List::Access, addr)[0].since.as_second()
        };
        assert_eq!(
            since("10.9.9.9"),
            100,
            "another line, the same prefix and owner"
        );
        assert_eq!(since("10.1.1.1"), 200, "another owner");
        assert_eq!(since("10.2.1.1"), 200, "new");
    }
}
