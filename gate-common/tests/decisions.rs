//! What becomes of packets, by tables that are written down here: each test says one rule, and what its neighbours do instead.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up may panic"
)]

use std::{cell::RefCell, collections::HashMap, net::IpAddr};

use bytemuck::Zeroable as _;
use gate_common::{
    Action, Addr, Answer, Answered, Bucket, Country, Flow, Identity, Policy, Reason, Role, Scope,
    Shape, Verdict,
    abi::{BucketKey, ClassedCountry, Interface, InterfaceKey, Rule, Settings},
    decide::{Classified, Decision, SOURCE_LENGTHS, Tables, classify, concerns, decide, source},
};

const ACCESS: u32 = 1;
const UPLINK: u32 = 2;
const STICK: u32 = 3;
const NOW: u64 = 1000;
const SYN: u8 = 2;
const ACK: u8 = 16;
const RST: u8 = 4;

/// Tables with a few addresses each.
#[derive(Clone)]
struct World {
    settings: Settings,
    interfaces: HashMap<InterfaceKey, Interface>,
    access: HashMap<Addr, u32>,
    rules: Vec<Rule>,
    relays: HashMap<Addr, u32>,
    servers: Vec<Addr>,
    classes: HashMap<Addr, u32>,
    countries: HashMap<Addr, u32>,
    within: bool,
    taken: RefCell<Vec<(BucketKey, u64)>>,
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
    fn take(&self, key: BucketKey, now_ns: u64) -> bool {
        self.taken.borrow_mut().push((key, now_ns));
        self.within
    }
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn subscriber() -> Addr {
    addr("100.64.0.2")
}

fn tunnel() -> Addr {
    addr("2001:db8:100::2")
}

fn world() -> World {
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
        taken: RefCell::default(),
    }
}

/// A SYN of the subscriber to port 25 of somebody.
fn syn() -> Flow {
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

fn of(world: &World, flow: Flow) -> Option<Decision> {
    decide(Shape::Tcp, &flow, ACCESS, world, NOW)
}

fn why(decision: Option<Decision>) -> Option<(Verdict, Reason)> {
    decision.map(|it| (it.verdict, it.reason))
}

#[test]
fn a_new_connection_to_port_25_is_refused_and_counted() {
    assert_eq!(
        of(&world(), syn()),
        Some(Decision {
            verdict: Verdict::Refused,
            reason: Reason::Restricted,
            answer: Ok(Answer::Reset),
            class: 0,
            country: Country::NONE,
            source: subscriber(),
            source_v4: 28,
            source_v6: 56,
            role: Some(Role::Access),
            interface: 10,
            group: 20,
            prefix: 30,
            relay: 0,
        })
    );
}

#[test]
fn what_belongs_to_a_connection_is_judged_by_scope_all_only() {
    let mut world = world();
    let later = Flow {
        flags: ACK,
        ..syn()
    };
    assert_eq!(of(&world, later), None);
    let first_fragment = Flow {
        marks: Flow::FRAGMENT,
        ..later
    };
    let refused = of(&world, first_fragment).unwrap();
    assert_eq!(refused.answer, Err(Answered::Fragment));
    world.settings.scope = Scope::All as u8;
    assert_eq!(
        why(of(&world, later)),
        Some((Verdict::Refused, Reason::Restricted))
    );
}

#[test]
fn a_relay_stays_open_but_not_by_a_source_route() {
    let to_relay = Flow {
        dst: addr("192.0.2.25"),
        ..syn()
    };
    let passed = of(&world(), to_relay).unwrap();
    assert_eq!(
        (passed.verdict, passed.reason, passed.relay, passed.group),
        (Verdict::Passed, Reason::Relay, 40, 20)
    );
    let routed = of(
        &world(),
        Flow {
            marks: Flow::SOURCE_ROUTE,
            ..to_relay
        },
    )
    .unwrap();
    assert_eq!(
        (routed.verdict, routed.reason, routed.relay),
        (Verdict::Refused, Reason::SourceRouted, 0)
    );
}

#[test]
fn pools_exempt_observe_and_throttle() {
    let mut world = world();
    world.access.insert(subscriber(), 2);
    let passed = of(&world, syn()).unwrap();
    assert_eq!(
        (passed.verdict, passed.reason, passed.group),
        (Verdict::Passed, Reason::Exempt, 21)
    );
    world.access.insert(subscriber(), 1);
    world.rules[1].action = Action::Observe as u8;
    assert_eq!(
        why(of(&world, syn())),
        Some((Verdict::Observed, Reason::Restricted))
    );
    // An action of a later version observes.
    world.rules[1].action = 77;
    assert_eq!(
        why(of(&world, syn())),
        Some((Verdict::Observed, Reason::Restricted))
    );
    world.rules[1].action = Action::Throttle as u8;
    assert_eq!(
        why(of(&world, syn())),
        Some((Verdict::Passed, Reason::WithinLimit))
    );
    let key = BucketKey::new(Bucket::Throttle, subscriber(), (28, 56));
    assert_eq!(*world.taken.borrow(), [(key, NOW)]);
    world.within = false;
    let refused = of(&world, syn()).unwrap();
    assert_eq!(
        (refused.verdict, refused.reason, refused.answer),
        (Verdict::Refused, Reason::OverLimit, Ok(Answer::Reset))
    );
}

#[test]
fn throttling_counts_connections_not_segments() {
    let mut world = world();
    world.settings.scope = Scope::All as u8;
    world.rules[1].action = Action::Throttle as u8;
    world.within = false;
    let later = Flow {
        flags: ACK,
        ..syn()
    };
    assert_eq!(
        why(of(&world, later)),
        Some((Verdict::Passed, Reason::WithinLimit))
    );
    assert!(world.taken.borrow().is_empty());
}

#[test]
fn hidden_shapes_of_a_throttled_source_count_too() {
    let mut world = world();
    world.rules[1].action = Action::Throttle as u8;
    let tiny = Flow {
        dport: 0,
        flags: 0,
        ..syn()
    };
    let shape = Shape::TinyFragment;
    let decide = |world: &World| why(decide(shape, &tiny, ACCESS, world, NOW));
    assert_eq!(
        decide(&world),
        Some((Verdict::Unparsed, Reason::Shape(shape)))
    );
    assert_eq!(world.taken.borrow().len(), 1);
    world.within = false;
    assert_eq!(
        decide(&world),
        Some((Verdict::Refused, Reason::Shape(shape)))
    );
}

#[test]
fn unlisted_sources_are_refused_without_an_answer() {
    let mut world = world();
    let stranger = Flow {
        src: addr("203.0.113.9"),
        ..syn()
    };
    let refused = of(&world, stranger).unwrap();
    assert_eq!(
        (refused.verdict, refused.reason, refused.answer),
        (Verdict::Refused, Reason::Unlisted, Err(Answered::Unlisted))
    );
    let source = (refused.source, (refused.source_v4, refused.source_v6));
    assert_eq!(source, (stranger.src, SOURCE_LENGTHS));
    world.settings.unlisted_answer = Answer::Drop as u8;
    assert_eq!(of(&world, stranger).unwrap().answer, Ok(Answer::Drop));
    world.settings.unlisted = Policy::Exempt as u8;
    assert_eq!(
        why(of(&world, stranger)),
        Some((Verdict::Passed, Reason::Unlisted))
    );
}

#[test]
fn deadlines_lead_on_to_the_next_rule() {
    let mut world = world();
    world.rules[1].until_ns = NOW + 1;
    world.rules[1].next = 2;
    assert_eq!(
        why(of(&world, syn())),
        Some((Verdict::Refused, Reason::Restricted))
    );
    world.rules[1].until_ns = NOW;
    assert_eq!(
        why(of(&world, syn())),
        Some((Verdict::Passed, Reason::Exempt))
    );
    world.rules[1].next = 0;
    assert_eq!(of(&world, syn()).unwrap().reason, Reason::Unlisted);
    // A chain that leads to itself ends.
    world.rules[1].next = 1;
    assert_eq!(of(&world, syn()).unwrap().reason, Reason::Unlisted);
}

#[test]
fn shapes_pass_or_are_treated_like_port_25() {
    let world = world();
    let of = |shape, dport, network| {
        let flow = Flow {
            dport,
            network,
            flags: 0,
            ..syn()
        };
        why(decide(shape, &flow, ACCESS, &world, NOW))
    };
    let tiny = Shape::TinyFragment;
    let refused = Some((Verdict::Refused, Reason::Shape(tiny)));
    let unparsed = Some((Verdict::Unparsed, Reason::Shape(tiny)));
    assert_eq!(of(tiny, 0, 14), refused);
    assert_eq!(of(tiny, 25, 14), refused);
    assert_eq!(of(tiny, 80, 14), unparsed);
    assert_eq!(of(tiny, 0, 0), refused);
    let later = Shape::LaterFragment;
    let passes = Some((Verdict::Unparsed, Reason::Shape(later)));
    assert_eq!(of(later, 0, 14), passes);
    assert_eq!(of(Shape::Unrelated, 0, 14), None);
    let mut observing = world.clone();
    observing.settings.sourceless_action = Action::Observe as u8;
    let nobody = Flow::default();
    assert_eq!(
        why(decide(tiny, &nobody, ACCESS, &observing, NOW)),
        Some((Verdict::Observed, Reason::Shape(tiny)))
    );
}

#[test]
fn a_shape_of_an_exempt_source_passes_and_one_to_a_relay_does_not() {
    let mut world = world();
    let tiny = Flow {
        dst: addr("192.0.2.25"),
        dport: 0,
        ..syn()
    };
    let shape = Shape::TinyFragment;
    let refused = decide(shape, &tiny, ACCESS, &world, NOW).unwrap();
    assert_eq!(
        (refused.verdict, refused.reason, refused.relay),
        (Verdict::Refused, Reason::Shape(shape), 0)
    );
    world.access.insert(subscriber(), 2);
    let elsewhere = Flow {
        dst: addr("198.51.100.1"),
        ..tiny
    };
    assert_eq!(
        why(decide(shape, &elsewhere, ACCESS, &world, NOW)),
        Some((Verdict::Unparsed, Reason::Shape(shape)))
    );
}

#[test]
fn the_identity_says_whose_packet_a_tunnelled_one_is() {
    let mut world = world();
    let tunnelled = Flow {
        outer: tunnel(),
        marks: Flow::TUNNEL,
        ..syn()
    };
    let refused = of(&world, tunnelled).unwrap();
    assert_eq!(
        (refused.source, refused.answer),
        (subscriber(), Err(Answered::Encapsulated))
    );
    assert_eq!(source(&tunnelled, ACCESS, &world), subscriber());
    let outer = Identity::Outer as u8;
    let key = InterfaceKey::port(ACCESS);
    world.interfaces.get_mut(&key).unwrap().identity = outer;
    let passed = of(&world, tunnelled).unwrap();
    assert_eq!((passed.source, passed.reason), (tunnel(), Reason::Exempt));
    assert_eq!(source(&tunnelled, ACCESS, &world), tunnel());
    // Without a tunnel there is but one source.
    assert_eq!(of(&world, syn()).unwrap().source, subscriber());
    assert_eq!(source(&syn(), ACCESS, &world), subscriber());
    assert_eq!(source(&tunnelled, UPLINK, &world), subscriber());
    assert_eq!(source(&tunnelled, 99, &world), subscriber());
}

#[test]
fn a_vlan_has_a_role_of_its_own_where_the_port_has_none() {
    let world = world();
    let of = |interface, vlan| {
        let flow = Flow { vlan, ..syn() };
        let decision = decide(Shape::Tcp, &flow, interface, &world, NOW);
        decision.map(|it| (it.verdict, it.role, it.interface))
    };
    assert_eq!(
        of(ACCESS, 7),
        Some((Verdict::Refused, Some(Role::Access), 10))
    );
    assert_eq!(
        of(STICK, 100),
        Some((Verdict::Refused, Some(Role::Access), 12))
    );
    assert_eq!(of(STICK, 0), None, "port 25 from the uplink");
    assert_eq!(of(STICK, 101), Some((Verdict::Passed, None, 0)));
    assert_eq!(of(99, 0), Some((Verdict::Passed, None, 0)));
}

#[test]
fn nothing_answers_what_must_not_be_answered() {
    let mut world = world();
    world.settings.scope = Scope::All as u8;
    let answer = |world: &World, flow| of(world, flow).unwrap().answer;
    let refused = |change: fn(&mut Flow)| {
        let mut flow = syn();
        change(&mut flow);
        flow
    };
    assert_eq!(
        answer(&world, refused(|it| it.flags = RST | ACK)),
        Err(Answered::WasReset)
    );
    for marks in [Flow::TUNNEL, Flow::LABELS, Flow::LLC] {
        let flow = Flow { marks, ..syn() };
        assert_eq!(answer(&world, flow), Err(Answered::Encapsulated));
    }
    let mapped = refused(|it| it.marks = Flow::MAPPED);
    assert_eq!(answer(&world, mapped), Err(Answered::Group));
    for group in [
        "224.0.0.1",
        "255.255.255.255",
        "127.0.0.1",
        "0.0.0.0",
        "ff02::1",
        "::1",
        "::",
    ] {
        let group = addr(group);
        let to = Flow {
            dst: group,
            ..syn()
        };
        assert_eq!(answer(&world, to), Err(Answered::Group), "to {group:?}");
        world.access.insert(group, 1);
        let from = Flow {
            src: group,
            ..syn()
        };
        assert_eq!(answer(&world, from), Err(Answered::Group), "{group:?}");
    }
    world.rules[1].answer = 77;
    assert_eq!(answer(&world, syn()), Ok(Answer::Drop));
    world.rules[1].answer = Answer::Prohibited as u8;
    assert_eq!(answer(&world, syn()), Ok(Answer::Prohibited));
    let key = InterfaceKey::port(ACCESS);
    world.interfaces.get_mut(&key).unwrap().stripped = 1;
    assert_eq!(answer(&world, syn()), Err(Answered::Stripped));
    let tiny = decide(Shape::TinyFragment, &syn(), ACCESS, &world, NOW).unwrap();
    assert_eq!(tiny.answer, Err(Answered::Shape));
}

#[test]
fn the_uplink_gets_classes_and_nothing_else() {
    let mut world = world();
    let jp = Country::from_code("JP").unwrap();
    world.settings.countries[3] = ClassedCountry {
        country: jp.number(),
        class: 2,
        ..ClassedCountry::default()
    };
    world.settings.class_counters[2] = 52;
    world.settings.class_counters[4] = 54;
    let client = addr("203.0.113.5");
    world.countries.insert(client, 3);
    let login = |dport| Flow {
        src: client,
        dst: addr("192.0.2.1"),
        dport,
        ..syn()
    };
    let of = |world: &World, flow: Flow| decide(Shape::Tcp, &flow, UPLINK, world, NOW);
    let tagged = of(&world, login(587)).unwrap();
    assert_eq!(
        (tagged.verdict, tagged.reason, tagged.class, tagged.country),
        (Verdict::Tagged, Reason::ClassCountry, 2, jp)
    );
    assert_eq!(
        (tagged.group, tagged.interface, tagged.source),
        (52, 11, client)
    );
    assert_eq!(of(&world, login(465)), None);
    assert_eq!(of(&world, login(25)), None);
    let elsewhere = Flow {
        dst: addr("192.0.2.2"),
        ..login(587)
    };
    assert_eq!(of(&world, elsewhere), None);
    world.settings.any_server = 1;
    assert_eq!(of(&world, elsewhere).unwrap().class, 2);
    world.settings.submission = 0;
    assert_eq!(of(&world, login(587)), None);
    world.settings.submissions = 1;
    assert_eq!(of(&world, login(465)).unwrap().class, 2);
    world.classes.insert(client, 4);
    let named = of(&world, login(465)).unwrap();
    assert_eq!(
        (named.reason, named.class, named.country, named.group),
        (Reason::ClassPrefix, 4, jp, 54)
    );
    let stranger = addr("203.0.113.6");
    assert_eq!(
        classify(stranger, &world.settings, &world),
        Classified {
            class: 0,
            country: Country::NONE,
            reason: Reason::ClassUnknown
        }
    );
    let later = Shape::LaterFragment;
    assert_eq!(
        why(decide(later, &syn(), UPLINK, &world, NOW)),
        Some((Verdict::Unparsed, Reason::Shape(later)))
    );
}

#[test]
fn most_packets_are_of_no_concern() {
    let of = |dport, flags| {
        concerns(
            Shape::Tcp,
            &Flow {
                dport,
                flags,
                ..syn()
            },
        )
    };
    assert!(of(25, SYN) && of(25, ACK) && of(587, SYN) && of(465, SYN));
    assert!(!of(587, ACK) && !of(465, SYN | ACK) && !of(80, SYN) && !of(26, SYN));
    assert!(!concerns(Shape::Unrelated, &syn()));
    assert!(concerns(Shape::TinyFragment, &Flow::default()));
}
