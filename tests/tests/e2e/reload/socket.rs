//! The control socket: who abuses it disturbs nobody, and nothing of it is left.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::PathBuf,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::lab::Who;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{reloads, rewrite, until, version, well};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("reload::who_abuses_the_socket_disturbs_nobody", abuse),
        found.lab_trial("reload::a_daemon_that_hangs_is_named", hangs),
        found.lab_trial(
            "reload::a_socket_that_a_killed_daemon_left_is_replaced",
            stale,
        ),
    ]
}

fn link(bench: &Bench<'_>) -> PathBuf {
    version(bench).join("control")
}

fn abuse(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let socket = fs::read_link(link(bench))?;
    let found = fs::symlink_metadata(&socket)?;
    ensure!(
        found.file_type().is_socket() && found.mode() & 0o777 == 0o600,
        "others may use {}: {:o}",
        socket.display(),
        found.mode()
    );
    let silent = (0..100)
        .map(|_| UnixStream::connect(&socket))
        .collect::<Result<Vec<_>, _>>()?;
    well(bench)?;
    for garbage in [
        &b"\n"[..],
        b"{}\n",
        b"{\"request\":\"detach\"}\n",
        b"\xff\xfe\0\n",
        b"[[[[[[[[[[[[[[[[\n",
        &vec![b'x'; 100 << 10],
    ] {
        let mut client = UnixStream::connect(&socket)?;
        // A daemon that has heard enough hangs up, which may cut either short.
        let _ = client.write_all(garbage);
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        ensure!(
            reply.contains("\"reply\":\"error\""),
            "an answer to {} bytes of garbage: {reply}",
            garbage.len()
        );
    }
    // Clients that ask and do not wait for the answer.
    for _ in 0..10 {
        UnixStream::connect(&socket)?.write_all(b"{\"request\":\"status\"}\n")?;
    }
    well(bench)?;
    config.action = "observe";
    rewrite(bench, &config)?;
    reloads(bench, &[])?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    drop(silent);
    well(bench)
}

fn hangs(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    daemon.signal(Signal::SIGSTOP)?;
    let looked_at = (|| {
        let (code, status) = bench.gate().status()?;
        ensure!(
            code == Some(3) && status.daemon.alive && status.daemon.state == "silent",
            "status of a gate whose daemon hangs: {code:?}, {status:?}"
        );
        ensure!(
            status
                .problems
                .iter()
                .any(|it| it.contains("does not answer")),
            "{status:?}"
        );
        let output = bench.gate().output(&["reload"])?;
        ensure!(
            output.code() == Some(1)
                && output.stderr.contains("does not answer")
                && output.stderr.contains("hint: "),
            "a reload of a daemon that hangs: {output:?}"
        );
        bench.in_force()
    })();
    daemon.signal(Signal::SIGCONT)?;
    looked_at?;
    until(bench, "the daemon", |status| status.daemon.state == "alive")?;
    well(bench)
}

fn stale(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let sockets = bench.gate().sockets();
    let count = || -> Result<usize> { Ok(fs::read_dir(&sockets)?.count()) };
    bench.run(&config)?.kill()?;
    let (link, left) = (link(bench), fs::read_link(link(bench))?);
    ensure!(count()? == 1, "a killed daemon leaves its socket");
    let output = bench.gate().output(&["reload"])?;
    ensure!(output.code() == Some(3), "no daemon: {output:?}");
    let daemon = bench.run(&config)?;
    let new = fs::read_link(&link)?;
    ensure!(
        new != left && !left.exists() && count()? == 1,
        "the socket of the killed daemon is still there: {}",
        new.display()
    );
    well(bench)?;
    daemon.terminate()?;
    ensure!(
        !link.is_symlink() && count()? == 0,
        "a daemon that ends leaves its socket"
    );
    bench.in_force()?;
    bench.run(&config)?.kill()?;
    bench.gate().detach()?;
    ensure!(
        count()? == 0 && !version(bench).exists(),
        "detach leaves something"
    );
    let directory = sockets.metadata().context("no directory for sockets")?;
    ensure!(
        directory.mode() & 0o777 == 0o700,
        "others may look into the directory of sockets"
    );
    Ok(())
}
