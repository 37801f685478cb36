//! `git warrant agent`: started, asked, ended.

mod units;

use super::stdout;
use crate::cli::{AgentAction, AgentArgs};
use crate::io::agent::{Agent, serve};
use crate::report::ExitStatus;
use crate::report::escape::printable;
use crate::verdict::Utc;
use anyhow::{Context as _, Result};
use std::io::Write as _;

/// Does what is asked. Status and stop: exit status 3 where no agent runs.
///
/// # Errors
/// Where the agent cannot be started, or does not answer.
pub fn run(args: &AgentArgs) -> Result<ExitStatus> {
    if args.foreground {
        serve()?;
        return Ok(ExitStatus::Accepted);
    }
    let Some(action) = &args.action else {
        Agent::start().context("the agent cannot be started")?;
        return Ok(ExitStatus::Accepted);
    };
    let mut out = stdout();
    if let AgentAction::Units { to } = action {
        for path in units::write(to)? {
            writeln!(out, "{}", printable(&path.display().to_string()))?;
        }
        writeln!(out, "git warrant agent stop")?; // one that runs already would be in the service's way
        writeln!(out, "systemctl --user daemon-reload && systemctl --user enable --now git-warrant-agent.socket")?;
        out.flush()?;
        return Ok(ExitStatus::Accepted);
    }
    let Some(agent) = Agent::look()? else {
        writeln!(out, "no agent runs")?;
        out.flush()?;
        return Ok(ExitStatus::Unjudged);
    };
    match action {
        AgentAction::Status => {
            let status = agent.status()?;
            let memory = if status.locked { "its memory is locked" } else { "its memory is not locked" };
            writeln!(out, "process {}; {memory}", status.process)?;
            for held in &status.certificates {
                let renewed = held.renewed_until.map(|until| format!(", renewed until {}", Utc(until))).unwrap_or_default();
                let line = format!("a certificate of {} until {}{renewed}", held.subject, Utc(held.until));
                writeln!(out, "{}", printable(&line))?;
            }
            if status.certificates.is_empty() {
                writeln!(out, "no certificate; git warrant login")?;
            }
        }
        AgentAction::Stop => agent.stop()?,
        AgentAction::Units { .. } => {}
    }
    out.flush()?;
    Ok(ExitStatus::Accepted)
}
