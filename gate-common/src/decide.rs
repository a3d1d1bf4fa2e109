//! The one decision: what becomes of a packet.
//!
//! ```text
//! access interface, port 25:      source in a pool?  -> exempt? -> destination a relay? -> restricted: action and answer
//! uplink interface, 587 and 465:  destination a submission server? -> class of the source: by prefix, else by country
//! anything else:                  not judged, not counted
//! ```
//!
//! Ports 587 and 465 from a subscriber are not judged at all, so that no configuration can block them. What an uplink
//! interface receives is never refused. Shapes that hide their ports and that no honest sender makes are treated like
//! connections to port 25 ([`ShapePolicy::Drop`]); where the port can still be read, and is another one, they pass.

use crate::{
    Action, Addr, Answer, Country, Flow, Policy, Reason, Role, Scope, Shape, ShapePolicy, Verdict,
    abi::{ClassedCountry, DEADLINES, Interface, Rule, Settings},
};

/// Port 25 (RFC 5321 section 4.5.4.2).
const SMTP: u16 = 25;
/// Message submission (RFC 6409).
const SUBMISSION: u16 = 587;
/// Message submission over implicit TLS (RFC 8314).
const SUBMISSIONS: u16 = 465;

/// What the operator configured, as one generation has it.
///
/// Each method is one lookup; longest prefix wins. The kernel program answers from maps, the host from memory.
pub trait Tables {
    /// The settings; `None` if no generation is loaded.
    fn settings(&self) -> Option<&Settings>;
    /// The interface with this index; `None` if it has no role.
    fn interface(&self, index: u32) -> Option<Interface>;
    /// The number of the rule for a source on an access interface.
    fn access(&self, source: Addr) -> Option<u32>;
    /// The rule with this number.
    fn rule(&self, number: u32) -> Option<Rule>;
    /// The counter of the relay that has this address.
    fn relay(&self, destination: Addr) -> Option<u32>;
    /// Whether a submission server has this address.
    fn server(&self, destination: Addr) -> bool;
    /// The number of the class that names this source by prefix.
    fn class_prefix(&self, source: Addr) -> Option<u32>;
    /// The source's place in [`Settings::countries`].
    fn country(&self, source: Addr) -> Option<u32>;
}

/// What became of a packet, and what to count.
///
/// Counters are numbers in [`maps::COUNTERS`](crate::abi::maps::COUNTERS); 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// What a refused client hears.
    pub answer: Answer,
    /// The class, for [`Verdict::Tagged`].
    pub class: u8,
    /// The country of the source, for [`Verdict::Tagged`].
    pub country: Country,
    /// How many bits of an IPv4 source are counted together.
    pub source_v4: u8,
    /// How many bits of an IPv6 source are counted together.
    pub source_v6: u8,
    /// The interface's role; `None` if it has none.
    pub role: Option<Role>,
    /// The counter of the interface.
    pub interface: u32,
    /// The counter of the pool, or of the class.
    pub group: u32,
    /// The counter of the source prefix.
    pub prefix: u32,
    /// The counter of the relay.
    pub relay: u32,
}

/// How many bits make a source where no pool says otherwise: an IPv4 host, and the IPv6 subnet that a host can choose
/// addresses from at will (RFC 4862, RFC 8981).
pub const SOURCE_LENGTHS: (u8, u8) = (32, 64);

impl Decision {
    #[inline(always)]
    const fn new(verdict: Verdict, reason: Reason) -> Self {
        Self {
            verdict,
            reason,
            answer: Answer::Drop,
            class: 0,
            country: Country::NONE,
            source_v4: SOURCE_LENGTHS.0,
            source_v6: SOURCE_LENGTHS.1,
            role: None,
            interface: 0,
            group: 0,
            prefix: 0,
            relay: 0,
        }
    }
}

/// Whether a packet can be of any concern, whatever is configured. What is not leaves at once, uncounted.
#[inline(always)]
#[must_use]
pub const fn concerns(shape: Shape, flow: &Flow) -> bool {
    if let Shape::Tcp = shape {
        flow.dport == SMTP || (matches!(flow.dport, SUBMISSION | SUBMISSIONS) && flow.opens())
    } else {
        shape.is_unparsed()
    }
}

/// Decides about a packet that came in by the interface with index `interface` at `now_ns` (UNIX time in nanoseconds).
///
/// `None` is for packets that the gate has no business with: they pass, and nothing counts them.
#[inline(always)]
pub fn decide<T: Tables>(
    shape: Shape,
    flow: &Flow,
    interface: u32,
    tables: &T,
    now_ns: u64,
) -> Option<Decision> {
    if !concerns(shape, flow) {
        return None;
    }
    let Some(settings) = tables.settings() else {
        return Some(Decision::new(Verdict::Passed, Reason::NoGeneration));
    };
    let Some(interface) = tables.interface(interface) else {
        return Some(Decision::new(Verdict::Passed, Reason::NoRole));
    };
    let role = Role::from_number(interface.role);
    let decision = match role {
        Some(Role::Access) => access(shape, flow, settings, tables, now_ns)?,
        Some(Role::Uplink) => uplink(shape, flow, settings, tables)?,
        None => Decision::new(Verdict::Passed, Reason::NoRole),
    };
    Some(Decision {
        role,
        interface: interface.counter,
        ..decision
    })
}

/// What a subscriber sends.
#[inline(always)]
fn access<T: Tables>(
    shape: Shape,
    flow: &Flow,
    settings: &Settings,
    tables: &T,
    now_ns: u64,
) -> Option<Decision> {
    if let Shape::Tcp = shape {
        let judged = settings.scope == Scope::All as u8 || flow.opens();
        if flow.dport != SMTP || !judged {
            return None;
        }
    } else if matches!(shape.policy(), ShapePolicy::Pass) || !may_be_smtp(flow) {
        return Some(Decision::new(Verdict::Unparsed, Reason::Shape(shape)));
    }
    let Some(rule) = rule_in_force(flow.src, tables, now_ns) else {
        if settings.unlisted == Policy::Exempt as u8 {
            return Some(passed(shape, Reason::Unlisted));
        }
        let (action, answer) = (settings.unlisted_action, settings.unlisted_answer);
        return Some(restrict(
            shape,
            flow,
            tables,
            Reason::Unlisted,
            action,
            answer,
        ));
    };
    let decision = if rule.policy == Policy::Exempt as u8 {
        passed(shape, Reason::Exempt)
    } else {
        restrict(
            shape,
            flow,
            tables,
            Reason::Restricted,
            rule.action,
            rule.answer,
        )
    };
    Some(Decision {
        source_v4: rule.source_v4,
        source_v6: rule.source_v6,
        group: rule.pool_counter,
        prefix: rule.prefix_counter,
        ..decision
    })
}

/// Whether a packet whose shape hides something may be for port 25: its port is that, or is not known.
#[inline(always)]
const fn may_be_smtp(flow: &Flow) -> bool {
    flow.dport == SMTP || flow.dport == 0
}

/// What a restricted source sends: to a relay it passes, else the action says.
#[inline(always)]
fn restrict<T: Tables>(
    shape: Shape,
    flow: &Flow,
    tables: &T,
    reason: Reason,
    action: u8,
    answer: u8,
) -> Decision {
    if let Some(relay) = tables.relay(flow.dst) {
        return Decision {
            relay,
            ..passed(shape, Reason::Relay)
        };
    }
    if shape.is_unparsed() {
        // There is nobody to answer to: the ports of such a packet are unknown.
        return refused(Reason::Shape(shape), action, Answer::Drop as u8);
    }
    refused(reason, action, answer)
}

/// What passes on an access interface: a connection that was judged, or a shape that could not be.
#[inline(always)]
const fn passed(shape: Shape, reason: Reason) -> Decision {
    if shape.is_unparsed() {
        Decision::new(Verdict::Unparsed, Reason::Shape(shape))
    } else {
        Decision::new(Verdict::Passed, reason)
    }
}

/// What is to be refused, as the action says. An action that is none of the known ones observes: a loader that knows
/// more words than this program must not make it drop packets.
#[inline(always)]
const fn refused(reason: Reason, action: u8, answer: u8) -> Decision {
    if action != Action::Enforce as u8 {
        return Decision::new(Verdict::Observed, reason);
    }
    let answer = match Answer::from_number(answer) {
        Some(answer) => answer,
        None => Answer::Drop,
    };
    Decision {
        answer,
        ..Decision::new(Verdict::Refused, reason)
    }
}

/// The rule for a source at `now_ns`: deadlines that have passed lead on to the next covering prefix.
#[inline(always)]
pub fn rule_in_force<T: Tables>(source: Addr, tables: &T, now_ns: u64) -> Option<Rule> {
    let mut number = tables.access(source)?;
    for _ in 0..=DEADLINES {
        let rule = tables.rule(number)?;
        if rule.until_ns == 0 || now_ns < rule.until_ns {
            return Some(rule);
        }
        if rule.next == 0 {
            return None;
        }
        number = rule.next;
    }
    // The loader refuses longer chains.
    None
}

/// What the Internet sends.
#[inline(always)]
fn uplink<T: Tables>(
    shape: Shape,
    flow: &Flow,
    settings: &Settings,
    tables: &T,
) -> Option<Decision> {
    match (shape, flow.dport) {
        (Shape::Tcp, SUBMISSION) if settings.submission != 0 => {}
        (Shape::Tcp, SUBMISSIONS) if settings.submissions != 0 => {}
        (Shape::Tcp, _) => return None,
        (hidden, _) => return Some(Decision::new(Verdict::Unparsed, Reason::Shape(hidden))),
    }
    if settings.any_server == 0 && !tables.server(flow.dst) {
        return None;
    }
    let Classified {
        class,
        country,
        reason,
    } = classify(flow.src, settings, tables);
    Some(Decision {
        class,
        country,
        group: settings
            .class_counters
            .get(usize::from(class))
            .copied()
            .unwrap_or(0),
        ..Decision::new(Verdict::Tagged, reason)
    })
}

/// The country class of a source, and how it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The number of the class.
    pub class: u8,
    /// The country.
    pub country: Country,
    /// [`Reason::ClassPrefix`], [`Reason::ClassCountry`] or [`Reason::ClassUnknown`].
    pub reason: Reason,
}

/// The country class of `source`: by prefix if a class names one, else by country.
#[inline(always)]
pub fn classify<T: Tables>(source: Addr, settings: &Settings, tables: &T) -> Classified {
    let place = tables.country(source).unwrap_or(0);
    let ClassedCountry { country, class, .. } = settings
        .countries
        .get(place as usize)
        .copied()
        .unwrap_or_default();
    let country = Country::from_number(country);
    let (class, reason) = match tables.class_prefix(source) {
        Some(class) => (class_number(class), Reason::ClassPrefix),
        None if country.number() == 0 => (class, Reason::ClassUnknown),
        None => (class, Reason::ClassCountry),
    };
    Classified {
        class,
        country,
        reason,
    }
}

/// The loader makes no class number that does not fit.
#[inline(always)]
fn class_number(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(0)
}
