//! Every word of the world: what is spoken (the word bank covers exactly [`spoken_words`]) and what is seen.

/// People.
pub const NAMES: [&str; 8] = [
    "Anna", "Boris", "Carla", "David", "Emma", "Frank", "Julia", "Peter",
];
/// What people did, in the past tense.
pub const VERBS: [&str; 8] = [
    "lost", "found", "sold", "painted", "cleaned", "broke", "repaired", "bought",
];
/// What they did it to; all begin with a consonant, so that the article is always `a`.
pub const OBJECTS: [&str; 8] = [
    "boat", "guitar", "radio", "chair", "cake", "bicycle", "lamp", "camera",
];
/// Where.
pub const PLACES: [&str; 8] = [
    "school", "museum", "station", "library", "beach", "hotel", "market", "garden",
];
/// The words between them in a spoken sentence: `Anna lost a boat at the school`.
pub const LINKING: [&str; 3] = ["a", "at", "the"];

/// Every word that can be spoken, in a fixed order: the linking words, then names, verbs, objects and places.
///
/// The index in this list is the word's label in perception data. It is fixed: the word bank was rendered from it.
pub fn spoken_words() -> impl Iterator<Item = &'static str> {
    LINKING
        .into_iter()
        .chain(NAMES)
        .chain(VERBS)
        .chain(OBJECTS)
        .chain(PLACES)
}

#[cfg(test)]
mod tests {
    use super::spoken_words;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_distinct_plain_ascii() {
        let words: Vec<_> = spoken_words().collect();
        assert_eq!(words.len(), 35);
        let distinct: BTreeSet<String> = words.iter().map(|w| w.to_lowercase()).collect();
        assert_eq!(distinct.len(), words.len());
        assert!(
            words
                .iter()
                .all(|w| w.bytes().all(|b| b.is_ascii_alphabetic()))
        );
    }
}
