//! The one decision: what becomes of a packet.
//!
//! ```text
//! access interface, port 25:      source in a pool?  -> exempt? -> destination a relay? -> restricted: action and answer
//! uplink interface, 587 and 465:  destination a submission server? -> class of the source: by prefix, else by country
//!                                 -> exempt? -> within the limit of the class? -> what its `over` says
//! anything else:                  not judged, not counted
//! ```
//!
//! During a bypass ([`State::Bypass`](crate::abi::State::Bypass)) whatever would be refused or throttled is observed instead.
//!
//! Ports 587 and 465 from a subscriber are not judged at all, so that no configuration can block them. Of what an uplink
//! interface receives, only a new connection to a listed submission server can be refused, where the class of its source has a limit that says so
//! (`uplink`). Shapes that hide their ports and that no honest sender makes ([`ShapePolicy::Drop`](crate::ShapePolicy::Drop), or as the
//! configuration says) are treated like connections to port 25 on an access interface, and like new connections to a submission port on an uplink
//! interface, if they go to a listed server; where the port can still be read, and is another one, they pass.

mod uplink;

pub(crate) use self::uplink::observed;
pub use self::uplink::{Classified, classify};
use crate::{
    Action, Addr, Answer, Answered, Bucket, Country, Flow, Identity, Policy, Reason, Role, Scope,
    Shape, Verdict,
    abi::{BucketKey, DEADLINES, Interface, InterfaceKey, Rule, Settings},
    answer,
    parse::{Frame, glance},
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
    /// The interface, or the VLAN of one; `None` if it has no role.
    fn interface(&self, key: InterfaceKey) -> Option<Interface>;
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
    /// The UNIX time in nanoseconds until which everything is only observed; 0 is no bypass. Asked only where something would otherwise be
    /// in force.
    fn bypass_until_ns(&self) -> u64;
    /// Takes one event out of a [token bucket](crate::limit); whether it was within the limit. The only thing that a decision
    /// changes.
    fn take(&self, key: BucketKey, monotonic_ns: u64) -> bool;
}

/// When a packet came, by the two clocks that a decision goes by, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// UNIX time, for deadlines: they hold at the instant that is written down, whatever becomes of the clock in between.
    pub unix_ns: u64,
    /// `CLOCK_MONOTONIC`, for token buckets: nobody sets it.
    pub monotonic_ns: u64,
}

impl Now {
    /// That time by both clocks, as for the packets of a capture.
    #[inline(always)]
    #[must_use]
    pub const fn both(ns: u64) -> Self {
        Self {
            unix_ns: ns,
            monotonic_ns: ns,
        }
    }
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
    /// What a refused client hears, if it hears anything.
    pub answer: Result<Answer, Answered>,
    /// The class, of a connection that has one.
    pub class: u8,
    /// The country of the source, likewise.
    pub country: Country,
    /// The [flags](crate::abi::FlowTag::flags) of the tag, likewise.
    pub flags: u8,
    /// Whose packet it is counted as: the source, or who sent the packet that carries it.
    pub source: Addr,
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
            answer: Ok(Answer::Drop),
            class: 0,
            country: Country::NONE,
            flags: 0,
            source: Addr::UNSPECIFIED,
            source_v4: SOURCE_LENGTHS.0,
            source_v6: SOURCE_LENGTHS.1,
            role: None,
            interface: 0,
            group: 0,
            prefix: 0,
            relay: 0,
        }
    }

    /// Whether the packet has a class and is not refused: its class shows, and if a TCP header was read, the connection gets a tag.
    #[inline(always)]
    #[must_use]
    pub const fn is_classed(&self) -> bool {
        match self.verdict {
            Verdict::Tagged => true,
            Verdict::Observed => matches!(self.role, Some(Role::Uplink)),
            Verdict::Passed | Verdict::Refused | Verdict::Unparsed => false,
        }
    }
}

/// Whether a packet can be of any concern, whatever is configured. What is not leaves at once, uncounted.
#[inline(always)]
#[must_use]
pub const fn concerns(shape: Shape, flow: &Flow) -> bool {
    if let Shape::Tcp = shape {
        flow.dport == SMTP || (is_submission(flow.dport) && flow.opens())
    } else {
        shape.is_unparsed()
    }
}

/// Whether a glance shows that a frame is of no concern; where it does not, [`parse`](crate::parse::parse) has to look.
#[inline(always)]
#[must_use]
pub fn leaves<F: Frame + ?Sized>(frame: &F) -> bool {
    let mut flow = Flow::default();
    match glance(frame, &mut flow) {
        Some(shape) => !concerns(shape, &flow),
        None => false,
    }
}

/// Decides about a packet that came in by the interface with index `interface`.
///
/// `None` is for packets that the gate has no business with: they pass, and nothing counts them.
#[inline(always)]
pub fn decide<T: Tables>(
    shape: Shape,
    flow: &Flow,
    interface: u32,
    tables: &T,
    now: Now,
) -> Option<Decision> {
    if !concerns(shape, flow) {
        return None;
    }
    let Some(settings) = tables.settings() else {
        return Some(Decision::new(Verdict::Passed, Reason::NoGeneration));
    };
    let Some((interface, role)) = role(interface, shape, flow, tables) else {
        return Some(Decision::new(Verdict::Passed, Reason::NoRole));
    };
    let decision = match role {
        Role::Access => {
            let packet = Packet {
                shape,
                flow,
                interface: &interface,
                now,
            };
            packet.access(settings, tables)?
        }
        Role::Uplink => Decision {
            source: flow.src,
            ..uplink::uplink(shape, flow, &interface, settings, tables, now)?
        },
    };
    Some(Decision {
        role: Some(role),
        interface: interface.counter,
        ..decision
    })
}

/// Whether this is a port that mail is submitted on.
#[inline(always)]
pub(crate) const fn is_submission(port: u16) -> bool {
    matches!(port, SUBMISSION | SUBMISSIONS)
}

/// Whether a packet from an uplink gets a class: it is of a connection to a submission server, or it hides its port and may be.
#[inline(always)]
pub(crate) fn classed<T: Tables>(
    shape: Shape,
    flow: &Flow,
    settings: &Settings,
    tables: &T,
) -> bool {
    if let Shape::Tcp = shape {
        return is_watched(flow.dport, settings)
            && (settings.any_server != 0 || tables.server(flow.dst));
    }
    // Where no server is listed, or another host is meant, it is other people's packet.
    settings.dropped_shapes & shape.bit() != 0
        && settings.any_server == 0
        && flow.has_source()
        && may_be_watched(flow.dport, settings)
        && tables.server(flow.dst)
}

/// Whether connections to this port get a class.
#[inline(always)]
const fn is_watched(port: u16, settings: &Settings) -> bool {
    match port {
        SUBMISSION => settings.submission != 0,
        SUBMISSIONS => settings.submissions != 0,
        _ => false,
    }
}

/// The same of a port that may be hidden.
#[inline(always)]
const fn may_be_watched(port: u16, settings: &Settings) -> bool {
    match port {
        0 => settings.submission != 0 || settings.submissions != 0,
        port => is_watched(port, settings),
    }
}

/// What faces the interface, or the VLAN of it that the packet is in.
#[inline(always)]
pub(crate) fn role<T: Tables>(
    index: u32,
    shape: Shape,
    flow: &Flow,
    tables: &T,
) -> Option<(Interface, Role)> {
    let port = tables.interface(InterfaceKey::port(index))?;
    if let Some(role) = Role::from_number(port.role) {
        return Some((port, role));
    }
    if let (Shape::TooManyTags, 0) = (shape, flow.vlan) {
        // Tags of VLAN 0 as far as was read, and the VLAN is behind them, where Linux finds it.
        return Role::from_number(port.hidden_role).map(|role| (port, role));
    }
    let interface = tables.interface(InterfaceKey::of(index, flow.vlan))?;
    Role::from_number(interface.role).map(|role| (interface, role))
}

/// Who sent the packet, as a packet's decision counts it: on an access interface the subscriber.
pub fn source<T: Tables>(flow: &Flow, interface: u32, tables: &T) -> Addr {
    match role(interface, Shape::Tcp, flow, tables) {
        Some((interface, Role::Access)) => subscriber(flow, &interface),
        Some((_, Role::Uplink)) | None => flow.src,
    }
}

/// Whose address names the subscriber.
#[inline(always)]
const fn subscriber(flow: &Flow, interface: &Interface) -> Addr {
    if flow.is_tunnelled() && interface.identity == Identity::Outer as u8 {
        flow.outer
    } else {
        flow.src
    }
}

/// What a subscriber sends.
struct Packet<'p> {
    shape: Shape,
    flow: &'p Flow,
    interface: &'p Interface,
    now: Now,
}

/// How a restricted source is treated.
#[derive(Clone, Copy)]
struct Restriction {
    reason: Reason,
    action: u8,
    effective_from_ns: u64,
    answer: Result<u8, Answered>,
    lengths: (u8, u8),
}

impl Packet<'_> {
    #[inline(always)]
    fn access<T: Tables>(&self, settings: &Settings, tables: &T) -> Option<Decision> {
        let Self { shape, flow, .. } = *self;
        if let Shape::Tcp = shape {
            let judged = settings.scope == Scope::All as u8 || flow.may_open();
            if flow.dport != SMTP || !judged {
                return None;
            }
        } else if settings.dropped_shapes & shape.bit() == 0 || !may_be_smtp(flow) {
            return Some(Decision::new(Verdict::Unparsed, Reason::Shape(shape)));
        } else if !flow.has_source() {
            // Nobody's pool, and nobody's limit.
            let from_ns = settings.sourceless_effective_from_ns;
            return Some(
                match self.action(settings.sourceless_action, from_ns, tables) {
                    Action::Enforce => self.refused(Reason::Shape(shape), Ok(Answer::Drop as u8)),
                    Action::Observe | Action::Throttle => {
                        Decision::new(Verdict::Observed, Reason::Shape(shape))
                    }
                },
            );
        }
        let source = subscriber(flow, self.interface);
        let Some(rule) = rule_in_force(source, tables, self.now.unix_ns) else {
            let decision = if settings.unlisted == Policy::Exempt as u8 {
                self.passed(Reason::Unlisted)
            } else {
                let restriction = Restriction {
                    reason: Reason::Unlisted,
                    action: settings.unlisted_action,
                    effective_from_ns: settings.unlisted_effective_from_ns,
                    // Answers go into the operator's own pools only: a source outside may be anybody's.
                    answer: match settings.unlisted_answer {
                        answer if answer == Answer::Drop as u8 => Ok(answer),
                        _ => Err(Answered::Unlisted),
                    },
                    lengths: SOURCE_LENGTHS,
                };
                self.restrict(source, restriction, tables)
            };
            return Some(Decision { source, ..decision });
        };
        let lengths = (rule.source_v4, rule.source_v6);
        let decision = if rule.policy == Policy::Exempt as u8 {
            self.passed(Reason::Exempt)
        } else {
            let restriction = Restriction {
                reason: Reason::Restricted,
                action: rule.action,
                effective_from_ns: rule.effective_from_ns,
                answer: Ok(rule.answer),
                lengths,
            };
            self.restrict(source, restriction, tables)
        };
        Some(Decision {
            source,
            source_v4: lengths.0,
            source_v6: lengths.1,
            group: rule.pool_counter,
            prefix: rule.prefix_counter,
            ..decision
        })
    }

    /// What a restricted source sends: to a relay it passes, else the action says.
    #[inline(always)]
    fn restrict<T: Tables>(&self, source: Addr, restriction: Restriction, tables: &T) -> Decision {
        let Restriction {
            mut reason,
            action,
            effective_from_ns,
            answer,
            lengths,
        } = restriction;
        // Where not even the port can be read, no relay is an exemption: the packet may be a tunnel to it, which leads on to anybody.
        if self.flow.dport == SMTP
            && let Some(relay) = tables.relay(self.flow.dst)
        {
            if !self.flow.is_source_routed() {
                return Decision {
                    relay,
                    ..self.passed(Reason::Relay)
                };
            }
            reason = Reason::SourceRouted;
        }
        if self.shape.is_unparsed() {
            reason = Reason::Shape(self.shape);
        }
        match self.action(action, effective_from_ns, tables) {
            Action::Enforce => self.refused(reason, answer),
            Action::Throttle => {
                if self.within_limit(source, lengths, tables) {
                    self.passed(Reason::WithinLimit)
                } else if self.shape.is_unparsed() {
                    self.refused(reason, answer)
                } else {
                    self.refused(Reason::OverLimit, answer)
                }
            }
            Action::Observe => Decision::new(Verdict::Observed, reason),
        }
    }

    /// What an action comes to now. One that is none of the known ones observes: a loader that knows more words than this program must not
    /// make it drop packets.
    #[inline(always)]
    fn action<T: Tables>(&self, number: u8, effective_from_ns: u64, tables: &T) -> Action {
        let unix_ns = self.now.unix_ns;
        match Action::from_number(number) {
            Some(action @ (Action::Enforce | Action::Throttle))
                if unix_ns >= effective_from_ns && !bypassed(tables, unix_ns) =>
            {
                action
            }
            Some(_) | None => Action::Observe,
        }
    }

    /// Whether a throttled source may send this: each new connection counts, and what belongs to one passes.
    #[inline(always)]
    fn within_limit<T: Tables>(&self, source: Addr, lengths: (u8, u8), tables: &T) -> bool {
        let counts = self.shape.is_unparsed() || self.flow.may_open();
        !counts
            || tables.take(
                BucketKey::new(Bucket::Throttle, source, lengths),
                self.now.monotonic_ns,
            )
    }

    /// What passes: a connection that was judged, or a shape that could not be.
    #[inline(always)]
    const fn passed(&self, reason: Reason) -> Decision {
        if self.shape.is_unparsed() {
            Decision::new(Verdict::Unparsed, Reason::Shape(self.shape))
        } else {
            Decision::new(Verdict::Passed, reason)
        }
    }

    #[inline(always)]
    fn refused(&self, reason: Reason, answer: Result<u8, Answered>) -> Decision {
        let answer = match answer {
            Ok(number) => match Answer::from_number(number) {
                Some(answer) => answered(answer, self.shape, self.flow, self.interface),
                None => Ok(Answer::Drop),
            },
            Err(why_not) => Err(why_not),
        };
        Decision {
            answer,
            ..Decision::new(Verdict::Refused, reason)
        }
    }
}

/// The answer to a refused packet, or why it cannot be that.
#[inline(always)]
const fn answered(
    answer: Answer,
    shape: Shape,
    flow: &Flow,
    interface: &Interface,
) -> Result<Answer, Answered> {
    match answer {
        Answer::Drop => Ok(answer),
        Answer::Reset | Answer::Prohibited => match answer::possible(shape, flow, interface) {
            Ok(()) => Ok(answer),
            Err(why_not) => Err(why_not),
        },
    }
}

/// Whether everything is only observed at `unix_ns`, because somebody asked for a bypass that has not ended.
#[inline(always)]
fn bypassed<T: Tables>(tables: &T, unix_ns: u64) -> bool {
    unix_ns < tables.bypass_until_ns()
}

/// Whether a packet whose shape hides something may be for port 25: its port is that, or is not known.
#[inline(always)]
const fn may_be_smtp(flow: &Flow) -> bool {
    flow.dport == SMTP || flow.dport == 0
}

/// The rule for a source at `unix_ns`: deadlines that have passed lead on to the next covering prefix.
#[inline(always)]
pub fn rule_in_force<T: Tables>(source: Addr, tables: &T, unix_ns: u64) -> Option<Rule> {
    let mut number = tables.access(source)?;
    for _ in 0..=DEADLINES {
        let rule = tables.rule(number)?;
        if rule.until_ns == 0 || unix_ns < rule.until_ns {
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
