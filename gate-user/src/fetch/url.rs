//! Where something is fetched from: HTTPS, or HTTP on this machine.

use std::{fmt, net::IpAddr};

use fluent_uri::UriRef;
use hyper::{
    Uri,
    http::uri::{Authority, Scheme},
};

/// An absolute URL. Providers put keys into the path or the query, so that it has no text: what is told of it is its
/// [origin](Url::origin).
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Uri);

/// Why something is no such URL. It does not quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It is none at all.
    #[error("is no URL such as https://download.example.net/country.mmdb")]
    NoUrl,
    /// It has a name and perhaps a password before the host.
    #[error("has a user name or a password in it")]
    User,
    /// It is neither HTTPS nor HTTP.
    #[error("is neither https:// nor http://")]
    Scheme,
    /// It is not encrypted, and leaves the machine.
    #[error(
        "is http:// to another machine: anybody on the way could read the credentials and write the database"
    )]
    Plain,
}

impl Url {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let uri: Uri = text.parse().map_err(|_| UrlFault::NoUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(UrlFault::NoUrl);
        };
        if authority.as_str().contains('@') {
            return Err(UrlFault::User);
        }
        // `host:` is an authority to the library; a port that is no number is none.
        if authority.host().is_empty() || has_odd_port(authority) {
            return Err(UrlFault::NoUrl);
        }
        let secure = *scheme == Scheme::HTTPS;
        if !secure && *scheme != Scheme::HTTP {
            return Err(UrlFault::Scheme);
        }
        let url = Self(uri);
        if secure || url.is_loopback() {
            Ok(url)
        } else {
            Err(UrlFault::Plain)
        }
    }

    /// Where a redirection from here leads (RFC 3986, section 5).
    pub(super) fn join(&self, location: &str) -> Result<Self, UrlFault> {
        let base = fluent_uri::Uri::parse(self.0.to_string()).map_err(|_| UrlFault::NoUrl)?;
        let location = UriRef::parse(location).map_err(|_| UrlFault::NoUrl)?;
        let target = location
            .resolve_against(&base.strip_fragment())
            .map_err(|_| UrlFault::NoUrl)?;
        Self::parse(target.strip_fragment().as_str())
    }

    /// Scheme, host and port: all that is told of it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!(
            "{}://{}",
            self.0.scheme_str().unwrap_or_default(),
            self.authority()
        )
    }

    /// What tells it from others, without telling it.
    pub(crate) fn sha256(&self) -> String {
        use sha2::{Digest as _, Sha256};
        crate::hex(&Sha256::digest(self.0.to_string()))
    }

    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.is_secure() == other.is_secure()
            && self.host().eq_ignore_ascii_case(other.host())
            && self.port() == other.port()
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// The host, an IPv6 address without brackets.
    pub(super) fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        inner.unwrap_or(host)
    }

    pub(super) fn port(&self) -> u16 {
        let usual = if self.is_secure() { 443 } else { 80 };
        self.0.port_u16().unwrap_or(usual)
    }

    /// What the `Host` of a request has.
    pub(super) fn authority(&self) -> &str {
        self.0.authority().map_or("", Authority::as_str)
    }

    /// What a request asks for.
    pub(super) fn target(&self) -> &str {
        self.0.path_and_query().map_or("/", |it| it.as_str())
    }

    fn is_loopback(&self) -> bool {
        let host = self.host();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.origin()).finish()
    }
}

fn has_odd_port(authority: &Authority) -> bool {
    let rest = authority.as_str().strip_prefix(authority.host());
    rest.is_some_and(|it| !it.is_empty()) && authority.port_u16().is_none_or(|port| port == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encrypted_leaves_the_machine() {
        for (text, expected) in [
            ("https://example.net/a?b=c", Ok("https://example.net")),
            ("HTTPS://example.net:8443", Ok("https://example.net:8443")),
            ("https://[2001:db8::1]/a", Ok("https://[2001:db8::1]")),
            ("http://127.8.8.8:8080/a", Ok("http://127.8.8.8:8080")),
            ("http://[::1]:8080/a", Ok("http://[::1]:8080")),
            ("http://localhost/a", Ok("http://localhost")),
            ("http://example.net/a", Err(UrlFault::Plain)),
            ("http://127.0.0.1.example.net/a", Err(UrlFault::Plain)),
            ("http://localhost.example.net/a", Err(UrlFault::Plain)),
            ("http://[2001:db8::1]/a", Err(UrlFault::Plain)),
            ("https://user:canary@example.net/a", Err(UrlFault::User)),
            ("http://127.0.0.1@example.net/a", Err(UrlFault::User)),
            ("ftp://example.net/a", Err(UrlFault::Scheme)),
            ("file:///etc/passwd", Err(UrlFault::NoUrl)),
            ("example.net/a", Err(UrlFault::NoUrl)),
            ("/a", Err(UrlFault::NoUrl)),
            ("", Err(UrlFault::NoUrl)),
            ("https://example.net:99999/", Err(UrlFault::NoUrl)),
            ("https://example.net:0/", Err(UrlFault::NoUrl)),
            ("https://exa mple.net/", Err(UrlFault::NoUrl)),
            ("https://例え.jp/", Err(UrlFault::NoUrl)),
        ] {
            let origin = Url::parse(text).map(|it| it.origin());
            assert_eq!(origin.as_deref().map_err(|it| *it), expected, "{text}");
        }
    }

    #[test]
    fn redirections_go_by_rfc_3986() {
        let from = Url::parse("https://example.net/a/b?c=d").unwrap();
        for (location, expected) in [
            ("https://other.net/x", "https://other.net/x"),
            ("//other.net/x", "https://other.net/x"),
            ("/x?y", "https://example.net/x?y"),
            ("?y", "https://example.net/a/b?y"),
            ("x:y", ""),
            ("x/y:z", "https://example.net/a/x/y:z"),
            ("../x", "https://example.net/x"),
            ("./../../x", "https://example.net/x"),
            ("/a/./c/../x", "https://example.net/a/x"),
            ("", "https://example.net/a/b?c=d"),
            ("#x", "https://example.net/a/b?c=d"),
            ("x y", ""),
            ("//user:canary@example.net/x", ""),
        ] {
            let found = from
                .join(location)
                .map_or_else(|_| String::new(), |it| it.0.to_string());
            assert_eq!(found, expected, "{location}");
        }
        assert_eq!(from.join("http://example.net/x"), Err(UrlFault::Plain));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text| Url::parse(text).unwrap();
        let one = url("https://example.net/a");
        for (other, same) in [
            ("https://EXAMPLE.net:443/b?c", true),
            ("https://example.net:8443/a", false),
            ("https://www.example.net/a", false),
        ] {
            assert_eq!(one.same_origin(&url(other)), same, "{other}");
        }
        assert!(!url("https://localhost:80/").same_origin(&url("http://localhost/")));
    }

    #[test]
    fn neither_path_nor_query_is_shown() {
        let url = Url::parse("https://example.net/canary/a?key=canary").unwrap();
        assert_eq!(format!("{url:?}"), "Url(\"https://example.net\")");
    }
}
