//! `[[interface]]`: what the gate is attached to.

use gate_common::{Identity, Role};

use super::{
    InterfaceConfig, Listed, Missing, Mode, Stripped, Vlans, names,
    ports::{Claim, Ports},
    problem::{Problems, Reported},
    section::Section,
    vlans,
    words::word,
};

pub(super) fn read(
    section: Section<'_>,
    ports: &mut Ports,
    problems: &mut Problems,
) -> Result<InterfaceConfig, Reported> {
    let name = section.required("name", |item, p| names::INTERFACE.read(item, p), problems);
    let role = section.required("role", word::<Role>, problems);
    let mode = section.optional("mode", word::<Mode>, problems);
    let missing = section.optional("missing", word::<Missing>, problems);
    let identity = section.optional("identity", word::<Identity>, problems);
    let vlans = section.optional(
        "vlans",
        |item, problems| {
            let origin = item.place.origin.clone();
            let vlans = item.list(vlans::range, problems)?;
            if vlans.is_empty() {
                return Err(problems.error(
                    origin,
                    "`interface.vlans` is empty: no frame would have this role",
                    "list VLAN IDs, or leave `vlans` out: the role then holds for every frame of the interface",
                ));
            }
            Ok(vlans)
        },
        problems,
    );
    let stripped = section.optional("stripped", word::<Stripped>, problems);
    let (name, role) = (name?, role?.value);
    let identity = identity_for(role, identity?, problems);
    let vlans = vlans?.map(|vlans| vlans.value);
    let stripped = stripped_beside(vlans.is_some(), stripped?, problems)?;
    let mode = mode?.unwrap_or_else(|| Listed {
        value: Mode::Auto,
        origin: section.origin.clone(),
    });
    let missing = missing?.unwrap_or_else(|| Listed {
        value: Missing::Refuse,
        origin: section.origin.clone(),
    });
    let mut interface = InterfaceConfig {
        name: name.value.clone(),
        role,
        identity: identity?,
        vlans: vlans.as_deref().map(Vlans::of),
        stripped: None,
        mode: mode.value,
        missing: missing.value,
        origin: section.origin,
    };
    let claim = Claim {
        name,
        mode,
        missing,
        stripped,
        vlans,
    };
    interface.stripped = ports.take(claim, problems)?;
    Ok(interface)
}

fn identity_for(
    role: Role,
    identity: Option<Listed<Identity>>,
    problems: &mut Problems,
) -> Result<Identity, Reported> {
    match (role, identity) {
        (_, None) => Ok(Identity::Outer),
        (Role::Access, Some(identity)) => Ok(identity.value),
        (Role::Uplink, Some(identity)) => Err(problems.error(
            identity.origin,
            "an uplink has no `identity`: a class goes by the source of the connection itself",
            "leave `identity` out, or write `role = \"access\"`",
        )),
    }
}

fn stripped_beside(
    has_vlans: bool,
    stripped: Option<Listed<Stripped>>,
    problems: &mut Problems,
) -> Result<Option<Listed<Stripped>>, Reported> {
    match stripped {
        Some(stripped) if !has_vlans => Err(problems.error(
            stripped.origin,
            "`stripped` without `vlans` says nothing: the role holds for every frame of the interface, whatever its VLAN",
            "leave `stripped` out, or list the interface's `vlans`",
        )),
        stripped => Ok(stripped),
    }
}
