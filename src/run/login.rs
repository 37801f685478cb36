//! `git warrant login`: a certificate for the next minutes, held by the agent.

use super::{complain, stdout};
use crate::cli;
use crate::io::config::Config;
use crate::io::git::{OpenError, Repository};
use crate::io::secrecy::forbid_dumps;
use crate::io::sigstore::login::LoggedIn;
use crate::io::sigstore::services::Services;
use crate::io::sigstore::signing::{Unkept, keep};
use crate::io::sigstore::{Http, login, token};
use crate::report::ExitStatus;
use crate::report::escape::printable;
use crate::verdict::Utc;
use anyhow::Result;
use std::io::Write as _;

/// Those that the settings name; outside of a repository, where people log in as well, those of the user.
fn services() -> Result<Services> {
    match Repository::open() {
        Ok(repository) => Services::of(Some(&repository), &repository.config()?),
        Err(error) if matches!(error.downcast_ref(), Some(OpenError::NotFound)) => Services::of(None, &Config::of_user()?),
        Err(error) => Err(error),
    }
}

/// Logs in, by a token at hand or by asking; what the agent held before is replaced.
///
/// # Errors
/// Where nobody logs in, no certificate is issued, or no agent can hold it.
pub fn run(args: &cli::Login) -> Result<ExitStatus> {
    forbid_dumps();
    let mut services = services()?;
    if let Some(warning) = &services.warning {
        complain(&printable(warning));
    }
    services.refresh |= args.refresh;
    services.agent = true; // whatever commits do: this is what a login in advance is for
    let http = Http::new();
    let LoggedIn { token, renewal } = match token::at_hand(&http, &services)? {
        Some(token) => LoggedIn { token, renewal: None },
        None => login::ask(&http, &services)?,
    };
    let renewed = renewal.as_ref().map(|renewal| renewal.until);
    let leaf = keep(&http, &services, &token, renewal).map_err(|unkept| match unkept {
        Unkept::Certificate(error) => error,
        Unkept::Agent(error) => error.context("the agent cannot be used; commits still ask on their own"),
    })?;
    let mut out = stdout();
    let line = format!("logged in as {}, until {}", leaf.holder(), Utc(leaf.not_after));
    writeln!(out, "{}", printable(&line))?;
    match renewed {
        Some(until) => writeln!(out, "renewed when it has ended, until {}", Utc(until))?,
        None if services.refresh => writeln!(out, "not renewed then: this login gave no refresh token")?,
        None => {}
    }
    out.flush()?;
    Ok(ExitStatus::Accepted)
}
