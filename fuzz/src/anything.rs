//! Tables that say anything at all, as no loader would write them, and what holds for a decision all the same.

use std::cell::Cell;

use gate_common::{
    Addr, Answer, Flow, Reason, Role, Scope, Shape, Verdict,
    abi::{BucketKey, Interface, InterfaceKey, Rule, Settings},
    decide::{Decision, Tables, decide},
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
    /// How many events were taken.
    pub(crate) taken: Cell<u32>,
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

    fn take(&self, _: BucketKey, _: u64) -> bool {
        self.taken.set(self.taken.get() + 1);
        self.within
    }
}

/// No table makes the decision panic or loop, rules that lead to themselves included, and what it says holds together.
pub(crate) fn decisions_hold_together(tables: &Anything, shape: Shape, flow: &Flow, now_ns: u64) {
    let decision = decide(shape, flow, 7, tables, now_ns);
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
        Verdict::Refused | Verdict::Observed => stopped(tables, shape, flow, &decision),
        Verdict::Tagged => {
            assert_eq!((shape, role), (Shape::Tcp, Some(Role::Uplink)));
            assert!(matches!(flow.dport, 587 | 465) && flow.opens());
            assert_eq!(decision.source, flow.src);
        }
        Verdict::Passed => {
            assert!(shape == Shape::Tcp || role.is_none() || tables.settings.is_none());
        }
        Verdict::Unparsed => assert_eq!(decision.reason, Reason::Shape(shape)),
    }
    if decision.verdict != Verdict::Refused {
        assert_eq!(decision.answer, Ok(Answer::Drop));
    }
    assert!(tables.taken.get() <= 1, "one packet is one event");
    if decision.reason == Reason::WithinLimit {
        assert!(tables.within || tables.taken.get() == 0);
    }
    if decision.reason == Reason::OverLimit {
        assert!(!tables.within && tables.taken.get() == 1);
    }
}

/// Submission is never refused, nor anything that the Internet sends, nor what goes to a relay, nor a shape that passes.
fn stopped(tables: &Anything, shape: Shape, flow: &Flow, decision: &Decision) {
    let settings = tables.settings.unwrap();
    let interface = tables.interface.unwrap();
    assert_eq!(interface.role, Role::Access as u8);
    assert_eq!(decision.interface, interface.counter);
    if shape == Shape::Tcp {
        assert_eq!(flow.dport, 25);
        assert!(flow.opens() || settings.scope == Scope::All as u8);
    } else {
        assert_ne!(settings.dropped_shapes & shape.bit(), 0);
        assert_eq!(decision.reason, Reason::Shape(shape));
        // Another port that can be read is none of the rule's business.
        assert!(matches!(flow.dport, 0 | 25));
    }
    assert!(
        tables.relay.is_none() || flow.is_source_routed() || flow.dport == 0 || !flow.has_source()
    );
    // Nothing answers what must not be answered.
    if let Ok(Answer::Reset | Answer::Prohibited) = decision.answer {
        assert_eq!(shape, Shape::Tcp);
        assert!(!flow.is_encapsulated() && !flow.is_fragment());
        assert_eq!(flow.flags & 0x04, 0, "a reset");
        assert_eq!(interface.stripped, 0);
        assert!(flow.src.is_unicast() && flow.dst.is_unicast());
        assert_ne!(decision.reason, Reason::Unlisted);
    }
}
