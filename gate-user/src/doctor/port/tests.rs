use super::*;
use crate::{
    doctor::finding::Outcome,
    sys::{AttachedXdp, Device},
};

fn well() -> Port {
    Port {
        wanted: Wanted {
            name: "eth1".to_owned(),
            mode: Mode::Native,
            missing: Missing::Refuse,
            answers: true,
            marks: true,
        },
        in_force: true,
        details: Some(Details {
            device: Device {
                index: 2,
                name: "eth1".to_owned(),
                xdp: Some(AttachedXdp {
                    program: 41,
                    mode: XdpMode::Native,
                }),
                vlan_of: None,
                is_bond: false,
            },
            up: true,
            mtu: 1500,
            kind: Kind::Plain,
            master: None,
            lower: None,
        }),
        ours: true,
        unread: None,
        other: None,
        features: Ok(Some(XdpFeatures::of(1))),
        lro: Ok(false),
        peer: None,
        filters: vec![Filter {
            id: 7,
            name: "gate_mark".to_owned(),
            gate: true,
        }],
    }
}

fn bad(port: &Port) -> Vec<(&'static str, Outcome)> {
    let findings = port.findings();
    let bad = findings.iter().filter(|it| it.outcome != Outcome::Ok);
    bad.map(|it| (it.check, it.outcome)).collect()
}

fn details(port: &mut Port) -> &mut Details {
    port.details.as_mut().unwrap()
}

fn generic(port: &mut Port) {
    details(port).device.xdp = Some(AttachedXdp {
        program: 41,
        mode: XdpMode::Generic,
    });
}

fn bare(port: &mut Port) {
    port.in_force = false;
    port.ours = false;
    details(port).device.xdp = None;
}

fn other() -> Filter {
    Filter {
        id: 9,
        name: "theirs".to_owned(),
        gate: false,
    }
}

fn veth(port: &mut Port, program: bool, gro: bool) {
    details(port).kind = Kind::Veth;
    let name = "peer".to_owned();
    port.peer = Some(Peer::Here { name, program, gro });
}

type Break = fn(&mut Port);

#[test]
fn a_well_interface_has_nothing_but_ok() {
    assert_eq!(bad(&well()), []);
}

#[test]
fn each_thing_that_is_wrong_is_one_finding() {
    use Outcome::{Degraded, NotAsked, Note, Warning};
    let breaks: [(Break, &str, Outcome); 19] = [
        (|it| it.details = None, "interface", Degraded),
        (|it| details(it).up = false, "interface", Warning),
        (
            |it| details(it).device.name = "eth9".to_owned(),
            "interface",
            Warning,
        ),
        (
            |it| it.other = Some(Owner::default()),
            "xdp_program",
            Degraded,
        ),
        (generic, "xdp_mode", Degraded),
        (
            |it| {
                generic(it);
                it.wanted.mode = Mode::Auto;
            },
            "xdp_mode",
            Warning,
        ),
        (
            |it| {
                generic(it);
                it.wanted.mode = Mode::Auto;
                it.features = Ok(Some(XdpFeatures::of(0)));
            },
            "xdp_mode",
            Warning,
        ),
        (|it| details(it).mtu = 9000, "mtu", Warning),
        (
            |it| {
                details(it).mtu = 9000;
                it.features = Ok(None);
            },
            "mtu",
            NotAsked,
        ),
        (|it| it.lro = Ok(true), "lro", Warning),
        (
            |it| it.lro = Err("no such device".to_owned()),
            "lro",
            NotAsked,
        ),
        (|it| veth(it, false, false), "answers", Degraded),
        (|it| veth(it, false, true), "answers", Note),
        (
            |it| {
                veth(it, false, true);
                it.peer = Some(Peer::Elsewhere);
            },
            "answers",
            Note,
        ),
        (
            |it| it.filters.insert(0, other()),
            "traffic_control",
            Warning,
        ),
        (|it| it.filters.push(other()), "traffic_control", Note),
        (|it| it.filters = vec![other()], "traffic_control", Warning),
        (
            |it| {
                it.details = None;
                it.wanted.missing = Missing::Wait;
            },
            "interface",
            Note,
        ),
        (
            |it| {
                it.ours = false;
                details(it).device.xdp = None;
            },
            "xdp_program",
            Degraded,
        ),
    ];
    for (index, (broken, check, outcome)) in breaks.into_iter().enumerate() {
        let mut port = well();
        broken(&mut port);
        assert_eq!(bad(&port), [(check, outcome)], "{index}");
    }
}

#[test]
fn what_matters_to_nobody_is_no_finding() {
    let fine: [Break; 5] = [
        |it| {
            details(it).mtu = 9000;
            it.features = Ok(Some(XdpFeatures::of(0x21)));
        },
        |it| {
            veth(it, false, false);
            it.wanted.answers = false;
        },
        |it| veth(it, true, false),
        |it| {
            it.filters.insert(0, other());
            it.wanted.marks = false;
        },
        |it| {
            generic(it);
            it.wanted.mode = Mode::Generic;
        },
    ];
    for (index, change) in fine.into_iter().enumerate() {
        let mut port = well();
        change(&mut port);
        assert_eq!(bad(&port), [], "{index}");
    }
}

#[test]
fn before_the_first_start_the_driver_is_asked() {
    use Outcome::{Degraded, NotAsked, Note, Warning};
    for (mode, features, expected) in [
        (Mode::Native, Some(1), None),
        (Mode::Native, Some(0), Some(Degraded)),
        (Mode::Auto, Some(0), Some(Warning)),
        (Mode::Generic, Some(0), None),
        (Mode::Auto, None, Some(NotAsked)),
    ] {
        let mut port = well();
        bare(&mut port);
        port.wanted.mode = mode;
        port.features = Ok(features.map(XdpFeatures::of));
        let mut found = vec![("xdp_program", Note)];
        found.extend(expected.map(|it| ("xdp_mode", it)));
        assert_eq!(bad(&port), found, "{mode:?} {features:?}");
    }
}

#[test]
fn whose_a_program_is_that_nobody_may_ask_is_not_told() {
    let mut port = well();
    port.ours = false;
    port.in_force = false;
    port.unread = Some("permission denied".to_owned());
    port.other = Some(Owner::of(41));
    assert_eq!(
        bad(&port),
        [
            ("xdp_program", Outcome::NotAsked),
            ("xdp_mode", Outcome::NotAsked)
        ]
    );
}
