//! Tables that say anything at all, as no loader would write them, and what holds for a decision all the same.

use std::cell::Cell;

use gate_common::{
    Action, Addr, Answer, Bucket, Flow, Over, Policy, Reason, Role, Scope, Shape, Verdict,
    abi::{BucketKey, ClassSettings, FlowKey, FlowTag, Interface, InterfaceKey, Rule, Settings},
    carry::{Recalled, Tags, recall},
    decide::{Decision, Now, Tables, decide},
};

/// Tables that give the same answer for every key.
#[derive(Clone, Debug)]
pub(crate) struct Anything {
    pub(crate) settings: Option<Settings>,
    pub(crate) interface: Option<Interface>,
    pub(crate) access: Option<u32>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) relay: Option<u32>,
    pub(crate) server: bool,
    pub(crate) class: Option<u32>,
    pub(crate) country: Option<u32>,
    pub(crate) within: bool,
    pub(crate) bypass_until_ns: u64,
    /// How many events were taken.
    pub(crate) taken: Cell<u32>,
    /// Out of what the last one was.
    pub(crate) bucket: Cell<Option<Bucket>>,
}

impl Tables for Anything {
    fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    fn interface(&self, _: InterfaceKey) -> Option<Interface> {
        self.interface
    }

    fn access(&self, _: Addr) -> Option<u32> {
        self.access
    }

    fn rule(&self, number: u32) -> Option<Rule> {
        self.rules.get(usize::try_from(number).unwrap()).copied()
    }

    fn relay(&self, _: Addr) -> Option<u32> {
        self.relay
    }

    fn server(&self, _: Addr) -> bool {
        self.server
    }

    fn class_prefix(&self, _: Addr) -> Option<u32> {
        self.class
    }

    fn country(&self, _: Addr) -> Option<u32> {
        self.country
    }

    fn bypass_until_ns(&self) -> u64 {
        self.bypass_until_ns
    }

    fn take(&self, key: BucketKey, _: u64) -> bool {
        self.bucket.set(Some(key.bucket));
        self.taken.set(self.taken.get() + 1);
        self.within
    }
}

/// Of no connection, so that the source's address has to say it.
impl Tags for Anything {
    fn tag(&self, _: &FlowKey) -> Option<FlowTag> {
        None
    }
}

/// No table makes the decision panic or loop, rules that lead to themselves included, and what it says holds together.
pub(crate) fn decisions_hold_together(tables: &Anything, shape: Shape, flow: &Flow, now: Now) {
    let decision = decide(shape, flow, 7, tables, now);
    let Some(decision) = decision else {
        assert!(!shape.is_unparsed(), "{shape:?} is never silent");
        assert_eq!(tables.taken.get(), 0, "nothing was judged");
        return;
    };
    let judged_port = matches!(flow.dport, 25 | 587 | 465);
    assert!(
        shape.is_unparsed() || (shape == Shape::Tcp && judged_port),
        "{shape:?} is judged"
    );
    let role = tables.interface.and_then(|it| Role::from_number(it.role));
    if tables.settings.is_none() {
        let why = (decision.verdict, decision.reason);
        assert_eq!(why, (Verdict::Passed, Reason::NoGeneration));
    } else if role.is_none() {
        let why = (decision.verdict, decision.reason);
        assert_eq!(why, (Verdict::Passed, Reason::NoRole));
    }
    assert_eq!(decision.role, role.filter(|_| tables.settings.is_some()));
    match decision.verdict {
        Verdict::Refused | Verdict::Observed if role == Some(Role::Access) => {
            stopped(tables, shape, flow, &decision);
        }
        Verdict::Refused | Verdict::Observed | Verdict::Tagged => {
            assert_eq!(role, Some(Role::Uplink));
            if shape == Shape::Tcp {
                assert!(matches!(flow.dport, 587 | 465) && flow.opens());
            } else {
                hidden(tables, shape, flow, &decision);
            }
            assert_eq!(decision.source, flow.src);
            classed(tables, flow, &decision, now);
            recalled(tables, shape, flow, &decision, now);
        }
        Verdict::Passed => {
            assert!(shape == Shape::Tcp || role.is_none() || tables.settings.is_none());
        }
        Verdict::Unparsed => assert_eq!(decision.reason, Reason::Shape(shape)),
    }
    if decision.verdict != Verdict::Refused {
        assert_eq!(decision.answer, Ok(Answer::Drop));
    }
    if now.unix_ns < tables.bypass_until_ns {
        assert_ne!(decision.verdict, Verdict::Refused, "during a bypass");
        assert_ne!(decision.reason, Reason::WithinLimit, "during a bypass");
    }
    assert!(tables.taken.get() <= 1, "one packet is one event");
    if decision.reason == Reason::WithinLimit {
        assert!(tables.within || tables.taken.get() == 0);
    }
    if decision.reason == Reason::OverLimit {
        assert!(!tables.within && tables.taken.get() == 1);
    }
}

/// Who looks a connection up by its address comes to the class that was decided, and to whether that is observed.
fn recalled(tables: &Anything, shape: Shape, flow: &Flow, decision: &Decision, now: Now) {
    let settings = tables.settings.unwrap();
    let expected = Recalled {
        class: decision.class,
        flags: decision.flags & FlowTag::OBSERVED,
    };
    let found = recall(shape, flow, 7, &settings, tables, now.unix_ns);
    assert_eq!(found, Some(expected));
}

/// What hides its port has a class only on its way to a server that is listed, and is never answered.
fn hidden(tables: &Anything, shape: Shape, flow: &Flow, decision: &Decision) {
    let settings = tables.settings.unwrap();
    assert_ne!(settings.dropped_shapes & shape.bit(), 0);
    assert!(settings.any_server == 0 && tables.server && flow.has_source());
    assert!(matches!(flow.dport, 0 | 587 | 465));
    assert!([Reason::OverLimit, Reason::Shape(shape)].contains(&decision.reason));
    assert!(!matches!(
        decision.answer,
        Ok(Answer::Reset | Answer::Prohibited)
    ));
}

/// A connection with a class is refused only where the class says so, for more connections than its limit, to a server that is listed.
fn classed(tables: &Anything, flow: &Flow, decision: &Decision, now: Now) {
    let settings = tables.settings.unwrap();
    let class = settings.class(decision.class);
    assert_eq!(decision.group, class.counter);
    let listed = settings.any_server == 0;
    assert!(!listed || tables.server);
    let taken = tables.taken.get() == 1;
    if taken {
        assert_eq!(tables.bucket.get(), Some(Bucket::Class));
        assert_ne!(class.connections.interval_ns, 0);
    }
    let over = taken && !tables.within;
    assert_eq!(over, decision.reason == Reason::OverLimit);
    let exempt = class.policy == Policy::Exempt as u8;
    let in_force = in_force(class, now) && now.unix_ns >= tables.bypass_until_ns;
    let flag = |set, flag| if set { flag } else { 0 };
    assert_eq!(
        decision.flags,
        flag(over, FlowTag::OVER_LIMIT) | flag(!exempt && !in_force, FlowTag::OBSERVED)
    );
    assert!(!exempt || !taken, "an exempt class has no limit");
    assert_eq!(
        decision.verdict != Verdict::Tagged,
        over && listed && [Over::Reset as u8, Over::Drop as u8].contains(&class.over)
    );
    assert_eq!(decision.is_classed(), decision.verdict != Verdict::Refused);
    if decision.verdict == Verdict::Refused {
        assert!(in_force);
        assert_ne!(decision.answer, Ok(Answer::Prohibited));
        if class.over == Over::Drop as u8 {
            assert_eq!(decision.answer, Ok(Answer::Drop));
        }
        if decision.answer == Ok(Answer::Reset) {
            assert_eq!(class.over, Over::Reset as u8);
            answerable(tables, flow);
        }
    }
}

fn in_force(class: &ClassSettings, now: Now) -> bool {
    class.policy == Policy::Restrict as u8
        && class.action == Action::Enforce as u8
        && class.effective_from_ns <= now.unix_ns
}

/// Nothing answers what must not be answered.
fn answerable(tables: &Anything, flow: &Flow) {
    assert!(!flow.is_encapsulated() && !flow.is_fragment());
    assert_eq!(flow.flags & 0x04, 0, "a reset");
    assert_eq!(tables.interface.unwrap().stripped, 0);
    assert!(flow.src.is_unicast() && flow.dst.is_unicast());
}

/// Of what subscribers send, submission is never refused, nor what goes to a relay, nor a shape that passes.
fn stopped(tables: &Anything, shape: Shape, flow: &Flow, decision: &Decision) {
    let settings = tables.settings.unwrap();
    let interface = tables.interface.unwrap();
    assert!(!decision.is_classed());
    assert_eq!(decision.interface, interface.counter);
    if shape == Shape::Tcp {
        assert_eq!(flow.dport, 25);
        assert!(flow.may_open() || settings.scope == Scope::All as u8);
    } else {
        assert_ne!(settings.dropped_shapes & shape.bit(), 0);
        assert_eq!(decision.reason, Reason::Shape(shape));
        // Another port that can be read is none of the rule's business.
        assert!(matches!(flow.dport, 0 | 25));
    }
    assert!(
        tables.relay.is_none() || flow.is_source_routed() || flow.dport == 0 || !flow.has_source()
    );
    if let Ok(Answer::Reset | Answer::Prohibited) = decision.answer {
        assert_eq!(shape, Shape::Tcp);
        answerable(tables, flow);
        assert_ne!(decision.reason, Reason::Unlisted);
    }
}
