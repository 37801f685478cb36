//! `hook pre-receive`: refuse a push that the policy does not allow.

pub mod install;

mod graph;
mod known;
mod own;
mod script;

use self::graph::Graph;
use self::known::Known;
use super::exempt::Exemptions;
use super::session::{Asked, Loaded, Place, Target, judge_tags, with_judge};
use super::{colour, complain};
use crate::cli::{PolicyArgs, PreReceive};
use crate::history::{Hidden, ObjectSource as _, Verified, Walk, ancestors};
use crate::io::git::Repository;
use crate::io::policy::Search;
use crate::judge::{self, Judge, Nonce, TagPlace};
use crate::object::{ObjectId, ObjectKind, RefUpdate};
use crate::policy::ancestry::Ancestry;
use crate::report::escape::printable;
use crate::report::human::{Human, Style};
use crate::report::{ExitStatus, Heading, Report, Summary};
use crate::verdict::{Judgement, Reason, Verdict};
use anyhow::{Context as _, Result, bail};
use std::collections::HashSet;
use std::env;
use std::io::{self, Read as _, Write};

/// One line of the hook's input.
struct Update {
    old: ObjectId,
    new: ObjectId,
    /// As the pusher named it.
    name: String,
    /// What really moves, symbolic refs resolved, by its name in the repository.
    stored: Vec<u8>,
    /// The same by its name in the namespace that is pushed to.
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
    if let Some(why) = own::refusal(&mut place, args, &loaded, &updates)? {
        complain(&format!("git-warrant: the push is refused: {}", printable(&why)));
        return Ok(ExitStatus::Rejected);
    }
    let baseline: Vec<_> = baseline.into_iter().map(|id| (id, place.repository.peel_to_commit(&id).ok())).collect();
    let settled: Vec<_> = settled.into_iter().map(|id| (id, place.repository.kind(&id).map(|_| id))).collect();
    let hides: Vec<ObjectId> = baseline.iter().map(|(id, commit)| commit.unwrap_or(*id)).collect();
    let exact = hides.is_empty() && settled.is_empty();

    let standard = known::standard(&place, &loaded, baseline, settled);
    let asked: Vec<ObjectId> = updates.iter().map(|update| update.old).chain(place.repository.head_commit()).collect();
    // an exempt commit below a verified tip stands with what mends it, and nowhere else
    let known = if loaded.exempt.is_empty() { Known::find(&place, standard, &asked) } else { Known::default() };
    let tips: Vec<ObjectId> = updates.iter().filter_map(|update| place.repository.peel_to_commit(&update.new).ok()).collect();
    let verified = known.near(&mut place, &tips, &asked);
    let certificate = push_certificate(&mut place.repository)?;
    let heading = loaded.heading(target(&updates));
    let job = Job { loaded: &loaded, updates: &updates, heading, certificate, input: &input };

    // Above verified tips, the ancestors of baselines and of what is settled, which may be many, need not be known as long as
    // everything is accepted without them: both only ever accept more.
    if !exact && !verified.is_empty() {
        let mut out = Vec::new();
        let hidden = Hidden::default();
        if let Ok(done) = job.judge(&mut place.repository, &Ancestry::nothing(), hidden, verified.clone(), true, &mut out) {
            known.record(&done.tips, done.ends);
            io::stderr().write_all(&out).context("cannot write the report")?;
            return Ok(ExitStatus::Accepted);
        }
    }
    let settled = place.settled(&place.config.get_all("warrant.settled")?, &loaded.settled)?;
    let repository = &mut place.repository;
    let hidden = Hidden { unasked: HashSet::new(), baseline: ancestors(repository, hides) };
    let done = job.judge(repository, &settled, hidden, verified, false, &mut io::stderr()).context("cannot write the report")?;
    if !done.mends.is_empty() {
        complain("To mend, in your clone, with the branch that you pushed checked out; then push again:");
        done.mends.iter().for_each(|mend| complain(&format!("    run: {}", printable(mend))));
    }
    if done.status == ExitStatus::Accepted {
        known.record(&done.tips, done.ends);
    }
    Ok(done.status)
}

/// What a push is judged by.
struct Rules {
    loaded: Loaded,
    /// What is left out, by the settings and the policy.
    baseline: Vec<ObjectId>,
    /// What is settled by the settings, and all other ids that the policy names.
    settled: Vec<ObjectId>,
}

impl Rules {
    /// Finds the policy and the settings, all of which must be such as a hook may use.
    fn find(place: &mut Place, args: &PreReceive) -> Result<Self> {
        let PolicyArgs { policy, revoked, .. } = &args.policy;
        let search = Search { policy: policy.clone(), revoked: revoked.clone(), range_start: None, hook: true };
        let loaded = Loaded::find(place, &search, Asked::by_hook(&args.policy, args.allow_wildcard))?;
        let baseline = [full_ids(place, "warrant.baseline")?, loaded.baseline.clone()].concat();
        let settled = [full_ids(place, "warrant.settled")?, loaded.named.clone()].concat();
        Ok(Self { loaded, baseline, settled })
    }
}

/// What is to be judged, by what.
struct Job<'a> {
    loaded: &'a Loaded,
    updates: &'a [Update],
    heading: Heading,
    /// The push certificate, and what the hook was told.
    certificate: Option<(ObjectId, Vec<u8>)>,
    input: &'a [u8],
}

/// What came of a push.
struct Outcome {
    status: ExitStatus,
    mends: Vec<String>,
    /// The commits that the refs lead to.
    tips: Vec<ObjectId>,
    /// The earliest end of what the acceptance rests on.
    ends: Option<i64>,
}

impl Job<'_> {
    /// Judges the push; fails at the first thing that is not accepted where `all_or_none` asks for it.
    fn judge(
        &self,
        repository: &mut Repository,
        settled: &Ancestry,
        hidden: Hidden,
        verified: Verified,
        all_or_none: bool,
        out: &mut (dyn Write + Send),
    ) -> io::Result<Outcome> {
        let style = Style { all: false, colour: colour(&io::stderr()), hook: true };
        let mut report = Human::new(out, self.heading.clone(), style)?;
        let counts_outside = verified.is_empty();
        let mut walk = Walk::above(hidden, verified);
        let mut push = Push {
            summary: Summary::default(),
            report: &mut report,
            graph: Graph::default(),
            name: String::new(),
            all_or_none,
            tips: Vec::new(),
            ends: None,
            exemptions: Exemptions::new(&self.loaded.exempt, &self.loaded.source.name),
        };
        with_judge(repository.hash(), &self.loaded.policy, &self.loaded.material, settled, |judge| {
            if let Some((id, raw)) = &self.certificate {
                "this push".clone_into(&mut push.name);
                let known = judge::Push { updates: ref_updates(self.input), nonce: nonce() };
                push.take(judge.push_certificate(*id, raw, &known))?;
            }
            for update in self.updates {
                push.name.clone_from(&update.name);
                judge_update(repository, judge, update, &mut walk, &mut push)?;
            }
            push.release(repository, self.updates)
        })?;
        let Push { mut summary, graph, tips, ends, .. } = push;
        summary.verified = walk.ended_at().count();
        let ends = walk.ended_at().filter_map(|(_, ends)| ends).chain(ends).min();
        if counts_outside {
            summary.outside = walk.outside(repository);
        }
        report.finish(&summary)?;
        let mends = graph.mends(repository, self.updates, walk.hidden());
        Ok(Outcome { status: summary.exit_status(), mends, tips, ends })
    }
}

/// The certificate that came with the push, read from where git put it. What git found out about its signature is not asked.
fn push_certificate(repository: &mut Repository) -> Result<Option<(ObjectId, Vec<u8>)>> {
    let Some(id) = env::var_os("GIT_PUSH_CERT") else { return Ok(None) };
    let id = id.to_str().and_then(|id| id.parse().ok()).context("GIT_PUSH_CERT is no object id")?;
    let object = repository.read(&id).with_context(|| format!("the push certificate {id} cannot be read"))?;
    if object.kind != ObjectKind::Blob {
        bail!("the push certificate {id} is a {}", object.kind);
    }
    Ok(Some((id, object.data)))
}

/// What the server says of the nonce: it made it, and compares it before any hook runs. Its `SLOP` is a genuine nonce that is
/// older than receive.certNonceSlop lets it be, of whatever age; one within that is `OK`, and stands in GIT_PUSH_CERT_NONCE.
fn nonce() -> Nonce {
    let text = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let status = text("GIT_PUSH_CERT_NONCE_STATUS");
    match (text("GIT_PUSH_CERT_NONCE").filter(|nonce| !nonce.is_empty()), status.as_deref()) {
        (None, None | Some("UNSOLICITED")) => Nonce::NotAsked,
        (Some(nonce), Some("OK")) => Nonce::Is(nonce),
        (_, status) => Nonce::Refused(status.unwrap_or("nothing").to_owned()),
    }
}

fn ref_updates(input: &[u8]) -> Vec<RefUpdate<'_>> {
    input.split(|&b| b == b'\n').filter_map(RefUpdate::parse).collect()
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
    report: &'a mut dyn Report,
    graph: Graph,
    name: String,
    all_or_none: bool,
    tips: Vec<ObjectId>,
    ends: Option<i64>,
    exemptions: Exemptions<'a>,
}

impl Push<'_> {
    fn take(&mut self, mut judgement: Judgement) -> io::Result<()> {
        judgement.reference = Some(self.name.clone());
        self.exemptions.pass(judgement).map_or(Ok(()), |judgement| self.count(judgement))
    }

    /// Counts what had to wait for all refs.
    fn release(&mut self, repository: &mut Repository, updates: &[Update]) -> io::Result<()> {
        let judged = updates.iter().filter(|update| matches!(coverage(&update.reference), Coverage::Judged));
        let tips: Vec<ObjectId> = judged.filter_map(|update| repository.peel_to_commit(&update.new).ok()).collect();
        self.exemptions.release(repository, &tips).into_iter().try_for_each(|judgement| self.count(judgement))
    }

    fn count(&mut self, judgement: Judgement) -> io::Result<()> {
        if self.all_or_none && !matches!(judgement.verdict, Verdict::Accept { .. }) {
            return Err(io::ErrorKind::Other.into());
        }
        self.ends = self.ends.into_iter().chain(judgement.ends).min();
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
            let name = TagPlace::name_in(&update.reference);
            match judge_tags(repository, judge, update.new, name, &mut |judgement| push.take(judgement))? {
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
    push.tips.push(tip);
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
        let stored = repository.resolve_symbolic(&[prefix.as_bytes(), name].concat())?;
        let reference = stored.strip_prefix(prefix.as_bytes()).unwrap_or(&stored).to_vec();
        updates.push(Update { old, new, name: String::from_utf8_lossy(name).into_owned(), stored, reference });
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
