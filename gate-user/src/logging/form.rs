//! What lines look like.

use std::{env, fmt::Write as _, process};

use jiff::tz::TimeZone;
use serde::{
    Deserialize, Serialize,
    ser::{SerializeMap as _, Serializer},
};

use super::{Destination, Entry, Field, JOURNAL, SYSLOG, Value, destination};

/// By which name logs know the daemon.
const IDENTIFIER: &str = "gate";
/// The facility of daemons (RFC 3164, 4.1.1).
const DAEMON: u8 = 3;

/// What lines look like, which also says where they go unless that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Lines for people, on standard error.
    Text,
    /// Objects of JSON, one a line, on standard error.
    Json,
    /// Fields of the journal of systemd.
    Journal,
    /// Lines for a syslog daemon on this machine.
    Syslog,
}

/// What `JOURNAL_STREAM` names is asked first: the journal, if it is where standard error goes; else text.
impl Default for Form {
    fn default() -> Self {
        let stream = env::var_os("JOURNAL_STREAM");
        if destination::is_journal(stream.as_deref()) {
            Self::Journal
        } else {
            Self::Text
        }
    }
}

impl Form {
    /// Where lines go that look like this.
    #[must_use]
    pub fn destination(self) -> Destination {
        match self {
            Self::Text | Self::Json => Destination::Stderr,
            Self::Journal => Destination::Socket(JOURNAL.into()),
            Self::Syslog => Destination::Socket(SYSLOG.into()),
        }
    }

    /// A line as it is written.
    pub(super) fn write(self, entry: &Entry) -> Vec<u8> {
        match self {
            Self::Text => format!("{IDENTIFIER}: {}\n", words(entry)).into_bytes(),
            Self::Json => json(entry),
            Self::Journal => journal(entry),
            Self::Syslog => syslog(entry, &TimeZone::system(), process::id()).into_bytes(),
        }
    }
}

/// The words of an entry, for people: how grave it is, and what to do about it, in further lines.
fn words(entry: &Entry) -> String {
    let bypass = entry
        .get(Field::Bypass)
        .map_or_else(String::new, |until| format!(" [bypassed until {until}]"));
    let message = visible(&entry.message);
    // Whoever reads the first line must not have to look for the one that began the bypass.
    let (first, rest) = message.split_at(message.find('\n').unwrap_or(message.len()));
    let prefix = entry.event.level().prefix();
    let mut words = format!("{prefix}{first}{bypass}{rest}");
    if let Some(hint) = entry.get(Field::Hint)
        && !entry.event.follows_its_error()
    {
        let _ = write!(words, "\n  hint: {}", visible(&hint.to_string()));
    }
    words
}

/// What a name of a file could do to a terminal, as text.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for it in text.chars() {
        if it.is_control() && !matches!(it, '\n' | '\t') {
            visible.extend(it.escape_default());
        } else {
            visible.push(it);
        }
    }
    visible
}

fn json(entry: &Entry) -> Vec<u8> {
    // Into memory, of text and numbers: nothing here can fail.
    let mut line = serde_json::to_vec(&Object(entry)).unwrap_or_default();
    line.push(b'\n');
    line
}

/// An entry as an object.
struct Object<'a>(&'a Entry);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry {
            at,
            event,
            message,
            fields,
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &format!("{at:.3}"))?;
        map.serialize_entry("level", event.level().name())?;
        map.serialize_entry("event", event.word())?;
        map.serialize_entry("message", message)?;
        map.serialize_entry("pid", &process::id())?;
        for (field, value) in fields {
            match value {
                Value::Number(number) => map.serialize_entry(field.word(), number)?,
                Value::Text(text) => map.serialize_entry(field.word(), text)?,
            }
        }
        map.end()
    }
}

/// As systemd's "Native Journal Protocol" has it.
fn journal(entry: &Entry) -> Vec<u8> {
    let mut datagram = Vec::new();
    let priority = (entry.event.level() as u8).to_string();
    for (name, value) in [
        ("MESSAGE", &*words(entry)),
        ("PRIORITY", &*priority),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("GATE_EVENT", entry.event.word()),
    ] {
        put(&mut datagram, name, value);
    }
    for (field, value) in &entry.fields {
        put(&mut datagram, field.native(), &value.to_string());
    }
    datagram
}

fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

/// As RFC 3164 has it, without the name of the host, which syslog daemons want of nobody on their own machine: what syslog(3) writes.
fn syslog(entry: &Entry, zone: &TimeZone, pid: u32) -> String {
    let priority = DAEMON << 3 | entry.event.level() as u8;
    let at = entry.at.to_zoned(zone.clone());
    let at = at.strftime("%b %e %H:%M:%S");
    let words = words(entry);
    let lines: Vec<&str> = words.lines().map(str::trim).collect();
    // A datagram is a line.
    let line = lines.join("; ");
    format!("<{priority}>{at} {IDENTIFIER}[{pid}]: {line}")
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz};

    use super::*;
    use crate::logging::Event;

    fn entry() -> Entry {
        let mut entry = Entry::new(Event::Error, "no such file: a\u{1b}[31m\nb")
            .number(Field::Generation, 7_u32)
            .text(Field::Bypass, "2026-01-02T03:04:05Z")
            .text(Field::Hint, "make it");
        entry.at = Timestamp::from_second(1_767_323_045).unwrap();
        entry
    }

    #[test]
    fn a_line_of_text_says_how_grave_it_is_and_changes_no_terminal() {
        assert_eq!(
            String::from_utf8(Form::Text.write(&entry())).unwrap(),
            "gate: error: no such file: a\\u{1b}[31m [bypassed until 2026-01-02T03:04:05Z]\nb\n  hint: make it\n"
        );
    }

    #[test]
    fn a_hint_that_the_line_before_gave_is_for_programs_only() {
        for (event, twice) in [
            (Event::Refused, false),
            (Event::Failed, false),
            (Event::NotTaken, true),
        ] {
            let mut entry = entry();
            entry.event = event;
            let text = String::from_utf8(Form::Text.write(&entry)).unwrap();
            assert_eq!(text.contains("hint: make it"), twice, "{text}");
            let native = String::from_utf8(Form::Journal.write(&entry)).unwrap();
            assert!(native.contains("\nGATE_HINT=make it\n"), "{native}");
        }
    }

    /// As systemd's page has it: `NAME=value`, or the name, a new line, the length in 64 bits, little end first, and the value.
    #[test]
    fn a_datagram_for_the_journal_has_lengths_where_there_are_lines() {
        let message = "error: no such file: a\\u{1b}[31m [bypassed until 2026-01-02T03:04:05Z]\nb\n  hint: make it";
        assert_eq!(message.len(), 0x58);
        let expected = format!(
            "MESSAGE\n\x58\0\0\0\0\0\0\0{message}\nPRIORITY=3\nSYSLOG_IDENTIFIER=gate\nGATE_EVENT=error\n\
             GATE_GENERATION=7\nGATE_BYPASS=2026-01-02T03:04:05Z\nGATE_HINT=make it\n"
        );
        assert_eq!(
            String::from_utf8(Form::Journal.write(&entry())).unwrap(),
            expected
        );
    }

    /// RFC 3164, 4.1: facility 3 and severity 3 are 27, a day below 10 has a space before it, the time is local.
    #[test]
    fn a_line_for_syslog_is_one_line() {
        let zone = TimeZone::fixed(tz::offset(9));
        assert_eq!(
            syslog(&entry(), &zone, 42),
            "<27>Jan  2 12:04:05 gate[42]: error: no such file: a\\u{1b}[31m [bypassed until 2026-01-02T03:04:05Z]; b; hint: make it"
        );
    }

    #[test]
    fn an_object_is_a_line() {
        let line = String::from_utf8(Form::Json.write(&entry())).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2026-01-02T03:04:05.000Z", "level": "error", "event": "error",
            "message": "no such file: a\u{1b}[31m\nb", "pid": process::id(),
            "generation": 7, "bypass": "2026-01-02T03:04:05Z", "hint": "make it",
        });
        assert_eq!(object, expected);
    }
}
