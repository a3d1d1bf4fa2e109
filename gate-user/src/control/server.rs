//! The daemon's end of the socket.

use std::{
    future::Future, io, os::unix::net::UnixListener as StdListener, sync::Arc, time::Duration,
};

use nix::unistd::Uid;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{PATIENCE, REPLY_MAX, REQUEST_MAX, Reply, Request};

/// How many clients are served at once; one more is sent away.
const CLIENTS: u32 = 128;
/// How long the daemon waits when the kernel gives it no more connections, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket and those who are served.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    places: Arc<Semaphore>,
}

impl Server {
    /// Serves on `listener`, which does not block.
    pub fn new(listener: StdListener) -> io::Result<Self> {
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            places: Arc::new(Semaphore::new(CLIENTS as usize)),
        })
    }

    /// Answers requests, for as long as this future lives.
    pub async fn serve<F>(&self, answer: impl Fn(Request) -> F + Clone + Send + 'static)
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                continue;
            };
            let answer = answer.clone();
            tokio::spawn(async move {
                // A client that is not there any more wants nothing.
                let _ = converse(stream, answer).await;
                drop(place);
            });
        }
    }

    /// Waits, not for long, for answers to those who are still served.
    pub async fn finish(&self) {
        let _ = timeout(PATIENCE, self.places.acquire_many(CLIENTS)).await;
    }
}

async fn converse<F: Future<Output = Reply>>(
    mut stream: UnixStream,
    answer: impl Fn(Request) -> F,
) -> io::Result<()> {
    let asked = stream.peer_cred()?.uid();
    let reply = if asked != 0 && asked != Uid::effective().as_raw() {
        error("only root and the user of the daemon may ask it")
    } else {
        match request(&mut stream).await? {
            Ok(request) => answer(request).await,
            Err(reply) => reply,
        }
    };
    timeout(PATIENCE, stream.write_all(&line(&reply)?)).await?
}

/// A reply as it is sent. A client would take one that is too long for one that was cut short.
fn line(reply: &Reply) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(reply)?;
    if line.len() as u64 >= REPLY_MAX {
        line = serde_json::to_vec(&error("it is done, but the answer is too long to be sent"))?;
    }
    line.push(b'\n');
    Ok(line)
}

/// What the client asks, or what to answer if that cannot be made out.
async fn request(stream: &mut UnixStream) -> io::Result<Result<Request, Reply>> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.take(REQUEST_MAX));
    let read = timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await;
    Ok(match read {
        Err(_) => Err(error("no request came")),
        Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(_)) if line.last() != Some(&b'\n') => {
            Err(error("the request is too long, or was cut short"))
        }
        Ok(Ok(_)) => {
            serde_json::from_slice(&line).map_err(|it| error(&format!("no request: {it}")))
        }
    })
}

fn error(message: &str) -> Reply {
    Reply::Error {
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_replaced() {
        let reply = |length: u64| error(&"x".repeat(usize::try_from(length).unwrap()));
        // With what surrounds it, the first is as long as can be.
        let around = serde_json::to_vec(&reply(0)).unwrap().len() as u64 + 1;
        let longest = line(&reply(REPLY_MAX - around)).unwrap();
        assert_eq!(longest.len() as u64, REPLY_MAX);
        let replaced = line(&reply(REPLY_MAX - around + 1)).unwrap();
        let replaced = String::from_utf8(replaced).unwrap();
        assert!(replaced.contains("too long to be sent") && replaced.ends_with('\n'));
    }

    /// What the daemon answers to these bytes, if the client closes its end after them.
    async fn reply(bytes: &[u8]) -> String {
        let (mut client, server) = UnixStream::pair().unwrap();
        let serve = converse(server, |_| async { Reply::Status(Box::default()) });
        let ask = async {
            // A server that has heard enough hangs up.
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            let mut reply = Vec::new();
            let _ = client.read_to_end(&mut reply).await;
            String::from_utf8(reply).unwrap()
        };
        let (_, reply) = tokio::join!(serve, ask);
        reply
    }

    #[tokio::test]
    async fn a_request_is_answered_and_anything_else_is_not_understood() {
        let status = reply(b"{\"request\":\"status\"}\n").await;
        assert!(status.starts_with("{\"reply\":\"status\""), "{status}");
        let mut long = vec![b' '; usize::try_from(REQUEST_MAX).unwrap()];
        long.push(b'\n');
        for (bytes, words) in [
            (&b"{\"request\":\"status\"}"[..], "cut short"),
            (b"\n", "no request"),
            (b"\xff\0\n", "no request"),
            (b"{\"request\":\"detach\"}\n", "unknown variant"),
            (
                b"{\"request\":\"reload\",\"faster\":true}\n",
                "unknown field",
            ),
            (&long, "too long"),
        ] {
            let said = reply(bytes).await;
            assert!(
                said.starts_with("{\"reply\":\"error\"") && said.contains(words),
                "{said}"
            );
        }
        assert_eq!(reply(b"").await, "");
    }
}
