//! Where a rewrite of refused commits has to begin, and the commands for it.

use super::Update;
use crate::history::Hidden;
use crate::io::git::Repository;
use crate::object::{ObjectId, ObjectKind};
use crate::report::escape::{is_plain_name, shell_word};
use crate::verdict::{Judgement, Verdict};
use std::collections::{HashMap, HashSet};

/// What was judged, for finding where a rewrite has to begin.
#[derive(Default)]
pub(super) struct Graph {
    parents: HashMap<ObjectId, Vec<ObjectId>>,
    /// The commits that signing again would mend.
    rejected: HashSet<ObjectId>,
    /// The refs of which signing a tag again would mend.
    tags: HashSet<String>,
    /// Whether there are more commits than are kept: then nothing is said of how to mend them all.
    overflown: bool,
}

/// How many commits a graph holds; nobody makes more of them again.
const MOST_COMMITS: usize = 200_000;

/// How many steps may be taken in it, where each ref asks for a line of them; nobody makes so many refs again by such commands.
const MOST_STEPS: usize = 20_000_000;

impl Graph {
    pub(super) fn add(&mut self, judgement: &Judgement) {
        if self.overflown || self.parents.len() >= MOST_COMMITS {
            *self = Self { overflown: true, ..Self::default() };
            return;
        }
        let cured = matches!(&judgement.verdict, Verdict::Reject { reason } if reason.is_cured_by_signing());
        match judgement.kind {
            Some(ObjectKind::Tag) if cured => self.tags.extend(judgement.reference.clone()),
            Some(ObjectKind::Commit) => {
                self.parents.insert(judgement.id, judgement.about.parents.clone());
                if cured {
                    self.rejected.insert(judgement.id);
                }
            }
            _ => {}
        }
    }

    /// The commands that make the refused branches and then the refused tags again, signed by whoever runs them. Where there
    /// is one branch it is taken to be checked out.
    pub(super) fn mends(&self, repository: &Repository, updates: &[Update], hidden: &Hidden) -> Vec<String> {
        if self.asks_too_much(updates.len()) {
            return Vec::new();
        }
        let bad = self.above_rejected();
        let below = |update: &Update, prefix: &[u8]| {
            let name = String::from_utf8_lossy(update.reference.strip_prefix(prefix)?).into_owned();
            is_plain_name(&name).then(|| (shell_word(&name), update.new, update.name.clone()))
        };
        let branches: Vec<_> =
            updates.iter().filter_map(|it| below(it, b"refs/heads/")).filter(|(_, tip, _)| bad.contains(tip)).collect();
        let several = branches.len() > 1;
        let mut commands = Vec::new();
        for (name, tip, _) in &branches {
            // in one line: where the branch has another name in the clone, nothing else is rewritten in its place
            let first = if several { format!("git checkout -q {name} -- && ") } else { String::new() };
            commands.push(first + &self.rebase(*tip, &bad, hidden));
        }
        for (name, new, reference) in updates.iter().filter_map(|it| below(it, b"refs/tags/")) {
            let annotated = repository.kind(&new) == Some(ObjectKind::Tag);
            let make = if annotated { "GIT_EDITOR=: git tag -s -f" } else { "git tag -f" }; // the message stays
            let tip = repository.peel_to_commit(&new).unwrap_or(new);
            let place = branches.iter().find_map(|(branch, tip_of, _)| {
                let depth = self.depth(*tip_of, tip)?;
                Some(if several { format!("refs/heads/{branch}~{depth}") } else { format!("HEAD~{depth}") })
            });
            match place {
                _ if !bad.contains(&tip) => {
                    if annotated && self.tags.contains(&reference) {
                        commands.push(format!("{make} {name} {name}^{{}}"));
                    }
                }
                Some(place) => commands.push(format!("{make} {name} {place}")), // on the branch that was just made again
                None => {
                    let rebase = self.rebase(tip, &bad, hidden);
                    commands.push(format!("git checkout -q --detach {name}^{{}} && {rebase} && {make} {name} HEAD"));
                }
            }
        }
        commands
    }

    fn asks_too_much(&self, refs: usize) -> bool {
        refs.saturating_mul(self.parents.len()) > MOST_STEPS
    }

    /// Makes everything again above the nearest commit on the first-parent line below which nothing is rejected.
    fn rebase(&self, tip: ObjectId, bad: &HashSet<ObjectId>, hidden: &Hidden) -> String {
        let mut line = self.first_parents(tip);
        let base = line.find(|id| !bad.contains(id) || hidden.contains(id));
        let base = base.map_or_else(|| "--root".to_owned(), |base| base.to_string());
        format!("git rebase --rebase-merges --force-rebase --gpg-sign {base}")
    }

    /// How far below a tip a commit lies on its first-parent line.
    fn depth(&self, tip: ObjectId, commit: ObjectId) -> Option<usize> {
        self.first_parents(tip).position(|id| id == commit)
    }

    fn first_parents(&self, tip: ObjectId) -> impl Iterator<Item = ObjectId> {
        std::iter::successors(Some(tip), |id| self.parents.get(id).and_then(|parents| parents.first().copied()))
    }

    /// The rejected commits and everything that was judged above them.
    fn above_rejected(&self) -> HashSet<ObjectId> {
        let mut children: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
        for (id, parents) in &self.parents {
            for parent in parents {
                children.entry(*parent).or_default().push(*id);
            }
        }
        let mut above = HashSet::new();
        let mut open: Vec<ObjectId> = self.rejected.iter().copied().collect();
        while let Some(id) = open.pop() {
            if above.insert(id) {
                open.extend(children.get(&id).into_iter().flatten());
            }
        }
        above
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;

    #[test]
    fn a_graph_is_bounded() {
        let mut graph = Graph::default();
        let push = |graph: &mut Graph, n: usize| {
            let id = ObjectId::from_bytes(&[[0; 12].as_slice(), &n.to_be_bytes()].concat()).unwrap();
            let mut judgement = Judgement::unread(id, Verdict::Reject { reason: Reason::Unsigned });
            judgement.kind = Some(ObjectKind::Commit);
            graph.add(&judgement);
            (graph.parents.len(), graph.rejected.len())
        };
        let mut add = |n: usize| push(&mut graph, n);
        for n in 0..MOST_COMMITS {
            assert_eq!(add(n), (n + 1, n + 1));
        }
        let most = MOST_STEPS / MOST_COMMITS;
        assert!(!graph.asks_too_much(most) && graph.asks_too_much(most + 1) && !Graph::default().asks_too_much(usize::MAX));
        let mut add = |n: usize| push(&mut graph, n);
        assert_eq!(add(MOST_COMMITS), (0, 0));
        assert_eq!(add(MOST_COMMITS + 1), (0, 0));
    }
}
