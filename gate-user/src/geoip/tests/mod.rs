//! Databases made for one question each, and what is read from them.

mod damaged;
mod exact;
mod families;
mod random;
mod schemas;
mod shapes;
mod verify;

use std::{io::Write as _, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use maxminddb::Reader;
use mmdb_writer::Writer;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{range::Range, *};
use crate::{
    config::CountryField,
    table::{Family, Run},
};

/// A network of each family, for databases that are about the other one.
const BOTH: [(&str, &str); 2] = [("192.0.2.0/24", "XK"), ("2001:db8::/32", "XK")];

fn flat(code: &str) -> Value {
    json!({ "country_code": code })
}

/// Adds networks to a database, the last one winning.
fn fill(writer: &mut Writer, networks: &[(&str, Value)]) {
    for (network, record) in networks {
        writer
            .insert(network.parse::<IpNet>().unwrap(), record)
            .unwrap();
    }
}

/// A database file with these networks and records.
fn database(kind: &str, networks: &[(&str, Value)]) -> NamedTempFile {
    let mut writer = Writer::new(kind);
    fill(&mut writer, networks);
    written(&writer)
}

/// A database file with these networks and countries, in a flat schema, and with [`BOTH`].
fn flat_database(networks: &[(&str, &str)]) -> NamedTempFile {
    let networks: Vec<_> = BOTH
        .iter()
        .chain(networks)
        .map(|(network, code)| (*network, flat(code)))
        .collect();
    database("Test", &networks)
}

fn written(writer: &Writer) -> NamedTempFile {
    file(&writer.to_bytes().unwrap())
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn geoip(files: &[&NamedTempFile]) -> Geoip {
    Geoip {
        databases: files.iter().map(|file| file.path().to_owned()).collect(),
        country: CountryField::Country,
        attribution: None,
    }
}

fn open(files: &[&NamedTempFile]) -> Result<Opened, GeoipError> {
    Opened::read(&geoip(files), &mut |_, _| {}, &|| false)
}

fn cause(files: &[&NamedTempFile]) -> Cause {
    open(files).unwrap_err().cause
}

/// Opens a database that is right, and has it compare the table with itself.
fn verified(file: &NamedTempFile) -> Opened {
    let opened = open(&[file]).unwrap();
    let table = &opened.countries().table;
    opened
        .verify(&|addr| table.country(addr), &|| false)
        .unwrap();
    opened
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn code(opened: &Opened, text: &str) -> Option<String> {
    let country = opened.countries().table.country(addr(text));
    country.code().map(|code| code.to_string())
}

/// Asserts the country of each address; "" is none.
fn assert_codes(opened: &Opened, expected: &[(&str, &str)]) {
    for (text, expected) in expected {
        let expected = Some(*expected).filter(|it| !it.is_empty());
        assert_eq!(code(opened, text).as_deref(), expected, "{text}");
    }
}

/// How many runs of the table begin in a network.
fn runs_in(opened: &Opened, network: &str) -> usize {
    let (family, first, last) = match network.parse().unwrap() {
        IpNet::V4(net) => {
            let Range { first, last } = Range::v4(net);
            (Family::V4, first, last)
        }
        IpNet::V6(net) => {
            let Range { first, last } = Range::v6(net);
            (Family::V6, first, last)
        }
    };
    let runs = opened.countries().table.table().runs();
    let begin_there = |run: &&Run| (first..=last).contains(&run.start);
    runs.of(family).iter().filter(begin_there).count()
}
