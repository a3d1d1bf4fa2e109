//! A table that answers otherwise than its database is found out.

use super::*;

fn opened() -> Opened {
    verified(&flat_database(&[
        ("8.8.8.0/24", "US"),
        ("2001:200::/32", "JP"),
        ("2001:200:0:1::/65", "DE"),
    ]))
}

#[test]
fn one_wrong_answer_is_named() {
    let opened = opened();
    let table = &opened.countries().table;
    for (wrong, expected) in [
        ("8.8.7.255", "no country"),
        ("8.8.8.0", "US"),
        ("8.8.8.255", "US"),
        ("8.8.9.0", "no country"),
        ("255.255.255.255", "no country"),
        ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "no country"),
        ("2001:200::", "JP"),
        ("2001:200:0:1::", "DE"),
        ("2001:200:0:1:7fff:ffff:ffff:ffff", "DE"),
        ("2001:200:0:1:8000::", "JP"),
        ("2001:200:ffff:ffff:ffff:ffff:ffff:ffff", "JP"),
        // What the database is not asked about has no country.
        ("10.0.0.0", "no country"),
        ("::", "no country"),
        ("64:ff9b::ffff:ffff", "no country"),
        ("2002::", "no country"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "no country"),
    ] {
        let error = opened
            .verify(
                &|it| {
                    if it == addr(wrong) {
                        Country::from_code("QQ").unwrap()
                    } else {
                        table.country(it)
                    }
                },
                &|| false,
            )
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with(&format!(
                "has QQ for {wrong}, and the database has {expected}"
            )),
            "{text}"
        );
        assert_eq!(error.path, opened.countries().databases[0].path);
    }
}

#[test]
fn a_table_without_anything_is_found_out() {
    let error = opened().verify(&|_| Country::NONE, &|| false).unwrap_err();
    assert!(matches!(error.cause, Cause::Disagrees { .. }), "{error}");
}
