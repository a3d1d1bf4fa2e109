//! Texts without addresses, for readers who are not to see any.
//!
//! What is wrong with the gate is told in sentences, and those of a list file that cannot be read name the prefixes of customers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What may follow an address at the end of a sentence, or of a part of one.
const END: [char; 2] = ['.', ':'];

/// What stands where an address was.
const LEFT_OUT: &str = "[address]";

/// The text with every address, and the length of its prefix, left out; those of the machine itself stay.
pub(super) fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|it| !in_address(it)).unwrap_or(rest.len());
        let (before, after) = rest.split_at(word);
        if let Some(at) = in_word(before, after) {
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

/// Where in a word an address of somebody begins, or what was to be one. What follows it in the word goes with it. `after` is what follows
/// the word.
fn in_word(word: &str, after: &str) -> Option<usize> {
    let is_in_it = |it: u8| it.is_ascii_hexdigit() || matches!(it, b'.' | b':');
    let mut found = addresses(word).peekable();
    // A part of a mistaken one may be one.
    let whole = word.bytes().all(is_in_it) && found.peek().is_none_or(|(at, _)| *at > 0);
    if (whole || found.peek().is_none()) && is_meant_as_one(word, after) {
        return Some(0);
    }
    found.find_map(|(at, address)| is_of_somebody(address).then_some(at))
}

/// The addresses in a word: at its beginning, or after a colon, as after the number of a line.
fn addresses(word: &str) -> impl Iterator<Item = (usize, IpAddr)> {
    let colons = word.match_indices(':').map(|(at, _)| at + 1);
    [0].into_iter().chain(colons).filter_map(|at| {
        // The end of a sentence, or the port of an IPv4 address, is no part of it.
        let whole = word.get(at..).unwrap_or_default().trim_end_matches(END);
        let host = whole.split(':').next().unwrap_or_default();
        let v4 = || host.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
        address(whole).or_else(v4).map(|address| (at, address))
    })
}

/// Whether a word that is no address was to be one: that is what is wrong with some lines of a list file.
fn is_meant_as_one(word: &str, after: &str) -> bool {
    let whole = word.trim_end_matches(END);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    let has_length = after
        .strip_prefix('/')
        .is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()));
    let parts = whole.split('.').count();
    let numbers = whole.split('.').filter(|it| is_number(it)).count();
    // Three numbers are a version, unless the length of a prefix follows.
    let v4 = (parts > 3 && numbers >= 3) || (has_length && parts > 1 && numbers == parts);
    let groups = || {
        let groups = whole.split(':').filter(|it| (1..=4).contains(&it.len()));
        groups.filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    let colons = whole.matches(':').count();
    // Three short groups are a time of day, or a line and a column behind the name of a file.
    let v6 = (colons > 2 || whole.contains("::"))
        && groups().count() >= 2
        && groups().any(|it| it.len() > 2);
    v4 || v6
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
            (
                "`100.64.09.8/32` is no prefix: `100.64.09.8` is neither",
                "`[address]` is no prefix: `[address]` is neither",
            ),
            (
                "100.64.9.300, 100.64.9.8O, 100.64.9.8.1, 100.64.9/24",
                "[address], [address], [address], [address]",
            ),
            (
                "2001:db8:7:42::5g/128, 2001:db8:7:42:5, 2001:db8::7::5",
                "[address], [address], [address]",
            ),
            (
                "gate.toml:25:100: x, 23:59:59",
                "gate.toml:25:100: x, 23:59:59",
            ),
            ("Linux 6.1.0-13, 6.12/2", "Linux 6.1.0-13, [address]"),
        ] {
            assert_eq!(without_addresses(text), expected, "{text}");
        }
    }
}
