//! What somebody may have meant.

/// The candidate that is most like `text`, if one is like enough to be a misspelling.
pub(super) fn nearest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let text = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&text, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_misspellings_and_nothing_else() {
        let keys = ["action", "answer", "relays", "scope", "unlisted"];
        assert_eq!(nearest("actoin", keys), Some("action"));
        assert_eq!(nearest("relay", keys), Some("relays"));
        assert_eq!(nearest("Scope", keys), Some("scope"));
        assert_eq!(nearest("throughput", keys), None);
    }
}
