//! Where a record has its country.

use super::*;

#[test]
fn every_schema_is_read_in_the_same_way() {
    let records = [
        (
            "1.0.0.0/8",
            json!({ "country": { "iso_code": "JP", "names": { "en": "Japan" } } }),
        ),
        (
            "2.0.0.0/8",
            json!({ "registered_country": { "iso_code": "KR" }, "continent": { "code": "AS" } }),
        ),
        (
            "3.0.0.0/8",
            json!({ "country": { "iso_code": "DE" }, "registered_country": { "iso_code": "FR" } }),
        ),
        ("4.0.0.0/8", flat("us")),
        (
            "5.0.0.0/8",
            json!({ "country": "New Zealand", "country_code": "NZ" }),
        ),
        (
            "6.0.0.0/8",
            json!({ "country": "BR", "country_name": "Brazil" }),
        ),
        // What is nested counts before what is flat, and `country_code` before `country`.
        (
            "7.0.0.0/8",
            json!({ "country": { "iso_code": "IT" }, "country_code": "ES" }),
        ),
        (
            "8.0.0.0/8",
            json!({ "country": "PT", "country_code": "GR" }),
        ),
        (
            "9.0.0.0/8",
            json!({ "country": "PL", "registered_country": { "iso_code": "CZ" } }),
        ),
        // Not where the address is, and not where it is registered.
        (
            "11.0.0.0/8",
            json!({ "represented_country": { "iso_code": "US" }, "continent": { "code": "EU" } }),
        ),
        ("2001:db8::/32", flat("XK")),
    ];
    let opened = verified(&database("Test-Country", &records));
    assert_codes(
        &opened,
        &[
            ("1.2.3.4", "JP"),
            ("2.2.3.4", "KR"),
            ("3.2.3.4", "DE"),
            ("4.2.3.4", "US"),
            ("5.2.3.4", "NZ"),
            ("6.2.3.4", "BR"),
            ("7.2.3.4", "IT"),
            ("8.2.3.4", "GR"),
            ("9.2.3.4", "CZ"),
            ("11.2.3.4", ""),
            ("12.2.3.4", ""),
        ],
    );
    let [database] = &opened.countries().databases[..] else {
        panic!("one database")
    };
    assert_eq!(
        (
            database.networks_v4,
            database.networks_v6,
            database.countries
        ),
        (9, 1, 10)
    );
}

#[test]
fn the_registered_country_can_come_first() {
    let file = database(
        "Test-Country",
        &[
            (
                "3.0.0.0/8",
                json!({ "country": { "iso_code": "DE" }, "registered_country": { "iso_code": "FR" } }),
            ),
            ("4.0.0.0/8", json!({ "country": { "iso_code": "DE" } })),
            ("5.0.0.0/8", flat("NZ")),
            ("2001:db8::/32", flat("XK")),
        ],
    );
    let geoip = Geoip {
        country: CountryField::RegisteredCountry,
        ..geoip(&[&file])
    };
    let opened = Opened::read(&geoip, &mut |_, _| {}, &|| false).unwrap();
    assert_codes(
        &opened,
        &[("3.0.0.1", "FR"), ("4.0.0.1", "DE"), ("5.0.0.1", "NZ")],
    );
    let table = &opened.countries().table;
    opened
        .verify(&|addr| table.country(addr), &|| false)
        .unwrap();
}

#[test]
fn what_is_no_code_is_no_country() {
    let records = [
        ("1.0.0.0/8", flat("-")),
        ("2.0.0.0/8", flat("")),
        ("3.0.0.0/8", flat("JPN")),
        ("4.0.0.0/8", json!({ "country_code": 81 })),
        ("5.0.0.0/8", json!({ "country_code": null })),
        ("6.0.0.0/8", json!({ "country": ["JP"] })),
        (
            "7.0.0.0/8",
            json!({ "country": { "iso_code": { "en": "JP" } } }),
        ),
        (
            "8.0.0.0/8",
            json!({ "country": { "names": { "en": "Japan" } } }),
        ),
        ("9.0.0.0/8", json!("JP")),
        ("11.0.0.0/8", json!(["JP"])),
        ("12.0.0.0/8", json!(true)),
        ("13.0.0.0/8", json!(1.5)),
        ("14.0.0.0/8", json!({})),
        // The next field is asked.
        (
            "15.0.0.0/8",
            json!({ "country": { "iso_code": "-" }, "registered_country": { "iso_code": "KR" } }),
        ),
        ("16.0.0.0/8", json!({ "country_code": "", "country": "JP" })),
        ("17.0.0.0/8", json!({ "country": 5, "country_code": "NZ" })),
        ("2001:db8::/32", flat("XK")),
    ];
    let opened = verified(&database("Test", &records));
    for first in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14] {
        assert_codes(&opened, &[(&format!("{first}.1.1.1"), "")]);
    }
    assert_codes(
        &opened,
        &[("15.1.1.1", "KR"), ("16.1.1.1", "JP"), ("17.1.1.1", "NZ")],
    );
    assert_eq!(opened.countries().databases[0].networks_v4, 3);
}

#[test]
fn codes_that_are_no_countries_are_codes() {
    let codes = ["EU", "AP", "XK", "A1", "A2", "O1", "ZZ", "T1", "99"];
    let networks: Vec<(String, &str)> = codes
        .iter()
        .zip(1..)
        .map(|(code, first)| (format!("{first}.0.0.0/8"), *code))
        .collect();
    let networks: Vec<_> = networks
        .iter()
        .map(|(net, code)| (net.as_str(), *code))
        .collect();
    let opened = verified(&flat_database(&networks));
    for (code, first) in codes.iter().zip(1..) {
        assert_codes(&opened, &[(&format!("{first}.1.1.1"), code)]);
    }
}

#[test]
fn attribution_comes_with_the_database_or_from_the_operator() {
    let networks = [("1.0.0.0/8", flat("JP")), ("2001:db8::/32", flat("JP"))];
    let file = database("DBIP-Country-Lite", &networks);
    let opened = open(&[&file]).unwrap();
    assert!(opened.countries().attribution[0].contains("DB-IP"));
    let other = database("Other", &networks);
    let geoip = Geoip {
        attribution: Some("Thank you".to_owned()),
        ..geoip(&[&other])
    };
    let opened = Opened::read(&geoip, &mut |_, _| {}, &|| false).unwrap();
    assert_eq!(opened.countries().attribution, ["Thank you"]);
}
