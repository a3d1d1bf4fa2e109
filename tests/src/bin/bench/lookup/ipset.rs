//! ipset: its fastest form, a set a family whose networks have marks, and the form that people use, a set a country with a rule each.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use gate_tests::lab::NetNs;
use gate_user::table::Family;

use super::{
    FAMILIES,
    layout::PORT,
    list::Entry,
    nft::Policy,
    peer::{self, Took},
};

/// The commands without nft's machinery in between.
pub(crate) const IPTABLES: [&str; 2] = ["iptables-legacy", "ip6tables-legacy"];
/// Its rules, as they are typed.
pub(crate) const RULES: &str = "\
iptables-legacy -t mangle -A PREROUTING -j SET --map-set countries4 src --map-mark
ip6tables-legacy -t mangle -A PREROUTING -j SET --map-set countries6 src --map-mark
iptables-legacy -t mangle -P PREROUTING DROP
ip6tables-legacy -t mangle -P PREROUTING DROP

Floor: -A PREROUTING -s 0.0.0.1 -j ACCEPT, and ::1, in the place of SET.";
/// More than either family has networks, and as many buckets.
const ROOM: u32 = 1 << 20;

/// Its files.
pub(crate) struct Ipset {
    pub(crate) load: PathBuf,
    /// Into sets of other names, which then change places.
    pub(crate) reload: PathBuf,
    /// Into the sets in use, flushed before.
    pub(crate) in_place: PathBuf,
    /// A set a country.
    pub(crate) each: PathBuf,
    /// Its rules, by family.
    pub(crate) each_rules: [String; 2],
}

impl Ipset {
    pub(crate) fn write(directory: &Path, entries: &[Entry]) -> Result<Self> {
        let all = |file: &mut dyn Write, suffix: &str| {
            entries
                .iter()
                .try_for_each(|entry| add(file, *entry, suffix))
        };
        let load = peer::write(directory, "load.ipset", |file| {
            create(file, "")?;
            all(file, "")
        })?;
        let reload = peer::write(directory, "reload.ipset", |file| {
            create(file, "-next")?;
            all(file, "-next")?;
            for set in FAMILIES.map(name) {
                writeln!(file, "swap {set} {set}-next\ndestroy {set}-next")?;
            }
            Ok(())
        })?;
        let in_place = peer::write(directory, "in-place.ipset", |file| {
            for set in FAMILIES.map(name) {
                writeln!(file, "flush {set}")?;
            }
            all(file, "")
        })?;
        let each = peer::write(directory, "each.ipset", |file| each(file, entries))?;
        Ok(Self {
            load,
            reload,
            in_place,
            each,
            each_rules: FAMILIES.map(|family| each_rules(entries, family)),
        })
    }
}

/// `ipset restore`
pub(crate) fn run(netns: &NetNs, input: &Path) -> Result<Took> {
    peer::run(netns, Command::new("ipset").arg("restore"), input)
}

/// Sets the marks from the sets, and then does as the policy says. Only the table `mangle` may.
pub(crate) fn rules(netns: &NetNs) -> Result<()> {
    for (command, family) in IPTABLES.into_iter().zip(FAMILIES) {
        let set = name(family);
        let rule = [
            "-A",
            "PREROUTING",
            "-j",
            "SET",
            "--map-set",
            set,
            "src",
            "--map-mark",
        ];
        peer::tool(netns, &[&[command, "-t", "mangle"], &rule[..]].concat(), "")?;
    }
    set_policy(netns, Policy::Drop)
}

/// The hook alone, with a rule that takes no packet.
pub(crate) fn floor(netns: &NetNs) -> Result<()> {
    for (command, nobody) in IPTABLES.into_iter().zip(["0.0.0.1", "::1"]) {
        let rule = ["-A", "PREROUTING", "-s", nobody, "-j", "ACCEPT"];
        peer::tool(netns, &[&[command, "-t", "mangle"], &rule[..]].concat(), "")?;
    }
    set_policy(netns, Policy::Drop)
}

/// The rules of the sets a country.
pub(crate) fn rules_each(netns: &NetNs, files: &Ipset) -> Result<()> {
    for (command, rules) in IPTABLES.into_iter().zip(&files.each_rules) {
        peer::tool(netns, &[&format!("{command}-restore")], rules)?;
    }
    set_policy(netns, Policy::Drop)
}

/// What happens to frames that have their mark.
pub(crate) fn set_policy(netns: &NetNs, policy: Policy) -> Result<()> {
    for command in IPTABLES {
        let policy = policy.name().to_uppercase();
        peer::tool(
            netns,
            &[command, "-t", "mangle", "-P", "PREROUTING", &policy],
            "",
        )?;
    }
    Ok(())
}

const fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "countries4",
        Family::V6 => "countries6",
    }
}

const fn inet(family: Family) -> &'static str {
    match family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    }
}

fn create(file: &mut dyn Write, suffix: &str) -> io::Result<()> {
    FAMILIES.into_iter().try_for_each(|family| {
        let (set, inet) = (name(family), inet(family));
        writeln!(
            file,
            "create {set}{suffix} hash:net family {inet} skbinfo hashsize {ROOM} maxelem {ROOM}"
        )
    })
}

fn add(file: &mut dyn Write, entry: Entry, suffix: &str) -> io::Result<()> {
    let (set, net, number) = (name(entry.family()), entry.net(), entry.number);
    writeln!(file, "add {set}{suffix} {net} skbmark {number:#x}")
}

/// The sets of countries, each with as many buckets as it has networks.
fn each(file: &mut dyn Write, entries: &[Entry]) -> io::Result<()> {
    for family in FAMILIES {
        for (number, size) in sizes(entries, family) {
            let (set, inet) = (one(family, number), inet(family));
            let buckets = size.next_power_of_two().max(64);
            writeln!(
                file,
                "create {set} hash:net family {inet} hashsize {buckets} maxelem {ROOM}"
            )?;
        }
    }
    for entry in entries {
        writeln!(
            file,
            "add {} {}",
            one(entry.family(), entry.number),
            entry.net()
        )?;
    }
    Ok(())
}

fn one(family: Family, number: u16) -> String {
    format!("{}-{number}", name(family))
}

/// How many networks each number has, the most first: so are they asked.
fn sizes(entries: &[Entry], family: Family) -> Vec<(u16, u32)> {
    let mut sizes: BTreeMap<u16, u32> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.family() == family) {
        *sizes.entry(entry.number).or_default() += 1;
    }
    let mut sizes: Vec<(u16, u32)> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    sizes
}

/// What `iptables-restore` takes: whoever is in a set goes to a chain that sets its mark, and comes back to the policy.
fn each_rules(entries: &[Entry], family: Family) -> String {
    let numbers: Vec<u16> = sizes(entries, family)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    let lines =
        |line: &dyn Fn(u16) -> String| numbers.iter().map(|it| line(*it)).collect::<String>();
    let chains = lines(&|number| format!(":c{number} -\n"));
    let asked = lines(&|number| {
        format!(
            "-A PREROUTING -m set --match-set {} src -g c{number}\n",
            one(family, number)
        )
    });
    let marked = lines(&|number| format!("-A c{number} -j MARK --set-mark {number}\n"));
    format!("*mangle\n:PREROUTING DROP\n{chains}{asked}{marked}COMMIT\n")
}

/// Counts IPv4 frames by mark, and drops them; behind whatever sets marks. Not by nft, which reads every element of every map before
/// it shows a counter.
pub(crate) struct Counters<'a> {
    netns: &'a NetNs,
    rules: [Vec<String>; 2],
}

impl<'a> Counters<'a> {
    pub(crate) fn new(netns: &'a NetNs, mark: u16) -> Result<Self> {
        let words = |text: String| text.split(' ').map(str::to_owned).collect();
        let rules = [
            words(format!(
                "PREROUTING -p udp --dport {PORT} -m mark --mark {mark} -j DROP"
            )),
            words(format!("PREROUTING -p udp --dport {PORT} -j DROP")),
        ];
        let counters = Self { netns, rules };
        counters.each("-A")?;
        Ok(counters)
    }

    fn each(&self, action: &str) -> Result<()> {
        let [iptables, _] = IPTABLES;
        self.rules.iter().try_for_each(|rule| {
            let rule = rule.iter().map(String::as_str);
            let words: Vec<&str> = [iptables, "-t", "mangle", action]
                .into_iter()
                .chain(rule)
                .collect();
            peer::tool(self.netns, &words, "").map(drop)
        })
    }

    /// How many frames had the mark, and how many had not. Ends the counting.
    pub(crate) fn end(self) -> Result<(u64, u64)> {
        let text = peer::tool(
            self.netns,
            &["iptables-legacy-save", "-c", "-t", "mangle"],
            "",
        )?;
        self.each("-D")?;
        counted(&text)
            .with_context(|| format!("iptables-legacy-save does not say what it counted: {text}"))
    }
}

/// The packets of the two rules for [`PORT`]: `[packets:bytes] -A PREROUTING ...`.
fn counted(text: &str) -> Option<(u64, u64)> {
    let port = format!("--dport {PORT} ");
    let packets = |has_mark: bool| {
        let line = text
            .lines()
            .find(|line| line.contains(&port) && line.contains("--mark ") == has_mark)?;
        line.strip_prefix('[')?.split(':').next()?.parse().ok()
    };
    Some((packets(true)?, packets(false)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ipnet::IpNet;

    use super::*;

    fn entry(net: &str, number: u16) -> Entry {
        Entry {
            prefix: net.parse::<IpNet>().unwrap().into(),
            number,
        }
    }

    #[test]
    fn counters_are_told_apart_by_their_mark() {
        let text = "*mangle\n:PREROUTING ACCEPT [5:140]\n[9:252] -A PREROUTING -j SET --map-set countries4 src --map-mark\n\
            [7:196] -A PREROUTING -p udp -m udp --dport 587 -m mark --mark 0x5 -j DROP\n\
            [2:56] -A PREROUTING -p udp -m udp --dport 587 -j DROP\nCOMMIT\n";
        assert_eq!(counted(text), Some((7, 2)));
        assert_eq!(counted("*mangle\nCOMMIT\n"), None);
    }

    #[test]
    fn every_network_is_in_its_set() {
        let entries = [
            entry("192.0.2.0/24", 17),
            entry("198.51.100.0/24", 2),
            entry("203.0.113.0/24", 2),
            entry("2001:db8::/32", 2),
        ];
        let directory = tempfile::tempdir().unwrap();
        let files = Ipset::write(directory.path(), &entries).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let load = read(&files.load);
        assert!(
            load.contains("\nadd countries4 192.0.2.0/24 skbmark 0x11\n"),
            "{load}"
        );
        assert!(
            load.contains("\nadd countries6 2001:db8::/32 skbmark 0x2\n"),
            "{load}"
        );
        assert!(
            read(&files.reload)
                .ends_with("swap countries6 countries6-next\ndestroy countries6-next\n")
        );
        assert!(
            read(&files.in_place)
                .starts_with("flush countries4\nflush countries6\nadd countries4 192")
        );
        let each = read(&files.each);
        assert!(
            each.contains("add countries4-2 203.0.113.0/24\nadd countries6-2 2001:db8::/32\n"),
            "{each}"
        );
        let [v4, _] = &files.each_rules;
        let first = v4.find("countries4-2 ").unwrap();
        assert!(
            first < v4.find("countries4-17 ").unwrap(),
            "the most networks first: {v4}"
        );
    }
}
