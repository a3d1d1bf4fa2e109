//! What `gate explain` says since when something holds, and what would change it, is so.

use std::{fs, net::IpAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{gate::Explanation, lab::Who};
use jiff::Timestamp;
use libtest_mimic::Trial;

use super::{Bench, Found, network, tries};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("explain::since_when_outlives_other_changes", since),
        found.lab_trial("explain::the_exemption_that_it_names_opens", exempted),
    ]
}

/// Since when what decided has been in force.
fn of(explained: &Explanation) -> Result<Timestamp> {
    let rule = explained.rule.as_ref().context("no rule")?;
    let since = rule.since.as_deref().context("not since when")?;
    Ok(since.parse()?)
}

fn since(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let explained = || -> Result<Vec<Explanation>> {
        let subscribers = tries(Who::Subscriber, Who::OtherMail, 25);
        let mut all: Vec<_> = subscribers.collect();
        all.extend(tries(Who::Foreign, Who::OwnMail, 587));
        all.iter().map(|it| it.explained(bench, &[])).collect()
    };
    let before = explained()?;
    let in_force = of(before.first().context("nothing was asked")?)?;
    // Such times are of whole seconds.
    while Timestamp::now().as_second() <= in_force.as_second() {
        thread::sleep(Duration::from_millis(20));
    }
    // The same lines, further down; and a pool that is new.
    config.title.push_str("\n# and two lines\n# more");
    let added = config.pools.get_mut(1).context("no second pool")?;
    for from in tries(Who::Unlisted, Who::OtherMail, 25) {
        let [address, _] = from.addresses(bench)?;
        added.prefixes.push(address.to_string());
    }
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {reload:?}");
    for (before, after) in before.iter().zip(explained()?) {
        let line = |it: &Explanation| it.rule.as_ref().and_then(|it| it.line);
        ensure!(
            of(before)? == of(&after)? && line(before) < line(&after),
            "{before:?}, then {after:?}"
        );
    }
    for new in tries(Who::Unlisted, Who::OtherMail, 25) {
        let new = new.explained(bench, &[])?;
        ensure!(
            of(&new)? > in_force,
            "since {in_force} at the latest: {new:?}"
        );
    }
    Ok(())
}

/// The command between the accents of the line that names it.
fn command(explained: &Explanation) -> Result<Vec<String>> {
    let mut lines = explained.would_change.iter();
    let line = lines.find_map(|it| it.strip_prefix("an exemption: `gate "));
    let command = line.and_then(|it| it.split('`').next());
    let command = command.with_context(|| format!("no command: {explained:?}"))?;
    Ok(command.split(' ').map(str::to_owned).collect())
}

fn exempted(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.tables = "[exemptions]\nfile = \"exemptions\"\n";
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "refused", "restricted")?;
        let command = command(&explained)?;
        let [from, _] = each.addresses(bench)?;
        let prefix = match from {
            IpAddr::V4(_) => from.to_string(),
            // A host has another address tomorrow (RFC 8981): it is exempted by what is counted as one source.
            IpAddr::V6(from) => format!("{}/64", network(from)),
        };
        ensure!(
            command
                .get(..3)
                .is_some_and(|it| it == ["exempt", "add", &prefix]),
            "{command:?}"
        );
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        bench.gate().text(&arguments)?;
        let now = each.holds(bench, &[], "passed", "exempt")?;
        ensure!(now.pool.as_deref() == Some("exemptions"), "{now:?}");
    }
    let file = fs::read_to_string(bench.lab.scratch().join("exemptions"))?;
    ensure!(file.matches("ticket=").count() == 2, "{file}");
    Ok(())
}
