//! What a person asks for, and what speaks against it.

use ipnet::IpNet;
use jiff::{Span, Timestamp, Unit, tz::TimeZone};

use super::ExemptError;

/// An exemption that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose port 25 is to be open.
    pub prefix: IpNet,
    /// Until when; nothing is without end.
    pub until: Option<Timestamp>,
    /// Why.
    pub ticket: Option<String>,
}

impl Wanted {
    /// Makes sure that it can be had.
    pub fn check(&self, now: Timestamp) -> Result<(), ExemptError> {
        if let Some(until) = self.until.filter(|it| *it <= now) {
            return Err(ExemptError::Past { until });
        }
        let Some(ticket) = &self.ticket else {
            return Ok(());
        };
        let why = if ticket.trim().is_empty() {
            "it says nothing"
        } else if ticket.contains('"') {
            "it has a double quote, which ends the text there"
        } else if ticket.chars().any(char::is_control) {
            "it has control characters, line breaks or tabs, and a line is one line"
        } else {
            return Ok(());
        };
        Err(ExemptError::Ticket {
            ticket: ticket.clone(),
            why,
        })
    }
}

/// Reads a prefix as a list file would, with what to write instead where that is none.
pub fn prefix(text: &str) -> Result<IpNet, String> {
    crate::config::prefix::parse(text).map_err(|fault| format!("{}: {}", fault.message, fault.hint))
}

/// Reads a moment, or how long it is until then: `2027-01-01T00:00:00+09:00`, `30d`, `12h`. Days are of 24 hours.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = "is no time with an offset such as 2027-01-01T00:00:00+09:00, and no length such as 30d or 12h";
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let length: Span = text.parse().map_err(|_| wrong)?;
    let at = now
        .to_zoned(TimeZone::UTC)
        .checked_add(length)
        .map_err(|_| "is too long")?;
    // A list of whole seconds is easier to read.
    Ok(at.timestamp().round(Unit::Second).unwrap_or(at.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_end_is_a_moment_or_a_length() {
        let now = at("2026-11-23T10:00:00.4Z");
        for (text, expected) in [
            ("2027-01-01T00:00:00+09:00", "2026-12-31T15:00:00Z"),
            ("30d", "2026-12-23T10:00:00Z"),
            ("2w", "2026-12-07T10:00:00Z"),
            ("12h", "2026-11-23T22:00:00Z"),
            ("1mo", "2026-12-23T10:00:00Z"),
        ] {
            assert_eq!(until(text, now), Ok(at(expected)), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2027-01-01",
            "2027-01-01T00:00:00",
            "30",
            "99999999999d",
        ] {
            until(text, now).unwrap_err();
        }
    }

    #[test]
    fn what_is_over_or_cannot_be_written_is_refused() {
        let now = at("2026-11-23T10:00:00Z");
        let wanted = |until: Option<&str>, ticket: Option<&str>| Wanted {
            prefix: "192.0.2.1/32".parse().unwrap(),
            until: until.map(at),
            ticket: ticket.map(str::to_owned),
        };
        for (until, ticket, words) in [
            (None, None, ""),
            (Some("2026-11-23T10:00:01Z"), Some("NOC 1 # 国"), ""),
            (Some("2026-11-23T10:00:00Z"), None, "has passed"),
            (None, Some(" "), "says nothing"),
            (None, Some("a \"b\""), "double quote"),
            (None, Some("a\nb"), "control"),
        ] {
            let result = wanted(until, ticket).check(now);
            let said = result.err().map(|it| it.to_string()).unwrap_or_default();
            assert!(
                said.contains(words) && said.is_empty() == words.is_empty(),
                "{said}"
            );
        }
    }

    #[test]
    fn a_prefix_with_host_bits_is_told_what_is_meant() {
        assert_eq!(
            prefix("192.0.2.1").unwrap(),
            "192.0.2.1/32".parse().unwrap()
        );
        let said = prefix("192.0.2.1/24").unwrap_err();
        assert!(said.contains("192.0.2.0/24"), "{said}");
    }
}
