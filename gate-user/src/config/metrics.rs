//! `[metrics]`: where the daemon tells how it is, of how many sources, and whether there is a page.

use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::{
    Listed, Metrics,
    problem::{Problems, Reported},
    section::{Item, Section},
    values::{boolean, integer},
};

/// How many sources can have metrics of their own: each has a series for every verdict, and new sources make new series.
pub(crate) const SOURCES_MAX: u16 = 100;

/// How many addresses can be listened on.
const LISTEN_MAX: usize = 16;

pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Metrics, Reported> {
    let Some(section) = section? else {
        return Ok(Metrics::default());
    };
    let listen = section.optional("listen", |item, p| item.list(address, p), problems);
    let sources = section.optional("sources", count, problems);
    let page = section.optional("page", boolean, problems);
    let listen = listen.and_then(|listen| {
        let Some(listen) = listen else {
            return Ok(Metrics::default().listen);
        };
        addresses(listen, problems)
    });
    Ok(Metrics {
        listen: listen?,
        sources: sources?.map_or(0, |sources| sources.value),
        page: page?.map_or(Metrics::default().page, |page| page.value),
    })
}

fn addresses(
    listen: Listed<Vec<Listed<SocketAddr>>>,
    problems: &mut Problems,
) -> Result<Vec<SocketAddr>, Reported> {
    if listen.value.len() > LISTEN_MAX {
        return Err(problems.error(
            listen.origin,
            format!(
                "`metrics.listen` has {} addresses, more than {LISTEN_MAX}",
                listen.value.len()
            ),
            "listen on `0.0.0.0` or `[::]` and leave the choice to a firewall",
        ));
    }
    let mut addresses = Vec::new();
    let mut outcome = Ok(());
    for Listed { value, origin } in listen.value {
        if addresses.contains(&value) {
            outcome = Err(problems.error(
                origin,
                format!("`metrics.listen` has {value} twice"),
                "leave one of them out",
            ));
        } else if let Some(other) = addresses.iter().find(|it| are_at_odds(**it, value)) {
            outcome = Err(problems.error(
                origin,
                format!("`metrics.listen` has {other} and {value}, of which one takes the other's connections"),
                "keep the one of all addresses, or name each address; `[::]` takes IPv4 as well",
            ));
        }
        addresses.push(value);
    }
    outcome.map(|()| addresses)
}

/// Whether the kernel lets only one of them be listened on: one stands for all addresses of a port, and the other one is among them.
fn are_at_odds(a: SocketAddr, b: SocketAddr) -> bool {
    let has = |all: SocketAddr, one: SocketAddr| match all.ip() {
        IpAddr::V4(all) => all.is_unspecified() && one.ip().to_canonical().is_ipv4(),
        IpAddr::V6(all) => all.is_unspecified(),
    };
    a.port() == b.port() && (has(a, b) || has(b, a))
}

/// Reads an address with its port.
fn address(item: &Item<'_>, problems: &mut Problems) -> Result<SocketAddr, Reported> {
    let DeValue::String(text) = item.value else {
        return Err(item.mismatch("a list of strings", problems));
    };
    let parsed = text.parse::<SocketAddr>().ok();
    // Port 0 is another one each time, which nobody could scrape.
    parsed.filter(|it| it.port() != 0).ok_or_else(|| {
        problems.error(
            item.place.origin.clone(),
            format!("`{text}` is no address with a port from 1 to 65535"),
            format!(
                "write an IPv4 address, or an IPv6 address in brackets, a colon and the port: `{}`",
                item.place.key.example
            ),
        )
    })
}

fn count(item: &Item<'_>, problems: &mut Problems) -> Result<u16, Reported> {
    let number = integer(item, problems)?;
    let fits = u16::try_from(number).ok().filter(|it| *it <= SOURCES_MAX);
    fits.ok_or_else(|| {
        problems.error(
            item.place.origin.clone(),
            format!("`{}` cannot be {number}", item.place.path()),
            format!(
                "accepted values: 0 to {SOURCES_MAX}; `gate counters --format json` has all sources"
            ),
        )
    })
}
