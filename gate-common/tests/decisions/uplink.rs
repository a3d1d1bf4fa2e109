//! Classes of submission connections, and their limits.

use gate_common::{
    Action, Answer, Answered, Bucket, Country, Flow, Over, Policy, Reason, Shape, Verdict,
    abi::{BucketKey, ClassSettings, ClassedCountry, FlowTag, InterfaceKey, Limit},
    decide::{Classified, Decision, Now, classify, decide},
};

use crate::{
    why,
    world::{NOW, RST, SYN, UPLINK, World, addr, syn, world},
};

pub(super) const CLASS: u8 = 3;
pub(super) const CLIENT: &str = "203.0.113.5";
const TAG: u8 = FlowTag::OVER_LIMIT;
const WATCHED: u8 = FlowTag::OBSERVED;

#[test]
fn the_uplink_gets_classes_and_nothing_else() {
    let mut world = world();
    let jp = Country::from_code("JP").unwrap();
    world.settings.countries[3] = ClassedCountry {
        country: jp.number(),
        class: 2,
        ..ClassedCountry::default()
    };
    world.settings.classes[2].counter = 52;
    (
        world.settings.classes[2].source_v4,
        world.settings.classes[2].source_v6,
    ) = (24, 48);
    world.settings.classes[4].counter = 54;
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
    assert_eq!((tagged.source_v4, tagged.source_v6), (24, 48));
    assert_eq!(tagged.flags, FlowTag::OBSERVED, "its action is `observe`");
    assert!(world.taken.borrow().is_empty(), "no limit, no bucket");
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

/// A world in which the client is in a class with a limit, which it is over.
pub(super) fn limited(change: impl FnOnce(&mut ClassSettings)) -> World {
    let mut world = world();
    world.within = false;
    world.classes.insert(addr(CLIENT), CLASS.into());
    let class = &mut world.settings.classes[usize::from(CLASS)];
    *class = ClassSettings {
        connections: Limit {
            interval_ns: 10,
            burst_ns: 30,
        },
        counter: 53,
        over: Over::Reset as u8,
        action: Action::Enforce as u8,
        policy: Policy::Restrict as u8,
        source_v4: 24,
        source_v6: 56,
        ..ClassSettings::default()
    };
    change(class);
    world
}

fn login() -> Flow {
    Flow {
        src: addr(CLIENT),
        dst: addr("192.0.2.1"),
        dport: 587,
        ..syn()
    }
}

fn of(world: &World) -> Decision {
    decide(Shape::Tcp, &login(), UPLINK, world, NOW).unwrap()
}

/// Verdict, reason, answer, flags.
fn outcome(world: &World) -> (Verdict, Reason, Result<Answer, Answered>, u8) {
    let it = of(world);
    assert_eq!((it.class, it.group, it.source), (CLASS, 53, addr(CLIENT)));
    assert_eq!((it.source_v4, it.source_v6), (24, 56));
    (it.verdict, it.reason, it.answer, it.flags)
}

#[test]
fn a_class_gives_one_event_for_each_connection() {
    let mut world = limited(|_| {});
    world.within = true;
    let silence = Ok(Answer::Drop);
    let within = (Verdict::Tagged, Reason::ClassPrefix, silence, 0);
    assert_eq!(outcome(&world), within);
    let key = BucketKey::of_class(CLASS, addr(CLIENT), (24, 56));
    assert_eq!(*world.taken.borrow(), [(key, NOW.monotonic_ns)]);
    assert_eq!(
        (key.bucket, key.class, key.address),
        (Bucket::Class, CLASS, addr("203.0.113.0"))
    );
    assert_ne!(
        key.kind(),
        BucketKey::of_class(CLASS + 1, addr(CLIENT), (24, 56)).kind()
    );
    // What belongs to a connection is of no concern.
    let later = Flow {
        flags: 16,
        ..login()
    };
    assert_eq!(decide(Shape::Tcp, &later, UPLINK, &world, NOW), None);
    assert_eq!(world.taken.borrow().len(), 1);
}

#[test]
fn what_is_over_the_limit_is_treated_as_the_class_says() {
    let silence = Ok(Answer::Drop);
    let with = |over: u8| outcome(&limited(|class| class.over = over));
    let over = Reason::OverLimit;
    let tagged = (Verdict::Tagged, over, silence, TAG);
    assert_eq!(with(Over::Tag as u8), tagged);
    assert_eq!(
        with(Over::Reset as u8),
        (Verdict::Refused, over, Ok(Answer::Reset), TAG)
    );
    assert_eq!(
        with(Over::Drop as u8),
        (Verdict::Refused, over, silence, TAG)
    );
    assert_eq!(with(77), tagged, "a word of a later version");
}

#[test]
fn an_observed_class_changes_nothing_and_says_what_it_would_have_done() {
    let silence = Ok(Answer::Drop);
    let over = Reason::OverLimit;
    let observations: [fn(&mut ClassSettings); 5] = [
        |class| class.action = Action::Observe as u8,
        |class| class.action = Action::Throttle as u8,
        |class| class.action = 77,
        |class| class.effective_from_ns = NOW.unix_ns + 1,
        |class| class.policy = 77,
    ];
    for observe in observations {
        let with = |over: Over| {
            limited(|class| {
                class.over = over as u8;
                observe(class);
            })
        };
        for word in [Over::Reset, Over::Drop] {
            assert_eq!(
                outcome(&with(word)),
                (Verdict::Observed, over, silence, TAG | WATCHED)
            );
            assert!(of(&with(word)).is_classed());
        }
        assert_eq!(
            outcome(&with(Over::Tag)),
            (Verdict::Tagged, over, silence, TAG | WATCHED)
        );
        let mut within = with(Over::Reset);
        within.within = true;
        assert_eq!(
            outcome(&within),
            (Verdict::Tagged, Reason::ClassPrefix, silence, WATCHED)
        );
    }
    let from_now = limited(|class| class.effective_from_ns = NOW.unix_ns);
    assert_eq!(of(&from_now).verdict, Verdict::Refused);
    assert!(!of(&from_now).is_classed(), "it gets no tag");
    // The other clock has nothing to say about that.
    let late = Now {
        unix_ns: 0,
        monotonic_ns: u64::MAX,
    };
    let early = decide(Shape::Tcp, &login(), UPLINK, &from_now, late).unwrap();
    assert_eq!(early.verdict, Verdict::Observed);
}

#[test]
fn during_a_bypass_no_class_refuses_and_tags_say_so() {
    let silence = Ok(Answer::Drop);
    let over = Reason::OverLimit;
    for (word, verdict) in [
        (Over::Reset, Verdict::Observed),
        (Over::Drop, Verdict::Observed),
        (Over::Tag, Verdict::Tagged),
    ] {
        let mut world = limited(|class| class.over = word as u8);
        world.bypass_until_ns = NOW.unix_ns + 1;
        assert_eq!(outcome(&world), (verdict, over, silence, TAG | WATCHED));
        world.bypass_until_ns = NOW.unix_ns;
        assert_eq!(outcome(&world).3, TAG);
        assert_eq!(outcome(&world).0 == Verdict::Refused, word != Over::Tag);
    }
    let mut within = limited(|_| {});
    within.within = true;
    within.bypass_until_ns = u64::MAX;
    assert_eq!(
        outcome(&within),
        (Verdict::Tagged, Reason::ClassPrefix, silence, WATCHED)
    );
    let mut exempt = limited(|class| class.policy = Policy::Exempt as u8);
    exempt.bypass_until_ns = u64::MAX;
    assert_eq!(outcome(&exempt).3, 0, "it is what it is");
}

#[test]
fn who_is_exempt_or_has_no_limit_takes_nothing() {
    let tagged = |flags| {
        (
            Verdict::Tagged,
            Reason::ClassPrefix,
            Ok(Answer::Drop),
            flags,
        )
    };
    let exempt = limited(|class| {
        class.policy = Policy::Exempt as u8;
        class.effective_from_ns = u64::MAX;
    });
    assert_eq!(outcome(&exempt), tagged(0));
    let unlimited = limited(|class| class.connections = Limit::default());
    assert_eq!(outcome(&unlimited), tagged(0));
    for world in [&exempt, &unlimited] {
        assert!(world.taken.borrow().is_empty());
    }
}

#[test]
fn nothing_is_refused_where_any_server_will_do() {
    for over in [Over::Reset, Over::Drop] {
        let mut world = limited(|class| class.over = over as u8);
        world.settings.any_server = 1;
        assert_eq!(
            outcome(&world),
            (Verdict::Tagged, Reason::OverLimit, Ok(Answer::Drop), TAG)
        );
    }
}

#[test]
fn a_reset_goes_to_nobody_who_must_not_be_answered() {
    let mut world = limited(|_| {});
    let answer = |world: &World, flow| {
        let refused = decide(Shape::Tcp, &flow, UPLINK, world, NOW).unwrap();
        assert_eq!(refused.verdict, Verdict::Refused);
        refused.answer
    };
    let first = Flow {
        marks: Flow::FRAGMENT,
        ..login()
    };
    assert_eq!(answer(&world, first), Err(Answered::Fragment));
    let tunnelled = Flow {
        marks: Flow::TUNNEL,
        ..login()
    };
    assert_eq!(answer(&world, tunnelled), Err(Answered::Encapsulated));
    let reset = Flow {
        flags: SYN | RST,
        ..login()
    };
    assert_eq!(answer(&world, reset), Err(Answered::WasReset));
    let key = InterfaceKey::port(UPLINK);
    world.interfaces.get_mut(&key).unwrap().stripped = 1;
    assert_eq!(answer(&world, login()), Err(Answered::Stripped));
}
