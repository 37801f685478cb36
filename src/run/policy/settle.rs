//! `policy settle`: what stands today stands from now on.

use super::super::stdout;
use super::super::verify::Targets;
use super::{Draft, refuse};
use crate::cli::PolicySettle;
use crate::policy::file::edit::Editor;
use crate::report::ExitStatus;
use crate::report::escape::printable;
use anyhow::{Result, anyhow, bail};
use std::io::Write as _;

/// Judges the refs, and settles them.
pub(super) fn run(args: &PolicySettle) -> Result<ExitStatus> {
    let mut draft = Draft::open(&args.edit)?;
    let refs = if args.refs.is_empty() { draft.protected()? } else { args.refs.clone() };
    if refs.is_empty() {
        bail!("nothing to settle: HEAD is on no branch that has a commit, and there is no tag; name what to settle");
    }
    let targets = Targets::resolve(&draft.place, &refs)?;
    if targets.common_start().is_some() {
        bail!("a range cannot be settled: name branches and tags");
    }
    let summary = draft.judge(&draft.source.text.clone(), &targets)?;
    if summary.exit_status() != ExitStatus::Accepted {
        return Ok(refuse(&summary, &targets.heading()));
    }
    let mut editor = Editor::new(&draft.source.text).map_err(|error| anyhow!("{}: {error}", draft.source.name))?;
    let (added, covered) = draft.settled_with(&targets);
    editor.settle(&added, &covered);
    draft.write(&editor, args.edit.dry_run)?;
    if !args.edit.dry_run {
        let name = printable(&draft.source.name).into_owned();
        let judged = summary.judged();
        writeln!(stdout(), "{name}: {} settled; what was judged now and is accepted: {judged}", added.len())?;
    }
    Ok(ExitStatus::Accepted)
}
