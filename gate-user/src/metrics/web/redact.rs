//! Texts without addresses, for readers who are not to see any.
//!
//! What is wrong with the gate is told in sentences, and those of a list file that cannot be read name the prefixes of customers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands where an address was.
const LEFT_OUT: &str = "[address]";

/// The text with every address, and the length of its prefix, left out; those of the machine itself stay.
pub(super) fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|it| !in_address(it)).unwrap_or(rest.len());
        let (before, after) = rest.split_at(word);
        if let Some(at) = in_word(before) {
            out.push_str(before.get(..at).unwrap_or_default());
            out.push_str(LEFT_OUT);
            rest = without_length(after);
        } else {
            out.push_str(before);
            rest = after;
        }
        let other = rest.find(in_address).unwrap_or(rest.len());
        let (between, after) = rest.split_at(other);
        out.push_str(between);
        rest = after;
    }
    out
}

/// What an address is written with. Letters that it is not written with as well: a word that merely ends like one is none.
const fn in_address(it: char) -> bool {
    it.is_ascii_alphanumeric() || matches!(it, '.' | ':')
}

/// Where in a word an address begins: at its beginning, or after a colon, as after the number of a line. What follows it in the word goes with it.
fn in_word(word: &str) -> Option<usize> {
    let colons = word.match_indices(':').map(|(at, _)| at + 1);
    [0].into_iter().chain(colons).find(|at| {
        let candidate = word.get(*at..).unwrap_or_default();
        // The end of a sentence, or the port of an IPv4 address, is no part of it.
        let whole = candidate.trim_end_matches(['.', ':']);
        let host = whole.split(':').next().unwrap_or_default();
        address(whole)
            .or_else(|| host.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
            .is_some_and(is_of_somebody)
    })
}

fn address(text: &str) -> Option<IpAddr> {
    let v6 = || text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    text.parse::<Ipv4Addr>().ok().map(IpAddr::V4).or_else(v6)
}

const fn is_of_somebody(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

/// The text without `/32` or the like at its beginning.
fn without_length(text: &str) -> &str {
    let Some(length) = text.strip_prefix('/') else {
        return text;
    };
    let end = length.find(|it: char| !it.is_ascii_digit());
    let (digits, after) = length.split_at(end.unwrap_or(length.len()));
    if digits.is_empty() { text } else { after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_left_and_nothing_else_is_gone() {
        for (text, expected) in [
            ("", ""),
            ("no address here: 12:34:56.", "no address here: 12:34:56."),
            (
                "pool dynamic, 100.64.9.8/32, twice",
                "pool dynamic, [address], twice",
            ),
            ("100.64.9.8", "[address]"),
            ("100.64.9.8.", "[address]"),
            (
                "static.txt:3: 2001:db8::8/56 is no prefix",
                "static.txt:3: [address] is no prefix",
            ),
            ("static.txt:3:100.64.9.8 is", "static.txt:3:[address] is"),
            (
                "prefix=2001:DB8::8, (100.64.9.8)",
                "prefix=[address], ([address])",
            ),
            ("pools/100.64.9.8/a", "pools/[address]/a"),
            (
                "from 192.0.2.1:4711 to [2001:db8::25]:25",
                "from [address] to [[address]]:25",
            ),
            (
                "::ffff:100.64.9.8 und ü100.64.9.8",
                "[address] und ü[address]",
            ),
            (
                "127.0.0.1:25587, [::1]:25587, 0.0.0.0/0",
                "127.0.0.1:25587, [::1]:25587, 0.0.0.0/0",
            ),
            (
                "2026-11-23T06:27:24Z gate 1.2.3",
                "2026-11-23T06:27:24Z gate 1.2.3",
            ),
            ("config::Error abc", "config::Error abc"),
        ] {
            assert_eq!(without_addresses(text), expected, "{text}");
        }
    }
}
