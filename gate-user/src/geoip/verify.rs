//! Whether a table answers as the database does that it was made from.
//!
//! This goes another way than the table was made: address by address through the library's own look-up, which is what
//! everybody else asks, and not through its walk.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
};

use gate_common::{Addr, Country};
use maxminddb::MaxMindDbError;

use super::{
    Cancelled,
    error::Cause,
    file::{self, File, Ranges},
    range::Range,
    record::Records,
    special,
};

/// A family of addresses, aligned left.
#[derive(Clone, Copy)]
struct Family {
    address: fn(u128) -> IpAddr,
    holes: &'static [Range],
    range: fn(Ranges) -> Option<Range>,
}

const V4: Family = Family {
    address: |bits| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or(0))),
    holes: special::V4,
    range: |it| it.v4,
};

const V6: Family = Family {
    address: |bits| IpAddr::V6(Ipv6Addr::from_bits(bits)),
    holes: special::V6,
    range: |it| it.v6,
};

/// What is compared: a file, and for which families the table is made from it.
pub(super) struct Subject<'a> {
    pub(super) file: &'a File,
    /// What its records say: where a look-up ends is what is compared, not what stands there.
    pub(super) records: &'a Records,
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Subject<'_> {
    /// Compares `answer` with the database, at the first and the last address of every network and of every hole.
    pub(super) fn verify(
        &self,
        answer: &(dyn Fn(Addr) -> Country + Sync),
        cancelled: Cancelled<'_>,
    ) -> Result<(), Cause> {
        let family = |wanted: bool, family: Family| {
            if wanted {
                self.family(family, answer, cancelled)
            } else {
                Ok(())
            }
        };
        thread::scope(|scope| {
            let v4 = || family(self.v4, V4);
            // Where the system gives no thread, one after the other.
            let thread = thread::Builder::new().spawn_scoped(scope, v4);
            let v6 = family(self.v6, V6);
            match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
                Err(_) => v4()?,
            }
            v6
        })
    }

    fn family(
        &self,
        family: Family,
        answer: &(dyn Fn(Addr) -> Country + Sync),
        cancelled: Cancelled<'_>,
    ) -> Result<(), Cause> {
        let compare = |bits: u128, database: Country| {
            let address = (family.address)(bits);
            let table = answer(address.into());
            if table == database {
                Ok(())
            } else {
                Err(Cause::Disagrees {
                    address,
                    table,
                    database,
                })
            }
        };
        // The addresses of IPv4 in IPv6 form are in no table of IPv6: they have the answers of IPv4.
        for hole in family.holes.iter().filter(|it| **it != special::MAPPED) {
            compare(hole.first, Country::NONE)?;
            compare(hole.last, Country::NONE)?;
        }
        for part in Range::prefix(0, 0).without(family.holes) {
            let mut next = Some(part.first);
            while let Some(first) = next.filter(|first| *first <= part.last) {
                if cancelled() {
                    return Err(Cause::Cancelled);
                }
                let (network, country) = file::guarded(|| Ok(self.network(family, first)?))?;
                let last = network.last.min(part.last);
                compare(first, country)?;
                compare(last, country)?;
                next = last.checked_add(1);
            }
        }
        Ok(())
    }

    /// The network that `first` is in, and its country.
    fn network(&self, family: Family, first: u128) -> Result<(Range, Country), MaxMindDbError> {
        let found = self.file.reader.lookup((family.address)(first))?;
        let range = (family.range)(Ranges::of(&found)?).ok_or_else(|| {
            MaxMindDbError::invalid_database("a network of the other family was found")
        })?;
        Ok((range, self.records.country(&found)?))
    }
}
