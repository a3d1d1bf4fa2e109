//! Lists of prefixes: the country database of the repository, and made-up ones of any length.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use gate_common::Addr;
use gate_user::{
    generation::Prefix,
    table::{Family, Runs, Table, key},
};
use ipnet::IpNet;
use jiff::Timestamp;
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The longest prefix of IPv6 that fits the keys of the tries.
pub(crate) const TRIE_BITS: u8 = 64;
/// How many different numbers a made-up list has: as many as a country database.
const NUMBERS: u16 = 250;

/// The address with these bits, the first one uppermost.
pub(crate) fn addr(family: Family, bits: u128) -> Addr {
    match family {
        Family::V4 => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}

/// A prefix of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) prefix: Prefix,
    pub(crate) number: u16,
}

impl Entry {
    pub(crate) fn family(self) -> Family {
        key(self.prefix.addr()).0
    }

    /// Its first address, the first bit uppermost.
    pub(crate) fn start(self) -> u128 {
        key(self.prefix.addr()).1
    }

    /// As a person writes it.
    pub(crate) fn net(self) -> String {
        format!(
            "{}/{}",
            addr(self.family(), self.start()).to_ip(),
            self.length()
        )
    }

    /// The same, no longer than the tries' keys.
    fn fit(self) -> Self {
        match self.family() {
            Family::V6 if self.length() > TRIE_BITS => Self {
                prefix: Prefix::of(self.prefix.addr(), TRIE_BITS),
                ..self
            },
            Family::V4 | Family::V6 => self,
        }
    }

    /// Its length in the family's own terms.
    pub(crate) fn length(self) -> u8 {
        match self.family() {
            Family::V4 => self.prefix.length().saturating_sub(Prefix::V4.length()),
            Family::V6 => self.prefix.length(),
        }
    }
}

/// A list, and the table made of it.
pub(crate) struct List {
    pub(crate) entries: Vec<Entry>,
    pub(crate) runs: Runs,
    pub(crate) table: Table,
}

impl List {
    pub(crate) fn new(entries: Vec<Entry>) -> Result<Self> {
        let runs = runs(&entries);
        let table = Table::new(&runs).context("the list makes no table")?;
        Ok(Self {
            entries,
            runs,
            table,
        })
    }
}

/// The runs of a list.
pub(crate) fn runs(entries: &[Entry]) -> Runs {
    Runs::longest(entries.iter().map(|entry| (entry.prefix, entry.number)))
}

/// What a country database says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) kind: String,
    pub(crate) built: Timestamp,
    pub(crate) sha256: String,
    /// How many /64s it splits.
    pub(crate) split: usize,
}

/// The networks of the database at `path`; countries are numbered as they come.
pub(crate) fn read(path: &Path) -> Result<(Vec<Entry>, Source)> {
    #[derive(Deserialize)]
    struct Record<'a> {
        country_code: Option<&'a str>,
    }

    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let sha256 = hex(&Sha256::digest(&bytes));
    let reader = Reader::from_source(bytes.as_slice())
        .with_context(|| format!("{} is no country database", path.display()))?;
    let mut numbers: HashMap<String, u16> = HashMap::new();
    // Networks share records.
    let mut records: HashMap<usize, u16> = HashMap::new();
    let mut entries = Vec::new();
    let mut split = 0;
    for network in reader.networks(WithinOptions::default())? {
        let network = network?;
        let Some(offset) = network.offset() else {
            continue;
        };
        let number = if let Some(number) = records.get(&offset) {
            *number
        } else {
            let record: Option<Record<'_>> = network.decode()?;
            let code = record.and_then(|it| it.country_code);
            let next = u16::try_from(numbers.len() + 1)?;
            let number = code.map_or(0, |code| *numbers.entry(code.to_owned()).or_insert(next));
            records.insert(offset, number);
            number
        };
        if number == 0 {
            continue;
        }
        let net = network.network()?;
        let entry = Entry {
            prefix: IpNet::new(net.ip(), net.prefix())?.into(),
            number,
        };
        let fit = entry.fit();
        // Of the parts of a split prefix, which follow each other, the first one stands for all.
        let part = entries
            .last()
            .is_some_and(|last: &Entry| last.prefix == fit.prefix);
        if !part {
            entries.push(fit);
        }
        split += usize::from(fit != entry && !part);
    }
    ensure!(
        !entries.is_empty(),
        "no network of {} has a country",
        path.display()
    );
    let source = Source {
        kind: reader.metadata().database_type.clone(),
        built: Timestamp::from_second(i64::try_from(reader.metadata().build_epoch)?)?,
        sha256,
        split,
    };
    Ok((entries, source))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As many different prefixes of each family as said, of the lengths that routing tables have, anywhere in what is
/// given out.
pub(crate) fn made_up(rng: &mut Rng, count: usize) -> Vec<Entry> {
    [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| {
            let mut prefixes: HashMap<Prefix, u16> = HashMap::new();
            // In the order of their making: that of a map changes from run to run.
            let mut entries = Vec::with_capacity(count);
            while entries.len() < count {
                let entry = Entry {
                    prefix: one(rng, family),
                    number: rng.u16(1..=NUMBERS),
                };
                if prefixes.insert(entry.prefix, entry.number).is_none() {
                    entries.push(entry);
                }
            }
            entries
        })
        .collect()
}

fn one(rng: &mut Rng, family: Family) -> Prefix {
    let percent = rng.u8(0..100);
    match family {
        Family::V4 => {
            let length = match percent {
                0..60 => 24,
                60..80 => rng.u8(22..24),
                80..90 => rng.u8(20..22),
                90..98 => rng.u8(16..20),
                _ => rng.u8(10..16),
            };
            let addr = Addr::v4(rng.u32(1 << 24..224 << 24));
            Prefix::of(addr, Prefix::V4.length() + length)
        }
        Family::V6 => {
            let length = match percent {
                0..50 => 48,
                50..70 => rng.u8(40..48),
                70..75 => rng.u8(56..=64),
                75..85 => rng.u8(33..40),
                _ => rng.u8(28..=32),
            };
            // The /12s that the registries hand out of.
            let registry = [0x240_u64, 0x260, 0x280, 0x2a0, 0x2c0];
            let first = rng.choice(registry).unwrap_or_default() << 52;
            let addr = Addr {
                hi: first | rng.u64(..) >> 12,
                lo: 0,
            };
            Prefix::of(addr, length)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mmdb_writer::{Value, Writer};

    use super::*;

    #[test]
    fn a_made_up_list_has_as_many_prefixes_of_each_family() {
        let entries = made_up(&mut Rng::with_seed(1), 1_000);
        for family in [Family::V4, Family::V6] {
            let of_family: HashSet<Prefix> = entries
                .iter()
                .filter(|entry| entry.family() == family)
                .map(|entry| entry.prefix)
                .collect();
            assert_eq!(of_family.len(), 1_000, "{family:?}");
        }
        assert!(
            entries
                .iter()
                .all(|it| it.length() <= TRIE_BITS && it.number != 0)
        );
        assert_eq!(
            entries,
            made_up(&mut Rng::with_seed(1), 1_000),
            "each run measures the same"
        );
    }

    fn entry(text: &str) -> Entry {
        Entry {
            prefix: text.parse::<IpNet>().unwrap().into(),
            number: 1,
        }
    }

    #[test]
    fn of_a_split_64_the_first_part_stands_for_all() {
        let mut writer = Writer::new("Test");
        for (net, code) in [
            ("192.0.2.0/24", "JP"),
            ("2001:db8::/65", "DE"),
            ("2001:db8:0:0:8000::/66", "FR"),
            ("2001:db8:0:1::/64", "JP"),
        ] {
            let record = Value::map([("country_code", Value::from(code))]);
            writer
                .insert_value(net.parse::<IpNet>().unwrap(), record)
                .unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), writer.to_bytes().unwrap()).unwrap();
        let (entries, source) = read(file.path()).unwrap();
        let numbers: Vec<(Entry, u16)> = entries
            .iter()
            .map(|it| (Entry { number: 1, ..*it }, it.number))
            .collect();
        assert_eq!(
            numbers,
            [
                (entry("192.0.2.0/24"), 1),
                (entry("2001:db8::/64"), 2),
                (entry("2001:db8:0:1::/64"), 1),
            ]
        );
        assert_eq!((source.kind.as_str(), source.split), ("Test", 1));
    }

    #[test]
    fn lengths_are_those_of_the_family() {
        assert_eq!(
            (
                entry("192.0.2.0/24").length(),
                entry("192.0.2.0/24").start()
            ),
            (24, 0xc000_0200 << 96)
        );
        assert_eq!(
            (
                entry("2001:db8::/32").length(),
                entry("2001:db8::/32").start()
            ),
            (32, 0x2001_0db8 << 96)
        );
    }
}
