//! The layout against `abi.lock`.

extern crate std;
use core::{
    fmt::Write as _,
    mem::{offset_of, size_of},
};
use std::{env, format, fs, path::Path, string::String};

use bytemuck::Zeroable;

use super::*;
use crate::{
    Addr, Answered, Bucket, Flow, Rehearsed, Shape, Shown, Told,
    table::{INLINE, ROOT_LINES, RUNS, RUNS128},
};

macro_rules! layout {
    ($($type:ident { $($field:ident),+ $(,)? })+) => {{
        let mut lines = String::new();
        $(
            // Destructuring makes a field that is missing from this list an error.
            let $type { $($field: _),+ } = Zeroable::zeroed();
            let _ = write!(lines, "{} size={}", stringify!($type), size_of::<$type>());
            $(let _ = write!(lines, " {}@{}", stringify!($field), offset_of!($type, $field));)+
            lines.push('\n');
        )+
        lines
    }};
}

/// The layout: one line a structure, and what else a reader must know.
fn describe() -> String {
    let mut text = format!("version = {ABI_VERSION}\n");
    text += &layout! {
        Addr { hi, lo }
        ClassedCountry { country, class, reserved }
        BucketSet { ways }
        ClassSettings {
            effective_from_ns, connections, counter, mark, over_mark, dscp, over_dscp, over, action, policy, source_v4,
            source_v6, reserved,
        }
        DeviceKey { netns, index }
        Difference { packets }
        DifferenceKey { address, from, to, cpu, v4_length, v6_length, role, reserved }
        Event {
            time_ns, source, destination, generation, sport, dport, interface, group, prefix, country, verdict, reason,
            role, flags, v4_length, v6_length, reserved,
        }
        Flow {
            src, dst, outer, sport, dport, vlan, network, transport, pppoe, flags, marks, reserved,
        }
        FlowKey { src, dst, sport, dport, protocol, reserved, spare }
        FlowTag { time_ns, generation, country, class, flags }
        Interface { counter, role, identity, stripped, hidden_role }
        InterfaceKey { index, vlan, reserved }
        PlacedInterface { key, interface }
        Judged { monotonic_ns, treatment, shape }
        KernelLayout { device_index, device_netns, netns_number }
        Limit { interval_ns, burst_ns }
        Limited { within, over, contended, made, evicted }
        Metadata { magic, mark, mask }
        Packets { passed, refused, observed, tagged, unparsed, over_limit }
        Rule {
            until_ns, effective_from_ns, next, pool_counter, prefix_counter, policy, action, answer, source_v4, source_v6, reserved,
        }
        Settings {
            dropped_shapes, throttle, answer_source, answer_total, unlisted_effective_from_ns,
            sourceless_effective_from_ns, answer_v4, answer_v6, classes, mark_mask, countries,
            scope, unlisted, unlisted_action, unlisted_answer, submission, submissions, any_server, count_sources,
            sourceless_action, dscp_all, bleach, shows, kept_v4, kept_v6, reserved,
        }
        Source { tag, address, packets, first, last }
        SourceBucket { tag, address, word }
        SourceSet { ways }
    };
    let _ = writeln!(
        text,
        "limits slots={SLOTS} counters={COUNTERS} counted={COUNTED} source_sets={SOURCE_SETS} interface_places={INTERFACE_PLACES} flows={FLOWS} bucket_sets={BUCKET_SETS} devices={DEVICES} classes={CLASSES} \
         countries={COUNTRIES} totals={TOTALS} candidate={CANDIDATE} state={}",
        State::COUNT
    );
    for name in maps::STATES.iter().chain(&maps::SLOTTED) {
        let _ = writeln!(text, "map {name}");
    }
    for tracepoint in TRACEPOINTS {
        let _ = writeln!(text, "tracepoint {tracepoint}");
    }
    for list in List::ALL {
        let _ = writeln!(text, "list {}={}", list as u32, list.name());
    }
    let _ = writeln!(
        text,
        "table root={ROOT_LINES} inline={INLINE} runs={RUNS} runs128={RUNS128}"
    );
    for verdict in Verdict::ALL {
        let _ = writeln!(text, "verdict {}={verdict}", *verdict as u8);
    }
    for reason in Reason::all() {
        let _ = writeln!(text, "reason {}={reason}", reason.number());
    }
    for shape in Shape::ALL {
        let _ = writeln!(text, "shape {}={}", *shape as u8, shape.name());
    }
    for answered in Answered::ALL {
        let _ = writeln!(text, "answered {}={answered}", *answered as u8);
    }
    for shown in Shown::ALL {
        let _ = writeln!(text, "shown {}={shown}", *shown as u8);
    }
    for rehearsed in Rehearsed::ALL {
        let _ = writeln!(text, "rehearsed {}={rehearsed}", *rehearsed as u8);
    }
    for told in Told::ALL {
        let _ = writeln!(text, "told {}={told}", *told as u8);
    }
    for differences in Differences::ALL {
        let _ = writeln!(text, "differences {}={differences:?}", differences as u32);
    }
    let _ = writeln!(text, "metadata magic={:#x}", Metadata::MAGIC);
    for bucket in Bucket::ALL {
        let _ = writeln!(text, "bucket {}={bucket}", *bucket as u8);
    }
    text
}

/// `GATE_BLESS_ABI=1` writes the file anew.
#[test]
fn abi_lock_describes_this_layout() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("abi.lock");
    let now = describe();
    if env::var_os("GATE_BLESS_ABI").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let locked = fs::read_to_string(&path).unwrap();
    assert!(
        locked == now,
        "the map ABI differs from gate-common/abi.lock: raise ABI_VERSION, then run `cargo xtask abi --bless`\n{now}"
    );
}

#[test]
fn generation_word_holds_number_and_slot() {
    let word = GenerationWord::new(u32::MAX, 2);
    assert_eq!((word.number(), word.slot()), (u32::MAX, 2));
    assert_eq!(GenerationWord::default().number(), 0);
}
