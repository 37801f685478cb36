//! `git warrant trust`: trusted roots and addresses of services, fetched when somebody asks for it.

use super::{complain, stdout};
use crate::cli::{Trust, TrustAction, TrustStatus, TrustUpdate};
use crate::io::clock;
use crate::io::sigstore::Http;
use crate::io::sigstore::tuf::{self, Mirror};
use crate::io::trust::{Output, SIGNING_CONFIG, TRUSTED_ROOT, read_bounded, state};
use crate::report::ExitStatus;
use crate::report::escape::printable;
use crate::verdict::Utc;
use anyhow::{Context as _, Result};
use std::io::Write as _;

/// A longer root to begin with is none.
const MOST_ROOT: usize = 512 << 10;

/// Does what is asked.
///
/// # Errors
/// Where nothing can be fetched, or what was fetched cannot be believed or kept.
pub fn run(args: &Trust) -> Result<ExitStatus> {
    match &args.action {
        TrustAction::Update(args) => update(args),
        TrustAction::Status(args) => status(args),
    }
}

fn update(args: &TrustUpdate) -> Result<ExitStatus> {
    let mirror = Mirror::named(&args.mirror)?;
    let root = args.root.as_deref().map(|path| read_bounded(path, MOST_ROOT)).transpose()?;
    let output = args.output.as_deref().map(Output::at).transpose()?; // before anything changes
    let fetched = mirror.update(Http::new(), root.as_deref(), clock::now())?;
    if let Some(output) = &output {
        output.write(fetched.trusted_root.as_bytes())?;
    }
    let mut out = stdout();
    writeln!(out, "fetched from {}", printable(mirror.url()))?;
    for line in &fetched.lines {
        writeln!(out, "  {}", printable(line))?;
    }
    let more = if fetched.signing_config { " and the addresses of its services" } else { ", and no addresses of services" };
    let output = args.output.as_ref().map(|path| format!(", written to {}", path.display())).unwrap_or_default();
    writeln!(out, "  the trusted root{}{more}", printable(&output))?;
    out.flush()?;
    Ok(ExitStatus::Accepted)
}

fn status(args: &TrustStatus) -> Result<ExitStatus> {
    let mirror = Mirror::named(&args.mirror)?;
    let mut out = stdout();
    let files = state(mirror.url())?.filter(|files| files.contains_key(TRUSTED_ROOT));
    let Some(files) = files else {
        writeln!(out, "nothing was fetched from {}; git warrant trust update", printable(mirror.url()))?;
        out.flush()?;
        return Ok(ExitStatus::Accepted);
    };
    let when = tuf::when(&files).context("the state of the mirror is damaged: it does not say when it was fetched")?;
    writeln!(out, "fetched from {} at {}", printable(mirror.url()), Utc(when))?;
    for line in tuf::lines(&files) {
        writeln!(out, "  {}", printable(&line))?;
    }
    let held = [TRUSTED_ROOT, SIGNING_CONFIG].into_iter().filter(|name| files.contains_key(*name));
    writeln!(out, "  holds {}", held.collect::<Vec<_>>().join(" and "))?;
    out.flush()?;
    if tuf::ends(&files).is_some_and(|ends| ends < clock::now()) {
        complain("warning: a part of it has ended since; git warrant trust update asks for a newer one");
    }
    Ok(ExitStatus::Accepted)
}
