//! Single settings: our own, gitsign's, and the variables of both.

use crate::io::config::Config;
use crate::io::git::Repository;
use crate::io::policy::is_in_work_tree;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::path::PathBuf;

/// What is set somewhere, and where.
struct Found {
    name: String,
    value: String,
}

fn search(config: &Config, ours: &str, variables: &[&str], gitsigns: &str) -> Result<Option<Found>> {
    let setting = |name: String| -> Result<_> { Ok(config.get(&name)?.map(|value| Found { name, value })) };
    let variable = |name: &&str| {
        let value = env::var(name).ok().filter(|value| !value.is_empty())?;
        Some(Found { name: (*name).to_owned(), value })
    };
    let found = match setting(format!("warrant.{ours}"))?.or_else(|| variables.iter().find_map(variable)) {
        None if !gitsigns.is_empty() => setting(format!("gitsign.{gitsigns}"))?,
        found => found,
    };
    Ok(found.filter(|found| !found.value.is_empty()))
}

/// The first that is set: our own setting, a variable, gitsign's setting.
pub(super) fn find(config: &Config, ours: &str, variables: &[&str], gitsigns: &str) -> Result<Option<String>> {
    Ok(search(config, ours, variables, gitsigns)?.map(|found| found.value))
}

/// The same of a setting that is true or false, in the words of git and of Go, in any case.
pub(super) fn flag(config: &Config, ours: &str, variables: &[&str], gitsigns: &str, default: bool) -> Result<bool> {
    let Some(Found { name, value }) = search(config, ours, variables, gitsigns)? else { return Ok(default) };
    match value.to_ascii_lowercase().as_str() {
        "false" | "f" | "no" | "off" => Ok(false),
        "true" | "t" | "yes" | "on" => Ok(true),
        number => match number.parse::<i64>() {
            Ok(number) => Ok(number != 0),
            Err(_) => bail!("{name} is `{value}`, which is neither true nor false"),
        },
    }
}

/// Where gitsign reads whom it trusts in a Sigstore of one's own, which here a trusted root says: variables, and a setting.
const UNREAD: [&str; 6] = [
    "GITSIGN_FULCIO_ROOT",
    "GITSIGN_TIMESTAMP_CERT_CHAIN",
    "SIGSTORE_ROOT_FILE",
    "SIGSTORE_REKOR_PUBLIC_KEY",
    "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
    "SIGSTORE_TSA_CERTIFICATE_FILE",
];
const UNREAD_SETTINGS: [&str; 2] = ["gitsign.fulcioRoot", "gitsign.timestampCertChain"];

/// What of gitsign's says whom to trust, and is not read here, with what would be, for people; `None` where nothing does.
///
/// # Errors
/// Where a setting makes no sense.
pub fn unread(config: &Config) -> Result<Option<String>> {
    let mut found: Vec<&str> = UNREAD.into_iter().filter(|name| env::var_os(name).is_some_and(|value| !value.is_empty())).collect();
    for name in UNREAD_SETTINGS {
        found.extend(config.get(name)?.filter(|value| !value.is_empty()).map(|_| name));
    }
    let names = found.join(", ");
    let told = format!(
        "{names} of gitsign's is not read here; cosign trusted-root create makes a FILE for warrant.trustedRoot of the same keys"
    );
    Ok((!found.is_empty()).then_some(told))
}

/// A path that may begin with `~/`.
pub(super) fn expanded(path: &str) -> Result<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => {
            let home = env::var_os("HOME").with_context(|| format!("HOME is not set, so `{path}` cannot be expanded"))?;
            Ok(PathBuf::from(home).join(rest))
        }
        None => Ok(path.into()),
    }
}

/// The path of a file that says whom to trust, or whom to ask.
///
/// # Errors
/// Where it lies in the work tree: whoever changes the tree, as by a pull request, would choose for whoever looks at it.
pub(super) fn trusted_file(repository: Option<&Repository>, named: &str) -> Result<PathBuf> {
    let path = expanded(named)?;
    // what is not there, or no file but a pipe, lies in no work tree
    let there = repository.filter(|_| path.canonicalize().is_ok());
    if let Some(repository) = there
        && is_in_work_tree(repository, &path).with_context(|| path.display().to_string())?
    {
        bail!(
            "{} lies inside the work tree, so whoever changes the tree would choose what is trusted; keep it elsewhere",
            path.display()
        );
    }
    Ok(path)
}
