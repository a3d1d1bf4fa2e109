//! `gate exempt`: one customer's port 25, open within a moment and until its end, whatever becomes of daemon, database and configuration.

mod meets;

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use gate_common::abi::{ABI_VERSION, List};
use gate_tests::{
    exec::Output,
    gate::{Config, Daemon},
    interrupt,
    lab::Who,
};
use gate_user::kernel;
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    bench::{Bench, Found},
    disk::Disk,
};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("exempt::opens_and_closes", opens_and_closes),
        found.lab_trial("exempt::no_database_is_read", no_database),
        found.lab_trial("exempt::ends_without_a_daemon", ends),
        found.lab_trial("exempt::needs_no_daemon", alone),
        found.lab_trial("exempt::the_last_one_goes_when_somebody_says_so", last),
        found.lab_trial("exempt::takes_no_other_exemption_along", others),
        found.lab_trial("exempt::wins_over_the_same_prefix_of_a_pool", same_prefix),
        found.lab_trial("exempt::of_two_at_once_none_is_lost", at_once),
        found.lab_trial("exempt::what_is_wrong_changes_nothing", wrong),
        found.lab_trial("exempt::on_a_full_disk_the_file_stays_whole", full),
    ]
    .into_iter()
    .chain(meets::trials(found))
    .collect()
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);
const SUBSCRIBER: [&str; 2] = ["100.64.0.2", "2001:db8:100:2::2"];

fn config(bench: &Bench<'_>) -> Result<Config> {
    let mut config = bench.config()?;
    config.tables = "[exemptions]\nfile = \"exemptions\"\n";
    Ok(config)
}

fn run(bench: &Bench<'_>) -> Result<Daemon> {
    let daemon = bench.run(&config(bench)?)?;
    bench.in_force()?;
    Ok(daemon)
}

fn file(bench: &Bench<'_>) -> PathBuf {
    bench.lab.scratch().join("exemptions")
}

fn exempt(bench: &Bench<'_>, arguments: &[&str]) -> Result<Output> {
    bench
        .gate()
        .output(&[&["--format", "json", "exempt"], arguments].concat())
}

/// What `gate exempt` says, which has to end with this code.
fn says(bench: &Bench<'_>, arguments: &[&str], code: i32) -> Result<Value> {
    let output = exempt(bench, arguments)?;
    ensure!(output.code() == Some(code), "{arguments:?}: {output:?}");
    serde_json::from_str(&output.stdout).with_context(|| format!("no JSON: {output:?}"))
}

/// Waits until this time is over in the kernel too: deadlines are kept by a clock that nothing sets right, which since they were set may have gone some milliseconds
/// astray from the one that is.
fn over(until: Timestamp) -> Result<()> {
    let past = until + SignedDuration::from_secs(1);
    let over = interrupt::wait_until(LIMIT, || Timestamp::now() > past)?;
    ensure!(over, "time stands still");
    Ok(())
}

/// What is at this place of it; null if nothing is.
fn at<'v>(said: &'v Value, pointer: &str) -> &'v Value {
    said.pointer(pointer).unwrap_or(&Value::Null)
}

/// Both addresses of the subscriber are exempt.
fn add(bench: &Bench<'_>, more: &[&str]) -> Result<()> {
    for address in SUBSCRIBER {
        says(bench, &[&["add", address], more].concat(), 0)?;
    }
    Ok(())
}

fn delete(bench: &Bench<'_>) -> Result<()> {
    for address in SUBSCRIBER {
        says(bench, &["del", address], 0)?;
    }
    Ok(())
}

fn open(bench: &Bench<'_>) -> Result<()> {
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn refused(bench: &Bench<'_>) -> Result<()> {
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}

/// It fails with this code and these words, and leaves the file as it is.
fn fails(bench: &Bench<'_>, arguments: &[&str], code: i32, words: &str) -> Result<()> {
    let before = fs::read(file(bench)).ok();
    let output = exempt(bench, arguments)?;
    ensure!(
        output.code() == Some(code) && output.stderr.contains(words),
        "should say `{words}` and end with {code}: {output:?}"
    );
    ensure!(fs::read(file(bench)).ok() == before, "another file");
    Ok(())
}

fn generation(bench: &Bench<'_>) -> Result<u64> {
    let status = bench.gate().status()?.1;
    Ok(status.generation.context("no generation")?.number)
}

/// The maps of a list of the generation in force.
fn maps(bench: &Bench<'_>, list: List) -> Result<[u32; 2]> {
    let version = bench.lab.pins().join(format!("v{ABI_VERSION}"));
    let number = generation(bench)?.to_string();
    let directory = version.join("generations").join(number);
    Ok(kernel::list_ids(&directory, list)?)
}

/// The state of each exemption, by prefix.
fn states(listing: &Value) -> Vec<(&str, &str)> {
    let items = at(listing, "/exemptions").as_array();
    items
        .into_iter()
        .flatten()
        .filter_map(|it| Some((at(it, "/prefix").as_str()?, at(it, "/state").as_str()?)))
        .collect()
}

fn opens_and_closes(bench: &Bench<'_>) -> Result<()> {
    let _daemon = run(bench)?;
    let explained = bench.gate().explain(&EXPLAIN)?;
    ensure!(
        explained
            .would_change
            .iter()
            .any(|it| it.contains("gate exempt add 100.64.0.2 --until 30d --ticket TEXT")),
        "{explained:?}"
    );
    let until = "2099-01-01T00:00:00Z";
    let added = says(
        bench,
        &["add", SUBSCRIBER[0], "--until", until, "--ticket", "NOC-1"],
        0,
    )?;
    ensure!(
        at(&added, "/treated_before/pool") == "dynamic"
            && at(&added, "/treated_before/policy") == "restrict"
            && at(&added, "/treated_now/pool") == "exemptions"
            && at(&added, "/now/until") == until
            && at(&added, "/before").is_null()
            && at(&added, "/generation") == generation(bench)?,
        "{added}"
    );
    says(bench, &["add", SUBSCRIBER[1]], 0)?;
    open(bench)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    let explained = bench.gate().explain(&EXPLAIN)?;
    let rule = explained.rule.context("no rule")?;
    ensure!(
        explained.pool.as_deref() == Some("exemptions")
            && rule.file == Some(file(bench))
            && rule.line == Some(1)
            && rule.ticket.as_deref() == Some("NOC-1")
            && explained.would_change.iter().any(|it| it.contains(until)),
        "{rule:?}, {:?}",
        explained.would_change
    );
    let replaced = says(bench, &["add", SUBSCRIBER[0], "--ticket", "NOC-2"], 0)?;
    ensure!(
        at(&replaced, "/before/ticket") == "NOC-1" && at(&replaced, "/now/until").is_null(),
        "{replaced}"
    );
    let listing = says(bench, &["list"], 0)?;
    ensure!(
        states(&listing)
            == [
                ("100.64.0.2/32", "in_force"),
                ("2001:db8:100:2::2/128", "in_force")
            ],
        "{listing}"
    );
    delete(bench)?;
    refused(bench)?;
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(0), "{status:?}");
    Ok(())
}

/// A connection of the subscriber to port 25.
const EXPLAIN: [&str; 8] = [
    "--from",
    "100.64.0.2",
    "--to",
    "198.51.100.25",
    "--port",
    "25",
    "--in",
    "acc-home",
];

/// The database is garbage by then, and the tables of countries stay the same maps.
fn no_database(bench: &Bench<'_>) -> Result<()> {
    let mut config = config(bench)?;
    let path = bench.lab.scratch().join("own.mmdb");
    fs::copy(bench.tools.small.path(), &path)?;
    config.databases = vec![path.clone()];
    let _daemon = bench.run(&config)?;
    let before = [List::Countries, List::Access].map(|list| maps(bench, list));
    fs::write(&path, "no database any more")?;
    add(bench, &[])?;
    open(bench)?;
    let after = [List::Countries, List::Access].map(|list| maps(bench, list));
    let [[Ok(countries), Ok(access)], [Ok(same), Ok(other)]] = [before, after] else {
        anyhow::bail!("no maps");
    };
    ensure!(countries == same, "other tables of countries");
    // The control: this one was made anew.
    ensure!(access != other, "the same table of access");
    bench.tagged(Who::Foreign, "foreign")?;
    delete(bench)?;
    refused(bench)
}

fn ends(bench: &Bench<'_>) -> Result<()> {
    let daemon = run(bench)?;
    let until = Timestamp::now() + SignedDuration::from_secs(20);
    add(bench, &["--until", &until.to_string()])?;
    open(bench)?;
    daemon.kill()?;
    over(until)?;
    refused(bench)?;
    let listing = says(bench, &["list"], 0)?;
    ensure!(
        states(&listing)
            .iter()
            .all(|(_, state)| *state == "expired"),
        "{listing}"
    );
    Ok(())
}

fn alone(bench: &Bench<'_>) -> Result<()> {
    run(bench)?.kill()?;
    let attached = bench.lab.attached()?.len();
    add(bench, &[])?;
    open(bench)?;
    delete(bench)?;
    refused(bench)?;
    ensure!(bench.lab.attached()?.len() == attached, "other links");
    Ok(())
}

/// The last one may go by `gate exempt del`; a file that somebody emptied is refused as every list is.
fn last(bench: &Bench<'_>) -> Result<()> {
    let daemon = run(bench)?;
    says(bench, &["add", SUBSCRIBER[0]], 0)?;
    fs::write(file(bench), "# nobody\n")?;
    let words = "no prefix is left of 1";
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "an empty file is taken: {}", daemon.said());
    let listing = says(bench, &["list"], 3)?;
    ensure!(
        states(&listing) == [("100.64.0.2/32", "not_in_file")],
        "{listing}"
    );
    says(bench, &["add", SUBSCRIBER[0]], 0)?;
    let well = interrupt::wait_until(LIMIT, || {
        bench.gate().status().is_ok_and(|(code, _)| code == Some(0))
    })?;
    ensure!(well, "what was refused is held against it for ever");
    says(bench, &["del", SUBSCRIBER[0]], 0)?;
    ensure!(
        fs::read_to_string(file(bench))? == "# nobody\n",
        "comments go"
    );
    refused(bench)?;
    // As after a crash between the two: its line is gone, and it is in force.
    says(bench, &["add", SUBSCRIBER[0]], 0)?;
    daemon.kill()?;
    fs::write(file(bench), "# nobody\n")?;
    let deleted = says(bench, &["del", SUBSCRIBER[0]], 0)?;
    ensure!(
        at(&deleted, "/treated_before/policy") == "exempt"
            && at(&deleted, "/treated_now/policy") == "restrict",
        "{deleted}"
    );
    refused(bench)?;
    fails(bench, &["del", SUBSCRIBER[0]], 1, "no exemption of")
}

/// Somebody deleted a line that is in force, which nobody asked `gate exempt` for.
fn others(bench: &Bench<'_>) -> Result<()> {
    let daemon = run(bench)?;
    add(bench, &[])?;
    daemon.kill()?;
    fs::write(file(bench), "100.64.0.2\n")?;
    fails(
        bench,
        &["add", "100.64.0.3"],
        2,
        "nobody asked to delete: 2001:db8:100:2::2/128",
    )?;
    fs::write(file(bench), "100.64.0.2\nnonsense\n")?;
    fails(bench, &["add", "100.64.0.3"], 2, "exemptions:2:1")?;
    open(bench)
}

/// The exemption wins, and when it is over, the pool has the prefix again.
fn same_prefix(bench: &Bench<'_>) -> Result<()> {
    let mut config = config(bench)?;
    for pool in config.pools.iter_mut().filter(|it| it.name == "dynamic") {
        pool.prefixes.push("100.64.0.2/32".to_owned());
        pool.prefixes.push("2001:db8:100:2::2/128".to_owned());
    }
    let _daemon = bench.run(&config)?;
    refused(bench)?;
    let until = Timestamp::now() + SignedDuration::from_secs(20);
    add(bench, &["--until", &until.to_string()])?;
    open(bench)?;
    // The longer prefix in it is exempt as well, for now.
    let added = says(bench, &["add", "100.64.0.0/24"], 0)?;
    ensure!(
        at(&added, "/warnings")
            .as_array()
            .is_some_and(Vec::is_empty),
        "the exemption of the same prefix hides it: {added}"
    );
    over(until)?;
    refused(bench)?;
    delete(bench)?;
    // Now it stays what it is, and the operator is told.
    let added = says(bench, &["add", "100.64.0.0/24"], 0)?;
    ensure!(
        at(&added, "/warnings/0")
            .as_str()
            .is_some_and(|it| it.contains("stay restricted: 100.64.0.2/32")),
        "{added}"
    );
    // The full path agrees with the short one.
    "another text".clone_into(&mut config.title);
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(0)
            && reload
                .change
                .as_ref()
                .is_some_and(|it| it.list_files.is_empty()),
        "{reload:?}"
    );
    refused(bench)
}

/// Two processes change the file at the same moment: both changes are in it and in force when both have ended.
fn at_once(bench: &Bench<'_>) -> Result<()> {
    let _daemon = run(bench)?;
    for _ in 0..5 {
        both(bench, "add")?;
        let listing = says(bench, &["list"], 0)?;
        let mut listed = states(&listing);
        listed.sort_unstable();
        ensure!(
            listed
                == [
                    ("100.64.0.2/32", "in_force"),
                    ("2001:db8:100:2::2/128", "in_force")
                ],
            "{listing}"
        );
        open(bench)?;
        both(bench, "del")?;
        refused(bench)?;
        ensure!(fs::read(file(bench))?.is_empty(), "lines are left");
    }
    Ok(())
}

/// One change of each address of the subscriber, side by side.
fn both(bench: &Bench<'_>, change: &str) -> Result<()> {
    thread::scope(|scope| {
        let begun =
            SUBSCRIBER.map(|address| scope.spawn(move || says(bench, &[change, address], 0)));
        for it in begun {
            it.join().map_err(|_| anyhow!("a change panicked"))??;
        }
        Ok(())
    })
}

fn wrong(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    fails(
        bench,
        &["add", "100.64.0.2"],
        2,
        "names no file of exemptions",
    )?;
    daemon.kill()?;
    let _daemon = run(bench)?;
    says(bench, &["add", "100.64.0.2"], 0)?;
    let before = generation(bench)?;
    for (arguments, code, words) in [
        (&["add", "100.64.0.2/24"][..], 2, "100.64.0.0/24"),
        (
            &["add", "100.64.0.2", "--until", "2020-01-01T00:00:00Z"],
            2,
            "has passed",
        ),
        (&["add", "100.64.0.2", "--until", "tomorrow"], 2, "30d"),
        (
            &["add", "100.64.0.2", "--ticket", "a \"b\""],
            2,
            "double quote",
        ),
        (&["del", "100.64.0.0/24"], 1, "near it are 100.64.0.2/32"),
        (&["del", "192.0.2.1"], 1, "no exemption of 192.0.2.1/32"),
    ] {
        fails(bench, arguments, code, words)?;
    }
    ensure!(generation(bench)? == before, "another generation");
    Ok(())
}

/// The file is on a disk without room: neither a new line nor one less is written, and the gate goes on by those that are there.
fn full(bench: &Bench<'_>) -> Result<()> {
    let disk = Disk::new(bench.lab.scratch())?;
    let file = disk.path().join("exemptions");
    fs::write(&file, "# customers\n")?;
    let mut config = bench.config()?;
    config.tables = "[exemptions]\nfile = \"disk/exemptions\"\n";
    let daemon = bench.run(&config)?;
    add(bench, &["--ticket", "NOC-1"])?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let before = fs::read(&file)?;
    let names = disk.names()?;
    disk.fill()?;
    for arguments in [["add", "100.64.0.3"], ["del", SUBSCRIBER[0]]] {
        let refused = exempt(bench, &arguments)?;
        ensure!(
            refused.code() == Some(1)
                && refused.stderr.contains("No space left")
                && refused.stderr.contains("hint:"),
            "{arguments:?}: {refused:?}"
        );
        ensure!(fs::read(&file)? == before, "it is another file");
    }
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    disk.empty()?;
    ensure!(disk.names()? == names, "left behind: {:?}", disk.names()?);
    delete(bench)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    daemon.terminate()?;
    bench.gate().detach().map(drop)
}
