//! One database file: opened, checked, and read from end to end.
//!
//! The search tree and the records are the library's business, except for three things that it leaves to its caller: a
//! tree that branches back into itself has more networks than anybody could walk, a separator that is not there says
//! that the tree is not where it should be, and a network that covers the IPv4 part of the tree is one of IPv4 too.

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use gate_common::Country;
use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use sha2::{Digest as _, Sha256};

use super::{Cancelled, error::Cause, range::Range, record::Records, special};
use crate::{
    config::CountryField,
    file::{self, DATABASE_MAX},
    generation::manifest::Database,
    hex,
    table::RunsBuilder,
};

/// The null bytes between the search tree and the records.
const SEPARATOR: usize = 16;

/// How many networks a tree may have for each of its nodes. A tree has one more than nodes; those that MaxMind writes
/// repeat their IPv4 part three times; a writer that shares equal subtrees may have some more.
const NETWORKS_PER_NODE: usize = 16;

/// A database that can be asked.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) reader: Reader<Vec<u8>>,
    field: CountryField,
    sha256: String,
}

/// What a database says.
pub(super) struct Content {
    pub(super) database: Database,
    /// Runs whose numbers are those of countries.
    pub(super) v4: RunsBuilder,
    pub(super) v6: RunsBuilder,
    /// What its records say.
    pub(super) records: Records,
}

impl File {
    /// Opens the file at `path`, whose content is at `place`.
    pub(super) fn open(path: &Path, place: &Path, field: CountryField) -> Result<Self, Cause> {
        let bytes = file::read(place, DATABASE_MAX).map_err(Cause::Unreadable)?;
        if bytes.is_empty() {
            return Err(Cause::Empty);
        }
        let sha256 = hex(&Sha256::digest(&bytes));
        let reader = guarded(|| {
            check_separator(&bytes)?;
            Ok(Reader::from_source(bytes)?)
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            field,
            sha256,
        })
    }

    /// Reads all of it, unless `cancelled`; `progress` hears how many networks are done.
    pub(super) fn read(
        &self,
        progress: &mut dyn FnMut(&Path, usize),
        cancelled: Cancelled<'_>,
    ) -> Result<Content, Cause> {
        let mut walk = Walk::new(self.field);
        let built = guarded(|| {
            walk.all(self, progress, cancelled)?;
            Ok(built(self.reader.metadata().build_epoch)?)
        })?;
        let Walk {
            networks,
            countries,
            records,
            v4,
            v6,
        } = walk;
        let kind = self.reader.metadata().database_type.clone();
        if countries.is_empty() {
            return Err(Cause::NoCountries { kind, networks });
        }
        Ok(Content {
            database: Database {
                path: self.path.clone(),
                kind,
                built,
                sha256: self.sha256.clone(),
                networks_v4: v4.networks,
                networks_v6: v6.networks,
                countries: countries.len(),
            },
            v4: v4.runs,
            v6: v6.runs,
            records,
        })
    }
}

/// The addresses of a network: those of IPv4, and those of IPv6.
#[derive(Clone, Copy)]
pub(super) struct Ranges {
    pub(super) v4: Option<Range>,
    pub(super) v6: Option<Range>,
}

impl Ranges {
    /// Those of a network that was found.
    ///
    /// In a tree for both families IPv4 is `::/96`. A network that is as large or larger is one of both.
    pub(super) fn of<S: AsRef<[u8]>>(found: &LookupResult<'_, S>) -> Result<Self, MaxMindDbError> {
        let network = found.network()?;
        let length = network.prefix();
        let wrong =
            |error: ipnet::PrefixLenError| MaxMindDbError::invalid_database(error.to_string());
        Ok(match network.ip() {
            IpAddr::V4(ip) => Self {
                v4: Some(Range::v4(Ipv4Net::new(ip, length).map_err(wrong)?)),
                v6: None,
            },
            IpAddr::V6(ip) => Self {
                v4: (ip.is_unspecified() && length <= 96).then_some(Range::prefix(0, 0)),
                v6: Some(Range::v6(Ipv6Net::new(ip, length).map_err(wrong)?)),
            },
        })
    }
}

/// Bytes that were lost or added before the metadata, which is at the end, move the separator away from its place.
fn check_separator(bytes: &[u8]) -> Result<(), MaxMindDbError> {
    let reader = Reader::from_source(bytes)?;
    let metadata = reader.metadata();
    let nodes = u64::from(metadata.node_count);
    let end_of_tree = usize::try_from(nodes * u64::from(metadata.record_size) / 4).ok();
    let separator = end_of_tree
        .and_then(|end| bytes.get(end..))
        .and_then(|rest| rest.get(..SEPARATOR));
    if separator.is_some_and(|it| it.iter().all(|byte| *byte == 0)) {
        Ok(())
    } else {
        Err(MaxMindDbError::invalid_database(
            "no separator between the search tree and the records",
        ))
    }
}

fn built(epoch: u64) -> Result<Timestamp, MaxMindDbError> {
    i64::try_from(epoch)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| {
            MaxMindDbError::invalid_database(format!("built at {epoch}, which is no time"))
        })
}

/// Runs what calls the library. The daemon must not end because a damaged file makes a library panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
    // What the panic left half done is dropped with it.
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(_) => Err(Cause::Damaged(MaxMindDbError::Io(io::Error::other(
            "the library that reads it panicked",
        )))),
    }
}

/// A walk through the networks of a file, in order.
struct Walk {
    networks: usize,
    countries: BTreeSet<Country>,
    records: Records,
    v4: Family,
    v6: Family,
}

/// One family of a walk.
struct Family {
    /// Networks with a country.
    networks: usize,
    /// What the database is not asked about.
    holes: &'static [Range],
    runs: RunsBuilder,
}

impl Walk {
    fn new(field: CountryField) -> Self {
        let family = |holes| Family {
            networks: 0,
            holes,
            runs: RunsBuilder::new(),
        };
        Self {
            networks: 0,
            countries: BTreeSet::new(),
            records: Records::new(field),
            v4: family(special::V4),
            v6: family(special::V6),
        }
    }

    fn all(
        &mut self,
        file: &File,
        progress: &mut dyn FnMut(&Path, usize),
        cancelled: Cancelled<'_>,
    ) -> Result<(), Cause> {
        let nodes = usize::try_from(file.reader.metadata().node_count).unwrap_or(usize::MAX);
        let most = nodes.saturating_mul(NETWORKS_PER_NODE);
        // Left to itself, the library skips whatever has the same place in the file as the IPv4 part of the tree. Where
        // one record is all of IPv4, that is every network of IPv6 with that record.
        let options = WithinOptions::default()
            .include_aliased_networks()
            .include_networks_without_data();
        for (seen, found) in file.reader.networks(options)?.enumerate() {
            let found = found?;
            if cancelled() {
                return Err(Cause::Cancelled);
            }
            if seen > most {
                return Err(Cause::Damaged(MaxMindDbError::invalid_database(format!(
                    "the search tree branches back into itself: it has more than {most} networks and only {nodes} nodes"
                ))));
            }
            if seen % 65_536 == 0 {
                progress(&file.path, seen);
            }
            if !found.has_data() {
                continue;
            }
            let country = self.records.read(&found)?;
            let Ranges { v4, v6 } = Ranges::of(&found)?;
            let v4 = v4.is_some_and(|range| self.v4.add(range, country));
            let v6 = v6.is_some_and(|range| self.v6.add(range, country));
            if v4 || v6 {
                self.networks += 1;
                if country != Country::NONE {
                    self.countries.insert(country);
                }
            }
        }
        progress(&file.path, self.networks);
        Ok(())
    }
}

impl Family {
    /// Adds a network; says whether it has an address that the database is asked about.
    fn add(&mut self, network: Range, country: Country) -> bool {
        let mut added = false;
        for range in network.without(self.holes) {
            self.runs.begin(range.first, country.number());
            // Up to the next network no address has a country.
            if let Some(after) = range.last.checked_add(1) {
                self.runs.begin(after, Country::NONE.number());
            }
            added = true;
        }
        self.networks += usize::from(added && country != Country::NONE);
        added
    }
}
