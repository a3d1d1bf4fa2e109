//! Where metrics are told.

use super::{ACCESS, good, problems};

fn listen(lines: &str) -> Vec<String> {
    let config = good(&format!("{ACCESS}[metrics]\n{lines}\n"));
    config
        .metrics
        .listen
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn loopback_hears_of_metrics_unless_something_else_is_said() {
    let metrics = good(ACCESS).metrics;
    assert_eq!(metrics.listen, ["127.0.0.1:25587".parse().unwrap()]);
    assert_eq!(metrics.sources, 0);
    assert_eq!(listen("sources = 5"), ["127.0.0.1:25587"]);
    assert!(listen("listen = []").is_empty());
    let two = r#"listen = ["192.0.2.1:9", "[2001:db8::1]:65535"]"#;
    assert_eq!(listen(two), ["192.0.2.1:9", "[2001:db8::1]:65535"]);
    let apart = r#"listen = ["0.0.0.0:9", "[::1]:9", "[::]:10"]"#;
    assert_eq!(listen(apart).len(), 3);
    let most = good(&format!("{ACCESS}[metrics]\nsources = 100\n")).metrics;
    assert_eq!(most.sources, 100);
}

#[test]
fn addresses_have_a_port_and_come_once() {
    for (line, words) in [
        (
            r#"listen = ["127.0.0.1"]"#,
            "`127.0.0.1` is no address with a port",
        ),
        (
            r#"listen = ["127.0.0.1:0"]"#,
            "`127.0.0.1:0` is no address with a port",
        ),
        (r#"listen = ["::1:25587x"]"#, "is no address with a port"),
        (
            r#"listen = ["localhost:25587"]"#,
            "is no address with a port",
        ),
        (r#"listen = "127.0.0.1:25587""#, "must be an array"),
        ("listen = [25587]", "must be a list of strings"),
        (r#"listen = ["[::1]:9", "[0::1]:9"]"#, "has [::1]:9 twice"),
        (
            r#"listen = ["0.0.0.0:9", "192.0.2.1:9"]"#,
            "has 0.0.0.0:9 and 192.0.2.1:9, of which one",
        ),
        (
            r#"listen = ["[::1]:9", "[::]:9"]"#,
            "has [::1]:9 and [::]:9, of which one",
        ),
        (
            r#"listen = ["[::]:9", "0.0.0.0:9"]"#,
            "has [::]:9 and 0.0.0.0:9, of which one",
        ),
        (
            r#"listen = ["[::ffff:192.0.2.1]:9", "0.0.0.0:9"]"#,
            "of which one",
        ),
        ("sources = 101", "cannot be 101"),
        ("sources = -1", "cannot be -1"),
        ("sources = true", "must be a whole number"),
    ] {
        let found = problems(&format!("{ACCESS}[metrics]\n{line}\n"), &[]);
        assert!(
            matches!(&found[..], [one] if one.contains(words)),
            "{line}: {found:?}"
        );
    }
    let many: Vec<String> = (1..=17)
        .map(|port| format!("\"127.0.0.1:{port}\""))
        .collect();
    let found = problems(
        &format!("{ACCESS}[metrics]\nlisten = [{}]\n", many.join(", ")),
        &[],
    );
    assert!(found[0].contains("17 addresses, more than 16"), "{found:?}");
}
