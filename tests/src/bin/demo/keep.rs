//! `--keep`: the lab stays until somebody has seen enough.

use std::{io, os::fd::AsFd as _};

use anyhow::Result;
use gate_tests::{
    gate::Gate,
    interrupt,
    lab::{Lab, Who},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::narrate::Narrator;

/// Says how to look into the lab, and waits for Enter (or the end of standard input) or Ctrl-C.
pub(crate) fn wait(lab: &Lab, gate: Gate<'_>, narrator: &mut Narrator) -> Result<()> {
    narrator.scene("The lab is yours")?;
    let router = lab.router().name();
    for (what, command) in [
        ("ask the gate", gate.typed("status")),
        ("a connection's tag", gate.typed("flow SRC:PORT DST:PORT")),
        (
            "be a subscriber",
            format!(
                "nsenter --net=/run/netns/{}-{} bash",
                lab.name(),
                Who::Subscriber.netns()
            ),
        ),
        ("watch the router", format!("ip -n {router} -stats link")),
        ("configurations", format!("ls {}", lab.scratch().display())),
    ] {
        narrator.line(&format!("{what:<20}{command}"))?;
    }
    narrator.line("\nEnter or Ctrl-C removes all of it.")?;
    entered()
}

fn entered() -> Result<()> {
    let stdin = io::stdin();
    loop {
        if interrupt::check().is_err() {
            return Ok(());
        }
        let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let tick = PollTimeout::try_from(interrupt::TICK)?;
        match poll(&mut waiting, tick) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}
