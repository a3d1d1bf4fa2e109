//! Pools: treatment, deadlines, and how their prefixes lie in one another.

use std::fmt::Write as _;

use super::{ACCESS, bad, good, problems, warnings};

#[test]
fn exempt_pools_have_neither_action_nor_answer() {
    assert_eq!(
        problems(
            &format!(
                "{}action = \"enforce\"\nanswer = \"drop\"\n",
                ACCESS.replace("restrict", "exempt")
            ),
            &[]
        ),
        [
            "8:10: an exempt pool has no `action`: port 25 is open to it | leave `action` out, or write `policy = \
             \"restrict\"`",
            "9:10: an exempt pool has no `answer`: port 25 is open to it | leave `answer` out, or write `policy = \
             \"restrict\"`",
        ]
    );
}

#[test]
fn pools_have_valid_distinct_names_and_a_prefix() {
    for name in ["", "a b", "国", &"a".repeat(65)] {
        bad(
            &ACCESS.replace("\"dyn\"", &format!("\"{name}\"")),
            &format!(
                "5:8: `access.name` cannot be {name:?} | write 1 to 64 of the characters A-Z a-z 0-9 . _ -"
            ),
        );
    }
    bad(
        &format!(
            "{ACCESS}[[access]]\nname = \"dyn\"\npolicy = \"exempt\"\nprefixes = [\"10.0.0.0/8\"]\n"
        ),
        "9:8: a second pool is called `dyn`; the first one is at /etc/gate/gate.toml:5:8 | give one pool another name, or \
         make one of the two",
    );
    bad(
        &ACCESS.replace("\"100.64.0.0/10\"", ""),
        "4:1: the pool `dyn` has no prefix | add `prefixes = [...]` or `files = [...]` with at least one prefix, or delete \
         the pool",
    );
}

#[test]
fn prefixes_are_told_at_their_place() {
    bad(
        &ACCESS.replace("\"100.64.0.0/10\"", "\"10.0.0.0/8\",\n  \"100.64.9.8/10\""),
        "8:3: `100.64.9.8/10` has bits set after the first 10, which are its prefix | did you mean 100.64.0.0/10, or \
         100.64.9.8 for that one address?",
    );
}

#[test]
fn source_lengths_are_within_their_family() {
    good(&format!("{ACCESS}source_prefix = {{ v4 = 1, v6 = 128 }}\n"));
    bad(
        &format!("{ACCESS}source_prefix = {{ v4 = 33, v6 = 64 }}\n"),
        "8:24: `access.source_prefix.v4` cannot be 33 | accepted values: 1 to 32, the number of leading bits that name one \
         source",
    );
    bad(
        &format!("{ACCESS}source_prefix = {{ v6 = 0 }}\n"),
        "8:24: `access.source_prefix.v6` cannot be 0 | accepted values: 1 to 128, the number of leading bits that name one \
         source",
    );
}

#[test]
fn until_is_a_moment() {
    bad(
        &format!("{ACCESS}until = 2027-01-01T00:00:00\n"),
        "8:9: `access.until` has no offset from UTC, so that it names no moment | add the offset, for example \
         `2027-01-01T00:00:00+09:00` for Japan, `2027-01-01T00:00:00Z` for UTC",
    );
    bad(
        &format!("{ACCESS}until = 2027-01-01\n"),
        "8:9: `access.until` has no offset from UTC, so that it names no moment | add the offset, for example \
         `2027-01-01T00:00:00+09:00` for Japan, `2027-01-01T00:00:00Z` for UTC",
    );
    bad(
        &format!("{ACCESS}until = \"2027-01-01T00:00:00Z\"\n"),
        "8:9: `access.until` must be a date and time with an offset, without quotes, not a string | write it like this: \
         `until = 2027-01-01T00:00:00+09:00`",
    );
}

/// The pool `dyn`, and another with these lines.
fn with(other: &str) -> String {
    format!("{ACCESS}[[access]]\nname = \"b\"\npolicy = \"exempt\"\n{other}\n")
}

#[test]
fn a_prefix_is_in_one_pool() {
    bad(
        &with("prefixes = [\"100.64.0.0/10\"]"),
        "11:13: 100.64.0.0/10 is in the pool `b` and in the pool `dyn` (at /etc/gate/gate.toml:7:13), which treat it \
         differently | delete one of the two; a longer prefix may lie within a shorter one of another pool",
    );
    good(&with("prefixes = [\"100.64.0.0/11\", \"100.0.0.0/8\"]"));
}

#[test]
fn a_prefix_has_one_deadline_in_its_pool() {
    let toml = with("prefixes = [\"10.0.0.1\", \"10.0.0.1/32\"]\nfiles = [\"f\"]");
    assert_eq!(
        warnings(&toml, &[("f", "10.0.0.2\n10.0.0.2\n")]),
        [
            "11:25: 10.0.0.1/32 is in the pool `b` twice; the first time at /etc/gate/gate.toml:11:13 | delete one of the \
             two",
            "f:2:1: 10.0.0.2/32 is in the pool `b` twice; the first time at /etc/gate/f:1:1 | delete one of the two",
        ]
    );
    assert_eq!(
        problems(&toml, &[("f", "10.0.0.1 until=2027-01-01T00:00:00Z\n")]),
        [
            "f:1:1: 10.0.0.1/32 is in the pool `b` twice, until 2027-01-01T00:00:00Z here and without end at \
             /etc/gate/gate.toml:11:13 | delete the one that is out of date"
        ]
    );
    let config = good(&with(
        "prefixes = [\"10.0.0.1\", \"10.0.0.1/32\", \"10.0.0.2\"]",
    ));
    assert_eq!(config.pools[1].prefixes.len(), 2);
    assert_eq!(config.pools[0].prefixes.len(), 1);
}

#[test]
fn relays_and_servers_may_repeat_with_a_warning() {
    assert_eq!(
        warnings(
            &format!(
                "{ACCESS}[port25]\nrelays = [\"10.0.0.1\", \"10.0.0.1\"]\n[submission]\nservers = [\"::1\", \"::1\"]\n"
            ),
            &[]
        ),
        [
            "9:23: 10.0.0.1/32 is in `port25.relays` twice; the first time at /etc/gate/gate.toml:9:11 | delete one of the \
             two",
            "11:19: ::1/128 is in `submission.servers` twice; the first time at /etc/gate/gate.toml:11:12 | delete one of \
             the two",
        ]
    );
}

#[test]
fn a_deadline_that_has_passed_is_told_with_what_applies_now() {
    let past = "until = 2026-01-01T00:00:00Z";
    assert_eq!(
        warnings(
            &with(&format!(
                "prefixes = [\"100.64.9.8\", \"10.0.0.0/8\"]\n{past}"
            )),
            &[]
        ),
        [
            "11:13: 100.64.9.8/32 in the pool `b` expired at 2026-01-01T00:00:00Z: now 100.64.0.0/10 of the pool `dyn` \
             applies | delete it, or set a later `until`",
            "11:27: 10.0.0.0/8 in the pool `b` expired at 2026-01-01T00:00:00Z: now no pool names it, and `unlisted = \
             \"pass\"` applies | delete it, or set a later `until`",
        ]
    );
}

#[test]
fn the_earlier_deadline_of_line_and_pool_holds() {
    let toml = with("files = [\"f\"]\nuntil = 2027-01-01T00:00:00Z");
    let list = "10.0.0.1 until=2026-07-01T00:00:00Z\n10.0.0.2 until=2028-01-01T00:00:00Z ticket=\"T 1\"\n10.0.0.3\n";
    let config = super::read(&toml, &[("f", list)]).unwrap();
    let until: Vec<_> = config.pools[1]
        .prefixes
        .iter()
        .map(|prefix| prefix.until.unwrap().to_string())
        .collect();
    assert_eq!(
        until,
        [
            "2026-07-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z"
        ]
    );
    assert_eq!(config.pools[1].prefixes[1].ticket.as_deref(), Some("T 1"));
    assert!(!config.pools[1].prefixes[1].from_toml);
}

/// Prefixes that lie in one another, the innermost with the earliest deadline.
fn nested(count: u32, later_outside: bool) -> String {
    (0..count).fold(String::new(), |mut list, depth| {
        let year = if later_outside {
            2100 - depth
        } else {
            2100 + depth
        };
        let _ = writeln!(list, "10.0.0.0/{} until={year}-01-01T00:00:00Z", 8 + depth);
        list
    })
}

#[test]
fn chains_of_deadlines_are_as_long_as_the_kernel_can_follow() {
    let toml = with("files = [\"f\"]");
    let read = |list: &str| super::read(&toml, &[("f", list)]);
    assert!(read(&nested(8, true)).is_ok());
    assert_eq!(
        problems(&toml, &[("f", &nested(9, true))]),
        [
            "f:9:1: 9 deadlines follow one another for 10.0.0.0/16: its own and those of prefixes that cover it; the kernel \
             follows 8 | delete deadlines that have passed, or give fewer covering prefixes a deadline"
        ]
    );
    // Those outside pass before those inside, and are never reached.
    assert!(read(&nested(20, false)).is_ok());
    // A covering prefix without end ends the chain.
    let mut broken = nested(6, true);
    broken.push_str("10.0.0.0/14\n");
    broken.extend(nested(14, true).split_inclusive('\n').skip(7));
    assert!(read(&broken).is_ok(), "{:?}", read(&broken));
}

#[test]
fn prefixes_that_are_counted_one_by_one_are_limited() {
    let list = |count: u32| {
        (0..count).fold(String::new(), |mut list, n| {
            let _ = write!(list, "\"10.0.{}.{}\", ", n / 256, n % 256);
            list
        })
    };
    good(&with(&format!("prefixes = [{}]", list(4095))));
    let found = problems(&with(&format!("prefixes = [{}]", list(4097))), &[]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("4098 prefixes stand in the configuration itself; 4096 can be counted one by one | move them to a"),
        "{found:?}"
    );
    let found = problems(
        &format!("{ACCESS}[port25]\nrelays = [{}]\n", list(8190)),
        &[],
    );
    assert_eq!(
        found,
        [
            "interfaces, relays, pools, their prefixes and classes need 8193 counters; there are 8191 | write fewer and \
             shorter prefixes as relays, or move prefixes of pools to a list file"
        ]
    );
}

#[test]
fn what_is_kept_of_sources_has_bounds() {
    for (written, seconds) in [
        ("1m", 60),
        ("24h", 86_400),
        ("1h30m", 5_400),
        ("4320h", 15_552_000),
    ] {
        let text = format!(
            "{ACCESS}[counters]\nretention = \"{written}\"\nsource_prefix = {{ v4 = 24, v6 = 48 }}\n"
        );
        let counters = good(&text).counters;
        assert_eq!(counters.retention.as_secs(), seconds, "{written}");
        assert_eq!((counters.source_v4, counters.source_v6), (24, 48));
    }
    for written in ["59s", "0s", "4321h"] {
        bad(
            &format!("{ACCESS}[counters]\nretention = \"{written}\"\n"),
            &format!(
                "9:13: `counters.retention` cannot be {written} | accepted values: from 1m to 4320h, which is 180 days; `sources = false` keeps \
                 nothing of any source"
            ),
        );
    }
    bad(
        &format!("{ACCESS}[counters]\nretention = \"1 day\"\n"),
        "9:13: `counters.retention`: `1 day` is no length of time such as 30m, 1h30m or 90s | hours, minutes and seconds have letters: `24h` is a day",
    );
    bad(
        &format!("{ACCESS}[counters]\nsource_prefix = {{ v4 = 0 }}\n"),
        "9:24: `counters.source_prefix.v4` cannot be 0 | accepted values: 1 to 32, the number of leading bits that name one source",
    );
}
