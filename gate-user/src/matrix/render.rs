//! The table as text, as Markdown and as a page.

use std::{fmt::Write as _, io};

use jiff::{Timestamp, tz::TimeZone};
use unicode_width::UnicodeWidthStr as _;

use super::{Cell, Cells, Destination, Form, Language, Matrix, PORTS, Row, Style, Then};

pub(super) fn write(matrix: &Matrix, form: &Form, out: &mut dyn io::Write) -> io::Result<()> {
    let table = Words::new(matrix, form);
    let text = match form.style {
        Style::Text => table.text(),
        Style::Markdown => table.markdown(),
        Style::Html => table.html(),
    };
    out.write_all(text.as_bytes())
}

/// Everything that is said.
struct Words {
    language: Language,
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The kinds of cells, by row and port, for the page.
    cells: Vec<Cells>,
    legend: Vec<(&'static str, &'static str)>,
    as_of: String,
    /// For who looks into the page.
    generation: u32,
}

impl Words {
    fn new(matrix: &Matrix, form: &Form) -> Self {
        let Form { language, zone, .. } = form;
        let language = *language;
        let rows: Vec<Row> = matrix.rows.iter().map(|row| told(row, language)).collect();
        let changes = rows.iter().any(|row| !row.changes.is_empty());
        let mut heads = language.heads().to_vec();
        if !changes {
            heads.pop();
        }
        let outward = |of: &Row| {
            let mut rows = rows.iter();
            let row = rows.find(|it| {
                it.destination == Destination::Outside
                    && it.pool == of.pool
                    && (it.family.is_none() || of.family.is_none() || it.family == of.family)
            });
            row.and_then(|row| row.cells.first().copied())
        };
        let columns = |row: &Row| {
            let words = row.cells.iter().map(|it| language.cell(*it).to_owned());
            let mut columns = vec![
                language.source(row, outward(row)),
                language.destination(row.destination).to_owned(),
            ];
            columns.extend(words);
            columns.extend(changes.then(|| planned(row, language, zone)));
            columns
        };
        let kinds = [Cell::Allowed, Cell::Refused, Cell::Limited, Cell::Observed];
        let used = |kind: &Cell| {
            let mut cells = rows.iter().flat_map(|row| {
                let then = row.changes.iter().map(|it| &it.cells);
                then.chain([&row.cells])
            });
            cells.any(|cells| cells.contains(kind))
        };
        // To the minute: as of a moment before.
        let second = matrix.at.as_second();
        let minute = Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(matrix.at);
        Self {
            language,
            heads,
            rows: rows.iter().map(columns).collect(),
            cells: rows.iter().map(|row| row.cells).collect(),
            legend: kinds
                .into_iter()
                .filter(used)
                .map(|it| (language.cell(it), language.meaning(it)))
                .collect(),
            as_of: language.as_of(&language.moment(minute, zone)),
            generation: matrix.generation,
        }
    }

    fn text(&self) -> String {
        let lines = || {
            let heads = self.heads.iter().map(|it| (*it).to_owned()).collect();
            [heads].into_iter().chain(self.rows.iter().cloned())
        };
        let mut widths = vec![0; self.heads.len()];
        for line in lines() {
            for (width, column) in widths.iter_mut().zip(&line) {
                *width = column.width().max(*width);
            }
        }
        let mut text = format!("{}\n\n", self.language.title());
        for line in lines() {
            let columns = line.iter().zip(&widths).map(|(column, width)| {
                // Japanese letters are as wide as two others.
                let filling = width.saturating_sub(column.width());
                format!("{column}{}", " ".repeat(filling))
            });
            let columns: Vec<String> = columns.collect();
            let _ = writeln!(text, "  {}", columns.join("  ").trim_end());
        }
        text.push('\n');
        for (word, meaning) in &self.legend {
            let _ = writeln!(text, "{word}: {meaning}");
        }
        let _ = writeln!(text, "{}", self.as_of);
        text
    }

    fn markdown(&self) -> String {
        let line = |columns: &[String]| {
            let columns = columns.iter().map(|it| it.replace('|', "\\|"));
            format!("| {} |\n", columns.collect::<Vec<_>>().join(" | "))
        };
        let heads: Vec<String> = self.heads.iter().map(|it| (*it).to_owned()).collect();
        let mut text = format!("## {}\n\n{}", self.language.title(), line(&heads));
        let _ = writeln!(text, "|{}", "---|".repeat(heads.len()));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        text.push('\n');
        for (word, meaning) in &self.legend {
            let _ = writeln!(text, "- {word}: {meaning}");
        }
        let _ = writeln!(text, "\n{}", self.as_of);
        text
    }

    fn html(&self) -> String {
        let title = escaped(self.language.title());
        let mut text = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
             </head>\n<body>\n<table>\n<caption>{title}</caption>\n<thead>\n<tr>",
            self.language.tag()
        );
        for head in &self.heads {
            let _ = write!(text, "<th scope=\"col\">{}</th>", escaped(head));
        }
        text.push_str("</tr>\n</thead>\n<tbody>\n");
        for (row, cells) in self.rows.iter().zip(&self.cells) {
            text.push_str("<tr>");
            for (place, column) in row.iter().enumerate() {
                let column = escaped(column);
                let cell = place.checked_sub(2).and_then(|port| cells.get(port));
                let _ = match (place, cell) {
                    (0, _) => write!(text, "<th scope=\"row\">{column}</th>"),
                    (_, Some(cell)) => write!(text, "<td class=\"{}\">{column}</td>", class(*cell)),
                    (_, None) => write!(text, "<td>{column}</td>"),
                };
            }
            text.push_str("</tr>\n");
        }
        text.push_str("</tbody>\n</table>\n<dl>\n");
        for (word, meaning) in &self.legend {
            let _ = writeln!(
                text,
                "<dt>{}</dt><dd>{}</dd>",
                escaped(word),
                escaped(meaning)
            );
        }
        let _ = writeln!(
            text,
            "</dl>\n<p>{}</p>\n<!-- gate matrix, generation {} -->\n</body>\n</html>",
            escaped(&self.as_of),
            self.generation
        );
        text
    }
}

const STYLE: &str = "table { border-collapse: collapse; }\n\
                     caption { font-weight: bold; text-align: left; padding: 0.5em 0; }\n\
                     th, td { border: 1px solid #888; padding: 0.3em 0.6em; text-align: left; }\n\
                     td.refused { background: #fdd; }\n\
                     td.limited, td.observed { background: #ffc; }\n";

const fn class(cell: Cell) -> &'static str {
    match cell {
        Cell::Allowed => "allowed",
        Cell::Refused => "refused",
        Cell::Limited => "limited",
        Cell::Observed => "observed",
    }
}

/// A row as a language tells it: only what it has words for changes.
fn told(row: &Row, language: Language) -> Row {
    let cells = row.cells.map(|it| language.kind(it));
    let mut before = cells;
    let changes = row.changes.iter().filter_map(|it| {
        let cells = it.cells.map(|it| language.kind(it));
        let is_told = cells != before;
        before = cells;
        is_told.then_some(Then { cells, ..*it })
    });
    Row {
        changes: changes.collect(),
        cells,
        ..row.clone()
    }
}

/// When which ports become something else, and what.
fn planned(row: &Row, language: Language, zone: &TimeZone) -> String {
    let mut before = row.cells;
    let changes = row.changes.iter().map(|it| {
        let ports: Vec<String> = PORTS
            .iter()
            .zip(it.cells.into_iter().zip(before))
            .filter(|(_, (cell, before))| cell != before)
            .map(|(port, (cell, _))| language.port(*port, cell))
            .collect();
        before = it.cells;
        language.from(&language.moment(it.from, zone), &ports)
    });
    language.changes(&changes.collect::<Vec<_>>())
}

/// Text as HTML has it, in an element or an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use jiff::tz;

    use super::*;

    const LANGUAGES: [Language; 2] = [Language::English, Language::Japanese];

    fn row(pool: Option<&str>, policy: &str, destination: Destination, first: Cell) -> Row {
        Row {
            pool: pool.map(str::to_owned),
            policy: pool.map(|_| policy.to_owned()),
            family: None,
            destination,
            cells: [first, Cell::Allowed, Cell::Allowed],
            changes: Vec::new(),
        }
    }

    /// One of each.
    fn matrix(pool: &str) -> Matrix {
        let then = |at, first| Then {
            from: Timestamp::from_second(at).unwrap(),
            cells: [first, Cell::Allowed, Cell::Allowed],
        };
        let pool = Some(pool);
        let new = Row {
            changes: vec![
                then(1_800_000_000, Cell::Refused),
                then(1_800_003_610, Cell::Limited),
            ],
            ..row(
                Some("new"),
                "restrict",
                Destination::Outside,
                Cell::Observed,
            )
        };
        let static4 = Row {
            family: Some("IPv4"),
            changes: vec![then(1_800_000_000, Cell::Refused)],
            ..row(
                Some("static"),
                "exempt",
                Destination::Outside,
                Cell::Allowed,
            )
        };
        let static6 = Row {
            family: Some("IPv6"),
            ..row(
                Some("static"),
                "exempt",
                Destination::Outside,
                Cell::Allowed,
            )
        };
        Matrix {
            generation: 3,
            at: Timestamp::from_second(1_790_000_000).unwrap(),
            ports: PORTS,
            rows: vec![
                row(pool, "restrict", Destination::Outside, Cell::Refused),
                row(pool, "restrict", Destination::Relays, Cell::Allowed),
                row(pool, "restrict", Destination::Servers, Cell::Refused),
                new,
                row(
                    Some("trial"),
                    "restrict",
                    Destination::Outside,
                    Cell::Limited,
                ),
                static4,
                static6,
                row(None, "", Destination::Outside, Cell::Observed),
            ],
            form: form(Language::English, Style::Text),
        }
    }

    fn form(language: Language, style: Style) -> Form {
        let hours = match language {
            Language::English => -4,
            Language::Japanese => 9,
        };
        Form {
            language,
            style,
            zone: tz::offset(hours).to_time_zone(),
        }
    }

    fn shown(pool: &str, language: Language, style: Style) -> String {
        let mut out = Vec::new();
        write(&matrix(pool), &form(language, style), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Read by a person who speaks the language: what is published is no accident.
    #[test]
    fn the_words_are_those_that_were_read() {
        for (language, style, name) in [
            (Language::English, Style::Text, "en.txt"),
            (Language::Japanese, Style::Text, "ja.txt"),
            (Language::Japanese, Style::Html, "ja.html"),
        ] {
            let found = shown("dynamic", language, style);
            let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/matrix/golden"));
            let golden = golden.join(name);
            if env::var_os("GATE_BLESS").is_some() {
                fs::write(&golden, &found).unwrap();
            }
            let read = fs::read_to_string(&golden).unwrap();
            assert_eq!(found, read, "{found}");
        }
    }

    #[test]
    fn columns_are_below_one_another_in_both_languages() {
        for language in LANGUAGES {
            let text = shown("dynamic", language, Style::Text);
            let word = language.cell(Cell::Allowed);
            let rows: Vec<&str> = text.lines().skip(3).take(2).collect();
            // The cell of port 465 is the last one that has this word.
            let at = |row: &&str| row.get(..row.rfind(word).unwrap()).unwrap().width();
            let places: Vec<usize> = rows.iter().map(at).collect();
            let head = text.lines().nth(2).unwrap();
            let head = head
                .get(..head.find(language.heads()[4]).unwrap())
                .unwrap()
                .width();
            assert_eq!(places, [head, head], "{text}");
        }
    }

    #[test]
    fn times_have_their_zone() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        for (zone, english, japanese) in [
            (
                TimeZone::UTC,
                "2027-01-15 08:00 UTC",
                "2027年1月15日 8:00（UTC）",
            ),
            (
                TimeZone::posix("JST-9").unwrap(),
                "2027-01-15 17:00 UTC+09:00",
                "2027年1月15日 17:00（日本時間）",
            ),
            (
                TimeZone::posix("NST3:30").unwrap(),
                "2027-01-15 04:30 UTC-03:30",
                "2027年1月15日 4:30（UTC-03:30）",
            ),
        ] {
            let found = LANGUAGES.map(|it| it.moment(at, &zone));
            assert_eq!(found, [english, japanese]);
        }
    }

    #[test]
    fn markup_in_a_name_is_no_markup() {
        let html = shown("<b>&\"'", Language::English, Style::Html);
        assert!(html.contains("&lt;b&gt;&amp;&quot;&#39;"), "{html}");
        assert!(!html.contains("<b>"), "{html}");
        let markdown = shown("a|b", Language::English, Style::Markdown);
        assert!(markdown.contains("a\\|b"), "{markdown}");
    }

    #[test]
    fn a_page_is_whole_and_says_its_language() {
        let html = shown("dynamic", Language::Japanese, Style::Html);
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"ja\">"));
        for tag in [
            "table", "thead", "tbody", "tr", "th", "td", "dl", "body", "html",
        ] {
            let opened = html.matches(&format!("<{tag}>")).count()
                + html.matches(&format!("<{tag} ")).count();
            let closed = html.matches(&format!("</{tag}>")).count();
            assert!(opened == closed && opened > 0, "{tag}: {opened}, {closed}");
        }
    }
}
