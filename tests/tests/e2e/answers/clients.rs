//! Clients of the kernel's own TCP, behind each kind of line: "connection refused", "no route to host" and "permission
//! denied" are what the answers come to. No time is measured: a client that heard nothing says so.

use anyhow::{Result, ensure};
use gate_tests::{
    gate::{Answer, Mode},
    lab::{Encapsulation, Family, Seen, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let in_mode = |mode: Mode| {
        let name = format!("answers::clients_are_told_in_{mode}_mode");
        found.lab_trial(name, move |bench| told(bench, mode))
    };
    vec![
        in_mode(Mode::Native),
        in_mode(Mode::Generic),
        found.lab_trial("answers::control_nobody_is_told_without_a_gate", control),
    ]
}

fn told(bench: &Bench<'_>, mode: Mode) -> Result<()> {
    let mut config = bench.config()?;
    config.mode = mode;
    for answer in [Answer::Reset, Answer::Prohibited] {
        config.answer = answer;
        let daemon = bench.run(&config)?;
        let before = bench.gate().counters()?;
        let mut told = 0;
        for line in Encapsulation::ALL {
            let _behind = bench.lab.line(Who::Subscriber, line)?;
            for family in Family::ALL {
                let seen = bench
                    .lab
                    .connect(Who::Subscriber, Who::OtherMail, family, 25)?;
                ensure!(
                    seen == answer.heard(family),
                    "{answer}, {family}, {line}: {seen}"
                );
                told += 1;
            }
        }
        let after = bench.gate().counters()?;
        let word = answer.to_string();
        let [answered, refused] = [
            after.answered(&word) - before.answered(&word),
            after.verdicts.refused - before.verdicts.refused,
        ];
        ensure!(
            (answered, refused) == (told, told),
            "{told} told, {answered} answered, {refused} refused: {after:?}"
        );
        // Those that are not refused are left alone.
        bench.open(Who::Static, Who::OtherMail, 25)?;
        bench.open(Who::Subscriber, Who::OtherMail, 587)?;
        daemon.terminate()?;
    }
    Ok(())
}

/// Behind the lines that the router's kernel does not know, nobody else answers.
fn control(bench: &Bench<'_>) -> Result<()> {
    for line in Encapsulation::ALL {
        if line == Encapsulation::Plain {
            continue;
        }
        let _behind = bench.lab.line(Who::Subscriber, line)?;
        let seen = bench
            .lab
            .connect(Who::Subscriber, Who::OtherMail, Family::V4, 25)?;
        ensure!(seen == Seen::NoAnswer, "{line}: {seen}");
    }
    bench.out_of_force()
}
