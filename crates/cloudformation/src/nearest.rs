//! The name that was probably meant.

use api_model::Diagnostics;

/// The candidate nearest to `name` by edit distance, if it is near enough to
/// be a slip: a third of the name, and at least one edit.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(NAME_CHARS_MAX + 1).collect();
    if name.len() > NAME_CHARS_MAX {
        return None;
    }
    let limit = (name.len() / 3).max(1);
    let mut best = None;
    for (count, candidate) in candidates.into_iter().enumerate() {
        if count >= CANDIDATES_MAX {
            return None;
        }
        let length = candidate.chars().take(2 * NAME_CHARS_MAX).count();
        if length.abs_diff(name.len()) <= limit {
            let found = (distance(&name, candidate), candidate);
            // Ties go by name: the candidates may come in any order.
            if found.0 <= limit && best.is_none_or(|best| found < best) {
                best = Some(found);
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Longest name that is worth a suggestion; bounds the cost of one comparison.
const NAME_CHARS_MAX: usize = 128;

/// Like [`nearest`], but only for the first findings of a load: nobody reads
/// the suggestion of the hundredth, and each costs a comparison with all names.
pub(crate) fn suggest<'a>(
    findings: &Diagnostics,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if findings.list.len() < SUGGESTIONS_MAX { nearest(name, candidates) } else { None }
}

/// How many findings may be made before no more names are suggested.
const SUGGESTIONS_MAX: usize = 100;

/// Most names that are compared; bounds the cost of one wrong name.
const CANDIDATES_MAX: usize = 2000;

/// Edits (insert, delete, replace; case alone counts nothing) between two names.
fn distance(name: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (line, c) in candidate.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, n) in name.iter().enumerate() {
            let same = n.eq_ignore_ascii_case(&c);
            let replace = diagonal + usize::from(!same);
            diagonal = row[column + 1];
            row[column + 1] = replace.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, want: Option<&str>) {
        assert_eq!(nearest(name, ["ChatApi", "ConnectRoute", "Stage"]), want, "name: {name}");
    }

    #[test]
    fn slips_find_the_name_and_strangers_find_none() {
        check("ChatAPI", Some("ChatApi"));
        check("ChatAp", Some("ChatApi"));
        check("Stgae", None);
        check("ConectRoute", Some("ConnectRoute"));
        check("Bucket", None);
        check("", None);
    }
}
