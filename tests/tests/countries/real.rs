//! Real databases: nothing that the gate says about an address differs from what the library says about it.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use gate_user::geoip::Opened;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use libtest_mimic::Trial;
use maxminddb::WithinOptions;

use super::library::{Library, Random};

/// The databases, by the variables that name them.
const DATABASES: [(&str, &str); 2] = [("dbip", "GATE_MMDB"), ("iptoasn", "GATE_MMDB_IPTOASN")];

/// How many addresses of each family are looked up at random.
const RANDOM: usize = 1_000_000;

pub(super) fn trials() -> Vec<Trial> {
    let trial = |(name, variable): (&str, &'static str)| {
        let path = env::var_os(variable);
        let missing = path.is_none();
        Trial::test(format!("real::{name}"), move || {
            let path = path.with_context(|| format!("{variable} names no database"))?;
            Ok(exact(Path::new(&path))?)
        })
        .with_ignored_flag(missing)
    };
    DATABASES.into_iter().map(trial).collect()
}

fn exact(path: &Path) -> Result<()> {
    let opened = super::open(path)?;
    let table = &opened.countries().table;
    opened.verify(&|addr| table.country(addr), &|| false)?;
    let mut comparison = Comparison::new(path, &opened)?;
    comparison.networks()?;
    comparison.random()
}

/// The gate's answers beside those of the library.
struct Comparison<'a> {
    opened: &'a Opened,
    library: Library,
    networks: Vec<IpNet>,
}

impl<'a> Comparison<'a> {
    fn new(path: &Path, opened: &'a Opened) -> Result<Self> {
        let library = Library::open(path)?;
        let networks = library
            .reader
            .networks(WithinOptions::default())?
            .map(|found| {
                let network = found?.network()?;
                Ok(IpNet::new(network.ip(), network.prefix())?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            opened,
            library,
            networks,
        })
    }

    /// Compares one address. IPv4 in IPv6 form is IPv4 to the gate, and not to the library.
    fn address(&mut self, addr: IpAddr) -> Result<()> {
        if matches!(addr, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return Ok(());
        }
        let expected = self.library.country(addr)?;
        let found = self.opened.countries().table.country(addr.into());
        ensure!(
            found == expected,
            "{addr}: {found:?} instead of {expected:?}"
        );
        Ok(())
    }

    /// The first and the last address of every network, and those beside them.
    fn networks(&mut self) -> Result<()> {
        ensure!(self.networks.len() > 300_000, "hardly any networks");
        for index in 0..self.networks.len() {
            let Some(net) = self.networks.get(index).copied() else {
                continue;
            };
            let (first, last) = (net.network(), net.broadcast());
            let beside = [neighbour(first, -1), neighbour(last, 1)];
            for addr in [first, last]
                .into_iter()
                .chain(beside.into_iter().flatten())
            {
                self.address(addr)?;
            }
        }
        Ok(())
    }

    /// Addresses of each family at random: half of them anywhere, half of them in a network.
    fn random(&mut self) -> Result<()> {
        let v4: Vec<Ipv4Net> = self
            .networks
            .iter()
            .filter_map(|net| match net {
                IpNet::V4(net) => Some(*net),
                IpNet::V6(_) => None,
            })
            .collect();
        let v6: Vec<Ipv6Net> = self
            .networks
            .iter()
            .filter_map(|net| match net {
                IpNet::V6(net) => Some(*net),
                IpNet::V4(_) => None,
            })
            .collect();
        let mut random = Random(0x5eed);
        for _ in 0..RANDOM / 2 {
            self.address(Ipv4Addr::from_bits(random.narrow()).into())?;
            let net = random.pick(&v4).context("no IPv4 network")?;
            let bits = net.network().to_bits() | (random.narrow() & net.hostmask().to_bits());
            self.address(Ipv4Addr::from_bits(bits).into())?;
            // 2000::/3, which is what is allocated from.
            let bits = (1 << 125) | (random.bits() >> 3);
            self.address(Ipv6Addr::from_bits(bits).into())?;
            let net = random.pick(&v6).context("no IPv6 network")?;
            let bits = net.network().to_bits() | (random.bits() & net.hostmask().to_bits());
            self.address(Ipv6Addr::from_bits(bits).into())?;
        }
        Ok(())
    }
}

/// The address `step` away, of the same family.
fn neighbour(addr: IpAddr, step: i8) -> Option<IpAddr> {
    Some(match addr {
        IpAddr::V4(addr) => {
            Ipv4Addr::from_bits(addr.to_bits().checked_add_signed(step.into())?).into()
        }
        IpAddr::V6(addr) => {
            Ipv6Addr::from_bits(addr.to_bits().checked_add_signed(step.into())?).into()
        }
    })
}
