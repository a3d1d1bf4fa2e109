//! The package in a guest whose PID 1 is systemd: what the units do when they are started, stopped, reloaded, and when the machine boots.
//!
//! The root of the guest is its initramfs: a clean root of Debian with the package installed. There are two boots; what the first one has written
//! comes out of it by a second serial line, and is unpacked over the root at the second one, as a disk would have kept it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{directory, install::CONFIG, package::Package};
use crate::{
    command, say, stream,
    tally::{self, Tally},
    vm::{Kernel, SENTINEL, kernel},
    workspace::Workspace,
};

/// Of Debian's cloud images: the newer one of those that the gate is tested on.
const SERIES: &str = "6.12";

/// Far more than a boot takes, even beside guests of other kernels.
const LIMIT: Duration = Duration::from_mins(10);

/// What a boot would wait for that has nothing to do with the gate.
const IDLE: [&str; 11] = [
    "getty.target",
    "serial-getty@ttyS0.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-logind.service",
    "timers.target",
];

/// What root does: the root with the package and the trials in it, packed.
const PACK: &str = r#"
root=$1 archive=$2 modules=$3 first=$4 next=$5 files=$6 database=$7 image=$8
rm -rf --one-file-system "$root"
mkdir -p "$root"
tar --extract --directory="$root" --file="$archive"
# The guest's memory holds all of it.
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/var/cache/apt "$root"/var/lib/apt
mkdir -p "$root/trial" "$root/usr/lib/modules" "$root/var/lib/GeoIP"
cp -R "$modules" "$root/usr/lib/modules/"
cp "$first" "$root/trial/first.deb"
cp "$next" "$root/trial/next.deb"
cp "$files"/* "$root/trial/"
cp "$database" "$root/var/lib/GeoIP/"
mv "$root"/trial/*.service "$root/etc/systemd/system/"
chroot "$root" depmod "$(basename "$modules")"
unshare --mount --pid --fork --kill-child chroot "$root" sh -euc 'mount -t proc proc /proc; dpkg --install /trial/first.deb > /dev/null'
chroot "$root" systemctl --quiet enable trial.service
: > "$root/etc/machine-id"
ln -s sbin/init "$root/init"
(cd "$root" && find . -print0 | cpio --null --create --format=newc --quiet --owner=0:0) > "$image"
rm -rf --one-file-system "$root"
"#;

/// What is in /trial of the guest, and its units.
const FILES: [(&str, &str); 8] = [
    ("lab", include_str!("guest/lab.sh")),
    ("first", include_str!("guest/first.sh")),
    ("second", include_str!("guest/second.sh")),
    ("mirror", include_str!("guest/mirror.sh")),
    ("gate.toml", CONFIG),
    ("trial.service", include_str!("guest/trial.service")),
    (
        "trial-links.service",
        include_str!("guest/trial-links.service"),
    ),
    (
        "trial-network.service",
        include_str!("guest/trial-network.service"),
    ),
];

/// Boots it twice, counting the checks.
pub(super) fn run(
    workspace: &Workspace,
    archive: &Path,
    package: &Package,
    next: &Package,
    database: &Path,
) -> Result<Tally> {
    let kernel = kernel::ensure(workspace, SERIES)?;
    let directory = directory(workspace);
    let image = pack(&directory, archive, &kernel, package, next, database)?;
    let state = directory.join("state.cpio");
    let mut tally = boot(&kernel.image, &image, "first", &state)?;
    ensure!(
        fs::metadata(&state).is_ok_and(|it| it.len() > 0),
        "the first boot left nothing for the second one"
    );
    // The kernel unpacks archives that follow each other, on top of each other.
    let both = directory.join("second.cpio");
    fs::copy(&image, &both)
        .and_then(|_| fs::File::options().append(true).open(&both))
        .and_then(|mut both| std::io::copy(&mut fs::File::open(&state)?, &mut both))
        .with_context(|| format!("cannot write {}", both.display()))?;
    tally += boot(&kernel.image, &both, "second", &directory.join("nothing"))?;
    // Hundreds of megabytes; made anew each time.
    for image in [image, both] {
        let _ = fs::remove_file(image);
    }
    Ok(tally)
}

fn pack(
    directory: &Path,
    archive: &Path,
    kernel: &Kernel,
    package: &Package,
    next: &Package,
    database: &Path,
) -> Result<PathBuf> {
    let files = directory.join("files");
    let _ = fs::remove_dir_all(&files);
    fs::create_dir_all(&files).with_context(|| format!("cannot create {}", files.display()))?;
    for (name, text) in FILES {
        let path = files.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let image = directory.join("guest.cpio");
    say::step("packing a guest with systemd and the package");
    let mut pack = command::privileged("bash")?;
    pack.args(["-euc", PACK, "pack"])
        .arg(directory.join("guest"))
        .args([
            archive,
            &kernel.modules,
            &package.file,
            &next.file,
            &files,
            database,
            &image,
        ]);
    command::run(&mut pack)?;
    Ok(image)
}

/// The kernel's command line: without those of Debian's units that only take time, and without the kernel's own trial of its timer, which is over
/// before an emulator that has to wait for a processor has given it a tick ("IO-APIC + timer doesn't work!").
fn command_line(script: &str) -> String {
    let mut line = format!(
        "console=ttyS0 panic=-1 quiet no_timer_check mitigations=off systemd.show_status=no trial={script}"
    );
    for unit in IDLE {
        line.push_str(" systemd.mask=");
        line.push_str(unit);
    }
    line
}

/// One boot, with the script of this name; what it writes to its second serial line goes to `out`.
fn boot(kernel: &Path, image: &Path, script: &str, out: &Path) -> Result<Tally> {
    let mut serial = std::ffi::OsString::from("file:");
    serial.push(out);
    let mut qemu = std::process::Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-m", "1536", "-smp", "2", "-nic", "none"])
        .args(["-display", "none", "-monitor", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-serial"])
        .arg(serial)
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .args(["-append", &command_line(script)]);
    let mut counted = tally::Reader::default();
    let mut exit = false;
    let status = stream::run_within(&mut qemu, "[systemd] ", LIMIT, |line| {
        counted.see(line);
        exit |= line.contains(SENTINEL);
    })?;
    let Some(status) = status else {
        bail!(
            "the guest with systemd did not finish its {script} boot within {} minutes; its last lines are above",
            LIMIT.as_secs() / 60
        );
    };
    ensure!(
        status.success() && exit,
        "the guest with systemd stopped in its {script} boot before its trials were over ({status})"
    );
    counted
        .finish()
        .with_context(|| format!("the {script} boot of the guest counted no trial"))
}
