//! Where databases are fetched from.

use std::{path::Path, time::Duration};

use super::{UPLINK, good, problems};
use crate::config::{Update, load_geoip};

const UPDATE: &str = "[[geoip.update]]\ndatabase = \"db.mmdb\"\n";

fn updates(lines: &str) -> Vec<Update> {
    let text = format!("{UPLINK}{UPDATE}{lines}\n");
    good(&text);
    let read = |_: &Path| Ok(text.clone());
    load_geoip(Path::new("/etc/gate/gate.toml"), &read)
        .unwrap()
        .updates
}

#[test]
fn what_is_not_said_is_what_is_documented() {
    let [update] = &updates("url = \"https://example.net/a?key=canary\"")[..] else {
        panic!("one");
    };
    let Update {
        database,
        url,
        checksum,
        credentials,
        ca,
        octets_max,
        timeout,
    } = update;
    assert_eq!(database, Path::new("/etc/gate/db.mmdb"));
    assert_eq!(url.origin(), "https://example.net");
    assert_eq!((checksum, credentials, ca), (&None, &None, &None));
    assert_eq!(*octets_max, 256 << 20);
    assert_eq!(*timeout, Duration::from_secs(30));
    assert!(!format!("{update:?}").contains("canary"));

    let all = updates(
        "url = \"http://[::1]:8080/a\"\nchecksum = \"https://example.org/b\"\ncredentials = \"key\"\n\
         ca = \"/ca.pem\"\nmax_mib = 1024\ntimeout = 1",
    );
    assert_eq!(
        all[0].credentials.as_deref(),
        Some(Path::new("/etc/gate/key"))
    );
    assert_eq!(all[0].ca.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(
        all[0].checksum.as_ref().unwrap().origin(),
        "https://example.org"
    );
    assert_eq!(all[0].octets_max, 1 << 30);
    assert_eq!(all[0].timeout, Duration::from_secs(1));
}

#[test]
fn what_is_wrong_is_told_without_the_url() {
    const URL: &str = "url = \"https://example.net/\"\n";
    for (lines, words) in [
        ("", "[[geoip.update]] has no `url`"),
        (
            "url = \"https://canary:canary@example.net/\"",
            "`geoip.update.url` has a user name or a password in it",
        ),
        (
            "url = \"http://example.net/canary\"",
            "`geoip.update.url` is http:// to another machine",
        ),
        (
            "url = \"ftp://example.net/?canary\"",
            "`geoip.update.url` is neither https:// nor http://",
        ),
        ("url = \"canary\"", "`geoip.update.url` is no URL"),
        (
            &format!("{URL}checksum = \"//canary\""),
            "`geoip.update.checksum` is no URL",
        ),
        (
            &format!("{URL}max_mib = 0"),
            "`geoip.update.max_mib` cannot be 0",
        ),
        (
            &format!("{URL}max_mib = 1025"),
            "`geoip.update.max_mib` cannot be 1025",
        ),
        (
            &format!("{URL}timeout = 601"),
            "`geoip.update.timeout` cannot be 601",
        ),
        (
            &format!("{URL}credentials = \"\""),
            "`geoip.update.credentials` has an empty file name",
        ),
        (
            &format!("{URL}key = \"canary\""),
            "unknown key `key` in [[geoip.update]]",
        ),
        (
            &format!("{URL}{UPDATE}{URL}"),
            "/etc/gate/db.mmdb is updated by two [[geoip.update]]",
        ),
        (
            &format!("{URL}[[geoip.update]]\ndatabase = \"other.mmdb\"\n{URL}"),
            "/etc/gate/other.mmdb is none of `geoip.databases`",
        ),
    ] {
        let found = problems(&format!("{UPLINK}{UPDATE}{lines}\n"), &[]);
        assert!(
            matches!(&found[..], [one] if one.contains(words) && !one.contains("canary")),
            "{lines}: {found:?}"
        );
    }
}

/// A mistake in a list keeps no database from being fetched.
#[test]
fn nothing_else_is_read() {
    let text =
        format!("{UPLINK}{UPDATE}url = \"https://example.net/\"\n[[access]]\nfiles = [\"gone\"]\n");
    let path = Path::new("/etc/gate/gate.toml");
    let read = |asked: &Path| {
        assert_eq!(asked, path);
        Ok(text.clone())
    };
    let files = load_geoip(path, &read).unwrap();
    assert_eq!((files.databases.len(), files.updates.len()), (1, 1));
    let none = load_geoip(path, &|_| Ok("[[interface]]\n".to_owned())).unwrap();
    assert!(none.databases.is_empty() && none.updates.is_empty());
    assert!(load_geoip(path, &|_| Ok("[geoip]\n".to_owned())).is_err());
    assert!(load_geoip(path, &|_| Err(std::io::ErrorKind::NotFound.into())).is_err());
}
