//! How far long work has come.

/// How far long work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, in a few words.
    pub step: &'static str,
    /// How much of it is done; never more than `total`.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// Hears of progress; called from the thread that works, so it must be quick.
pub type Watcher<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Hears of progress and forgets it.
pub const fn unwatched(_: Progress) {}
