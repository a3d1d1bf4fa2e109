//! Where interfaces and their VLANs are found.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use gate_common::abi::{INTERFACE_PLACES, InterfaceKey};
use gate_tests::packets::{self, DOT1Q, Ethernet, V4, flag};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::Configuration::VlansMany,
    kernel::{Action, LOOPBACK},
    rows::Side,
};

/// All trials.
pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![bench.trial(
        "places: each of 3,001 VLANs has its role, and no other one",
        roles,
    )]
}

/// What becomes of connections to port 25: by VLAN, and all together.
fn refused(vlan: u16) -> bool {
    matches!(vlan, 1..=2000 | 4094)
}

fn roles(state: &mut State) -> Result<()> {
    let keys = (1..=2000).map(|vlan| InterfaceKey::of(LOOPBACK, vlan));
    let places: HashSet<u32> = keys.map(InterfaceKey::place).collect();
    ensure!(
        places.iter().all(|place| *place < INTERFACE_PLACES) && places.len() > 512,
        "2,000 VLANs share {} places",
        places.len()
    );
    state.put_in_force(VlansMany, Side::Access)?;
    // 2,001 VLANs are subscribers, 1,000 the Internet, and 1,095 nobody.
    let totals = [
        (
            25,
            vec![("refused restricted", 2_001), ("passed no_role", 1_095)],
        ),
        (
            587,
            vec![("tagged class_unknown", 1_000), ("passed no_role", 1_095)],
        ),
    ];
    for (port, expected) in totals {
        let segment = packets::tcp(40_000, port, flag::SYN);
        let packet = V4::new([100, 64, 0, 2].into(), [198, 51, 100, 1].into()).tcp(&segment);
        let before = state.device.tally()?;
        for vlan in 0..=4095 {
            let action = state
                .device
                .run(&Ethernet::new().tag(DOT1Q, vlan).carry(&packet))?;
            ensure!(
                (action == Action::Drop) == (port == 25 && refused(vlan)),
                "port {port}, VLAN {vlan}: {action}"
            );
        }
        let found = state.device.tally()?.since(&before).totals();
        let expected = expected
            .into_iter()
            .map(|(total, count)| (format!("total {total}"), count))
            .collect();
        ensure!(found == expected, "port {port}: {found:?}");
    }
    Ok(())
}
