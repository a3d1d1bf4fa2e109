//! One line of a list file changed, and every other octet as it was.

use ipnet::IpNet;

use crate::lists::{self, Entry};

/// A text in which one prefix was put or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edited {
    /// The text now.
    pub(super) text: String,
    /// What stood there for the prefix before.
    pub(super) before: Option<Entry>,
}

/// The text with this entry: in the place of the one that has its prefix, whose comment stays, else at the end. Where several have it, the others
/// go.
pub(super) fn put(text: &str, entry: &Entry) -> Edited {
    let mut before = None;
    let mut edited = String::with_capacity(text.len() + 80);
    for line in lines(text) {
        match line.of(entry.prefix) {
            None => edited.push_str(line.all),
            Some(found) if before.is_none() => {
                let lead = line.body.len() - found.start.len();
                edited.push_str(line.mark);
                edited.push_str(line.body.get(..lead).unwrap_or_default());
                edited.push_str(&entry.to_string());
                edited.push_str(found.rest);
                edited.push_str(line.end);
                before = Some(found.entry);
            }
            Some(_) => edited.push_str(line.mark),
        }
    }
    if before.is_none() {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        if !edited.is_empty() && edited != MARK && !edited.ends_with('\n') {
            edited.push_str(end);
        }
        edited.push_str(&entry.to_string());
        edited.push_str(end);
    }
    Edited {
        text: edited,
        before,
    }
}

/// The text without the lines of this prefix.
pub(super) fn delete(text: &str, prefix: IpNet) -> Edited {
    let mut before = None;
    let mut edited = String::with_capacity(text.len());
    for line in lines(text) {
        match line.of(prefix) {
            None => edited.push_str(line.all),
            Some(found) => {
                edited.push_str(line.mark);
                before = before.or(Some(found.entry));
            }
        }
    }
    Edited {
        text: edited,
        before,
    }
}

/// A byte order mark.
const MARK: &str = "\u{feff}";

struct Line<'t> {
    all: &'t str,
    mark: &'t str,
    body: &'t str,
    end: &'t str,
}

impl Line<'_> {
    /// Its entry, if that is of this prefix.
    fn of(&self, prefix: IpNet) -> Option<lists::Found<'_>> {
        lists::found(self.body).filter(|it| it.entry.prefix == prefix)
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.split_inclusive('\n').enumerate().map(|(index, all)| {
        let (mark, rest) = match all.strip_prefix(MARK) {
            Some(rest) if index == 0 => (MARK, rest),
            _ => ("", all),
        };
        let (body, end) = match rest.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (rest, ""),
        };
        Line {
            all,
            mark,
            body,
            end,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(prefix: &str, ticket: Option<&str>) -> Entry {
        Entry {
            prefix: prefix.parse().unwrap(),
            until: None,
            ticket: ticket.map(str::to_owned),
        }
    }

    #[test]
    fn a_new_prefix_comes_last_with_the_line_ends_of_the_file() {
        let new = entry("192.0.2.1/32", Some("NOC-1"));
        for (text, expected) in [
            ("", "192.0.2.1/32 ticket=NOC-1\n"),
            ("# a\n", "# a\n192.0.2.1/32 ticket=NOC-1\n"),
            ("# a", "# a\n192.0.2.1/32 ticket=NOC-1\n"),
            (
                "10.0.0.1\r\n# b",
                "10.0.0.1\r\n# b\r\n192.0.2.1/32 ticket=NOC-1\r\n",
            ),
            ("\u{feff}", "\u{feff}192.0.2.1/32 ticket=NOC-1\n"),
        ] {
            let edited = put(text, &new);
            assert_eq!((edited.text.as_str(), edited.before), (expected, None));
        }
    }

    #[test]
    fn a_prefix_that_is_there_is_replaced_in_its_place_and_keeps_its_comment() {
        let new = entry("192.0.2.1/32", Some("two words"));
        for (text, expected) in [
            (
                "# a\n  192.0.2.1 ticket=old  # call first\n10.0.0.1\n",
                "# a\n  192.0.2.1/32 ticket=\"two words\"  # call first\n10.0.0.1\n",
            ),
            ("192.0.2.1/32\r\n", "192.0.2.1/32 ticket=\"two words\"\r\n"),
            ("192.0.2.1", "192.0.2.1/32 ticket=\"two words\""),
            (
                "\u{feff}192.0.2.1\n10.0.0.1\n192.0.2.1 # again\n",
                "\u{feff}192.0.2.1/32 ticket=\"two words\"\n10.0.0.1\n",
            ),
        ] {
            let edited = put(text, &new);
            assert_eq!(edited.text, expected);
            assert_eq!(edited.before.unwrap().prefix, new.prefix);
        }
    }

    #[test]
    fn a_deleted_prefix_takes_its_lines_and_nothing_else() {
        let prefix = "192.0.2.1/32".parse().unwrap();
        let text = "\u{feff}192.0.2.1 # b\r\n\r\n# 192.0.2.1\r\n192.0.2.1 ticket=x\r\n192.0.2.0/24";
        let edited = delete(text, prefix);
        assert_eq!(edited.text, "\u{feff}\r\n# 192.0.2.1\r\n192.0.2.0/24");
        assert_eq!(edited.before, Some(entry("192.0.2.1/32", None)));
        assert_eq!(delete(&edited.text, prefix).before, None);
    }

    /// Texts of lines of every kind, with several prefixes of which some are one.
    fn texts() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            "[ \t]{0,2}10\\.0\\.0\\.[0-3](/32)?( ticket=[a-z]{1,3})?( +# [a-z]{0,4})?",
            "[ \t]{0,2}#? ?[a-z]{0,5}",
            "",
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n")];
        let lines = proptest::collection::vec((line, end), 0..8);
        (any::<bool>(), lines, any::<bool>()).prop_map(|(mark, lines, last)| {
            let parts: Vec<&str> = lines
                .iter()
                .flat_map(|(line, end)| [line.as_str(), end])
                .collect();
            let body = parts.concat();
            let body = if last {
                body.as_str()
            } else {
                body.trim_end_matches(['\r', '\n'])
            };
            format!("{}{body}", if mark { MARK } else { "" })
        })
    }

    /// The lines that are not of this prefix, without what ends them.
    fn others(text: &str, prefix: IpNet) -> Vec<String> {
        let text = text.strip_prefix(MARK).unwrap_or(text);
        text.lines()
            .filter(|line| lists::found(line).is_none_or(|it| it.entry.prefix != prefix))
            .map(str::to_owned)
            .collect()
    }

    fn of(text: &str, prefix: IpNet) -> Vec<Entry> {
        lists::lines(text)
            .filter_map(|line| line.content.ok())
            .filter(|entry| entry.prefix == prefix)
            .collect()
    }

    proptest! {
        #[test]
        fn nothing_but_the_prefix_changes(text in texts(), host in 0..5u8, ticket in "[a-z]{1,9}") {
            let new = entry(&format!("10.0.0.{host}/32"), Some(&ticket));
            let prefix = new.prefix;
            let known = of(&text, prefix);

            let edited = put(&text, &new);
            prop_assert_eq!(&edited.before, &known.first().cloned());
            prop_assert_eq!(of(&edited.text, prefix), vec![new.clone()]);
            prop_assert_eq!(others(&edited.text, prefix), others(&text, prefix));
            prop_assert_eq!(put(&edited.text, &new).text, edited.text.clone());

            let deleted = delete(&text, prefix);
            prop_assert_eq!(&deleted.before, &known.first().cloned());
            prop_assert_eq!(of(&deleted.text, prefix), vec![]);
            prop_assert_eq!(others(&deleted.text, prefix), others(&text, prefix));
            prop_assert_eq!(delete(&edited.text, prefix).text.starts_with(MARK), text.starts_with(MARK));
        }
    }
}
