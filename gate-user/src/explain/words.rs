//! The answer in words, for whoever has to tell a customer.

use gate_common::{
    Action, Answer, Answered, Policy, Reason, Role, Verdict,
    abi::Settings,
    decide::{Decision, rule_in_force},
};
use jiff::Timestamp;

use super::{Question, SMTP, SUBMISSION, arrival::Arrival, changes::Changes, limits::Fill};
use crate::{
    generation::{
        Prefix,
        manifest::{Class, Pool},
    },
    view::View,
};

/// Everything that words are made of.
pub(super) struct Case<'c> {
    pub(super) question: &'c Question,
    pub(super) arrival: &'c Arrival,
    pub(super) view: &'c View,
    pub(super) settings: &'c Settings,
    pub(super) decision: Option<&'c Decision>,
    pub(super) pool: Option<&'c Pool>,
    pub(super) class: Option<&'c Class>,
    pub(super) country: Option<&'c str>,
    pub(super) now: Timestamp,
    /// Whether a bypass has it only observed.
    pub(super) bypassed: bool,
}

/// What becomes of a packet, in few words.
pub(super) fn outcome(decision: Option<&Decision>) -> &'static str {
    match decision.map(|it| (it.verdict, it.reason)) {
        None => "passes, not judged",
        Some((Verdict::Refused, _)) => "refused",
        Some((Verdict::Observed, _)) => "passes, observed",
        Some((Verdict::Tagged, Reason::OverLimit)) => "passes, tagged as over the limit",
        Some((Verdict::Tagged, _)) => "passes, tagged",
        Some((Verdict::Passed, Reason::WithinLimit)) => "passes while within the limit",
        Some((Verdict::Passed | Verdict::Unparsed, _)) => "passes",
    }
}

/// What a client hears of its refusal.
pub(super) fn heard(answered: Option<Result<Answer, Answered>>) -> String {
    match answered {
        None | Some(Ok(Answer::Drop)) => {
            "nothing (drop): the client waits until its connection times out".to_owned()
        }
        Some(Ok(Answer::Reset)) => {
            "a TCP reset: the client sees \"connection refused\" at once".to_owned()
        }
        Some(Ok(Answer::Prohibited)) => {
            "ICMP \"communication administratively prohibited\": the client sees an error at once"
                .to_owned()
        }
        Some(Err(why)) => format!(
            "nothing: {}; the client waits until its connection times out",
            match why {
                Answered::SourceLimit => "the source has had as many answers as it gets for now",
                Answered::TotalLimit => "as many answers as there are in all have been given",
                Answered::Unlisted => "sources that no pool names are never answered",
                Answered::Stripped =>
                    "the device takes VLAN tags off, and an answer would leave without one",
                Answered::Group => "an address is that of a group, or of no host",
                Answered::Reset
                | Answered::Prohibited
                | Answered::Encapsulated
                | Answered::Fragment
                | Answered::Shape
                | Answered::WasReset
                | Answered::NoRoom => "such a packet is not answered",
            }
        ),
    }
}

/// The length of the prefix of one host, in the form of IPv6.
const HOST: u8 = 128;

/// Whom the gate takes for one source: the address, or the prefix by which it counts.
fn counted_by(decision: &Decision) -> String {
    let source = decision.source;
    let length = if source.is_v4() {
        decision.source_v4 + Prefix::V4.length()
    } else {
        decision.source_v6
    };
    if length == HOST {
        source.to_ip().to_string()
    } else {
        Prefix::of(source, length).to_string()
    }
}

impl Case<'_> {
    /// Why, as one sentence.
    pub(super) fn why(&self) -> String {
        let Some(decision) = self.decision else {
            return self.unjudged();
        };
        let Self { pool, class, .. } = self;
        let pool = pool.map_or("-", |it| it.name.as_str());
        let class = class.map_or("-", |it| it.name.as_str());
        let country = self.country.unwrap_or("none");
        match (decision.reason, decision.role) {
            (Reason::NoGeneration, _) => "no generation is loaded".to_owned(),
            (Reason::NoRole, _) => format!(
                "{} on {} have no role in the configuration: they are none of the gate's business",
                match self.arrival.vlan {
                    0 => "packets without a VLAN ID".to_owned(),
                    vlan => format!("packets in VLAN {vlan}"),
                },
                self.arrival.device
            ),
            (Reason::Unlisted, _) if decision.verdict == Verdict::Passed => {
                "no pool names the source, and such sources pass (`port25.unlisted = \"pass\"`)"
                    .to_owned()
            }
            (Reason::Unlisted, _) => format!(
                "no pool names the source, and such sources are {} (`port25.unlisted = \"refuse\"`){}",
                self.treated(),
                self.observing()
            ),
            (Reason::Exempt, _) => {
                format!("the source is in the pool {pool}, which is exempt: port 25 is open to it")
            }
            (Reason::Relay, _) => {
                "the destination is a relay, which is open to everyone".to_owned()
            }
            (Reason::Restricted, _) => format!(
                "the source is in the pool {pool}, which is restricted: its connections to port 25 are {}{}",
                self.treated(),
                self.observing()
            ),
            (Reason::WithinLimit, _) => format!(
                "{} may open some connections to port 25 (`action = \"throttle\"`), and has some left",
                self.subscriber()
            ),
            (Reason::OverLimit, Some(Role::Uplink)) => format!(
                "the source has opened more connections than its class, {class}, may{}",
                self.observing()
            ),
            (Reason::OverLimit, _) => format!(
                "{} has opened as many connections to port 25 as it may for now (`action = \"throttle\"`)",
                self.subscriber()
            ),
            (Reason::ClassPrefix, _) => {
                format!("a submission connection; the class {class} names the source by prefix")
            }
            (Reason::ClassCountry, _) => format!(
                "a submission connection; the source is in the country {country}, which makes its class {class}"
            ),
            (Reason::ClassUnknown, _) => format!(
                "a submission connection; no database knows the country of the source, which makes its class {class}"
            ),
            (Reason::SourceRouted | Reason::Shape(_), _) => decision.reason.name().to_owned(),
        }
    }

    /// What becomes of connections to port 25 of who is restricted.
    fn treated(&self) -> &'static str {
        if self.is_throttled() {
            "limited"
        } else {
            "refused"
        }
    }

    fn subscriber(&self) -> String {
        match self.pool {
            Some(pool) => format!("the source, in the pool {},", pool.name),
            None => "the source, which no pool names,".to_owned(),
        }
    }

    fn unjudged(&self) -> String {
        let port = self.question.port;
        match (self.arrival.role, port) {
            (Some(Role::Access), port) if SUBMISSION.contains(&port) => format!(
                "connections of subscribers to port {port} are never judged: no configuration can refuse them"
            ),
            (Some(Role::Uplink), SMTP) => {
                "port 25 is judged where subscribers arrive, and this is an uplink".to_owned()
            }
            (Some(Role::Uplink), port) if SUBMISSION.contains(&port) => {
                let watched = match port {
                    587 => self.settings.submission,
                    _ => self.settings.submissions,
                };
                if watched == 0 {
                    format!("`submission.ports` does not name port {port}")
                } else {
                    "the destination is none of the submission servers of the configuration"
                        .to_owned()
                }
            }
            _ => format!(
                "the gate judges ports 25, 587 and 465; port {port} is none of its business"
            ),
        }
    }

    /// Why something is only observed.
    fn observing(&self) -> String {
        if self
            .decision
            .is_none_or(|it| it.verdict != Verdict::Observed)
        {
            return String::new();
        }
        match self.effective_from().filter(|from| self.now < *from) {
            Some(from) => {
                format!(", but not before {from} (`effective_from`): until then they are observed")
            }
            None => ", but they are only observed (`action = \"observe\"`)".to_owned(),
        }
    }

    fn effective_from(&self) -> Option<Timestamp> {
        match self.decision?.role? {
            Role::Uplink => self.class?.effective_from,
            Role::Access => match self.pool {
                Some(pool) => pool.effective_from,
                None => self.view.manifest.unlisted.as_ref()?.effective_from,
            },
        }
    }

    /// When the answer can become another one by itself, and nothing else changes.
    pub(super) fn moments(&self) -> Vec<Timestamp> {
        let now_ns = u64::try_from(self.now.as_nanosecond()).unwrap_or(0);
        let Some(decision) = self.decision else {
            return Vec::new();
        };
        let until = (decision.role == Some(Role::Access))
            .then(|| rule_in_force(decision.source, self.view, now_ns))
            .flatten()
            .map(|rule| rule.until_ns)
            .filter(|until_ns| *until_ns != 0 && *until_ns != u64::MAX)
            .and_then(|until_ns| Timestamp::from_nanosecond(i128::from(until_ns)).ok());
        let mut moments: Vec<Timestamp> = until.into_iter().chain(self.effective_from()).collect();
        moments.retain(|it| self.now < *it);
        moments.sort();
        moments.dedup();
        moments
    }

    /// What a class becomes when its `effective_from` comes; nothing where it is no class that decides.
    pub(super) fn class_begins(&self) -> Option<String> {
        let class = self.class?;
        let Class {
            name, connections, ..
        } = class;
        Some(match connections {
            Some(connections) => {
                format!("the limit of the class {name} is in force: connections {connections}")
            }
            None => format!("the class {name} is no longer only observed, which its tags say"),
        })
    }

    /// What an operator, the subscriber or nothing but time would change it by, apart from [`Self::moments`].
    pub(super) fn changes(&self, fills: &[Fill]) -> Changes {
        let mut changes = Changes::default();
        let Some(decision) = self.decision else {
            return changes;
        };
        let access = decision.role == Some(Role::Access);
        let stopped = matches!(decision.verdict, Verdict::Refused | Verdict::Observed);
        if let Some(next) = fills
            .iter()
            .find(|it| ["throttle", "class"].contains(&it.limit))
            // Nothing is taken from the bucket of a source that is only observed.
            .filter(|_| !(access && stopped && decision.verdict == Verdict::Observed))
        {
            match next.next {
                Some(at) => changes.itself.push(format!(
                    "time: the source may open one more connection at {at:.0}, if it opens none before"
                )),
                None => changes.customer.push(format!(
                    "more connections in a row than the source has left ({})",
                    next.left
                )),
            }
        }
        if access && stopped {
            changes.customer.push(self.other_ways());
            changes.operator.push(self.exemption(decision));
        }
        let observed = decision.verdict == Verdict::Observed && !self.bypassed;
        if observed && self.moments().is_empty() {
            changes.operator.push(format!(
                "`action = \"enforce\"` for {}, which refuses it",
                self.owner()
            ));
        } else if stopped && decision.verdict == Verdict::Refused {
            changes.operator.push(format!(
                "`action = \"observe\"` for {}, which lets all of it pass and counts it",
                self.owner()
            ));
        }
        let operator = match decision.reason {
            Reason::Unlisted if !stopped => {
                "an `[[access]]` that names the source with `policy = \"restrict\"`, or `port25.unlisted = \"refuse\"`".to_owned()
            }
            Reason::Exempt if self.moments().is_empty() => {
                "nothing but another configuration: the exemption has no end".to_owned()
            }
            Reason::ClassCountry | Reason::ClassUnknown => {
                "another class: name the source in `prefixes` or `files` of a `[[class]]`, which goes before its country; or another country \
                 in the database"
                    .to_owned()
            }
            Reason::ClassPrefix => {
                "without the prefix, or with a longer one of another `[[class]]`, the class would be another".to_owned()
            }
            Reason::OverLimit if !access => format!(
                "a larger `connections` of {}, or a `[[class]]` with `policy = \"exempt\"` that names {} in its `prefixes` or `files`; then `gate reload`",
                self.owner(),
                counted_by(decision)
            ),
            Reason::OverLimit => {
                "a larger `port25.throttle`; then `gate reload`".to_owned()
            }
            Reason::Unlisted
            | Reason::Exempt
            | Reason::NoGeneration
            | Reason::NoRole
            | Reason::Relay
            | Reason::Restricted
            | Reason::WithinLimit
            | Reason::SourceRouted
            | Reason::Shape(_) => return changes,
        };
        changes.operator.push(operator);
        changes
    }

    /// How the source is exempted. Hosts of IPv6 have other addresses tomorrow (RFC 8981), so that it takes the prefix that the gate counts a source by.
    fn exemption(&self, decision: &Decision) -> String {
        let line = counted_by(decision);
        let delegated = if decision.source.is_v4() {
            ""
        } else {
            ", or the whole prefix that is delegated to the customer"
        };
        if self.view.manifest.exemptions.is_some() {
            return format!(
                "an exemption: `gate exempt add {line} --until 30d --ticket TEXT`{delegated}"
            );
        }
        format!(
            "an exemption: name {line}{delegated}, in an `[[access]]` with `policy = \"exempt\"`, by `prefixes` or in one of its `files`; then \
             `gate reload`"
        )
    }

    /// The pool or class that decides.
    fn owner(&self) -> String {
        match (self.decision.and_then(|it| it.role), self.pool, self.class) {
            (Some(Role::Uplink), _, Some(class)) => format!("the class {}", class.name),
            (_, Some(pool), _) => format!("the pool {}", pool.name),
            _ => "`[port25]`".to_owned(),
        }
    }

    /// How else a subscriber's mail gets out.
    fn other_ways(&self) -> String {
        /// How many relays are named.
        const TOLD: usize = 4;
        let relays = &self.view.manifest.relays;
        let named: Vec<&str> = relays
            .iter()
            .take(TOLD)
            .map(|it| it.prefix.as_str())
            .collect();
        let more = relays.len().saturating_sub(TOLD);
        let submission = "submission (port 587 or 465) to the customer's own mail service, which is never refused";
        match (named.as_slice(), more) {
            ([], _) => format!("another way out: {submission}"),
            (named, 0) => format!(
                "another way out: port 25 of a relay ({}), or {submission}",
                named.join(", ")
            ),
            (named, more) => format!(
                "another way out: port 25 of a relay ({} and {more} more), or {submission}",
                named.join(", ")
            ),
        }
    }

    /// Whether connections are counted against the limit of `throttle`.
    pub(super) fn is_throttled(&self) -> bool {
        let Some(decision) = self.decision.filter(|it| it.role == Some(Role::Access)) else {
            return false;
        };
        match decision.reason {
            Reason::WithinLimit | Reason::OverLimit => true,
            Reason::Restricted | Reason::Unlisted => {
                let now_ns = u64::try_from(self.now.as_nanosecond()).unwrap_or(0);
                let action = match rule_in_force(decision.source, self.view, now_ns) {
                    Some(rule) => rule.action,
                    None if self.settings.unlisted == Policy::Exempt as u8 => return false,
                    None => self.settings.unlisted_action,
                };
                action == Action::Throttle as u8
            }
            Reason::NoGeneration
            | Reason::NoRole
            | Reason::Exempt
            | Reason::Relay
            | Reason::ClassPrefix
            | Reason::ClassCountry
            | Reason::ClassUnknown
            | Reason::SourceRouted
            | Reason::Shape(_) => false,
        }
    }
}
