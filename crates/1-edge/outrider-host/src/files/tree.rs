//! Folders that are watched, by the identity that the kernel reports.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Folders at most; `/usr` of a desktop has 20,000, an ECU some hundred.
pub(super) const FOLDERS_MAX: usize = 16_384;
/// Deepest nesting that is followed when a path is put together.
const DEPTH_MAX: usize = 64;

#[derive(Debug)]
struct Folder {
    /// Identity of the folder it lies in; `None` for a configured one.
    parent: Option<Box<[u8]>>,
    /// Name in the parent, or the whole path of a configured one.
    name: OsString,
}

/// Folders by identity.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<Box<[u8]>, Folder>);

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= FOLDERS_MAX
    }

    pub(super) fn add_root(&mut self, identity: Box<[u8]>, path: &Path) {
        self.0.insert(identity, Folder { parent: None, name: path.as_os_str().to_owned() });
    }

    pub(super) fn add(&mut self, identity: Box<[u8]>, parent: &[u8], name: &OsStr) {
        // A configured folder inside another keeps its whole path, so that it outlives a move of the other's.
        if self.0.get(&identity).is_none_or(|folder| folder.parent.is_some()) {
            self.0.insert(identity, Folder { parent: Some(parent.into()), name: name.to_owned() });
        }
    }

    pub(super) fn contains(&self, identity: &[u8]) -> bool {
        self.0.contains_key(identity)
    }

    pub(super) fn remove(&mut self, identity: &[u8]) {
        self.0.remove(identity);
    }

    /// Returns the path of a folder as it is now.
    pub(super) fn path(&self, identity: &[u8]) -> Option<PathBuf> {
        let mut names: Vec<&OsStr> = Vec::new();
        let mut folder = self.0.get(identity)?;
        while let Some(parent) = &folder.parent {
            if names.len() >= DEPTH_MAX {
                return None;
            }
            names.push(&folder.name);
            folder = self.0.get(parent)?;
        }
        let mut path = PathBuf::from(&folder.name);
        path.extend(names.iter().rev());
        Some(path)
    }

    /// Returns every folder's path.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.keys().filter_map(|identity| self.path(identity)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_of_a_folder_moves_everything_below_it() {
        let mut tree = Tree::default();
        let id = |byte: u8| Box::from([byte]);
        tree.add_root(id(1), Path::new("/etc"));
        tree.add(id(2), &[1], OsStr::new("ssh"));
        tree.add(id(3), &[2], OsStr::new("keys"));
        assert_eq!(tree.path(&[3]), Some(PathBuf::from("/etc/ssh/keys")));
        tree.add(id(2), &[1], OsStr::new("ssh.old"));
        assert_eq!(tree.path(&[3]), Some(PathBuf::from("/etc/ssh.old/keys")));
        tree.remove(&[2]);
        assert_eq!(tree.path(&[3]), None);
        tree.add(id(3), &[4], OsStr::new("a"));
        tree.add(id(4), &[3], OsStr::new("b"));
        assert_eq!(tree.path(&[3]), None, "a ring has no path");
    }
}
