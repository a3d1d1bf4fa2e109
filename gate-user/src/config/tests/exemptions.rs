//! `[exemptions]`: the pool of its own.

use gate_common::Policy;

use super::{ACCESS, good, problems, read, warnings};
use crate::config::exemptions::POOL;

const FILE: &str = "[exemptions]\nfile = \"exempt.txt\"\n";

#[test]
fn its_prefixes_are_the_last_pool_and_may_be_in_another_one() {
    let text = format!("{ACCESS}{FILE}");
    let lines = "100.64.0.0/10 until=2020-01-01T00:00:00Z ticket=a\n100.64.0.1\n";
    let config = read(&text, &[("exempt.txt", lines)]).unwrap();
    let [dynamic, exempt] = config.pools.as_slice() else {
        panic!("{:?}", config.pools)
    };
    assert_eq!((dynamic.name.as_str(), exempt.name.as_str()), ("dyn", POOL));
    assert_eq!(exempt.treatment.policy, Policy::Exempt);
    assert_eq!(exempt.prefixes.len(), 2);
    assert_eq!(exempt.prefixes[0].ticket.as_deref(), Some("a"));
    assert_eq!(
        config.exemptions.as_deref(),
        Some(std::path::Path::new("/etc/gate/exempt.txt"))
    );
    // They end every day: that is no news.
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_file_that_is_missing_has_no_exemption() {
    let config = good(&format!("{ACCESS}{FILE}"));
    assert_eq!(config.pools[1].prefixes, []);
    assert_eq!(config.list_files.len(), 1);
    assert_eq!(config.list_files[0].prefixes, 0);
    assert_eq!(good(ACCESS).exemptions, None);
}

#[test]
fn its_name_and_its_file_are_nobody_elses() {
    let text = format!("{}{FILE}", ACCESS.replace("\"dyn\"", "\"exemptions\""));
    assert_eq!(
        problems(&text, &[]),
        [
            "5:8: no pool can be called `exemptions`: that is the pool of `[exemptions]` | give the pool another name"
        ]
    );
    let text = format!("{ACCESS}files = [\"exempt.txt\"]\n{FILE}");
    let found = problems(&text, &[("exempt.txt", "192.0.2.1\n")]);
    assert!(
        found.len() == 1 && found[0].contains("is a list file of something else as well"),
        "{found:?}"
    );
}

#[test]
fn what_is_wrong_in_it_is_told() {
    let text = format!("{ACCESS}{FILE}");
    let lines = "192.0.2.1 ticket=a\nnonsense\n";
    let found = problems(&text, &[("exempt.txt", lines)]);
    assert!(
        found.len() == 1 && found[0].starts_with("exempt.txt:2:1: "),
        "{found:?}"
    );
    let lines = "192.0.2.1\n192.0.2.1 until=2027-01-01T00:00:00Z\n";
    let found = problems(&text, &[("exempt.txt", lines)]);
    assert!(
        found.len() == 1 && found[0].contains("is in the pool `exemptions` twice"),
        "{found:?}"
    );
    let found = warnings(&text, &[("exempt.txt", "192.0.2.1\n192.0.2.1\n")]);
    assert_eq!(found.len(), 1, "{found:?}");
}
