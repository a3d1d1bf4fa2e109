//! What the parts of a configuration need of one another.

use gate_common::{Role, abi::COUNTED};

use super::{
    InterfaceConfig, Pool,
    assemble::Parts,
    problem::{Problems, Reported},
};

/// How many prefixes can stand in the configuration itself, where each is counted by itself.
const TOML_PREFIXES: usize = 4096;

/// What an interface could find missing. A part that is there but could not be read is not missing.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself")]
pub(super) struct Needs {
    pub(super) no_pools: bool,
    pub(super) no_classes: bool,
    pub(super) no_geoip: bool,
    pub(super) passes_unlisted: bool,
}

impl Needs {
    /// Reports interfaces that lack what they need.
    pub(super) fn check(
        self,
        interfaces: &[Result<InterfaceConfig, Reported>],
        problems: &mut Problems,
    ) {
        if interfaces.is_empty() {
            problems.error(
                None,
                "there is no [[interface]]: the gate would be attached to nothing",
                "add an [[interface]] with `name = \"eth1\"` and `role = \"access\"` or `role = \"uplink\"`",
            );
        }
        for interface in interfaces.iter().flatten() {
            if interface.has_role(Role::Access) {
                self.check_access(interface, problems);
            }
            if interface.has_role(Role::Uplink) {
                self.check_uplink(interface, problems);
            }
        }
    }

    fn check_access(self, interface: &InterfaceConfig, problems: &mut Problems) {
        if self.no_pools && self.passes_unlisted {
            problems.error(
                interface.origin.clone(),
                format!(
                    "the access interface `{interface}` has nothing to do: there is no [[access]], and what no pool names passes"
                ),
                "add an [[access]] with the subscribers' prefixes, or `unlisted = \"refuse\"` to [port25]",
            );
        }
    }

    fn check_uplink(self, interface: &InterfaceConfig, problems: &mut Problems) {
        if self.no_classes {
            problems.error(
                interface.origin.clone(),
                format!(
                    "the uplink interface `{interface}` has nothing to do: there is no [[class]] to give to connections"
                ),
                "add a [[class]] with `name = \"foreign\"` and `default = true`, or delete the interface",
            );
        }
        if self.no_geoip {
            problems.error(
                interface.origin.clone(),
                format!(
                    "the uplink interface `{interface}` needs [geoip] with a country database, even if classes go by prefix only"
                ),
                "add [geoip] with `databases = [\"/var/lib/GeoIP/GeoLite2-Country.mmdb\"]` and `unknown`",
            );
        }
    }
}

/// Reports more prefixes in the configuration than can be counted one by one.
pub(super) fn check_written_prefixes(pools: &[Pool], problems: &mut Problems) {
    let mut written = pools
        .iter()
        .flat_map(|pool| &pool.prefixes)
        .filter(|prefix| prefix.from_toml);
    if let Some(excess) = written.nth(TOML_PREFIXES) {
        let count = TOML_PREFIXES + 1 + written.count();
        problems.error(
            excess.origin.clone(),
            format!(
                "{count} prefixes stand in the configuration itself; {TOML_PREFIXES} can be counted one by one"
            ),
            "move them to a list file and name it in `files`: prefixes there are counted by pool",
        );
    }
}

/// Reports more objects than there are counters.
pub(super) fn check_counters(parts: &Parts, problems: &mut Problems) {
    let Parts {
        interfaces,
        port25,
        pools,
        exemptions: _,
        classes,
        submission: _,
        geoip: _,
        answers: _,
        dropped_shapes: _,
        guards: _,
        counters: _,
        metrics: _,
        tags: _,
    } = parts;
    let prefixes = pools.iter().flat_map(|pool| &pool.prefixes);
    let stripped = interfaces.iter().filter(|it| it.stripped.is_some());
    let needed = interfaces.len()
        + stripped.count()
        + port25.relays.len()
        + pools.len()
        + prefixes.filter(|prefix| prefix.from_toml).count()
        + classes.as_ref().map_or(0, |classes| classes.list.len());
    let available = COUNTED as usize;
    if needed > available {
        problems.error(
            None,
            format!(
                "interfaces, relays, pools, their prefixes and classes need {needed} counters; there are {available}"
            ),
            "write fewer and shorter prefixes as relays, or move prefixes of pools to a list file",
        );
    }
}
