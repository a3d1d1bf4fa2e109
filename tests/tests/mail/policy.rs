//! `check_policy_service`: Postfix asks for the class, and writes it into a header.

use std::{
    fs,
    os::unix::{fs::chown, net::UnixStream},
};

use anyhow::{Result, ensure};
use gate_tests::{
    gate::{Config, Daemon},
    lab::{Family, Lab, Who},
};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Found},
    host::{GROUP, Host, Policy, converse},
};

/// The files that the documentation tells people to use.
const MAIN: &str = include_str!("../../../examples/policy-reader/main.cf");
const MASTER: &str = include_str!("../../../examples/policy-reader/master.cf");
const CHECKS: &str = include_str!("../../../examples/policy-reader/gate_header_checks");
/// The header that the policy server is told to add there, which nobody else knows.
const PRIVATE: [&str; 2] = ["--header", "X-Gate-Class-k3v9w2"];
/// What becomes of it.
const HEADER: &str = "X-Gate-Class";

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.own_lab_trial("policy::the_class_arrives_in_a_header", arrives),
        found.own_lab_trial("policy::a_connection_without_a_tag_has_its_address", absent),
        found.own_lab_trial("policy::a_header_of_the_client_is_not_delivered", forged),
        found.own_lab_trial("policy::without_a_gate_mail_flows", gone),
        found.own_lab_trial("policy::a_unix_socket_will_do", unix),
        found.own_lab_trial("policy::who_is_in_no_group_is_told_nothing", stranger),
    ]
}

fn start(bench: &Bench<'_>) -> Result<Daemon> {
    bench.run(&Config {
        readers: Some(GROUP),
        ..bench.config()?
    })
}

/// The mail host as the example has it.
fn host(bench: &mut Bench<'_>) -> Result<Host> {
    Host::start(
        &mut bench.lab,
        [MAIN, MASTER],
        &[("gate_header_checks", CHECKS)],
    )
}

/// The values of a header in a message.
fn values<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    message
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .collect()
}

fn told(message: &str, expected: &str) -> Result<()> {
    ensure!(
        values(message, HEADER) == [expected] && !message.contains(PRIVATE[1]),
        "expected `{expected}` once:\n{message}"
    );
    Ok(())
}

fn country(lab: &Lab, who: Who) -> &str {
    if who == Who::Domestic {
        &lab.roamers().domestic.code
    } else {
        &lab.roamers().foreign.code
    }
}

fn arrives(bench: &mut Bench<'_>) -> Result<()> {
    let daemon = start(bench)?;
    let mut host = host(bench)?;
    let policy = Policy::start(&bench.lab, &[GROUP], &PRIVATE)?;
    let mut each = |daemon: &str| -> Result<()> {
        for (who, class) in [(Who::Foreign, "foreign"), (Who::Domestic, "domestic")] {
            for family in Family::ALL {
                let message = host.deliver(&bench.lab, who, family, &[])?;
                let country = country(&bench.lab, who);
                let expected = format!("{class} (country={country}, generation=1, by=flow)");
                told(&message, &expected)
                    .map_err(|error| error.context(format!("{who}, {family}, daemon {daemon}")))?;
            }
        }
        Ok(())
    };
    each("alive")?;
    daemon.kill()?;
    each("killed")?;
    ensure!(policy.said().is_empty(), "{:?}", policy.said());
    Ok(())
}

fn absent(bench: &mut Bench<'_>) -> Result<()> {
    let _daemon = start(bench)?;
    let lab = &bench.lab;
    let _policy = Policy::start(lab, &[GROUP], &["--port", "10587=587"])?;
    let code = country(lab, Who::Foreign);
    let server = lab.address(Who::OwnMail, Family::V4)?.to_string();
    let seen = lab.connect(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
    let client = seen.local().ok_or_else(|| anyhow::anyhow!("{seen}"))?;
    let (address, port) = (client.ip().to_string(), client.port().to_string());
    let other = (client.port() ^ 1).to_string();
    let by_flow = format!("PREPEND X-Gate-Class: foreign (country={code}, generation=1, by=flow)");
    let by_address = by_flow.replace("by=flow", "by=address");
    let whole = |port: &str, server_port: &str| {
        Policy::ask(
            lab,
            &[
                ("request", "smtpd_access_policy"),
                ("protocol_state", "DATA"),
                ("client_address", &address),
                ("client_port", port),
                ("server_address", &server),
                ("server_port", server_port),
            ],
        )
    };
    for (found, expected) in [
        (whole(&port, "587")?, &by_flow),
        // A packet filter redirected it, and the reader knows.
        (whole(&port, "10587")?, &by_flow),
        (whole(&other, "587")?, &by_address),
        (whole(&port, "465")?, &by_address),
        // Postfix does not know the port.
        (whole("0", "587")?, &by_address),
        (
            Policy::ask(lab, &[("client_address", &address)])?,
            &by_address,
        ),
        (
            Policy::ask(lab, &[("client_address", "unknown")])?,
            &"DUNNO".to_owned(),
        ),
        (Policy::ask(lab, &[("size", "0")])?, &"DUNNO".to_owned()),
    ] {
        ensure!(
            found == format!("action={expected}"),
            "{found}, expected {expected}"
        );
    }
    Ok(())
}

fn forged(bench: &mut Bench<'_>) -> Result<()> {
    let _daemon = start(bench)?;
    let mut host = host(bench)?;
    let policy = Policy::start(&bench.lab, &[GROUP], &PRIVATE)?;
    let forged = [
        "X-Gate-Class: domestic (country=JP, generation=1, by=flow)",
        "x-gate-class:domestic",
        "X-Gate-Class : domestic",
    ];
    let message = host.deliver(&bench.lab, Who::Foreign, Family::V4, &forged)?;
    let code = country(&bench.lab, Who::Foreign);
    told(
        &message,
        &format!("foreign (country={code}, generation=1, by=flow)"),
    )?;
    ensure!(!message.contains("domestic"), "{message}");
    // Where nothing is known, nothing is claimed either.
    drop(policy);
    let message = host.deliver(&bench.lab, Who::Foreign, Family::V4, &forged)?;
    ensure!(
        !message.to_lowercase().contains("x-gate-class"),
        "{message}"
    );
    Ok(())
}

/// The answer is `DUNNO`, for every message; the reason is said once, and again after it was good in between.
fn gone(bench: &mut Bench<'_>) -> Result<()> {
    let daemon = start(bench)?;
    let mut host = host(bench)?;
    let policy = Policy::start(&bench.lab, &[GROUP], &PRIVATE)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    for _ in 0..2 {
        let message = host.deliver(&bench.lab, Who::Foreign, Family::V4, &[])?;
        ensure!(values(&message, HEADER).is_empty(), "{message}");
    }
    let reason = format!("{}: no gate is loaded here", bench.lab.pins().display());
    let said = policy.said();
    ensure!(
        said.len() == 1 && said.iter().all(|line| line.contains(&reason)),
        "{said:?}"
    );
    let daemon = start(bench)?;
    let message = host.deliver(&bench.lab, Who::Foreign, Family::V4, &[])?;
    let code = country(&bench.lab, Who::Foreign);
    told(
        &message,
        &format!("foreign (country={code}, generation=1, by=flow)"),
    )?;
    daemon.terminate()?;
    bench.gate().detach()?;
    host.deliver(&bench.lab, Who::Foreign, Family::V4, &[])?;
    ensure!(policy.said().len() == 2, "{:?}", policy.said());
    Ok(())
}

/// Also at the place where one that was killed had its socket; not where there is a file of somebody's.
fn unix(bench: &mut Bench<'_>) -> Result<()> {
    let _daemon = start(bench)?;
    let lab = &bench.lab;
    let directory = lab.scratch().join("sockets");
    fs::create_dir(&directory)?;
    chown(&directory, Some(65_534), Some(65_534))?;
    let path = directory.join("policy").display().to_string();
    let address = lab.address(Who::Domestic, Family::V6)?.to_string();
    for _ in 0..2 {
        let _policy = Policy::listen(lab, &[GROUP], &path, &[])?;
        let answer = converse(UnixStream::connect(&path)?, &[("client_address", &address)])?;
        ensure!(answer.contains("X-Gate-Class: domestic"), "{answer}");
    }
    fs::remove_file(&path)?;
    fs::write(&path, "precious")?;
    ensure!(
        Policy::listen(lab, &[GROUP], &path, &[]).is_err() && fs::read(&path)? == b"precious",
        "a file that is no socket is in the way"
    );
    Ok(())
}

fn stranger(bench: &mut Bench<'_>) -> Result<()> {
    let _daemon = start(bench)?;
    let lab = &bench.lab;
    let address = lab.address(Who::Foreign, Family::V4)?.to_string();
    for groups in [&[][..], &["games"]] {
        let policy = Policy::start(lab, groups, &[])?;
        let answer = Policy::ask(lab, &[("client_address", &address)])?;
        let said = policy.said();
        ensure!(
            answer == "action=DUNNO"
                && said.len() == 1
                && said
                    .iter()
                    .all(|line| line.contains("this process may not read it")),
            "{groups:?}: {answer}, {said:?}"
        );
    }
    Ok(())
}
