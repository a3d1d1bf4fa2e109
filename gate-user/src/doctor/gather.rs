//! Looks at the machine, and has each module judge its part.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use gate_common::{Answer, Over, Role, abi::MARKER};
use jiff::Timestamp;

use super::{
    data::{self, Hash},
    finding::{At, Finding, Outcome},
    host::{Host, Wants},
    placement::Stack,
    port::{Filter, Peer, Port, Wanted, reason},
    programs::Owner,
    running,
    window::{self, Window},
};
use crate::{
    attach::{self, Placed},
    boot,
    config::{Config, Missing, Mode},
    error::Error,
    generation::{Manifest, manifest},
    kernel,
    load::{Base, Loaded, Source, load},
    pins::Pins,
    progress::Progress,
    report,
    sys::{
        Details, Device, Kind, TcxLink, details, has_gro, has_table, ingress_filters,
        joins_segments, strips_vlans, tcx_ingress, xdp_features,
    },
    view::{self, View},
};

/// Everything that was found.
pub(super) struct Gathered {
    pub(super) config: Option<PathBuf>,
    pub(super) generation: Option<u32>,
    pub(super) hashes: Vec<Hash>,
    pub(super) findings: Vec<Finding>,
}

/// What the configuration makes.
struct Named {
    config: Config,
    view: View,
}

pub(super) fn gather(
    pins: &Pins,
    named: Option<&Path>,
    boot_rules: &Path,
) -> Result<Gathered, Error> {
    let mut findings = vec![running::own_capabilities()];
    findings.extend(running::pins(pins));
    // What cannot be read is told by `status`.
    let (in_force, unread) =
        match view::with_current(pins, |directory| Ok(kernel::manifest(directory)?)) {
            Ok(manifest) => (Some(manifest), None),
            Err(error) => (None, running::unread(&error)),
        };
    if let Some(reason) = &unread {
        findings.push(running::generation(pins, reason));
    }
    let path = named
        .map(Path::to_owned)
        .or_else(|| in_force.as_ref().map(|it| it.config.clone()));
    let loaded = match path.as_deref().map(read) {
        None => {
            // Where that cannot be read, there may be one.
            if unread.is_none() {
                findings.push(nameless());
            }
            None
        }
        Some(Ok(loaded)) => Some(loaded),
        Some(Err(error)) if named.is_some() => return Err(error),
        Some(Err(error)) => {
            findings.push(unloadable(&error, path.as_deref()));
            None
        }
    };
    // What is wanted: as the file says it, else as it is in force.
    let wanted = loaded
        .as_ref()
        .map(|it| &it.view.manifest)
        .or(in_force.as_ref());
    let now = Timestamp::now();
    let host = Host::look(Path::new("/"));
    findings.extend(host.findings(Wants {
        marks: wanted.is_some_and(|it| !it.marked.is_empty()),
        newest: wanted.and_then(|it| it.databases.iter().map(|it| it.built).max()),
    }));
    let devices = details().map_err(Error::system("list the network interfaces"))?;
    let links_of: Vec<Device> = devices.iter().map(|it| it.device.clone()).collect();
    let (links, unread) = match attach::placed(&links_of, pins) {
        Ok(links) => (links, unread),
        Err(error) => (BTreeMap::new(), Some(error.to_string())),
    };
    let mut judged = false;
    if let Some(wanted) = wanted {
        let mut ports = ports(wanted, in_force.is_some(), &devices, &links, pins);
        if let Some(reason) = &unread {
            for port in &mut ports {
                port.unread = Some(reason.clone());
            }
        }
        judged = in_force.is_some() && access_is_judged(wanted, &ports);
        findings.extend(ports.iter().flat_map(Port::findings));
        findings.extend(placements(&ports, &devices));
        findings.extend(vlans(loaded.as_ref(), wanted, &links_of));
        findings.extend(data::ages(wanted, now));
    }
    let hashes = data::hashes(
        in_force.as_ref(),
        loaded.as_ref().map(|it| &it.view.manifest),
    );
    findings.extend(hashes.iter().map(data::hash));
    findings.extend(hashes.iter().filter_map(data::permissions_of));
    if let Some(path) = &path {
        let window = boot_window(path, boot_rules, loaded.as_ref(), judged, now)?;
        findings.extend(window.findings());
    }
    if let Some(manifest) = &in_force {
        findings.extend(running_gate(pins, manifest, &findings));
    } else if pins.exist() {
        findings.extend(running::status(&report::status(pins), |_| false));
    }
    Ok(Gathered {
        config: path,
        generation: in_force.map(|it| it.number),
        hashes,
        findings,
    })
}

fn read(path: &Path) -> Result<Named, Error> {
    let mut progress = Progress::new();
    let loaded = load(Source::Named(path), Base::default(), &mut progress);
    progress.finish();
    let Loaded { config, plan, .. } = loaded?;
    Ok(Named {
        config,
        view: View::planned(plan),
    })
}

fn nameless() -> Finding {
    At::new("config", "this machine").degraded(
        "no gate is in force, and no configuration was named",
        "nothing is judged, and what would be cannot be told",
        "gate doctor --config FILE",
    )
}

fn unloadable(error: &Error, path: Option<&Path>) -> Finding {
    let path = path.map_or_else(String::new, |it| it.display().to_string());
    At::new("config", &path).degraded(
        error.to_string(),
        "the next start of the daemon fails, and so does a reload",
        error.hint().unwrap_or_else(|| {
            format!("`gate check --config {path}` says it again, once it is mended")
        }),
    )
}

/// What is in force, as its pins and its daemon say; problems that were found already are not told twice.
fn running_gate(pins: &Pins, manifest: &Manifest, findings: &[Finding]) -> Vec<Finding> {
    let status = report::status(pins);
    let mut more = Vec::new();
    if let Ok(status) = &status {
        more.extend(running::daemon(status, &manifest.config));
    }
    more.extend(running::socket(pins));
    more.extend(unsent(pins));
    let told: BTreeSet<&str> = findings
        .iter()
        .filter(|it| it.outcome == Outcome::Degraded)
        .filter(|it| matches!(it.check, "interface" | "xdp_program"))
        .map(|it| it.object.as_str())
        .collect();
    let is_told = |problem: &str| {
        let about = problem.split(':').next().unwrap_or_default();
        problem.starts_with("no daemon runs") || told.contains(about)
    };
    more.extend(running::status(&status, is_told));
    more
}

/// Answers that failed to leave.
fn unsent(pins: &Pins) -> Vec<Finding> {
    let Ok(counters) = report::counters(pins) else {
        // That they cannot be read is told by `status`.
        return Vec::new();
    };
    let mut findings = Vec::new();
    for it in &counters.unsent {
        let at = At::new("answers_unsent", &it.interface);
        findings.push(if it.packets == 0 {
            at.ok("none")
        } else {
            at.warning(
                format!(
                    "{} answers failed to leave since the interface was counted",
                    it.packets
                ),
                "refused clients heard nothing, and waited for their time-out",
                format!("ethtool -S {} | grep -i xdp", it.interface),
            )
        });
    }
    findings
}

/// The devices that the configuration names, each once.
fn ports(
    wanted: &Manifest,
    in_force: bool,
    devices: &[Details],
    links: &BTreeMap<String, Placed<'_>>,
    pins: &Pins,
) -> Vec<Port> {
    let mut seen = BTreeSet::new();
    let first = wanted
        .interfaces
        .iter()
        .filter(|it| seen.insert(it.name.as_str()));
    first
        .map(|it| port(wanted_of(it, wanted), in_force, devices, links, pins))
        .collect()
}

fn wanted_of(it: &manifest::Interface, wanted: &Manifest) -> Wanted {
    let modes = [Mode::Native, Mode::Generic, Mode::Auto];
    let mode = modes.into_iter().find(|mode| mode.to_string() == it.mode);
    let waits = it.missing == Missing::Wait.name();
    let drop = Answer::Drop.to_string();
    let mut roles = wanted
        .interfaces
        .iter()
        .filter(|other| other.name == it.name);
    let access = Role::Access.to_string();
    let answers = roles.any(|it| {
        if it.role == access {
            let mut pools = wanted.pools.iter();
            pools.any(|pool| pool.answer.as_ref().is_some_and(|answer| *answer != drop))
        } else {
            let limits = wanted
                .classes
                .iter()
                .filter_map(|it| it.connections.as_ref());
            limits
                .into_iter()
                .any(|it| it.over == Over::Reset.to_string())
        }
    });
    Wanted {
        name: it.name.clone(),
        mode: mode.unwrap_or(Mode::Auto),
        missing: if waits {
            Missing::Wait
        } else {
            Missing::Refuse
        },
        answers,
        marks: wanted.marked.contains(&it.name),
    }
}

fn port(
    wanted: Wanted,
    in_force: bool,
    devices: &[Details],
    links: &BTreeMap<String, Placed<'_>>,
    pins: &Pins,
) -> Port {
    let link = links.get(&wanted.name);
    // The device that the link is on, which may have been renamed; else the one that has the name.
    let on = link.and_then(|it| it.device).map(|it| it.index);
    let found = devices.iter().find(|it| Some(it.device.index) == on);
    let found = found.or_else(|| devices.iter().find(|it| it.device.name == wanted.name));
    let Some(found) = found else {
        return Port {
            wanted,
            in_force,
            details: None,
            ours: false,
            unread: None,
            other: None,
            features: Ok(None),
            lro: Ok(false),
            peer: None,
            filters: Vec::new(),
        };
    };
    let Device {
        index, name, xdp, ..
    } = &found.device;
    let ours = on == Some(*index) && xdp.is_some() && !link.is_some_and(|it| it.is_replaced);
    let filters = if wanted.marks {
        filters(*index, pins)
    } else {
        Vec::new()
    };
    Port {
        in_force,
        ours,
        unread: None,
        other: xdp.filter(|_| !ours).map(|it| Owner::of(it.program)),
        features: xdp_features(*index).map_err(|error| error.to_string()),
        lro: joins_segments(name).map_err(reason("ethtool")),
        peer: (found.kind == Kind::Veth).then(|| peer(found, devices)),
        filters,
        details: Some(found.clone()),
        wanted,
    }
}

fn peer(veth: &Details, devices: &[Details]) -> Peer {
    let mut others = devices.iter();
    let other = veth
        .lower
        .and_then(|index| others.find(|it| it.device.index == index));
    other.map_or(Peer::Elsewhere, |it| Peer::Here {
        name: it.device.name.clone(),
        program: it.device.xdp.is_some(),
        gro: has_gro(&it.device.name).unwrap_or(false),
    })
}

/// The programs of traffic control on what a device receives, in the order in which they run: TCX before clsact.
fn filters(index: u32, pins: &Pins) -> Vec<Filter> {
    let own = TcxLink::open(&pins.mark(index)).ok().map(|it| it.program);
    let names: BTreeMap<u32, String> = aya::programs::loaded_programs()
        .flatten()
        .filter_map(|it| Some((it.id(), it.name_as_str()?.to_owned())))
        .collect();
    let tcx = tcx_ingress(index).unwrap_or_default().into_iter();
    let tcx = tcx.map(|id| Filter {
        id,
        name: names.get(&id).cloned().unwrap_or_default(),
        gate: Some(id) == own,
    });
    let mut clsact = ingress_filters(index).unwrap_or_default();
    clsact.sort_by_key(|it| it.priority);
    let clsact = clsact.into_iter().map(|it| Filter {
        gate: it.name == MARKER,
        id: it.program,
        name: it.name,
    });
    tcx.chain(clsact).collect()
}

fn access_is_judged(wanted: &Manifest, ports: &[Port]) -> bool {
    let access = Role::Access.to_string();
    let mut interfaces = wanted.interfaces.iter().filter(|it| it.role == access);
    interfaces.all(|it| {
        ports
            .iter()
            .any(|port| port.wanted.name == it.name && port.ours)
    })
}

fn placements(ports: &[Port], devices: &[Details]) -> Vec<Finding> {
    let named = ports.iter().map(|it| it.wanted.name.clone()).collect();
    let stack = Stack {
        all: devices,
        named: &named,
    };
    let of = |port: &Port| Some(stack.findings(port.details.as_ref()?, port.wanted.mode));
    ports.iter().filter_map(of).flatten().collect()
}

/// Devices that take VLAN tags off frames before the program sees them.
fn vlans(named: Option<&Named>, wanted: &Manifest, devices: &[Device]) -> Vec<Finding> {
    let unseen = attach::unseen_vlans(&wanted.interfaces, devices, strips_vlans);
    let unseen = unseen.iter().map(|name| {
        At::new("vlan_tags", name).degraded(
            "the device takes VLAN tags off frames (rx-vlan-offload), and roles go by VLAN",
            "no frame has a role, and nothing is judged",
            format!("ethtool -K {name} rxvlan off"),
        )
    });
    let mut findings: Vec<Finding> = unseen.collect();
    if findings.is_empty()
        && let Some(Named { config, .. }) = named
        && let Ok(warnings) = attach::check_stripped(config, devices, strips_vlans)
    {
        findings.extend(warnings.iter().map(|it| {
            let at = it
                .origin
                .as_ref()
                .map_or_else(String::new, ToString::to_string);
            At::new("vlan_tags", &at).warning(
                &it.message,
                "refused clients hear nothing, and wait for their time-out",
                &it.hint,
            )
        }));
    }
    findings
}

fn boot_window(
    config: &Path,
    file: &Path,
    named: Option<&Named>,
    judged: bool,
    now: Timestamp,
) -> Result<Window, Error> {
    let wanted = named.map(|it| boot::rules(&it.config, &it.view, now));
    Ok(Window {
        file: file.to_owned(),
        config: config.to_owned(),
        wanted: wanted.transpose()?.map(window::wanted),
        text: window::read(file),
        loader: window::loader(Path::new("/"), file),
        loaded: has_table(boot::TABLE).map_err(|error| error.to_string()),
        judged,
    })
}
