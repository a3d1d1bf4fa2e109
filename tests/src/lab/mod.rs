//! An ISP in network namespaces.
//!
//! ```text
//!   home, next, office ── acc-… ┐          ┌ up-peer, up-far ── another ISP's mail host, a third network
//!        (subscribers)          ├─ router ─┤
//!   the ISP's mail host ── srv-mail ┘      └ up-home, up-abroad, up-spam ── customers on the road
//! ```
//!
//! Every host is a namespace with one veth pair to the router, and has its addresses as /32 and /128: as on an access
//! line, everything it sends goes through the router, where the gate runs. Nothing leaves the namespaces, and no
//! interface of the machine is touched.

mod address;
mod bpffs;
mod client;
mod country;
mod flood;
mod host;
mod line;
mod netns;
mod server;
mod tap;
mod wire;
mod wiring;
mod witness;

use std::{
    collections::BTreeMap,
    fs::Permissions,
    net::{IpAddr, SocketAddr},
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

pub(crate) use self::netns::DIRECTORY as NETNS_DIRECTORY;
pub use self::{
    address::{Addresses, Family},
    bpffs::{BPFFS, Pins},
    client::{Hammer, Knocks, Seen},
    country::{Country, Database, HOME, Roamers},
    flood::{Flood, Force, Progress},
    host::{Role, Who},
    line::{Encapsulation, Line},
    netns::NetNs,
    server::{Accepted, PORTS, Server},
    tap::Tap,
    wire::{Arrived, Wire},
    witness::Witness,
};
use crate::interrupt;

/// How long a client waits for an answer. Shorter than the second until it would send its SYN again: one attempt, one
/// SYN.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// The name of a lab of this process: what all that it makes begins with.
#[derive(Clone, Debug)]
pub struct LabName(String);

impl LabName {
    /// A name no other lab has. A process's first lab carries its process id and nothing else.
    #[must_use]
    pub fn fresh() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let process = prefix();
        Self(match MADE.fetch_add(1, Ordering::Relaxed) {
            0 => process,
            // No dot: bpffs takes none.
            serial => format!("{process}_{serial}"),
        })
    }

    fn of(&self, part: &str) -> String {
        format!("{}-{part}", self.0)
    }
}

impl std::fmt::Display for LabName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the names of everything this process makes begin with.
#[must_use]
pub fn prefix() -> String {
    format!("gate-{}", process::id())
}

/// A host of the lab.
#[derive(Debug)]
struct Host {
    addresses: Addresses,
    /// None where something else serves.
    server: Option<Server>,
    witness: Witness,
    /// What lets it hear answers to what it sends; not where its interface is a gate's.
    listens: Option<OwnedFd>,
    // Last: what lives in the namespace goes before it does.
    netns: NetNs,
}

/// The whole of it. Dropping it removes everything.
#[derive(Debug)]
pub struct Lab {
    name: LabName,
    hosts: BTreeMap<Who, Host>,
    router: NetNs,
    pins: Pins,
    scratch: TempDir,
    roamers: Roamers,
}

impl Lab {
    /// Builds it; the addresses of customers on the road come from `database`.
    pub fn new(database: &Database) -> Result<Self> {
        let name = LabName::fresh();
        let roamers = database.roamers()?;
        let pins = Pins::new(&name.0)?;
        let scratch = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .context("cannot make a temporary directory")?;
        let router = NetNs::new(name.of("router"))?;
        wiring::forward(&router)?;
        let mut hosts = BTreeMap::new();
        for who in Who::ALL.iter().copied() {
            interrupt::check()?;
            let addresses = who.addresses(&roamers)?;
            let netns = NetNs::new(name.of(who.netns()))?;
            wiring::connect(&router, who.interface(), &netns, addresses)?;
            let server = Server::new(&netns)?;
            let witness = Witness::new(&netns)?;
            let listens = wiring::listen(&netns)?;
            hosts.insert(
                who,
                Host {
                    addresses,
                    server: Some(server),
                    witness,
                    listens: Some(listens),
                    netns,
                },
            );
        }
        Ok(Self {
            name,
            hosts,
            router,
            pins,
            scratch,
            roamers,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &LabName {
        &self.name
    }

    /// The namespace the gate runs in.
    #[must_use]
    pub fn router(&self) -> &NetNs {
        &self.router
    }

    /// The directory of the gate's pins.
    #[must_use]
    pub fn pins(&self) -> &Path {
        self.pins.path()
    }

    /// The namespace of `who`.
    pub fn netns(&self, who: Who) -> Result<&NetNs> {
        Ok(&self.host(who)?.netns)
    }

    /// One more host, without servers, behind an interface of the router that the gate is not attached to.
    pub fn add_host(&self, netns: &str, interface: &str, addresses: Addresses) -> Result<NetNs> {
        let netns = NetNs::new(self.name.of(netns))?;
        wiring::connect(&self.router, interface, &netns, addresses)?;
        Ok(netns)
    }

    /// Takes the link between `who` and the router away.
    pub fn unplug(&self, who: Who) -> Result<()> {
        self.router.ip(&format!("link del {}\n", who.interface()))
    }

    /// Makes that link anew, as it was.
    pub fn plug(&self, who: Who) -> Result<()> {
        let host = self.host(who)?;
        wiring::connect(&self.router, who.interface(), &host.netns, host.addresses)
    }

    /// One more router, at `addresses` behind an interface that the gate is not attached to, and a host behind it, at `behind`.
    pub fn add_hop(
        &self,
        interface: &str,
        addresses: Addresses,
        behind: Addresses,
    ) -> Result<[NetNs; 2]> {
        let hop = self.add_host("hop", interface, addresses)?;
        let host = NetNs::new(self.name.of("behind"))?;
        wiring::connect_behind(&self.router, interface, (&hop, addresses), &host, behind)?;
        Ok([hop, host])
    }

    /// Makes room at `who` for other servers, and for a gate on its interface.
    pub fn vacate(&mut self, who: Who) -> Result<()> {
        let host = self
            .hosts
            .get_mut(&who)
            .with_context(|| format!("{who} is not in the lab"))?;
        host.server = None;
        host.listens = None;
        Ok(())
    }

    /// A directory for configurations and lists, readable by everybody, removed with the lab.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the customers on the road are.
    #[must_use]
    pub fn roamers(&self) -> &Roamers {
        &self.roamers
    }

    /// An address of `who`.
    pub fn address(&self, who: Who, family: Family) -> Result<IpAddr> {
        Ok(self.host(who)?.addresses.of(family))
    }

    /// One connection attempt, as the client saw it.
    pub fn connect(&self, from: Who, to: Who, family: Family, port: u16) -> Result<Seen> {
        self.connect_within(from, to, family, port, PATIENCE)
    }

    /// One connection attempt by a client that waits for `patience`: beyond a second it sends its SYN again.
    pub fn connect_within(
        &self,
        from: Who,
        to: Who,
        family: Family,
        port: u16,
        patience: Duration,
    ) -> Result<Seen> {
        interrupt::check()?;
        let client = self.host(from)?;
        let server = SocketAddr::new(self.address(to, family)?, port);
        client::connect(&client.netns, client.addresses.of(family), server, patience)
            .with_context(|| format!("cannot try {from} to {to}, port {port}"))
    }

    /// As [`Lab::connect`], by a client at an address in any namespace.
    pub fn connect_from(&self, netns: &NetNs, source: IpAddr, server: SocketAddr) -> Result<Seen> {
        interrupt::check()?;
        client::connect(netns, source, server, PATIENCE)
    }

    /// Starts a client that knocks again and again until it is told to stop.
    pub fn hammer(&self, from: Who, to: Who, family: Family, port: u16) -> Result<Hammer> {
        let client = self.host(from)?;
        let server = SocketAddr::new(self.address(to, family)?, port);
        Ok(Hammer::start(
            &client.netns,
            client.addresses.of(family),
            server,
        ))
    }

    /// Starts to send these frames from `who`'s link, many times a second, until it is told to stop.
    pub fn flood(&self, from: Who, frames: Vec<Vec<u8>>, force: Force) -> Result<Flood> {
        Flood::start(&self.host(from)?.netns, frames, force)
    }

    /// How many frames of floods `who`'s link has sent so far, by its own count.
    pub fn flooded(&self, who: Who) -> Result<u64> {
        flood::sent(&self.host(who)?.netns)
    }

    /// The link of `who`, frame by frame.
    pub fn wire(&self, who: Who) -> Result<Wire> {
        Wire::new(&self.host(who)?.netns, wiring::UPLINK)
    }

    /// Puts `who` behind an access line of another kind, for as long as that lives.
    pub fn line(&self, who: Who, encapsulation: Encapsulation) -> Result<Line> {
        let router = wiring::link_address(&self.router, who.interface())?;
        Line::new(&self.host(who)?.netns, &router, encapsulation)
    }

    /// Destination and source of a frame that `who` sends to the router.
    pub fn link_addresses(&self, who: Who) -> Result<[[u8; 6]; 2]> {
        let router = wiring::link_address(&self.router, who.interface())?;
        let own = wiring::link_address(&self.host(who)?.netns, wiring::UPLINK)?;
        Ok([octets(&router)?, octets(&own)?])
    }

    /// What the servers of `who` have accepted so far.
    pub fn accepted(&self, who: Who) -> Result<Accepted> {
        let server = self.host(who)?.server.as_ref();
        Ok(server
            .with_context(|| format!("{who} has no servers of the lab"))?
            .accepted())
    }

    /// What all servers have accepted so far.
    #[must_use]
    pub fn accepted_by_all(&self) -> u64 {
        self.hosts
            .values()
            .filter_map(|host| host.server.as_ref())
            .map(|server| server.accepted().total())
            .sum()
    }

    /// Opening segments to port 25 that hosts behind access interfaces have sent so far, as seen on their own links.
    pub fn syns_from_subscribers(&self) -> Result<u64> {
        self.hosts
            .iter()
            .filter(|(who, _)| who.role() == Some(Role::Access))
            .map(|(_, host)| host.witness.syns_to_port_25())
            .sum()
    }

    /// The XDP programs on the router's interfaces, as the system shows them: name and id.
    pub fn attached(&self) -> Result<BTreeMap<String, u64>> {
        self.router.attached()
    }

    fn host(&self, who: Who) -> Result<&Host> {
        self.hosts
            .get(&who)
            .with_context(|| format!("{who} is not in the lab"))
    }
}

/// The six octets of a link address in text.
fn octets(address: &str) -> Result<[u8; 6]> {
    let octets: Vec<u8> = address
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16))
        .collect::<Result<_, _>>()?;
    octets
        .try_into()
        .ok()
        .with_context(|| format!("{address} is no link address"))
}
