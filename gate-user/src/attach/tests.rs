use super::*;

const KNOWN: &str = "bond0";

fn device(index: u32, name: &str, mode: Option<XdpMode>) -> Device {
    Device {
        index,
        name: name.to_owned(),
        xdp: mode.map(|mode| AttachedXdp { program: 9, mode }),
        vlan_of: None,
        is_bond: name == KNOWN,
    }
}

/// What becomes of a bond with a link of the gate in this mode, beside an interface that is well.
fn bond(
    wanted: Mode,
    found: Option<XdpMode>,
    tolerance: Tolerance<'_>,
) -> Result<Targets, AttachError> {
    let devices = [
        device(3, KNOWN, found),
        device(4, "acc0", Some(XdpMode::Native)),
    ];
    let linked = devices.iter().filter(|it| it.xdp.is_some());
    let links = linked.map(|device| {
        let link = XdpLink {
            id: 10 + device.index,
            program: 9,
            interface: device.index,
        };
        let device = Some(device);
        (
            device.map_or_else(String::new, |it| it.name.clone()),
            Placed {
                link,
                device,
                is_replaced: false,
            },
        )
    });
    let of = |name, mode| Wanted {
        name,
        mode,
        missing: Missing::Refuse,
    };
    let wanted = [of(KNOWN, wanted), of("acc0", Mode::Auto)];
    targets_of(&wanted, &devices, &links.collect(), tolerance)
}

const NATIVE: Option<XdpMode> = Some(XdpMode::Native);
const GENERIC: Option<XdpMode> = Some(XdpMode::Generic);

#[test]
fn a_bond_that_is_blind_is_put_on_generic() {
    let known = [KNOWN.to_owned()];
    for tolerance in [
        Tolerance::Known(&known),
        Tolerance::Known(&[]),
        Tolerance::Blocked,
    ] {
        for mode in [Mode::Auto, Mode::Generic] {
            let targets = bond(mode, NATIVE, tolerance).unwrap();
            assert!(targets.blocked.is_empty(), "{tolerance:?}");
            let [bond, other] = &targets.found[..] else {
                panic!("{targets:?}")
            };
            assert_eq!(bond.mode, Mode::Generic);
            // It is attached anew: the link that judged nothing is not replaced in place.
            assert_eq!(bond.blind.as_deref(), Some(KNOWN));
            assert!(!bond.linked() && !bond.settled() && bond.was_blind());
            assert!(other.linked() && other.settled() && !other.was_blind());
        }
    }
    let targets = bond(Mode::Auto, GENERIC, Tolerance::Known(&known)).unwrap();
    assert!(
        targets
            .found
            .iter()
            .all(|it| it.settled() && !it.was_blind())
    );
}

#[test]
fn a_bond_that_is_to_be_blind_keeps_no_other_interface_off_the_gate() {
    let known = [KNOWN.to_owned()];
    // With the link, and at the next start without.
    for found in [NATIVE, None] {
        for tolerance in [Tolerance::Known(&known), Tolerance::Blocked] {
            let targets = bond(Mode::Native, found, tolerance).unwrap();
            assert_eq!(targets.found.len(), 1, "{targets:?}");
            let why = targets.blocked.get(KNOWN).unwrap();
            assert!(why.contains("is a bond"), "{why}");
        }
        // Somebody just wrote it.
        let refused = bond(Mode::Native, found, Tolerance::Known(&[])).unwrap_err();
        assert!(
            matches!(refused, AttachError::BlindBond { .. }),
            "{refused}"
        );
    }
    let refused = bond(Mode::Native, GENERIC, Tolerance::Known(&known)).unwrap_err();
    assert!(
        matches!(refused, AttachError::OtherMode { .. }),
        "{refused}"
    );
}
