//! List files as part of a configuration.

use std::fmt::Write as _;

use super::{problems, read};

const LISTED: &str = r#"[[interface]]
name = "eth1"
role = "access"
[[access]]
name = "dyn"
policy = "restrict"
files = ["lists/a.txt"]
"#;

#[test]
fn prefixes_come_from_files_with_their_places() {
    let config = read(
        LISTED,
        &[("lists/a.txt", "# pool\n\n 100.64.0.0/10 # all\n")],
    )
    .unwrap();
    let [prefix] = config.pools[0].prefixes.as_slice() else {
        panic!()
    };
    assert_eq!(prefix.prefix.to_string(), "100.64.0.0/10");
    assert_eq!(prefix.origin.to_string(), "/etc/gate/lists/a.txt:3:2");
    assert!(!prefix.from_toml);
}

#[test]
fn a_file_that_cannot_be_read_is_told_where_it_is_named() {
    assert_eq!(
        problems(LISTED, &[]),
        [
            "7:10: the list file `/etc/gate/lists/a.txt` cannot be read: entity not found | create it, or put the name \
             right: it is relative to the directory of the configuration"
        ]
    );
    assert_eq!(
        problems(LISTED, &[("lists/a.txt", "not UTF-8")]),
        [
            "7:10: the list file `/etc/gate/lists/a.txt` is not UTF-8 text | write one `PREFIX [until=RFC3339] \
             [ticket=TEXT]` a line; databases belong to `geoip.databases`"
        ]
    );
}

#[test]
fn an_empty_file_gives_no_prefix() {
    let found = problems(LISTED, &[("lists/a.txt", "# nothing yet\n")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("4:1: the pool `dyn` has no prefix"),
        "{found:?}"
    );
}

#[test]
fn bad_lines_are_told_in_their_file_twenty_at_most() {
    let list = "100.64.0.0/10\n  100.64.9.8/10\n10.0.0.0/8 x\n";
    assert_eq!(
        problems(LISTED, &[("lists/a.txt", list)]),
        [
            "lists/a.txt:2:3: `100.64.9.8/10` has bits set after the first 10, which are its prefix | did you mean \
             100.64.0.0/10, or 100.64.9.8 for that one address?",
            "lists/a.txt:3:12: `x` after the prefix is nothing that a list file knows | a line is `PREFIX [until=RFC3339] \
             [ticket=TEXT]`; a comment begins with `#`",
        ]
    );
    let found = problems(LISTED, &[("lists/a.txt", &"x\n".repeat(1000))]);
    assert_eq!(found.len(), 21);
    assert!(
        found[20].starts_with("and 980 more in `/etc/gate/lists/a.txt` | "),
        "{found:?}"
    );
}

/// Anything quadratic would take minutes.
#[test]
fn big_files_are_read_and_compared() {
    const LINES: u32 = 100_000;
    let mut list = String::new();
    for n in 0..LINES {
        let [_, a, b, c] = n.to_be_bytes();
        let _ = writeln!(
            list,
            "10.{a}.{b}.{c} until=2030-01-01T00:00:00Z ticket=T{n}"
        );
    }
    let twice = LISTED.replace("[\"lists/a.txt\"]", "[\"lists/a.txt\", \"lists/b.txt\"]");
    let config = read(&twice, &[("lists/a.txt", &list), ("lists/b.txt", &list)]).unwrap();
    assert_eq!(config.pools[0].prefixes.len(), LINES as usize);
    assert_eq!(config.warnings.len(), 21);
    assert!(
        config.warnings[20]
            .message
            .starts_with("and 99980 more in ")
    );
}
