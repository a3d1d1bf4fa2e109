//! What the library that reads databases says by itself, and addresses to ask about.

use std::{collections::HashMap, fs, net::IpAddr, path::Path};

use anyhow::Result;
use gate_common::Country;
use ipnet::IpNet;
use maxminddb::{PathElement, Reader};

/// What a database is not asked about, as the configuration's page has it.
const HOLES: [&str; 15] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// A database, by the library's own look-up.
pub(super) struct Library {
    pub(super) reader: Reader<Vec<u8>>,
    /// The first and the last address of each.
    holes: Vec<(IpAddr, IpAddr)>,
    /// By the record's place in the file.
    records: HashMap<usize, Country>,
}

impl Library {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            reader: Reader::from_source(fs::read(path)?)?,
            holes: HOLES
                .iter()
                .map(|it| {
                    let net: IpNet = it.parse()?;
                    Ok((net.network(), net.broadcast()))
                })
                .collect::<Result<Vec<_>>>()?,
            records: HashMap::new(),
        })
    }

    /// What the library says, or nothing where it is not asked.
    pub(super) fn country(&mut self, addr: IpAddr) -> Result<Country> {
        let is_in = |hole: &(IpAddr, IpAddr)| hole.0 <= addr && addr <= hole.1;
        if self.holes.iter().any(is_in) {
            return Ok(Country::NONE);
        }
        let found = self.reader.lookup(addr)?;
        let Some(offset) = found.offset() else {
            return Ok(Country::NONE);
        };
        if let Some(country) = self.records.get(&offset) {
            return Ok(*country);
        }
        let code: Option<&str> = found.decode_path(&[PathElement::Key("country_code")])?;
        let country = code.and_then(Country::from_code).unwrap_or(Country::NONE);
        self.records.insert(offset, country);
        Ok(country)
    }
}

/// `SplitMix64`, the same numbers in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(super) fn bits(&mut self) -> u128 {
        (u128::from(self.word()) << 64) | u128::from(self.word())
    }

    pub(super) fn narrow(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.word().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let index = self.word().checked_rem(u64::try_from(all.len()).ok()?)?;
        all.get(usize::try_from(index).ok()?).copied()
    }
}
