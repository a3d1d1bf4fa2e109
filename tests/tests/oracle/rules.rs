//! What becomes of a packet, by lists that are scanned from end to end.
//!
//! Written from docs/config.md and the design's contract. A fate is the lines that the counters then say, in the words of `kernel::Tally`.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use crate::reading::{Reading, Seen, Segment, What};

/// How a rule bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Observe,
    Throttle,
    Enforce,
}

/// Whether a moment, UNIX time in seconds, has come.
fn is_past(moment: i64, now_ns: u64) -> bool {
    i128::from(now_ns) >= i128::from(moment) * 1_000_000_000
}

/// Which interface a packet comes in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Access,
    Uplink,
    /// One that the configuration does not name.
    Neither,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Access, Self::Uplink, Self::Neither];

    /// How many of fifty packets come from there: there is more to say about a subscriber's.
    pub(crate) const fn share(self) -> usize {
        match self {
            Self::Access => 30,
            Self::Uplink => 15,
            Self::Neither => 5,
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) dropped: bool,
    /// What counts it: none if it is not judged.
    pub(crate) lines: Vec<String>,
}

/// Everything that an operator configured.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the configuration"
)]
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) all_segments: bool,
    /// For sources that no pool names, and for shapes without a source.
    pub(crate) action: Action,
    /// From when on anything is more than observed, where no pool says otherwise; UNIX time in seconds.
    pub(crate) from: Option<i64>,
    pub(crate) refuse_unlisted: bool,
    /// A tunnel belongs to whom its inner source names.
    pub(crate) inner: bool,
    /// Nanoseconds from one throttled connection to the next, and how many there may be at once.
    pub(crate) limit: (u64, u64),
    pub(crate) relays: Vec<IpNet>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) ports: Vec<u16>,
    pub(crate) servers: Vec<IpNet>,
    pub(crate) classes: Vec<Class>,
    pub(crate) default: usize,
    pub(crate) unknown: usize,
    pub(crate) tunnels: usize,
    pub(crate) countries: Vec<(IpNet, &'static str)>,
    pub(crate) count_sources: bool,
    /// Until when everything is only observed; UNIX time in seconds.
    pub(crate) bypass: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) exempt: bool,
    pub(crate) action: Action,
    /// From when on it is more than observed, if it says so itself.
    pub(crate) from: Option<i64>,
    /// How much of an IPv4 and of an IPv6 address names a line.
    pub(crate) source: (u8, u8),
    pub(crate) prefixes: Vec<Prefix>,
}

#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    pub(crate) net: IpNet,
    /// UNIX time in seconds.
    pub(crate) until: Option<i64>,
    /// Whether the list file has it, and it is counted by pool only.
    pub(crate) listed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) countries: Vec<&'static str>,
    pub(crate) prefixes: Vec<IpNet>,
    pub(crate) exempt: bool,
    pub(crate) observed: bool,
    pub(crate) from: Option<i64>,
    /// As that of [`Rules`].
    pub(crate) limit: Option<(u64, u64)>,
    pub(crate) over: Over,
    /// How much of an address is one source.
    pub(crate) source: (u8, u8),
}

/// What becomes of connections over the limit of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tag,
    Reset,
    Drop,
}

/// The longest prefix that has `address`.
fn longest<T>(
    list: impl Iterator<Item = T>,
    net: impl Fn(&T) -> IpNet,
    address: IpAddr,
) -> Option<T> {
    list.filter(|it| net(it).contains(&address))
        .max_by_key(|it| net(it).prefix_len())
}

/// The connections that sources may still open: a bucket of time each, which fills while it passes. One for each class that a source is in, and one for
/// its port 25.
#[derive(Debug, Default)]
pub(crate) struct Buckets(HashMap<Whose, Bucket>);

/// A network, the lengths by which it is one source, and the class, where it is the bucket of one.
type Whose = (IpNet, (u8, u8), Option<usize>);

#[derive(Debug)]
struct Bucket {
    saved_ns: u64,
    seen_ns: u64,
}

impl Buckets {
    fn take(
        &mut self,
        source: IpAddr,
        lengths: (u8, u8),
        class: Option<usize>,
        (interval, burst): (u64, u64),
        now_ns: u64,
    ) -> bool {
        let full = Bucket {
            saved_ns: interval * burst,
            seen_ns: now_ns,
        };
        let bucket = self
            .0
            .entry((cut(source, lengths), lengths, class))
            .or_insert(full);
        let passed = now_ns - bucket.seen_ns;
        bucket.saved_ns = (bucket.saved_ns + passed).min(interval * burst);
        bucket.seen_ns = now_ns;
        match bucket.saved_ns.checked_sub(interval) {
            Some(rest) => {
                bucket.saved_ns = rest;
                true
            }
            None => false,
        }
    }
}

/// A packet that may be a connection to port 25.
struct Suspect<'s> {
    seen: &'s Seen,
    /// What kept its port from being read.
    hidden: Option<&'static str>,
    opens: bool,
}

impl Rules {
    /// Whether what bites from this moment on, UNIX time in seconds, does so at `now_ns`.
    fn bites(&self, from: Option<i64>, now_ns: u64) -> bool {
        let bypassed = self.bypass.is_some_and(|until| !is_past(until, now_ns));
        !bypassed && from.is_none_or(|from| is_past(from, now_ns))
    }

    /// What an action comes to at `now_ns`: before its moment, and during a bypass, a rule only observes.
    fn at(&self, action: Action, from: Option<i64>, now_ns: u64) -> Action {
        if self.bites(from, now_ns) {
            action
        } else {
            Action::Observe
        }
    }

    /// What becomes of a packet at `now_ns`, UNIX time in nanoseconds, which never goes back for the same `buckets`.
    pub(crate) fn judge(
        &self,
        reading: &Reading,
        side: Side,
        now_ns: u64,
        buckets: &mut Buckets,
    ) -> Fate {
        match &reading.what {
            What::Nothing => Fate::default(),
            What::Hidden(what, seen) => self.hidden(what, seen.as_ref(), side, now_ns, buckets),
            What::Segment(segment) => self.segment(segment, side, now_ns, buckets),
        }
    }

    fn segment(&self, segment: &Segment, side: Side, now_ns: u64, buckets: &mut Buckets) -> Fate {
        let seen = &segment.seen;
        let begins = segment.flags & 0x12 == 0x02;
        let opens = begins || seen.first_fragment;
        let (smtp, submission) = (
            segment.destination_port == 25,
            [587, 465].contains(&segment.destination_port),
        );
        match side {
            Side::Neither if smtp || (submission && begins) => fate("passed", "no_role", &[]),
            Side::Access if smtp && (opens || self.all_segments) => {
                let suspect = Suspect {
                    seen,
                    hidden: None,
                    opens,
                };
                self.port25(&suspect, now_ns, buckets)
            }
            Side::Uplink
                if begins
                    && self.ports.contains(&segment.destination_port)
                    && (self.servers.is_empty()
                        || self.servers.iter().any(|it| it.contains(&seen.destination))) =>
            {
                let ports = (segment.source_port, segment.destination_port);
                self.tag(seen, Ok(ports), now_ns, buckets)
            }
            Side::Neither | Side::Access | Side::Uplink => Fate::default(),
        }
    }

    /// A packet of which not all can be seen.
    fn hidden(
        &self,
        what: &'static str,
        seen: Option<&Seen>,
        side: Side,
        now_ns: u64,
        buckets: &mut Buckets,
    ) -> Fate {
        // No honest host sends these: to a restricted source they are as a connection to port 25, unless another port can be
        // seen. Port 0 is nobody's, and says nothing.
        let suspicious = [
            "too_many_tags",
            "too_many_labels",
            "tiny_fragment",
            "overlapping_fragment",
            "too_many_extensions",
            "bad_length",
        ];
        match (side, seen) {
            (Side::Neither, _) => fate("passed", "no_role", &[]),
            // To a server that the operator lists, unless a port can be seen that nobody watches: a connection of the class of its source.
            (Side::Uplink, Some(seen))
                if suspicious.contains(&what)
                    && self.servers.iter().any(|it| it.contains(&seen.destination))
                    && seen
                        .port
                        .is_none_or(|it| it == 0 || self.ports.contains(&it)) =>
            {
                self.tag(seen, Err(what), now_ns, buckets)
            }
            (Side::Uplink, _) => fate("unparsed", what, &["interface uplink"]),
            (Side::Access, Some(seen))
                if suspicious.contains(&what) && matches!(seen.port, None | Some(0 | 25)) =>
            {
                let suspect = Suspect {
                    seen,
                    hidden: Some(what),
                    opens: true,
                };
                self.port25(&suspect, now_ns, buckets)
            }
            // Nobody's pool, and nobody's bucket: it may be of anybody who is refused.
            (Side::Access, None) if suspicious.contains(&what) => {
                let restricted = self.pools.iter().filter(|it| !it.exempt);
                let unlisted = self.refuse_unlisted.then_some((self.action, self.from));
                let mut actions = restricted
                    .map(|it| (it.action, it.from.or(self.from)))
                    .chain(unlisted)
                    .map(|(action, from)| self.at(action, from, now_ns));
                let verdict = if actions.all(|it| it == Action::Observe) {
                    "observed"
                } else {
                    "refused"
                };
                fate(verdict, what, &["interface access"])
            }
            (Side::Access, _) => fate("unparsed", what, &["interface access"]),
        }
    }

    /// The rule for port 25.
    fn port25(&self, suspect: &Suspect<'_>, now_ns: u64, buckets: &mut Buckets) -> Fate {
        let seen = suspect.seen;
        let source = match seen.carrier {
            Some(carrier) if !self.inner => carrier,
            _ => seen.source,
        };
        let in_force = self.pools.iter().flat_map(|pool| {
            let prefixes = pool.prefixes.iter().map(move |it| (pool, it));
            prefixes.filter(|(_, it)| !it.until.is_some_and(|until| is_past(until, now_ns)))
        });
        let found = longest(in_force, |(_, it)| it.net, source);
        let mut counts = vec!["interface access".to_owned()];
        let mut lengths = (32, 64);
        if let Some((pool, prefix)) = found {
            counts.push(format!("pool {}", pool.name));
            if !prefix.listed {
                counts.push(format!("prefix {} {}", pool.name, prefix.net));
            }
            lengths = pool.source;
        }
        let (open, action, reason) = match found {
            Some((pool, _)) if pool.exempt => (Some("exempt"), pool.action, ""),
            Some((pool, _)) => {
                let from = pool.from.or(self.from);
                (None, self.at(pool.action, from, now_ns), "restricted")
            }
            None if self.refuse_unlisted => {
                (None, self.at(self.action, self.from, now_ns), "unlisted")
            }
            None => (Some("unlisted"), self.action, ""),
        };
        let relay = longest(self.relays.iter(), |it| **it, seen.destination);
        let (verdict, reason) = match (open, relay) {
            (Some(why), _) => ("passed", why),
            (None, Some(relay))
                if !seen.routed && (suspect.hidden.is_none() || seen.port == Some(25)) =>
            {
                counts.push(format!("relay {relay}"));
                ("passed", "relay")
            }
            (None, relay) => {
                let reason = if relay.is_some() {
                    "source_routed"
                } else {
                    reason
                };
                match action {
                    Action::Observe => ("observed", reason),
                    Action::Enforce => ("refused", reason),
                    Action::Throttle
                        if !suspect.opens
                            || buckets.take(source, lengths, None, self.limit, now_ns) =>
                    {
                        ("passed", "within_limit")
                    }
                    Action::Throttle => ("refused", "over_limit"),
                }
            }
        };
        let (verdict, reason) = match suspect.hidden {
            None => (verdict, reason),
            Some(what) if verdict == "passed" => ("unparsed", what),
            Some(what) => (verdict, what),
        };
        if self.count_sources && verdict != "unparsed" {
            counts.push(format!("source access {}", cut(source, lengths)));
        }
        let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
        fate(verdict, reason, &counts)
    }

    /// The class of a submission connection, and its limit; `ports` is where it comes from and goes to, or what hides that.
    fn tag(
        &self,
        seen: &Seen,
        ports: Result<(u16, u16), &'static str>,
        now_ns: u64,
        buckets: &mut Buckets,
    ) -> Fate {
        let Seen {
            source,
            destination,
            ..
        } = *seen;
        let tunnels = ["2002::/16", "2001::/32", "64:ff9b::/96"]
            .map(|it| it.parse::<IpNet>().expect("a prefix"))
            .map(|it| (it, self.tunnels));
        let prefixes = self.classes.iter().enumerate();
        let prefixes =
            prefixes.flat_map(|(class, it)| it.prefixes.iter().map(move |net| (*net, class)));
        // What the operator lists goes before a tunnel prefix of the same length: the last of the longest is taken.
        let prefix = longest(tunnels.into_iter().chain(prefixes), |(net, _)| *net, source);
        let country = longest(self.countries.iter(), |(net, _)| *net, source);
        let (class, reason) = match (prefix, country) {
            (Some((_, class)), _) => (class, "class_prefix"),
            (None, None) => (self.unknown, "class_unknown"),
            (None, Some((_, code))) => {
                let named = self
                    .classes
                    .iter()
                    .position(|it| it.countries.contains(code));
                (named.unwrap_or(self.default), "class_country")
            }
        };
        let rule = self.classes.get(class).expect("a class");
        let in_force = !rule.observed && self.bites(rule.from, now_ns);
        let limit = rule.limit.filter(|_| !rule.exempt);
        let over = limit
            .is_some_and(|limit| !buckets.take(source, rule.source, Some(class), limit, now_ns));
        let (verdict, reason) = match (over, rule.over, in_force) {
            (false, _, _) => ("tagged", ports.err().unwrap_or(reason)),
            (true, Over::Tag, _) => ("tagged", "over_limit"),
            (true, Over::Reset | Over::Drop, true) => ("refused", "over_limit"),
            (true, Over::Reset | Over::Drop, false) => ("observed", "over_limit"),
        };
        let class = &rule.name;
        let country = country.map_or("none", |(_, code)| *code);
        let source_line = format!("source uplink {}", cut(source, rule.source));
        let class_line = format!("class {class}");
        let mut counts = vec!["interface uplink", &class_line];
        if self.count_sources {
            counts.push(&source_line);
        }
        let mut fate = fate(verdict, reason, &counts);
        if verdict != "refused" {
            let observed = !rule.exempt && !in_force;
            let flags = u8::from(over) + 2 * u8::from(observed);
            fate.lines.push(format!("country {country}"));
            // A tag is found by both ports.
            if let Ok((from, to)) = ports {
                fate.lines.push(format!(
                    "tag 6 {source} {from} {destination} {to} {class} {country} {flags}"
                ));
            }
        }
        fate
    }
}

/// What counts a packet. Where it is over a limit, every counter but that of the source says so beside its verdict; a source has room for that only
/// where it was tagged.
fn fate(verdict: &str, reason: &str, counts: &[&str]) -> Fate {
    let over = reason == "over_limit";
    let mut lines = vec![format!("total {verdict} {reason}")];
    for counter in counts {
        match (counter.starts_with("source "), over) {
            (true, true) if verdict == "tagged" => {
                lines.push(format!("{counter} tagged over_limit"));
            }
            (false, true) => {
                lines.push(format!("{counter} {verdict}"));
                lines.push(format!("{counter} over_limit"));
            }
            _ => lines.push(format!("{counter} {verdict}")),
        }
    }
    Fate {
        dropped: verdict == "refused",
        lines,
    }
}

/// The network of an address that counts as one source.
fn cut(address: IpAddr, (v4, v6): (u8, u8)) -> IpNet {
    let length = if address.is_ipv4() { v4 } else { v6 };
    IpNet::new(address, length)
        .expect("a length of the family")
        .trunc()
}
