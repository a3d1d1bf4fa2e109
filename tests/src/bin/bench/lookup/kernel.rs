//! The benchmark's programs in the kernel, a list in their maps, and one run.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use gate_common::table::Line;
use gate_tests::interrupt;
use gate_user::{
    sys::{Map, MapKind},
    table::{Family, Table},
};

use super::{
    addresses::Set,
    case::{Regime, Subject},
    list::{Entry, List},
};
use crate::{
    layout::{BATCH, Control, ELAPSED, PLACES},
    object::map,
};

/// `BPF_F_MMAPABLE`: values that begin at a page.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_INNER_MAP`: arrays of different lengths may take turns in a map of maps.
const INNER_MAP: u32 = 1 << 12;
/// `BPF_F_NO_PREALLOC`, without which there is no trie.
const NO_PREALLOC: u32 = 1;
/// As many as the object's tries can have.
const TRIE_ENTRIES: usize = 1 << 22;
/// Where the table and the tries are; not 0, so that no place is right by accident.
pub(crate) const PLACE: u32 = PLACES - 1;
/// The shortest frame that `BPF_PROG_TEST_RUN` takes: an Ethernet header.
const FRAME: [u8; 14] = [0; 14];
/// `XDP_PASS`, which the programs answer once they are done.
const PASS: u32 = 2;
/// Of how many rare look-ups the slowest one is left out: the machine's own interrupts come between.
const INTERRUPTED: usize = 100;

/// Programs, maps, and one list.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    control: Map,
    addresses: Map,
    elapsed: Map,
    /// Where the next set of addresses goes.
    end: u32,
}

/// A set of addresses in the maps.
#[derive(Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) base: u32,
}

/// What one run is about.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) program: (Subject, Family, Regime),
    pub(crate) set: Loaded,
    /// How many addresses of the set are used, a power of two.
    pub(crate) size: u32,
    /// Which one comes first.
    pub(crate) first: u32,
    /// How many look-ups are done; warm ones in multiples of [`BATCH`].
    pub(crate) count: u32,
}

/// What came out.
pub(crate) struct Outcome {
    /// For each look-up, the loop or the clock included.
    pub(crate) ns: f64,
    /// Of all answers.
    pub(crate) sum: u64,
}

/// A table in maps of its own.
pub(crate) struct TableMaps {
    root: Map,
    nodes: Map,
}

impl TableMaps {
    pub(crate) fn new(table: &Table) -> Result<Self> {
        Ok(Self {
            root: array("bench_root", table.root(), MMAPABLE)
                .context("cannot make a table's root")?,
            nodes: array("bench_nodes", table.nodes(), MMAPABLE | INNER_MAP)
                .context("cannot make a table's nodes")?,
        })
    }

    /// What the kernel has set aside for them.
    pub(crate) fn bytes(&self) -> Result<u64> {
        Ok(memlock(&self.root)? + memlock(&self.nodes)?)
    }
}

impl Kernel {
    /// Loads `programs` from `object`, with room for so many addresses.
    pub(crate) fn load(
        object: &[u8],
        addresses: u32,
        programs: impl IntoIterator<Item = (Subject, Family, Regime)>,
    ) -> Result<Self> {
        let ebpf = EbpfLoader::new()
            .map_max_entries("ADDRESSES", addresses)
            .load(object)
            .context("cannot load the benchmark's maps: does this process have CAP_BPF?")?;
        let mut kernel = Self {
            control: map(&ebpf, "CONTROL")?,
            addresses: map(&ebpf, "ADDRESSES")?,
            elapsed: map(&ebpf, "ELAPSED_NS")?,
            ebpf,
            end: 0,
        };
        for program in programs {
            kernel.program(&name(program))?;
        }
        Ok(kernel)
    }

    /// Puts a table where the programs look it up.
    pub(crate) fn place(&self, table: &TableMaps) -> Result<()> {
        self.map("ROOTS")?.update_inner(PLACE, &table.root)?;
        self.map("NODES")?.update_inner(PLACE, &table.nodes)?;
        Ok(())
    }

    /// Fills the trie of a family with the list's own networks, both where programs know it and in the map of maps: it is
    /// one trie. Returns how long the filling took.
    pub(crate) fn fill_trie(&self, list: &List, family: Family) -> Result<Duration> {
        let (name, slots) = match family {
            Family::V4 => ("LPM4", "LPM4_SLOTS"),
            Family::V6 => ("LPM6", "LPM6_SLOTS"),
        };
        let trie = self.map(name)?;
        let took = fill(&trie, of(list, family), family)?;
        self.map(slots)?.update_inner(PLACE, &trie)?;
        Ok(took)
    }

    /// Fills the trie of a family with the fewest prefixes that say the same.
    pub(crate) fn fill_ortc(&self, entries: &[Entry], family: Family) -> Result<Duration> {
        let name = match family {
            Family::V4 => "ORTC4",
            Family::V6 => "ORTC6",
        };
        fill(&self.map(name)?, entries.iter().copied(), family)
    }

    /// Makes a new trie of the IPv4 networks and puts it into the map of maps in the place of the one that is there.
    pub(crate) fn replace_trie(&self, list: &List) -> Result<()> {
        let trie = Map::create(
            "bench_lpm4",
            MapKind::LpmTrie,
            size_of::<[u32; 2]>(),
            size_of::<u32>(),
            TRIE_ENTRIES,
            NO_PREALLOC,
        )?;
        fill(&trie, of(list, Family::V4), Family::V4)?;
        Ok(self.map("LPM4_SLOTS")?.update_inner(PLACE, &trie)?)
    }

    /// Empties the IPv4 trie that programs know and fills it again.
    pub(crate) fn refill_trie(&self, list: &List) -> Result<()> {
        let trie = self.map("LPM4")?;
        for entry in of(list, Family::V4) {
            trie.delete(&key4(entry))?;
        }
        fill(&trie, of(list, Family::V4), Family::V4).map(drop)
    }

    /// A map of the object.
    pub(crate) fn map(&self, name: &str) -> Result<Map> {
        map(&self.ebpf, name)
    }

    /// A program of the object, loaded.
    pub(crate) fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        let program: &mut Xdp = self
            .ebpf
            .program_mut(name)
            .with_context(|| {
                format!("the object has no program {name}: build it with `cargo xtask bench`")
            })?
            .try_into()?;
        // The floor and the table serve both families.
        if program.fd().is_err() {
            program
                .load()
                .with_context(|| format!("the verifier refuses {name}"))?;
        }
        Ok(program)
    }

    /// Makes addresses known to the programs.
    pub(crate) fn add(&mut self, set: &Set) -> Result<Loaded> {
        let base = self.end;
        let indices: Vec<u32> = (base..).take(set.addresses.len()).collect();
        self.addresses
            .update_batch(&indices, &set.addresses)
            .context("cannot store the addresses")?;
        self.end += u32::try_from(indices.len())?;
        Ok(Loaded { base })
    }

    pub(crate) fn run(&mut self, run: Run) -> Result<Outcome> {
        let Run {
            program,
            set,
            size,
            first,
            count,
        } = run;
        let start = Control {
            base: set.base,
            mask: size - 1,
            cursor: first,
            place: PLACE,
            ..Control::default()
        };
        self.control
            .update(&0u32, &start)
            .context("cannot write what a run starts from")?;
        let (_, _, regime) = program;
        let lookups = if regime == Regime::Rare { 1 } else { BATCH };
        let name = name(program);
        let took = self.test_run(&name, count / lookups);
        // A signal ends the run in the kernel: that is no failure of the program.
        interrupt::check()?;
        let took = took.with_context(|| format!("cannot run {name}"))?;
        let end: Control = self
            .control
            .lookup(&0u32)?
            .context("the map of what a run leaves behind is empty")?;
        ensure!(
            end.cursor == first.wrapping_add(count),
            "{name} came to {} and not to {}: the object and this program are not of one build",
            end.cursor,
            first.wrapping_add(count)
        );
        let ns = match regime {
            Regime::Rare => self.rare(first, count)?,
            Regime::Latency | Regime::Throughput => took.as_nanos() as f64 / f64::from(lookups),
        };
        Ok(Outcome { ns, sum: end.sum })
    }

    /// How long one run took, the mean of `repeat`.
    fn test_run(&mut self, name: &str, repeat: u32) -> Result<Duration> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(&FRAME);
        options.repeat = repeat;
        let result = self.program(name)?.test_run(options)?;
        ensure!(
            result.return_value == PASS,
            "a map lacks an element that it needs"
        );
        Ok(result.duration)
    }

    /// The mean of the rare look-ups, those left out that an interrupt came into.
    fn rare(&self, first: u32, count: u32) -> Result<f64> {
        let mut times = Vec::with_capacity(count as usize);
        for cursor in (first..).take(count as usize) {
            let time: Option<u64> = self.elapsed.lookup(&(cursor % ELAPSED))?;
            times.push(time.context("the map of times is too short")? as f64);
        }
        Ok(mean_of_most(times))
    }
}

/// The mean without the highest hundredth.
fn mean_of_most(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let left_out = times.len().div_ceil(INTERRUPTED);
    times.truncate(times.len().saturating_sub(left_out).max(1));
    times.iter().sum::<f64>() / times.len() as f64
}

fn name((subject, family, regime): (Subject, Family, Regime)) -> String {
    format!("{}_{}", subject.program(family), regime.name())
}

/// How long `work` took, if it came to its end.
pub(crate) fn timed<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    work().map(|()| start.elapsed())
}

/// The networks of a family.
fn of(list: &List, family: Family) -> impl Iterator<Item = Entry> + Clone {
    let all = list.entries.iter().copied();
    all.filter(move |entry| entry.family() == family)
}

/// Fills a trie and says how long that took.
fn fill(
    trie: &Map,
    entries: impl Iterator<Item = Entry> + Clone,
    family: Family,
) -> Result<Duration> {
    let numbers: Vec<u32> = entries.clone().map(|entry| entry.number.into()).collect();
    let took = match family {
        Family::V4 => {
            let keys: Vec<[u32; 2]> = entries.map(key4).collect();
            timed(|| trie.update_batch(&keys, &numbers))
        }
        Family::V6 => {
            let keys: Vec<[u32; 3]> = entries.map(key6).collect();
            timed(|| trie.update_batch(&keys, &numbers))
        }
    };
    took.with_context(|| format!("cannot fill the trie with {} prefixes", numbers.len()))
}

/// The key of a trie: how many bits count, and the address in network byte order.
fn key4(entry: Entry) -> [u32; 2] {
    let [upper, ..] = words(entry);
    [entry.length().into(), upper]
}

fn key6(entry: Entry) -> [u32; 3] {
    let [upper, lower, ..] = words(entry);
    [entry.length().into(), upper, lower]
}

fn words(entry: Entry) -> [u32; 4] {
    bytemuck::cast(entry.start().to_be_bytes())
}

fn array(name: &str, lines: &[Line], flags: u32) -> io::Result<Map> {
    let map = Map::create(
        name,
        MapKind::Array,
        size_of::<u32>(),
        size_of::<Line>(),
        lines.len(),
        flags,
    )?;
    let indices: Vec<u32> = (0..).take(lines.len()).collect();
    map.update_batch(&indices, lines)?;
    map.freeze()?;
    Ok(map)
}

/// What the kernel says in `fdinfo` that a map takes.
fn memlock(map: &Map) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    let bytes =
        bytes.with_context(|| format!("{path} does not say how much memory the map takes"))?;
    Ok(bytes.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    #[test]
    fn an_interrupt_is_no_lookup() {
        let is = |times: Vec<f64>, mean: f64| assert!((mean_of_most(times) - mean).abs() < 1e-9);
        let mut times = vec![100.0; 99];
        times.push(100_000.0);
        is(times, 100.0);
        is(vec![100.0], 100.0);
        is((0..200).map(f64::from).collect(), 98.5);
    }

    #[test]
    fn keys_of_tries_are_in_network_byte_order() {
        let entry = |net: &str| Entry {
            prefix: net.parse::<IpNet>().unwrap().into(),
            number: 1,
        };
        let bytes: [u8; 8] = bytemuck::cast(key4(entry("192.0.2.0/24")));
        assert_eq!(bytes[4..], [192, 0, 2, 0]);
        assert_eq!(key4(entry("192.0.2.0/24"))[0], 24);
        let bytes: [u8; 12] = bytemuck::cast(key6(entry("2001:db8:1:2::/64")));
        assert_eq!(bytes[4..], [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2]);
        assert_eq!(key6(entry("2001:db8:1:2::/64"))[0], 64);
    }
}
