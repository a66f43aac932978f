//! Who runs on this host: processes with their parents, bounded, the recently ended ones included.

use std::collections::{BTreeMap, VecDeque};

use crate::proc_fs::ProcRoot;

/// Processes remembered; beyond it the lowest numbers are forgotten and looked up again when needed.
const PEOPLE_MAX: usize = 8192;
/// Ended processes remembered, so that what they did can still be named.
const ENDED_MAX: usize = 1024;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Person {
    pub(crate) parent: u32,
    /// Name of at most 15 bytes, as the kernel keeps it.
    pub(crate) name: Box<str>,
    /// Path of the program; empty if not known.
    pub(crate) program: Box<str>,
    /// Effective user.
    pub(crate) user: u32,
}

/// Table of processes.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) root: ProcRoot,
    people: BTreeMap<u32, Person>,
    ended: VecDeque<u32>,
    /// Processes made since the start, for their rate.
    pub(crate) forks: u64,
}

impl People {
    pub(crate) fn new(root: ProcRoot) -> Self {
        Self { root, people: BTreeMap::new(), ended: VecDeque::new(), forks: 0 }
    }

    /// Returns a process as it was last seen.
    pub(crate) fn find(&self, process: u32) -> Option<&Person> {
        self.people.get(&process)
    }

    /// Looks a process up if it is not known.
    pub(crate) fn meet(&mut self, process: u32) -> Option<&Person> {
        if !self.people.contains_key(&process) {
            let status = self.root.status(process)?;
            let program = self.root.program(process).unwrap_or_default();
            let person = Person {
                parent: status.parent,
                name: status.name.into(),
                program: program.into(),
                user: status.user,
            };
            self.insert(process, person);
        }
        self.people.get(&process)
    }

    /// Remembers a process.
    pub(crate) fn insert(&mut self, process: u32, person: Person) {
        self.people.insert(process, person);
        while self.people.len() > PEOPLE_MAX {
            self.people.pop_first();
        }
    }

    /// Notes a new process: what its parent is, until it runs another program.
    pub(crate) fn born(&mut self, parent: u32, child: u32) {
        self.forks = self.forks.saturating_add(1);
        let like = self.meet(parent).cloned().unwrap_or_default();
        self.insert(child, Person { parent, ..like });
    }

    /// Notes another effective user and returns the one before, if known.
    pub(crate) fn change_user(&mut self, process: u32, user: u32) -> Option<u32> {
        let person = self.people.get_mut(&process)?;
        Some(std::mem::replace(&mut person.user, user))
    }

    /// Notes an end; the process is forgotten when a thousand others have ended after it.
    pub(crate) fn ended(&mut self, process: u32) {
        self.ended.push_back(process);
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
            && !self.ended.contains(&oldest)
        {
            self.people.remove(&oldest);
        }
    }

    /// Forgets processes that are not in this list, and returns those of the list that are new.
    pub(crate) fn compare(&mut self, running: &[u32]) -> Vec<u32> {
        let running: std::collections::BTreeSet<u32> = running.iter().copied().collect();
        self.people.retain(|process, _| running.contains(process));
        running.into_iter().filter(|process| !self.people.contains_key(process)).collect()
    }

    /// Returns the name of a process, or an empty text.
    pub(crate) fn name(&mut self, process: u32) -> String {
        self.meet(process).map(|person| person.name.to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_as_its_parent_until_it_runs_something_else_and_is_named_after_its_end() {
        let mut people = People::new(ProcRoot::new(std::path::Path::new("/nowhere")));
        people.insert(1, Person { name: "init".into(), user: 5, ..Person::default() });
        people.born(1, 2);
        let child = people.find(2).expect("it was born");
        assert_eq!((child.parent, &*child.name, child.user), (1, "init", 5));
        assert_eq!(people.change_user(2, 0), Some(5));
        people.ended(2);
        assert!(people.find(2).is_some(), "it can still be named");
        for other in (10..).take(ENDED_MAX) {
            people.ended(other);
        }
        assert!(people.find(2).is_none());
        assert_eq!(people.compare(&[1, 3]), [3]);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut people = People::new(ProcRoot::new(std::path::Path::new("/nowhere")));
        for process in (0..).take(2 * PEOPLE_MAX) {
            people.insert(process, Person::default());
        }
        assert_eq!(people.people.len(), PEOPLE_MAX);
    }
}
