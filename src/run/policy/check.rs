//! `policy check`: is the file valid, and what is in it.

use super::super::session::{Place, certificates, read_lines, revoked_by};
use super::super::{complain, stdout};
use crate::cli::PolicyCheck;
use crate::history::ObjectSource as _;
use crate::io::git::Repository;
use crate::io::policy::{Search, Source, find, read_directly};
use crate::policy::file::{PolicyFile, Status};
use crate::report::ExitStatus;
use crate::report::escape::printable;
use anyhow::{Result, anyhow, bail};
use std::io::Write as _;

/// Checks a file, or the policy that is used here.
pub(super) fn run(args: &PolicyCheck) -> Result<ExitStatus> {
    let place = Place::open();
    let source = match &args.file {
        Some(file) => read_directly(file, None)?.1,
        None => {
            let place = place.as_ref().map_err(|error| anyhow!("{error:#}; or name the file to check"))?;
            find(&place.repository, &place.config, &Search::default())?
        }
    };
    let digest = source.digest();
    let lines = match &source.toml {
        Some(file) => of_toml(&source, file, place.as_ref().ok().map(|place| &place.repository))?,
        None => of_lines(&source)?,
    };
    let mut out = stdout();
    writeln!(out, "{}: valid (sha256:{digest})", printable(&source.name))?;
    for line in lines {
        writeln!(out, "  {}", printable(&line))?;
    }
    out.flush()?;
    Ok(ExitStatus::Accepted)
}

fn of_lines(source: &Source) -> Result<Vec<String>> {
    let (signers, notes) = read_lines(source)?;
    notes.iter().for_each(|note| complain(&format!("warning: {}", printable(note))));
    let authorities = signers.lines.iter().filter(|line| line.cert_authority).count();
    Ok(vec![format!(
        "allowed_signers: {}, {}, {} skipped",
        count(signers.lines.len() - authorities, "line with a key", "lines with keys"),
        count(authorities, "authority", "authorities"),
        signers.skipped.len()
    )])
}

fn of_toml(source: &Source, file: &PolicyFile, repository: Option<&Repository>) -> Result<Vec<String>> {
    for authority in &file.authorities {
        revoked_by(authority, source)?;
    }
    certificates(file, source)?;
    if let Some(repository) = repository {
        if let Some(id) = file.ids().find(|id| id.algorithm() != repository.hash()) {
            bail!("{} names {id}, which is no id of this repository's hash function", source.name);
        }
        let absent = file.ids().filter(|id| repository.kind(id).is_none());
        absent.for_each(|id| {
            complain(&format!(
                "warning: {} names {id}, which is not in this repository: nothing stands by it here",
                printable(&source.name)
            ));
        });
    }
    let keys: Vec<&Status> = file.principals.iter().flat_map(|person| &person.keys).map(|key| &key.status).collect();
    let state = |of: fn(&Status) -> bool| keys.iter().filter(|status| of(status)).count();
    Ok(vec![
        format!(
            "{}, {}: {} active, {} retired, {} compromised",
            count(file.principals.len(), "principal", "principals"),
            count(keys.len(), "key", "keys"),
            state(|status| *status == Status::Active),
            state(|status| *status == Status::Retired),
            state(|status| matches!(status, Status::Compromised { .. }))
        ),
        count(file.authorities.len(), "authority", "authorities"),
        format!("{} settled, {} in the baseline, {} exempt", file.settled.len(), file.baseline.len(), file.exempt.len()),
    ])
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
