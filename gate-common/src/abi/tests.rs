//! The layout against `abi.lock`.

extern crate std;
use core::{
    fmt::Write as _,
    mem::{offset_of, size_of},
};
use std::{env, format, fs, path::Path, string::String};

use super::*;
use crate::{
    Shape,
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
        DeviceKey { netns, index }
        Flow {
            src, dst, outer, sport, dport, vlan, network, transport, pppoe, flags, marks, reserved,
        }
        FlowKey { src, dst, sport, dport, protocol, reserved, spare }
        FlowTag { time_ns, generation, country, class, flags }
        Interface { counter, role, identity, stripped, hidden_role }
        InterfaceKey { index, vlan, reserved }
        KernelLayout { device_index, device_netns, netns_number }
        Limit { interval_ns, burst_ns }
        Limited { within, over, contended, made, evicted }
        Packets { passed, refused, observed, tagged, unparsed }
        Rule {
            until_ns, next, pool_counter, prefix_counter, policy, action, answer, source_v4, source_v6, reserved,
        }
        Settings {
            dropped_shapes, throttle, answer_source, answer_total, answer_v4, answer_v6, class_counters, countries,
            scope, unlisted, unlisted_action, unlisted_answer, submission, submissions, any_server, count_sources,
            sourceless_action, reserved,
        }
        Source { tag, address, packets, first, last }
        SourceBucket { tag, address, word }
        SourceSet { ways }
    };
    let _ = writeln!(
        text,
        "limits slots={SLOTS} counters={COUNTERS} counted={COUNTED} source_sets={SOURCE_SETS} flows={FLOWS} bucket_sets={BUCKET_SETS} devices={DEVICES} classes={CLASSES} \
         countries={COUNTRIES} totals={TOTALS} state={}",
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
