//! Marks and code points.

use super::{UPLINK, bad, good, problems, warnings};
use crate::config::Tags;

/// The classes `domestic` and `foreign` with these keys, in lines 10 and 14, and `[tags]` with these from line 16 on.
fn with(domestic: &str, foreign: &str, tags: &str) -> String {
    let classes = UPLINK.replace(
        "countries = [\"JP\"]\n",
        &format!("countries = [\"JP\"]\n{domestic}\n"),
    );
    format!("{classes}{foreign}\n[tags]\n{tags}\n")
}

#[test]
fn marks_and_code_points_are_read() {
    let config = good(&with(
        "mark = 0x10\ndscp = 0",
        "mark = 32\ndscp = \"AF43\"",
        "mark_mask = 0xff\nover_mark = 0x80\ndscp_on = \"all\"\nover_dscp = \"le\"\nbleach = true",
    ));
    let expected = Tags {
        group: None,
        mark_mask: 0xff,
        over_mark: 0x80,
        dscp_all: true,
        over_dscp: Some(1),
        bleach: true,
    };
    assert_eq!(config.tags, expected);
    let classes = config.classes.unwrap().list;
    let shown: Vec<_> = classes.iter().map(|it| (it.mark, it.dscp)).collect();
    assert_eq!(shown, [(Some(0x10), Some(0)), (Some(0x20), Some(38))]);
    // Nothing shows unless it is asked for.
    assert_eq!(good(UPLINK).tags, Tags::default());
    let config = good(&with("", "mark = 0x80000000", "mark_mask = 0xffff0000"));
    assert_eq!(config.tags.mark_mask, 0xffff_0000);
    assert!(!config.tags.dscp_all);
}

#[test]
fn code_points_have_the_names_of_their_standards() {
    for (name, number) in [
        ("df", 0),
        ("cs0", 0),
        ("le", 1),
        ("cs1", 8),
        ("af11", 10),
        ("AF13", 14),
        ("cs3", 24),
        ("af32", 28),
        ("cs5", 40),
        ("va", 44),
        ("ef", 46),
    ] {
        let config = good(&with("", &format!("dscp = \"{name}\""), ""));
        let classes = config.classes.unwrap().list;
        assert_eq!(classes[1].dscp, Some(number), "{name}");
    }
}

#[test]
fn marks_that_cannot_be_told_apart_are_refused() {
    let mask = "mark_mask = 0xff";
    let own = "give each class a mark of its own: nobody could tell the two apart";
    let within = "the gate writes the bits of the mask and no others: choose a mark within it, or widen the mask";
    for (domestic, foreign, tags, expected) in [
        (
            "mark = 0x10",
            "mark = 16",
            mask,
            format!("14:8: the class `foreign` has the mark 0x10, which is that of the class `domestic` (at /etc/gate/gate.toml:10:8) | {own}"),
        ),
        (
            "",
            "mark = 0x100",
            mask,
            format!("14:8: the mark of the class `foreign`, 0x100, has bits outside of `tags.mark_mask`, 0xff | {within}"),
        ),
        (
            "",
            "mark = 0x81",
            "over_mark = 0x80\nmark_mask = 0xff",
            "14:8: the mark 0x81 of the class `foreign` has bits of `tags.over_mark`, 0x80: it would read as over the limit | use other bits of the mask 0xff".to_owned(),
        ),
        (
            "",
            "",
            "over_mark = 0x100\nmark_mask = 0xff",
            format!("16:13: `tags.over_mark`, 0x100, has bits outside of `tags.mark_mask`, 0xff | {within}"),
        ),
        (
            "",
            "mark = 1",
            "",
            "14:8: there is a mark but no `tags.mark_mask`: the gate does not know which bits of the skb mark are its own | add `mark_mask = 0xff` to [tags], or whichever bits nobody else on this host uses".to_owned(),
        ),
        (
            "",
            "",
            "over_mark = 1",
            "16:13: there is a mark but no `tags.mark_mask`: the gate does not know which bits of the skb mark are its own | add `mark_mask = 0xff` to [tags], or whichever bits nobody else on this host uses".to_owned(),
        ),
        (
            "",
            "mark = 0",
            mask,
            "14:8: `class.mark` is 0, which is what packets without a mark have | accepted values: 0x1 to 0xffffffff, for example `mark = 0x10`; leave it out for no mark".to_owned(),
        ),
        (
            "",
            "",
            "mark_mask = 0x100000000",
            "16:13: `tags.mark_mask` cannot be 4294967296 | accepted values: 0x1 to 0xffffffff, for example `mark_mask = 0xff`; leave it out for no mark".to_owned(),
        ),
    ] {
        bad(&with(domestic, foreign, tags), &expected);
    }
    let found = problems(&with("", "", "mark_mask = 0"), &[]);
    assert!(
        found[0].starts_with("16:13: `tags.mark_mask` is 0"),
        "{found:?}"
    );
}

#[test]
fn code_points_that_cannot_be_told_apart_or_are_taken_are_refused() {
    let own = "give each a code point of its own: nobody could tell the two apart";
    for (domestic, foreign, tags, expected) in [
        (
            "dscp = \"le\"",
            "dscp = 1",
            "",
            format!(
                "14:8: the class `foreign` has the code point 1, which is that of the class `domestic` (at /etc/gate/gate.toml:10:8) | {own}"
            ),
        ),
        (
            "",
            "dscp = \"cs1\"",
            "over_dscp = 8",
            format!(
                "16:13: `tags.over_dscp` has the code point 8, which is that of the class `foreign` (at /etc/gate/gate.toml:14:8) | {own}"
            ),
        ),
    ] {
        bad(&with(domestic, foreign, tags), &expected);
    }
    for (written, message) in [
        ("64", "`class.dscp` cannot be 64"),
        ("-1", "`class.dscp` cannot be -1"),
        ("\"af44\"", "`class.dscp` cannot be \"af44\""),
        (
            "48",
            "`class.dscp` cannot be 48: that code point is reserved for routing protocols (RFC 4594)",
        ),
        (
            "\"cs7\"",
            "`class.dscp` cannot be \"cs7\": that code point is reserved for routing protocols (RFC 4594)",
        ),
        (
            "true",
            "`class.dscp` must be a code point: a number or a name, not a boolean",
        ),
    ] {
        let found = problems(&with("", &format!("dscp = {written}"), ""), &[]);
        let expected = format!("14:8: {message} | ");
        assert!(found[0].starts_with(&expected), "{found:?}");
    }
    good(&with("", "dscp = 63", ""));
}

#[test]
fn what_would_show_nothing_is_warned_about() {
    let config = with("", "", "mark_mask = 0xff");
    let found = warnings(&config, &[]);
    assert_eq!(
        found,
        [
            "16:13: `tags.mark_mask` is there, but no class has a `mark`: nothing is marked | add `mark = 0x10` to a [[class]], or leave `mark_mask` out"
        ]
    );
    assert_eq!(good(&config).tags.mark_mask, 0);
    let found = warnings(&with("", "", "dscp_on = \"all\""), &[]);
    assert_eq!(
        found,
        [
            "16:11: `tags.dscp_on` is there, but no class has a `dscp`: no code point is written | add `dscp = \"cs1\"` to a [[class]], or leave `dscp_on` out"
        ]
    );
}

const OWN: &str = "[submission]\nservers = [\"192.0.2.1\"]";
const BLEACH: &str =
    "add `bleach = true` to [tags], or let nobody rely on code points before the class is in force";

#[test]
fn code_points_of_other_peoples_packets_are_warned_about() {
    let hint = "list your own servers in `servers` of [submission]";
    for (foreign, tags, place, keys) in [
        ("dscp = 1", "", "14:8", "class.dscp"),
        ("", "bleach = true", "16:10", "tags.bleach"),
        ("", "over_dscp = \"le\"", "16:13", "tags.over_dscp"),
        (
            "dscp = 1",
            "bleach = true\nover_dscp = 2",
            "14:8",
            "class.dscp`, `tags.over_dscp`, `tags.bleach",
        ),
    ] {
        let toml = with("", foreign, tags);
        let expected = format!(
            "{place}: `{keys}` and no `submission.servers`: connections to other people's servers that pass here lose the code points that they came with, too | {hint}"
        );
        assert_eq!(warnings(&toml, &[]), [expected], "{toml}");
        let listed = format!("{toml}{OWN}\n");
        assert!(warnings(&listed, &[]).is_empty(), "{listed}");
    }
    // A mark stays on this host, and is changed for nobody else.
    assert!(warnings(&with("mark = 1", "", "mark_mask = 1\nbleach = false"), &[]).is_empty());
}

#[test]
fn classes_that_are_observed_beside_code_points_are_warned_about() {
    let later = "effective_from = 2026-06-01T00:00:01Z";
    let told = |place: &str, class: &str| {
        format!(
            "{place}: the class `{class}` is only observed for now and gets no code point, and without `tags.bleach` one that a sender wrote passes as if the gate \
             had written it | {BLEACH}"
        )
    };
    for (domestic, foreign, tags, expected) in [
        (
            "action = \"observe\"",
            "dscp = 1",
            "",
            vec![told("7:1", "domestic")],
        ),
        (later, "dscp = 1", "", vec![told("7:1", "domestic")]),
        (later, "", "over_dscp = 1", vec![told("7:1", "domestic")]),
        (
            "",
            "dscp = 1\naction = \"observe\"",
            "",
            vec![told("14:8", "foreign")],
        ),
        (
            "action = \"observe\"",
            "dscp = 1\naction = \"observe\"",
            "",
            vec![told("7:1", "domestic"), told("14:8", "foreign")],
        ),
        // What the gate writes over, or takes away, nobody can claim; and where it writes nothing there is nothing to claim.
        ("action = \"enforce\"", "dscp = 1", "", vec![]),
        ("", "dscp = 1", "", vec![]),
        ("action = \"observe\"", "dscp = 1", "bleach = true", vec![]),
        ("action = \"observe\"", "", "", vec![]),
    ] {
        let toml = format!("{}{OWN}\n", with(domestic, foreign, tags));
        assert_eq!(warnings(&toml, &[]), expected, "{toml}");
    }
    let exempt = "[[class]]\nname = \"own\"\nprefixes = [\"192.0.2.0/24\"]\npolicy = \"exempt\"\n";
    let toml = format!("{}{OWN}\n{exempt}", with("", "dscp = 1", ""));
    assert!(warnings(&toml, &[]).is_empty());
}
