//! `verify`: judge a history, a range, a tag.

use super::exempt::Exemptions;
use super::online::Online;
use super::session::{Asked, Loaded, Place, Target, judge_tags, with_judge};
use super::{complain, stdout};
use crate::cli::{Format, Verify};
use crate::history::{Hidden, ObjectSource, ReadError, Walk, ancestors, confirm, verdict_of};
use crate::io::policy::{NoPolicy, Search};
use crate::judge::{Judge, TagPlace};
use crate::object::{ObjectId, ObjectKind, Tag};
use crate::report::escape::printable;
use crate::report::human::{Human, Style};
use crate::report::jsonl::JsonLines;
use crate::report::{ExitStatus, Heading, Report, Summary};
use crate::verdict::Judgement;
use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::io;
use std::io::{IsTerminal as _, Read as _};

/// Judges what is asked and writes the report.
///
/// # Errors
/// Where the call or the policy is not valid, or the report cannot be written.
pub fn run(args: &Verify) -> Result<ExitStatus> {
    if let Some(bundle) = &args.bundle {
        return super::bundle::verify(args, bundle);
    }
    let mut place = Place::open()?;
    let targets = Targets::resolve(&place, &revisions(&place, args)?)?;
    targets.refuse_mixed(args.no_walk)?;
    let search = Search {
        policy: args.policy.policy.clone(),
        revoked: args.policy.revoked.clone(),
        range_start: targets.common_start(),
        hook: false,
    };
    let mut loaded = match Loaded::find(&mut place, &search, Asked::by(&args.policy)) {
        Err(error) if error.is::<NoPolicy>() => {
            let seen = super::seen::keys(&mut place, &targets.tips())?;
            bail!("{error}\n{seen}");
        }
        loaded => loaded?,
    };
    loaded.material.online = args.online.then(|| Online::new(&place)).transpose()?;
    for note in &loaded.notes {
        complain(&format!("warning: {}", printable(note)));
    }
    for target in targets.0.iter().filter(|target| target.is_lightweight_tag()) {
        complain(&format!(
            "warning: {} is a lightweight tag: nothing signs the tag, its commit is judged",
            printable(&target.name)
        ));
    }
    let beyond = Beyond {
        baseline: with_configured(&place, "warrant.baseline", &args.baseline)?,
        settled: with_configured(&place, "warrant.settled", &args.settled)?,
        no_walk: args.no_walk,
        threads: args.threads.unwrap_or(0),
    };
    let mut report = report(args, loaded.heading(targets.heading()))?;
    let summary = judge(&mut place, &loaded, &targets, &beyond, report.as_mut())?;
    if summary.judged() == 0 && !args.allow_empty {
        bail!(
            "nothing to judge in {}: the range is empty or lies below the baseline; --allow-empty accepts that",
            targets.heading()
        );
    }
    report.finish(&summary).context("cannot write the report")?;
    Ok(summary.exit_status())
}

/// What is asked beyond the policy's file.
#[derive(Default)]
pub(super) struct Beyond {
    pub(super) baseline: Vec<String>,
    pub(super) settled: Vec<String>,
    /// Judge only the named objects.
    pub(super) no_walk: bool,
    /// How many threads judge; 0: as many as there are cores.
    pub(super) threads: usize,
}

/// Judges all that the targets stand for, each judgement to the report.
pub(super) fn judge(
    place: &mut Place,
    loaded: &Loaded,
    targets: &Targets,
    beyond: &Beyond,
    report: &mut dyn Report,
) -> Result<Summary> {
    let mut baseline = place.commits("--baseline", &beyond.baseline)?;
    baseline.extend(place.peeled(&loaded.baseline));
    let settled = place.settled(&beyond.settled, &loaded.settled)?;
    let repository = &mut place.repository;
    let hidden = Hidden { unasked: ancestors(repository, targets.common_start()), baseline: ancestors(repository, baseline) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(beyond.threads).build().context("cannot start threads")?;
    let mut progress = Progress::new();
    let mut summary = Summary::default();
    let mut exemptions = Exemptions::new(&loaded.exempt, &loaded.source.name);
    let written = with_judge(repository.hash(), &loaded.policy, &loaded.material, &settled, |judge| {
        pool.install(|| {
            let mut take = |judgement: Judgement| {
                summary.count(&judgement);
                progress.tick(summary.judged());
                report.judged(judgement)
            };
            let mut sink = |judgement: Judgement| exemptions.pass(judgement).map_or(Ok(()), &mut take);
            let outside = if beyond.no_walk {
                targets.judge_alone(repository, judge, &mut sink)
            } else {
                targets.walk(repository, judge, hidden, &mut sink)
            }?;
            let tips = targets.commits(repository);
            exemptions.release(repository, &tips).into_iter().try_for_each(take)?;
            Ok::<_, io::Error>(outside)
        })
    });
    progress.end();
    summary.outside = written.context("cannot write the report")?;
    Ok(summary)
}

/// All that is asked for; HEAD where nothing is.
fn revisions(place: &Place, args: &Verify) -> Result<Vec<String>> {
    let mut revisions = args.revisions.clone();
    if args.stdin {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).context("cannot read revisions from standard input")?;
        revisions.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if args.all {
        revisions.extend(place.repository.references()?);
    }
    if revisions.is_empty() {
        if args.stdin {
            bail!("standard input names nothing to judge");
        }
        revisions.push("HEAD".to_owned());
    }
    Ok(revisions)
}

/// The configured values and then those of the command line.
pub(super) fn with_configured(place: &Place, setting: &str, given: &[String]) -> Result<Vec<String>> {
    let mut all = place.config.get_all(setting)?;
    all.extend_from_slice(given);
    Ok(all)
}

fn report(args: &Verify, heading: Heading) -> Result<Box<dyn Report>> {
    let out = stdout();
    Ok(match args.format {
        Format::Human => {
            let style = Style { all: args.all_verdicts, colour: super::colour(&io::stdout()), hook: false };
            Box::new(Human::new(out, heading, style).context("cannot write the report")?)
        }
        Format::Jsonl => Box::new(JsonLines::new(out, heading)),
    })
}

/// What is to be judged.
pub(super) struct Targets(Vec<Named>);

/// One argument.
struct Named {
    /// The full name of the ref, else the argument.
    name: String,
    id: ObjectId,
    kind: ObjectKind,
    /// The ref's name as a tag.
    tag: Option<Vec<u8>>,
    /// The A of A..B.
    start: Option<ObjectId>,
}

impl Named {
    fn is_lightweight_tag(&self) -> bool {
        self.tag.is_some() && self.kind == ObjectKind::Commit
    }
}

impl Targets {
    pub(super) fn resolve(place: &Place, revisions: &[String]) -> Result<Self> {
        revisions.iter().map(|revision| named(place, revision)).collect::<Result<_>>().map(Self)
    }

    pub(super) fn heading(&self) -> String {
        let one = |target: &Named| match target.start {
            Some(start) => format!("verify {} ({start}..{})", target.name, target.id),
            None => format!("verify {} ({})", target.name, target.id),
        };
        const MOST: usize = 5;
        let more = match self.0.len().saturating_sub(MOST) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.0.iter().take(MOST).map(one).collect::<Vec<_>>().join(", ") + &more
    }

    /// Their names and ids.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.0.iter().map(|target| (target.name.as_str(), target.id))
    }

    pub(super) fn tips(&self) -> Vec<ObjectId> {
        self.0.iter().map(|target| target.id).collect()
    }

    /// The commits that they are or lead to.
    pub(super) fn commits(&self, repository: &crate::io::git::Repository) -> Vec<ObjectId> {
        self.0.iter().filter_map(|target| repository.peel_to_commit(&target.id).ok()).collect()
    }

    /// A range's start would hide what another argument asks for, and without a walk there is no range.
    fn refuse_mixed(&self, no_walk: bool) -> Result<()> {
        let starts: Vec<_> = self.0.iter().map(|target| target.start).collect();
        if starts.windows(2).any(|pair| pair.first() != pair.last()) {
            bail!("a range and another argument would hide commits from each other; judge them in a call each");
        }
        if no_walk && starts.iter().any(Option::is_some) {
            bail!("--no-walk judges the objects that are named; a range A..B is judged without it");
        }
        Ok(())
    }

    /// The A that all arguments share.
    pub(super) fn common_start(&self) -> Option<ObjectId> {
        let first = self.0.first()?.start?;
        self.0.iter().all(|target| target.start == Some(first)).then_some(first)
    }

    /// Judges tags and then everything that they and the other arguments reach; gives how much lies outside.
    fn walk(
        &self,
        repository: &mut crate::io::git::Repository,
        judge: &Judge<'_>,
        hidden: Hidden,
        sink: &mut (dyn FnMut(Judgement) -> io::Result<()> + Send),
    ) -> io::Result<usize> {
        let mut tips = Vec::new();
        for target in &self.0 {
            if target.kind == ObjectKind::Tag {
                match judge_tags(repository, judge, target.id, target.tag.as_deref(), sink)? {
                    Target::Commit(commit) => tips.push(commit),
                    Target::Nothing => {}
                }
            } else {
                tips.push(target.id);
            }
        }
        let mut walk = Walk::new(hidden);
        walk.run(repository, judge, &tips, sink)?;
        Ok(walk.outside(repository))
    }

    /// Judges the named objects and nothing else.
    fn judge_alone(
        &self,
        repository: &mut crate::io::git::Repository,
        judge: &Judge<'_>,
        sink: &mut dyn FnMut(Judgement) -> io::Result<()>,
    ) -> io::Result<usize> {
        for target in &self.0 {
            let judgement = match repository.read(&target.id) {
                Ok(object) if object.kind == ObjectKind::Tag => {
                    let mut first = None;
                    judge_tags(repository, judge, target.id, target.tag.as_deref(), &mut |judgement| {
                        first.get_or_insert(judgement);
                        Ok::<_, io::Error>(())
                    })?;
                    let named = Tag::parse(&object.data, judge.hash).target;
                    if named.is_some_and(|named| repository.kind(&named).is_none()) {
                        // whether the tag tells the truth of its target cannot be seen
                        first.as_mut().map(Judgement::miss_target);
                    }
                    first
                }
                Ok(object) => {
                    let mut judgement = judge.commit(target.id, &object.data);
                    confirm(repository, &mut judgement);
                    Some(judgement)
                }
                Err(ReadError::Missing) => Some(Judgement::unread(target.id, verdict_of(ReadError::Missing))),
                Err(error) => Some(Judgement::unread(target.id, verdict_of(error))),
            };
            judgement.map_or(Ok(()), &mut *sink)?;
        }
        Ok(0)
    }
}

fn named(place: &Place, revision: &str) -> Result<Named> {
    if revision.contains("...") || revision.starts_with('^') {
        bail!("`{revision}`: of ranges only A..B is known");
    }
    let (start, tip) = match revision.split_once("..") {
        Some((start, tip)) => {
            let [start, tip] = [start, tip].map(|part| if part.is_empty() { "HEAD" } else { part });
            let start = place.repository.resolve(start)?;
            (Some(place.repository.peel_to_commit(&start.id)?), tip)
        }
        None => (None, revision),
    };
    let mut resolved = place.repository.resolve(tip)?;
    if resolved.kind == ObjectKind::Commit && ["^", "~", ":", "@{"].iter().any(|mark| tip.contains(mark)) {
        resolved.reference = None; // it begins with a ref's name, and goes on to something else
    }
    if !matches!(resolved.kind, ObjectKind::Commit | ObjectKind::Tag) {
        bail!("`{revision}` is a {}, which cannot carry a signature; name a commit or a tag", resolved.kind);
    }
    let home = resolved.reference.as_deref().map(|name| place.repository.name_at_home(name));
    let tag = home.as_deref().and_then(|name| match resolved.kind {
        ObjectKind::Tag => TagPlace::name_in(name),
        _ => name.strip_prefix(b"refs/tags/"),
    });
    let tag = tag.map(<[u8]>::to_vec);
    let name = resolved.reference.map_or_else(|| revision.to_owned(), |name| String::from_utf8_lossy(&name).into_owned());
    Ok(Named { name, id: resolved.id, kind: resolved.kind, tag, start })
}

/// How far a long walk is, on standard error where that is a terminal.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{pos} judged, {per_sec}")) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn tick(&self, judged: usize) {
        if let Some(bar) = self.0.as_ref().filter(|_| judged.is_multiple_of(256)) {
            bar.set_position(u64::try_from(judged).unwrap_or(u64::MAX));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}
