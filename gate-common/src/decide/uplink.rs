//! What the Internet sends: the country class of a submission connection, and what the limit of the class makes of it.

use super::{Decision, Now, Tables, answered, bypassed, classed};
use crate::{
    Action, Addr, Answer, Country, Flow, Over, Policy, Reason, Shape, Verdict,
    abi::{BucketKey, CLASSES, ClassSettings, ClassedCountry, FlowTag, Interface, Settings},
};

/// Decides about what came in by an uplink interface.
///
/// A connection is counted when it opens, and so is a SYN that is sent again: it cannot be told from the first one of another connection with the
/// same ports. So is each packet that hides its port, since it may open one.
#[inline(always)]
pub(super) fn uplink<T: Tables>(
    shape: Shape,
    flow: &Flow,
    interface: &Interface,
    settings: &Settings,
    tables: &T,
    now: Now,
) -> Option<Decision> {
    let hidden = shape.is_unparsed();
    if !classed(shape, flow, settings, tables) {
        return hidden.then(|| Decision::new(Verdict::Unparsed, Reason::Shape(shape)));
    }
    let Classified {
        class: number,
        country,
        reason,
    } = classify(flow.src, settings, tables);
    let class = settings.class(number);
    let lengths = (class.source_v4, class.source_v6);
    let tagged = Decision {
        class: number,
        country,
        source_v4: lengths.0,
        source_v6: lengths.1,
        group: class.counter,
        ..Decision::new(
            Verdict::Tagged,
            if hidden { Reason::Shape(shape) } else { reason },
        )
    };
    if class.policy == Policy::Exempt as u8 {
        return Some(tagged);
    }
    let in_force = in_force(class, tables, now.unix_ns);
    let observed = if in_force { 0 } else { FlowTag::OBSERVED };
    let key = BucketKey::of_class(number, flow.src, lengths);
    if class.connections.interval_ns == 0 || tables.take(key, now.monotonic_ns) {
        return Some(Decision {
            flags: observed,
            ..tagged
        });
    }
    let over = Decision {
        reason: Reason::OverLimit,
        flags: FlowTag::OVER_LIMIT | observed,
        ..tagged
    };
    // An `over` that is none of the known ones tags, as an action that is none observes: a loader that knows more words than this program
    // must not make it drop packets. Nor does anything where no server is listed: other people's customers pass here too.
    let answer = match Over::from_number(class.over) {
        Some(Over::Reset) if settings.any_server == 0 => Answer::Reset,
        Some(Over::Drop) if settings.any_server == 0 => Answer::Drop,
        Some(Over::Reset | Over::Drop | Over::Tag) | None => return Some(over),
    };
    Some(if in_force {
        Decision {
            verdict: Verdict::Refused,
            answer: answered(answer, shape, flow, interface),
            ..over
        }
    } else {
        Decision {
            verdict: Verdict::Observed,
            ..over
        }
    })
}

/// Whether a class does what it says, and not only counts.
#[inline(always)]
fn in_force<T: Tables>(class: &ClassSettings, tables: &T, unix_ns: u64) -> bool {
    class.policy == Policy::Restrict as u8
        && class.action == Action::Enforce as u8
        && unix_ns >= class.effective_from_ns
        && !bypassed(tables, unix_ns)
}

/// What the [flags](FlowTag::flags) of every connection of a class say: whether it is only observed, which what is exempt never is.
#[inline(always)]
pub(crate) fn observed<T: Tables>(class: &ClassSettings, tables: &T, unix_ns: u64) -> u8 {
    if class.policy == Policy::Exempt as u8 || in_force(class, tables, unix_ns) {
        0
    } else {
        FlowTag::OBSERVED
    }
}

/// The country class of a source, and how it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The number of the class.
    pub class: u8,
    /// The country.
    pub country: Country,
    /// [`Reason::ClassPrefix`], [`Reason::ClassCountry`] or [`Reason::ClassUnknown`].
    pub reason: Reason,
}

/// The country class of `source`: by prefix if a class names one, else by country.
#[inline(always)]
pub fn classify<T: Tables>(source: Addr, settings: &Settings, tables: &T) -> Classified {
    let place = tables.country(source).unwrap_or(0);
    let ClassedCountry { country, class, .. } = settings
        .countries
        .get(place as usize)
        .copied()
        .unwrap_or_default();
    let country = Country::from_number(country);
    let (class, reason) = match tables.class_prefix(source) {
        Some(class) => (class_number(class), Reason::ClassPrefix),
        None if country.number() == 0 => (class, Reason::ClassUnknown),
        None => (class, Reason::ClassCountry),
    };
    Classified {
        class,
        country,
        reason,
    }
}

/// The loader makes no class number that does not fit.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the remainder fits")]
const fn class_number(number: u32) -> u8 {
    (number % CLASSES as u32) as u8
}
