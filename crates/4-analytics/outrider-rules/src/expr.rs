//! Boolean expressions over the predicates of a rule.

/// Condition of a rule; a test is an index into the rule's predicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// All hold; without parts it is true.
    And(Vec<Expr>),
    /// One holds; without parts it is false.
    Or(Vec<Expr>),
    /// The part does not hold.
    Not(Box<Expr>),
    /// The predicate holds.
    Test(u32),
}

impl Expr {
    /// Deepest nesting that the checker lets pass, so that walks over an expression may recurse.
    pub(crate) const DEPTH_MAX: usize = 48;

    /// Returns whether the expression holds.
    pub(crate) fn holds(&self, test: &dyn Fn(u32) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(test)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(test)),
            Self::Not(part) => !part.holds(test),
            Self::Test(index) => test(*index),
        }
    }

    /// Returns the expression over tests that stand behind `offset` others.
    pub(crate) fn shifted(&self, offset: u32) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.shifted(offset)).collect();
        match self {
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.shifted(offset))),
            Self::Test(index) => Self::Test(index + offset),
        }
    }

    /// Returns the deepest nesting.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::depth).max().unwrap_or(0) + 1,
            Self::Not(part) => part.depth() + 1,
            Self::Test(_) => 1,
        }
    }

    /// Returns the number of parts.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::size).sum::<usize>() + 1,
            Self::Not(part) => part.size() + 1,
            Self::Test(_) => 1,
        }
    }

    /// Returns the value if it follows from what is known of some tests, and `None` if it depends on others.
    pub(crate) fn fold(&self, known: &dyn Fn(u32) -> Option<bool>) -> Option<bool> {
        match self {
            Self::And(parts) => fold_parts(parts, known, false),
            Self::Or(parts) => fold_parts(parts, known, true),
            Self::Not(part) => part.fold(known).map(|value| !value),
            Self::Test(index) => known(*index),
        }
    }
}

/// `decisive` is the value of one part that settles the whole.
fn fold_parts(parts: &[Expr], known: &dyn Fn(u32) -> Option<bool>, decisive: bool) -> Option<bool> {
    let mut open = false;
    for part in parts {
        match part.fold(known) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    if open { None } else { Some(!decisive) }
}
