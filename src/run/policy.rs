//! `policy`: look at a policy file, make one, and change it.

mod check;
mod import;
mod retire;
mod settle;

use super::session::{Asked, Loaded, Place};
use super::verify::{Beyond, Targets, judge};
use super::{colour, complain, stdout};
use crate::cli::{EditArgs, Policy, PolicyAction};
use crate::io::policy::{Source, parse, read_directly, replace, revocation_file};
use crate::object::{ObjectId, ObjectKind};
use crate::policy::file::PolicyFile;
use crate::policy::file::edit::{Addition, Editor};
use crate::report::escape::printable;
use crate::report::human::{Human, Style};
use crate::report::mend::is_toml;
use crate::report::{ExitStatus, Report, Summary};
use crate::verdict::{Judgement, Verdict};
use anyhow::{Context as _, Result, bail};
use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Runs `policy check`, `import`, `settle` or `retire`.
///
/// # Errors
/// Where the file is no valid policy, or cannot be read or written.
pub fn run(args: &Policy) -> Result<ExitStatus> {
    match &args.action {
        PolicyAction::Check(args) => check::run(args),
        PolicyAction::Import(args) => import::run(args),
        PolicyAction::Settle(args) => settle::run(args),
        PolicyAction::Retire(args) => retire::run(args),
    }
}

/// A policy in TOML that is being changed.
struct Draft {
    place: Place,
    /// The file, links followed.
    path: PathBuf,
    source: Source,
    file: PolicyFile,
}

impl Draft {
    /// Opens what `--policy` or warrant.policy names.
    fn open(args: &EditArgs) -> Result<Self> {
        let place = Place::open()?;
        let configured = place.config.get("warrant.policy")?;
        let (named, base) = match (&args.policy, configured) {
            (Some(named), _) => (named.clone(), None),
            (None, Some(named)) => (named, Some(place.repository.top().to_owned())),
            (None, None) => bail!("which policy? Name it: --policy FILE, or git config warrant.policy FILE"),
        };
        if !is_toml(&named) {
            bail!(
                "{named} is no policy in TOML (a name that ends in .toml); with an allowed_signers file, keys are retired by valid-before, and commits settled by git config --add warrant.settled <full id>"
            );
        }
        let (path, source) = read_directly(&named, base.as_deref())
            .with_context(|| format!("the policy {named} (to change it, name the file: REV:PATH cannot be changed)"))?;
        let file = source.toml.clone().with_context(|| format!("{named} is no policy in TOML"))?;
        let source = Source { revoked: revocation_file(&place.repository, &place.config)?, ..source };
        Ok(Self { place, path, source, file })
    }

    /// Judges refs under a text of the policy, by nothing else that this user configured: the file speaks for everybody. Says
    /// nothing unless something speaks against settling it.
    fn judge(&mut self, text: &[u8], targets: &Targets) -> Result<Summary> {
        let toml = Some(parse(&self.source.name, text)?);
        let source = Source { toml, text: text.to_vec(), ..self.source.clone() };
        let loaded = Loaded::of(&mut self.place, source, Asked::default())?;
        let style = Style { colour: colour(&io::stderr()), ..Style::default() };
        let mut lines = Vec::new();
        let mut report = Human::new(&mut lines, loaded.heading(targets.heading()), style)?;
        let mut watch = Watch { report: &mut report, freed: false };
        let mut summary = judge(&mut self.place, &loaded, targets, &Beyond::default(), &mut watch)?;
        let freed = watch.freed;
        report.finish(&summary)?;
        if summary.exit_status() != ExitStatus::Accepted || freed {
            io::stderr().write_all(&lines)?;
        }
        if freed {
            complain(
                "git-warrant: settling would let an exempt commit stand everywhere, also where it is not mended; where it may, add its id to `settled` and take its [[exempt]] out, then ask again",
            );
            summary.rejected += 1;
        }
        Ok(summary)
    }

    /// Writes the changed file, or prints it.
    fn write(&self, editor: &Editor, dry_run: bool) -> Result<()> {
        let text = editor.text();
        parse(&self.source.name, text.as_bytes()).context("the changed policy is not valid; nothing was written")?;
        if dry_run {
            return Ok(stdout().write_all(text.as_bytes())?);
        }
        replace(&self.path, &self.source.text, &text)
    }

    /// The branch that is checked out and all tags, save those of files and trees: what stands today.
    fn protected(&self) -> Result<Vec<String>> {
        let repository = &self.place.repository;
        let head = repository.resolve_symbolic(b"HEAD")?;
        let branch = std::str::from_utf8(&head).ok().filter(|name| name.starts_with("refs/heads/")).map(str::to_owned);
        let tags = repository.references()?.into_iter().filter(|name| name.starts_with("refs/tags/"));
        let judged =
            |name: &String| repository.resolve(name).is_ok_and(|it| matches!(it.kind, ObjectKind::Commit | ObjectKind::Tag));
        Ok(branch.into_iter().chain(tags).filter(judged).collect())
    }

    /// What has to be added to `settled` for what was judged, with a comment each: the tips that no other covers, and every tag on the
    /// way to them, for nothing covers a tag. And what lies below these.
    fn settled_with(&mut self, targets: &Targets) -> (Vec<Addition>, HashSet<ObjectId>) {
        let (mut wanted, mut commits) = (Vec::new(), HashSet::new());
        // the very ids that were judged: a ref may have moved meanwhile
        for (name, id) in targets.named() {
            for (id, kind) in self.place.chain(id) {
                match kind {
                    ObjectKind::Commit => commits.insert(id),
                    ObjectKind::Tag => true,
                    ObjectKind::Tree | ObjectKind::Blob => continue, // nothing signs them
                };
                wanted.push((id, printable(name).into_owned()));
            }
        }
        let below = self.place.strictly_below(&commits);
        let known = self.place.ancestry(self.file.settled.clone()).objects;
        let mut seen = HashSet::new();
        wanted.retain(|(id, _)| !below.contains(id) && !known.contains(id) && seen.insert(*id));
        (wanted, below)
    }
}

/// Passes judgements on, and looks whether one of an exempt commit is for something that settling cures.
struct Watch<'a> {
    report: &'a mut dyn Report,
    freed: bool,
}

impl Report for Watch<'_> {
    fn judged(&mut self, judgement: Judgement) -> io::Result<()> {
        self.freed |= matches!(&judgement.verdict, Verdict::Exempt { reason, .. } if reason.is_cured_by_settling());
        self.report.judged(judgement)
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.report.finish(summary)
    }
}

/// Says that nothing was changed, and gives the status of what was judged.
fn refuse(summary: &Summary, what: &str) -> ExitStatus {
    complain(&format!("git-warrant: nothing is written: {what} does not verify under the present policy; mend that first"));
    summary.exit_status()
}
