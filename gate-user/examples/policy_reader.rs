//! A policy server for Postfix that tells the class of each client: `check_policy_service`, `SMTPD_POLICY_README`.
//!
//! ```text
//! policy_reader PINS LISTEN [--header NAME] [--port SEEN=GATE]...
//! ```
//!
//! `PINS` is the gate's directory of pins, `LISTEN` an `ADDRESS:PORT` or the path of a Unix socket. The answer has a header such as
//! `X-Gate-Class: foreign (country=KR, generation=7, by=flow)`; `--header` gives it another name. Where a packet filter redirects
//! connections, Postfix sees another port than the gate did: `--port 10587=587`. Without an answer of the gate, Postfix is told
//! `DUNNO`, which changes nothing, and standard error says why, once.
//!
//! It needs no privilege but the group of `[tags]`. `docs/tags.md` says how to set it up.

#![allow(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone"
)]

use std::{
    collections::HashMap,
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::{
        fs::FileTypeExt as _,
        net::{UnixListener, UnixStream},
    },
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use gate_user::tags::{Found, Tag, TagError, TagReader};

const USAGE: &str = "usage: policy_reader PINS LISTEN [--header NAME] [--port SEEN=GATE]...";

/// A request has some 30 attributes of a few hundred octets; more is not Postfix's.
const REQUEST_MAX: u64 = 64 << 10;

struct Server {
    reader: TagReader,
    header: String,
    /// The ports that the gate saw, by those that Postfix sees.
    ports: HashMap<u16, u16>,
    /// The last thing that was said on standard error.
    said: Mutex<String>,
}

fn main() -> ExitCode {
    let result = arguments().and_then(|(server, listen)| serve(server, &listen));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<(Server, String), String> {
    let mut words = env::args().skip(1);
    let (Some(pins), Some(listen)) = (words.next(), words.next()) else {
        return Err(USAGE.to_owned());
    };
    let mut header = "X-Gate-Class".to_owned();
    let mut ports = HashMap::new();
    while let Some(option) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        match option.as_str() {
            "--header" => header = value,
            "--port" => {
                let pair = value.split_once('=').ok_or(USAGE)?;
                let [seen, gate] = [pair.0, pair.1].map(|it| it.parse().map_err(|_| USAGE));
                ports.insert(seen?, gate?);
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    let reader = TagReader::new(pins).map_err(|error| explain(&error))?;
    let server = Server {
        reader,
        header,
        ports,
        said: Mutex::default(),
    };
    Ok((server, listen))
}

fn serve(server: Server, listen: &str) -> Result<(), String> {
    let server = Arc::new(server);
    let cannot = |error: io::Error| format!("{listen}: cannot listen: {error}");
    if let Ok(address) = listen.parse::<SocketAddr>() {
        let listener = TcpListener::bind(address).map_err(cannot)?;
        say(&format!("listening on {address}"));
        for stream in listener.incoming().flatten() {
            let (server, output) = (Arc::clone(&server), stream.try_clone());
            thread::spawn(move || server.converse(stream, output?));
        }
    } else {
        let listener = bind(listen).map_err(cannot)?;
        say(&format!("listening on {listen}"));
        for stream in listener.incoming().flatten() {
            let (server, output) = (Arc::clone(&server), stream.try_clone());
            thread::spawn(move || server.converse(stream, output?));
        }
    }
    Ok(())
}

/// Listens on a socket at `path`, also where a former run left one on which nobody listens any more.
fn bind(path: &str) -> io::Result<UnixListener> {
    let bound = UnixListener::bind(path);
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if bound.is_err() && is_socket && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
        return UnixListener::bind(path);
    }
    bound
}

impl Server {
    /// Answers requests until the other end has no more.
    fn converse(&self, input: impl Read, mut output: impl Write) -> io::Result<()> {
        let mut input = BufReader::new(input);
        while let Some(request) = request(&mut input)? {
            let action = match self.tag(&request) {
                Some(Ok(tag)) => {
                    self.tell(String::new());
                    format!("PREPEND {}: {}", self.header, value(&tag))
                }
                Some(Err(error)) => {
                    self.tell(explain(&error));
                    "DUNNO".to_owned()
                }
                None => "DUNNO".to_owned(),
            };
            write!(output, "action={action}\n\n")?;
            output.flush()?;
        }
        Ok(())
    }

    /// What the gate knows of the client; nothing where Postfix does not know its address.
    fn tag(&self, request: &HashMap<String, String>) -> Option<Result<Tag, TagError>> {
        let client: IpAddr = request.get("client_address")?.parse().ok()?;
        let port = |name: &str| {
            request
                .get(name)?
                .parse::<u16>()
                .ok()
                .filter(|port| *port != 0)
        };
        let server: Option<IpAddr> = request
            .get("server_address")
            .and_then(|address| address.parse().ok());
        Some(match (port("client_port"), server, port("server_port")) {
            (Some(source), Some(server), Some(seen)) => {
                let port = self.ports.get(&seen).copied().unwrap_or(seen);
                self.reader
                    .connection((client, source).into(), (server, port).into())
            }
            _ => self.reader.address(client),
        })
    }

    /// Says it, unless it was what was said last.
    fn tell(&self, what: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != what {
            if !what.is_empty() {
                say(&what);
            }
            *said = what;
        }
    }
}

/// The attributes of the next request, which an empty line ends; nothing at the end of the stream.
fn request(input: &mut impl BufRead) -> io::Result<Option<HashMap<String, String>>> {
    let mut attributes = HashMap::new();
    for line in input.take(REQUEST_MAX).lines() {
        let line = line?;
        match line.split_once('=') {
            Some((name, value)) => attributes.insert(name.to_owned(), value.to_owned()),
            None if line.is_empty() => return Ok(Some(attributes)),
            None => return Err(io::ErrorKind::InvalidData.into()),
        };
    }
    Ok(None)
}

fn value(tag: &Tag) -> String {
    let Tag {
        class,
        country,
        generation,
        found,
    } = tag;
    let country = country.as_deref().unwrap_or("unknown");
    let flag = match found {
        Found::Flow {
            over_limit: true, ..
        } => ", over-limit",
        Found::Flow { .. } | Found::Address => "",
    };
    format!("{class} (country={country}, generation={generation}, by={found}{flag})")
}

fn explain(error: &TagError) -> String {
    format!("{error}; {}", error.hint())
}

fn say(what: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "policy_reader: {what}");
}
