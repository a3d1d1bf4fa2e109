//! One file for both families, or one for each.

use super::*;

#[test]
fn a_family_that_no_file_has_is_missed() {
    let v4 = database("Test", &[("8.8.8.0/24", flat("US"))]);
    let v6 = database("Test", &[("2001:200::/32", flat("JP"))]);
    // What it says of addresses that it is not asked about does not count.
    let v6_and_local = database(
        "Test",
        &[("2001:200::/32", flat("JP")), ("10.0.0.0/8", flat("JP"))],
    );
    for (file, missing) in [(&v4, "IPv6"), (&v6, "IPv4"), (&v6_and_local, "IPv4")] {
        let error = open(&[file]).unwrap_err();
        assert!(
            matches!(error.cause, Cause::NoFamily { family } if family == missing),
            "{error}"
        );
        assert_eq!(error.path, file.path());
        assert!(error.hint().contains(missing), "{}", error.hint());
    }
    open(&[&v4, &v6_and_local]).unwrap();
}

#[test]
fn two_files_for_one_family_are_refused() {
    let v4 = database("Test", &[("8.8.8.0/24", flat("US"))]);
    let v6 = database("Test", &[("2001:200::/32", flat("JP"))]);
    let both = flat_database(&[]);
    for (files, clashing) in [
        (vec![&v4, &v4], "IPv4"),
        (vec![&v6, &both], "IPv6"),
        (vec![&both, &v4], "IPv4"),
        (vec![&v4, &v6, &v6], "IPv6"),
    ] {
        let error = open(&files).unwrap_err();
        assert!(
            matches!(&error.cause, Cause::SameFamily { family, .. } if *family == clashing),
            "{error}"
        );
        assert_eq!(error.path, files.last().unwrap().path());
    }
}
