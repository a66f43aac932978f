//! Finds the word that was probably meant.

/// Returns a hint that names the nearest of `words`, or the empty text if none is near.
pub(crate) fn nearest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    // One edit in three characters is a typing error; more is another word.
    let limit = wrong.chars().count() / 3 + 1;
    words
        .into_iter()
        .map(|word| (distance(wrong, word), word))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .map_or_else(String::new, |(_, word)| format!("did you mean `{word}`?"))
}

/// Number of insertions, deletions and replacements between two words, O(n · m).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_if_it_is_near() {
        assert_eq!(nearest("can_di", ["can_id", "did"]), "did you mean `can_id`?");
        assert_eq!(nearest("xyz", ["can_id", "speed_kmh"]), "");
    }
}
