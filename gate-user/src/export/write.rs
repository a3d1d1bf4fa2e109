//! Rows as a table, CSV, NDJSON or JSON.

use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::row::{COLUMNS, Kind, Row};
use crate::report::Table;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// One object: when, and all rows.
    Json,
    /// One object a line and row.
    Ndjson,
    /// RFC 4180, with a line of headings.
    Csv,
}

/// The rows of one moment, or of one time between two.
#[derive(Debug, Serialize)]
pub(super) struct Batch {
    pub(super) at: Timestamp,
    /// How long the time between is; nothing where everything since the gate was loaded is counted.
    pub(super) seconds: Option<f64>,
    pub(super) generation: u32,
    pub(super) rows: Vec<Row>,
    /// How many rows `--top` left out.
    #[serde(skip)]
    pub(super) left_out: usize,
    pub(super) attribution: Vec<String>,
}

/// A row that stands alone.
#[derive(Serialize)]
struct Line<'r> {
    at: Timestamp,
    seconds: Option<f64>,
    generation: u32,
    #[serde(flatten)]
    row: &'r Row,
}

/// Writes batches one after the other; each is out before the next is counted.
pub(super) struct Writer<'o> {
    out: &'o mut dyn io::Write,
    form: Form,
    is_first: bool,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut dyn io::Write, form: Form) -> Self {
        Self {
            out,
            form,
            is_first: true,
        }
    }

    pub(super) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        match self.form {
            Form::Table => self.table(batch)?,
            Form::Json => {
                serde_json::to_writer_pretty(&mut *self.out, batch)?;
                writeln!(self.out)?;
            }
            Form::Ndjson => {
                for row in &batch.rows {
                    let Batch {
                        at,
                        seconds,
                        generation,
                        ..
                    } = *batch;
                    let line = Line {
                        at,
                        seconds,
                        generation,
                        row,
                    };
                    serde_json::to_writer(&mut *self.out, &line)?;
                    writeln!(self.out)?;
                }
            }
            Form::Csv => self.csv(batch)?,
        }
        self.is_first = false;
        self.out.flush()
    }

    fn csv(&mut self, batch: &Batch) -> io::Result<()> {
        let mut csv = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(&mut *self.out);
        if self.is_first {
            csv.write_record(COLUMNS)?;
        }
        let lead = [
            batch.at.to_string(),
            batch.seconds.map(|it| it.to_string()).unwrap_or_default(),
            batch.generation.to_string(),
        ];
        for row in &batch.rows {
            csv.write_record(lead.iter().cloned().chain(row.cells()))?;
        }
        csv.flush()
    }

    /// A table of each kind, of the columns that say something in it.
    fn table(&mut self, batch: &Batch) -> io::Result<()> {
        let out = &mut *self.out;
        if !self.is_first {
            writeln!(out)?;
        }
        write!(out, "{:.0}, generation {}", batch.at, batch.generation)?;
        match batch.seconds {
            Some(seconds) => writeln!(out, ", in {seconds:.1} s")?,
            None => writeln!(out, ", since the gate was loaded")?,
        }
        for note in batch.rows.iter().filter_map(|it| it.note.as_deref()) {
            writeln!(out, "  note: {note}")?;
        }
        for &(kind, _) in Kind::ALL {
            let rows: Vec<[String; 18]> = batch
                .rows
                .iter()
                .filter(|it| it.kind == Some(kind))
                .map(Row::cells)
                .collect();
            // The kind is the title, and the name of a source is its prefix.
            let headings = COLUMNS.iter().skip(3).enumerate();
            let shown: Vec<(usize, &str)> = headings
                .filter(|(at, heading)| {
                    let says = |row: &[String; 18]| row.get(*at).is_some_and(|it| !it.is_empty());
                    let is_said = match **heading {
                        "kind" | "unparsed" => true,
                        "prefix" => matches!(kind, Kind::Sources | Kind::Prefixes | Kind::Relays),
                        "interface" => matches!(kind, Kind::Unsent),
                        "pool" => kind == Kind::Pools,
                        "class" => kind == Kind::Classes,
                        "country" => kind == Kind::Countries,
                        _ => false,
                    };
                    !is_said && rows.iter().any(says)
                })
                .map(|(at, heading)| (at, *heading))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let headings: Vec<&str> = shown.iter().map(|(_, heading)| *heading).collect();
            let mut table = Table::new(&headings);
            for row in &rows {
                let cells = shown.iter().map(|(at, _)| row.get(*at));
                table.row(cells.map(|it| match it.map(String::as_str) {
                    None | Some("") => "-".to_owned(),
                    Some(text) => text.to_owned(),
                }));
            }
            writeln!(out, "\n{}", kind.name())?;
            table.write(out)?;
        }
        if batch.rows.iter().all(|it| it.kind == Some(Kind::Note)) {
            writeln!(out, "  nothing")?;
        }
        if batch.left_out > 0 {
            writeln!(out, "  ... and {} more", batch.left_out)?;
        }
        for it in &batch.attribution {
            writeln!(out, "\n{it}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdicts;

    fn batch() -> Batch {
        let mut verdicts = Verdicts::default();
        verdicts.count("refused", 3);
        Batch {
            at: "2026-11-23T10:00:00.25Z".parse().unwrap(),
            seconds: Some(10.5),
            generation: 7,
            rows: vec![
                Row::note("a \"note\", with\r\nall that has to be quoted".to_owned()),
                Row {
                    role: Some("access".to_owned()),
                    prefix: Some("100.64.0.2/32".to_owned()),
                    first_seen: Some("2026-11-23T09:59:01.5Z".parse().unwrap()),
                    ..Row::counted(Kind::Sources, "100.64.0.2/32", &verdicts)
                },
            ],
            left_out: 4,
            attribution: Vec::new(),
        }
    }

    fn written(form: Form, times: usize) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, form);
        for _ in 0..times {
            writer.write(&batch()).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    /// By the words of RFC 4180, section 2.
    #[test]
    fn csv_is_what_the_standard_says() {
        let rows = concat!(
            "2026-11-23T10:00:00.25Z,10.5,7,note,,,,,,,,,,,,,,,,,",
            "\"a \"\"note\"\", with\r\nall that has to be quoted\"\r\n",
            "2026-11-23T10:00:00.25Z,10.5,7,sources,100.64.0.2/32,access,,,,,100.64.0.2/32,3,0,3,0,0,0,,2026-11-23T09:59:01Z,,\r\n",
        );
        let headings = "at,seconds,generation,kind,name,role,interface,pool,class,country,prefix,packets,passed,refused,observed,tagged,unparsed,over_limit,first_seen,last_seen,note\r\n";
        assert_eq!(written(Form::Csv, 2), [headings, rows, rows].concat());
    }

    #[test]
    fn ndjson_has_the_columns_of_csv() {
        let text = written(Form::Ndjson, 1);
        let lines: Vec<serde_json::Map<String, serde_json::Value>> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        for line in &lines {
            let mut keys: Vec<&str> = line.keys().map(String::as_str).collect();
            let mut columns = COLUMNS.to_vec();
            keys.sort_unstable();
            columns.sort_unstable();
            assert_eq!(keys, columns);
        }
        assert_eq!(lines[1]["refused"], 3);
        assert!(lines[1]["last_seen"].is_null());
    }

    #[test]
    fn a_table_shows_what_says_something() {
        let text = written(Form::Table, 1);
        assert!(
            text.starts_with("2026-11-23T10:00:00Z, generation 7, in 10.5 s\n  note: a "),
            "{text}"
        );
        assert!(text.contains("\nsources\n  name           role    packets  passed  refused  observed  tagged  first_seen\n"), "{text}");
        assert!(text.ends_with("  ... and 4 more\n"), "{text}");
    }
}
