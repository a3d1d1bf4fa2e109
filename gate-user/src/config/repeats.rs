//! Prefixes that are listed twice.

use std::collections::HashSet;

use ipnet::IpNet;

use super::{Listed, problem::Problems};

/// A prefix that is listed again, by positions in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// Where it is listed first.
    pub(super) first: usize,
    /// Where it is listed again.
    pub(super) again: usize,
}

/// Every prefix that is listed again.
pub(super) fn find(prefixes: impl IntoIterator<Item = IpNet>) -> Vec<Repeat> {
    let mut sorted: Vec<(IpNet, usize)> = prefixes
        .into_iter()
        .enumerate()
        .map(|(position, prefix)| (prefix, position))
        .collect();
    sorted.sort_unstable();
    sorted
        .chunk_by(|(a, _), (b, _)| a == b)
        .filter_map(<[_]>::split_first)
        .flat_map(|(&(_, first), others)| {
            others
                .iter()
                .map(move |&(_, again)| Repeat { first, again })
        })
        .collect()
}

/// The list without repeats; warns of each.
pub(super) fn dropped(
    key: &str,
    list: Vec<Listed<IpNet>>,
    problems: &mut Problems,
) -> Vec<Listed<IpNet>> {
    let repeats = find(list.iter().map(|listed| listed.value));
    for Repeat { first, again } in &repeats {
        if let (Some(first), Some(again)) = (list.get(*first), list.get(*again)) {
            warn(&format!("`{key}`"), first, again, problems);
        }
    }
    let again = repeats.iter().map(|repeat| repeat.again).collect();
    without(list, &again)
}

/// Warns that `again` says what `first` has said.
pub(super) fn warn(
    list: &str,
    first: &Listed<IpNet>,
    again: &Listed<IpNet>,
    problems: &mut Problems,
) {
    problems.warn(
        &again.origin,
        format!(
            "{} is in {list} twice; the first time at {}",
            again.value, first.origin
        ),
        "delete one of the two".to_owned(),
    );
}

/// The list without the elements at `positions`.
pub(super) fn without<T>(list: Vec<T>, positions: &HashSet<usize>) -> Vec<T> {
    if positions.is_empty() {
        return list;
    }
    list.into_iter()
        .enumerate()
        .filter_map(|(position, each)| (!positions.contains(&position)).then_some(each))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_repeat_of_the_first() {
        let list = [
            "10.0.0.0/8",
            "::/8",
            "10.0.0.0/8",
            "10.0.0.0/9",
            "10.0.0.0/8",
        ];
        let repeats = find(list.map(|prefix| prefix.parse().unwrap()));
        let pairs: Vec<_> = repeats.iter().map(|r| (r.first, r.again)).collect();
        assert_eq!(pairs, [(0, 2), (0, 4)]);
    }
}
