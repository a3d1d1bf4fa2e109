//! MaxMind's test databases, and what must come of each.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_common::Country;
use gate_user::geoip::{Cause, Opened};
use ipnet::{IpNet, Ipv4Net};
use libtest_mimic::Trial;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use Expected::{AsItsSource, Damaged, NoCountries};

/// What must come of a database.
#[derive(Clone, Copy)]
enum Expected {
    /// It is read, and says what the file of the same name in `source-data` says.
    AsItsSource,
    /// It is refused: it is whole, but none of so many networks has a country.
    NoCountries(usize),
    /// It is refused, and this is in the message.
    Damaged(&'static str),
}

#[rustfmt::skip]
const TABLE: &[(&str, Expected)] = &[
    // Country, city and enterprise editions, with IPv4 repeated at ::ffff:0:0/96, 2001::/32 and 2002::/16.
    ("test-data/GeoLite2-Country-Test", AsItsSource),
    ("test-data/GeoLite2-City-Test", AsItsSource),
    // 2001:220::/64 in parts of every length, one of them left out.
    ("test-data/GeoIP2-Country-Test", AsItsSource),
    // Networks with a registered country only, and 2001:220::/128 alone in its /64.
    ("test-data/GeoIP2-Enterprise-Test", AsItsSource),
    ("test-data/GeoIP2-Precision-Enterprise-Test", AsItsSource),
    // Other editions; the number is that of public networks.
    ("test-data/GeoLite2-ASN-Test", NoCountries(412)),
    ("test-data/GeoIP2-Anonymous-IP-Test", NoCountries(599)),
    // Trees of every shape, with records that are no maps or have no countries.
    ("test-data/MaxMind-DB-test-ipv4-24", NoCountries(6)),
    ("test-data/MaxMind-DB-test-ipv4-28", NoCountries(6)),
    ("test-data/MaxMind-DB-test-ipv4-32", NoCountries(6)),
    ("test-data/MaxMind-DB-test-ipv6-24", NoCountries(5)),
    ("test-data/MaxMind-DB-test-ipv6-28", NoCountries(5)),
    ("test-data/MaxMind-DB-test-ipv6-32", NoCountries(5)),
    ("test-data/MaxMind-DB-test-mixed-24", NoCountries(11)),
    ("test-data/MaxMind-DB-test-mixed-28", NoCountries(11)),
    ("test-data/MaxMind-DB-test-mixed-32", NoCountries(11)),
    ("test-data/MaxMind-DB-no-ipv4-search-tree", NoCountries(1)),
    ("test-data/MaxMind-DB-string-value-entries", NoCountries(6)),
    ("test-data/MaxMind-DB-test-nested", NoCountries(6)),
    ("test-data/MaxMind-DB-test-decoder", NoCountries(8)),
    ("test-data/MaxMind-DB-test-pointer-decoder", NoCountries(2)),
    ("test-data/MaxMind-DB-test-metadata-pointers", NoCountries(307)),
    // Small files that describe gigabytes. What is not asked for is not decoded.
    ("test-data/MaxMind-DB-test-pointer-decoder-dos", NoCountries(2)),
    ("test-data/MaxMind-DB-test-pointer-decoder-dos-ipv6", NoCountries(98)),
    ("test-data/MaxMind-DB-test-payload-amplification-dos-worst-case", NoCountries(2)),
    ("test-data/MaxMind-DB-test-decoder-value-limit-over", Damaged("maximum number of data structure values")),
    ("test-data/MaxMind-DB-test-metadata-payload-limit", Damaged("maximum size of data structure string")),
    // Broken on purpose.
    ("test-data/GeoIP2-City-Test-Broken-Double-Format", Damaged("double of size 5")),
    ("test-data/GeoIP2-City-Test-Invalid-Node-Count", Damaged("search tree extends beyond the metadata")),
    ("test-data/MaxMind-DB-test-broken-pointers-24", Damaged("unexpected end of buffer")),
    ("test-data/MaxMind-DB-test-broken-search-tree-24", Damaged("cycle")),
    ("bad-data/libmaxminddb/libmaxminddb-corrupt-search-tree", NoCountries(2)),
    ("bad-data/libmaxminddb/libmaxminddb-deep-array-nesting", Damaged("maximum data structure depth")),
    ("bad-data/libmaxminddb/libmaxminddb-deep-nesting", Damaged("maximum data structure depth")),
    ("bad-data/libmaxminddb/libmaxminddb-empty-array-last-in-metadata", NoCountries(2)),
    ("bad-data/libmaxminddb/libmaxminddb-empty-map-last-in-metadata", NoCountries(2)),
    ("bad-data/libmaxminddb/libmaxminddb-metadata-marker-only", Damaged("unexpected end of buffer")),
    ("bad-data/libmaxminddb/libmaxminddb-offset-integer-overflow", Damaged("unexpected end of buffer")),
    ("bad-data/libmaxminddb/libmaxminddb-oversized-array", Damaged("maximum number of data structure values")),
    ("bad-data/libmaxminddb/libmaxminddb-oversized-map", Damaged("maximum number of data structure values")),
    ("bad-data/libmaxminddb/libmaxminddb-separator-record-max-left", Damaged("invalid location")),
    ("bad-data/libmaxminddb/libmaxminddb-separator-record-min-left", Damaged("invalid location")),
    ("bad-data/libmaxminddb/libmaxminddb-separator-record-min-right", Damaged("invalid location")),
    ("bad-data/libmaxminddb/libmaxminddb-uint64-max-epoch", Damaged("build_epoch")),
    ("bad-data/maxminddb-golang/cyclic-data-structure", Damaged("u16 of size 1")),
    ("bad-data/maxminddb-golang/invalid-bytes-length", Damaged("unexpected end of buffer")),
    ("bad-data/maxminddb-golang/invalid-data-record-offset", Damaged("double of size 6")),
    ("bad-data/maxminddb-golang/invalid-map-key-length", Damaged("u16 of size 1")),
    ("bad-data/maxminddb-golang/invalid-string-length", Damaged("unexpected end of buffer")),
    ("bad-data/maxminddb-golang/metadata-is-an-uint128", Damaged("expected map")),
    ("bad-data/maxminddb-golang/unexpected-bytes", Damaged("expected array")),
    ("bad-data/maxminddb-python/bad-unicode-in-map-key", Damaged("separator")),
];

pub(super) fn trials() -> Vec<Trial> {
    let complete = Trial::test("maxmind::every_file_is_in_the_table", || Ok(complete()?));
    TABLE
        .iter()
        .map(|(name, expected)| {
            Trial::test(format!("maxmind::{name}"), || Ok(check(name, *expected)?))
        })
        .chain([complete])
        .collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mmdb")
}

fn check(name: &str, expected: Expected) -> Result<()> {
    let path = fixtures().join(name).with_extension("mmdb");
    let outcome = super::open(&path);
    match (expected, outcome) {
        (AsItsSource, Ok(opened)) => as_its_source(name, &opened),
        (NoCountries(expected), Err(error)) => {
            let right =
                matches!(error.cause, Cause::NoCountries { networks, .. } if networks == expected);
            ensure!(right, "{error}");
            Ok(())
        }
        (Damaged(expected), Err(error)) => {
            ensure!(matches!(error.cause, Cause::Damaged(_)), "{error}");
            let text = error.to_string();
            ensure!(text.contains(expected), "{text}");
            Ok(())
        }
        (AsItsSource, Err(error)) => Err(error.into()),
        (NoCountries(_) | Damaged(_), Ok(_)) => bail!("it is read"),
    }
}

/// Compares the first and the last address of each network of the source, and how many there are.
fn as_its_source(name: &str, opened: &Opened) -> Result<()> {
    let file = Path::new(name).file_name().context("no file name")?;
    let source = fixtures()
        .join("source-data")
        .join(file)
        .with_extension("json");
    let networks = networks(&serde_json::from_str(&fs::read_to_string(source)?)?)?;
    let table = &opened.countries().table;
    opened.verify(&|addr| table.country(addr), &|| false)?;
    let (mut v4, mut v6) = (0, 0);
    for (net, country) in &networks {
        let known = usize::from(*country != Country::NONE);
        match net {
            IpNet::V4(_) => v4 += known,
            IpNet::V6(_) => v6 += known,
        }
        for addr in [net.network(), net.broadcast()] {
            let found = table.country(addr.into());
            ensure!(
                found == *country,
                "{addr}: {found:?} instead of {country:?}"
            );
        }
    }
    let database = opened
        .countries()
        .databases
        .first()
        .context("no database")?;
    let found = (database.networks_v4, database.networks_v6);
    ensure!(
        found == (v4, v6),
        "{found:?} networks instead of {:?}",
        (v4, v6)
    );
    Ok(())
}

/// The networks of a source, and their countries.
fn networks(source: &Value) -> Result<Vec<(IpNet, Country)>> {
    let entries = source.as_array().context("the source is no list")?;
    let maps = entries.iter().filter_map(Value::as_object).flatten();
    maps.map(|(net, record)| {
        let code = |field: &str| {
            let code = record.get(field)?.get("iso_code")?.as_str()?;
            Country::from_code(code)
        };
        let country = code("country").or_else(|| code("registered_country"));
        Ok((native(net.parse()?)?, country.unwrap_or(Country::NONE)))
    })
    .collect()
}

/// `::192.0.2.0/120` as the IPv4 network that it is.
fn native(net: IpNet) -> Result<IpNet> {
    match net {
        IpNet::V6(net) if net.prefix_len() >= 96 && net.addr().to_bits() <= u32::MAX.into() => {
            let addr = Ipv4Addr::from_bits(net.addr().to_bits().try_into()?);
            Ok(Ipv4Net::new(addr, net.prefix_len() - 96)?.into())
        }
        IpNet::V4(_) | IpNet::V6(_) => Ok(net),
    }
}

/// Every file stands in the table and, with its hash, in the page that says where it is from.
fn complete() -> Result<()> {
    let page = fs::read_to_string(fixtures().join("README.md"))?;
    let mut databases = 0;
    let mut directories = ["test-data", "bad-data", "source-data"]
        .map(PathBuf::from)
        .to_vec();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(fixtures().join(&directory))? {
            let entry = entry?;
            let name = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                directories.push(name);
                continue;
            }
            let hash = Sha256::digest(fs::read(entry.path())?);
            let hash = hash
                .iter()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            let line = format!("| `{}` | `{hash}` |", name.display());
            ensure!(
                page.lines().any(|it| it == line),
                "README.md lacks the line {line}"
            );
            if name.extension().is_some_and(|it| it == "mmdb") {
                databases += 1;
                let stem = name.with_extension("");
                ensure!(
                    TABLE.iter().any(|(it, _)| Path::new(it) == stem),
                    "the table lacks {}",
                    stem.display()
                );
            }
        }
    }
    ensure!(
        databases == TABLE.len(),
        "{databases} files for {} rows",
        TABLE.len()
    );
    Ok(())
}
