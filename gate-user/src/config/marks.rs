//! `class.mark`, and `[tags]` as far as it is about the skb mark.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    Listed, class,
    problem::{Problems, Reported},
    section::{Item, Section},
    values::integer,
};

/// What `[tags]` says about marks.
#[derive(Debug, Default)]
pub(super) struct Draft {
    mask: Option<Listed<u32>>,
    over: Option<Listed<u32>>,
}

/// The bits that the gate writes, and those that say that a connection is over the limit; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) mask: u32,
    pub(super) over: u32,
}

pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Result<Draft, Reported> {
    let mask = section.optional("mark_mask", bits, problems);
    let over = section.optional("over_mark", bits, problems);
    Ok(Draft {
        mask: mask?,
        over: over?,
    })
}

/// Reads some bits of a mark, at least one.
pub(super) fn bits(item: &Item<'_>, problems: &mut Problems) -> Result<u32, Reported> {
    let number = integer(item, problems)?;
    let bits = u32::try_from(number).ok().filter(|bits| *bits != 0);
    bits.ok_or_else(|| {
        let path = item.place.path();
        let message = if number == 0 {
            format!("`{path}` is 0, which is what packets without a mark have")
        } else {
            format!("`{path}` cannot be {number}")
        };
        problems.error(
            item.place.origin.clone(),
            message,
            format!(
                "accepted values: 0x1 to 0xffffffff, for example `{}`; leave it out for no mark",
                item.place.key.example
            ),
        )
    })
}

/// Makes sure that every mark can be told from every other, and from what is not the gate's.
pub(super) fn combine(
    draft: Draft,
    classes: &[&class::Draft],
    problems: &mut Problems,
) -> Result<Marks, Reported> {
    let Draft { mask, over } = draft;
    let marks = classes
        .iter()
        .filter_map(|class| Some((class.name.as_str(), class.mark.as_ref()?)));
    let Some(mask) = mask else {
        return match over.as_ref().or(marks.map(|(_, mark)| mark).next()) {
            None => Ok(Marks::default()),
            Some(first) => Err(problems.error(
                first.origin.clone(),
                "there is a mark but no `tags.mark_mask`: the gate does not know which bits of the skb mark are its own",
                "add `mark_mask = 0xff` to [tags], or whichever bits nobody else on this host uses",
            )),
        };
    };
    let over_bits = over.as_ref().map_or(0, |over| over.value);
    let mut outcome = Ok(());
    let mut any = over.is_some();
    if let Some(over) = &over {
        outcome = within("`tags.over_mark`", over, &mask, problems);
    }
    let mut taken: HashMap<u32, (&str, &Listed<u32>)> = HashMap::new();
    for (name, mark) in marks {
        any = true;
        outcome = outcome.and(within(
            &format!("the mark of the class `{name}`"),
            mark,
            &mask,
            problems,
        ));
        if mark.value & over_bits != 0 {
            outcome = Err(problems.error(
                mark.origin.clone(),
                format!(
                    "the mark {:#x} of the class `{name}` has bits of `tags.over_mark`, {over_bits:#x}: it would read as over the limit",
                    mark.value
                ),
                format!("use other bits of the mask {:#x}", mask.value),
            ));
        }
        match taken.entry(mark.value) {
            Entry::Vacant(vacant) => {
                vacant.insert((name, mark));
            }
            Entry::Occupied(first) => {
                let (other, first) = first.get();
                outcome = Err(problems.error(
                    mark.origin.clone(),
                    format!(
                        "the class `{name}` has the mark {:#x}, which is that of the class `{other}` (at {})",
                        mark.value, first.origin
                    ),
                    "give each class a mark of its own: nobody could tell the two apart",
                ));
            }
        }
    }
    outcome?;
    if !any {
        problems.warn(
            &mask.origin,
            "`tags.mark_mask` is there, but no class has a `mark`: nothing is marked".to_owned(),
            "add `mark = 0x10` to a [[class]], or leave `mark_mask` out".to_owned(),
        );
    }
    Ok(Marks {
        mask: if any { mask.value } else { 0 },
        over: over_bits,
    })
}

fn within(
    what: &str,
    bits: &Listed<u32>,
    mask: &Listed<u32>,
    problems: &mut Problems,
) -> Result<(), Reported> {
    let (value, mask) = (bits.value, mask.value);
    if value & !mask == 0 {
        return Ok(());
    }
    Err(problems.error(
        bits.origin.clone(),
        format!("{what}, {value:#x}, has bits outside of `tags.mark_mask`, {mask:#x}"),
        "the gate writes the bits of the mask and no others: choose a mark within it, or widen the mask",
    ))
}
