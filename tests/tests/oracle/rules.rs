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
}

#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) exempt: bool,
    pub(crate) action: Action,
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

/// The connections that throttled sources may still open: a bucket of time each, which fills while it passes.
#[derive(Debug, Default)]
pub(crate) struct Buckets(HashMap<(IpNet, (u8, u8)), Bucket>);

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
        (interval, burst): (u64, u64),
        now_ns: u64,
    ) -> bool {
        let full = Bucket {
            saved_ns: interval * burst,
            seen_ns: now_ns,
        };
        let bucket = self
            .0
            .entry((cut(source, lengths), lengths))
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
        let opens = segment.flags & 0x12 == 0x02 || seen.first_fragment;
        let (smtp, submission) = (
            segment.destination_port == 25,
            [587, 465].contains(&segment.destination_port),
        );
        match side {
            Side::Neither if smtp || (submission && opens) => fate("passed", "no_role", &[]),
            Side::Access if smtp && (opens || self.all_segments) => {
                let suspect = Suspect {
                    seen,
                    hidden: None,
                    opens,
                };
                self.port25(&suspect, now_ns, buckets)
            }
            Side::Uplink
                if opens
                    && self.ports.contains(&segment.destination_port)
                    && (self.servers.is_empty()
                        || self.servers.iter().any(|it| it.contains(&seen.destination))) =>
            {
                self.tag(segment)
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
                let unlisted = self.refuse_unlisted.then_some(self.action);
                let mut actions = restricted.map(|it| it.action).chain(unlisted);
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
        let is_past = |until: i64| i128::from(now_ns) >= i128::from(until) * 1_000_000_000;
        let in_force = self.pools.iter().flat_map(|pool| {
            let prefixes = pool.prefixes.iter().map(move |it| (pool, it));
            prefixes.filter(|(_, it)| !it.until.is_some_and(is_past))
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
            Some((pool, _)) => (None, pool.action, "restricted"),
            None if self.refuse_unlisted => (None, self.action, "unlisted"),
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
                        if !suspect.opens || buckets.take(source, lengths, self.limit, now_ns) =>
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

    /// The class of a submission connection.
    fn tag(&self, segment: &Segment) -> Fate {
        let Seen {
            source,
            destination,
            ..
        } = segment.seen;
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
        let class = self.classes.get(class).map_or("?", |it| &it.name);
        let country = country.map_or("none", |(_, code)| *code);
        let source_line = format!("source uplink {}", cut(source, (32, 64)));
        let class_line = format!("class {class}");
        let mut counts = vec!["interface uplink", &class_line];
        if self.count_sources {
            counts.push(&source_line);
        }
        let mut fate = fate("tagged", reason, &counts);
        fate.lines.push(format!("country {country}"));
        fate.lines.push(format!(
            "tag 6 {source} {} {destination} {} {class} {country} 0",
            segment.source_port, segment.destination_port
        ));
        fate
    }
}

fn fate(verdict: &str, reason: &str, counts: &[&str]) -> Fate {
    let mut lines = vec![format!("total {verdict} {reason}")];
    lines.extend(counts.iter().map(|counter| format!("{counter} {verdict}")));
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
