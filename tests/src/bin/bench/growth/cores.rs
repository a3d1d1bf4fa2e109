//! One processor, and two at a time: what a lock or a shared cache line would cost.

use std::thread;

use anyhow::{Result, anyhow, ensure};

use super::{
    NAME, config,
    generator::{Generator, Row},
    world::World,
};
use crate::{
    cpu,
    figure::Figure,
    suite::{Rounds, Section, Setting, interleaved, progress},
    target::Outcome,
};

const DROP: u32 = 1;
const CASES: [(&str, u64); 2] = [
    ("cores/1000 sources", 1_000),
    ("cores/50000 sources", 50_000),
];
const RATE: (&str, &str) = ("rate", "million packets/s");
const ONE: &str = "1 processor";
const TWO: &str = "2 processors";

pub(super) fn measure(
    setting: &Setting,
    rounds: Rounds,
    generator: &mut Generator,
    section: &mut Section,
) -> Result<()> {
    let cpus = cpu::allowed()?;
    let &[first, second, ..] = cpus.as_slice() else {
        section
            .absent
            .push("two processors: this process may use one only".to_owned());
        return Ok(());
    };
    let packets = setting.either(1 << 22, 1 << 19);
    for (case, count) in CASES {
        progress(case);
        let mut world = World::new(&config(true), &[])?;
        // All sources are known before.
        generator.run(&mut world, Row::new(count), count)?;
        generator.aim(Some(&mut world))?;
        let mut sets = [vec![first], vec![first, second]];
        let rates = interleaved(&mut sets, rounds, |cpus, _| {
            let before = world.refused()?;
            // Each is at another place of the row.
            generator.begin(&|cpu| Row::new(count).from(cpu * count / 2))?;
            let rate = together(generator, cpus, packets)?;
            let refused = world.refused()? - before;
            let sent = packets * cpus.len() as u64;
            ensure!(
                refused == sent,
                "{case}: {refused} packets of {sent} were refused"
            );
            Ok(rate)
        })?;
        let [one, two] = rates.as_slice() else {
            continue;
        };
        let ratio = crate::suite::ratios(two, one);
        for (subject, what, values) in [
            (ONE, RATE, one),
            (TWO, RATE, two),
            ("2 to 1", super::RATIO, &ratio),
        ] {
            section
                .figures
                .extend(Figure::of(NAME, (case, subject), what, values));
        }
        let ratio = Figure::of(NAME, (case, "2 to 1"), super::RATIO, &ratio);
        if let Some(ratio) = ratio {
            section.outcomes.push(Outcome {
                target: format!("two processors carry at least 1.8 times what one does ({case})"),
                figure: format!("{:.2} times", ratio.spread.median),
                met: ratio.spread.median >= 1.8,
            });
        }
    }
    Ok(())
}

/// Millions of packets a second, of all processors together.
fn together(generator: &Generator, cpus: &[usize], packets: u64) -> Result<f64> {
    let times = thread::scope(|scope| {
        let runs: Vec<_> = cpus
            .iter()
            .map(|cpu| {
                scope.spawn(move || {
                    cpu::keep_to(*cpu)?;
                    generator.repeat(packets, DROP)
                })
            })
            .collect();
        runs.into_iter()
            .map(|run| run.join().map_err(|_| anyhow!("a run panicked"))?)
            .collect::<Result<Vec<f64>>>()
    })?;
    Ok(times.iter().map(|ns| 1e3 / ns).sum())
}
