//! Configurations for the lab, as text that a person can read: `--keep` leaves it lying about for that.

use std::{
    fmt::{self, Display},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::{
    lab::{Addresses, Family, HOME, Lab, Role, Seen, Who},
    matrix::Profile,
};

/// What the licence of the database that the lab uses asks for.
const ATTRIBUTION: &str = "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0";

/// How the gate is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
    /// In the driver if it can, else in the stack.
    Auto,
}

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Auto => "auto",
        })
    }
}

/// What refused clients are to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A TCP reset.
    Reset,
    /// ICMP "communication administratively prohibited".
    Prohibited,
    /// Nothing.
    Drop,
}

impl Answer {
    /// What a client makes of it, according to Linux.
    #[must_use]
    pub fn heard(self, family: Family) -> Seen {
        match (self, family) {
            (Self::Reset, _) => Seen::Refused(Errno::ECONNREFUSED),
            (Self::Prohibited, Family::V4) => Seen::Refused(Errno::EHOSTUNREACH),
            (Self::Prohibited, Family::V6) => Seen::Refused(Errno::EACCES),
            (Self::Drop, _) => Seen::NoAnswer,
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reset => "reset",
            Self::Prohibited => "prohibited",
            Self::Drop => "drop",
        })
    }
}

/// So many events in so much time, and so many at once.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How many.
    pub limit: u32,
    /// `second`, `minute`, `hour` or `day`.
    pub per: &'static str,
    /// How many at once.
    pub burst: u32,
}

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, per, burst } = self;
        write!(f, "{{ limit = {limit}, per = \"{per}\", burst = {burst} }}")
    }
}

/// An `[[access]]`.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: &'static str,
    /// Its prefixes.
    pub prefixes: Vec<String>,
    /// Its list files.
    pub files: Vec<PathBuf>,
    /// `restrict` or `exempt`.
    pub policy: &'static str,
    /// `observe` or `enforce`, where it is not that of `[port25]`.
    pub action: Option<&'static str>,
    /// RFC 3339: afterwards the next pool that covers a prefix applies.
    pub until: Option<String>,
}

/// A `[[class]]`.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// Its countries.
    pub countries: Vec<String>,
    /// Its prefixes, which win over countries.
    pub prefixes: Vec<String>,
    /// Whether it takes what no other class names.
    pub default: bool,
    /// More keys, a line each.
    pub keys: Vec<String>,
}

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// A comment at its head.
    pub title: String,
    /// Name and role of each interface.
    pub interfaces: Vec<(&'static str, Role)>,
    /// More keys for every access interface, a line each.
    pub access_keys: &'static str,
    /// More keys for every uplink, a line each.
    pub uplink_keys: &'static str,
    /// How to attach to them.
    pub mode: Mode,
    /// `observe`, `throttle` or `enforce`.
    pub action: &'static str,
    /// What refused clients hear.
    pub answer: Answer,
    /// Where ICMP comes from; the refused destination if nothing is said.
    pub answer_from: Option<Addresses>,
    /// What a throttled source may open.
    pub throttle: Option<Limit>,
    /// How many answers there are for a source, where it is not the default.
    pub answers_source: Option<Limit>,
    /// How many there are in all, where it is not the default.
    pub answers_total: Option<Limit>,
    /// `syn` or `all`.
    pub scope: &'static str,
    /// Destinations that are open on port 25.
    pub relays: Vec<String>,
    /// `pass` or `refuse`.
    pub unlisted: &'static str,
    /// Pools.
    pub pools: Vec<Pool>,
    /// Submission servers.
    pub servers: Vec<String>,
    /// Country databases.
    pub databases: Vec<PathBuf>,
    /// Classes.
    pub classes: Vec<Class>,
    /// The group whose members may read tags.
    pub readers: Option<&'static str>,
    /// More tables.
    pub tables: &'static str,
}

impl Config {
    /// What an ISP would write for `lab`: subscribers are held to the port 25 rule, customers on the road are told
    /// apart.
    pub fn of(lab: &Lab, database: &Path, mode: Mode) -> Result<Self> {
        Ok(Self {
            title: "the lab's router".to_owned(),
            interfaces: Who::ALL
                .iter()
                .filter_map(|who| Some((who.interface(), who.role()?)))
                .collect(),
            access_keys: "",
            uplink_keys: "",
            mode,
            action: "enforce",
            answer: Answer::Reset,
            answer_from: None,
            throttle: None,
            answers_source: None,
            answers_total: None,
            scope: "syn",
            relays: Vec::new(),
            unlisted: "pass",
            pools: vec![
                Pool {
                    name: "dynamic",
                    prefixes: vec!["100.64.0.0/16".to_owned(), "2001:db8:100::/40".to_owned()],
                    files: Vec::new(),
                    policy: "restrict",
                    action: None,
                    until: None,
                },
                Pool {
                    name: "static",
                    prefixes: host_prefixes(lab, Who::Static)?,
                    files: Vec::new(),
                    policy: "exempt",
                    action: None,
                    until: None,
                },
            ],
            servers: host_prefixes(lab, Who::OwnMail)?,
            databases: vec![database.to_owned()],
            classes: vec![
                Class::of_countries("domestic", HOME),
                Class::of_countries("high-spam", &lab.roamers().high_spam.code),
                Class {
                    name: "own-service",
                    countries: Vec::new(),
                    prefixes: vec!["203.0.113.0/24".to_owned(), "2001:db8:7100::/48".to_owned()],
                    default: false,
                    keys: vec!["policy = \"exempt\"".to_owned()],
                },
                Class {
                    name: "foreign",
                    countries: Vec::new(),
                    prefixes: Vec::new(),
                    default: true,
                    keys: Vec::new(),
                },
            ],
            readers: None,
            tables: "",
        })
    }

    /// The same for an ISP of this profile.
    pub fn profile(mut self, lab: &Lab, profile: Profile) -> Result<Self> {
        self.title = profile.to_string();
        self.answer = profile.answer();
        self.relays = match profile {
            Profile::Closed => Vec::new(),
            Profile::Listed => host_prefixes(lab, Who::OwnMail)?,
        };
        Ok(self)
    }

    /// The class of this name, with these keys instead of those that were added before.
    pub fn class_keys(&mut self, name: &str, keys: &'static str) -> Result<()> {
        let class = self.classes.iter_mut().find(|it| it.name == name);
        let class = class.with_context(|| format!("no class {name}"))?;
        class.keys = keys.lines().map(str::to_owned).collect();
        Ok(())
    }

    /// Writes it into the lab's directory.
    pub fn write(&self, lab: &Lab, name: &str) -> Result<PathBuf> {
        let path = lab.scratch().join(name);
        fs::write(&path, self.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Class {
    fn of_countries(name: &'static str, country: &str) -> Self {
        Self {
            name,
            countries: vec![country.to_owned()],
            prefixes: Vec::new(),
            default: false,
            keys: Vec::new(),
        }
    }
}

/// The addresses of `who`, as prefixes of their own.
fn host_prefixes(lab: &Lab, who: Who) -> Result<Vec<String>> {
    Family::ALL
        .iter()
        .map(|family| {
            Ok(match lab.address(who, *family)? {
                IpAddr::V4(v4) => format!("{v4}/32"),
                IpAddr::V6(v6) => format!("{v6}/128"),
            })
        })
        .collect()
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            title,
            interfaces,
            access_keys,
            uplink_keys,
            mode,
            action,
            answer,
            answer_from,
            throttle,
            answers_source,
            answers_total,
            scope,
            relays,
            unlisted,
            pools,
            servers,
            databases,
            classes,
            readers,
            tables,
        } = self;
        writeln!(f, "# {title}")?;
        for (name, role) in interfaces {
            let keys = match role {
                Role::Access => access_keys,
                Role::Uplink => uplink_keys,
            };
            let role = role.name();
            writeln!(
                f,
                "\n[[interface]]\nname = \"{name}\"\nrole = \"{role}\"\nmode = \"{mode}\"\n{keys}"
            )?;
        }
        writeln!(f, "\n[port25]\naction   = \"{action}\"")?;
        writeln!(f, "answer   = \"{answer}\"\nscope    = \"{scope}\"")?;
        if let Some(Addresses { v4, v6 }) = answer_from {
            writeln!(f, "answer_from = {{ v4 = \"{v4}\", v6 = \"{v6}\" }}")?;
        }
        if let Some(throttle) = throttle {
            writeln!(f, "throttle = {throttle}")?;
        }
        writeln!(f, "relays   = {}\nunlisted = \"{unlisted}\"", List(relays))?;
        if answers_source.is_some() || answers_total.is_some() {
            writeln!(f, "\n[answers]")?;
        }
        for (key, limit) in [("source", answers_source), ("total", answers_total)] {
            if let Some(limit) = limit {
                writeln!(f, "{key} = {limit}")?;
            }
        }
        for pool in pools {
            write!(f, "\n{pool}")?;
        }
        writeln!(
            f,
            "\n[submission]\nports   = [587, 465]\nservers = {}",
            List(servers)
        )?;
        let databases: Vec<_> = databases.iter().map(|path| path.display()).collect();
        writeln!(
            f,
            "\n[geoip]\ndatabases = {}\nattribution = \"{ATTRIBUTION}\"\nunknown   = \"domestic\"\ntunnels   = \"foreign\"",
            List(&databases)
        )?;
        for class in classes {
            write!(f, "\n{class}")?;
        }
        if let Some(group) = readers {
            writeln!(f, "\n[tags]\ngroup = \"{group}\"")?;
        }
        writeln!(f, "\n[counters]\nsources = true\n{tables}")
    }
}

impl Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            prefixes,
            files,
            policy,
            action,
            until,
        } = self;
        writeln!(
            f,
            "[[access]]\nname     = \"{name}\"\nprefixes = {}\npolicy   = \"{policy}\"",
            List(prefixes)
        )?;
        if !files.is_empty() {
            let files: Vec<_> = files.iter().map(|path| path.display()).collect();
            writeln!(f, "files    = {}", List(&files))?;
        }
        if let Some(action) = action {
            writeln!(f, "action   = \"{action}\"")?;
        }
        if let Some(until) = until {
            writeln!(f, "until    = {until}")?;
        }
        Ok(())
    }
}

impl Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            countries,
            prefixes,
            default,
            keys,
        } = self;
        writeln!(f, "[[class]]\nname = \"{name}\"")?;
        if !countries.is_empty() {
            writeln!(f, "countries = {}", List(countries))?;
        }
        if !prefixes.is_empty() {
            writeln!(f, "prefixes = {}", List(prefixes))?;
        }
        if *default {
            writeln!(f, "default = true")?;
        }
        keys.iter().try_for_each(|key| writeln!(f, "{key}"))
    }
}

/// An array of strings that need no escapes.
struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|word| format!("\"{word}\"")).collect();
        write!(f, "[{}]", words.join(", "))
    }
}
