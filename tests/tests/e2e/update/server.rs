//! An HTTP server that does what a trial says, octet by octet.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Result;
use gate_tests::lab::NetNs;

/// What happens once an answer was sent.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The connection ends.
    Close,
    /// Nothing, until the client gives up.
    Stall,
    /// More of it, without an end.
    Flood,
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) octets: Vec<u8>,
    pub(crate) then: Then,
}

impl Reply {
    /// An answer with a body and its length.
    pub(crate) fn new(status: &str, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
        Self {
            octets: [head.as_bytes(), body].concat(),
            then: Then::Close,
        }
    }

    /// These octets, and what happens then.
    pub(crate) fn raw(octets: &str, then: Then) -> Self {
        Self {
            octets: octets.into(),
            then,
        }
    }
}

#[derive(Default)]
struct State {
    /// By what a path ends with.
    replies: BTreeMap<String, Reply>,
    requests: Vec<String>,
}

/// A server. Its thread ends with the process; what it listens on is gone with the network namespace.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Listens at `address` in `netns`.
    pub(crate) fn new(netns: &NetNs, address: &str) -> Result<Self> {
        let listener = netns.run(|| TcpListener::bind(address))??;
        let state = Arc::<Mutex<State>>::default();
        let server = Self {
            address: listener.local_addr()?,
            state: Arc::clone(&state),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Ok(server)
    }

    /// Answers so to who asks for `file`, whatever stands before it and after it.
    pub(crate) fn set(&self, file: &str, reply: Reply) {
        lock(&self.state).replies.insert(file.to_owned(), reply);
    }

    /// What was asked since the last time.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).requests)
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever asks may go away at any time, which is no error here.
fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(count @ 1..) = stream.read(&mut buffer) else {
            return;
        };
        request.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let target = request.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default().to_owned();
    let reply = {
        let mut state = lock(state);
        state.requests.push(request);
        state.replies.get(&file).cloned()
    };
    let Some(Reply { octets, then }) = reply else {
        return;
    };
    if stream.write_all(&octets).is_err() {
        return;
    }
    match then {
        Then::Close => {}
        Then::Stall => {
            let _ = stream.read(&mut buffer);
        }
        Then::Flood => {
            while stream
                .write_all(b"1000\r\n")
                .and_then(|()| stream.write_all(&[b'x'; 4096]))
                .and_then(|()| stream.write_all(b"\r\n"))
                .is_ok()
            {}
        }
    }
}
