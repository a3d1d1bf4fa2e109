//! List files: one prefix a line.
//!
//! ```text
//! # Static customers
//! 100.64.9.8          until=2027-01-01T00:00:00+09:00 ticket=NOC-4711   # one address
//! 2001:db8:100::/56   ticket="moved from the old pool"
//! ```
//!
//! A line holds `PREFIX [until=RFC3339] [ticket=TEXT]`, in this or another order after the prefix. A text ends at white
//! space unless it stands in double quotes, which hold everything but a double quote. A `#` that begins a word begins a
//! comment. Blank lines, CRLF line ends and a byte order mark are of no account.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::config::{Fault, count, prefix};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The prefix.
    pub(crate) prefix: IpNet,
    /// When the line ceases to apply.
    pub(crate) until: Option<Timestamp>,
    /// The operator's note: why the line is there.
    pub(crate) ticket: Option<String>,
}

/// A line that is neither blank nor a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// The column, in characters from 1, of the entry or of what is wrong.
    pub(crate) column: u32,
    /// What it says.
    pub(crate) content: Result<Entry, Fault>,
}

impl fmt::Display for Entry {
    /// The line that reads as this entry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if let Some(until) = self.until {
            write!(f, " until={until}")?;
        }
        match &self.ticket {
            None => Ok(()),
            Some(ticket) if ticket.contains(is_space) => write!(f, " ticket=\"{ticket}\""),
            Some(ticket) => write!(f, " ticket={ticket}"),
        }
    }
}

/// The lines of a list file that say something.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').enumerate().filter_map(|(index, line)| {
        let (rest, content) = match entry(line) {
            Ok(None) => return None,
            Ok(Some(found)) => (found.start, Ok(found.entry)),
            Err(Misread { rest, fault }) => (rest, Err(fault)),
        };
        let before = line.get(..line.len() - rest.len()).unwrap_or_default();
        Some(Line {
            number: count(index + 1),
            column: count(before.chars().count() + 1),
            content,
        })
    })
}

/// What is wrong with a line, and the part of the line that begins with it.
struct Misread<'l> {
    rest: &'l str,
    fault: Fault,
}

/// The entry of a line.
pub(crate) struct Found<'l> {
    /// The part of the line that begins with it.
    pub(crate) start: &'l str,
    /// What follows it: white space, and a comment if there is one.
    pub(crate) rest: &'l str,
    /// What it says.
    pub(crate) entry: Entry,
}

/// The entry of a line that can be read, and where it is.
pub(crate) fn found(line: &str) -> Option<Found<'_>> {
    entry(line).ok().flatten()
}

/// The entry of a line; `None` if the line says nothing.
fn entry(line: &str) -> Result<Option<Found<'_>>, Misread<'_>> {
    let Some((start, rest)) = skip_space(line).map(|start| (start, after_word(start))) else {
        return Ok(None);
    };
    let prefix =
        prefix::parse(before(start, rest)).map_err(|fault| Misread { rest: start, fault })?;
    let mut entry = Entry {
        prefix,
        until: None,
        ticket: None,
    };
    let mut rest = rest;
    while let Some(start) = skip_space(rest) {
        rest = attribute(start, &mut entry).map_err(|fault| Misread { rest: start, fault })?;
    }
    Ok(Some(Found { start, rest, entry }))
}

/// Reads the attribute that `text` begins with; returns what follows it.
fn attribute<'l>(text: &'l str, entry: &mut Entry) -> Result<&'l str, Fault> {
    let word = before(text, after_word(text));
    let (name, value, rest) = match word.split_once('=') {
        Some((name, value)) if value.starts_with('"') => {
            let (value, rest) = quoted(text)?;
            (name, value, rest)
        }
        Some((name, value)) => (name, value, after_word(text)),
        None => return Err(unexpected(word)),
    };
    match name {
        "until" if entry.until.is_none() => entry.until = Some(until(value)?),
        "ticket" if value.is_empty() => {
            return Err(Fault::new(
                "`ticket=` has no text",
                "write `ticket=TEXT` or `ticket=\"TEXT WITH SPACES\"`, or leave it out",
            ));
        }
        "ticket" if entry.ticket.is_none() => entry.ticket = Some(value.to_owned()),
        "until" | "ticket" => {
            return Err(Fault::new(
                format!("a second `{name}=` on this line"),
                "keep one of them",
            ));
        }
        _ => return Err(unexpected(word)),
    }
    Ok(rest)
}

/// The text between the first two double quotes, and what follows, which begins with white space or is empty.
fn quoted(text: &str) -> Result<(&str, &str), Fault> {
    let mut parts = text.splitn(3, '"');
    let (Some(_), Some(value), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::new(
            "a double quote is not closed on this line",
            "add the closing double quote at the end of the text",
        ));
    };
    if rest.is_empty() || rest.starts_with(is_space) {
        Ok((value, rest))
    } else {
        Err(Fault::new(
            "text follows a closing double quote",
            "put white space after it; a quoted text holds no double quote",
        ))
    }
}

fn until(value: &str) -> Result<Timestamp, Fault> {
    value.parse().map_err(|_| {
        Fault::new(
            format!("`until={value}` is no time with an offset from UTC"),
            "write it as RFC 3339 has it, for example `until=2027-01-01T00:00:00+09:00`",
        )
    })
}

fn unexpected(word: &str) -> Fault {
    Fault::new(
        format!("`{word}` after the prefix is nothing that a list file knows"),
        "a line is `PREFIX [until=RFC3339] [ticket=TEXT]`; a comment begins with `#`",
    )
}

/// The text from its next word on; `None` if there is none, or only a comment.
fn skip_space(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(is_space);
    (!text.is_empty() && !text.starts_with('#')).then_some(text)
}

/// What follows the word that `text` begins with.
fn after_word(text: &str) -> &str {
    text.find(is_space)
        .and_then(|end| text.get(end..))
        .unwrap_or_default()
}

/// `text` up to `rest`, which is its end.
fn before<'l>(text: &'l str, rest: &str) -> &'l str {
    text.get(..text.len() - rest.len()).unwrap_or_default()
}

const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &str) -> Line {
        let mut lines = lines(line);
        let first = lines.next().unwrap();
        assert_eq!(lines.next(), None, "{line}");
        first
    }

    #[test]
    fn reads_prefix_until_and_ticket() {
        let line =
            one("  100.64.9.8/32\tuntil=2027-01-01T00:00:00+09:00 ticket=NOC-4711 # one\r\n");
        assert_eq!((line.number, line.column), (1, 3));
        let entry = line.content.unwrap();
        assert_eq!(entry.prefix, "100.64.9.8/32".parse().unwrap());
        assert_eq!(entry.until, Some("2026-12-31T15:00:00Z".parse().unwrap()));
        assert_eq!(entry.ticket.as_deref(), Some("NOC-4711"));

        let entry = one("2001:db8::1 ticket=\"a # b\" until=2027-01-01T00:00:00Z#x");
        assert!(
            entry
                .content
                .unwrap_err()
                .message
                .contains("until=2027-01-01T00:00:00Z#x")
        );
        let entry = one("2001:db8::1 ticket=\"a # b\"").content.unwrap();
        assert_eq!(entry.prefix, "2001:db8::1/128".parse().unwrap());
        assert_eq!(entry.ticket.as_deref(), Some("a # b"));
        assert_eq!(
            one("192.0.2.1 ticket=#12")
                .content
                .unwrap()
                .ticket
                .as_deref(),
            Some("#12")
        );
    }

    #[test]
    fn blank_lines_comments_crlf_and_a_byte_order_mark_are_of_no_account() {
        let text = "\u{feff}192.0.2.1\r\n\r\n   # nothing\n#\n\t\n192.0.2.2 # two";
        let numbers: Vec<_> = lines(text)
            .map(|line| (line.number, line.column, line.content.unwrap().to_string()))
            .collect();
        assert_eq!(
            numbers,
            [(1, 1, "192.0.2.1/32".into()), (6, 1, "192.0.2.2/32".into())]
        );
    }

    #[test]
    fn a_bad_line_says_where_why_and_what_to_write() {
        for (line, column, message, hint) in [
            (
                " 10.0.0.1/8",
                2,
                "has bits set after the first 8",
                "did you mean 10.0.0.0/8",
            ),
            (
                "10.0.0.0/8,x",
                1,
                "no IPv4 prefix length",
                "a number from 0 to 32",
            ),
            (
                "10.0.0.0/8 dynamic",
                12,
                "`dynamic` after the prefix",
                "PREFIX [until=RFC3339]",
            ),
            (
                "10.0.0.0/8 note=x",
                12,
                "`note=x` after the prefix",
                "PREFIX [until=RFC3339]",
            ),
            (
                "10.0.0.0/8 ticket=国 until=2027-01-01",
                21,
                "`until=2027-01-01` is no time with an offset",
                "until=2027-01-01T00:00:00+09:00",
            ),
            (
                "10.0.0.0/8 until=2027-01-01T00:00:00",
                12,
                "is no time with an offset",
                "RFC 3339",
            ),
            (
                "10.0.0.0/8 ticket=a ticket=b",
                21,
                "a second `ticket=`",
                "keep one",
            ),
            (
                "10.0.0.0/8 ticket=",
                12,
                "`ticket=` has no text",
                "leave it out",
            ),
            (
                "10.0.0.0/8 ticket=\"\"",
                12,
                "`ticket=` has no text",
                "leave it out",
            ),
            (
                "10.0.0.0/8 ticket=\"a b",
                12,
                "is not closed",
                "closing double quote",
            ),
            (
                "10.0.0.0/8 ticket=\"a\"b",
                12,
                "follows a closing",
                "white space after it",
            ),
        ] {
            let read = one(line);
            let fault = read.content.unwrap_err();
            assert_eq!(read.column, column, "{line}");
            assert!(fault.message.contains(message), "{line}: {}", fault.message);
            assert!(fault.hint.contains(hint), "{line}: {}", fault.hint);
        }
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let v4 = (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| {
            IpNet::new(std::net::Ipv4Addr::from_bits(bits).into(), length)
        });
        // Global unicast: other addresses may stand for IPv4.
        let v6 = (any::<u128>(), 3..=128u8).prop_map(|(bits, length)| {
            let bits = bits >> 3 | 1 << 125;
            IpNet::new(std::net::Ipv6Addr::from_bits(bits).into(), length)
        });
        let prefix = prop_oneof![v4, v6].prop_map(|net| net.unwrap().trunc());
        let until = proptest::option::of(0..4_000_000_000i64)
            .prop_map(|second| second.map(|second| Timestamp::from_second(second).unwrap()));
        let ticket = proptest::option::of("[^\"\\r\\n\u{feff}]{1,20}");
        (prefix, until, ticket).prop_map(|(prefix, until, ticket)| Entry {
            prefix,
            until,
            ticket,
        })
    }

    proptest! {
        #[test]
        fn an_entry_reads_as_it_is_written(entry in entries()) {
            prop_assert_eq!(one(&entry.to_string()).content, Ok(entry));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            for line in lines(&text) {
                prop_assert!(line.number >= 1 && line.column >= 1);
            }
        }

        #[test]
        fn text_that_is_nearly_a_line_is_read_or_refused(
            text in "(10\\.0\\.0\\.0/8|::1|x)?[ \t]{0,2}(until=|ticket=|\"|#|=|a|国|2027-01-01T00:00:00Z|[ \r\n]){0,8}"
        ) {
            for line in lines(&text) {
                if let Ok(entry) = line.content {
                    prop_assert_eq!(one(&entry.to_string()).content, Ok(entry));
                }
            }
        }
    }
}
