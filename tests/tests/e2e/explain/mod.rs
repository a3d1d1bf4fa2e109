//! `gate explain`: what it says of a connection is what then happens to it, and asking changes nothing.

mod advice;
mod refused_to_answer;
mod unchanged;

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Config, Daemon, Explanation, Limit, Pool},
    lab::{Encapsulation, Family, Who},
};
use jiff::{Timestamp, ToSpan as _};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.lab_trial("explain::a_refusal_by_a_pool", refused_by_pool),
        found.lab_trial(
            "explain::an_exemption_by_a_line_with_ticket_and_end",
            exempt,
        ),
        found.lab_trial("explain::a_relay", relay),
        found.lab_trial("explain::an_unlisted_source", unlisted),
        found.lab_trial("explain::a_class_by_prefix_by_country_and_by_none", classes),
        found.lab_trial("explain::a_class_over_its_limit", over_limit),
        found.lab_trial("explain::a_class_that_begins_later", class_begins_later),
        found.lab_trial("explain::a_throttled_pool", throttled),
        found.lab_trial(
            "explain::unlisted_sources_that_are_throttled",
            unlisted_throttled,
        ),
        found.lab_trial("explain::a_pool_that_is_observed", observed),
        found.lab_trial("explain::a_pool_that_begins_later", begins_later),
        found.lab_trial("explain::roles_of_vlans", vlans),
        found.lab_trial("explain::what_is_never_judged", unjudged),
        found.lab_trial("explain::the_text_is_for_people", text),
    ];
    trials.extend(advice::trials(found));
    trials.extend(unchanged::trials(found));
    trials.extend(refused_to_answer::trials(found));
    trials
}

/// A connection in the lab.
#[derive(Clone, Copy)]
struct Try {
    from: Who,
    to: Who,
    family: Family,
    port: u16,
}

impl Try {
    fn addresses(self, bench: &Bench<'_>) -> Result<[IpAddr; 2]> {
        let Self {
            from, to, family, ..
        } = self;
        Ok([
            bench.lab.address(from, family)?,
            bench.lab.address(to, family)?,
        ])
    }

    /// What the gate says of it.
    fn explained(self, bench: &Bench<'_>, more: &[&str]) -> Result<Explanation> {
        let [from, to] = self.addresses(bench)?.map(|it| it.to_string());
        let port = self.port.to_string();
        let arguments = [
            "--from",
            &from,
            "--to",
            &to,
            "--port",
            &port,
            "--in",
            self.from.interface(),
        ];
        bench.gate().explain(&[&arguments, more].concat())
    }

    /// What the gate says of it is what happens to it, by the client's end and by the counters.
    fn holds(
        self,
        bench: &Bench<'_>,
        more: &[&str],
        verdict: &str,
        reason: &str,
    ) -> Result<Explanation> {
        let Self {
            from,
            to,
            family,
            port,
        } = self;
        let explained = self.explained(bench, more)?;
        let words = (explained.verdict.as_deref(), explained.reason.as_deref());
        ensure!(
            words == (Some(verdict), Some(reason)),
            "{from} to {to}, {family}, port {port}: {explained:?}"
        );
        let before = bench.gate().counters()?.judged(verdict, reason);
        let seen = bench.lab.connect(from, to, family, port)?;
        let counted = bench.gate().counters()?.judged(verdict, reason) - before;
        ensure!(
            seen.local().is_some() == (verdict != "refused") && counted == 1,
            "{from} to {to}, {family}, port {port}: {seen}, counted {counted} times as explained: {explained:?}"
        );
        Ok(explained)
    }
}

/// Both families.
fn tries(from: Who, to: Who, port: u16) -> impl Iterator<Item = Try> {
    Family::ALL.iter().map(move |family| Try {
        from,
        to,
        family: *family,
        port,
    })
}

fn says(explained: &Explanation, words: &str) -> Result<()> {
    let changes = explained.would_change.join("\n");
    ensure!(
        explained.why.contains(words) || changes.contains(words),
        "should say `{words}`: {explained:?}"
    );
    Ok(())
}

/// Runs the configuration with more lines under `[port25]`.
fn run_with(bench: &Bench<'_>, config: &Config, lines: &str) -> Result<Daemon> {
    let path = config.write(&bench.lab, "gate.toml")?;
    let text = fs::read_to_string(&path)?;
    fs::write(
        &path,
        text.replace("[port25]\n", &format!("[port25]\n{lines}\n")),
    )?;
    bench.gate().run(&path)
}

fn refused_by_pool(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.answer = gate_tests::gate::Answer::Reset;
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "refused", "restricted")?;
        let rule = explained.rule.as_ref().context("no rule")?;
        let prefix = match each.family {
            Family::V4 => "100.64.0.0/16",
            Family::V6 => "2001:db8:100::/40",
        };
        ensure!(
            rule.prefix.as_deref() == Some(prefix)
                && rule.name.as_deref() == Some("dynamic")
                && rule.file.as_deref() == Some(&*bench.lab.scratch().join("gate.toml"))
                && rule.line.is_some()
                && rule.since.is_some(),
            "{explained:?}"
        );
        ensure!(
            (explained.interface.as_str(), explained.generation) == ("acc-home", 1)
                && explained
                    .heard
                    .as_ref()
                    .is_some_and(|it| it.contains("TCP reset")),
            "{explained:?}"
        );
        says(&explained, "the pool dynamic, which is restricted")?;
        says(&explained, "an exemption: name")?;
        says(&explained, "submission (port 587 or 465)")?;
        // The connection took one answer, asking takes none.
        let again = each.explained(bench, &[])?;
        let left = |it: &Explanation| {
            let answers = it.limits.iter().find(|it| it.limit == "answer");
            answers.map(|it| it.left)
        };
        ensure!(left(&explained) == Some(20), "{explained:?}");
        ensure!(left(&again).is_some_and(|left| left >= 19), "{again:?}");
    }
    Ok(())
}

fn exempt(bench: &Bench<'_>) -> Result<()> {
    let list = bench.lab.scratch().join("exempt.txt");
    fs::write(
        &list,
        "100.64.0.2 ticket=NOC-4711 until=2999-01-01T00:00:00Z\n2001:db8:100:2::/64 ticket=NOC-4711 until=2999-01-01T00:00:00Z\n",
    )?;
    let mut config = bench.config()?;
    config.pools.push(Pool {
        name: "for-now",
        prefixes: Vec::new(),
        files: vec![list.clone()],
        policy: "exempt",
        action: None,
        until: Some("2100-01-01T00:00:00Z".to_owned()),
    });
    let _daemon = bench.run(&config)?;
    for (line, each) in (1..).zip(tries(Who::Subscriber, Who::OtherMail, 25)) {
        let explained = each.holds(bench, &[], "passed", "exempt")?;
        let rule = explained.rule.as_ref().context("no rule")?;
        ensure!(
            (rule.file.as_ref(), rule.line, rule.ticket.as_deref())
                == (Some(&list), Some(line), Some("NOC-4711")),
            "{explained:?}"
        );
        // What comes afterwards is what the pool around it says.
        says(
            &explained,
            "time: from 2100-01-01T00:00:00Z on, refused, pool dynamic by",
        )?;
    }
    Ok(())
}

fn relay(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.relays = vec!["192.0.2.25".to_owned(), "2001:db8:25::25".to_owned()];
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Subscriber, Who::OwnMail, 25) {
        let explained = each.holds(bench, &[], "passed", "relay")?;
        let rule = explained.rule.as_ref().context("no rule")?;
        ensure!(rule.kind == "relay" && rule.line.is_some(), "{explained:?}");
        says(
            &explained,
            "another destination, which is no relay: refused, pool dynamic by",
        )?;
    }
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "refused", "restricted")?;
        says(
            &explained,
            "port 25 of a relay (192.0.2.25/32, 2001:db8:25::25/128)",
        )?;
    }
    Ok(())
}

fn unlisted(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    for each in tries(Who::Unlisted, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "passed", "unlisted")?;
        ensure!(explained.pool.is_none(), "{explained:?}");
        line_is(bench, &explained, "unlisted", "unlisted = \"pass\"")?;
        says(&explained, "port25.unlisted = \"pass\"")?;
    }
    drop(daemon);
    config.unlisted = "refuse";
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Unlisted, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "refused", "unlisted")?;
        line_is(bench, &explained, "unlisted", "unlisted = \"refuse\"")?;
        says(&explained, "port25.unlisted = \"refuse\"")?;
    }
    Ok(())
}

fn classes(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    for (who, class, reason, kind, line) in [
        (
            Who::ThirdNetwork,
            "own-service",
            "class_prefix",
            "class",
            "prefixes = [\"203.0.113.0/24\"",
        ),
        (
            Who::Foreign,
            "foreign",
            "class_country",
            "country",
            "default = true",
        ),
        (
            Who::Domestic,
            "domestic",
            "class_country",
            "country",
            "countries = [",
        ),
        (
            Who::OtherMail,
            "domestic",
            "class_unknown",
            "unknown",
            "unknown",
        ),
    ] {
        for each in tries(who, Who::OwnMail, 587) {
            let explained = each.holds(bench, &[], "tagged", reason)?;
            let [address, _] = each.addresses(bench)?;
            let country = bench.tools.small.country(address)?;
            ensure!(
                explained.class.as_deref() == Some(class) && explained.country == country,
                "{explained:?}"
            );
            line_is(bench, &explained, kind, line)?;
        }
    }
    Ok(())
}

/// What decided is a line of the configuration that begins so.
fn line_is(bench: &Bench<'_>, explained: &Explanation, kind: &str, begins: &str) -> Result<()> {
    let rule = explained.rule.as_ref().context("no rule")?;
    let path = bench.lab.scratch().join("gate.toml");
    let text = fs::read_to_string(&path)?;
    let number = rule.line.context("no line")?.checked_sub(1);
    let line = number.and_then(|it| text.lines().nth(it.try_into().ok()?));
    ensure!(
        rule.kind == kind
            && rule.file.as_ref() == Some(&path)
            && line.is_some_and(|line| line.starts_with(begins))
            && rule.since.is_some(),
        "not a {kind} by `{begins}`, but by {line:?}: {explained:?}"
    );
    Ok(())
}

fn over_limit(bench: &Bench<'_>) -> Result<()> {
    const BURST: u64 = 3;
    let mut config = bench.config()?;
    config.class_keys(
        "foreign",
        "connections = { limit = 1, per = \"day\", burst = 3, over = \"reset\" }",
    )?;
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Foreign, Who::OwnMail, 587) {
        for spent in 0..BURST {
            // Asking spends nothing, however often.
            for _ in 0..2 {
                let left = left(&each.explained(bench, &[])?, "class")?;
                ensure!(left == BURST - spent, "{left} left after {spent}");
            }
            each.holds(bench, &[], "tagged", "class_country")?;
        }
        let explained = each.holds(bench, &[], "refused", "over_limit")?;
        ensure!(left(&explained, "class")? == 0, "{explained:?}");
        says(
            &explained,
            "has opened more connections than its class, foreign, may",
        )?;
        says(
            &explained,
            "time: the source may open one more connection at",
        )?;
        let [address, _] = each.addresses(bench)?;
        let who = match address {
            IpAddr::V4(address) => address.to_string(),
            // What is counted as one source.
            IpAddr::V6(address) => format!("{}/64", network(address)),
        };
        says(
            &explained,
            &format!(
                "a larger `connections` of the class foreign, or a `[[class]]` with `policy = \"exempt\"` that names {who} in"
            ),
        )?;
    }
    Ok(())
}

/// The first address of its /64.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)
}

fn class_begins_later(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.class_keys(
        "foreign",
        "connections = { limit = 1, per = \"day\", burst = 1, over = \"reset\" }\neffective_from = 2100-01-01T00:00:00Z",
    )?;
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Foreign, Who::OwnMail, 587) {
        each.holds(bench, &[], "tagged", "class_country")?;
        let explained = each.holds(bench, &[], "observed", "over_limit")?;
        says(&explained, "not before 2100-01-01T00:00:00Z")?;
        says(
            &explained,
            "time: from 2100-01-01T00:00:00Z on, the limit of the class foreign is in force: connections 1 per day, burst 1, over reset",
        )?;
    }
    Ok(())
}

fn unlisted_throttled(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.unlisted = "refuse";
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 1,
    });
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Unlisted, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "passed", "within_limit")?;
        ensure!(left(&explained, "throttle")? == 1, "{explained:?}");
        let explained = each.holds(bench, &[], "refused", "over_limit")?;
        says(
            &explained,
            "the source, which no pool names, has opened as many",
        )?;
    }
    Ok(())
}

fn left(explained: &Explanation, limit: &str) -> Result<u64> {
    let fill = explained.limits.iter().find(|it| it.limit == limit);
    fill.map(|it| it.left)
        .with_context(|| format!("no limit {limit}: {explained:?}"))
}

fn throttled(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 2,
    });
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        for left_before in [2, 1] {
            let explained = each.holds(bench, &[], "passed", "within_limit")?;
            ensure!(
                left(&explained, "throttle")? == left_before,
                "{explained:?}"
            );
        }
        let explained = each.holds(bench, &[], "refused", "over_limit")?;
        ensure!(left(&explained, "throttle")? == 0, "{explained:?}");
    }
    Ok(())
}

fn observed(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "observed", "restricted")?;
        says(&explained, "only observed (`action = \"observe\"`)")?;
        says(&explained, "`action = \"enforce\"` for the pool dynamic")?;
    }
    Ok(())
}

fn begins_later(bench: &Bench<'_>) -> Result<()> {
    let from = (Timestamp::now() + 48.hours()).round(jiff::Unit::Second)?;
    let _daemon = run_with(bench, &bench.config()?, &format!("effective_from = {from}"))?;
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        let explained = each.holds(bench, &[], "observed", "restricted")?;
        says(&explained, &format!("not before {from} (`effective_from`)"))?;
        says(
            &explained,
            &format!("time: from {from} on, refused, pool dynamic by"),
        )?;
    }
    Ok(())
}

fn vlans(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.access_keys = "vlans = [\"100-199\"]\nstripped = \"pass\"\n";
    let _daemon = bench.run(&config)?;
    for each in tries(Who::Subscriber, Who::OtherMail, 25) {
        let explained = {
            let _line = bench.lab.line(Who::Subscriber, Encapsulation::Tag)?;
            each.holds(bench, &["--vlan", "100"], "refused", "restricted")?
        };
        ensure!(
            (explained.interface.as_str(), explained.vlan) == ("acc-home vlans 100-199", 100),
            "{explained:?}"
        );
        // Every segment of such a connection is counted, and not only the first.
        let explained = each.explained(bench, &["--vlan", "0"])?;
        ensure!(
            explained.reason.as_deref() == Some("no_role") && explained.role.is_none(),
            "{explained:?}"
        );
        let Try {
            from, to, family, ..
        } = each;
        let seen = bench.lab.connect(from, to, family, 25)?;
        ensure!(seen.local().is_some(), "{family}: {seen}");
        // One VLAN is as good as another of the same role.
        let explained = each.explained(bench, &[])?;
        ensure!(
            explained.verdict.as_deref() == Some("refused") && explained.vlan == 100,
            "{explained:?}"
        );
    }
    Ok(())
}

fn unjudged(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    for (from, to, port, words) in [
        (Who::Subscriber, Who::OwnMail, 587, "never judged"),
        (Who::Subscriber, Who::OtherMail, 80, "none of its business"),
        (Who::Foreign, Who::OwnMail, 25, "this is an uplink"),
        (
            Who::Foreign,
            Who::Subscriber,
            587,
            "none of the submission servers",
        ),
    ] {
        for each in tries(from, to, port) {
            let explained = each.explained(bench, &[])?;
            ensure!(explained.verdict.is_none(), "{explained:?}");
            says(&explained, words)?;
        }
    }
    Ok(())
}

fn text(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let text = bench.gate().text(&[
        "explain",
        "--from",
        "100.64.0.2",
        "--to",
        "198.51.100.25",
        "--in",
        "acc-home",
    ])?;
    for words in [
        "100.64.0.2 to 198.51.100.25, port 25, in by acc-home (access): refused\n",
        "pool dynamic by 100.64.0.0/16, ",
        "nothing (drop)",
        "what would change it, by the customer\n  - another way out: ",
        "what would change it, by the operator\n  - an exemption: name 100.64.0.2",
    ] {
        ensure!(text.contains(words), "should say `{words}`: {text}");
    }
    Ok(())
}
