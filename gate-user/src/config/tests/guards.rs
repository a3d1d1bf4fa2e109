//! Guards, and the list files that they are for.

use sha2::{Digest as _, Sha256};

use super::{ACCESS, UPLINK, bad, good, problems, read};
use crate::{
    config::{Guard, Guards, ListFile},
    hex,
};

const DEFAULT: Guard = Guard {
    shrink: 0.3,
    grow: 1.0,
};

#[test]
fn guards_have_defaults_and_each_part_can_be_set() {
    assert_eq!(
        good(ACCESS).guards,
        Guards {
            geoip: DEFAULT,
            lists: DEFAULT
        }
    );
    let uplink = UPLINK.replace("[geoip]", "[geoip]\nguard = { shrink = 0.05 }");
    let guards = good(&format!(
        "{uplink}[lists]\nguard = {{ grow = 4, shrink = 1 }}\n"
    ))
    .guards;
    assert_eq!(
        guards,
        Guards {
            geoip: Guard {
                shrink: 0.05,
                grow: 1.0
            },
            lists: Guard {
                shrink: 1.0,
                grow: 4.0
            },
        }
    );
    assert_eq!(good(&format!("{ACCESS}[lists]\n")).guards.lists, DEFAULT);
}

#[test]
fn a_guard_that_is_no_part_is_refused() {
    for (written, said) in [
        (
            "shrink = 1.5",
            "`lists.guard.shrink` cannot be 1.5 | accepted values: 0.0 (nothing may go) to 1.0 (everything may)",
        ),
        (
            "shrink = -1",
            "`lists.guard.shrink` cannot be -1 | accepted values: 0.0 (nothing may go) to 1.0 (everything may)",
        ),
        (
            "shrink = nan",
            "`lists.guard.shrink` cannot be nan | accepted values: 0.0 (nothing may go) to 1.0 (everything may)",
        ),
        (
            "grow = inf",
            "`lists.guard.grow` cannot be inf | accepted values: 0.0 (nothing may come) and more; 1.0 is twice as many",
        ),
        (
            "grow = \"2\"",
            "`lists.guard.grow` must be a number, not a string | write it like this: `grow = 1.0`",
        ),
        (
            "grown = 2",
            "unknown key `grown` in `guard` | did you mean `grow`? accepted keys: grow, shrink",
        ),
    ] {
        let found = problems(&format!("{ACCESS}[lists]\nguard = {{ {written} }}\n"), &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        let (place, told) = found[0].split_once(": ").unwrap();
        assert!(place.starts_with("9:"), "{place}");
        assert_eq!(told, said);
    }
    bad(
        &format!("{ACCESS}[lists]\nguard = 0.5\n"),
        "9:9: `lists.guard` must be a table, not a float | write it like this: `guard = { shrink = 0.3, grow = 1.0 }`",
    );
}

#[test]
fn every_list_file_is_known_once_with_what_was_in_it() {
    let config = format!("{ACCESS}files = [\"a.txt\", \"b.txt\", \"a.txt\"]\n");
    let (a, b) = ("# two\n100.64.1.0/24\n100.64.2.0/24\n", "# none\n");
    let config = read(&config, &[("a.txt", a), ("b.txt", b)]).unwrap();
    let file = |name: &str, text: &str, prefixes| ListFile {
        path: format!("/etc/gate/{name}").into(),
        sha256: hex(&Sha256::digest(text)),
        prefixes,
    };
    assert_eq!(
        config.list_files,
        [file("a.txt", a, 2), file("b.txt", b, 0)]
    );
}
