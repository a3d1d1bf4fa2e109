//! One file fetched over HTTP, by a server that is trusted in nothing: everything is bounded, in time and in octets.
//!
//! | module | what it is |
//! |---|---|
//! | `url` | where from: HTTPS, or HTTP on this machine |
//! | `credentials` | what a request says of who asks |
//! | `tls` | who the server has to be |
//! | `error` | what can go wrong |
//!
//! Invariants, as absences: no credentials go to another origin than that of the URL that was asked for; no redirection
//! leads from HTTPS to HTTP; no text has more of a URL than its origin, and none has anything that a server sent.

mod credentials;
mod error;
mod tls;
mod url;

use std::{io, net::SocketAddr, path::Path, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};

pub(crate) use credentials::Credentials;
pub use credentials::{CredentialsError, CredentialsFault};
pub use error::{Failure, FetchError};
pub use url::{Url, UrlFault};

/// How often a server may send elsewhere: providers do it once.
const REDIRECTIONS: usize = 5;

/// What a server is told of who asks.
const AGENT: &str = concat!("gate/", env!("CARGO_PKG_VERSION"));

/// How long, and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many octets a file may have.
    pub(crate) octets: u64,
    /// For how long nothing may come.
    pub(crate) silence: Duration,
    /// For how long all of it may take.
    pub(crate) total: Duration,
}

/// What a server said of a file, by which it can tell whether it has another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Version {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wanted<'w> {
    pub(crate) url: &'w Url,
    pub(crate) credentials: Option<&'w Credentials>,
    /// The file of the certificates that count; nothing for those of this machine.
    pub(crate) ca: Option<&'w Path>,
    /// What is there already.
    pub(crate) version: Version,
    pub(crate) limits: Limits,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The server has what is there already.
    Same,
    /// A file, which is written.
    File(Version),
}

/// Writes the file at a URL into `sink`, from end to end, unless the server has no other than `wanted.version`.
pub(crate) fn fetch(wanted: &Wanted<'_>, sink: &mut dyn io::Write) -> Result<Fetched, FetchError> {
    let mut hop = Hop {
        wanted,
        url: wanted.url.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| hop.failed(Failure::Connect(error)))?;
    let total = wanted.limits.total;
    let fetched = runtime.block_on(async {
        match timeout(total, hop.follow(sink)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(Failure::Slow { after: total }),
        }
    });
    // A look-up of a name that nobody answers is not waited for.
    runtime.shutdown_background();
    fetched.map_err(|failure| hop.failed(failure))
}

/// Whom it is asked of now.
struct Hop<'w> {
    wanted: &'w Wanted<'w>,
    url: Url,
}

impl Hop<'_> {
    fn failed(&self, failure: Failure) -> FetchError {
        FetchError {
            origin: self.url.origin(),
            failure,
        }
    }

    async fn follow(&mut self, sink: &mut dyn io::Write) -> Result<Fetched, Failure> {
        let mut seen = vec![self.url.clone()];
        loop {
            let response = self.ask().await?;
            let status = response.status();
            if let Some(next) = self.elsewhere(&response)? {
                if seen.contains(&next) || seen.len() > REDIRECTIONS {
                    return Err(Failure::Circle(REDIRECTIONS));
                }
                seen.push(next.clone());
                self.url = next;
            } else if status == StatusCode::NOT_MODIFIED
                && self.wanted.version != Version::default()
            {
                return Ok(Fetched::Same);
            } else if status == StatusCode::OK {
                let version = Version::of(response.headers());
                self.receive(response, sink).await?;
                return Ok(Fetched::File(version));
            } else {
                return Err(self.refusal(&response));
            }
        }
    }

    /// Where an answer sends to, if it does.
    fn elsewhere(&self, response: &Response<Incoming>) -> Result<Option<Url>, Failure> {
        let redirected = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = response.headers().get(header::LOCATION);
        let Some(location) = location.filter(|_| redirected) else {
            return Ok(None);
        };
        let location = location
            .to_str()
            .map_err(|_| Failure::Redirect(UrlFault::NoUrl))?;
        let next = self.url.join(location).map_err(Failure::Redirect)?;
        if self.url.is_secure() && !next.is_secure() {
            return Err(Failure::Redirect(UrlFault::Plain));
        }
        Ok(Some(next))
    }

    fn shown(&self) -> Option<&Credentials> {
        let credentials = self.wanted.credentials;
        credentials.filter(|_| self.url.same_origin(self.wanted.url))
    }

    fn refusal(&self, response: &Response<Incoming>) -> Failure {
        let status = response.status();
        match status.as_u16() {
            401 | 403 | 407 => Failure::Refused {
                status,
                shown: self.shown().is_some(),
            },
            404 | 410 => Failure::Missing(status),
            429 => Failure::TooOften {
                status,
                seconds: seconds(response.headers()),
            },
            _ => Failure::Status(status),
        }
    }

    /// Gives up what takes too long without a sign of life.
    async fn alive<T>(
        &self,
        during: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let after = self.wanted.limits.silence;
        timeout(after, work)
            .await
            .map_err(|_| Failure::Silent { during, after })
    }

    /// Asks once, and returns the head of the answer.
    async fn ask(&self) -> Result<Response<Incoming>, Failure> {
        let tcp = self.connect().await?;
        if !self.url.is_secure() {
            return self.request(tcp).await;
        }
        let connector = tls::connector(self.wanted.ca)?;
        let name = ServerName::try_from(self.url.host().to_owned())
            .map_err(|error| Failure::Tls(io::Error::other(error)))?;
        let tls = self.alive(
            "while encryption was agreed on",
            connector.connect(name, tcp),
        );
        self.request(tls.await?.map_err(Failure::Tls)?).await
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let name = (self.url.host(), self.url.port());
        let addresses = self.alive("while its name was looked up", lookup_host(name));
        let addresses: Vec<SocketAddr> = addresses.await?.map_err(Failure::Resolve)?.collect();
        let mut last = Failure::Resolve(io::Error::from(io::ErrorKind::NotFound));
        // A family that leads nowhere does not keep the other from being tried.
        for address in addresses {
            let attempt = self.alive(
                "while a connection was asked for",
                TcpStream::connect(address),
            );
            last = match attempt.await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => Failure::Connect(error),
                Err(silent) => silent,
            };
        }
        Err(last)
    }

    async fn request(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Response<Incoming>, Failure> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Http)?;
        // It ends with what it carries, and its errors are those of what it carries.
        tokio::spawn(connection);
        let answer = sender.send_request(self.head());
        self.alive("before an answer came", answer)
            .await?
            .map_err(|error| {
                if error.is_incomplete_message() {
                    Failure::CutShort {
                        received: 0,
                        announced: None,
                    }
                } else {
                    Failure::Http(error)
                }
            })
    }

    fn head(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        // Both were part of a URL that was parsed.
        *request.uri_mut() = self.url.target().parse().unwrap_or_default();
        let headers = request.headers_mut();
        let mut set = |name: HeaderName, value: Option<&str>| {
            if let Some(value) = value.and_then(|it| HeaderValue::from_str(it).ok()) {
                headers.insert(name, value);
            }
        };
        set(header::HOST, Some(self.url.authority()));
        set(header::USER_AGENT, Some(AGENT));
        set(header::ACCEPT, Some("*/*"));
        set(header::ACCEPT_ENCODING, Some("identity"));
        set(header::CONNECTION, Some("close"));
        let Version {
            etag,
            last_modified,
        } = &self.wanted.version;
        set(header::IF_NONE_MATCH, etag.as_deref());
        set(header::IF_MODIFIED_SINCE, last_modified.as_deref());
        if let Some(credentials) = self.shown() {
            headers.insert(header::AUTHORIZATION, credentials.header());
        }
        request
    }

    async fn receive(
        &self,
        response: Response<Incoming>,
        sink: &mut dyn io::Write,
    ) -> Result<(), Failure> {
        let headers = response.headers();
        if headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|it| it != "identity")
        {
            return Err(Failure::Encoded);
        }
        let announced = number(headers, header::CONTENT_LENGTH);
        let limit = self.wanted.limits.octets;
        if announced.is_some_and(|it| it > limit) {
            return Err(Failure::TooLarge { limit });
        }
        let mut body = response.into_body();
        let mut received: u64 = 0;
        while let Some(frame) = self
            .alive("in the middle of the file", body.frame())
            .await?
        {
            // Whatever ends it in the middle, the end is missing.
            let frame = frame.map_err(|_| Failure::CutShort {
                received,
                announced,
            })?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            received = received.saturating_add(data.len().try_into().unwrap_or(u64::MAX));
            if received > limit {
                return Err(Failure::TooLarge { limit });
            }
            sink.write_all(data).map_err(Failure::Write)?;
        }
        Ok(())
    }
}

impl Version {
    fn of(headers: &HeaderMap) -> Self {
        /// The longest that is kept.
        const LENGTH_MAX: usize = 1024;
        let text = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            (value.len() <= LENGTH_MAX).then(|| value.to_owned())
        };
        Self {
            etag: text(header::ETAG),
            last_modified: text(header::LAST_MODIFIED),
        }
    }
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// For how long a server wants to be left alone, where it says it as a number.
fn seconds(headers: &HeaderMap) -> Option<u64> {
    number(headers, header::RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// An octet now and then is a sign of life each time, and no way to hold anybody up for ever.
    #[test]
    fn a_server_that_trickles_is_given_up_when_the_time_for_all_of_it_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let trickle = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // An answer to nothing is a mistake of its own.
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let mut part: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n";
            // Until the client is gone.
            while stream.write_all(part).is_ok() {
                part = b"x";
                thread::sleep(Duration::from_millis(10));
            }
        });
        let total = Duration::from_millis(500);
        let wanted = Wanted {
            url: &Url::parse(&url).unwrap(),
            credentials: None,
            ca: None,
            version: Version::default(),
            limits: Limits {
                octets: 1 << 20,
                silence: Duration::from_mins(1),
                total,
            },
        };
        let mut sink = Vec::new();
        let error = fetch(&wanted, &mut sink).unwrap_err();
        trickle.join().unwrap();
        assert!(
            matches!(error.failure, Failure::Slow { after } if after == total),
            "{error}"
        );
    }
}
