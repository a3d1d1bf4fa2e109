//! What is no database, or not all of one.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use mmdb_writer::RecordSize;
use nix::{sys::stat::Mode, unistd::mkfifo};

use super::*;
use crate::Error;

fn whole() -> Vec<u8> {
    let networks: Vec<String> = (1..=100).map(|it| format!("20.{it}.0.0/16")).collect();
    let pairs: Vec<_> = networks.iter().map(|it| (it.as_str(), "JP")).collect();
    fs::read(flat_database(&pairs).path()).unwrap()
}

/// Why these bytes are damaged.
fn damage(bytes: &[u8]) -> String {
    let error = open(&[&file(bytes)]).unwrap_err();
    assert!(matches!(error.cause, Cause::Damaged(_)), "{error}");
    error.to_string()
}

#[test]
fn what_is_no_database_is_refused() {
    assert!(matches!(cause(&[&file(b"")]), Cause::Empty));
    for bytes in [
        &b"<html>"[..],
        b"\xab\xcd\xefMaxMind.com",
        b"<html>\xab\xcd\xefMaxMind.com</html>",
    ] {
        damage(bytes);
    }
}

#[test]
fn part_of_a_database_is_refused() {
    let whole = whole();
    for end in [whole.len() / 10, whole.len() / 2, whole.len() - 1] {
        damage(&whole[..end]);
    }
    let third = whole.len() / 3;
    damage(&[&whole[..third], &whole[2 * third..]].concat());
    damage(&whole[third..]);
    // A page before the database, as a proxy puts it there; one byte lost.
    let text = damage(&[b"<html></html>\n", &whole[..]].concat());
    assert!(text.contains("separator"), "{text}");
    damage(&whole[1..]);
}

#[test]
fn a_tree_that_leads_back_to_its_root_is_refused() {
    let mut bytes = whole();
    let third = bytes.len() / 3;
    bytes[..third].fill(0);
    let text = damage(&bytes);
    assert!(text.contains("cycle"), "{text}");
}

#[test]
fn a_tree_that_branches_back_into_itself_ends() {
    let mut writer = Writer::builder("Test")
        .record_size(RecordSize::Bits24)
        .build();
    fill(&mut writer, &[("2001:db8::1/128", flat("JP"))]);
    let mut bytes = writer.to_bytes().unwrap();
    let nodes = Reader::from_source(&bytes[..])
        .unwrap()
        .metadata()
        .node_count;
    assert_eq!(nodes, 128);
    // Both branches of each node are the next node, and those of the last one the record: 2^128 networks.
    for node in 0..nodes {
        let next = if node + 1 < nodes {
            node + 1
        } else {
            nodes + 16
        };
        let [_, record @ ..] = next.to_be_bytes();
        let start = node as usize * 6;
        bytes[start..start + 6].copy_from_slice(&[record, record].concat());
    }
    let text = damage(&bytes);
    assert!(text.contains("branches back into itself"), "{text}");
}

#[test]
fn a_time_that_no_calendar_has_is_refused() {
    let mut writer = Writer::builder("Test")
        .build_epoch(UNIX_EPOCH + Duration::from_mins(5_000_000_000))
        .build();
    fill(&mut writer, &BOTH.map(|(net, code)| (net, flat(code))));
    let text = damage(&writer.to_bytes().unwrap());
    assert!(text.contains("300000000000"), "{text}");
}

#[test]
fn a_panic_of_the_library_is_an_error() {
    let result: Result<(), Cause> = file::guarded(|| panic!("as a library might"));
    assert!(matches!(result, Err(Cause::Damaged(_))));
}

#[test]
fn a_database_without_countries_is_refused() {
    let asn = database(
        "Test-ASN",
        &[("1.0.0.0/8", json!({ "autonomous_system_number": 64496 }))],
    );
    let error = open(&[&asn]).unwrap_err();
    assert!(
        matches!(&error.cause, Cause::NoCountries { kind, networks: 1 } if kind == "Test-ASN"),
        "{error}"
    );
    let nothing = database("Test", &[]);
    assert!(matches!(
        cause(&[&nothing]),
        Cause::NoCountries { networks: 0, .. }
    ));
    let local = database(
        "Test",
        &[("10.0.0.0/8", flat("JP")), ("2003::/16", flat("-"))],
    );
    assert!(matches!(
        cause(&[&local]),
        Cause::NoCountries { networks: 1, .. }
    ));
}

#[test]
fn what_is_no_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: PathBuf| {
        let geoip = Geoip {
            databases: vec![path],
            ..geoip(&[])
        };
        Opened::read(&geoip, &mut |_, _| {}, &|| false).unwrap_err()
    };
    let fifo = directory.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    for path in [directory.path().to_owned(), fifo] {
        let error = at(path);
        assert!(error.to_string().contains("not a regular file"), "{error}");
        assert!(error.hint().contains("the database file itself"));
    }
    let large = directory.path().join("large");
    fs::File::create(&large)
        .unwrap()
        .set_len((1 << 30) + 1)
        .unwrap();
    let error = at(large);
    assert!(error.to_string().contains("1024 MiB"), "{error}");
    assert!(error.hint().contains("country or city edition"));
    let error = at("/nonexistent.mmdb".into());
    assert!(
        error.to_string().starts_with("/nonexistent.mmdb: "),
        "{error}"
    );
    assert!(error.hint().contains("[geoip]"));
}

#[test]
fn whoever_is_told_to_end_reads_no_further() {
    let file = flat_database(&[("20.0.0.0/8", "JP")]);
    let asked = AtomicUsize::new(0);
    let after = |times: usize| {
        asked.store(0, Ordering::Relaxed);
        let asked = &asked;
        move || asked.fetch_add(1, Ordering::Relaxed) >= times
    };
    for times in [0, 2] {
        let error = Opened::read(&geoip(&[&file]), &mut |_, _| {}, &after(times)).unwrap_err();
        assert!(matches!(error.cause, Cause::Cancelled), "{error}");
    }
    let opened = open(&[&file]).unwrap();
    let table = &opened.countries().table;
    for times in [0, 4] {
        let error = opened
            .verify(&|addr| table.country(addr), &after(times))
            .unwrap_err();
        assert!(matches!(error.cause, Cause::Cancelled), "{error}");
        assert!(matches!(Error::from(error), Error::Cancelled));
    }
}
