//! `gate diff`: the addresses that it says will be treated otherwise are those that a reload treats otherwise, and no others.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Config, Diff, DiffGroup, DiffSection, Pool},
    lab::{HOME, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("diff::nothing_differs_from_itself", nothing),
        found.lab_trial("diff::an_exemption_is_counted_to_the_address", exemption),
        found.lab_trial("diff::another_action_is_all_of_the_pool", action),
        found.lab_trial("diff::classes_relays_and_servers", lists),
        found.lab_trial("diff::a_class_is_counted_by_country", countries),
        found.lab_trial("diff::what_is_left_out_is_counted", bounded),
        found.lab_trial("diff::mistakes_are_told", mistakes),
    ]
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn diff(bench: &Bench<'_>, config: &Config, more: &[&str]) -> Result<Diff> {
    let path = config.write(&bench.lab, "new.toml")?;
    bench.gate().diff(&path, more)
}

fn section<'d>(diff: &'d Diff, name: &str) -> Result<&'d DiffSection> {
    let section = diff.sections.iter().find(|it| it.name == name);
    section.with_context(|| format!("no section {name}: {diff:?}"))
}

/// The only group of a section, of this size: IPv4 addresses and /64s.
fn group<'d>(diff: &'d Diff, name: &str, size: (u64, u64)) -> Result<&'d DiffGroup> {
    let section = section(diff, name)?;
    let [group] = section.groups.as_slice() else {
        anyhow::bail!("one group in {name}: {diff:?}");
    };
    let sizes = [
        (section.v4_addresses, section.v6_64s),
        (group.v4_addresses, group.v6_64s),
    ];
    ensure!(sizes == [size; 2], "{name} should be {size:?}: {diff:?}");
    Ok(group)
}

fn is_same(diff: &Diff, name: &str) -> Result<()> {
    let section = section(diff, name)?;
    let size = (section.v4_addresses, section.v6_64s);
    ensure!(
        size == (0, 0) && section.groups.is_empty(),
        "{name} should be as before: {diff:?}"
    );
    Ok(())
}

fn nothing(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let diff = diff(bench, &config, &[])?;
    for name in ["subscribers", "classes", "relays", "servers"] {
        is_same(&diff, name)?;
    }
    ensure!(diff.settings.is_empty(), "{diff:?}");
    Ok(())
}

/// One subscriber and one /29, by a list file, out of a pool that goes on; then the reload does what was said.
fn exemption(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let list = bench.lab.scratch().join("exempt.txt");
    fs::write(
        &list,
        "100.64.0.2\n100.64.7.0/29\n2001:db8:100:2::/64\n2001:db8:100:7::1\n",
    )?;
    config.pools.push(Pool {
        name: "exempted",
        prefixes: Vec::new(),
        files: vec![list],
        policy: "exempt",
        action: None,
        until: None,
    });
    let diff = diff(bench, &config, &[])?;
    let exempted = group(&diff, "subscribers", (9, 2))?;
    ensure!(
        exempted.before.pool.as_deref() == Some("dynamic")
            && exempted.after.pool.as_deref() == Some("exempted")
            && exempted.after.words == "exempt"
            && exempted.prefixes
                == [
                    "100.64.0.2/32",
                    "100.64.7.0/29",
                    "2001:db8:100:2::/64",
                    "2001:db8:100:7::1/128"
                ],
        "{diff:?}"
    );
    is_same(&diff, "classes")?;
    // Nothing has changed yet; the reload changes it, and for the neighbour it does not.
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    config.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)
}

fn action(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    config.action = "observe";
    let diff = diff(bench, &config, &[])?;
    // All of 100.64.0.0/16 but the static address; of 2001:db8:100::/40, the /64 of the static address has others as well.
    let all = group(&diff, "subscribers", ((1 << 16) - 1, 1 << 24))?;
    ensure!(
        all.before.words == "restrict, enforce, answer drop"
            && all.after.words.starts_with("restrict, observe"),
        "{diff:?}"
    );
    Ok(())
}

fn lists(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    config.relays = vec!["192.0.2.0/30".to_owned()];
    config.servers.push("192.0.2.64/26".to_owned());
    config.scope = "all";
    config.tables = "[metrics]\npage = false\n";
    let own = config
        .classes
        .iter_mut()
        .find(|it| it.name == "own-service");
    let own = own.context("no class own-service")?;
    own.prefixes = vec!["203.0.113.0/25".to_owned(), "2001:db8:7100::/48".to_owned()];
    let diff = diff(bench, &config, &[])?;
    is_same(&diff, "subscribers")?;
    group(&diff, "relays", (4, 0))?;
    group(&diff, "servers", (64, 0))?;
    let half = group(&diff, "classes", (128, 0))?;
    ensure!(
        half.before.class.as_deref() == Some("own-service")
            && half.after.class.as_deref() == Some("domestic")
            && half.countries.is_empty()
            && half.prefixes == ["203.0.113.128/25"],
        "{diff:?}"
    );
    ensure!(diff.settings == ["port25.scope", "metrics"], "{diff:?}");
    Ok(())
}

/// One word of the class of all other countries: one group, and each country of the database in it, as often as the database has it.
fn countries(bench: &Bench<'_>) -> Result<()> {
    let real = &bench.tools.real;
    let mut config = bench.config()?;
    config.databases = vec![real.path().to_owned()];
    let _daemon = bench.run(&config)?;
    config.class_keys("foreign", "source_prefix = { v4 = 24, v6 = 48 }")?;
    let diff = diff(bench, &config, &[])?;
    let section = section(&diff, "classes")?;
    let [group] = section.groups.as_slice() else {
        anyhow::bail!("one group: {:?}", section.groups.len());
    };
    let sum: u64 = group.countries.iter().map(|it| it.v4_addresses).sum();
    ensure!(
        group.countries.len() > 100 && sum == group.v4_addresses,
        "{} countries, {sum} of {}",
        group.countries.len(),
        group.v4_addresses
    );
    let abroad = real.roamers()?;
    let high_spam = &bench.lab.roamers().high_spam.code;
    let mut codes = [&abroad.foreign.code, &abroad.high_spam.code].into_iter();
    let foreign = codes.find(|it| *it != high_spam);
    let foreign = foreign.context("two countries are one")?;
    let mut countries = group.countries.iter();
    let found = countries.find(|it| it.before.as_ref() == Some(foreign));
    let found = found.with_context(|| format!("no {foreign}: {group:?}"))?;
    let listed = real.v4_addresses(foreign)?;
    ensure!(
        found.after.as_ref() == Some(foreign) && found.v4_addresses == listed,
        "the database has {listed} addresses of {foreign}: {found:?}"
    );
    for absent in [HOME, high_spam] {
        let has = |it: &Option<String>| it.as_deref() == Some(absent);
        ensure!(
            !group
                .countries
                .iter()
                .any(|it| has(&it.before) || has(&it.after)),
            "{absent} is of another class"
        );
    }
    Ok(())
}

fn bounded(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let list = bench.lab.scratch().join("many.txt");
    let lines = (0..100).map(|number| format!("100.64.20.{}\n", 2 * number));
    fs::write(&list, lines.collect::<String>())?;
    config.pools.push(Pool {
        name: "many",
        prefixes: Vec::new(),
        files: vec![list],
        policy: "exempt",
        action: None,
        until: None,
    });
    for (more, listed) in [
        (&[][..], 10),
        (&["--prefixes", "3"], 3),
        (&["--prefixes", "0"], 0),
    ] {
        let diff = diff(bench, &config, more)?;
        let many = group(&diff, "subscribers", (100, 0))?;
        ensure!(
            many.prefixes.len() == listed && many.left_out == 100 - listed as u64,
            "{more:?}: {diff:?}"
        );
    }
    let path = bench.lab.scratch().join("new.toml");
    let told = bench.gate().text(&["diff", "--config", text(&path)?])?;
    for words in [
        "subscribers: 100 IPv4 addresses\n",
        "before  pool dynamic, restrict, enforce",
        "after   pool many, exempt",
        " and 90 more\n",
        "relays: as before",
    ] {
        ensure!(told.contains(words), "should say `{words}`: {told}");
    }
    Ok(())
}

fn mistakes(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let path = config.write(&bench.lab, "new.toml")?;
    let ask = |path: &Path, code, words: &str| {
        let output = bench.gate().output(&["diff", "--config", text(path)?])?;
        ensure!(
            output.code() == Some(code)
                && output.stderr.contains(words)
                && output.stdout.is_empty(),
            "should end with {code} and say `{words}`: {output:?}"
        );
        Ok(())
    };
    ask(&path, 1, "no gate is loaded here")?;
    let _daemon = bench.run(&config)?;
    ask(&bench.lab.scratch().join("none.toml"), 2, "none.toml")?;
    let wrong = bench.lab.scratch().join("wrong.toml");
    let text_of = fs::read_to_string(&path)?;
    fs::write(
        &wrong,
        text_of.replace("policy   = \"restrict\"", "policy   = \"restrain\""),
    )?;
    ask(&wrong, 2, "restrain")?;
    bench.in_force()
}
