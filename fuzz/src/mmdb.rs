//! Country databases: a damaged one is an error, never a panic, a hang or a table that says something else than the database.

use std::{cell::RefCell, io::Write as _, net::IpAddr, panic, sync::Once};

use gate_common::Addr;
use gate_user::{
    config::{CountryField, Geoip},
    geoip::Opened,
};
use tempfile::NamedTempFile;

/// Checks a database.
pub fn check(data: &[u8]) {
    a_panic_of_the_library_is_no_crash();
    thread_local! {
        static FILE: RefCell<Option<NamedTempFile>> = const { RefCell::new(None) };
    }
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| NamedTempFile::new().unwrap());
        file.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(file).unwrap();
        file.write_all(data).unwrap();
        let geoip = Geoip {
            databases: vec![file.path().to_owned()],
            country: CountryField::Country,
            attribution: None,
        };
        one(&geoip);
    });
}

fn one(geoip: &Geoip) {
    let opened = match Opened::read(geoip, &mut |_, _| {}, &|| false) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            return;
        }
    };
    let countries = opened.countries();
    let database = &countries.databases[0];
    assert!(database.networks_v4 > 0 && database.networks_v6 > 0);
    assert!(database.countries > 0);
    let table = &countries.table;
    // What the library finds address by address is what it found on its walk.
    let verified = opened.verify(&|addr| table.country(addr), &|| false);
    if let Err(error) = verified {
        panic!("{error}");
    }
    // Addresses that no database is asked about.
    for text in ["127.0.0.1", "10.0.0.1", "fe80::1", "ff02::1"] {
        let addr: IpAddr = text.parse().unwrap();
        assert_eq!(table.country(Addr::from(addr)).number(), 0, "{text}");
    }
}

/// The gate catches what the library does to itself on a damaged file; libFuzzer would end the process before that.
fn a_panic_of_the_library_is_no_crash() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let library = info
                .location()
                .is_some_and(|place| place.file().contains("/maxminddb-"));
            if !library {
                before(info);
            }
        }));
    });
}
