//! What hides its port on its way in from an uplink.

use gate_common::{
    Action, Answer, Answered, Flow, Over, Policy, Reason, Shape, Verdict,
    abi::{BucketKey, ClassSettings, FlowTag},
    decide::{Decision, decide},
};

use crate::{
    uplink::{self, CLASS, CLIENT},
    why,
    world::{ACCESS, NOW, UPLINK, World, addr},
};

const TINY: Shape = Shape::TinyFragment;

/// A world in which tiny fragments hide a port, and the client's class has a limit.
fn limited(within: bool, change: impl FnOnce(&mut ClassSettings)) -> World {
    World {
        within,
        ..uplink::limited(change)
    }
}

/// To the listed server, by a port that nobody can see.
fn hidden() -> Flow {
    Flow {
        src: addr(CLIENT),
        dst: addr("192.0.2.1"),
        network: 14,
        ..Flow::default()
    }
}

fn of(world: &World, flow: &Flow) -> Decision {
    decide(TINY, flow, UPLINK, world, NOW).unwrap()
}

/// It passed as shapes do, and nobody's bucket was asked.
fn is_left_alone(world: &World, shape: Shape, flow: &Flow) {
    let decision = decide(shape, flow, UPLINK, world, NOW);
    let left = Some((Verdict::Unparsed, Reason::Shape(shape)));
    assert_eq!(why(decision), left, "{flow:?}");
    assert_eq!(decision.unwrap().group, 0);
    assert!(world.taken.borrow().is_empty(), "{flow:?}");
}

#[test]
fn it_is_a_new_connection_of_the_class_of_its_source() {
    let world = limited(true, |_| {});
    let decision = of(&world, &hidden());
    assert_eq!(
        (decision.verdict, decision.reason, decision.flags),
        (Verdict::Tagged, Reason::Shape(TINY), 0)
    );
    assert_eq!(
        (decision.class, decision.group, decision.source),
        (CLASS, 53, addr(CLIENT))
    );
    assert_eq!((decision.source_v4, decision.source_v6), (24, 56));
    assert!(decision.is_classed());
    let key = BucketKey::of_class(CLASS, addr(CLIENT), (24, 56));
    assert_eq!(*world.taken.borrow(), [(key, NOW.monotonic_ns)]);
}

#[test]
fn over_the_limit_it_is_treated_as_the_class_says_and_hears_nothing() {
    const OVER: u8 = FlowTag::OVER_LIMIT;
    let outcome = |over: Over, change: fn(&mut ClassSettings)| {
        let world = limited(false, |class| {
            class.over = over as u8;
            change(class);
        });
        let it = of(&world, &hidden());
        assert_eq!(it.reason, Reason::OverLimit);
        (it.verdict, it.answer, it.flags, it.is_classed())
    };
    let silence = Ok(Answer::Drop);
    for (over, answer) in [(Over::Reset, Err(Answered::Shape)), (Over::Drop, silence)] {
        let refused = (Verdict::Refused, answer, OVER, false);
        assert_eq!(outcome(over, |_| {}), refused);
        let observed = (Verdict::Observed, silence, OVER | FlowTag::OBSERVED, true);
        let observe = |class: &mut ClassSettings| class.action = Action::Observe as u8;
        assert_eq!(outcome(over, observe), observed);
        let later = |class: &mut ClassSettings| class.effective_from_ns = NOW.unix_ns + 1;
        assert_eq!(outcome(over, later), observed);
    }
    let tagged = (Verdict::Tagged, silence, OVER, true);
    assert_eq!(outcome(Over::Tag, |_| {}), tagged);
}

#[test]
fn an_exempt_class_lets_it_pass_and_shows() {
    let exempt = |class: &mut ClassSettings| class.policy = Policy::Exempt as u8;
    let world = limited(false, exempt);
    let decision = of(&world, &hidden());
    assert_eq!(
        (decision.verdict, decision.reason, decision.flags),
        (Verdict::Tagged, Reason::Shape(TINY), 0)
    );
    assert!(world.taken.borrow().is_empty());
}

#[test]
fn a_port_that_can_be_read_has_to_be_a_watched_one() {
    let port = |dport| Flow { dport, ..hidden() };
    let mut world = limited(true, |_| {});
    for (submission, submissions, classed) in [
        (1, 0, &[0, 587][..]),
        (0, 1, &[0, 465]),
        (1, 1, &[0, 587, 465]),
        (0, 0, &[]),
    ] {
        world.settings.submission = submission;
        world.settings.submissions = submissions;
        for dport in [0, 25, 80, 465, 586, 587, 588] {
            world.taken.borrow_mut().clear();
            if classed.contains(&dport) {
                assert_eq!(of(&world, &port(dport)).verdict, Verdict::Tagged, "{dport}");
            } else {
                is_left_alone(&world, TINY, &port(dport));
            }
        }
    }
}

#[test]
fn what_may_be_other_peoples_is_left_alone() {
    let mut world = limited(false, |class| class.over = Over::Drop as u8);
    let elsewhere = Flow {
        dst: addr("192.0.2.2"),
        ..hidden()
    };
    is_left_alone(&world, TINY, &elsewhere);
    let nowhere = Flow {
        network: 0,
        ..hidden()
    };
    is_left_alone(&world, TINY, &nowhere);
    is_left_alone(&world, Shape::LaterFragment, &hidden());
    world.settings.any_server = 1;
    is_left_alone(&world, TINY, &hidden());
    world.settings.any_server = 0;
    world.settings.dropped_shapes = Shape::LaterFragment.bit();
    is_left_alone(&world, TINY, &hidden());
    let later = decide(Shape::LaterFragment, &hidden(), UPLINK, &world, NOW);
    assert_eq!(why(later), Some((Verdict::Refused, Reason::OverLimit)));
}

#[test]
fn a_subscriber_who_hides_a_submission_port_has_no_class() {
    let world = limited(false, |_| {});
    let flow = Flow {
        dport: 587,
        ..hidden()
    };
    let decision = decide(TINY, &flow, ACCESS, &world, NOW);
    assert_eq!(
        why(decision),
        Some((Verdict::Unparsed, Reason::Shape(TINY)))
    );
    assert!(world.taken.borrow().is_empty());
}
