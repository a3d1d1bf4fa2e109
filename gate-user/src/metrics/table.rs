//! Every metric: one table, of which `docs/metrics.md` is made.

use super::model::{Kind, Metric};

pub(super) static STATE: Metric = Metric {
    name: "gate_state",
    kind: Kind::Gauge,
    unit: "",
    labels: &["state"],
    bound: "7: one a state",
    help: "The state of the gate as gate status has it: 1 for the one that it is in, 0 for the others.",
};

pub(super) static PROBLEMS: Metric = Metric {
    name: "gate_problems",
    kind: Kind::Gauge,
    unit: "problems",
    labels: &[],
    bound: "1",
    help: "What gate status has to say about the gate, with an exclamation mark each.",
};

pub(super) static GENERATION: Metric = Metric {
    name: "gate_generation",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    bound: "1",
    help: "The number of the generation in force.",
};

pub(super) static LOADED: Metric = Metric {
    name: "gate_generation_loaded_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "When the generation in force was made, in seconds since 1970.",
};

pub(super) static CONFIRM: Metric = Metric {
    name: "gate_generation_confirm_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "When the gate goes back to the generation before unless somebody confirms this one, in seconds since 1970; 0 if nothing waits.",
};

pub(super) static BYPASS: Metric = Metric {
    name: "gate_bypass_end_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "When the bypass ends by itself, in seconds since 1970; 0 if there is none.",
};

pub(super) static CONFIG: Metric = Metric {
    name: "gate_config_info",
    kind: Kind::Info,
    unit: "",
    labels: &["path", "sha256"],
    bound: "1",
    help: "The configuration that the generation in force was made from.",
};

pub(super) static PACKETS: Metric = Metric {
    name: "gate_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["verdict", "reason"],
    bound: "5 verdicts times the reasons of each; what never came up is left out",
    help: "Packets that were judged.",
};

pub(super) static INTERFACE: Metric = Metric {
    name: "gate_interface_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["interface", "vlans", "role", "verdict"],
    bound: "5 an interface of the configuration",
    help: "Packets that arrived by an interface. For vlans there are its VLANs, the word stripped for frames without one, or nothing for every frame.",
};

pub(super) static INTERFACE_OVER: Metric = Metric {
    name: "gate_interface_over_limit_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["interface", "vlans", "role"],
    bound: "1 an interface of the configuration",
    help: "Packets that arrived by an interface and were over a limit, whatever became of them.",
};

pub(super) static INTERFACE_STATE: Metric = Metric {
    name: "gate_interface_state",
    kind: Kind::Gauge,
    unit: "",
    labels: &["interface", "vlans", "role", "state"],
    bound: "3 an interface of the configuration",
    help: "The state of an interface as gate status has it: 1 for the one that it is in, 0 for the others.",
};

pub(super) static INTERFACE_INFO: Metric = Metric {
    name: "gate_interface_info",
    kind: Kind::Info,
    unit: "",
    labels: &["interface", "vlans", "role", "mode"],
    bound: "1 an interface of the configuration",
    help: "Where the program runs for an interface: native, generic, or none.",
};

pub(super) static POOL: Metric = Metric {
    name: "gate_pool_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["pool", "verdict"],
    bound: "5 a pool",
    help: "Packets of the subscribers of a pool.",
};

pub(super) static POOL_OVER: Metric = Metric {
    name: "gate_pool_over_limit_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["pool"],
    bound: "1 a pool",
    help: "Packets of the subscribers of a pool that were over the limit of its throttle, whatever became of them.",
};

pub(super) static RELAY: Metric = Metric {
    name: "gate_relay_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["relay", "verdict"],
    bound: "5 a relay",
    help: "Packets to a relay.",
};

pub(super) static CLASS: Metric = Metric {
    name: "gate_class_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["class", "verdict"],
    bound: "5 a class, of which there are 64 at most",
    help: "Packets of connections of a class.",
};

pub(super) static CLASS_OVER: Metric = Metric {
    name: "gate_class_over_limit_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["class"],
    bound: "1 a class, of which there are 64 at most",
    help: "Packets of connections of a class that were over its limit, whatever became of them.",
};

pub(super) static COUNTRY: Metric = Metric {
    name: "gate_country_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["country"],
    bound: "1 a country of ISO 3166-1, a few more codes, and none for addresses in no database; what never came up is left out",
    help: "Tagged packets by the country of their source.",
};

pub(super) static SHOWN: Metric = Metric {
    name: "gate_shown_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["shown"],
    bound: "1 a word of gate counters; what never came up is left out",
    help: "Packets that showed the tag of their connection in one way, or did not.",
};

pub(super) static ANSWERS: Metric = Metric {
    name: "gate_answer_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["answered"],
    bound: "1 a word of gate counters; what never came up is left out",
    help: "Answers to refused clients, by what came of them.",
};

pub(super) static UNSENT: Metric = Metric {
    name: "gate_unsent_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["interface"],
    bound: "1 an interface",
    help: "Answers that failed to leave by an interface.",
};

pub(super) static LIMIT: Metric = Metric {
    name: "gate_limit_events_total",
    kind: Kind::Counter,
    unit: "events",
    labels: &["limit", "outcome"],
    bound: "3 a kind of limit, of which there are 4 at most; those that were never asked are left out",
    help: "Events that token buckets were asked about: within the limit, over it, or contended, which counts as over.",
};

pub(super) static MADE: Metric = Metric {
    name: "gate_limit_buckets_made_total",
    kind: Kind::Counter,
    unit: "",
    labels: &["limit"],
    bound: "1 a kind of limit",
    help: "Token buckets that were made.",
};

pub(super) static EVICTED: Metric = Metric {
    name: "gate_limit_buckets_evicted_total",
    kind: Kind::Counter,
    unit: "",
    labels: &["limit"],
    bound: "1 a kind of limit",
    help: "Token buckets that made room for others before they were full again: those sources had their burst anew.",
};

pub(super) static EVENTS: Metric = Metric {
    name: "gate_events_total",
    kind: Kind::Counter,
    unit: "events",
    labels: &[],
    bound: "1",
    help: "Packets that were told of one by one to who listened to them with gate events.",
};

pub(super) static EVENTS_LOST: Metric = Metric {
    name: "gate_lost_events_total",
    kind: Kind::Counter,
    unit: "events",
    labels: &["cause"],
    bound: "3",
    help: "Packets that were not told of while somebody listened: over the rate that was asked for, no room since they were not read, or lapsed since the listener was not heard of.",
};

pub(super) static SOURCE: Metric = Metric {
    name: "gate_source_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["source", "role", "verdict"],
    bound: "4 times the sources of the configuration, 100 at most; none unless it says so",
    help: "Packets of one of the sources with most packets, since it is known.",
};

pub(super) static EXPIRED: Metric = Metric {
    name: "gate_source_expired_packets_total",
    kind: Kind::Counter,
    unit: "packets",
    labels: &["verdict"],
    bound: "4",
    help: "Packets of sources that were deleted, since their retention was over or a person asked for it.",
};

pub(super) static RETENTION: Metric = Metric {
    name: "gate_source_retention_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "For how long a source is kept from its first packet on; 0 if sources are not counted.",
};

pub(super) static SWEPT: Metric = Metric {
    name: "gate_source_sweep_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "When sources were last looked through for those that are over, in seconds since 1970; 0 if not since the daemon started.",
};

pub(super) static OTHER: Metric = Metric {
    name: "gate_source_other_packets",
    kind: Kind::Gauge,
    unit: "packets",
    labels: &["verdict"],
    bound: "4",
    help: "Packets of sources that are not, or no more, in the map of sources, and did not expire: it grows when sources made room for others.",
};

pub(super) static ENTRIES: Metric = Metric {
    name: "gate_map_entries",
    kind: Kind::Gauge,
    unit: "entries",
    labels: &["map"],
    bound: "3",
    help: "Entries of a map that makes room by itself: sources, buckets of limits, flows that have a tag.",
};

pub(super) static CAPACITY: Metric = Metric {
    name: "gate_map_capacity_entries",
    kind: Kind::Gauge,
    unit: "entries",
    labels: &["map"],
    bound: "3",
    help: "For how many entries such a map has room.",
};

pub(super) static FROM_ZERO: Metric = Metric {
    name: "gate_from_zero_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &["map"],
    bound: "12: one a map that goes on under another map ABI; none unless one did not",
    help: "When a map started from zero, since a gate with another map ABI was taken over from that lays it out differently, in seconds since 1970.",
};

pub(super) static DATABASE: Metric = Metric {
    name: "gate_database_info",
    kind: Kind::Info,
    unit: "",
    labels: &["database", "type", "sha256"],
    bound: "1 a country database",
    help: "A country database, as it was loaded.",
};

pub(super) static BUILT: Metric = Metric {
    name: "gate_database_built_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &["database"],
    bound: "1 a country database",
    help: "When a country database was built, by its own word, in seconds since 1970.",
};

pub(super) static NETWORKS: Metric = Metric {
    name: "gate_database_networks",
    kind: Kind::Gauge,
    unit: "networks",
    labels: &["database", "family"],
    bound: "2 a country database",
    help: "Networks of a country database that have a country.",
};

pub(super) static COUNTRIES: Metric = Metric {
    name: "gate_database_countries",
    kind: Kind::Gauge,
    unit: "countries",
    labels: &["database"],
    bound: "1 a country database",
    help: "Countries that a country database has.",
};

pub(super) static LIST: Metric = Metric {
    name: "gate_list_prefixes",
    kind: Kind::Gauge,
    unit: "prefixes",
    labels: &["list"],
    bound: "5",
    help: "Prefixes of a list in force; of countries, networks.",
};

pub(super) static LIST_BYTES: Metric = Metric {
    name: "gate_list_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    labels: &["list"],
    bound: "5",
    help: "Memory of the table of a list in force.",
};

pub(super) static MEMORY: Metric = Metric {
    name: "gate_generation_memory_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    labels: &["in_force"],
    bound: "2",
    help: "Memory of the tables of the generation in force, and of others that are kept. What they share counts for each.",
};

pub(super) static RELOADS: Metric = Metric {
    name: "gate_reloads_total",
    kind: Kind::Counter,
    unit: "",
    labels: &["by", "outcome"],
    bound: "5 outcomes for each of 7 that ask; what never came up is left out",
    help: "Reloads since the daemon started, by who asked and what became of them.",
};

pub(super) static REFUSED: Metric = Metric {
    name: "gate_reloads_unresolved",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    bound: "1",
    help: "Reloads that were refused or failed, and that no reload since has made good.",
};

pub(super) static LAST_GOOD_INSTEAD: Metric = Metric {
    name: "gate_last_good_in_force",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    bound: "1",
    help: "1 while the last good configuration is in force because that of the file could not be at the start, else 0.",
};

pub(super) static LAST_GOOD_UNKEPT: Metric = Metric {
    name: "gate_last_good_unkept",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    bound: "1",
    help: "1 while what is in force could not be kept for the next start of the machine, else 0.",
};

pub(super) static LAST_GOOD_WANTED: Metric = Metric {
    name: "gate_last_good_wanted",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    bound: "1",
    help: "1 if the daemon was told to keep what is in force for the next start of the machine, else 0.",
};

pub(super) static LOG_BLOCKED: Metric = Metric {
    name: "gate_log_blocked",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    bound: "1",
    help: "1 while the log takes no lines, for which nothing else waits, else 0.",
};

pub(super) static LOG_LOST: Metric = Metric {
    name: "gate_log_lost_lines_total",
    kind: Kind::Counter,
    unit: "lines",
    labels: &[],
    bound: "1",
    help: "Lines of the log that were lost since the daemon started, since it took no more of them.",
};

pub(super) static LAST_GOOD_AT: Metric = Metric {
    name: "gate_last_good_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "When what is kept for the next start of the machine was copied, in seconds since 1970; 0 if nothing is kept.",
};

pub(super) static SUCCEEDED: Metric = Metric {
    name: "gate_reload_success_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "When the last reload was over that worked, in seconds since 1970; 0 if none has since the daemon started.",
};

pub(super) static RUNS: Metric = Metric {
    name: "gate_program_runs_total",
    kind: Kind::Counter,
    unit: "",
    labels: &[],
    bound: "1; none unless the kernel measures programs",
    help: "How often the program ran while the kernel measured it.",
};

pub(super) static RUN_SECONDS: Metric = Metric {
    name: "gate_program_run_seconds_total",
    kind: Kind::Counter,
    unit: "seconds",
    labels: &[],
    bound: "1; none unless the kernel measures programs",
    help: "For how long the program ran while the kernel measured it.",
};

pub(super) static BUILD: Metric = Metric {
    name: "gate_build_info",
    kind: Kind::Info,
    unit: "",
    labels: &["version", "abi"],
    bound: "1",
    help: "The version of the daemon, and that of its map ABI.",
};

pub(super) static COLLECTED: Metric = Metric {
    name: "gate_collected",
    kind: Kind::Gauge,
    unit: "",
    labels: &["part"],
    bound: "2",
    help: "Whether a part could be read: status, or counters. Where it could not, its metrics are missing.",
};

pub(super) static DURATION: Metric = Metric {
    name: "gate_collect_duration_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    bound: "1",
    help: "How long it took to read what this says.",
};

pub(super) static AWAY: Metric = Metric {
    name: "gate_http_refused_connections_total",
    kind: Kind::Counter,
    unit: "connections",
    labels: &[],
    bound: "1",
    help: "Connections to the endpoint that were closed at once since the daemon started, because too many were open.",
};

pub(super) static CHORE_FAILURES: Metric = Metric {
    name: "gate_chore_failures_total",
    kind: Kind::Counter,
    unit: "failures",
    labels: &["chore"],
    bound: "6: one a chore",
    help: "How often the daemon could not do what it looks after all the time: the clock, bypasses, skb marks, old tags of flows, what a killed rehearsal or listener left.",
};

/// All of them, in the order of the documentation.
pub static METRICS: [&Metric; 57] = [
    &STATE,
    &PROBLEMS,
    &GENERATION,
    &LOADED,
    &CONFIRM,
    &BYPASS,
    &CONFIG,
    &PACKETS,
    &INTERFACE,
    &INTERFACE_OVER,
    &INTERFACE_STATE,
    &INTERFACE_INFO,
    &POOL,
    &POOL_OVER,
    &RELAY,
    &CLASS,
    &CLASS_OVER,
    &COUNTRY,
    &SHOWN,
    &ANSWERS,
    &UNSENT,
    &LIMIT,
    &MADE,
    &EVICTED,
    &EVENTS,
    &EVENTS_LOST,
    &SOURCE,
    &EXPIRED,
    &RETENTION,
    &SWEPT,
    &OTHER,
    &ENTRIES,
    &CAPACITY,
    &FROM_ZERO,
    &DATABASE,
    &BUILT,
    &NETWORKS,
    &COUNTRIES,
    &LIST,
    &LIST_BYTES,
    &MEMORY,
    &RELOADS,
    &REFUSED,
    &SUCCEEDED,
    &LAST_GOOD_INSTEAD,
    &LAST_GOOD_WANTED,
    &LAST_GOOD_UNKEPT,
    &LAST_GOOD_AT,
    &LOG_BLOCKED,
    &LOG_LOST,
    &CHORE_FAILURES,
    &RUNS,
    &RUN_SECONDS,
    &BUILD,
    &COLLECTED,
    &DURATION,
    &AWAY,
];
