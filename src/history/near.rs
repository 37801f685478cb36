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
        Ok(Some(Commit::links(&object.data, self.source.hash())))
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

#[cfg(test)]
mod tests {
    use super::super::{RawObject, ancestors};
    use super::*;
    use crate::object::HashAlgorithm;

    /// Commits by number, and how often one was read.
    struct Objects(HashMap<ObjectId, Vec<u8>>, usize);

    fn id(n: u32) -> ObjectId {
        let mut bytes = [9; 20];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        ObjectId::from_bytes(&bytes).unwrap()
    }

    impl Objects {
        fn add(&mut self, n: u32, parents: &[u32], date: i64) {
            let parents: String = parents.iter().map(|&parent| format!("parent {}\n", id(parent))).collect();
            let tree = id(u32::MAX);
            let text =
                format!("tree {tree}\n{parents}author A <a@x> {date} +0000\ncommitter A <a@x> {date} +0000\n\nm\n").into_bytes();
            self.0.insert(id(n), text);
        }
    }

    impl ObjectSource for Objects {
        fn read(&mut self, id: &ObjectId) -> Result<RawObject, ReadError> {
            self.1 += 1;
            let data = self.0.get(id).cloned().ok_or(ReadError::Missing)?;
            Ok(RawObject { kind: ObjectKind::Commit, data })
        }
        fn is_shallow_edge(&self, _: &ObjectId) -> bool {
            false
        }
        fn hash(&self) -> HashAlgorithm {
            HashAlgorithm::Sha1
        }
    }

    proptest::proptest! {
        #[test]
        fn only_what_lies_below_a_known_tip_is_verified_and_only_as_long(
            commits in proptest::collection::vec((0..40u32, 0..40u32, 0..40i64), 40),
            tips in proptest::collection::vec(0..45u32, 1..4),
            known in proptest::collection::vec((0..45u32, proptest::option::of(0..9i64)), 0..4),
            seeded in proptest::prelude::any::<bool>(),
        ) {
            let mut source = Objects(HashMap::new(), 0);
            for (n, (first, second, date)) in commits.iter().enumerate().skip(1) {
                let n = u32::try_from(n).unwrap();
                source.add(n, &[first % n, second % n], *date);
            }
            source.add(0, &[], 7);
            let known: Verified = known.iter().map(|(n, until)| (id(*n), *until)).collect();
            let seeds: Vec<_> = known.keys().copied().filter(|_| seeded).collect();
            let tips: Vec<_> = tips.iter().map(|&n| id(n)).collect();
            let found = near(&mut source, &tips, &known, &seeds);
            for (commit, until) in &found {
                let rests = known.iter().any(|(tip, of)| of == until && ancestors(&mut source, [*tip]).contains(commit));
                proptest::prop_assert!(rests && source.0.contains_key(commit), "{commit} until {until:?}");
            }
        }
    }

    #[test]
    fn the_search_costs_what_lies_between() {
        const LONG: u32 = 20_000;
        for (what, slope, from) in [("honest", 1, 0), ("all alike", 0, 5), ("turned round", -1, 0)] {
            let date = |n: i64| from + slope * n;
            let mut source = Objects(HashMap::new(), 0);
            source.add(0, &[], 0);
            (1..=LONG).for_each(|n| source.add(n, &[n - 1], date(i64::from(n))));
            // ten commits on top of the verified tip, ten beside it, and a merge of both
            let known = Verified::from([(id(LONG), Some(3))]);
            for (base, merged) in [(LONG, None), (LONG - 30, None), (LONG - 30, Some(LONG))] {
                let first = LONG + 1;
                (first..first + 10).for_each(|n| source.add(n, &[if n == first { base } else { n - 1 }], date(i64::from(n))));
                let top = first + 10;
                let parents: Vec<u32> = [top - 1].into_iter().chain(merged).collect();
                source.add(top, &parents, date(i64::from(top)));
                source.1 = 0;
                let found = near(&mut source, &[id(top)], &known, &[id(LONG)]);
                assert_eq!(found.get(&id(base)), Some(&Some(3)), "{what}, {base}");
                assert!(source.1 < 1000, "{what}, {base}: {} reads", source.1);
                assert!(!found.contains_key(&id(first)), "{what}, {base}");
            }
        }
        // what leads nowhere near is left alone at some point
        let mut source = Objects(HashMap::new(), 0);
        source.add(0, &[], 0);
        source.add(1, &[0], 1);
        (2..3 * u32::try_from(MOST_NEW).unwrap() / 2).for_each(|n| source.add(n, &[if n == 2 { 0 } else { n - 1 }], 9));
        source.1 = 0;
        let last = 3 * u32::try_from(MOST_NEW).unwrap() / 2 - 1;
        near(&mut source, &[id(last)], &Verified::from([(id(1), None)]), &[]);
        assert!(source.1 < MOST_NEW + 10);
    }
}
