//! Configurations at random: as rules for the oracle, and as text for the gate, which reads it as it reads any.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context as _, Result};
use gate_common::{
    Country,
    abi::{Limit, Rule},
};
use gate_user::{
    config,
    generation::{Inputs, Plan},
    geoip::Countries,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

use crate::{
    random::Random,
    rules::{Action, Class, Over, Pool, Prefix, Rules},
};

/// 2026-06-01T00:00:00Z.
const START: i64 = 1_780_272_000;
/// Deadlines, and times between them that packets are judged at; the second time is a deadline itself.
const DEADLINES: [i64; 3] = [START + 10_000, START + 20_000, START + 30_000];
pub(crate) const TIMES: [i64; 4] = [START, START + 10_000, START + 25_000, START + 40_000];

/// When a bypass ends: at one of the times.
const BYPASS_UNTIL: i64 = START + 10_000;

/// Countries that a class may name, and two that none does.
const NAMED: [&str; 4] = ["JP", "KP", "XK", "A1"];
const UNNAMED: [&str; 2] = ["US", "DE"];

/// Half of all addresses.
const WIDE: [&str; 2] = ["128.0.0.0/1", "2000::/3"];

/// A configuration, and where its packets come from and go to.
pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) plan: Plan,
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

/// The countries of all worlds.
pub(crate) fn countries() -> Vec<Country> {
    let codes = NAMED.into_iter().chain(UNNAMED);
    let named = codes.filter_map(Country::from_code);
    named.chain([Country::NONE]).collect()
}

impl World {
    /// The world with this number. What decides whether an outcome can come up at all takes turns by it, so that no seed
    /// misses one; everything else is random.
    pub(crate) fn new(number: u64, random: &mut Random) -> Result<Self> {
        let rules = rules(number, random);
        let text = text(&rules);
        let mut plan = plan(&rules, &text).with_context(|| text.clone())?;
        adjust(&mut plan, &rules, number, random);
        let pools = rules.pools.iter().flat_map(|it| &it.prefixes);
        let classes = rules.classes.iter().flat_map(|it| &it.prefixes);
        let nets: Vec<IpNet> = pools
            .map(|it| it.net)
            .chain(classes.copied())
            .chain(rules.relays.iter().copied())
            .chain(rules.servers.iter().copied())
            .chain(rules.countries.iter().map(|(net, _)| *net))
            .collect();
        let v4 = nets.iter().filter_map(|it| match it {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        });
        let v6 = nets.iter().filter_map(|it| match it {
            IpNet::V6(net) => Some(*net),
            IpNet::V4(_) => None,
        });
        Ok(Self {
            v4: v4.collect(),
            v6: v6.collect(),
            plan,
            rules,
        })
    }

    /// Until when everything is only observed, as the gate is told; 0 is no bypass.
    pub(crate) fn bypass_until_ns(&self) -> u64 {
        let until = self.rules.bypass.unwrap_or_default();
        u64::try_from(until).expect("a time after 1970") * 1_000_000_000
    }

    /// Source and destination of an IPv4 packet: mostly in a prefix that is configured, or right beside it.
    pub(crate) fn between_v4(&self, random: &mut Random) -> (Ipv4Addr, Ipv4Addr) {
        (self.address_v4(random), self.address_v4(random))
    }

    /// Source and destination of an IPv6 packet.
    pub(crate) fn between_v6(&self, random: &mut Random) -> (Ipv6Addr, Ipv6Addr) {
        (self.address_v6(random), self.address_v6(random))
    }

    /// The first address of a relay, if there is one of the family.
    pub(crate) fn relay(&self, is_v4: bool, random: &mut Random) -> Option<IpAddr> {
        let relays = self.rules.relays.iter().map(IpNet::network);
        let relays: Vec<IpAddr> = relays.filter(|it| it.is_ipv4() == is_v4).collect();
        (!relays.is_empty()).then(|| random.pick(&relays))
    }

    fn address_v4(&self, random: &mut Random) -> Ipv4Addr {
        if self.v4.is_empty() || random.once_in(6) {
            return Ipv4Addr::from_bits(base_v4(random));
        }
        let net = random.pick(&self.v4);
        match random.below(8) {
            0 => net.network(),
            1 => net.broadcast(),
            2 => Ipv4Addr::from_bits(net.broadcast().to_bits().wrapping_add(1)),
            3 => Ipv4Addr::from_bits(net.network().to_bits().wrapping_sub(1)),
            _ => {
                let low = u32::from(random.word()) << 16 | u32::from(random.word());
                Ipv4Addr::from_bits(net.network().to_bits() | (low & net.hostmask().to_bits()))
            }
        }
    }

    fn address_v6(&self, random: &mut Random) -> Ipv6Addr {
        if random.once_in(24) {
            return self.address_v4(random).to_ipv6_mapped();
        }
        if self.v6.is_empty() || random.once_in(6) {
            return Ipv6Addr::from_bits(base_v6(random));
        }
        let net = random.pick(&self.v6);
        match random.below(8) {
            0 => net.network(),
            1 => net.broadcast(),
            2 => Ipv6Addr::from_bits(net.broadcast().to_bits().wrapping_add(1)),
            3 => Ipv6Addr::from_bits(net.network().to_bits().wrapping_sub(1)),
            _ => Ipv6Addr::from_bits(
                net.network().to_bits() | (random.bits() & net.hostmask().to_bits()),
            ),
        }
    }
}

fn rules(number: u64, random: &mut Random) -> Rules {
    let turn = |every: u64| number.is_multiple_of(every);
    let mut pools = pools(random);
    // Where nobody is refused, shapes of nobody are not either.
    if action(number) == Action::Observe {
        for it in &mut pools {
            it.action = Action::Observe;
        }
    }
    if answers(number) {
        for it in &mut pools {
            (it.action, it.from) = (Action::Enforce, None);
        }
        for it in pools.iter_mut().take(2) {
            it.exempt = false;
        }
    }
    let mut taken = BTreeSet::new();
    // Half of the Internet are servers, half of it is a source, and each has one connection: so that some are refused, whatever the seed.
    let strict = number % 8 > 4;
    let servers = if (number / 4).is_multiple_of(2) {
        Vec::new()
    } else {
        let mut servers = nets(random, 6, &mut BTreeSet::new());
        if strict {
            servers.extend(WIDE.iter().map(|it| it.parse::<IpNet>().expect("a prefix")));
        }
        servers
    };
    let mut class = |name: &str, countries: Vec<&'static str>, random: &mut Random| Class {
        name: name.to_owned(),
        countries,
        prefixes: nets(random, 4, &mut taken),
        exempt: false,
        observed: random.once_in(2),
        from: (!strict && random.once_in(3)).then(|| random.pick(&DEADLINES)),
        limit: (strict || !random.once_in(6)).then(|| {
            let interval = random.pick(&[1_000_000, 7_000_000_000, 3_600_000_000_000]);
            if strict {
                (3_600_000_000_000, 1)
            } else {
                (interval, random.pick(&[1, 1, 5]))
            }
        }),
        // To refuse, a configuration must say whose servers these are.
        over: if servers.is_empty() {
            Over::Tag
        } else {
            random.pick(&[Over::Tag, Over::Reset, Over::Reset, Over::Drop, Over::Drop])
        },
        source: if strict {
            (1, 1)
        } else {
            (random.pick(&[32, 24, 8, 1]), random.pick(&[64, 56, 16, 1]))
        },
    };
    let classes = vec![
        class("domestic", vec!["JP"], random),
        class("spam", vec!["KP", "XK"], random),
        class("odd", vec!["A1"], random),
        class("foreign", Vec::new(), random),
        Class {
            exempt: true,
            ..class("own", Vec::new(), random)
        },
    ];
    let countries = nets(random, 30, &mut BTreeSet::new());
    Rules {
        all_segments: turn(3),
        action: action(number),
        from: (!answers(number) && random.once_in(6)).then(|| random.pick(&DEADLINES)),
        refuse_unlisted: number % 8 < 5,
        inner: (number / 3).is_multiple_of(2),
        limit: (
            random.pick(&[1_000_000, 100_000_000, 7_000_000_000]),
            random.pick(&[1, 2, 20]),
        ),
        relays: nets(random, 5, &mut BTreeSet::new()),
        pools,
        ports: random
            .pick(&[&[587, 465][..], &[587, 465], &[587], &[465]])
            .to_vec(),
        servers,
        classes,
        default: 3,
        unknown: random.below(4),
        tunnels: random.below(4),
        countries: countries
            .into_iter()
            .map(|net| {
                let code = if random.once_in(3) {
                    random.pick(&UNNAMED)
                } else {
                    random.pick(&NAMED)
                };
                (net, code)
            })
            .collect(),
        count_sources: !turn(5),
        bypass: (number % 5 == 2).then_some(BYPASS_UNTIL),
    }
}

fn action(number: u64) -> Action {
    match number % 4 {
        0 | 1 => Action::Enforce,
        2 => Action::Throttle,
        _ => Action::Observe,
    }
}

fn pools(random: &mut Random) -> Vec<Pool> {
    let mut taken = BTreeSet::new();
    let mut pools = Vec::new();
    for number in 0..random.between(2, 6) {
        let written = nets(random, 5, &mut taken);
        let listed = if random.once_in(2) {
            nets(random, 4, &mut taken)
        } else {
            Vec::new()
        };
        if written.is_empty() {
            continue;
        }
        let whole = random.once_in(3).then(|| random.pick(&DEADLINES));
        let written = written.into_iter().map(|net| Prefix {
            net,
            until: whole,
            listed: false,
        });
        let mut prefixes: Vec<Prefix> = written.collect();
        for net in listed {
            let own = random.once_in(2).then(|| random.pick(&DEADLINES));
            let until = [whole, own].into_iter().flatten().min();
            prefixes.push(Prefix {
                net,
                until,
                listed: true,
            });
        }
        pools.push(Pool {
            name: format!("pool-{number}"),
            exempt: random.once_in(3),
            action: action(random.next()),
            from: random.once_in(8).then(|| random.pick(&DEADLINES)),
            source: (
                random.pick(&[32, 24, 8, 1]),
                random.pick(&[64, 56, 48, 128, 1]),
            ),
            prefixes,
        });
    }
    pools
}

/// Up to `most` networks that are not `taken`, half of them inside one another.
fn nets(random: &mut Random, most: usize, taken: &mut BTreeSet<IpNet>) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = Vec::new();
    for _ in 0..=random.below(most) {
        let parent = (!nets.is_empty() && random.once_in(2)).then(|| random.pick(&nets));
        let net = net(random, parent);
        if taken.insert(net) {
            nets.push(net);
        }
    }
    nets
}

fn net(random: &mut Random, parent: Option<IpNet>) -> IpNet {
    let v6 = parent.map_or_else(|| random.once_in(2), |it| matches!(it, IpNet::V6(_)));
    let longer = |random: &mut Random, lengths: &[u8]| {
        let length = random.pick(lengths);
        parent.map_or(length, |it| length.max(it.prefix_len()))
    };
    let net = if v6 {
        let length = longer(
            random,
            &[0, 16, 32, 32, 40, 48, 56, 64, 64, 65, 96, 127, 128],
        );
        let address = match parent {
            Some(IpNet::V6(net)) => {
                net.network().to_bits() | (base_v6(random) & net.hostmask().to_bits())
            }
            _ => base_v6(random),
        };
        Ipv6Net::new(Ipv6Addr::from_bits(address), length).map(IpNet::V6)
    } else {
        let length = longer(random, &[0, 8, 10, 16, 22, 24, 24, 28, 31, 32, 32]);
        let address = match parent {
            Some(IpNet::V4(net)) => {
                net.network().to_bits() | (base_v4(random) & net.hostmask().to_bits())
            }
            _ => base_v4(random),
        };
        Ipv4Net::new(Ipv4Addr::from_bits(address), length).map(IpNet::V4)
    };
    net.expect("a length of the family").trunc()
}

/// Addresses from a small part of all, so that lists meet.
fn base_v4(random: &mut Random) -> u32 {
    let first = random.pick(&[10, 100, 192, 198, 203]);
    let small = [0, 1, 2, 3, 64, 127, 128, 255];
    u32::from_be_bytes([
        first,
        random.pick(&small),
        random.pick(&small),
        random.byte(),
    ])
}

fn base_v6(random: &mut Random) -> u128 {
    let start = random.pick(&[
        0x2001_0db8_0000_0000u64,
        0x2001_0db8_0001_0000,
        0x2001_0db8_0001_ff00,
        0xfd00_0000_0000_0001,
        0x2002_c000_0201_0000,
        0x2001_0000_0000_0000,
        0x0064_ff9b_0000_0000,
        0x2a00_0000_0000_0000,
    ]);
    let end = if random.once_in(2) {
        u64::from(random.byte())
    } else {
        random.next()
    };
    (u128::from(start) << 64) | u128::from(end)
}

/// The configuration, as an operator would write it.
fn text(rules: &Rules) -> String {
    let action = |action: Action| match action {
        Action::Enforce => "enforce",
        Action::Throttle => "throttle",
        Action::Observe => "observe",
    };
    let mut text = format!(
        "[[interface]]\nname = \"access\"\nrole = \"access\"\nidentity = \"{}\"\n[[interface]]\nname = \"uplink\"\nrole = \"uplink\"\n\
         [port25]\nthrottle = {{ limit = 1, per = \"second\" }}\naction = \"{}\"\nanswer = \"drop\"\nscope = \"{}\"\nunlisted = \"{}\"\nrelays = [{}]\n",
        if rules.inner { "inner" } else { "outer" },
        action(rules.action),
        if rules.all_segments { "all" } else { "syn" },
        if rules.refuse_unlisted {
            "refuse"
        } else {
            "pass"
        },
        list(&rules.relays),
    );
    text += &effective(rules.from);
    for pool in &rules.pools {
        let written: Vec<IpNet> = pool
            .prefixes
            .iter()
            .filter(|it| !it.listed)
            .map(|it| it.net)
            .collect();
        let _ = write!(
            text,
            "[[access]]\nname = \"{}\"\nprefixes = [{}]\nfiles = [\"{}.txt\"]\nsource_prefix = {{ v4 = {}, v6 = {} }}\n",
            pool.name,
            list(&written),
            pool.name,
            pool.source.0,
            pool.source.1
        );
        if pool.exempt {
            text += "policy = \"exempt\"\n";
        } else {
            let _ = writeln!(
                text,
                "policy = \"restrict\"\naction = \"{}\"",
                action(pool.action)
            );
            text += &effective(pool.from);
        }
        if let Some(until) = pool
            .prefixes
            .iter()
            .find(|it| !it.listed)
            .and_then(|it| it.until)
        {
            let _ = writeln!(text, "until = {}", time(until));
        }
    }
    let names = |index: usize| rules.classes.get(index).map_or("", |it| &it.name);
    let _ = write!(
        text,
        "[submission]\nports = {:?}\nservers = [{}]\n[geoip]\ndatabases = [\"c.mmdb\"]\nunknown = \"{}\"\ntunnels = \"{}\"\n",
        rules.ports,
        list(&rules.servers),
        names(rules.unknown),
        names(rules.tunnels)
    );
    text += &classes(rules);
    let _ = writeln!(text, "[counters]\nsources = {}", rules.count_sources);
    text
}

/// Its classes.
fn classes(rules: &Rules) -> String {
    let mut text = String::new();
    for (index, class) in rules.classes.iter().enumerate() {
        let _ = write!(
            text,
            "[[class]]\nname = \"{}\"\ncountries = {:?}\nprefixes = [{}]\ndefault = {}\n",
            class.name,
            class.countries,
            list(&class.prefixes),
            index == rules.default
        );
        let (v4, v6) = class.source;
        let _ = writeln!(text, "source_prefix = {{ v4 = {v4}, v6 = {v6} }}");
        if class.exempt {
            text += "policy = \"exempt\"\n";
            continue;
        }
        let over = match class.over {
            Over::Tag => "",
            Over::Reset => ", over = \"reset\"",
            Over::Drop => ", over = \"drop\"",
        };
        if class.limit.is_some() {
            let _ = writeln!(
                text,
                "connections = {{ limit = 1, per = \"second\"{over} }}"
            );
        }
        if class.observed {
            text += "action = \"observe\"\n";
        }
        text += &effective(class.from);
    }
    text
}

/// The moment from which on a rule is more than observed.
fn effective(from: Option<i64>) -> String {
    from.map_or_else(String::new, |from| {
        format!("effective_from = {}\n", time(from))
    })
}

/// Prefixes, as an array.
fn list(nets: &[IpNet]) -> String {
    nets.iter()
        .map(|it| format!("\"{it}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time of this century")
}

/// Whether the pools of the world refuse at all times, so that there is something to answer.
fn answers(number: u64) -> bool {
    matches!(number % 12, 0 | 1 | 4 | 8)
}

/// What the text does not say: limits that a text has no words for, every answer to every source, and ports whose device takes tags
/// off.
fn adjust(plan: &mut Plan, rules: &Rules, number: u64, random: &mut Random) {
    let (interval_ns, burst) = rules.limit;
    let limit = |interval_ns, burst| Limit {
        interval_ns,
        burst_ns: interval_ns * burst,
    };
    let settings = &mut plan.settings;
    settings.throttle = limit(interval_ns, burst);
    for (class, rule) in settings.classes.iter_mut().zip(&rules.classes) {
        if let Some((interval_ns, burst)) = rule.limit.filter(|_| !rule.exempt) {
            class.connections = limit(interval_ns, burst);
        }
    }
    let (of_source, of_all) = (random.pick(&[1, 20]), random.pick(&[2, 200]));
    // Each of the two where the other is not in its way.
    let (of_source, of_all) = match number % 12 {
        0 => (20, 2),
        4 => (1, 200),
        1 | 8 => (20, 200),
        _ => (of_source, of_all),
    };
    settings.answer_source = limit(1_000_000, of_source);
    settings.answer_total = limit(1_000_000, of_all);
    settings.unlisted_answer = random.pick(&[0, 1, 2]);
    if random.once_in(2) {
        let answer_from = (
            Ipv4Addr::new(192, 0, 2, 254),
            Ipv6Addr::from_bits(random.bits()),
        );
        settings.answer_v4 = answer_from.0.into();
        settings.answer_v6 = answer_from.1.into();
    }
    for it in &mut plan.interfaces {
        it.interface.stripped = (number % 4 == 1).into();
    }
    for (counted, place) in plan.manifest.pools.iter().zip(0u8..) {
        let random_answer = random.pick(&[0, 1, 1, 1, 2, 2]);
        // The first two give one each.
        let answer = if answers(number) && place < 2 {
            place + 1
        } else {
            random_answer
        };
        let of_pool = |it: &&mut Rule| it.pool_counter == counted.counter;
        for rule in plan.rules.iter_mut().filter(of_pool) {
            rule.answer = answer;
        }
    }
}

/// The generation that the gate makes of it.
fn plan(rules: &Rules, text: &str) -> Result<Plan> {
    let mut files: HashMap<String, String> =
        HashMap::from([("gate.toml".to_owned(), text.to_owned())]);
    for pool in &rules.pools {
        let lines = pool
            .prefixes
            .iter()
            .filter(|it| it.listed)
            .map(|it| match it.until {
                Some(until) => format!("{} until={}\n", it.net, time(until)),
                None => format!("{}\n", it.net),
            });
        files.insert(format!("{}.txt", pool.name), lines.collect());
    }
    let read = |path: &Path| {
        let text = path.to_str().and_then(|name| files.get(name)).cloned();
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    let config = config::load_at(Path::new("gate.toml"), &read, time(START))?;
    let countries = rules.countries.iter().map(|(net, code)| {
        let country = Country::from_code(code).context("no country code")?;
        Ok((*net, country))
    });
    let countries = Countries::of(countries.collect::<Result<Vec<_>>>()?)?;
    Ok(Plan::new(Inputs {
        config: &config,
        countries: Some(&countries),
        previous: None,
        previous_sources: None,
        directory: Path::new("/"),
        number: 1,
        now: time(START),
    })?)
}
