//! The keys of the configuration: those that are read, and those that the design has but this version does not.
//!
//! What is accepted, what is suggested for a misspelt key and what `docs/config.md` must describe all come from here.

use gate_common::Shape;

/// A table of the configuration.
#[derive(Debug)]
pub(super) struct Table {
    /// Its path; empty for the top level.
    pub(super) name: &'static str,
    /// How it is opened in the file.
    pub(super) header: &'static str,
    /// The keys it can have.
    pub(super) keys: &'static [Key],
}

/// A key that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// How it may be written.
    pub(super) example: &'static str,
}

const fn key(name: &'static str, example: &'static str) -> Key {
    Key { name, example }
}

impl Table {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The path of one of its keys.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    /// What a message calls it.
    pub(super) fn title(&self) -> &'static str {
        if self.header.is_empty() {
            "the configuration"
        } else {
            self.header
        }
    }
}

pub(super) const ROOT: &Table = &Table {
    name: "",
    header: "",
    keys: &[
        key("interface", "[[interface]]"),
        key("port25", "[port25]"),
        key("access", "[[access]]"),
        key("submission", "[submission]"),
        key("geoip", "[geoip]"),
        key("class", "[[class]]"),
        key("answers", "[answers]"),
        key("shapes", "[shapes]"),
        key("lists", "[lists]"),
        key("exemptions", "[exemptions]"),
        key("counters", "[counters]"),
        key("metrics", "[metrics]"),
        key("tags", "[tags]"),
    ],
};

pub(super) const INTERFACE: &Table = &Table {
    name: "interface",
    header: "[[interface]]",
    keys: &[
        key("name", "name = \"eth1\""),
        key("role", "role = \"access\""),
        key("mode", "mode = \"auto\""),
        key("missing", "missing = \"wait\""),
        key("identity", "identity = \"outer\""),
        key("vlans", "vlans = [\"100-199\", 300]"),
        key("stripped", "stripped = \"pass\""),
    ],
};

pub(super) const PORT25: &Table = &Table {
    name: "port25",
    header: "[port25]",
    keys: &[
        key("action", "action = \"observe\""),
        key("answer", "answer = \"reset\""),
        key(
            "answer_from",
            "answer_from = { v4 = \"192.0.2.1\", v6 = \"2001:db8::1\" }",
        ),
        key(
            "throttle",
            "throttle = { limit = 5, per = \"minute\", burst = 10 }",
        ),
        key("scope", "scope = \"syn\""),
        key("relays", "relays = [\"192.0.2.25\"]"),
        key("unlisted", "unlisted = \"pass\""),
        key(
            "effective_from",
            "effective_from = 2026-12-01T00:00:00+09:00",
        ),
    ],
};

pub(super) const ANSWER_FROM: &Table = &Table {
    name: "port25.answer_from",
    header: "`answer_from`",
    keys: &[
        key("v4", "v4 = \"192.0.2.1\""),
        key("v6", "v6 = \"2001:db8::1\""),
    ],
};

pub(super) const THROTTLE: &Table = &Table {
    name: "port25.throttle",
    header: "`throttle`",
    keys: LIMIT,
};

const LIMIT: &[Key] = &[
    key("limit", "limit = 5"),
    key("per", "per = \"minute\""),
    key("burst", "burst = 10"),
];

pub(super) const ACCESS: &Table = &Table {
    name: "access",
    header: "[[access]]",
    keys: &[
        key("name", "name = \"dynamic\""),
        key("prefixes", "prefixes = [\"100.64.0.0/10\"]"),
        key("files", "files = [\"pools/dynamic.txt\"]"),
        key("policy", "policy = \"restrict\""),
        key("action", "action = \"observe\""),
        key("answer", "answer = \"reset\""),
        key("until", "until = 2027-01-01T00:00:00+09:00"),
        key(
            "effective_from",
            "effective_from = 2026-12-01T00:00:00+09:00",
        ),
        key("source_prefix", "source_prefix = { v4 = 32, v6 = 64 }"),
    ],
};

pub(super) const SOURCE_PREFIX: &Table = &Table {
    name: "access.source_prefix",
    header: "`source_prefix`",
    keys: SOURCE_LENGTHS,
};

const SOURCE_LENGTHS: &[Key] = &[key("v4", "v4 = 32"), key("v6", "v6 = 64")];

pub(super) const SUBMISSION: &Table = &Table {
    name: "submission",
    header: "[submission]",
    keys: &[
        key("ports", "ports = [587, 465]"),
        key("servers", "servers = [\"192.0.2.0/24\"]"),
    ],
};

pub(super) const GEOIP: &Table = &Table {
    name: "geoip",
    header: "[geoip]",
    keys: &[
        key(
            "databases",
            "databases = [\"/var/lib/GeoIP/GeoLite2-Country.mmdb\"]",
        ),
        key(
            "attribution",
            "attribution = \"IP Geolocation by DB-IP (https://db-ip.com)\"",
        ),
        key("country", "country = \"country\""),
        key("unknown", "unknown = \"domestic\""),
        key("tunnels", "tunnels = \"foreign\""),
        key("guard", "guard = { shrink = 0.3, grow = 1.0 }"),
        key("update", "[[geoip.update]]"),
    ],
};

pub(super) const GEOIP_UPDATE: &Table = &Table {
    name: "geoip.update",
    header: "[[geoip.update]]",
    keys: &[
        key(
            "database",
            "database = \"/var/lib/GeoIP/GeoLite2-Country.mmdb\"",
        ),
        key(
            "url",
            "url = \"https://download.maxmind.com/geoip/databases/GeoLite2-Country/download?suffix=tar.gz\"",
        ),
        key(
            "checksum",
            "checksum = \"https://download.maxmind.com/geoip/databases/GeoLite2-Country/download?suffix=tar.gz.sha256\"",
        ),
        key("credentials", "credentials = \"/etc/gate/maxmind.key\""),
        key("ca", "ca = \"/etc/gate/mirror.pem\""),
        key("max_mib", "max_mib = 256"),
        key("timeout", "timeout = 30"),
    ],
};

pub(super) const GEOIP_GUARD: &Table = &Table {
    name: "geoip.guard",
    header: "`guard`",
    keys: GUARD,
};

const GUARD: &[Key] = &[key("shrink", "shrink = 0.3"), key("grow", "grow = 1.0")];

pub(super) const CLASS: &Table = &Table {
    name: "class",
    header: "[[class]]",
    keys: &[
        key("name", "name = \"domestic\""),
        key("countries", "countries = [\"JP\"]"),
        key("prefixes", "prefixes = [\"198.51.100.0/24\"]"),
        key("files", "files = [\"classes/own.txt\"]"),
        key("default", "default = true"),
        key("policy", "policy = \"exempt\""),
        key("action", "action = \"observe\""),
        key(
            "connections",
            "connections = { limit = 6, per = \"minute\", burst = 10, over = \"tag\" }",
        ),
        key(
            "effective_from",
            "effective_from = 2026-12-01T00:00:00+09:00",
        ),
        key("source_prefix", "source_prefix = { v4 = 32, v6 = 64 }"),
        key("mark", "mark = 0x10"),
        key("dscp", "dscp = \"cs1\""),
    ],
};

pub(super) const CONNECTIONS: &Table = &Table {
    name: "class.connections",
    header: "`connections`",
    keys: &[
        key("limit", "limit = 6"),
        key("per", "per = \"minute\""),
        key("burst", "burst = 10"),
        key("over", "over = \"tag\""),
    ],
};

pub(super) const CLASS_SOURCE_PREFIX: &Table = &Table {
    name: "class.source_prefix",
    header: "`source_prefix`",
    keys: SOURCE_LENGTHS,
};

pub(super) const ANSWERS: &Table = &Table {
    name: "answers",
    header: "[answers]",
    keys: &[
        key(
            "source",
            "source = { limit = 10, per = \"second\", burst = 20 }",
        ),
        key(
            "total",
            "total = { limit = 10000, per = \"second\", burst = 10000 }",
        ),
    ],
};

pub(super) const ANSWERS_SOURCE: &Table = &Table {
    name: "answers.source",
    header: "`source`",
    keys: LIMIT,
};

pub(super) const ANSWERS_TOTAL: &Table = &Table {
    name: "answers.total",
    header: "`total`",
    keys: LIMIT,
};

pub(super) const SHAPES: &Table = &Table {
    name: "shapes",
    header: "[shapes]",
    keys: &UNPARSED,
};

/// A key for every shape that hides its ports.
#[expect(clippy::indexing_slicing, reason = "the compiler checks it")]
const UNPARSED: [Key; unparsed()] = {
    // Only the value: a constant cannot put a name before it.
    let mut keys = [key("", "\"drop\""); unparsed()];
    let (mut shapes, mut next) = (Shape::ALL, 0);
    while let [shape, rest @ ..] = shapes {
        if shape.is_unparsed() {
            keys[next].name = shape.name();
            next += 1;
        }
        shapes = rest;
    }
    keys
};

const fn unparsed() -> usize {
    let (mut shapes, mut count) = (Shape::ALL, 0);
    while let [shape, rest @ ..] = shapes {
        if shape.is_unparsed() {
            count += 1;
        }
        shapes = rest;
    }
    count
}

pub(super) const LISTS: &Table = &Table {
    name: "lists",
    header: "[lists]",
    keys: &[key("guard", "guard = { shrink = 0.3, grow = 1.0 }")],
};

pub(super) const LISTS_GUARD: &Table = &Table {
    name: "lists.guard",
    header: "`guard`",
    keys: GUARD,
};

pub(super) const EXEMPTIONS: &Table = &Table {
    name: "exemptions",
    header: "[exemptions]",
    keys: &[key("file", "file = \"/var/lib/gate/exemptions\"")],
};

pub(super) const COUNTERS: &Table = &Table {
    name: "counters",
    header: "[counters]",
    keys: &[
        key("sources", "sources = true"),
        key("retention", "retention = \"24h\""),
        key("source_prefix", "source_prefix = { v4 = 24, v6 = 48 }"),
    ],
};

pub(super) const COUNTERS_SOURCE_PREFIX: &Table = &Table {
    name: "counters.source_prefix",
    header: "`source_prefix`",
    keys: &[key("v4", "v4 = 24"), key("v6", "v6 = 48")],
};

pub(super) const METRICS: &Table = &Table {
    name: "metrics",
    header: "[metrics]",
    keys: &[
        key("listen", "listen = [\"127.0.0.1:25587\"]"),
        key("sources", "sources = 20"),
        key("page", "page = false"),
    ],
};

pub(super) const TAGS: &Table = &Table {
    name: "tags",
    header: "[tags]",
    keys: &[
        key("group", "group = \"gate-readers\""),
        key("mark_mask", "mark_mask = 0xff"),
        key("over_mark", "over_mark = 0x80"),
        key("dscp_on", "dscp_on = \"syn\""),
        key("over_dscp", "over_dscp = \"le\""),
        key("bleach", "bleach = true"),
    ],
};

/// What the design has but this version does not: refused by name, never ignored.
#[derive(Debug)]
pub(super) struct Later {
    /// The table that it belongs to.
    table: &'static str,
    /// The key.
    key: &'static str,
    /// What to write instead.
    pub(super) hint: &'static str,
}

impl Later {
    /// As a message names it.
    pub(super) fn title(&self) -> String {
        let Self { table, key, .. } = self;
        if table.is_empty() {
            format!("[{key}]")
        } else {
            format!("{table}.{key}")
        }
    }
}

const fn entry(table: &'static str, key: &'static str, hint: &'static str) -> Later {
    Later { table, key, hint }
}

/// Everything that is refused by name because it is not built yet.
pub(super) const LATER: &[Later] = &[entry(
    "access",
    "relays",
    "leave it out: the relays of [port25] hold for every pool",
)];

/// The entry of [`LATER`] for this key.
pub(super) fn later(table: &Table, key: &str) -> Option<&'static Later> {
    LATER
        .iter()
        .find(|later| later.table == table.name && later.key == key)
}

/// Why a key that somebody may look for does not exist and will not.
pub(super) fn never(table: &Table, key: &str) -> Option<&'static str> {
    let judges_subscribers = matches!(table.name, "port25" | "access");
    (judges_subscribers && matches!(key, "port" | "ports")).then_some(
        "only port 25 can be refused from subscribers; 587 and 465 always stay open to them",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOCUMENTATION: &str = include_str!("../../../docs/config.md");
    const TABLES: [&Table; 25] = [
        ROOT,
        INTERFACE,
        PORT25,
        ANSWER_FROM,
        THROTTLE,
        ACCESS,
        SOURCE_PREFIX,
        SUBMISSION,
        GEOIP,
        GEOIP_UPDATE,
        GEOIP_GUARD,
        CLASS,
        CONNECTIONS,
        CLASS_SOURCE_PREFIX,
        ANSWERS,
        ANSWERS_SOURCE,
        ANSWERS_TOTAL,
        SHAPES,
        LISTS,
        LISTS_GUARD,
        EXEMPTIONS,
        COUNTERS,
        COUNTERS_SOURCE_PREFIX,
        METRICS,
        TAGS,
    ];

    #[test]
    fn every_key_is_documented() {
        for table in TABLES {
            for key in table.keys {
                let title = if table.name.is_empty() {
                    key.example.to_owned()
                } else {
                    table.path(key.name)
                };
                assert!(
                    DOCUMENTATION.contains(&format!("`{title}`")),
                    "docs/config.md says nothing about `{title}`"
                );
            }
        }
    }

    #[test]
    fn what_becomes_of_a_shape_is_documented_as_the_program_has_it() {
        for shape in Shape::ALL.iter().filter(|shape| shape.is_unparsed()) {
            let (name, policy) = (shape.name(), shape.policy());
            let row = format!("\n| `shapes.{name}` | `pass`, `drop` | `{policy}` | ");
            assert!(DOCUMENTATION.contains(&row), "docs/config.md lacks {row}");
        }
    }

    #[test]
    fn everything_that_comes_later_is_documented_with_its_hint() {
        for later in LATER {
            let row = format!("| `{}` | {} |\n", later.title(), later.hint);
            assert!(DOCUMENTATION.contains(&row), "docs/config.md lacks {row}");
        }
    }

    #[test]
    fn what_comes_later_belongs_to_a_table_and_is_no_key_of_it() {
        let names: BTreeSet<_> = TABLES.iter().map(|table| table.name).collect();
        for later in LATER {
            assert!(names.contains(later.table), "{later:?}");
            let table = TABLES.iter().find(|table| table.name == later.table);
            assert!(table.unwrap().key(later.key).is_none(), "{later:?}");
        }
    }
}
