//! One boot: qemu's serial line goes through, prefixed, and is read for results; a guest that hangs is ended.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail, ensure};

use super::{
    initramfs::SENTINEL,
    nic::{Nics, PROCESSORS},
};
use crate::{
    command, stream,
    tally::{self, Tally},
};

/// Far more than a boot and the suites take, even emulated beside others on a busy machine.
const LIMIT: Duration = Duration::from_mins(20);

/// Boots `kernel` on `image`, runs what is in it, and counts.
pub(crate) fn boot(series: &str, kernel: &Path, image: &Path, nics: &Nics) -> Result<Tally> {
    let mut qemu = nics.qemu();
    qemu.args(["-accel", "tcg", "-m", "1024"])
        .args(["-smp", &PROCESSORS.to_string()])
        .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
        .args(["-no-reboot", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        // panic=-1 reboots at once, and -no-reboot turns that into an end: no guest hangs in a panic.
        // The kernel hands on to init what it does not know.
        .args(["-append", &format!("console=ttyS0 panic=-1 quiet no_timer_check {}", nics.describe())]);
    let mut counted = tally::Reader::default();
    let mut exit = None;
    let status = stream::run_within(&mut qemu, &format!("[{series}] "), LIMIT, |line| {
        counted.see(line);
        // Not at the line's start: the console's own escapes may come first.
        if let Some((_, code)) = line.split_once(SENTINEL) {
            exit = Some(code.trim().to_owned());
        }
    })?;
    let Some(status) = status else {
        bail!(
            "the guest did not finish within {} minutes; its last lines are above",
            LIMIT.as_secs() / 60
        );
    };
    ensure!(
        status.success(),
        "`{}` failed: {status}",
        command::describe(&qemu)
    );
    let tally = counted.finish().unwrap_or_default();
    match exit.as_deref() {
        Some("0") => Ok(tally),
        // Failed tests are counted; the count says it better than an exit code.
        Some(_) if tally.failed > 0 => Ok(tally),
        Some(code) => bail!("a test program ended with code {code} and counted no failed test"),
        None => bail!("the guest stopped before its tests were over; its last lines are above"),
    }
}
