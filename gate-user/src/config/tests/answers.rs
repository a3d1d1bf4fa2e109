//! Answers, limits and shapes.

use gate_common::{Action, Answer, Shape, ShapePolicy, abi};

use super::{ACCESS, bad, good, problems};
use crate::config::{AnswerFrom, Answers, Limit, Per};

const THROTTLE: &str = "throttle = { limit = 5, per = \"minute\" }\n";

#[test]
fn throttling_takes_a_limit() {
    let because = "without `port25.throttle`: nothing says how many new connections a source has | add `throttle = { limit = \
                   5, per = \"minute\", burst = 10 }` to [port25]";
    bad(
        &format!("{ACCESS}action = \"throttle\"\n"),
        &format!("8:10: `access.action = \"throttle\"` {because}"),
    );
    // Once, though pools and unlisted sources inherit it.
    bad(
        &format!("{ACCESS}[port25]\naction = \"throttle\"\nunlisted = \"refuse\"\n"),
        &format!("9:10: `port25.action = \"throttle\"` {because}"),
    );
    // A limit that cannot be read is not missing.
    bad(
        &format!(
            "{ACCESS}action = \"throttle\"\n[port25]\nthrottle = {{ limit = 5, per = \"week\" }}\n"
        ),
        "10:31: `port25.throttle.per` cannot be \"week\" | accepted values: \"second\", \"minute\", \"hour\", \"day\"",
    );
    let config = good(&format!(
        "{ACCESS}action = \"throttle\"\n[port25]\n{THROTTLE}"
    ));
    let limit = Limit {
        limit: 5,
        per: Per::Minute,
        burst: 5,
    };
    assert_eq!(config.port25.throttle, Some(limit));
    assert_eq!(config.pools[0].treatment.action, Action::Throttle);
    assert_eq!(config.port25.action, Action::Observe);
}

#[test]
fn limits_are_whole_and_bounded() {
    let throttle = |text: &str| format!("{ACCESS}[port25]\nthrottle = {{ {text} }}\n");
    for (text, found) in [
        (
            "limit = 0, per = \"day\"",
            "22: `port25.throttle.limit` cannot be 0",
        ),
        (
            "limit = 1000001, per = \"day\"",
            "22: `port25.throttle.limit` cannot be 1000001",
        ),
        (
            "burst = -1, limit = 1, per = \"day\"",
            "22: `port25.throttle.burst` cannot be -1",
        ),
    ] {
        bad(
            &throttle(text),
            &format!("9:{found} | accepted values: 1 to 1000000"),
        );
    }
    bad(
        &throttle("limit = 5"),
        "9:12: `throttle` has no `per` | add a line such as `per = \"minute\"`",
    );
    bad(
        &throttle("per = \"day\""),
        "9:12: `throttle` has no `limit` | add a line such as `limit = 5`",
    );
    good(&throttle("limit = 1, per = \"day\", burst = 366"));
    bad(
        &throttle("limit = 1, per = \"day\", burst = 367"),
        "9:46: `port25.throttle` allows a burst of 367 again after 367 days only | write a smaller `burst`, or a larger \
         `limit`: at most 366 days can lie between two whole bursts",
    );
    // Nothing overflows.
    let found = problems(&throttle("limit = 1, per = \"day\", burst = 1000000"), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_limit_is_never_more_than_it_says() {
    for (limit, per, burst, expected) in [
        (1_000_000, Per::Second, 1, (1_000, 1_000)),
        (10, Per::Second, 20, (100_000_000, 2_000_000_000)),
        (7, Per::Minute, 2, (8_571_428_572, 17_142_857_144)),
        (
            1,
            Per::Day,
            366,
            (86_400_000_000_000, 31_622_400_000_000_000),
        ),
        (3600, Per::Hour, 1, (1_000_000_000, 1_000_000_000)),
    ] {
        let (interval_ns, burst_ns) = expected;
        let limit = Limit { limit, per, burst };
        let expected = abi::Limit {
            interval_ns,
            burst_ns,
        };
        assert_eq!(limit.to_abi(), expected, "{limit}");
    }
}

#[test]
fn answers_have_limits_by_default_and_others_if_you_like() {
    let a_second = |limit, burst| Limit {
        limit,
        per: Per::Second,
        burst,
    };
    let default = Answers {
        source: a_second(10, 20),
        total: a_second(10_000, 10_000),
    };
    assert_eq!(good(ACCESS).answers, default);
    let total = good(&format!(
        "{ACCESS}[answers]\ntotal = {{ limit = 3, per = \"second\" }}\n"
    ));
    assert_eq!(
        total.answers,
        Answers {
            total: a_second(3, 3),
            ..default
        }
    );
    let source = good(&format!(
        "{ACCESS}[answers]\nsource = {{ limit = 1, per = \"second\", burst = 4 }}\n"
    ));
    assert_eq!(
        source.answers,
        Answers {
            source: a_second(1, 4),
            ..default
        }
    );
    bad(
        &format!("{ACCESS}[answers]\nsource = {{ limit = 1, per = \"day\", rate = 1 }}\n"),
        "9:36: unknown key `rate` in `source` | accepted keys: burst, limit, per",
    );
}

#[test]
fn icmp_comes_from_the_address_of_a_host() {
    let from = |text: &str| format!("{ACCESS}[port25]\nanswer_from = {{ {text} }}\n");
    assert_eq!(good(ACCESS).port25.answer_from, AnswerFrom::default());
    let config = good(&from("v4 = \"192.0.2.1\", v6 = \"2001:db8::1\""));
    let expected = AnswerFrom {
        v4: Some("192.0.2.1".parse().unwrap()),
        v6: Some("2001:db8::1".parse().unwrap()),
    };
    assert_eq!(config.port25.answer_from, expected);
    assert_eq!(
        good(&from("v6 = \"2001:db8::1\"")).port25.answer_from,
        AnswerFrom {
            v4: None,
            ..expected
        }
    );
    for address in [
        "2001:db8::1",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "127.0.0.1",
        "192.0.2.0/24",
    ] {
        bad(
            &from(&format!("v4 = \"{address}\"")),
            &format!(
                "9:22: `port25.answer_from.v4` cannot be \"{address}\": ICMP comes from the IPv4 address of one host | write \
                 an address of this router, for example `v4 = \"192.0.2.1\"`, or leave it out: ICMP then comes from the \
                 refused destination"
            ),
        );
    }
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "ff02::1", "::", "::1"] {
        let found = problems(&from(&format!("v6 = \"{address}\"")), &[]);
        assert!(
            found.len() == 1 && found[0].starts_with("9:22: `port25.answer_from.v6` cannot be "),
            "{found:?}"
        );
    }
}

#[test]
fn a_refused_client_hears_a_reset_unless_it_is_said_otherwise() {
    let answer = |port25: &str, pool: &str| {
        let config = good(&format!("{ACCESS}{pool}\n[port25]\n{port25}\n"));
        config.pools[0].treatment.answer
    };
    assert_eq!(answer("action = \"enforce\"", ""), Answer::Reset);
    assert_eq!(answer("answer = \"drop\"", ""), Answer::Drop);
    assert_eq!(
        answer("answer = \"drop\"", "answer = \"prohibited\""),
        Answer::Prohibited
    );
}

#[test]
fn shapes_have_a_policy_by_default_and_another_if_you_like() {
    let default: Vec<Shape> = Shape::ALL
        .iter()
        .copied()
        .filter(|shape| shape.policy() == ShapePolicy::Drop)
        .collect();
    assert_eq!(good(ACCESS).dropped_shapes, default);
    assert!(default.contains(&Shape::TinyFragment) && !default.contains(&Shape::UnreadPpp));
    let changed = good(&format!(
        "{ACCESS}[shapes]\ntiny_fragment = \"pass\"\nunread_ppp = \"drop\"\n"
    ));
    let mut expected = default;
    expected.retain(|shape| *shape != Shape::TinyFragment);
    expected.push(Shape::UnreadPpp);
    expected.sort_unstable();
    assert_eq!(changed.dropped_shapes, expected);
    bad(
        &format!("{ACCESS}[shapes]\ntiny_fragment = \"refuse\"\n"),
        "9:17: `shapes.tiny_fragment` cannot be \"refuse\" | accepted values: \"pass\", \"drop\"",
    );
    // What was read is no matter of shape.
    let found = problems(
        &format!("{ACCESS}[shapes]\ntcp = \"drop\"\ntiny_fragmant = \"drop\"\n"),
        &[],
    );
    assert!(
        found.len() == 2
            && found[0].starts_with("9:1: unknown key `tcp` in [shapes] | ")
            && found[1].starts_with(
                "10:1: unknown key `tiny_fragmant` in [shapes] | did you mean `tiny_fragment`?"
            ),
        "{found:?}"
    );
}
