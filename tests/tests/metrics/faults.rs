//! Clients that do what clients should not. While each does, packets are judged and counted, and the daemon answers.

use std::{io::Write as _, net::TcpStream, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::Answer,
    interrupt,
    lab::{Family, Seen, Who},
};
use libtest_mimic::Trial;
use socket2::{Domain, Socket, Type};

use crate::{
    agree::config,
    bench::{Bench, Found},
    http::{self, DEFAULT},
};

/// How long the endpoint may take to have room again: longer than a connection may last.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many connections the endpoint serves at once.
const PLACES: usize = 64;

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let fault = |name: &str, fault: fn(&Bench<'_>) -> Result<Vec<TcpStream>>| {
        found.lab_trial(format!("faults::{name}"), move |bench| {
            unnoticed(bench, fault)
        })
    };
    vec![
        fault("clients_that_never_read", never_reads),
        fault("a_thousand_scrapes", thousand),
        fault("requests_of_ten_megabytes", large),
        fault("paths_that_lead_elsewhere", traversal),
        fault("heads_that_come_octet_by_octet", slow),
        fault("requests_in_a_row", pipelined),
        fault("methods_and_pages_that_there_are_not", refused),
        fault("names_that_lead_here_from_elsewhere", rebound),
        fault("what_is_no_http", nonsense),
        fault("more_connections_than_places", flood),
        fault("a_browser_that_asks_for_everything_and_never_reads", greedy),
        fault("a_thousand_open_pages", pages),
    ]
}

/// While what `fault` leaves open is open, and afterwards, the gate is as it was.
fn unnoticed(bench: &Bench<'_>, fault: fn(&Bench<'_>) -> Result<Vec<TcpStream>>) -> Result<()> {
    let _daemon = bench.run(&config(bench, "")?)?;
    let router = bench.lab.router();
    let well = || {
        http::get(router, DEFAULT, "/healthz", "*/*")
            .is_ok_and(|it| it.status == 200 && it.body == "ok\n")
    };
    ensure!(
        interrupt::wait_until(PATIENCE, well)?,
        "not well at the beginning"
    );
    // Someone who knocks all the time, from before it to after it.
    let knocking = bench
        .lab
        .hammer(Who::Neighbour, Who::OtherMail, Family::V4, 25)?;
    let held = fault(bench)?;
    judged(bench)?;
    drop(held);
    ensure!(
        interrupt::wait_until(PATIENCE, well)?,
        "not well afterwards"
    );
    let knocks = knocking.stop()?;
    ensure!(knocks.open == 0, "{knocks:?} got through");
    judged(bench)
}

/// Packets get their verdicts and are counted, and the daemon says that it is well.
fn judged(bench: &Bench<'_>) -> Result<()> {
    const TIMES: u64 = 10;
    let refused = || -> Result<u64> {
        let counters = bench.gate().counters()?;
        let pool = counters.pools.iter().find(|it| it.name == "dynamic");
        Ok(pool.context("no pool")?.packets.refused)
    };
    let before = refused()?;
    for _ in 0..TIMES {
        let seen = bench
            .lab
            .connect(Who::Subscriber, Who::OtherMail, Family::V4, 25)?;
        // Answers are limited, verdicts are not.
        let heard = seen == Answer::Reset.heard(Family::V4) || seen == Seen::NoAnswer;
        ensure!(heard, "{seen}");
    }
    bench.open(Who::Static, Who::OtherMail, 25)?;
    ensure!(refused()? >= before + TIMES, "packets are not counted");
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(0) && status.state == "ok" && status.daemon.alive,
        "{status:?}"
    );
    Ok(())
}

const METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn connect(bench: &Bench<'_>) -> Result<TcpStream> {
    http::connect(bench.lab.router(), DEFAULT)
}

/// As many as there are places.
fn never_reads(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    (0..PLACES).map(|_| unread(bench, METRICS)).collect()
}

/// One that asks, with as little room for the answer as the kernel allows.
fn unread(bench: &Bench<'_>, request: &[u8]) -> Result<TcpStream> {
    let address: std::net::SocketAddr = DEFAULT.parse()?;
    let socket = bench.lab.router().run(|| -> Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(1)?;
        socket.connect(&address.into())?;
        Ok(socket)
    })??;
    let mut stream = TcpStream::from(socket);
    // One that has no place is closed before it has asked.
    let _ = stream.write_all(request);
    Ok(stream)
}

/// What the status page is made of.
const PARTS: [&str; 3] = ["/", "/status.json", "/history.json"];

/// Everything that there is, over as many connections as it likes, again and again in each.
fn greedy(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    let everything = PARTS.iter().chain(&["/metrics", "/healthz"]);
    let requests: Vec<String> = everything
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(50))
        .collect();
    let mut streams = Vec::new();
    for _ in 0..PLACES {
        for request in &requests {
            streams.push(unread(bench, request.as_bytes())?);
        }
    }
    Ok(streams)
}

/// A thousand pages that are open at once, each of which asks for one of its parts: those that found no place try again, as the page's script does.
fn pages(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    const PAGES: usize = 1000;
    let mut open: Vec<&str> = PARTS.into_iter().cycle().take(PAGES).collect();
    let mut rounds = 0;
    while !open.is_empty() {
        interrupt::check()?;
        rounds += 1;
        ensure!(rounds < 1000, "{} are not answered", open.len());
        // All of them are connected before the first one asks.
        let streams: Vec<_> = open.iter().map(|_| connect(bench)).collect();
        let mut left = Vec::new();
        for (path, stream) in open.into_iter().zip(streams) {
            let answered = stream.and_then(|mut stream| {
                stream.write_all(
                    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
                )?;
                http::parse(&http::rest(&mut stream))
            });
            match answered {
                Ok(answer) => ensure!(
                    answer.status == 200 && answer.body.len() > 50,
                    "{path}: {answer:?}"
                ),
                Err(_) => left.push(path),
            }
        }
        open = left;
    }
    Ok(Vec::new())
}

/// Each is answered: a collection serves many.
fn thousand(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    const THREADS: usize = 8;
    let scrape = || -> Result<()> {
        for _ in 0..1000 / THREADS {
            let answer = http::send(bench.lab.router(), DEFAULT, METRICS)?;
            ensure!(answer.status == 200, "{}", answer.head);
            ensure!(answer.body.contains("gate_state{"), "{}", answer.body);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(scrape)).collect();
        threads.into_iter().try_for_each(|thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(Vec::new())
}

/// In the target, in a field, in many fields, in the body: answered with a refusal, or the connection is closed.
fn large(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    const SIZE: usize = 10 << 20;
    let long = "a".repeat(SIZE);
    let fields = "A: b\r\n".repeat(SIZE / 6);
    let requests = [
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        format!(
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SIZE}\r\n\r\n{long}"
        ),
        long,
    ];
    for request in requests {
        let mut stream = connect(bench)?;
        // Whoever hangs up early has heard enough.
        let _ = stream.write_all(request.as_bytes());
        let text = http::rest(&mut stream);
        if !text.is_empty() {
            let status = http::parse(&text)?.status;
            ensure!([400, 405, 414, 431].contains(&status), "{text}");
        }
    }
    Ok(Vec::new())
}

fn traversal(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    for path in [
        "/../../../../etc/passwd",
        "/metrics/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/metrics/..",
        "/metrics%00.txt",
        "/\\..\\etc\\passwd",
    ] {
        let answer = http::get(bench.lab.router(), DEFAULT, path, "*/*")?;
        ensure!(
            [400, 404].contains(&answer.status) && !answer.body.contains("root:"),
            "{path}: {answer:?}"
        );
    }
    Ok(Vec::new())
}

/// One octet each for as many as there are places, and the next a little later.
fn slow(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    let mut streams: Vec<TcpStream> = (0..PLACES).map(|_| connect(bench)).collect::<Result<_>>()?;
    for octet in METRICS.iter().take(8) {
        for stream in &mut streams {
            stream.write_all(&[*octet])?;
        }
        interrupt::sleep(Duration::from_millis(50))?;
    }
    Ok(streams)
}

/// A connection is for one request; the others are not answered.
fn pipelined(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    let mut stream = connect(bench)?;
    stream.write_all(&METRICS.repeat(50))?;
    let text = http::rest(&mut stream);
    let answers = text.matches("HTTP/1.1 200").count();
    ensure!(answers == 1, "{answers} answers");
    ensure!(
        http::parse(&text)?.head.contains("connection: close"),
        "{text}"
    );
    Ok(Vec::new())
}

fn refused(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    let send = |request: &str| {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        http::send(bench.lab.router(), DEFAULT, request.as_bytes())
    };
    for (request, status) in [
        ("GET /", 200),
        ("GET /metrics", 200),
        ("GET /nothing", 404),
        ("POST /metrics", 405),
        ("DELETE /healthz", 405),
        ("PUT /nothing", 404),
    ] {
        let answer = send(request)?;
        ensure!(answer.status == status, "{request}: {answer:?}");
        ensure!(
            (status == 405) == answer.head.contains("allow: get, head"),
            "{request}: {answer:?}"
        );
    }
    let (head, get) = (send("HEAD /metrics")?, send("GET /metrics")?);
    ensure!(head.status == 200 && head.body.is_empty(), "{head:?}");
    ensure!(
        !get.body.is_empty() && head.head.contains("content-length: "),
        "{head:?}"
    );
    Ok(Vec::new())
}

/// A browser whose page comes from a name that leads here reads nothing.
fn rebound(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    for page in ["/", "/metrics", "/healthz", "/status.json", "/history.json"] {
        for (host, status) in [
            ("rebound.example.net:25587", 421),
            ("localhost.example.net", 421),
            ("127.0.0.1:25587", 200),
            ("localhost:25587", 200),
        ] {
            let request = format!("GET {page} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let answer = http::send(bench.lab.router(), DEFAULT, request.as_bytes())?;
            ensure!(answer.status == status, "{page} {host}: {answer:?}");
            ensure!(
                status == 200 || answer.body.starts_with("over loopback"),
                "{page} {host}: {answer:?}"
            );
        }
    }
    Ok(Vec::new())
}

fn nonsense(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    for octets in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"EHLO gate\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost gate\r\n\r\n",
        b"\r\n\r\n\r\n\r\n\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = connect(bench)?;
        stream.write_all(octets)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let text = http::rest(&mut stream);
        ensure!(!text.starts_with("HTTP/1.1 200"), "{octets:?}: {text}");
    }
    Ok(Vec::new())
}

/// Those that have no place are closed, and counted.
fn flood(bench: &Bench<'_>) -> Result<Vec<TcpStream>> {
    let streams = (0..4 * PLACES)
        .map(|_| connect(bench))
        .collect::<Result<Vec<_>>>()?;
    let counted = interrupt::wait_until(PATIENCE, || {
        http::scrape(bench.lab.router())
            .is_ok_and(|it| it.get("gate_http_refused_connections_total") >= Some(&(3.0 * 64.0)))
    })?;
    ensure!(counted, "nobody was turned away");
    Ok(streams)
}
