//! Country databases made for trials: one that is right, in the schema that the real one does not have, and ones that
//! are wrong.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use ipnet::IpNet;
use mmdb_writer::{Value, Writer};

/// Real allocations, so that they read well; any others would do.
pub(crate) const NETWORKS: [(&str, &str); 8] = [
    ("133.0.0.0/8", "JP"),
    ("2400:4000::/22", "JP"),
    ("5.1.64.0/20", "DE"),
    ("2400:8900::/32", "DE"),
    ("8.8.8.0/24", "US"),
    ("2400:cb00::/32", "US"),
    ("203.0.0.0/24", "AU"),
    ("2400:1a00::/32", "AU"),
];

/// A few networks in the nested schema (`country.iso_code`).
pub(crate) fn small() -> Result<Vec<u8>> {
    of_day(0, &NETWORKS)
}

/// These networks in a database that was built so many days after the small one.
pub(crate) fn of_day(day: i16, networks: &[(&str, &str)]) -> Result<Vec<u8>> {
    of(day, networks, |country| {
        Value::map([("country", Value::map([("iso_code", Value::from(country))]))])
    })
}

/// A database of something else: no network has a country.
pub(crate) fn without_countries() -> Result<Vec<u8>> {
    of(0, &NETWORKS, |_| {
        Value::map([
            ("autonomous_system_number", Value::from(64_500_u32)),
            ("autonomous_system_organization", Value::from("Example")),
        ])
    })
}

fn of(day: i16, networks: &[(&str, &str)], record: impl Fn(&str) -> Value) -> Result<Vec<u8>> {
    const FIRST: u64 = 20_000;
    const DAY: u64 = 86_400;
    let days = FIRST.saturating_add_signed(day.into());
    let built = SystemTime::UNIX_EPOCH + Duration::from_secs(days * DAY);
    let mut writer = Writer::builder("Lab-Country").build_epoch(built).build();
    for (network, country) in networks {
        writer.insert_value(network.parse::<IpNet>()?, record(country))?;
    }
    Ok(writer.to_bytes()?)
}
