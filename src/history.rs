//! Which commits are judged, and in which order.
//!
//! The walk reads raw objects and follows the `parent` lines that it finds in them: no replace ref, no graft, no
//! commit-graph file and no shallow file changes what is reached. One batch of commits is judged on all cores while what was
//! found of the batch before is written and the batch behind is read; the order of what comes out depends on the objects
//! alone. What is hidden (below a baseline or the
//! start of a range) is walked in full first, so no date decides what is judged. Cost: each object is read once.

mod near;

pub use near::{Verified, near};

use crate::judge::Judge;
use crate::object::{Commit, Fault, HashAlgorithm, ObjectId, ObjectKind, Tag};
use crate::verdict::{Judgement, Reason, Unjudged, Verdict};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// How many commits are judged at a time, and how many bytes of them at most.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 32 << 20;
/// How many bytes of commits may wait for their turn; beyond it they are read a second time.
const WAITING_BYTES: usize = 32 << 20;

/// An object as the repository holds it.
#[derive(Clone, Debug)]
pub struct RawObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its content.
    pub data: Vec<u8>,
}

/// Why an object cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("not in the repository")]
    Missing,
    /// Its bytes do not hash to its id.
    #[error("its bytes do not hash to its id")]
    HashMismatch,
    /// The hash function's own detection of collision attacks spoke up.
    #[error("SHA-1 collision attack detected")]
    Collision,
    /// Larger than what is judged.
    #[error("{0} bytes, too large to be read")]
    TooLarge(usize),
    /// Anything else that the object store says.
    #[error("{0}")]
    Unreadable(String),
}

/// Where objects come from. Every read re-hashes what it gives.
pub trait ObjectSource: Send {
    /// Reads an object.
    ///
    /// # Errors
    /// Where it is missing, damaged or too large.
    fn read(&mut self, id: &ObjectId) -> Result<RawObject, ReadError>;

    /// Whether the clone was cut below this commit.
    fn is_shallow_edge(&self, id: &ObjectId) -> bool;

    /// The hash function of the ids.
    fn hash(&self) -> HashAlgorithm;
}

/// The verdict of an object that cannot be read.
pub fn verdict_of(error: ReadError) -> Verdict {
    match error {
        ReadError::Missing => Verdict::Unjudged { why: Unjudged::Missing },
        ReadError::HashMismatch => Verdict::Reject { reason: Reason::HashMismatch },
        ReadError::Collision => Verdict::Reject { reason: Reason::Collision },
        ReadError::TooLarge(bytes) => Verdict::Reject { reason: Reason::Fault(Fault::TooLarge { bytes }) },
        ReadError::Unreadable(what) => Verdict::Unjudged { why: Unjudged::Unreadable { what } },
    }
}

/// All ancestors of the given commits, themselves included. What cannot be read is one, too, but nothing is known below it.
pub fn ancestors(source: &mut dyn ObjectSource, tips: impl IntoIterator<Item = ObjectId>) -> HashSet<ObjectId> {
    descend(source, tips).0
}

/// The ancestors, and those of them that cannot be read.
fn descend(source: &mut dyn ObjectSource, tips: impl IntoIterator<Item = ObjectId>) -> (HashSet<ObjectId>, HashSet<ObjectId>) {
    let (mut seen, mut unread) = (HashSet::new(), HashSet::new());
    let mut open: Vec<ObjectId> = tips.into_iter().collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        match source.read(&id) {
            Ok(object) if object.kind == ObjectKind::Commit => open.extend(Commit::links(&object.data, source.hash()).1),
            Ok(_) => {}
            Err(_) => {
                unread.insert(id);
            }
        }
    }
    (seen, unread)
}

/// The commits from the tips down that lie at or above a commit.
pub fn above(source: &mut dyn ObjectSource, tips: &[ObjectId], commit: ObjectId) -> HashSet<ObjectId> {
    let mut children: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    let (mut seen, mut open) = (HashSet::new(), tips.to_vec());
    while let Some(id) = open.pop() {
        if !seen.insert(id) || id == commit {
            continue;
        }
        if let Ok(RawObject { kind: ObjectKind::Commit, data }) = source.read(&id) {
            let (_, parents) = Commit::links(&data, source.hash());
            parents.iter().for_each(|parent| children.entry(*parent).or_default().push(id));
            open.extend(parents);
        }
    }
    let (mut above, mut open) = (HashSet::new(), Vec::from_iter(seen.contains(&commit).then_some(commit)));
    while let Some(id) = open.pop() {
        if above.insert(id) {
            open.extend(children.get(&id).into_iter().flatten());
        }
    }
    above
}

/// Concludes a judgement that hangs on what lies below its object: the certificate names a commit, which has to be there.
/// Searches from the object down, newest claimed date first, until that commit is met; dates only decide how soon.
pub fn confirm(source: &mut dyn ObjectSource, judgement: &mut Judgement) {
    let Verdict::Unjudged { why: Unjudged::BuiltOn { commit, principal } } = &judgement.verdict else { return };
    let (mut seen, mut open, mut complete) = (HashSet::new(), BinaryHeap::new(), true);
    let mut below = vec![judgement.id];
    loop {
        if below.contains(commit) {
            judgement.verdict = Verdict::Accept { principal: principal.clone() };
            return;
        }
        for id in below {
            if seen.insert(id) {
                match below_of(source, &id) {
                    Ok((date, below)) => open.push((date, id, below)),
                    Err(_) => complete = false,
                }
            }
        }
        let Some((.., next)) = open.pop() else { break };
        below = next;
    }
    if complete {
        judgement.verdict = Verdict::Reject { reason: Reason::NotBuiltOn { commit: *commit } };
    }
}

/// The claimed date of an object, and what lies right below it.
fn below_of(source: &mut dyn ObjectSource, id: &ObjectId) -> Result<(i64, Vec<ObjectId>), ReadError> {
    let object = source.read(id)?;
    Ok(match object.kind {
        ObjectKind::Commit => Commit::links(&object.data, source.hash()),
        ObjectKind::Tag => (i64::MAX, Tag::parse(&object.data, source.hash()).target.into_iter().collect()),
        ObjectKind::Tree | ObjectKind::Blob => (0, Vec::new()),
    })
}

/// What a walk does not judge. Each set is closed under ancestors.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    /// Not asked for: below the start of a range.
    pub unasked: HashSet<ObjectId>,
    /// Below the policy's baseline: counted as outside, never accepted.
    pub baseline: HashSet<ObjectId>,
}

impl Hidden {
    /// Whether a commit is not judged.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.unasked.contains(id) || self.baseline.contains(id)
    }
}

/// A walk from tips down, newest claimed date first, each commit once.
#[derive(Debug, Default)]
pub struct Walk {
    hidden: Hidden,
    /// What was accepted before by the same standard.
    verified: Verified,
    /// The verified commits that were met from above.
    above: Vec<ObjectId>,
    seen: HashSet<ObjectId>,
    /// The commits of the baseline that were met from above.
    met: Vec<ObjectId>,
    /// By claimed date, then in the order in which they were met.
    queue: BinaryHeap<(i64, Reverse<usize>)>,
    queued: HashMap<usize, Queued>,
    /// How many bytes of content wait.
    waiting: usize,
}

#[derive(Debug)]
struct Queued {
    id: ObjectId,
    what: Result<ReadCommit, Verdict>,
}

#[derive(Debug)]
struct ReadCommit {
    /// The content; `None` where too much is waiting already: it is read again when its turn comes.
    raw: Option<Vec<u8>>,
    parents: Vec<ObjectId>,
}

impl Walk {
    /// A walk that leaves out what is hidden.
    pub fn new(hidden: Hidden) -> Self {
        Self { hidden, ..Self::default() }
    }

    /// A walk that leaves out what is hidden, and ends where it meets what was verified before.
    pub fn above(hidden: Hidden, verified: Verified) -> Self {
        Self { hidden, verified, ..Self::default() }
    }

    /// The verified commits at which the walk ended, with the end of each one's verdict.
    pub fn ended_at(&self) -> impl Iterator<Item = (ObjectId, Option<i64>)> {
        self.above.iter().filter_map(|id| Some((*id, *self.verified.get(id)?)))
    }

    /// What the walk leaves out.
    pub fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// How many commits the tips reach that lie below the baseline.
    pub fn outside(&self, source: &mut dyn ObjectSource) -> usize {
        let (seen, unread) = descend(source, self.met.iter().copied());
        seen.iter().filter(|id| !unread.contains(id) && !self.hidden.unasked.contains(id)).count()
    }

    /// Judges the tips and all their ancestors that are not hidden and were not judged before by this walk; hands each
    /// judgement to `sink`, in the walk's order. Uses all threads of the pool that it runs in.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn run<E: Send>(
        &mut self,
        source: &mut dyn ObjectSource,
        judge: &Judge<'_>,
        tips: &[ObjectId],
        sink: &mut (dyn FnMut(Judgement) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        for tip in tips {
            self.enqueue(source, *tip, None);
        }
        let (mut batch, mut judged) = (self.next_batch(source), Vec::new());
        while !(batch.is_empty() && judged.is_empty()) {
            let (next, now_judged) = rayon::join(
                || {
                    for mut judgement in judged {
                        confirm(source, &mut judgement);
                        sink(judgement)?;
                    }
                    Ok(self.next_batch(source))
                },
                || batch.into_par_iter().map(|read| judge_one(judge, read)).collect::<Vec<_>>(),
            );
            (batch, judged) = (next?, now_judged);
        }
        Ok(())
    }

    fn enqueue(&mut self, source: &mut dyn ObjectSource, id: ObjectId, child: Option<ObjectId>) {
        if !self.seen.insert(id) || self.hidden.unasked.contains(&id) {
            return;
        }
        if self.verified.contains_key(&id) {
            self.above.push(id);
            return;
        }
        if self.hidden.baseline.contains(&id) {
            self.met.push(id);
            return;
        }
        let (date, what) = match source.read(&id) {
            Ok(RawObject { kind: ObjectKind::Commit, data }) => {
                let (date, parents) = Commit::links(&data, source.hash());
                let raw = Some(data).filter(|data| self.waiting + data.len() <= WAITING_BYTES);
                self.waiting += raw.as_ref().map_or(0, Vec::len);
                (date, Ok(ReadCommit { raw, parents }))
            }
            Ok(object) => (0, Err(Verdict::Reject { reason: Reason::NotSignable { kind: object.kind } })),
            Err(ReadError::Missing) if child.is_some_and(|child| source.is_shallow_edge(&child)) => {
                (0, Err(Verdict::Unjudged { why: Unjudged::Shallow }))
            }
            Err(error) => (0, Err(verdict_of(error))),
        };
        let number = self.seen.len();
        self.queue.push((date, Reverse(number)));
        self.queued.insert(number, Queued { id, what });
    }

    fn next_batch(&mut self, source: &mut dyn ObjectSource) -> Vec<Read> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(queued) = self.queue.pop().and_then(|(_, Reverse(number))| self.queued.remove(&number)) else { break };
            let what = queued.what.and_then(|commit| {
                self.waiting -= commit.raw.as_ref().map_or(0, Vec::len);
                for parent in &commit.parents {
                    self.enqueue(source, *parent, Some(queued.id));
                }
                match commit.raw {
                    Some(raw) => Ok(raw),
                    None => source.read(&queued.id).map(|object| object.data).map_err(verdict_of),
                }
            });
            bytes += what.as_ref().map_or(0, Vec::len);
            batch.push((queued.id, what));
        }
        batch
    }
}

/// A commit's content, or the verdict of one that cannot be read.
type Read = (ObjectId, Result<Vec<u8>, Verdict>);

fn judge_one(judge: &Judge<'_>, (id, what): Read) -> Judgement {
    match what {
        Ok(raw) => judge.commit(id, &raw),
        Err(verdict) => Judgement::unread(id, verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::allowed_signers::AllowedSigners;
    use crate::policy::ancestry::Ancestry;
    use crate::policy::{Demands, Policy, revocation::RevokedKeys};
    use crate::verdict::Principal;

    /// Commits by the last digit of their id; what is not there is missing.
    struct Objects(HashMap<ObjectId, Vec<u8>>, Vec<ObjectId>);

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes(&[n; 20]).unwrap()
    }

    /// `(number, parents, date)` each.
    fn objects(commits: &[(u8, &[u8], i64)]) -> Objects {
        let text = |parents: &[u8], date: i64| {
            let parents: String = parents.iter().map(|&parent| format!("parent {}\n", id(parent))).collect();
            format!("tree {}\n{parents}author A <a@x> {date} +0000\ncommitter A <a@x> {date} +0000\n\nm\n", id(99)).into_bytes()
        };
        Objects(commits.iter().map(|(n, parents, date)| (id(*n), text(parents, *date))).collect(), Vec::new())
    }

    impl ObjectSource for Objects {
        fn read(&mut self, id: &ObjectId) -> Result<RawObject, ReadError> {
            let data = self.0.get(id).cloned().ok_or(ReadError::Missing)?;
            Ok(RawObject { kind: ObjectKind::Commit, data })
        }
        fn is_shallow_edge(&self, id: &ObjectId) -> bool {
            self.1.contains(id)
        }
        fn hash(&self) -> HashAlgorithm {
            HashAlgorithm::Sha1
        }
    }

    fn walked(source: &mut Objects, tips: &[u8], unasked: &[u8], baseline: &[u8]) -> (Vec<(u8, &'static str)>, usize) {
        let policy = Policy::new(AllowedSigners::default(), RevokedKeys::default(), Demands::default());
        let judge = Judge { verifiers: &[], hash: HashAlgorithm::Sha1, policy: &policy, settled: &Ancestry::nothing(), now: 0 };
        let hidden = Hidden {
            unasked: ancestors(source, unasked.iter().map(|&n| id(n))),
            baseline: ancestors(source, baseline.iter().map(|&n| id(n))),
        };
        let mut walk = Walk::new(hidden);
        let mut out = Vec::new();
        let tips: Vec<_> = tips.iter().map(|&n| id(n)).collect();
        walk.run(source, &judge, &tips, &mut |judged| {
            let word = judged.verdict.code().unwrap_or("accept");
            out.push((judged.id.as_bytes()[0], word));
            Ok::<_, ()>(())
        })
        .unwrap();
        let outside = walk.outside(source);
        (out, outside)
    }

    fn names(walked: (Vec<(u8, &'static str)>, usize)) -> Vec<u8> {
        walked.0.into_iter().map(|(n, _)| n).collect()
    }

    #[test]
    fn each_commit_once_newest_first() {
        let mut source = objects(&[(1, &[], 1), (2, &[1], 5), (3, &[1], 4), (4, &[2, 3], 6)]);
        assert_eq!(names(walked(&mut source, &[4, 2], &[], &[])), [4, 2, 3, 1]);
    }

    #[test]
    fn hidden_ancestors_are_hidden_whatever_their_dates() {
        // 3 claims to be older than what hides it
        let mut source = objects(&[(1, &[], 900), (2, &[1], 800), (3, &[2], 1), (4, &[3, 1], 2)]);
        assert_eq!(names(walked(&mut source, &[4], &[2], &[])), [4, 3]);
        let (judged, outside) = walked(&mut source, &[4], &[], &[2]);
        assert_eq!((judged.len(), outside), (2, 2));
        let (judged, outside) = walked(&mut source, &[4], &[1], &[2]);
        assert_eq!((judged.len(), outside), (2, 1));
    }

    #[test]
    fn an_unmerged_baseline_hides_nothing() {
        let mut source = objects(&[(1, &[], 1), (2, &[1], 2), (9, &[], 3)]);
        let (judged, outside) = walked(&mut source, &[2], &[], &[9]);
        assert_eq!((judged.len(), outside), (2, 0));
    }

    #[test]
    fn a_certificates_commit_is_looked_for_below() {
        let mut source = objects(&[(1, &[], 9), (2, &[1], 1), (3, &[1], 5), (4, &[2, 3], 2), (5, &[4, 8], 3), (6, &[], 1)]);
        let mut word = |object: u8, commit: u8| {
            let why = Unjudged::BuiltOn { commit: id(commit), principal: Principal("p".to_owned()) };
            let mut judgement = Judgement::unread(id(object), Verdict::Unjudged { why });
            confirm(&mut source, &mut judgement);
            judgement.verdict.code().unwrap_or("accept")
        };
        // 8 is not here
        let cases = [(4, 4), (4, 2), (4, 3), (4, 1), (4, 5), (4, 6), (1, 4), (5, 1), (5, 6), (5, 8)];
        let words = cases.map(|(object, commit)| word(object, commit));
        let (yes, no, unknown) = ("accept", "not-built-on", "ancestor-unknown");
        assert_eq!(words, [yes, yes, yes, yes, no, no, no, yes, unknown, yes]);
    }

    #[test]
    fn a_missing_parent_is_unjudged_never_passed_over() {
        let mut source = objects(&[(2, &[1], 2)]);
        assert_eq!(walked(&mut source, &[2], &[], &[]).0, [(2, "unsigned"), (1, "missing-object")]);
        source.1.push(id(2));
        assert_eq!(walked(&mut source, &[2], &[], &[]).0, [(2, "unsigned"), (1, "shallow")]);
        assert_eq!(walked(&mut source, &[2], &[1], &[]).0, [(2, "unsigned")]);
    }
}
