//! What a capture says about its own frames: ordinary, or of an attack.

/// Most different classes of one capture; further ones are called [`OTHER`].
const CLASSES_MAX: usize = 256;
/// Longest name of a class that is kept, in bytes.
const CLASS_BYTES_MAX: usize = 64;
/// Class of an attack that has no name.
const NAMELESS: &str = "attack";
/// Class of attacks beyond the bound.
const OTHER: &str = "other";

/// Words that say that a frame is ordinary. `r` is what HCRL's files say of regular frames.
const CLEAN: &[&str] = &[
    "",
    "0",
    "0.0",
    "r",
    "n",
    "normal",
    "benign",
    "clean",
    "none",
    "no",
    "false",
    "regular",
    "free",
    "attackfree",
    "legitimate",
    "nan",
    "-",
];
/// Words that say attack without saying which. `t` is what HCRL's files say of injected frames.
const BARE: &[&str] = &[
    "1",
    "1.0",
    "t",
    "y",
    "yes",
    "true",
    "attack",
    "attacked",
    "malicious",
    "anomaly",
    "injected",
    "abnormal",
];

/// Reads a label: `None` is an ordinary frame, otherwise the class of the attack in lower case.
#[must_use]
pub fn class_of(word: &str) -> Option<String> {
    let lower: String = word.trim().trim_matches('"').to_lowercase();
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
    if CLEAN.contains(&plain.as_str()) {
        return None;
    }
    if BARE.contains(&plain.as_str()) {
        return Some(NAMELESS.to_owned());
    }
    let mut class = String::new();
    for letter in lower.chars().filter(|letter| !letter.is_control()) {
        if class.len() + letter.len_utf8() > CLASS_BYTES_MAX {
            break;
        }
        class.push(letter);
    }
    Some(class)
}

/// The label of the record read last, and all classes so far.
#[derive(Debug, Default)]
pub(super) struct Labels {
    classes: Vec<String>,
    /// Nothing said, ordinary (`Some(None)`), or the index of a class.
    pub(super) current: Option<Option<usize>>,
}

impl Labels {
    /// Takes what the columns of a row say, the most telling first: any that names an attack makes it one.
    pub(super) fn set<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut named: Option<String> = None;
        let mut is_said = false;
        for word in words {
            is_said = true;
            if let Some(class) = class_of(word)
                && named.as_ref().is_none_or(|have| have == NAMELESS)
            {
                named = Some(class);
            }
        }
        self.current = is_said.then(|| named.map(|class| self.index(class)));
    }

    pub(super) fn clear(&mut self) {
        self.current = None;
    }

    pub(super) fn class(&self, index: usize) -> &str {
        self.classes.get(index).map_or(OTHER, String::as_str)
    }

    fn index(&mut self, class: String) -> usize {
        if let Some(index) = self.classes.iter().position(|have| *have == class) {
            return index;
        }
        if self.classes.len() < CLASSES_MAX {
            self.classes.push(class);
            return self.classes.len() - 1;
        }
        CLASSES_MAX
    }
}
