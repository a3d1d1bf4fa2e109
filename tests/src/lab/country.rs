//! Addresses for customers on the road, from the country database itself: nothing about real networks is written down
//! here.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use maxminddb::{PathElement, Reader, WithinOptions};

use super::Addresses;

/// Home, for a Japanese ISP.
pub const HOME: &str = "JP";

/// The database, read without the gate: what the gate says about an address is held against this.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
}

/// A country and one address of each family in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1, two letters.
    pub code: String,
    /// The addresses.
    pub addresses: Addresses,
}

/// Where customers on the road are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roamers {
    /// At home.
    pub domestic: Country,
    /// Abroad.
    pub foreign: Country,
    /// Abroad, in a country that the lab's configuration puts in its high-spam class. Which ones belong there is for
    /// each ISP to say, from its own complaints; the lab takes the second foreign country it comes across.
    pub high_spam: Country,
}

impl Database {
    /// Reads it.
    pub fn open(path: &Path) -> Result<Self> {
        let content = fs::read(path)
            .with_context(|| format!("cannot read the country database {}", path.display()))?;
        let reader = Reader::from_source(content)
            .with_context(|| format!("{} is no country database", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            reader,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The country of `address`, in either schema that providers use.
    pub fn country(&self, address: IpAddr) -> Result<Option<String>> {
        const FLAT: &[PathElement<'_>] = &[PathElement::Key("country_code")];
        const NESTED: &[PathElement<'_>] =
            &[PathElement::Key("country"), PathElement::Key("iso_code")];
        let record = self.reader.lookup(address)?;
        match record.decode_path(FLAT)? {
            Some(code) => Ok(Some(code)),
            None => Ok(record.decode_path(NESTED)?),
        }
    }

    /// How many IPv4 addresses there are in the country with this code.
    pub fn v4_addresses(&self, code: &str) -> Result<u64> {
        let mut addresses = 0;
        let within = V4.within.parse()?;
        for network in self.reader.within(within, WithinOptions::default())? {
            let network = network?.network()?;
            if self.country(network.ip())?.as_deref() == Some(code) {
                addresses += 1 << (32 - network.prefix());
            }
        }
        Ok(addresses)
    }

    /// Picks them.
    pub fn roamers(&self) -> Result<Roamers> {
        let domestic = self.first(|code| code == HOME)?;
        let foreign = self.first(|code| code != HOME)?;
        let high_spam = self.first(|code| code != HOME && code != foreign.code)?;
        Ok(Roamers {
            domestic,
            foreign,
            high_spam,
        })
    }

    /// The first country that `wanted` takes and that has networks of both families.
    fn first(&self, wanted: impl Fn(&str) -> bool) -> Result<Country> {
        let mut tried = Vec::new();
        loop {
            let (code, v4) = self
                .host(V4, |code| {
                    wanted(code) && !tried.iter().any(|one| one == code)
                })?
                .context("the country database has no suitable IPv4 network")?;
            let v6 = self.host(V6, |other| other == code)?;
            if let (IpAddr::V4(v4), Some((_, IpAddr::V6(v6)))) = (v4, v6) {
                ensure!(
                    self.country(v4.into())?.as_ref() == Some(&code)
                        && self.country(v6.into())?.as_ref() == Some(&code),
                    "the country database contradicts itself about {code}"
                );
                return Ok(Country {
                    code,
                    addresses: Addresses { v4, v6 },
                });
            }
            tried.push(code);
        }
    }

    /// An address from the middle of the first network in `space` whose country `wanted` takes.
    fn host(
        &self,
        space: Space,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<(String, IpAddr)>> {
        let within = space.within.parse()?;
        for network in self.reader.within(within, WithinOptions::default())? {
            let network = network?.network()?;
            if network.prefix() > space.longest {
                continue;
            }
            let host = middle(IpNet::new(network.ip(), network.prefix())?);
            match self.country(host)? {
                Some(code) if wanted(&code) && !is_in_the_lab(host) => {
                    return Ok(Some((code, host)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Where to look, and how small a network may be.
#[derive(Clone, Copy)]
struct Space {
    within: &'static str,
    longest: u8,
}

const V4: Space = Space {
    within: "0.0.0.0/0",
    longest: 24,
};

/// A registry's block: nothing in it has a special purpose.
const V6: Space = Space {
    within: "2400::/12",
    longest: 48,
};

fn middle(network: IpNet) -> IpAddr {
    match network {
        IpNet::V4(network) => {
            let half = u32::from(network.hostmask()) >> 1;
            IpAddr::from((u32::from(network.network()) + half + 2).to_be_bytes())
        }
        IpNet::V6(network) => {
            let half = u128::from(network.hostmask()) >> 1;
            IpAddr::from((u128::from(network.network()) + half + 2).to_be_bytes())
        }
    }
}

/// Addresses the lab gives to others: shared, link-local and documentation ones. A real database has none of them.
fn is_in_the_lab(address: IpAddr) -> bool {
    const TAKEN: [&str; 5] = [
        "100.64.0.0/10",
        "169.254.0.0/16",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
    ];
    match address {
        IpAddr::V4(_) => TAKEN
            .iter()
            .filter_map(|prefix| prefix.parse::<IpNet>().ok())
            .any(|prefix| prefix.contains(&address)),
        IpAddr::V6(v6) => v6.segments().starts_with(&[0x2001, 0xdb8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_network_is_in_it() {
        for (network, host) in [
            ("192.0.2.0/24", "192.0.2.129"),
            ("2001:db8::/32", "2001:db8:8000::1"),
        ] {
            assert_eq!(middle(network.parse().unwrap()).to_string(), host);
        }
    }
}
