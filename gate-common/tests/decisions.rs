//! What becomes of packets, by tables that are written down here: each test says one rule, and what its neighbours do instead.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up may panic"
)]

#[path = "decisions/hidden.rs"]
mod hidden;
#[path = "decisions/uplink.rs"]
mod uplink;
#[path = "decisions/world.rs"]
mod world;

use gate_common::{
    Action, Answer, Answered, Bucket, Country, Flow, Identity, Policy, Reason, Role, Scope, Shape,
    Verdict,
    abi::{BucketKey, InterfaceKey},
    decide::{Decision, SOURCE_LENGTHS, concerns, decide, source},
};

use crate::world::{
    ACCESS, ACK, NOW, RST, STICK, SYN, UPLINK, World, addr, subscriber, syn, tunnel, world,
};

fn of(world: &World, flow: Flow) -> Option<Decision> {
    decide(Shape::Tcp, &flow, ACCESS, world, NOW)
}

pub(crate) fn why(decision: Option<Decision>) -> Option<(Verdict, Reason)> {
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
            flags: 0,
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
    assert_eq!(*world.taken.borrow(), [(key, NOW.monotonic_ns)]);
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
    world.rules[1].until_ns = NOW.unix_ns + 1;
    world.rules[1].next = 2;
    assert_eq!(
        why(of(&world, syn())),
        Some((Verdict::Refused, Reason::Restricted))
    );
    world.rules[1].until_ns = NOW.unix_ns;
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
fn before_its_moment_a_rule_only_observes() {
    let mut world = world();
    let (before, at) = (NOW.unix_ns + 1, NOW.unix_ns);
    let restricted = |verdict| Some((verdict, Reason::Restricted));
    for action in [Action::Enforce, Action::Throttle] {
        world.within = false;
        world.rules[1].action = action as u8;
        world.rules[1].effective_from_ns = before;
        assert_eq!(why(of(&world, syn())), restricted(Verdict::Observed));
        assert!(world.taken.borrow().is_empty(), "nothing was limited");
        // A relay is open all the same, and who is exempt as well.
        let to_relay = Flow {
            dst: addr("192.0.2.25"),
            ..syn()
        };
        assert_eq!(of(&world, to_relay).unwrap().reason, Reason::Relay);
        world.rules[1].effective_from_ns = at;
        assert_eq!(of(&world, syn()).unwrap().verdict, Verdict::Refused);
        world.taken.take();
    }
    world.access.clear();
    world.settings.unlisted_effective_from_ns = before;
    let unlisted = |verdict| Some((verdict, Reason::Unlisted));
    assert_eq!(why(of(&world, syn())), unlisted(Verdict::Observed));
    world.settings.unlisted_effective_from_ns = at;
    assert_eq!(why(of(&world, syn())), unlisted(Verdict::Refused));
    let tiny = Shape::TinyFragment;
    let sourceless = |world: &World| {
        let nobody = Flow::default();
        decide(tiny, &nobody, ACCESS, world, NOW).map(|it| it.verdict)
    };
    world.settings.sourceless_effective_from_ns = before;
    assert_eq!(sourceless(&world), Some(Verdict::Observed));
    world.settings.sourceless_effective_from_ns = at;
    assert_eq!(sourceless(&world), Some(Verdict::Refused));
}

#[test]
fn during_a_bypass_everything_is_only_observed() {
    let mut world = world();
    let (not_over, over) = (NOW.unix_ns + 1, NOW.unix_ns);
    let tiny = |world: &World, flow: &Flow| {
        decide(Shape::TinyFragment, flow, ACCESS, world, NOW).map(|it| it.verdict)
    };
    world.within = false;
    for action in [Action::Enforce, Action::Throttle] {
        world.rules[1].action = action as u8;
        world.bypass_until_ns = not_over;
        let observed = of(&world, syn()).unwrap();
        assert_eq!(
            (observed.verdict, observed.reason, observed.answer),
            (Verdict::Observed, Reason::Restricted, Ok(Answer::Drop))
        );
        assert_eq!(
            (observed.group, observed.prefix),
            (20, 30),
            "counted as ever"
        );
        assert_eq!(tiny(&world, &syn()), Some(Verdict::Observed));
        assert!(world.taken.borrow().is_empty(), "nothing was limited");
        // What passes does so as ever.
        let to_relay = Flow {
            dst: addr("192.0.2.25"),
            ..syn()
        };
        assert_eq!(
            why(of(&world, to_relay)),
            Some((Verdict::Passed, Reason::Relay))
        );
        world.bypass_until_ns = over;
        assert_eq!(of(&world, syn()).unwrap().verdict, Verdict::Refused);
        assert_eq!(tiny(&world, &syn()), Some(Verdict::Refused));
        world.taken.take();
    }
    world.access.clear();
    for (until, verdict) in [(not_over, Verdict::Observed), (over, Verdict::Refused)] {
        world.bypass_until_ns = until;
        assert_eq!(
            why(of(&world, syn())),
            Some((verdict, Reason::Unlisted)),
            "of nobody's pool"
        );
        assert_eq!(tiny(&world, &Flow::default()), Some(verdict), "of nobody");
    }
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
