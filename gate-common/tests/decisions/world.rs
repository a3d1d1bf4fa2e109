//! Tables that are written down.

use std::{cell::RefCell, collections::HashMap, net::IpAddr};

use bytemuck::Zeroable as _;
use gate_common::{
    Action, Addr, Answer, Flow, Identity, Policy, Role, Scope, Shape,
    abi::{BucketKey, Interface, InterfaceKey, Rule, Settings},
    decide::{Now, Tables},
};

pub(crate) const ACCESS: u32 = 1;
pub(crate) const UPLINK: u32 = 2;
pub(crate) const STICK: u32 = 3;
/// The two clocks differ, so that it shows which one is asked.
pub(crate) const NOW: Now = Now {
    unix_ns: 1000,
    monotonic_ns: 77,
};
pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;
pub(crate) const RST: u8 = 4;

/// Tables with a few addresses each.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) interfaces: HashMap<InterfaceKey, Interface>,
    pub(crate) access: HashMap<Addr, u32>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) relays: HashMap<Addr, u32>,
    pub(crate) servers: Vec<Addr>,
    pub(crate) classes: HashMap<Addr, u32>,
    pub(crate) countries: HashMap<Addr, u32>,
    pub(crate) within: bool,
    pub(crate) bypass_until_ns: u64,
    pub(crate) taken: RefCell<Vec<(BucketKey, u64)>>,
}

impl Tables for World {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
    fn interface(&self, key: InterfaceKey) -> Option<Interface> {
        self.interfaces.get(&key).copied()
    }
    fn access(&self, source: Addr) -> Option<u32> {
        self.access.get(&source).copied()
    }
    fn rule(&self, number: u32) -> Option<Rule> {
        self.rules.get(usize::try_from(number).unwrap()).copied()
    }
    fn relay(&self, destination: Addr) -> Option<u32> {
        self.relays.get(&destination).copied()
    }
    fn server(&self, destination: Addr) -> bool {
        self.servers.contains(&destination)
    }
    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.classes.get(&source).copied()
    }
    fn country(&self, source: Addr) -> Option<u32> {
        self.countries.get(&source).copied()
    }
    fn bypass_until_ns(&self) -> u64 {
        self.bypass_until_ns
    }
    fn take(&self, key: BucketKey, monotonic_ns: u64) -> bool {
        self.taken.borrow_mut().push((key, monotonic_ns));
        self.within
    }
}

pub(crate) fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

pub(crate) fn subscriber() -> Addr {
    addr("100.64.0.2")
}

pub(crate) fn tunnel() -> Addr {
    addr("2001:db8:100::2")
}

pub(crate) fn world() -> World {
    let interface = |counter, role: Role| Interface {
        counter,
        role: role as u8,
        identity: Identity::Inner as u8,
        ..Interface::default()
    };
    let restricted = Rule {
        policy: Policy::Restrict as u8,
        action: Action::Enforce as u8,
        answer: Answer::Reset as u8,
        pool_counter: 20,
        prefix_counter: 30,
        source_v4: 28,
        source_v6: 56,
        ..Rule::default()
    };
    let exempt = Rule {
        policy: Policy::Exempt as u8,
        pool_counter: 21,
        ..restricted
    };
    World {
        settings: Settings {
            dropped_shapes: Shape::TinyFragment.bit(),
            unlisted: Policy::Restrict as u8,
            unlisted_action: Action::Enforce as u8,
            unlisted_answer: Answer::Prohibited as u8,
            sourceless_action: Action::Enforce as u8,
            scope: Scope::Syn as u8,
            submission: 1,
            ..Settings::zeroed()
        },
        interfaces: HashMap::from([
            (InterfaceKey::port(ACCESS), interface(10, Role::Access)),
            (InterfaceKey::port(UPLINK), interface(11, Role::Uplink)),
            (InterfaceKey::port(STICK), Interface::default()),
            (InterfaceKey::of(STICK, 100), interface(12, Role::Access)),
            (InterfaceKey::of(STICK, 0), interface(13, Role::Uplink)),
        ]),
        access: HashMap::from([(subscriber(), 1), (tunnel(), 2)]),
        rules: vec![Rule::default(), restricted, exempt],
        relays: HashMap::from([(addr("192.0.2.25"), 40)]),
        servers: vec![addr("192.0.2.1")],
        classes: HashMap::new(),
        countries: HashMap::new(),
        within: true,
        bypass_until_ns: 0,
        taken: RefCell::default(),
    }
}

/// A SYN of the subscriber to port 25 of somebody.
pub(crate) fn syn() -> Flow {
    Flow {
        src: subscriber(),
        dst: addr("198.51.100.1"),
        sport: 40000,
        dport: 25,
        network: 14,
        transport: 34,
        flags: SYN,
        ..Flow::default()
    }
}
