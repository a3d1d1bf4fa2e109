//! List files: what is read is what each line says, by a reading of one line that shares no code with the gate; written again, it reads
//! the same.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    io,
    net::IpAddr,
    path::Path,
};

use gate_user::config::{Config, ConfigError, PoolPrefix, load_at};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::configuration::is_there;

const FILE: &str = "gate.toml";
const CONFIGURATION: &str = r#"
[[interface]]
name = "lines"
role = "access"

[port25]
action = "enforce"

[[access]]
name = "static"
policy = "exempt"
files = ["list.txt"]
"#;

/// Checks a list.
pub fn check(data: &[u8]) {
    let Ok(list) = std::str::from_utf8(data) else {
        return;
    };
    match read(list) {
        Ok(config) => {
            let prefixes = &config.pools[0].prefixes;
            let lines: HashMap<usize, &str> = lines(list).collect();
            assert_eq!(config.list_files[0].prefixes, lines.len());
            // A prefix that is repeated is listed once.
            let distinct: HashSet<_> = lines.values().map(|line| prefix(line)).collect();
            assert_eq!(distinct.len(), prefixes.len());
            for found in prefixes {
                is_there(&found.origin, list);
                says(lines[&usize::try_from(found.origin.line).unwrap()], found);
            }
            written_again(prefixes);
        }
        Err(error) => {
            // What is wrong with a list is told at its lines, at most some of them.
            assert!((1..=64).contains(&error.problems.len()));
            let origins = error.problems.iter().filter_map(|it| it.origin.as_ref());
            let in_list = origins.filter(|origin| *origin.file != *Path::new(FILE));
            in_list.for_each(|origin| is_there(origin, list));
        }
    }
}

fn read(list: &str) -> Result<Config, ConfigError> {
    let reader = |path: &Path| -> io::Result<String> {
        let is_toml = path == Path::new(FILE);
        Ok(if is_toml { CONFIGURATION } else { list }.to_owned())
    };
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    load_at(Path::new(FILE), &reader, now)
}

fn is_space(character: char) -> bool {
    [' ', '\t', '\r'].contains(&character)
}

/// The lines that are neither blank nor a comment, with their numbers.
fn lines(list: &str) -> impl Iterator<Item = (usize, &str)> {
    let list = list.strip_prefix('\u{feff}').unwrap_or(list);
    let lines = list.split('\n').map(|line| line.trim_matches(is_space));
    (1..)
        .zip(lines)
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The line's first word is the prefix, by the library's reading of it; the note is in the line.
fn says(line: &str, found: &PoolPrefix) {
    assert_eq!(prefix(line), Some(found.prefix), "{line}");
    match &found.ticket {
        Some(ticket) => assert!(line.contains(ticket.as_str()) && line.contains("ticket=")),
        None => assert!(
            !line
                .split('#')
                .next()
                .unwrap_or_default()
                .contains("ticket=")
        ),
    }
    assert!(found.until.is_none() || line.contains("until="));
}

fn prefix(line: &str) -> Option<IpNet> {
    let word = line.split(is_space).next().unwrap_or_default();
    let net = word
        .parse::<IpNet>()
        .or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
    net.ok()
}

fn written_again(prefixes: &[PoolPrefix]) {
    let mut text = String::new();
    for listed in prefixes {
        write!(text, "{}", listed.prefix).unwrap();
        if let Some(until) = listed.until {
            write!(text, " until={until}").unwrap();
        }
        match &listed.ticket {
            Some(ticket) if ticket.contains(is_space) => {
                write!(text, " ticket=\"{ticket}\"").unwrap();
            }
            Some(ticket) => write!(text, " ticket={ticket}").unwrap(),
            None => {}
        }
        text.push('\n');
    }
    let again = read(&text).expect("what was read can be read again");
    let values = |prefixes: &[PoolPrefix]| -> Vec<_> {
        let values = prefixes.iter();
        values
            .map(|it| (it.prefix, it.until, it.ticket.clone()))
            .collect()
    };
    assert_eq!(values(&again.pools[0].prefixes), values(prefixes));
}
