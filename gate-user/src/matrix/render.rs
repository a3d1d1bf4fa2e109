//! The table as text, as Markdown and as a page.

use std::{fmt::Write as _, io};

use unicode_width::UnicodeWidthStr as _;

use super::{Cell, Cells, Language, Matrix, PORTS, Row, Style, Then};

pub(super) fn write(
    matrix: &Matrix,
    language: Language,
    style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let table = Words::new(matrix, language);
    let text = match style {
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
    cells: Vec<[Cell; PORTS.len()]>,
    legend: Vec<(&'static str, &'static str)>,
    source: String,
}

impl Words {
    fn new(matrix: &Matrix, language: Language) -> Self {
        let changes = matrix.rows.iter().any(|row| row.then.is_some());
        let mut heads = language.heads().to_vec();
        if !changes {
            heads.pop();
        }
        let row = |row: &Row| {
            let words = row.cells.iter().map(|it| language.cell(*it).to_owned());
            let mut columns = vec![
                language.source(row),
                language.destination(row.destination).to_owned(),
            ];
            columns.extend(words);
            if changes {
                columns.push(
                    row.then
                        .map_or_else(String::new, |it| then(it, row.cells, language)),
                );
            }
            columns
        };
        let kinds = [Cell::Allowed, Cell::Refused, Cell::Limited, Cell::Observed];
        let used = |kind: &Cell| matrix.rows.iter().any(|row| row.cells.contains(kind));
        Self {
            language,
            heads,
            rows: matrix.rows.iter().map(row).collect(),
            cells: matrix.rows.iter().map(|row| row.cells).collect(),
            legend: kinds
                .into_iter()
                .filter(used)
                .map(|it| (language.cell(it), language.meaning(it)))
                .collect(),
            source: language.source_of(matrix.generation, &format!("{:.0}", matrix.at)),
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
        let _ = writeln!(text, "{}", self.source);
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
        let _ = writeln!(text, "\n{}", self.source);
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
            "</dl>\n<p>{}</p>\n</body>\n</html>",
            escaped(&self.source)
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

/// What becomes another cell than it is in `now`.
fn then(then: Then, now: Cells, language: Language) -> String {
    let cells: Vec<String> = PORTS
        .iter()
        .zip(then.cells.into_iter().zip(now))
        .filter(|(_, (cell, now))| cell != now)
        .map(|(port, (cell, _))| language.port(*port, cell))
        .collect();
    language.from(&format!("{:.0}", then.from), &cells.join(", "))
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
    use jiff::Timestamp;

    use super::*;
    use crate::matrix::Destination;

    fn matrix(pool: &str) -> Matrix {
        let row = |destination, first, then| Row {
            pool: Some(pool.to_owned()),
            policy: Some("restrict".to_owned()),
            family: None,
            destination,
            cells: [first, Cell::Allowed, Cell::Allowed],
            then,
        };
        let then = Then {
            from: Timestamp::from_second(1_800_000_000).unwrap(),
            cells: [Cell::Refused, Cell::Allowed, Cell::Allowed],
        };
        Matrix {
            generation: 3,
            at: Timestamp::from_second(1_790_000_000).unwrap(),
            ports: PORTS,
            rows: vec![
                row(Destination::Outside, Cell::Observed, Some(then)),
                row(Destination::Relays, Cell::Allowed, None),
            ],
            language: Language::English,
            style: Style::Text,
        }
    }

    fn shown(pool: &str, language: Language, style: Style) -> String {
        let mut out = Vec::new();
        write(&matrix(pool), language, style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_below_one_another_in_both_languages() {
        for language in [Language::English, Language::Japanese] {
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
            assert_eq!(places.last(), Some(&head), "{text}");
            assert!(text.contains(language.heads()[5]), "{text}");
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
        assert!(
            html.contains("2027-01-15T08:00:00Zから25番ポートブロック対象</td>"),
            "{html}"
        );
    }
}
