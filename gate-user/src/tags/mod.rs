//! Tags for readers without privilege: the class and country of a submission connection, by its addresses and ports, or of an address.
//!
//! A [`TagReader`] needs no capability. It opens pins for reading only, which takes membership in the group of `[tags]` and a way
//! through the directories above the pins. It follows reloads, restarts and `gate detach` by itself: before each answer it looks
//! whether the generation in force is still the one that it has open, which is one system call. A look-up by connection is one
//! more; one by address is none, since the reader has the tables of classes and countries in memory, some 10 MB with a database of the
//! whole world. It reads them again when they changed. All methods can be called from several threads at once.
//!
//! ```no_run
//! use gate_user::tags::{Found, TagReader};
//!
//! # fn main() -> Result<(), gate_user::tags::TagError> {
//! let reader = TagReader::open("/sys/fs/bpf/gate")?;
//! let client = "203.0.113.9:40112".parse().unwrap();
//! let server = "192.0.2.25:587".parse().unwrap();
//! let tag = reader.connection(client, server)?;
//! match tag.found {
//!     Found::Flow { over_limit: true, .. } => println!("too many connections from class {}", tag.class),
//!     Found::Flow { .. } => println!("class {} when the connection was opened", tag.class),
//!     Found::Address => println!("class {} by address alone", tag.class),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Minimum kernel version: 6.1.

mod error;
mod open;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use gate_common::{
    Addr, Country,
    abi::{FLOW_TTL_NS, FlowKey, FlowTag},
    decide::{Tables as _, classify},
};

pub use self::error::TagError;
use self::open::{Identity, Open};
use crate::{clock, kernel, pins::Pins};

/// What is known of a connection or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The name of the class.
    pub class: String,
    /// The code of the country; nothing where no database knows one.
    pub country: Option<String>,
    /// The number of the generation that says so: of a connection, the one in force when it was opened.
    pub generation: u32,
    /// How it was found.
    pub found: Found,
}

/// How a [`Tag`] was found. Shows as `flow` or `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The gate tagged this connection when it was opened.
    Flow {
        /// The source had more new connections than the limit of its class.
        over_limit: bool,
        /// The class is observed: nothing else was done about it.
        observed: bool,
    },
    /// The gate has no tag of the connection, or was not asked for one: this is what the source address has now.
    Address,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flow { .. } => "flow",
            Self::Address => "address",
        })
    }
}

/// Reads tags of a gate that runs on this machine.
#[derive(Debug)]
pub struct TagReader {
    pins: Pins,
    /// What was in force at the last look.
    open: RwLock<Option<Arc<Open>>>,
}

impl TagReader {
    /// Opens what is pinned in the directory `pins`.
    pub fn open(pins: impl AsRef<Path>) -> Result<Self, TagError> {
        let reader = Self::new(pins)?;
        reader.in_force()?;
        Ok(reader)
    }

    /// A reader that opens what is pinned in the directory `pins` when it is first asked, for programs that may start before the gate does.
    pub fn new(pins: impl AsRef<Path>) -> Result<Self, TagError> {
        let path = pins.as_ref();
        let pins = Pins::new(path).map_err(|error| TagError::Open {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self {
            pins,
            open: RwLock::default(),
        })
    }

    /// The tag of the connection that `source` opened to `destination`; where there is none, that of the address `source`.
    pub fn connection(&self, source: SocketAddr, destination: SocketAddr) -> Result<Tag, TagError> {
        let open = self.in_force()?;
        match self.flow_in(&open, source, destination)? {
            Some(tag) => Ok(tag),
            None => address_in(&open, source.ip()),
        }
    }

    /// The tag of the connection that `source` opened to `destination`.
    ///
    /// Nothing if the gate did not see it opened, if that was more than a day ago, if so many others came since that it made room for
    /// them, or if the configuration has other classes by now.
    pub fn flow(
        &self,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Option<Tag>, TagError> {
        self.flow_in(&*self.in_force()?, source, destination)
    }

    /// The tag that a connection from `address` would get now.
    pub fn address(&self, address: IpAddr) -> Result<Tag, TagError> {
        address_in(&*self.in_force()?, address)
    }

    /// The number of the generation in force.
    pub fn generation(&self) -> Result<u32, TagError> {
        Ok(self.in_force()?.legend.generation)
    }

    /// The names of the classes of the generation in force, in the order of the configuration.
    pub fn classes(&self) -> Result<Vec<String>, TagError> {
        Ok(self.in_force()?.legend.classes.clone())
    }

    /// The words that the country databases' licences ask for wherever results are shown.
    pub fn attribution(&self) -> Result<Vec<String>, TagError> {
        Ok(self.in_force()?.legend.attribution.clone())
    }

    /// What is in force now, opened if it is not yet.
    fn in_force(&self) -> Result<Arc<Open>, TagError> {
        // A poisoned lock holds what it held: nothing is half opened under it.
        let known = self
            .open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let current = Identity::current(&self.pins)?;
        if let Some(known) = &known
            && known.identity == current
        {
            return Ok(Arc::clone(known));
        }
        let open = Arc::new(Open::current(&self.pins, known.as_deref())?);
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&open));
        Ok(open)
    }

    fn flow_in(
        &self,
        open: &Open,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Option<Tag>, TagError> {
        let Some((tag, Some(class))) = self.record_in(open, source, destination)? else {
            return Ok(None);
        };
        let FlowTag {
            time_ns: _,
            generation,
            country,
            class: _,
            flags,
        } = tag;
        Ok(Some(Tag {
            class,
            country: code(Country::from_number(country)),
            generation,
            found: Found::Flow {
                over_limit: flags & FlowTag::OVER_LIMIT != 0,
                observed: flags & FlowTag::OBSERVED != 0,
            },
        }))
    }

    /// The record of a connection as it is in the map, unless it is too old to mean anything, and the name of its class, if that is known.
    pub(crate) fn record(
        &self,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Option<(FlowTag, Option<String>)>, TagError> {
        self.record_in(&*self.in_force()?, source, destination)
    }

    fn record_in(
        &self,
        open: &Open,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Option<(FlowTag, Option<String>)>, TagError> {
        let key = FlowKey {
            src: source.ip().into(),
            dst: destination.ip().into(),
            sport: source.port(),
            dport: destination.port(),
            protocol: 6,
            reserved: 0,
            spare: 0,
        };
        let Some(tag) = open.flow(&key)? else {
            return Ok(None);
        };
        let now = clock::monotonic_ns().map_err(|errno| TagError::Clock(errno.into()))?;
        if is_expired(&tag, now) {
            return Ok(None);
        }
        Ok(Some((tag, self.class(open, &tag))))
    }

    /// The name of the class of a tag. Class numbers mean what the generation says that made the tag.
    fn class(&self, open: &Open, tag: &FlowTag) -> Option<String> {
        let FlowTag {
            generation, class, ..
        } = *tag;
        if let Some(name) = open.legend.class(generation, class) {
            return Some(name.to_owned());
        }
        // Packets meet a new generation some milliseconds before `current` names it.
        if generation <= open.legend.generation {
            return None;
        }
        let legend = kernel::legend(&self.pins.generation(generation)).ok()?;
        legend.class(generation, class).map(str::to_owned)
    }
}

fn address_in(open: &Open, address: IpAddr) -> Result<Tag, TagError> {
    let settings = open.settings().ok_or(TagError::NoClasses)?;
    let classified = classify(Addr::from(address), settings, open);
    let class = open.legend.classes.get(usize::from(classified.class));
    Ok(Tag {
        class: class.ok_or(TagError::NoClasses)?.clone(),
        country: code(classified.country),
        generation: open.legend.generation,
        found: Found::Address,
    })
}

/// Whether a tag is too old to mean anything. (One from after `now` is fresh: the program's clock is read elsewhere.)
fn is_expired(tag: &FlowTag, now_ns: u64) -> bool {
    now_ns.saturating_sub(tag.time_ns) >= FLOW_TTL_NS
}

fn code(country: Country) -> Option<String> {
    country.code().map(|code| code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_means_something_for_a_day() {
        const DAY: u64 = 86_400_000_000_000;
        let tag = FlowTag {
            time_ns: 7,
            generation: 1,
            country: 0,
            class: 0,
            flags: 0,
        };
        for (now_ns, expired) in [(0, false), (7, false), (DAY + 6, false), (DAY + 7, true)] {
            assert_eq!(is_expired(&tag, now_ns), expired, "{now_ns}");
        }
    }
}
