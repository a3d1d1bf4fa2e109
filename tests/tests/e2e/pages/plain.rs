//! What is the same of two lines that were printed at different times.

use anyhow::{Result, ensure};
use jiff::civil::{Date, Time};

/// Words for amounts that are never twice the same.
const UNITS: [&str; 12] = [
    "B",
    "KiB",
    "MiB",
    "GiB",
    "d",
    "days",
    "h",
    "min",
    "s",
    "seconds",
    "ms",
    "instructions",
];
/// Words that a number follows which the kernel gave.
const NUMBERED: [&str; 4] = ["id", "process", "(process", "program"];

/// The line without times, hashes, amounts of time and memory, numbers of programs and processes, and the widths of columns.
pub(super) fn plain(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut plain = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let core = word.trim_matches([',', ';', '(', ')', '"', '.', ':']);
        let before = index.checked_sub(1).and_then(|at| words.get(at));
        let after = words
            .get(index + 1)
            .map(|it| it.trim_matches([',', ';', '(', ')', '"', '.', ':']));
        let same = if core.parse::<jiff::Timestamp>().is_ok()
            // The table for customers has date and time of day apart.
            || is_date(core) && after.is_some_and(is_time)
            || is_time(core) && before.is_some_and(|it| is_date(it))
        {
            "TIME"
        } else if core.len() >= 12 && core.chars().all(|it| it.is_ascii_hexdigit()) {
            "HASH"
        } else if is_amount(core) && after.is_some_and(|unit| UNITS.contains(&unit)) {
            "AMOUNT"
        } else if is_number(core) && before.is_some_and(|it| NUMBERED.contains(it)) {
            "NUMBER"
        } else if core.starts_with('─') {
            "LINE"
        } else {
            plain.push((*word).to_owned());
            continue;
        };
        plain.push(word.replace(core, same));
    }
    plain.join(" ")
}

fn is_date(word: &str) -> bool {
    word.parse::<Date>().is_ok()
}

fn is_time(word: &str) -> bool {
    word.contains(':') && word.parse::<Time>().is_ok()
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|it| it.is_ascii_digit())
}

fn is_amount(word: &str) -> bool {
    let mut parts = word.splitn(2, '.');
    parts.next().is_some_and(is_number) && parts.next().is_none_or(is_number)
}

/// What has to make a difference does, and nothing else.
pub(super) fn noticed() -> Result<()> {
    for (one, other) in [
        (
            "since 2026-11-22T22:20:16Z, by it",
            "since 2027-01-01T00:00:00.123456Z, by it",
        ),
        ("on 2026-11-22 22:20 UTC.", "on 2027-01-01 00:00 UTC."),
        ("sha256 a4a79c8be9fe, as", "sha256 0123456789ab, as"),
        ("9.7 MiB before", "10.1 MiB before"),
        ("eth1  is there, id 86366", "eth1 is there, id 5"),
        ("─────  ──", "── ──"),
    ] {
        ensure!(plain(one) == plain(other), "{one} is not {other}");
    }
    for (one, other) in [
        ("refused", "passes"),
        (
            "100.64.0.2/32: 20 of 20 left",
            "100.64.0.2/32: 19 of 20 left",
        ),
        ("generation 1", "generation 2"),
        ("100.64.0.2", "100.64.0.3"),
        ("/etc/gate/gate.toml:18", "/etc/gate/gate.toml:19"),
        ("2026-11-22T22:20:16Z", "-"),
        ("2026-11-22 22:20 UTC", "2026-11-22 22:20 UTC+09:00"),
        ("on 2026-11-22", "on 2027-01-01"),
    ] {
        ensure!(plain(one) != plain(other), "{one} is {other}");
    }
    Ok(())
}
