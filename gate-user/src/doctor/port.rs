//! An interface of the configuration: whether the program is on it, and what its driver does with frames.

use std::io;

use super::{
    finding::{At, Finding},
    programs::Owner,
};
use crate::{
    config::{Missing, Mode},
    sys::{Details, Kind, XdpFeatures, XdpMode},
};

/// The largest packet that fits one page beside what the kernel puts around it, on every driver.
const ONE_BUFFER: u32 = 3000;

/// What the configuration says of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) missing: Missing,
    /// Whether clients behind it may hear an answer.
    pub(super) answers: bool,
    /// Whether the skb mark is to be set on it.
    pub(super) marks: bool,
}

/// What is known of a device.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) wanted: Wanted,
    /// Whether a gate is in force, so that its program should be on it.
    pub(super) in_force: bool,
    /// The device; nothing if there is none.
    pub(super) details: Option<Details>,
    /// Whether the program on it is the gate's.
    pub(super) ours: bool,
    /// Why it could not be asked whose the program on it is.
    pub(super) unread: Option<String>,
    /// Who has the program on it, if it is somebody else's.
    pub(super) other: Option<Owner>,
    pub(super) features: Result<Option<XdpFeatures>, String>,
    /// Whether it joins segments by itself.
    pub(super) lro: Result<bool, String>,
    /// The other end, of a veth device.
    pub(super) peer: Option<Peer>,
    /// Programs of traffic control on what it receives, by number and name, in their order; `gate` marks the gate's own.
    pub(super) filters: Vec<Filter>,
}

/// The other end of a veth device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// In another network namespace.
    Elsewhere,
    /// Here.
    Here {
        name: String,
        /// Whether it has an XDP program.
        program: bool,
        gro: bool,
    },
}

/// A program of traffic control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) gate: bool,
}

impl Port {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let Some(details) = &self.details else {
            return vec![self.missing()];
        };
        let mut findings = vec![
            self.present(details),
            self.program(details),
            self.mode(details),
            self.mtu(details),
            self.lro(),
        ];
        findings.extend(self.way_back(details));
        findings.extend(self.traffic_control());
        findings
    }

    fn at(&self, check: &'static str) -> At<'_> {
        At::new(check, &self.wanted.name)
    }

    fn missing(&self) -> Finding {
        let at = self.at("interface");
        match self.wanted.missing {
            Missing::Wait => at.note(
                "there is no such interface, and it is waited for",
                "the gate gets on it when it comes",
            ),
            Missing::Refuse => at.degraded(
                "there is no such interface in this network namespace",
                "the gate does not start without it, and nothing that would arrive there is judged",
                "`ip link` lists the interfaces: write the right `name` under [[interface]], or `missing = \"wait\"`",
            ),
        }
    }

    fn present(&self, details: &Details) -> Finding {
        let at = self.at("interface");
        let name = &self.wanted.name;
        if details.device.name != *name {
            return at.warning(
                format!("is called {} now", details.device.name),
                "the next start of the daemon looks for the name in the configuration",
                format!(
                    "write `name = \"{}\"` under [[interface]], then `gate reload`",
                    details.device.name
                ),
            );
        }
        if details.up {
            at.ok("is there, and up")
        } else {
            at.warning(
                "is there, and down",
                "nothing arrives by it",
                format!("ip link set dev {name} up"),
            )
        }
    }

    fn program(&self, details: &Details) -> Finding {
        let at = self.at("xdp_program");
        let name = &self.wanted.name;
        if let Some(reason) = &self.unread {
            return at.not_asked(reason);
        }
        if let Some(other) = &self.other {
            return at.degraded(
                format!("another XDP program is on it: {}", other.words()),
                "nothing is judged there: an interface has one XDP program, and the gate replaces nobody's",
                other.removal(name),
            );
        }
        match (details.device.xdp, self.ours, self.in_force) {
            (Some(xdp), true, _) => at.ok(format!("that of the gate, id {}", xdp.program)),
            (_, _, true) => at.degraded(
                "open: a gate is in force, and its program is not here",
                "nothing is judged there",
                "gate reload",
            ),
            (_, _, false) => at.note(
                "none: no gate is in force",
                "nothing is judged before `gate run --config FILE`",
            ),
        }
    }

    fn mode(&self, details: &Details) -> Finding {
        let at = self.at("xdp_mode");
        if let Some(reason) = &self.unread {
            return at.not_asked(reason);
        }
        // Whatever the ports of a bond have.
        let native = if details.device.is_bond {
            Ok(Some(false))
        } else {
            self.features.as_ref().map(|it| it.map(XdpFeatures::native))
        };
        let name = &self.wanted.name;
        let now = details.device.xdp.filter(|_| self.ours).map(|it| it.mode);
        let why = "generic XDP runs in the network stack, after a socket buffer was made: some three times the work a packet";
        match (self.wanted.mode, now, native) {
            (_, Some(XdpMode::Native), _) => at.ok("native"),
            (Mode::Generic, Some(XdpMode::Generic) | None, _) => {
                at.ok("generic, as the configuration says")
            }
            (Mode::Native, Some(XdpMode::Generic), _) => at.degraded(
                "generic, where the configuration says native",
                why,
                format!("`gate detach`, which opens the gate, then `gate run`; or `mode = \"auto\"` for {name}"),
            ),
            (Mode::Auto, Some(XdpMode::Generic), Ok(Some(true))) => at.warning(
                "generic: the driver has native XDP, and refused it when the gate was attached",
                why,
                format!("`ethtool -l {name}` and the MTU may say why (docs/doctor.md); `gate detach`, which opens the gate, then `gate run` tries again"),
            ),
            (Mode::Auto, Some(XdpMode::Generic), _) => at.warning(
                "generic: the driver has no native XDP",
                why,
                format!("`mode = \"generic\"` for {name} says that this is as it should be"),
            ),
            (_, None, Ok(Some(true))) => at.ok("the driver has native XDP"),
            (Mode::Native, None, Ok(Some(false))) => at.degraded(
                "the driver has no native XDP, which the configuration asks for",
                "the gate does not start",
                format!("`mode = \"auto\"` or `mode = \"generic\"` for {name}"),
            ),
            (Mode::Auto, None, Ok(Some(false))) => at.warning(
                "the driver has no native XDP: the mode will be generic",
                why,
                format!("`mode = \"generic\"` for {name} says that this is as it should be"),
            ),
            (_, None, Ok(None)) => {
                at.not_asked("this kernel does not tell what drivers can do (Linux 6.3 and later do)")
            }
            (_, None, Err(error)) => at.not_asked(error),
        }
    }

    /// The program takes frames in several buffers; whether a driver gives it any is the driver's affair.
    fn mtu(&self, details: &Details) -> Finding {
        let at = self.at("mtu");
        let mtu = details.mtu;
        let several = self
            .features
            .as_ref()
            .map(|it| it.map(XdpFeatures::several_buffers));
        let generic = self.wanted.mode == Mode::Generic;
        match several {
            _ if mtu <= ONE_BUFFER || generic => at.ok(mtu.to_string()),
            Ok(Some(true)) => at.ok(format!("{mtu}, and the driver takes frames in several buffers")),
            Ok(Some(false)) => at.warning(
                format!("{mtu}, and the driver takes no frames in several buffers"),
                "native XDP is refused where a packet can be larger than one buffer",
                format!("ip link set dev {} mtu 1500", self.wanted.name),
            ),
            Ok(None) => at.not_asked(format!(
                "{mtu}; whether the driver takes frames in several buffers this kernel does not tell"
            )),
            Err(error) => at.not_asked(error),
        }
    }

    fn lro(&self) -> Finding {
        let at = self.at("lro");
        match &self.lro {
            Ok(false) => at.ok("off"),
            Ok(true) => at.warning(
                "on: the device puts segments of a connection together",
                "drivers refuse native XDP, and what is put together is no frame that somebody sent",
                format!("ethtool -K {} lro off", self.wanted.name),
            ),
            Err(error) => at.not_asked(error),
        }
    }

    /// Whether answers leave by the way that they came, on the one kind of device where that depends on the other end.
    fn way_back(&self, details: &Details) -> Option<Finding> {
        if !self.wanted.answers || details.kind != Kind::Veth {
            return None;
        }
        let at = self.at("answers");
        let why = "refused clients hear nothing, and wait for their time-out";
        Some(match self.peer.as_ref()? {
            Peer::Elsewhere => at.note(
                "the other end of this veth pair is in another network namespace, and cannot be looked at",
                "answers reach it only where it has an XDP program or GRO; `gate counters` counts those that fail to leave",
            ),
            Peer::Here { program: true, .. } => at.ok("the other end takes them"),
            Peer::Here { name, gro: true, .. } => at.note(
                format!("{name}, the other end, has GRO and no XDP program"),
                "it takes answers, and is woken for them only by the next packet that it receives",
            ),
            Peer::Here { name, gro: false, .. } => at.degraded(
                format!("{name}, the other end, has neither GRO nor an XDP program: answers do not leave"),
                why,
                format!("ethtool -K {name} gro on"),
            ),
        })
    }

    fn traffic_control(&self) -> Option<Finding> {
        let at = self.at("traffic_control");
        if !self.wanted.marks || self.filters.is_empty() {
            return None;
        }
        let gate = self.filters.iter().position(|it| it.gate);
        let name = |it: &Filter| format!("{} (id {})", it.name, it.id);
        let (before, after) = match gate {
            Some(gate) => self.filters.split_at(gate),
            None => (self.filters.as_slice(), [].as_slice()),
        };
        let before: Vec<String> = before.iter().map(name).collect();
        let after: Vec<String> = after.iter().filter(|it| !it.gate).map(name).collect();
        Some(if !before.is_empty() {
            at.warning(
                format!("before the program that sets the skb mark: {}", before.join(", ")),
                "what they drop, redirect or pass for good gets no mark",
                "attach them behind it: `bpftool net show` says by which tool they came; then `gate reload`",
            )
        } else if after.is_empty() {
            at.ok("the program that sets the skb mark, and no other")
        } else {
            at.note(
                format!(
                    "behind the program that sets the skb mark: {}",
                    after.join(", ")
                ),
                "they see the mark, and may change it",
            )
        })
    }
}

/// An error as a reason why something could not be asked.
pub(super) fn reason(what: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

#[cfg(test)]
mod tests;
