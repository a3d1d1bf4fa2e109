//! The other end of the socket.

use std::{fs, io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    runtime, time,
};

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Attempt, By, ControlError, Outcome, PATIENCE, REPLY_MAX, Reply, Request, Standing};
use crate::{
    bypass::{Switched, Wanted},
    error::Error,
    generation::Manifest,
    kernel, person,
    pins::Pins,
    run, view,
};

/// The longest that a reload may take: several that wait for one another, with large databases, on a slow machine.
const RELOAD: Duration = Duration::from_mins(10);

/// Somebody who asks the daemon.
#[derive(Debug)]
pub struct Client {
    /// Where the link beside the pins leads.
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon of these pins, which there is: somebody holds the lock.
    pub fn new(pins: &Pins) -> Result<Self, ControlError> {
        let link = pins.control();
        match fs::read_link(&link) {
            Ok(socket) => Ok(Self { socket }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ControlError::Closed),
            Err(error) => Err(ControlError::io("read the link", &link)(error)),
        }
    }

    /// How the daemon is.
    pub fn status(&self) -> Result<Standing, ControlError> {
        match self.ask(&Request::Status, PATIENCE)? {
            Reply::Status(standing) => Ok(*standing),
            Reply::Error { message } => Err(ControlError::Told(message)),
            Reply::Reload(_) | Reply::Bypass(_) => Err(unasked()),
        }
    }

    /// Asks for a change of generations, and waits for what becomes of it.
    pub fn attempt(&self, request: &Request) -> Result<Attempt, ControlError> {
        // One that does not even say how it is would not reload either: there is no need to wait for as long.
        self.status()?;
        match self.ask(request, RELOAD)? {
            Reply::Reload(attempt) => Ok(attempt),
            Reply::Error { message } => Err(ControlError::Told(message)),
            Reply::Status(_) | Reply::Bypass(_) => Err(unasked()),
        }
    }

    /// Asks for a bypass, or for the end of one.
    pub fn bypass(&self, wanted: Option<&Wanted>) -> Result<Switched, ControlError> {
        // One that hangs would do it whenever it comes to itself, after its client was told that it failed.
        self.status()?;
        let wanted = wanted.cloned();
        match self.ask(&Request::Bypass { wanted }, PATIENCE)? {
            Reply::Bypass(switched) => Ok(switched),
            Reply::Error { message } => Err(ControlError::Told(message)),
            Reply::Status(_) | Reply::Reload(_) => Err(unasked()),
        }
    }

    fn ask(&self, request: &Request, patience: Duration) -> Result<Reply, ControlError> {
        let exchange = async {
            time::timeout(patience, self.exchange(request))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        let line = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(exchange))
            .map_err(|error| self.failed(error, patience))?;
        serde_json::from_slice(&line).map_err(|error| ControlError::Garbled(error.to_string()))
    }

    fn failed(&self, error: io::Error, patience: Duration) -> ControlError {
        let kind = error.kind();
        let closed = matches!(
            kind,
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        );
        // A daemon that hangs accepts nobody: at some time nobody more can wait for it.
        let silent = matches!(kind, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        if closed {
            ControlError::Closed
        } else if silent {
            ControlError::Silent { patience }
        } else {
            ControlError::io("ask the daemon", &self.socket)(error)
        }
    }

    async fn exchange(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut reply = Vec::new();
        BufReader::new(stream.take(REPLY_MAX))
            .read_until(b'\n', &mut reply)
            .await?;
        if reply.last() == Some(&b'\n') {
            Ok(reply)
        } else {
            Err(io::Error::other("it hung up before its answer was through"))
        }
    }
}

/// `gate reload`: asks the daemon, which there has to be.
pub fn reload(pins: &Pins, force: bool, confirm: Option<Duration>) -> Result<Attempt, Error> {
    if pins.locked()? {
        return Ok(Client::new(pins)?.attempt(&Request::Reload {
            force,
            confirm_seconds: confirm.map(|it| it.as_secs()),
        })?);
    }
    // Without a manifest it is not known what to start it with; that is a hint less.
    let manifest = view::with_current(pins, |directory| Ok(kernel::manifest(directory)?));
    Err(Error::NoDaemon {
        pins: pins.root().to_owned(),
        config: manifest.ok().map(|it| it.config),
    })
}

/// `gate rollback`: asks the daemon, or does it with the program in `object` where there is none.
pub fn rollback(pins: &Pins, object: &[u8]) -> Result<Attempt, Error> {
    let by = person::name();
    if pins.locked()? {
        return Ok(Client::new(pins)?.attempt(&Request::Rollback { by })?);
    }
    let change = Box::new(run::rollback(pins, object, by)?);
    Ok(alone(By::Rollback, Outcome::Loaded { change }))
}

/// `gate reload --confirmed`: asks the daemon, or does it where there is none.
pub fn confirm(pins: &Pins) -> Result<Attempt, Error> {
    let by = person::name();
    if pins.locked()? {
        return Ok(Client::new(pins)?.attempt(&Request::Confirm { by })?);
    }
    let generation = run::confirm(pins, by.as_deref())?;
    Ok(alone(By::Command, Outcome::Confirmed { generation }))
}

/// Has the daemon put the exemptions of their file in force, of which that of `prefix` changed, or does it with the program in `object` where there is
/// no daemon.
pub fn exempt(pins: &Pins, object: &[u8], prefix: IpNet) -> Result<Attempt, Error> {
    if pins.locked()? {
        return Ok(Client::new(pins)?.attempt(&Request::Exempt {
            prefix: prefix.to_string(),
        })?);
    }
    let number = |manifest: Result<Manifest, Error>| manifest.map_or(0, |it| it.number);
    let outcome = match run::exempt(pins, object, prefix.into()) {
        Ok(Some(change)) => Outcome::Loaded {
            change: Box::new(change),
        },
        Ok(None) => Outcome::Unchanged {
            generation: number(manifest(pins)),
        },
        Err(error) => Outcome::of(&error, number(manifest(pins))),
    };
    Ok(alone(By::Exempt, outcome))
}

fn manifest(pins: &Pins) -> Result<Manifest, Error> {
    view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))
}

fn alone(by: By, outcome: Outcome) -> Attempt {
    Attempt {
        at: Timestamp::now(),
        by,
        force: false,
        outcome,
    }
}

fn unasked() -> ControlError {
    ControlError::Garbled("the answer to another question".to_owned())
}
