//! The guests' NICs: drivers with native XDP, which veth pairs are none of, on a wire that nothing else is on.
//!
//! Each NIC is the guest's end of a tap device; the taps are ports of one bridge, and all of that is in a network namespace that has
//! nothing else and ends with qemu. A tap is also the only backend of qemu that has several queues without a second program behind it.

use std::{fs::File, path::Path, process::Command};

use anyhow::Result;

use super::driver;
use crate::{command, say};

/// A NIC that qemu can emulate and the kernel may have a driver for.
struct Model {
    /// What qemu calls it.
    device: &'static str,
    /// Its own options, each after a comma.
    options: &'static str,
    /// The modules of its driver, each after those that it needs.
    modules: &'static [&'static str],
    /// The first kernel whose driver runs XDP itself; before that there is generic XDP only.
    native_since: (u32, u32),
    /// How many queues the device has.
    queues: u16,
    /// Over how many of them what arrives is spread at least.
    spread: u16,
}

/// In the order in which the drivers are loaded.
const MODELS: [Model; 3] = [
    Model {
        device: "virtio-net-pci",
        // Two interrupts a queue, one for the device's configuration, one for its control queue.
        options: ",mq=on,vectors=10",
        modules: &[
            "virtio_ring",
            "virtio",
            "virtio_pci_legacy_dev",
            "virtio_pci_modern_dev",
            "virtio_pci",
            "failover",
            "net_failover",
            "virtio_net",
        ],
        native_since: (4, 10),
        // The driver uses one a processor, and takes one more a processor to send from XDP without a lock (`virtnet_xdp_set`).
        queues: 2 * PROCESSORS,
        spread: 2,
    },
    // Takes VLAN tags off frames by itself.
    Model {
        device: "vmxnet3",
        options: "",
        modules: &["vmxnet3"],
        native_since: (6, 6),
        queues: 1,
        spread: 1,
    },
    Model {
        device: "igb",
        options: "",
        modules: &["dca", "i2c-algo-bit", "igb"],
        native_since: (5, 10),
        queues: 1,
        spread: 1,
    },
];

/// How many processors a guest has.
pub(super) const PROCESSORS: u16 = 2;

/// The hardware address of the NIC that the others get their frames from.
pub(super) const PEER: &str = "02:00:5e:00:00:10";

/// The NICs of one guest.
pub(super) struct Nics {
    /// With their hardware addresses.
    fitted: Vec<(&'static Model, String)>,
    kernel: (u32, u32),
}

/// A NIC as qemu is told of it.
struct Port<'a> {
    /// Of its tap.
    name: String,
    device: &'a str,
    options: &'a str,
    queues: u16,
    address: &'a str,
}

impl Nics {
    /// Those that this qemu and this kernel both have, each that is left out with the reason.
    pub(super) fn of(series: &str, modules: &Path) -> Result<Self> {
        let kernel = version(series);
        let mut fitted = Vec::new();
        if let Err(error) = File::options().read(true).write(true).open(TUN) {
            say::step(format_args!(
                "kernel {series}: no NIC, and what needs one is skipped: cannot open {TUN}: {error}\n\
                 in a container, give it the device (docker run --device {TUN}); elsewhere, load the module tun or run as root"
            ));
            return Ok(Self { fitted, kernel });
        }
        let devices = command::capture(Command::new(QEMU).args(["-device", "help"]))?;
        for (model, index) in MODELS.iter().zip(0x11_u8..) {
            if let Some(lack) = model.lack(&devices, modules)? {
                say::step(format_args!("kernel {series}: no {}: {lack}", model.device));
            } else {
                fitted.push((model, format!("02:00:5e:00:00:{index:02x}")));
            }
        }
        Ok(Self { fitted, kernel })
    }

    /// The modules of all drivers, in the order in which they are loaded.
    pub(super) fn modules(&self) -> impl Iterator<Item = &'static str> {
        self.fitted
            .iter()
            .flat_map(|(model, _)| model.modules.iter().copied())
    }

    /// What init is told on the kernel's command line: `NICS=ADDRESS/MODE/SPREAD,...`.
    pub(super) fn describe(&self) -> String {
        let nics: Vec<String> = self
            .fitted
            .iter()
            .map(|(model, address)| {
                let mode = if self.kernel < model.native_since {
                    "generic"
                } else {
                    "native"
                };
                format!("{address}/{mode}/{}", model.spread)
            })
            .collect();
        format!("{VARIABLE}={}", nics.join(","))
    }

    /// A command that runs qemu with these NICs; the rest of its arguments are the caller's.
    pub(super) fn qemu(&self) -> Command {
        if self.fitted.is_empty() {
            let mut qemu = Command::new(QEMU);
            qemu.args(["-nic", "none"]);
            return qemu;
        }
        let ports = self.ports();
        let taps: String = ports.iter().map(Port::tap).collect();
        let mut qemu = Command::new("unshare");
        if !command::is_root() {
            qemu.arg("--map-root-user");
        }
        qemu.args(["--net", "sh", "-euc", WIRE])
            .args([&format!("{BRIDGE}{taps}"), QEMU])
            .args(ports.iter().flat_map(Port::arguments));
        qemu
    }

    /// All of them, and the one that the others get their frames from.
    fn ports(&self) -> Vec<Port<'_>> {
        let peer = ("virtio-net-pci", "", 1, PEER);
        let nics = self.fitted.iter().map(|(model, address)| {
            let Model {
                device,
                options,
                modules: _,
                native_since: _,
                queues,
                spread: _,
            } = model;
            (*device, *options, *queues, address.as_str())
        });
        std::iter::once(peer)
            .chain(nics)
            .enumerate()
            .map(|(index, (device, options, queues, address))| Port {
                name: format!("nic{index}"),
                device,
                options,
                queues,
                address,
            })
            .collect()
    }
}

impl Port<'_> {
    /// Its end of the wire, in lines of `ip`.
    fn tap(&self) -> String {
        let Self { name, queues, .. } = self;
        let several = if *queues > 1 { " multi_queue" } else { "" };
        format!("tuntap add name {name} mode tap{several}\nlink set {name} master wire up\n")
    }

    fn arguments(&self) -> [String; 4] {
        let Self {
            name,
            device,
            options,
            queues,
            address,
        } = self;
        let backend = format!(
            "tap,id={name},ifname={name},script=no,downscript=no,vhost=off,queues={queues}"
        );
        // No firmware: nothing boots from it.
        let device = format!("{device},netdev={name},mac={address},romfile={options}");
        ["-netdev".to_owned(), backend, "-device".to_owned(), device]
    }
}

const QEMU: &str = "qemu-system-x86_64";
const TUN: &str = "/dev/net/tun";
/// The variable that init finds the NICs in.
pub(super) const VARIABLE: &str = "NICS";
/// What joins the taps, in lines of `ip`.
const BRIDGE: &str = "link add wire type bridge\nlink set wire up\n";
/// Gives the lines in `$0` to `ip` and becomes what follows. Without IPv6 the host says nothing on the wire.
const WIRE: &str = r#"
no_ipv6=/proc/sys/net/ipv6/conf/default/disable_ipv6
[ ! -e $no_ipv6 ] || echo 1 > $no_ipv6
printf %s "$0" | ip -batch -
exec "$@"
"#;

impl Model {
    /// What keeps it out of a guest.
    fn lack(&self, devices: &str, modules: &Path) -> Result<Option<&'static str>> {
        if !devices.contains(&format!("name \"{}\"", self.device)) {
            return Ok(Some("this qemu has no such device"));
        }
        let driver = self.modules.last().copied().unwrap_or_default();
        let there = driver::is_there(modules, driver)?;
        Ok((!there).then_some("this kernel has no driver for it"))
    }
}

/// The numbers of a series such as `6.12`.
fn version(series: &str) -> (u32, u32) {
    let mut numbers = series.split('.').map(|number| number.parse().unwrap_or(0));
    (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_xdp_is_asked_for_where_the_driver_has_it() {
        let described = |series| {
            let fitted = MODELS.iter().map(|it| (it, "ADDRESS".to_owned()));
            Nics {
                fitted: fitted.take(2).collect(),
                kernel: version(series),
            }
            .describe()
        };
        assert_eq!(described("6.1"), "NICS=ADDRESS/native/2,ADDRESS/generic/1");
        assert_eq!(described("6.12"), "NICS=ADDRESS/native/2,ADDRESS/native/1");
    }
}
