//! Lines for people, or an object each for programs.

use std::io;

use super::line::{ByOutcome, EventLine, Line};
use crate::{error::Error, export::ExportError};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One object a line.
    Ndjson,
}

pub(super) struct Writer<'o> {
    out: &'o mut dyn io::Write,
    form: Form,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut dyn io::Write, form: Form) -> Self {
        Self { out, form }
    }

    /// Writes lines, and has them out; whether there is anybody left who reads.
    pub(super) fn write<'l>(
        &mut self,
        lines: impl IntoIterator<Item = &'l Line>,
    ) -> Result<bool, Error> {
        let written = lines
            .into_iter()
            .try_for_each(|line| self.line(line))
            .and_then(|()| self.out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => Ok(written.map(|()| true).map_err(ExportError::from)?),
        }
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        match (self.form, line) {
            (Form::Ndjson, line) => {
                serde_json::to_writer(&mut *self.out, line)?;
                writeln!(self.out)
            }
            (Form::Text, Line::Event(event)) => writeln!(self.out, "{}", text(event)),
            (Form::Text, Line::Lost(lost)) => {
                writeln!(self.out, "{}  not told: {}", lost.at, untold(&lost.tale))
            }
            (Form::Text, Line::End(end)) => {
                let shown = end.shown;
                write!(
                    self.out,
                    "{}  end: {}; {shown} shown",
                    end.at,
                    end.why.words()
                )?;
                for (count, what) in [
                    (end.filtered, "not asked for"),
                    (end.expired, "older than the retention"),
                    (end.unread, "after these"),
                ] {
                    if count > 0 {
                        write!(self.out, ", {count} {what}")?;
                    }
                }
                writeln!(self.out, "; not told: {}", untold(&end.tale))
            }
        }
    }
}

/// What was not told, and why.
pub(super) fn untold(tale: &ByOutcome) -> String {
    let causes = [
        (tale.unsampled, "not in the sample"),
        (tale.over_rate, "over the rate"),
        (tale.no_room, "no room"),
        (tale.lapsed, "nobody there to read"),
    ];
    let causes = causes.iter().filter(|(count, _)| *count > 0);
    let causes: Vec<String> = causes
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if causes.is_empty() {
        "none".to_owned()
    } else {
        causes.join(", ")
    }
}

fn text(event: &EventLine) -> String {
    let EventLine {
        at,
        generation: _,
        interface,
        role: _,
        verdict,
        reason,
        pool,
        prefix: _,
        class,
        country,
        observed,
        source,
        source_port,
        destination,
        destination_port,
    } = event;
    let or = |found: Option<String>| found.unwrap_or_else(|| "-".to_owned());
    let from = format!(
        "{} {}",
        or(source.map(|it| it.0.to_string())),
        or(source_port.map(|it| it.to_string()))
    );
    let to = match destination {
        Some(address) => format!("{address} "),
        None => String::new(),
    } + &or(destination_port.map(|it| it.to_string()));
    let mut text = format!(
        "{at:.3}  {:<8}  {:<13}  {from:<25} -> {to}",
        verdict.unwrap_or("-"),
        reason.unwrap_or("-"),
    );
    let observed = observed.unwrap_or(false).then(|| "observed".to_owned());
    for word in [pool, class, country, &observed, interface]
        .into_iter()
        .flatten()
    {
        text.push_str("  ");
        text.push_str(word);
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::events::line::Source;

    fn event() -> EventLine {
        EventLine {
            at: Timestamp::from_millisecond(1_780_000_000_100).unwrap(),
            generation: 3,
            interface: Some("eth1".to_owned()),
            role: Some("access"),
            verdict: Some("refused"),
            reason: Some("restricted"),
            pool: Some("dynamic".to_owned()),
            prefix: None,
            class: None,
            country: None,
            observed: None,
            source: "100.64.0.2/32".parse().ok().map(Source),
            source_port: Some(40_000),
            destination: None,
            destination_port: Some(25),
        }
    }

    fn written(form: Form, line: &Line) -> String {
        let mut out = Vec::new();
        Writer::new(&mut out, form).write([line]).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_no_place_for_where_a_subscriber_connects_to() {
        let line = Line::Event(event());
        assert_eq!(
            written(Form::Text, &line),
            "2026-05-28T20:26:40.100Z  refused   restricted     100.64.0.2/32 40000       -> 25  dynamic  eth1\n"
        );
        assert_eq!(
            written(Form::Ndjson, &line),
            concat!(
                r#"{"kind":"event","at":"2026-05-28T20:26:40.1Z","generation":3,"interface":"eth1","role":"access","verdict":"refused","reason":"restricted","#,
                r#""pool":"dynamic","prefix":null,"class":null,"country":null,"observed":null,"source":"100.64.0.2/32","source_port":40000,"#,
                r#""destination":null,"destination_port":25}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_not_told_is_told_by_cause() {
        let tale = ByOutcome {
            written: 1,
            unsampled: 2,
            over_rate: 3,
            no_room: 4,
            lapsed: 5,
        };
        let text = "2 not in the sample, 3 over the rate, 4 no room, 5 nobody there to read";
        assert_eq!(untold(&tale), text);
        assert_eq!(untold(&ByOutcome::default()), "none");
    }
}
