//! `hook pre-receive`: refuse a push that the policy does not allow.

pub mod install;

mod script;

use super::exempt::Exemptions;
use super::session::{Asked, Loaded, Place, Target, judge_tags, with_judge};
use super::{colour, complain};
use crate::cli::{PolicyArgs, PreReceive};
use crate::history::{Hidden, ObjectSource as _, Walk, ancestors};
use crate::io::git::Repository;
use crate::io::policy::Search;
use crate::judge::Judge;
use crate::object::{ObjectId, ObjectKind};
use crate::policy::ancestry::Ancestry;
use crate::report::escape::{is_plain_name, printable, shell_word};
use crate::report::human::{Human, Style};
use crate::report::{ExitStatus, Report, Summary};
use crate::verdict::{Judgement, Reason, Verdict};
use anyhow::{Context as _, Result, bail};
use std::collections::{HashMap, HashSet};
use std::env;
use std::io::{self, Read as _};

/// One line of the hook's input.
struct Update {
    new: ObjectId,
    /// As the pusher named it.
    name: String,
    /// What really moves: namespaces and symbolic refs resolved.
    reference: Vec<u8>,
}

/// Which rule covers a ref: with an allowed_signers file there is one, for branches and tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coverage {
    Judged,
    /// Git writes notes as unsigned commits: they pass, and the report says so.
    Notes,
    Refused,
    Replace,
}

/// Judges a push; what it refuses, and why, and what mends it, goes to standard error, which git shows to the pusher.
///
/// # Errors
/// Where the input, the policy or the repository cannot be read: git refuses the push then, too.
pub fn pre_receive(args: &PreReceive) -> Result<ExitStatus> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input).context("cannot read the ref updates")?;
    let mut place = Place::open()?;
    let updates = read_updates(&place.repository, &input)?;
    let Rules { loaded, baseline, settled } = Rules::find(&mut place, args)?;
    for note in &loaded.notes {
        complain(&format!("warning: {}", printable(note)));
    }
    let repository = &mut place.repository;
    let hidden = Hidden { unasked: HashSet::new(), baseline: ancestors(repository, baseline) };
    let heading = loaded.heading(target(&updates));
    let style = Style { all: false, colour: colour(&io::stderr()), hook: true };
    let mut report = Human::new(io::stderr(), heading, style).context("cannot write the report")?;
    let mut push = Push {
        summary: Summary::default(),
        report: &mut report,
        graph: Graph::default(),
        name: String::new(),
        exemptions: Exemptions::new(&loaded.exempt, &loaded.source.name),
    };
    let mut walk = Walk::new(hidden);
    with_judge(repository.hash(), &loaded.policy, &loaded.certificates, &settled, |judge| {
        for update in &updates {
            push.name.clone_from(&update.name);
            judge_update(repository, judge, update, &mut walk, &mut push)?;
        }
        push.release(repository, &updates)
    })
    .context("cannot write the report")?;
    let Push { mut summary, graph, .. } = push;
    let mends = graph.mends(repository, &updates, walk.hidden());
    summary.outside = walk.outside(repository);
    report.finish(&summary).context("cannot write the report")?;
    if !mends.is_empty() {
        complain("To mend, in your clone, with the branch that you pushed checked out; then push again:");
        mends.iter().for_each(|mend| complain(&format!("    run: {}", printable(mend))));
    }
    Ok(summary.exit_status())
}

/// What a push is judged by.
struct Rules {
    loaded: Loaded,
    baseline: Vec<ObjectId>,
    settled: Ancestry,
}

impl Rules {
    /// Finds the policy and the settings, all of which must be such as a hook may use.
    fn find(place: &mut Place, args: &PreReceive) -> Result<Self> {
        let PolicyArgs { policy, revoked, .. } = &args.policy;
        let search = Search { policy: policy.clone(), revoked: revoked.clone(), range_start: None, hook: true };
        let loaded = Loaded::find(place, &search, Asked::by_hook(&args.policy, args.allow_wildcard))?;
        let baseline = full_ids(place, "warrant.baseline")?;
        let baseline = [place.peeled(&baseline), place.peeled(&loaded.baseline)].concat();
        full_ids(place, "warrant.settled")?;
        let settled = place.settled(&place.config.get_all("warrant.settled")?, &loaded.settled)?;
        Ok(Self { loaded, baseline, settled })
    }
}

/// What is pushed, for the report's first line.
fn target(updates: &[Update]) -> String {
    const MOST: usize = 5;
    let names: Vec<&str> = updates.iter().take(MOST).map(|update| update.name.as_str()).collect();
    let more = if updates.len() > MOST { format!(" and {} more", updates.len() - MOST) } else { String::new() };
    format!("push of {}{more}", names.join(", "))
}

/// The counts, the report and the graph of one push.
struct Push<'a> {
    summary: Summary,
    report: &'a mut Human<io::Stderr>,
    graph: Graph,
    name: String,
    exemptions: Exemptions<'a>,
}

impl Push<'_> {
    fn take(&mut self, mut judgement: Judgement) -> io::Result<()> {
        judgement.reference = Some(self.name.clone());
        self.exemptions.pass(judgement).map_or(Ok(()), |judgement| self.count(judgement))
    }

    /// Counts what had to wait for all refs.
    fn release(&mut self, repository: &mut Repository, updates: &[Update]) -> io::Result<()> {
        let tips: Vec<ObjectId> = updates.iter().filter_map(|update| repository.peel_to_commit(&update.new).ok()).collect();
        self.exemptions.release(repository, &tips).into_iter().try_for_each(|judgement| self.count(judgement))
    }

    fn count(&mut self, judgement: Judgement) -> io::Result<()> {
        self.summary.count(&judgement);
        self.graph.add(&judgement);
        self.report.judged(judgement)
    }
}

fn judge_update(
    repository: &mut Repository,
    judge: &Judge<'_>,
    update: &Update,
    walk: &mut Walk,
    push: &mut Push<'_>,
) -> io::Result<()> {
    match coverage(&update.reference) {
        Coverage::Judged => {}
        Coverage::Notes => {
            push.summary.unjudged_refs.push(update.name.clone());
            return Ok(());
        }
        Coverage::Refused => return push.take(Judgement::unread(update.new, Verdict::Reject { reason: Reason::NoRule })),
        Coverage::Replace => return push.take(Judgement::unread(update.new, Verdict::Reject { reason: Reason::ReplaceRef })),
    }
    if update.new.is_zero() {
        return Ok(()); // the one rule of an allowed_signers file lets refs be deleted
    }
    let kind = repository.kind(&update.new);
    let tip = match kind {
        Some(ObjectKind::Tag) => {
            // a tag object under refs/heads/ is no honest push: its name cannot be the ref's
            let name = update.reference.strip_prefix(b"refs/tags/").unwrap_or(&update.reference);
            match judge_tags(repository, judge, update.new, Some(name), &mut |judgement| push.take(judgement))? {
                Target::Commit(commit) => commit,
                Target::Nothing => return Ok(()),
            }
        }
        Some(kind @ (ObjectKind::Tree | ObjectKind::Blob)) => {
            return push.take(Judgement::unread(update.new, Verdict::Reject { reason: Reason::NotSignable { kind } }));
        }
        // what is missing comes out of the walk as unjudged
        Some(ObjectKind::Commit) | None => update.new,
    };
    walk.run(repository, judge, &[tip], &mut |judgement| push.take(judgement))
}

fn coverage(reference: &[u8]) -> Coverage {
    let below = |prefix: &[u8]| reference.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    if below(b"refs/replace/") {
        Coverage::Replace
    } else if below(b"refs/notes/") {
        Coverage::Notes
    } else if below(b"refs/heads/") || below(b"refs/tags/") {
        Coverage::Judged
    } else {
        Coverage::Refused
    }
}

/// `OLD NEW REF` lines, the refs resolved to what they move.
fn read_updates(repository: &Repository, input: &[u8]) -> Result<Vec<Update>> {
    let namespace = env::var_os("GIT_NAMESPACE").unwrap_or_default().into_string();
    let namespace =
        namespace.map_err(|name| anyhow::anyhow!("GIT_NAMESPACE is not UTF-8, and its refs cannot be found: {name:?}"))?;
    let prefix: String =
        namespace.split('/').filter(|part| !part.is_empty()).map(|part| format!("refs/namespaces/{part}/")).collect();
    let mut updates = Vec::new();
    let mut lines: Vec<&[u8]> = input.split(|&b| b == b'\n').collect();
    if let Some(rest) = lines.pop().filter(|rest| !rest.is_empty()) {
        bail!("`{}` is cut off: not a line of the form OLD NEW REF", String::from_utf8_lossy(rest));
    }
    for line in lines {
        let mut words = line.splitn(3, |&b| b == b' ');
        let ids = [words.next(), words.next()].map(|word| word.and_then(ObjectId::from_hex));
        let ([Some(old), Some(new)], Some(name)) = (ids, words.next()) else {
            bail!("`{}` is not a line of the form OLD NEW REF", String::from_utf8_lossy(line));
        };
        if [old, new].iter().any(|id| id.algorithm() != repository.hash()) {
            bail!("`{}` names objects of another hash function", String::from_utf8_lossy(line));
        }
        let real = repository.resolve_symbolic(&[prefix.as_bytes(), name].concat())?;
        let reference = real.strip_prefix(prefix.as_bytes()).unwrap_or(&real).to_vec();
        updates.push(Update { new, name: String::from_utf8_lossy(name).into_owned(), reference });
    }
    if updates.is_empty() {
        bail!("no ref updates on standard input: git's pre-receive hook gets one line of the form OLD NEW REF for each");
    }
    Ok(updates)
}

/// A hook's settings name full ids only: whoever may push refs would choose what a name stands for. An id that is not here
/// hides and settles nothing.
fn full_ids(place: &Place, setting: &str) -> Result<Vec<ObjectId>> {
    let values = place.config.get_all(setting)?;
    values
        .iter()
        .map(|value| {
            value.parse().with_context(|| format!("{setting} = {value}: a hook takes full ids only (git rev-parse {value})"))
        })
        .collect()
}

/// What was judged, for finding where a rewrite has to begin.
#[derive(Default)]
struct Graph {
    parents: HashMap<ObjectId, Vec<ObjectId>>,
    /// The commits that signing again would mend.
    rejected: HashSet<ObjectId>,
    /// The refs of which signing a tag again would mend.
    tags: HashSet<String>,
}

impl Graph {
    fn add(&mut self, judgement: &Judgement) {
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
    fn mends(&self, repository: &Repository, updates: &[Update], hidden: &Hidden) -> Vec<String> {
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

    #[test]
    fn which_refs_are_judged() {
        for (name, want) in [
            ("refs/heads/main", Coverage::Judged),
            ("refs/heads/a/b", Coverage::Judged),
            ("refs/tags/v1", Coverage::Judged),
            ("refs/notes/commits", Coverage::Notes),
            ("refs/replace/0123", Coverage::Replace),
            ("refs/heads/", Coverage::Refused),
            ("refs/headsx/main", Coverage::Refused),
            ("refs/for/main", Coverage::Refused),
            ("refs/meta/config", Coverage::Refused),
            ("HEAD", Coverage::Refused),
        ] {
            assert_eq!(coverage(name.as_bytes()), want, "{name}");
        }
    }
}
