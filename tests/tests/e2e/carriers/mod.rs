//! The class of a submission connection, as those behind the gate see it: real sockets, and counters of nft that know nothing of the
//! gate. The rule sets are those of `examples`, as they are.

mod dscp;
mod hop;
mod lost;
mod mark;
mod offloads;

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::Config,
    lab::{Family, NetNs, PATIENCE, Seen, Who},
    nft,
};
use libtest_mimic::Trial;
use socket2::{Domain, Protocol, Socket, Type};

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [
        mark::trials(found),
        lost::trials(found),
        dscp::trials(found),
        hop::trials(found),
        offloads::trials(found),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The packets of the named counters of a namespace.
fn counted<const N: usize>(netns: &NetNs, names: [&str; N]) -> Result<[u64; N]> {
    let found = nft::packets(netns)?;
    let mut packets = [0; N];
    for (packets, name) in packets.iter_mut().zip(names) {
        *packets = *found
            .get(name)
            .with_context(|| format!("there is no counter {name}"))?;
    }
    Ok(packets)
}

/// By how much the counters grow while `happens` does.
fn grown<const N: usize>(
    netns: &NetNs,
    names: [&str; N],
    happens: impl FnOnce() -> Result<()>,
) -> Result<[u64; N]> {
    let before = counted(netns, names)?;
    happens()?;
    let mut after = counted(netns, names)?;
    for (after, before) in after.iter_mut().zip(before) {
        *after -= before;
    }
    Ok(after)
}

/// The configuration with a mark for those at home and one for those abroad.
fn marking(bench: &Bench<'_>) -> Result<Config> {
    bench.showing(
        &[("domestic", "mark = 0x10"), ("foreign", "mark = 0x20")],
        "\n[tags]\nmark_mask = 0xff\nover_mark = 0x80",
    )
}

impl Bench<'_> {
    /// A submission connection in each family, from `from`.
    fn submits(&self, from: Who) -> Result<()> {
        self.open(from, Who::OwnMail, 587)
    }

    /// The configuration with these keys for classes, and these tables.
    fn showing(&self, classes: &[(&str, &'static str)], tables: &'static str) -> Result<Config> {
        let mut config = self.config()?;
        for (class, keys) in classes {
            config.class_keys(class, keys)?;
        }
        config.tables = tables;
        Ok(config)
    }
}

/// Connects with this octet of DSCP and ECN in every packet, and reads until the server closes.
fn connect_with_service(
    bench: &Bench<'_>,
    from: Who,
    server: SocketAddr,
    octet: u8,
) -> Result<Seen> {
    let family = match server.ip() {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    let source = SocketAddr::new(bench.lab.address(from, family)?, 0);
    let socket = bench.lab.netns(from)?.run(|| -> std::io::Result<Socket> {
        let socket = Socket::new(
            Domain::for_address(server),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        match family {
            Family::V4 => socket.set_tos_v4(octet.into())?,
            Family::V6 => socket.set_tclass_v6(octet.into())?,
        }
        socket.bind(&source.into())?;
        Ok(socket)
    })??;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    let connection = TcpStream::from(socket);
    connection.set_read_timeout(Some(PATIENCE + Duration::from_secs(1)))?;
    let local = connection.local_addr()?;
    let read = (&connection).read(&mut [0])?;
    ensure!(read == 0, "the server sent something");
    Ok(Seen::Open(local))
}
