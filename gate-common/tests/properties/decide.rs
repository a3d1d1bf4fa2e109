//! Whatever the tables say, every packet has a decision, and some decisions are none.

use std::cell::Cell;

use bytemuck::Zeroable as _;
use gate_common::{
    Action, Addr, Flow, Reason, Role, Shape, ShapePolicy, Verdict,
    abi::{CLASSES, ClassSettings, ClassedCountry, Interface, Limit, Rule, Settings},
    decide::{Now, decide},
};
use proptest::{collection::vec, option, prelude::*};

use crate::anything::{Anything, decisions_hold_together};

/// A number that is one of the first few, or any.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0..4u8, 1 => any::<u8>()]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..6u32, 1 => any::<u32>()]
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        octet(),
        octet(),
        octet(),
        octet(),
        any::<(bool, bool, bool)>(),
        any::<u8>(),
        (
            octet(),
            prop_oneof![Just(dropped_by_default()), any::<u64>()],
            class(),
        ),
    )
        .prop_map(
            |(
                scope,
                unlisted,
                action,
                answer,
                (submission, submissions, any_server),
                class,
                (sourceless_action, dropped_shapes, classes),
            )| {
                Settings {
                    classes: [classes; CLASSES],
                    sourceless_action,
                    dropped_shapes,
                    scope,
                    unlisted,
                    unlisted_action: action,
                    unlisted_answer: answer,
                    submission: submission.into(),
                    submissions: submissions.into(),
                    any_server: any_server.into(),
                    countries: [ClassedCountry {
                        class,
                        ..ClassedCountry::default()
                    }; gate_common::abi::COUNTRIES],
                    ..Settings::zeroed()
                }
            },
        )
}

fn class() -> impl Strategy<Value = ClassSettings> {
    let moment = prop_oneof![Just(0), 0..3000u64, any::<u64>()];
    (moment, 0..3u64, octet(), octet(), octet(), any::<u32>()).prop_map(
        |(effective_from_ns, interval_ns, over, action, policy, counter)| ClassSettings {
            effective_from_ns,
            connections: Limit {
                interval_ns,
                burst_ns: interval_ns,
            },
            counter,
            over,
            action,
            policy,
            ..ClassSettings::default()
        },
    )
}

fn dropped_by_default() -> u64 {
    let dropped = Shape::ALL
        .iter()
        .filter(|shape| shape.policy() == ShapePolicy::Drop);
    dropped.fold(0, |set, shape| set | shape.bit())
}

fn rule() -> impl Strategy<Value = Rule> {
    let moment = || prop_oneof![Just(0), 0..2000u64, any::<u64>()];
    (
        moment(),
        number(),
        octet(),
        octet(),
        octet(),
        any::<(u8, u8)>(),
        moment(),
    )
        .prop_map(
            |(
                until_ns,
                next,
                policy,
                action,
                answer,
                (source_v4, source_v6),
                effective_from_ns,
            )| Rule {
                until_ns,
                effective_from_ns,
                next,
                policy,
                action,
                answer,
                source_v4,
                source_v6,
                ..Rule::default()
            },
        )
}

fn tables() -> impl Strategy<Value = Anything> {
    let interface = (any::<u32>(), octet(), octet(), octet()).prop_map(
        |(counter, role, identity, stripped)| Interface {
            counter,
            role,
            identity,
            stripped,
            hidden_role: 0,
        },
    );
    (
        option::weighted(0.9, settings()),
        option::weighted(0.9, interface),
        option::weighted(0.8, number()),
        vec(rule(), 0..6),
        option::weighted(0.2, number()),
        any::<bool>(),
        option::of(number()),
        (option::of(number()), any::<bool>(), bypass()),
    )
        .prop_map(
            |(
                settings,
                interface,
                access,
                rules,
                relay,
                server,
                class,
                (country, within, bypass_until_ns),
            )| {
                Anything {
                    settings,
                    interface,
                    access,
                    rules,
                    relay,
                    server,
                    class,
                    country,
                    within,
                    bypass_until_ns,
                    taken: Cell::new(0),
                    bucket: Cell::new(None),
                }
            },
        )
}

/// None, one that has passed or has not, or any.
fn bypass() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 1 => 0..3000u64, 1 => any::<u64>()]
}

fn packet() -> impl Strategy<Value = (Shape, Flow)> {
    let shape = prop_oneof![Just(Shape::Tcp), prop::sample::select(Shape::ALL)];
    let port = prop_oneof![Just(25), Just(587), Just(465), Just(0), any::<u16>()];
    let addresses = any::<[u64; 4]>();
    let network = prop_oneof![1 => Just(0), 4 => 14..60u16];
    (shape, addresses, port, any::<[u8; 2]>(), network).prop_map(
        |(shape, [a, b, c, d], dport, [flags, marks], network)| {
            let flow = Flow {
                src: Addr { hi: a, lo: b },
                dst: Addr { hi: c, lo: d },
                dport,
                flags,
                marks,
                network,
                ..Flow::default()
            };
            (shape, flow)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn decisions_hold_together_whatever_the_tables(
        tables in tables(), (shape, flow) in packet(), now in prop_oneof![0..3000u64, any::<u64>()], later in any::<u64>(),
    ) {
        decisions_hold_together(&tables, shape, &flow, Now { unix_ns: now, monotonic_ns: later });
    }

    /// Who is restricted does not open a connection to a stranger's port 25, unless there is a bypass.
    #[test]
    fn restricted_sources_do_not_get_through(mut tables in tables(), (_, mut flow) in packet(), now in any::<u64>()) {
        tables.settings.get_or_insert_with(Settings::zeroed);
        tables.interface = Some(Interface { role: Role::Access as u8, ..Interface::default() });
        tables.access = Some(0);
        tables.rules = vec![Rule { action: Action::Enforce as u8, pool_counter: 3, ..Rule::default() }];
        tables.relay = None;
        (flow.dport, flow.flags) = (25, flow.flags & !0x10 | 0x02);
        let decision = decide(Shape::Tcp, &flow, 7, &tables, Now::both(now)).unwrap();
        let bypassed = now < tables.bypass_until_ns;
        let verdict = if bypassed { Verdict::Observed } else { Verdict::Refused };
        prop_assert_eq!((decision.verdict, decision.reason, decision.group), (verdict, Reason::Restricted, 3));
    }

    /// Whatever the configuration, a subscriber's submission is of no concern.
    #[test]
    fn submission_of_subscribers_is_never_judged(
        mut tables in tables(), (_, mut flow) in packet(), port in prop_oneof![Just(587), Just(465)], now in any::<u64>(),
    ) {
        tables.settings.get_or_insert_with(Settings::zeroed);
        tables.interface = Some(Interface { counter: 1, role: Role::Access as u8, ..Interface::default() });
        flow.dport = port;
        prop_assert_eq!(decide(Shape::Tcp, &flow, 7, &tables, Now::both(now)), None);
    }
}
