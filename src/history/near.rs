//! What of a history was verified before, as far as a push has to know it.
//!
//! From verified tips, "verified" is passed down from child to parents; from the pushed tips the search goes down until it meets
//! it. Both take newest dates first, and take turns, so that the cost depends on how far they are apart, not on how long
//! the history is. Dates and bounds only decide how much is found: what is not found is judged again.

use super::{ObjectSource, ReadError};
use crate::object::{Commit, ObjectId, ObjectKind};
use std::collections::{BinaryHeap, HashMap};

/// Commits that are accepted, as is all below them, with the time (seconds since 1970, UTC) until which they are.
pub type Verified = HashMap<ObjectId, Option<i64>>;

/// How many commits are read for the search, on either side: what lies further away is judged again.
const MOST_NEW: usize = 100_000;
const MOST_VERIFIED: usize = 500_000;
/// How many verified commits are passed for each new one, while they are newer than it.
const STRIDE: usize = 64;

/// The verified commits near `tips`. `known` are verified tips, which need not be in the repository; `seeds` are the ones to
/// search from, and those that the search meets join them. Only what can be read is verified.
pub fn near(source: &mut dyn ObjectSource, tips: &[ObjectId], known: &Verified, seeds: &[ObjectId]) -> Verified {
    let mut search =
        Search { source, known, verified: HashMap::new(), open: BinaryHeap::new(), new: HashMap::new(), todo: BinaryHeap::new() };
    for seed in seeds {
        if let Some(until) = known.get(seed) {
            search.verify(*seed, *until);
        }
    }
    tips.iter().for_each(|tip| search.meet(*tip));
    while let Some((date, id)) = search.todo.pop() {
        if search.new.len() > MOST_NEW {
            break;
        }
        for turn in 0..STRIDE {
            let newer = search.open.peek().is_some_and(|(of, ..)| *of >= date);
            if search.verified.len() >= MOST_VERIFIED || !(turn == 0 || newer) {
                break;
            }
            search.pass_on();
        }
        let parents = search.new.get(&id).cloned().unwrap_or_default(); // none where it turned out to be verified
        parents.into_iter().for_each(|parent| search.meet(parent));
    }
    search.verified
}

struct Search<'a> {
    source: &'a mut dyn ObjectSource,
    known: &'a Verified,
    verified: Verified,
    /// Verified commits whose parents do not know it yet, by date.
    open: BinaryHeap<(i64, ObjectId, Vec<ObjectId>)>,
    /// The parents of commits that are new, as far as is known.
    new: HashMap<ObjectId, Vec<ObjectId>>,
    /// Those of them whose parents were not looked at, by date.
    todo: BinaryHeap<(i64, ObjectId)>,
}

impl Search<'_> {
    fn read(&mut self, id: &ObjectId) -> Result<Option<(i64, Vec<ObjectId>)>, ReadError> {
        let object = self.source.read(id)?;
        if object.kind != ObjectKind::Commit {
            return Ok(None);
        }
        let commit = Commit::parse(&object.data, self.source.hash());
        Ok(Some((commit.committer.map_or(0, |committer| committer.seconds), commit.parents)))
    }

    /// Takes a commit that is reached from the pushed tips.
    fn meet(&mut self, id: ObjectId) {
        if self.verified.contains_key(&id) || self.new.contains_key(&id) {
            return;
        }
        if let Some(until) = self.known.get(&id) {
            self.verify(id, *until);
            return;
        }
        if let Ok(Some((date, parents))) = self.read(&id) {
            self.new.insert(id, parents);
            self.todo.push((date, id));
        }
    }

    /// Takes a verified commit, and with it what was met below it.
    fn verify(&mut self, id: ObjectId, until: Option<i64>) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            if self.verified.contains_key(&id) {
                continue;
            }
            if let Some(parents) = self.new.remove(&id) {
                self.verified.insert(id, until);
                stack.extend(parents);
            } else if let Ok(Some((date, parents))) = self.read(&id) {
                self.verified.insert(id, until);
                self.open.push((date, id, parents));
            }
        }
    }

    fn pass_on(&mut self) {
        let Some((_, id, parents)) = self.open.pop() else { return };
        let until = self.verified.get(&id).copied().flatten();
        parents.into_iter().for_each(|parent| self.verify(parent, until));
    }
}
