//! What can go wrong while something is fetched.

use std::{io, path::PathBuf, time::Duration};

use hyper::StatusCode;

use super::UrlFault;
use crate::error::whole;

/// A fetch that failed. It tells the origins of URLs and nothing else of them, and nothing that the server said but
/// its status, and the names in its certificate where they are the fault.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {failure}")]
pub struct FetchError {
    /// Whom it was asked of last.
    pub origin: String,
    /// What failed.
    pub failure: Failure,
}

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The name of the server has no address.
    #[error("no address is found for the name of this server: {0}")]
    Resolve(io::Error),
    /// None of its addresses can be reached.
    #[error("no connection to this server: {0}")]
    Connect(io::Error),
    /// There is nothing to check its certificate with.
    #[error("the certificates in {path} cannot be used: {error}", path = path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// It is not who it should be, or speaks no TLS.
    #[error("no encrypted connection to this server: {0}")]
    Tls(io::Error),
    /// Nothing comes.
    #[error("the server said nothing for {} s {during}", after.as_secs())]
    Silent {
        /// What it should have done.
        during: &'static str,
        /// For how long it was waited.
        after: Duration,
    },
    /// It comes, but does not end.
    #[error("it took more than {} min altogether", after.as_secs() / 60)]
    Slow {
        /// For how long it was waited.
        after: Duration,
    },
    /// What it says is not HTTP.
    #[error("the server does not speak HTTP as it should: {}", whole(.0))]
    Http(hyper::Error),
    /// The end is missing.
    #[error("the connection ended after {received} octets{}", of(*.announced))]
    CutShort {
        /// How much came.
        received: u64,
        /// How much should have come.
        announced: Option<u64>,
    },
    /// It is longer than anybody wants it.
    #[error("there are more than the {limit} octets that are taken")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The server wants other credentials, or some.
    #[error("the server refuses access (status {status}){}", if *shown { "" } else { ", and no credentials were shown to it" })]
    Refused {
        /// Its answer.
        status: StatusCode,
        /// Whether it was shown credentials.
        shown: bool,
    },
    /// There is no such thing.
    #[error("the server has nothing at this URL (status {0})")]
    Missing(StatusCode),
    /// It was asked too often.
    #[error("the server was asked too often (status {status}){}", wait(*.seconds))]
    TooOften {
        /// Its answer.
        status: StatusCode,
        /// For how long it wants to be left alone.
        seconds: Option<u64>,
    },
    /// It answered something else.
    #[error("the server answers with status {0}, which is not a file")]
    Status(StatusCode),
    /// It never gets to the file.
    #[error("the server redirects in a circle, or more than {0} times")]
    Circle(usize),
    /// It sends elsewhere, where nobody goes.
    #[error("the server redirects to somewhere else, which {0}")]
    Redirect(UrlFault),
    /// It is compressed on the way.
    #[error("the server compresses what it sends (Content-Encoding), although it was asked not to")]
    Encoded,
    /// It cannot be kept.
    #[error("what came cannot be written: {0}")]
    Write(io::Error),
}

fn of(announced: Option<u64>) -> String {
    announced.map_or_else(
        || ", before the end was said".to_owned(),
        |it| format!(" of {it}"),
    )
}

fn wait(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |it| {
        format!("; it asks for {it} s without another attempt")
    })
}

impl FetchError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.failure {
            Failure::Resolve(_) => {
                "check the host of `url`, and /etc/resolv.conf: `getent hosts HOST` asks the same".to_owned()
            }
            Failure::Connect(_) => {
                "check the route to it and the firewalls on the way; no proxy is used".to_owned()
            }
            Failure::Certificates { .. } => {
                "install ca-certificates, or name a file of PEM certificates by `ca` under [[geoip.update]]".to_owned()
            }
            Failure::Tls(_) => {
                "check the host of `url` and this machine's clock; for a mirror with a certificate of its own, name its issuer's by `ca` under [[geoip.update]]"
                    .to_owned()
            }
            Failure::Silent { .. } => {
                "try again later; on a slow line, raise `timeout` under [[geoip.update]]".to_owned()
            }
            Failure::Slow { .. } | Failure::CutShort { .. } => "try again later, or from a nearer mirror".to_owned(),
            Failure::Http(_) => "check scheme and port of `url` under [[geoip.update]]".to_owned(),
            Failure::TooLarge { .. } => {
                "check that `url` is of a country edition; if it is, raise `max_mib` under [[geoip.update]]".to_owned()
            }
            Failure::Refused { shown: true, .. } => {
                "check the account and the key in the file that `credentials` under [[geoip.update]] names, and whether they may have this edition"
                    .to_owned()
            }
            Failure::Refused { shown: false, .. } => {
                "name a file with credentials by `credentials` under [[geoip.update]]; they are shown to the host of `url` only".to_owned()
            }
            Failure::Missing(_) => "compare `url` with what the provider's documentation says".to_owned(),
            Failure::TooOften { .. } => {
                "ask less often: providers count downloads by the day, and publish once a day at most".to_owned()
            }
            Failure::Status(_) => "try again later; if it stays, compare `url` with the provider's documentation".to_owned(),
            Failure::Circle(_) | Failure::Redirect(_) => {
                "compare `url` with the provider's documentation: servers that want a login often redirect to its page".to_owned()
            }
            Failure::Encoded => "use a mirror that sends files as they are".to_owned(),
            Failure::Write(_) => "`df` shows whether there is room".to_owned(),
        }
    }
}
