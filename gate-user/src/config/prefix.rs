//! The text of a prefix.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::Fault;

/// `::ffff:0:0/96`: IPv4 addresses in IPv6 form (RFC 4291 section 2.5.5.2). The kernel tables keep IPv4 there.
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// Reads `ADDRESS` or `ADDRESS/LENGTH`; an address alone is a prefix of itself only.
///
/// Refused, because each means something else than it says: bits set after the prefix, and IPv4 prefixes in IPv6 form.
pub(crate) fn parse(text: &str) -> Result<IpNet, Fault> {
    let (address_text, length_text) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address_text
        .parse()
        .map_err(|_| no_address(text, address_text))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length_text {
        None => Some(longest),
        // With a leading zero it is an octal number to some programs.
        Some(digits) if digits.starts_with('0') && digits != "0" => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
    };
    let net = length
        .and_then(|length| IpNet::new(address, length).ok())
        .ok_or_else(|| no_length(text, address, longest))?;
    if net.trunc() != net {
        return Err(Fault::new(
            format!(
                "`{text}` has bits set after the first {}, which are its prefix",
                net.prefix_len()
            ),
            format!(
                "did you mean {}, or {address} for that one address?",
                net.trunc()
            ),
        ));
    }
    match net {
        IpNet::V4(_) => Ok(net),
        IpNet::V6(v6) => ipv6_only(text, v6).map(IpNet::V6),
    }
}

fn no_address(text: &str, address: &str) -> Fault {
    Fault::new(
        format!("`{text}` is no prefix: `{address}` is neither an IPv4 nor an IPv6 address"),
        "write ADDRESS or ADDRESS/LENGTH, for example 192.0.2.0/24, 2001:db8::/32 or 192.0.2.25",
    )
}

fn no_length(text: &str, address: IpAddr, longest: u8) -> Fault {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    Fault::new(
        format!("`{text}` is no prefix: what follows the `/` is no {family} prefix length"),
        format!("write a number from 0 to {longest}, for example {address}/{longest}"),
    )
}

/// Refuses an IPv6 prefix that names IPv4 addresses. Shorter ones, up to `::/0`, mean IPv6 only: the tables see to it.
fn ipv6_only(text: &str, net: Ipv6Net) -> Result<Ipv6Net, Fault> {
    if let (true, Some(v4)) = (MAPPED.contains(&net), net.addr().to_ipv4_mapped()) {
        let v4 = Ipv4Net::new(v4, net.prefix_len() - MAPPED.prefix_len());
        return Err(Fault::new(
            format!("`{text}` is an IPv4 prefix in IPv6 form"),
            v4.map_or_else(
                |_| "write it as IPv4".to_owned(),
                |v4| format!("write {v4}"),
            ),
        ));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_prefixes_and_addresses() {
        for (text, prefix) in [
            ("100.64.0.0/10", "100.64.0.0/10"),
            ("192.0.2.25", "192.0.2.25/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8:100::/40", "2001:db8:100::/40"),
            ("2001:db8::25", "2001:db8::25/128"),
            ("::1", "::1/128"),
            ("2000::/3", "2000::/3"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), prefix);
        }
    }

    #[test]
    fn refuses_the_rest_with_cause_and_remedy() {
        for (text, message, hint) in [
            (
                "100.64.9.8/10",
                "`100.64.9.8/10` has bits set after the first 10, which are its prefix",
                "did you mean 100.64.0.0/10, or 100.64.9.8 for that one address?",
            ),
            (
                "2001:db8::1/32",
                "`2001:db8::1/32` has bits set after the first 32, which are its prefix",
                "did you mean 2001:db8::/32, or 2001:db8::1 for that one address?",
            ),
            (
                "::ffff:192.0.2.0/120",
                "`::ffff:192.0.2.0/120` is an IPv4 prefix in IPv6 form",
                "write 192.0.2.0/24",
            ),
            (
                "::ffff:192.0.2.25",
                "`::ffff:192.0.2.25` is an IPv4 prefix in IPv6 form",
                "write 192.0.2.25/32",
            ),
            (
                "192.0.2.0/33",
                "`192.0.2.0/33` is no prefix: what follows the `/` is no IPv4 prefix length",
                "write a number from 0 to 32, for example 192.0.2.0/32",
            ),
            (
                "10.0.0.0/024",
                "`10.0.0.0/024` is no prefix: what follows the `/` is no IPv4 prefix length",
                "write a number from 0 to 32, for example 10.0.0.0/32",
            ),
            (
                "2001:db8::/",
                "`2001:db8::/` is no prefix: what follows the `/` is no IPv6 prefix length",
                "write a number from 0 to 128, for example 2001:db8::/128",
            ),
            (
                "192.0.2.0/+8",
                "`192.0.2.0/+8` is no prefix: what follows the `/` is no IPv4 prefix length",
                "write a number from 0 to 32, for example 192.0.2.0/32",
            ),
            (
                "mail.example/8",
                "`mail.example/8` is no prefix: `mail.example` is neither an IPv4 nor an IPv6 address",
                "write ADDRESS or ADDRESS/LENGTH, for example 192.0.2.0/24, 2001:db8::/32 or 192.0.2.25",
            ),
        ] {
            assert_eq!(parse(text), Err(Fault::new(message, hint)), "{text}");
        }
    }
}
