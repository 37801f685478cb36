//! `policy`: look at a policy file, and change it.

mod check;
mod retire;
mod settle;

use super::session::{Asked, Loaded, Place};
use super::verify::{Beyond, Targets, judge, with_configured};
use super::{colour, complain, stdout};
use crate::cli::{EditArgs, Policy, PolicyAction};
use crate::io::policy::{Source, is_toml, parse, read_directly, replace};
use crate::object::{ObjectId, ObjectKind};
use crate::policy::file::PolicyFile;
use crate::policy::file::edit::Editor;
use crate::report::escape::printable;
use crate::report::human::{Human, Style};
use crate::report::{ExitStatus, Report as _, Summary};
use anyhow::{Context as _, Result, bail};
use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Runs `policy check`, `settle` or `retire`.
///
/// # Errors
/// Where the file is no valid policy, or cannot be read or written.
pub fn run(args: &Policy) -> Result<ExitStatus> {
    match &args.action {
        PolicyAction::Check(args) => check::run(args),
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
        Ok(Self { place, path, source, file })
    }

    /// Judges refs under a text of the policy; says nothing unless something is rejected. Gives the counts.
    fn judge(&mut self, text: &[u8], targets: &Targets) -> Result<Summary> {
        let toml = Some(parse(&self.source.name, text)?);
        let source = Source { toml, text: text.to_vec(), ..self.source.clone() };
        let loaded = Loaded::of(&mut self.place, source, Asked::default())?;
        let beyond = Beyond {
            baseline: with_configured(&self.place, "warrant.baseline", &[])?,
            settled: with_configured(&self.place, "warrant.settled", &[])?,
            ..Beyond::default()
        };
        let style = Style { colour: colour(&io::stderr()), ..Style::default() };
        let mut lines = Vec::new();
        let mut report = Human::new(&mut lines, loaded.heading(targets.heading()), style)?;
        let summary = judge(&mut self.place, &loaded, targets, &beyond, &mut report)?;
        report.finish(&summary)?;
        if summary.exit_status() != ExitStatus::Accepted {
            io::stderr().write_all(&lines)?;
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

    /// The branch that is checked out and all tags: what stands today.
    fn protected(&self) -> Result<Vec<String>> {
        let refs: Vec<String> =
            self.place.repository.references()?.into_iter().filter(|name| name.starts_with("refs/tags/")).collect();
        let head = self.place.repository.resolve_symbolic(b"HEAD")?;
        let branch = std::str::from_utf8(&head).ok().filter(|name| name.starts_with("refs/heads/"));
        let branch = branch.filter(|name| self.place.repository.resolve(name).is_ok()).map(str::to_owned);
        Ok(branch.into_iter().chain(refs).collect())
    }

    /// The list `settled` with some refs added: ids below others are left out, ids that are not here stay.
    fn settled_with(&mut self, refs: &[String]) -> Result<Vec<(ObjectId, String)>> {
        let mut wanted: Vec<(ObjectId, String)> = self.file.settled.iter().map(|id| (*id, String::new())).collect();
        for name in refs {
            let resolved = self.place.repository.resolve(name)?;
            let commit = self.place.repository.peel_to_commit(&resolved.id)?;
            for id in [resolved.id, commit] {
                if !wanted.iter().any(|(known, _)| *known == id) {
                    wanted.push((id, printable(name).into_owned()));
                }
            }
        }
        let mut below = HashSet::new();
        for (id, _) in &wanted {
            // a tag covers nothing but itself, and nothing covers a tag
            if self.place.repository.kind(id) == Some(ObjectKind::Commit) && !below.contains(id) {
                below.extend(self.place.strictly_below(id));
            }
        }
        Ok(wanted.into_iter().filter(|(id, _)| !below.contains(id)).collect())
    }
}

/// Says that nothing was changed, and gives the status of what was judged.
fn refuse(summary: &Summary, what: &str) -> ExitStatus {
    complain(&format!("git-warrant: nothing is written: {what} does not verify under the present policy; mend that first"));
    summary.exit_status()
}
