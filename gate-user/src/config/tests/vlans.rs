//! Roles by VLAN, and whose address names a tunnelled subscriber.

use gate_common::{Identity, Role};

use super::{ACCESS, UPLINK, bad, good, problems};
use crate::config::{Missing, Mode, Stripped};

/// An access interface `eth0` with these lines, and a pool.
fn access(lines: &str) -> String {
    ACCESS.replace("eth1", "eth0").replace(
        "role = \"access\"\n",
        &format!("role = \"access\"\n{lines}\n"),
    )
}

/// The same, and another one of the same name with these lines.
fn two(first: &str, second: &str) -> String {
    format!(
        "{}[[interface]]\nname = \"eth0\"\nrole = \"access\"\n{second}\n",
        access(first)
    )
}

#[test]
fn a_port_has_a_role_for_each_of_its_vlans() {
    let uplink = UPLINK.replace("role = \"uplink\"\n", "role = \"uplink\"\nvlans = [10]\n");
    let config = good(&format!(
        "{uplink}{}",
        access(
            "vlans = [300, \"100-199\", \"7\"]\nmode = \"auto\"\nidentity = \"inner\"\nstripped = \"pass\""
        )
    ));
    let [uplink, subscribers] = config.interfaces.as_slice() else {
        panic!()
    };
    assert_eq!(
        (uplink.role, subscribers.role),
        (Role::Uplink, Role::Access)
    );
    assert_eq!(uplink.to_string(), "eth0 vlans 10");
    assert_eq!(subscribers.to_string(), "eth0 vlans 7,100-199,300");
    let ids: Vec<u16> = subscribers.vlans.as_ref().unwrap().ids().collect();
    assert_eq!(ids.len(), 102);
    assert_eq!((ids[0], ids[1], ids[100], ids[101]), (7, 100, 199, 300));
    assert_eq!(
        (uplink.stripped, subscribers.stripped),
        (None, Some(Stripped::Pass))
    );
    assert_eq!(
        (uplink.identity, subscribers.identity),
        (Identity::Outer, Identity::Inner)
    );
    // One device, whatever its VLANs are.
    let devices: Vec<_> = config.devices().map(|it| it.name.as_str()).collect();
    assert_eq!(devices, ["eth0"]);
}

#[test]
fn the_documented_router_on_a_stick_is_valid() {
    let documentation = include_str!("../../../../docs/config.md");
    let vlans = documentation.split("\n### VLANs\n").nth(1).unwrap();
    let example = vlans.split("```").nth(1).unwrap();
    let rest = |whole: &str| whole.splitn(4, '\n').nth(3).unwrap().to_owned();
    let text = format!(
        "{}{}{}",
        example.strip_prefix("toml\n").unwrap(),
        rest(ACCESS),
        rest(UPLINK)
    );
    let shown: Vec<_> = good(&text)
        .interfaces
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["eth0 vlans 100-199,300", "eth0 vlans 10"]);
}

#[test]
fn vlans_are_ids_and_ranges() {
    for vlan in [
        "\"x\"",
        "0",
        "4095",
        "-1",
        "\"100-\"",
        "\"-100\"",
        "\"1-2-3\"",
        "\"+5\"",
        "\" 5\"",
    ] {
        let written = vlan.trim_matches('"');
        bad(
            &access(&format!("vlans = [{vlan}]")),
            &format!(
                "4:10: `{written}` is no VLAN ID, and no range of them | write a number from 1 to 4094, or two with a `-` \
                 between, for example \"100-199\""
            ),
        );
    }
    good(&access("vlans = [\"1-4094\"]"));
    bad(
        &access("vlans = [\"200-100\"]"),
        "4:10: `200-100` is no range of VLAN IDs: it ends before it begins | did you mean \"100-200\"?",
    );
    bad(
        &access("vlans = []"),
        "4:9: `interface.vlans` is empty: no frame would have this role | list VLAN IDs, or leave `vlans` out: the role then \
         holds for every frame of the interface",
    );
    bad(
        &access("vlans = [true]"),
        "4:10: `interface.vlans` must be a list of VLAN IDs and ranges, not a boolean | write it like this: `vlans = \
         [\"100-199\", 300]`",
    );
}

#[test]
fn a_vlan_has_one_role() {
    let because = "of `eth0` is listed twice; the first time at /etc/gate/gate.toml:4:10 | a VLAN has one role: delete it \
                   from one of the two";
    bad(
        &two("vlans = [\"100-199\"]", "vlans = [5, \"150-300\"]"),
        &format!("12:13: VLAN 150-199 {because}"),
    );
    bad(
        &access("vlans = [\"100-199\", 150]"),
        &format!("4:21: VLAN 150 {because}"),
    );
    // One shared ID at either edge.
    for (range, shared) in [("50-100", 100), ("199-250", 199)] {
        bad(
            &access(&format!("vlans = [\"100-199\", \"{range}\"]")),
            &format!("4:21: VLAN {shared} {because}"),
        );
    }
    good(&two("vlans = [\"100-199\"]", "vlans = [\"200-300\", 99]"));
    // VLANs of another device are others.
    good(&two("vlans = [100]", "vlans = [100]").replacen("eth0", "eth9", 1));
}

#[test]
fn a_device_is_whole_or_has_vlans() {
    for (first, second) in [("vlans = [1]", ""), ("", "vlans = [1]"), ("", "")] {
        bad(
            &two(first, second),
            "10:8: a second interface is called `eth0`; the first one is at /etc/gate/gate.toml:2:8 | give one interface \
             another name, make one of the two, or give each of them `vlans` of its own",
        );
    }
}

#[test]
fn a_device_is_there_or_is_not() {
    let config = good(&two(
        "vlans = [1]\nmissing = \"wait\"",
        "vlans = [2]\nmissing = \"wait\"",
    ));
    assert_eq!(config.interfaces[1].missing, Missing::Wait);
    assert_eq!(
        good(&two("vlans = [1]", "vlans = [2]")).interfaces[0].missing,
        Missing::Refuse
    );
    bad(
        &two("vlans = [1]\nmissing = \"wait\"", "vlans = [2]"),
        "10:1: `missing` is \"refuse\" for `eth0` here and \"wait\" at /etc/gate/gate.toml:5:11, but a device is there or is not \
         | write the same `missing` under each [[interface]] of that name",
    );
}

#[test]
fn a_device_has_one_mode() {
    let config = good(&two(
        "vlans = [1]\nmode = \"generic\"",
        "vlans = [2]\nmode = \"generic\"",
    ));
    assert_eq!(config.interfaces[1].mode, Mode::Generic);
    bad(
        &two(
            "vlans = [1]\nmode = \"generic\"",
            "vlans = [2]\nmode = \"native\"",
        ),
        "14:8: `eth0` is to run in native mode here and in generic mode at /etc/gate/gate.toml:5:8, but a device has one \
         program | write the same `mode` under each [[interface]] of that name",
    );
    // What is left out is `auto`.
    let found = problems(&two("vlans = [1]", "vlans = [2]\nmode = \"native\""), &[]);
    assert!(
        found.len() == 1
            && found[0].contains("in native mode here and in auto mode at /etc/gate/gate.toml:1:1"),
        "{found:?}"
    );
}

#[test]
fn stripped_frames_are_one_thing() {
    let config = good(&two(
        "vlans = [1]\nstripped = \"access\"",
        "vlans = [2]\nstripped = \"access\"",
    ));
    let said: Vec<_> = config.interfaces.iter().map(|it| it.stripped).collect();
    assert_eq!(said, [Some(Stripped::Access), None]);
    let config = good(&two("vlans = [1]", "vlans = [2]\nstripped = \"access\""));
    assert_eq!(config.interfaces[1].stripped, Some(Stripped::Access));
    bad(
        &two(
            "vlans = [1]\nstripped = \"access\"",
            "vlans = [2]\nstripped = \"pass\"",
        ),
        "14:12: frames of `eth0` without a VLAN ID are \"pass\" here and \"access\" at /etc/gate/gate.toml:5:12 | say it once: \
         `stripped` holds for the whole device",
    );
    bad(
        &access("stripped = \"access\""),
        "4:12: `stripped` without `vlans` says nothing: the role holds for every frame of the interface, whatever its VLAN | \
         leave `stripped` out, or list the interface's `vlans`",
    );
}

#[test]
fn stripped_frames_of_an_uplink_need_what_an_uplink_needs() {
    let found = problems(&access("vlans = [1]\nstripped = \"uplink\""), &[]);
    assert!(
        found.len() == 2
            && found[0].starts_with("1:1: the uplink interface `eth0 vlans 1` has nothing to do")
            && found[1].starts_with("1:1: the uplink interface `eth0 vlans 1` needs [geoip]"),
        "{found:?}"
    );
}

#[test]
fn an_uplink_has_no_identity() {
    bad(
        &UPLINK.replace(
            "role = \"uplink\"\n",
            "role = \"uplink\"\nidentity = \"outer\"\n",
        ),
        "4:12: an uplink has no `identity`: a class goes by the source of the connection itself | leave `identity` out, or \
         write `role = \"access\"`",
    );
}
