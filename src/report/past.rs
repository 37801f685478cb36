//! The unsigned past: where a history became a signed one.

use crate::object::ObjectId;
use std::collections::{HashMap, HashSet};

/// How far a commit is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    No,
    /// In a format that is not supported.
    Unsupported,
    Yes,
}

/// Commits that nobody vouches for in a form that can be judged, with their parents.
#[derive(Debug, Default)]
pub(super) struct Past {
    unsigned: HashMap<ObjectId, Vec<ObjectId>>,
    /// Those of them that carry a signature of a format that is not supported.
    unsupported: HashSet<ObjectId>,
    /// What is not there: the edge of a shallow clone.
    edges: HashSet<ObjectId>,
}

/// The part of a history that is unsigned down to its roots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dead {
    /// All of it.
    pub(super) commits: HashSet<ObjectId>,
    /// How many of them are signed in a format that is not supported.
    pub(super) unsupported: usize,
    /// Its commits that no other of it has as a parent, smallest id first: what to give as baselines.
    pub(super) heads: Vec<ObjectId>,
}

impl Past {
    /// Takes in what is missing.
    pub(super) fn add_edge(&mut self, id: ObjectId) {
        self.edges.insert(id);
    }

    /// Takes in a judged commit.
    pub(super) fn add(&mut self, id: ObjectId, parents: &[ObjectId], signed: Signed) {
        if signed == Signed::Yes {
            return;
        }
        self.unsigned.insert(id, parents.to_vec());
        if signed == Signed::Unsupported {
            self.unsupported.insert(id);
        }
    }

    /// The commits that are unsigned, as is everything below them, down to the roots or to the edge of a shallow clone. What
    /// lies above a baseline or the start of a range is no past, but something that somebody left unsigned.
    pub(super) fn dead(&self) -> Dead {
        let mut alive: HashSet<ObjectId> = HashSet::new();
        let mut children: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
        let mut open = Vec::new();
        for (id, parents) in &self.unsigned {
            for parent in parents {
                if self.unsigned.contains_key(parent) {
                    children.entry(*parent).or_default().push(*id);
                } else if !self.edges.contains(parent) {
                    open.push(*id);
                }
            }
        }
        while let Some(id) = open.pop() {
            if alive.insert(id) {
                open.extend(children.get(&id).into_iter().flatten());
            }
        }
        let commits: HashSet<ObjectId> = self.unsigned.keys().filter(|id| !alive.contains(*id)).copied().collect();
        let has_dead_child = |id: &ObjectId| children.get(id).is_some_and(|ids| ids.iter().any(|child| commits.contains(child)));
        let mut heads: Vec<ObjectId> = commits.iter().filter(|id| !has_dead_child(id)).copied().collect();
        heads.sort_unstable();
        Dead { unsupported: self.unsupported.intersection(&commits).count(), commits, heads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes(&[n; 20]).unwrap()
    }

    fn heads(commits: &[(u8, &[u8], bool)]) -> (usize, Vec<u8>) {
        let mut past = Past::default();
        for (n, parents, unsigned) in commits {
            let signed = if *unsigned { Signed::No } else { Signed::Yes };
            past.add(id(*n), &parents.iter().map(|&n| id(n)).collect::<Vec<_>>(), signed);
        }
        let dead = past.dead();
        (dead.commits.len(), dead.heads.iter().map(|id| id.as_bytes()[0]).collect())
    }

    #[test]
    fn only_what_is_unsigned_to_its_roots() {
        assert_eq!(heads(&[(3, &[2], false), (2, &[1], true), (1, &[], true)]), (2, vec![2]));
        // 4 is unsigned above a signed one: not past, but a gap
        assert_eq!(heads(&[(4, &[3], true), (3, &[2], false), (2, &[1], true), (1, &[], true)]), (2, vec![2]));
        assert_eq!(heads(&[(5, &[4, 2], true), (4, &[3], true), (3, &[1], false), (2, &[1], true), (1, &[], true)]), (2, vec![2]));
        assert_eq!(heads(&[(3, &[], true), (2, &[], true)]), (2, vec![2, 3]));
        assert_eq!(heads(&[(2, &[1], true)]), (0, vec![])); // 1 was not judged
        let mut shallow = Past::default();
        shallow.add(id(2), &[id(1)], Signed::No);
        shallow.add_edge(id(1));
        assert_eq!(shallow.dead().heads, [id(2)]);
    }
}
