//! The ports that interfaces of the configuration are: a whole device, or some of its VLANs each.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::RangeInclusive,
};

use super::{
    Listed, Missing, Mode, Origin, Stripped,
    problem::{Problems, Reported},
    vlans::text,
};

/// The VLANs that an interface lists.
type VlanList = Vec<Listed<RangeInclusive<u16>>>;

/// The ports so far, by name.
#[derive(Debug, Default)]
pub(super) struct Ports(HashMap<String, Port>);

/// What the interfaces of one name say so far.
#[derive(Debug)]
struct Port {
    /// Where its name is first.
    name: Origin,
    mode: Listed<Mode>,
    missing: Listed<Missing>,
    stripped: Option<Listed<Stripped>>,
    /// Nothing if the first of them is the whole device.
    vlans: Option<VlanList>,
}

/// What one interface says of its port.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) name: Listed<String>,
    pub(super) mode: Listed<Mode>,
    pub(super) missing: Listed<Missing>,
    pub(super) stripped: Option<Listed<Stripped>>,
    pub(super) vlans: Option<VlanList>,
}

impl Ports {
    /// Takes what an interface claims; reports what another one has, or says otherwise. What is returned is `stripped`, unless
    /// an interface of the same port has said it before.
    pub(super) fn take(
        &mut self,
        claim: Claim,
        problems: &mut Problems,
    ) -> Result<Option<Stripped>, Reported> {
        let Claim {
            name,
            mode,
            missing,
            stripped,
            vlans,
        } = claim;
        let mut own = Vec::new();
        for vlan in vlans.iter().flatten() {
            not_twice(&name.value, &own, vlan, problems)?;
            own.push(vlan.clone());
        }
        let port = match self.0.entry(name.value.clone()) {
            Entry::Vacant(vacant) => {
                let said = stripped.as_ref().map(|it| it.value);
                vacant.insert(Port {
                    name: name.origin,
                    mode,
                    missing,
                    stripped,
                    vlans,
                });
                return Ok(said);
            }
            Entry::Occupied(port) => port.into_mut(),
        };
        let (Some(taken), Some(vlans)) = (&mut port.vlans, vlans) else {
            return Err(problems.error(
                name.origin,
                format!(
                    "a second interface is called `{}`; the first one is at {}",
                    name.value, port.name
                ),
                "give one interface another name, make one of the two, or give each of them `vlans` of its own",
            ));
        };
        if mode.value != port.mode.value {
            return Err(problems.error(
                mode.origin,
                format!(
                    "`{}` is to run in {} mode here and in {} mode at {}, but a device has one program",
                    name.value, mode.value, port.mode.value, port.mode.origin
                ),
                "write the same `mode` under each [[interface]] of that name",
            ));
        }
        if missing.value != port.missing.value {
            return Err(problems.error(
                missing.origin,
                format!(
                    "`missing` is \"{}\" for `{}` here and \"{}\" at {}, but a device is there or is not",
                    missing.value, name.value, port.missing.value, port.missing.origin
                ),
                "write the same `missing` under each [[interface]] of that name",
            ));
        }
        for vlan in &vlans {
            not_twice(&name.value, taken, vlan, problems)?;
        }
        taken.extend(vlans);
        match (&port.stripped, stripped) {
            (Some(first), Some(again)) if first.value != again.value => Err(problems.error(
                again.origin,
                format!(
                    "frames of `{}` without a VLAN ID are \"{}\" here and \"{}\" at {}",
                    name.value, again.value, first.value, first.origin
                ),
                "say it once: `stripped` holds for the whole device",
            )),
            (Some(_), _) => Ok(None),
            (None, said) => {
                let value = said.as_ref().map(|it| it.value);
                port.stripped = said;
                Ok(value)
            }
        }
    }
}

/// Reports a VLAN that has a role already.
fn not_twice(
    name: &str,
    taken: &[Listed<RangeInclusive<u16>>],
    vlan: &Listed<RangeInclusive<u16>>,
    problems: &mut Problems,
) -> Result<(), Reported> {
    let Listed { value, origin } = vlan;
    let overlaps = |it: &&Listed<RangeInclusive<u16>>| {
        it.value.start() <= value.end() && value.start() <= it.value.end()
    };
    taken.iter().find(overlaps).map_or(Ok(()), |first| {
        let shared = *value.start().max(first.value.start())..=*value.end().min(first.value.end());
        Err(problems.error(
            origin.clone(),
            format!(
                "VLAN {} of `{name}` is listed twice; the first time at {}",
                text(&shared),
                first.origin
            ),
            "a VLAN has one role: delete it from one of the two",
        ))
    })
}
