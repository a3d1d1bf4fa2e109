//! The decision, for any tables and any packet; and token buckets, which never give more than the limit says.

use std::cell::Cell;

use arbitrary::{Arbitrary as _, Result, Unstructured};
use gate_common::{
    Addr, Flow, Role, Shape,
    abi::{
        BucketKey, CLASSES, COUNTRIES, ClassSettings, ClassedCountry, Interface, Limit, Rule,
        Settings,
    },
    decide::{Now, decide},
    limit::{self, SKEW_NS},
};

use crate::anything::{Anything, decisions_hold_together};

/// Checks everything, for the case that `data` describes.
pub fn check(data: &[u8]) {
    // What is too short describes nothing.
    let _ = case(&mut Unstructured::new(data));
}

fn case(u: &mut Unstructured<'_>) -> Result<()> {
    if u.ratio(1, 8)? {
        return bucket(u);
    }
    let mut tables = tables(u)?;
    let (shape, flow) = packet(u)?;
    let now = Now {
        unix_ns: time(u)?,
        monotonic_ns: time(u)?,
    };
    if u.ratio(1, 4)? {
        tables.bypass_until_ns = time(u)?;
    }
    decisions_hold_together(&tables, shape, &flow, now);
    submission_of_subscribers_is_never_judged(&tables, flow, now);
    sources_are_truncated(&flow, u)
}

fn tables(u: &mut Unstructured<'_>) -> Result<Anything> {
    Ok(Anything {
        settings: if u.ratio(7, 8)? {
            Some(settings(u)?)
        } else {
            None
        },
        interface: if u.ratio(7, 8)? {
            Some(Interface {
                counter: u.arbitrary()?,
                role: octet(u)?,
                identity: octet(u)?,
                stripped: octet(u)?,
                hidden_role: 0,
            })
        } else {
            None
        },
        access: number(u)?,
        rules: (0..u.int_in_range(0..=5)?)
            .map(|_| rule(u))
            .collect::<Result<_>>()?,
        relay: number(u)?,
        server: u.arbitrary()?,
        class: number(u)?,
        country: number(u)?,
        within: u.arbitrary()?,
        bypass_until_ns: 0,
        taken: Cell::new(0),
        bucket: Cell::new(None),
    })
}

fn settings(u: &mut Unstructured<'_>) -> Result<Settings> {
    let limit = Limit {
        interval_ns: 1,
        burst_ns: 1,
    };
    Ok(Settings {
        dropped_shapes: u.arbitrary()?,
        throttle: limit,
        answer_source: limit,
        answer_total: limit,
        answer_v4: Addr::UNSPECIFIED,
        answer_v6: Addr::UNSPECIFIED,
        unlisted_effective_from_ns: time(u)?,
        sourceless_effective_from_ns: time(u)?,
        classes: [class(u)?; CLASSES],
        mark_mask: u.arbitrary()?,
        countries: [ClassedCountry {
            country: u.arbitrary()?,
            class: octet(u)?,
            reserved: 0,
        }; COUNTRIES],
        scope: octet(u)?,
        unlisted: octet(u)?,
        unlisted_action: octet(u)?,
        unlisted_answer: octet(u)?,
        submission: octet(u)?,
        submissions: octet(u)?,
        any_server: octet(u)?,
        count_sources: octet(u)?,
        sourceless_action: octet(u)?,
        dscp_all: 0,
        bleach: 0,
        shows: 0,
        kept_v4: 32,
        kept_v6: 128,
        reserved: [0; 2],
    })
}

fn class(u: &mut Unstructured<'_>) -> Result<ClassSettings> {
    Ok(ClassSettings {
        effective_from_ns: time(u)?,
        connections: Limit {
            interval_ns: u.int_in_range(0..=2)?,
            burst_ns: 2,
        },
        counter: u.arbitrary()?,
        over: octet(u)?,
        action: octet(u)?,
        policy: octet(u)?,
        source_v4: u.arbitrary()?,
        source_v6: u.arbitrary()?,
        ..ClassSettings::default()
    })
}

fn rule(u: &mut Unstructured<'_>) -> Result<Rule> {
    Ok(Rule {
        until_ns: time(u)?,
        effective_from_ns: time(u)?,
        next: number(u)?.unwrap_or(0),
        pool_counter: u.arbitrary()?,
        prefix_counter: u.arbitrary()?,
        policy: octet(u)?,
        action: octet(u)?,
        answer: octet(u)?,
        source_v4: u.arbitrary()?,
        source_v6: u.arbitrary()?,
        reserved: [0; 7],
    })
}

fn packet(u: &mut Unstructured<'_>) -> Result<(Shape, Flow)> {
    let shape = if u.ratio(1, 2)? {
        Shape::Tcp
    } else {
        *u.choose(Shape::ALL)?
    };
    let flow = Flow {
        src: addr(u)?,
        dst: addr(u)?,
        outer: addr(u)?,
        sport: u.arbitrary()?,
        dport: match u.int_in_range(0..=5)? {
            0 | 1 => 25,
            2 => 587,
            3 => 465,
            4 => 0,
            _ => u.arbitrary()?,
        },
        vlan: u.int_in_range(0..=4095)?,
        network: if u.ratio(7, 8)? { 14 } else { 0 },
        transport: if shape == Shape::Tcp { 34 } else { 0 },
        pppoe: 0,
        flags: u.arbitrary()?,
        marks: u.arbitrary()?,
        reserved: [0; 2],
    };
    Ok((shape, flow))
}

fn addr(u: &mut Unstructured<'_>) -> Result<Addr> {
    Ok(if u.arbitrary()? {
        Addr::v4(u.arbitrary()?)
    } else {
        let [hi, lo] = u.arbitrary()?;
        Addr { hi, lo }
    })
}

/// A number that is one of the first few, or any.
fn octet(u: &mut Unstructured<'_>) -> Result<u8> {
    if u.ratio(7, 8)? {
        u.int_in_range(0..=3)
    } else {
        u8::arbitrary(u)
    }
}

fn number(u: &mut Unstructured<'_>) -> Result<Option<u32>> {
    Ok(match u.int_in_range(0..=7)? {
        number @ 0..=5 => Some(number),
        6 => Some(u.arbitrary()?),
        _ => None,
    })
}

fn time(u: &mut Unstructured<'_>) -> Result<u64> {
    if u.ratio(7, 8)? {
        u.int_in_range(0..=3000)
    } else {
        u64::arbitrary(u)
    }
}

/// Whatever the configuration, a subscriber's submission is of no concern.
fn submission_of_subscribers_is_never_judged(tables: &Anything, flow: Flow, now: Now) {
    let access = Interface {
        counter: 1,
        role: Role::Access as u8,
        ..Interface::default()
    };
    let Some(settings) = tables.settings else {
        return;
    };
    let tables = Anything {
        interface: Some(access),
        settings: Some(settings),
        ..tables.clone()
    };
    for dport in [587, 465] {
        let flow = Flow { dport, ..flow };
        assert_eq!(decide(Shape::Tcp, &flow, 7, &tables, now), None);
    }
}

/// Addresses with the same first bits share a bucket, and others do not.
fn sources_are_truncated(flow: &Flow, u: &mut Unstructured<'_>) -> Result<()> {
    let lengths: (u8, u8) = u.arbitrary()?;
    let key = BucketKey::new(gate_common::Bucket::Throttle, flow.src, lengths);
    let (length, width, bits) = match flow.src.to_ip() {
        std::net::IpAddr::V4(ip) => (lengths.0.min(32), 32, u128::from(ip.to_bits())),
        std::net::IpAddr::V6(ip) => (lengths.1.min(128), 128, ip.to_bits()),
    };
    let open = u32::from(width - length);
    let expected = bits
        .checked_shr(open)
        .and_then(|kept| kept.checked_shl(open))
        .unwrap_or(0);
    let (_, found) = match key.address.to_ip() {
        std::net::IpAddr::V4(ip) => (4, u128::from(ip.to_bits())),
        std::net::IpAddr::V6(ip) => (6, ip.to_bits()),
    };
    assert_eq!(found, expected, "{:?} {lengths:?}", flow.src);
    Ok(())
}

/// Whatever a bucket holds at first: in any time, no more events than the burst, and one for each interval that goes by.
fn bucket(u: &mut Unstructured<'_>) -> Result<()> {
    let interval_ns = u.int_in_range(1..=1 << 40)?;
    let burst = u.int_in_range(1..=100)?;
    let limit = Limit {
        interval_ns,
        burst_ns: interval_ns * burst,
    };
    let start = u.int_in_range(1 << 50..=1 << 62)?;
    let (mut word, mut now_ns): (u64, u64) = (u.arbitrary()?, start);
    let mut events = 0;
    for _ in 0..u.int_in_range(1..=200)? {
        now_ns += u.int_in_range(0..=interval_ns * 2)?;
        let taken = limit::take(word, now_ns, &limit);
        if let Some(next) = taken {
            events += 1;
            assert!(next > now_ns && next - now_ns <= limit.burst_ns);
            word = next;
        } else {
            // It gives one again within an interval; what no limit like this one left there may take somewhat longer.
            let strange = word.saturating_sub(now_ns) > limit.burst_ns;
            let wait = interval_ns + if strange { SKEW_NS } else { 0 };
            assert!(limit::take(word, now_ns + wait, &limit).is_some());
        }
        assert!(events <= burst + (now_ns - start) / interval_ns);
    }
    Ok(())
}
