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
//! connections to port 25 ([`ShapePolicy::Drop`](crate::ShapePolicy::Drop), or as the configuration says); where the port can
//! still be read, and is another one, they pass.

use crate::{
    Action, Addr, Answer, Answered, Bucket, Country, Flow, Identity, Policy, Reason, Role, Scope,
    Shape, Verdict,
    abi::{BucketKey, ClassedCountry, DEADLINES, Interface, InterfaceKey, Rule, Settings},
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
    /// Takes one event out of a [token bucket](crate::limit); whether it was within the limit. The only thing that a decision
    /// changes.
    fn take(&self, key: BucketKey, now_ns: u64) -> bool;
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
    /// The class, for [`Verdict::Tagged`].
    pub class: u8,
    /// The country of the source, for [`Verdict::Tagged`].
    pub country: Country,
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
    let Some((interface, role)) = role(interface, shape, flow, tables) else {
        return Some(Decision::new(Verdict::Passed, Reason::NoRole));
    };
    let decision = match role {
        Role::Access => {
            let packet = Packet {
                shape,
                flow,
                interface: &interface,
                now_ns,
            };
            packet.access(settings, tables)?
        }
        Role::Uplink => Decision {
            source: flow.src,
            ..uplink(shape, flow, settings, tables)?
        },
    };
    Some(Decision {
        role: Some(role),
        interface: interface.counter,
        ..decision
    })
}

/// What faces the interface, or the VLAN of it that the packet is in.
#[inline(always)]
fn role<T: Tables>(index: u32, shape: Shape, flow: &Flow, tables: &T) -> Option<(Interface, Role)> {
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
    now_ns: u64,
}

/// How a restricted source is treated.
#[derive(Clone, Copy)]
struct Restriction {
    reason: Reason,
    action: u8,
    answer: Result<u8, Answered>,
    lengths: (u8, u8),
}

impl Packet<'_> {
    #[inline(always)]
    fn access<T: Tables>(&self, settings: &Settings, tables: &T) -> Option<Decision> {
        let Self { shape, flow, .. } = *self;
        if let Shape::Tcp = shape {
            let judged = settings.scope == Scope::All as u8 || flow.opens();
            if flow.dport != SMTP || !judged {
                return None;
            }
        } else if settings.dropped_shapes & shape.bit() == 0 || !may_be_smtp(flow) {
            return Some(Decision::new(Verdict::Unparsed, Reason::Shape(shape)));
        } else if !flow.has_source() {
            // Nobody's pool, and nobody's limit.
            return Some(match settings.sourceless_action {
                action if action == Action::Enforce as u8 => {
                    self.refused(Reason::Shape(shape), Ok(Answer::Drop as u8))
                }
                _ => Decision::new(Verdict::Observed, Reason::Shape(shape)),
            });
        }
        let source = subscriber(flow, self.interface);
        let Some(rule) = rule_in_force(source, tables, self.now_ns) else {
            let decision = if settings.unlisted == Policy::Exempt as u8 {
                self.passed(Reason::Unlisted)
            } else {
                let restriction = Restriction {
                    reason: Reason::Unlisted,
                    action: settings.unlisted_action,
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
        // An action that is none of the known ones observes: a loader that knows more words than this program must not make it
        // drop packets.
        match Action::from_number(action) {
            Some(Action::Enforce) => self.refused(reason, answer),
            Some(Action::Throttle) => {
                if self.within_limit(source, lengths, tables) {
                    self.passed(Reason::WithinLimit)
                } else if self.shape.is_unparsed() {
                    self.refused(reason, answer)
                } else {
                    self.refused(Reason::OverLimit, answer)
                }
            }
            Some(Action::Observe) | None => Decision::new(Verdict::Observed, reason),
        }
    }

    /// Whether a throttled source may send this: each new connection counts, and what belongs to one passes.
    #[inline(always)]
    fn within_limit<T: Tables>(&self, source: Addr, lengths: (u8, u8), tables: &T) -> bool {
        let counts = self.shape.is_unparsed() || self.flow.opens();
        !counts
            || tables.take(
                BucketKey::new(Bucket::Throttle, source, lengths),
                self.now_ns,
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
        let wanted = answer.and_then(|answer| match Answer::from_number(answer) {
            None | Some(Answer::Drop) => Ok(Answer::Drop),
            Some(answer) => {
                answer::possible(self.shape, self.flow, self.interface).map(|()| answer)
            }
        });
        Decision {
            answer: wanted,
            ..Decision::new(Verdict::Refused, reason)
        }
    }
}

/// Whether a packet whose shape hides something may be for port 25: its port is that, or is not known.
#[inline(always)]
const fn may_be_smtp(flow: &Flow) -> bool {
    flow.dport == SMTP || flow.dport == 0
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
