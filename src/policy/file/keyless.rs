//! Keyless identities, and the Sigstore instances that may speak for them.

use super::fields::{Fields, FileError};
use super::{Status, is_pattern, status};
use crate::evidence::{CLAIMS, Subject};

/// The issuer whose names can be taken over by others: an account that is renamed or deleted gives up its repositories' names,
/// never their numbers.
const GITHUB_ACTIONS: &str = "https://token.actions.githubusercontent.com";
const IMMUTABLE: [&str; 2] = ["repository-id", "owner-id"];

/// Stands among the claims where only one instance may vouch for an identity.
pub const AUTHORITY: &str = "ca";

/// Somebody by the word of an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name in the certificate, exactly.
    pub subject: Subject,
    /// Who identified it, exactly.
    pub issuer: String,
    /// What the certificate must say besides, and which instance must vouch for it ([`AUTHORITY`]) where only one may.
    pub claims: Vec<(&'static str, String)>,
    /// What signatures are found by.
    pub blob: Vec<u8>,
}

/// A Sigstore instance: who certifies, logs and timestamps.
#[derive(Clone, Debug)]
pub struct SigstoreEntry {
    /// The name in the file.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// Its trusted root.
    pub root: RootName,
    /// What must prove the time.
    pub require: Require,
    /// Its state.
    pub status: Status,
    /// Names for which it speaks no more.
    pub deny: Vec<String>,
}

/// Where a trusted root comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootName {
    /// One that is built in.
    Embedded(String),
    /// A file beside the policy.
    File(String),
}

/// What must prove that a signature was made while its certificate held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// A log entry (and, where the log proves no time, a timestamp).
    #[default]
    Log,
    /// A timestamp; a log entry may be missing.
    Timestamp,
    /// Both.
    LogAndTimestamp,
}

impl Require {
    /// Whether a log entry is asked for.
    pub fn log(self) -> bool {
        matches!(self, Self::Log | Self::LogAndTimestamp)
    }

    /// Whether a timestamp is asked for.
    pub fn timestamp(self) -> bool {
        matches!(self, Self::Timestamp | Self::LogAndTimestamp)
    }
}

/// The names of the roots that are built in.
pub const EMBEDDED: [&str; 3] = ["public-good", "github", "staging"];

/// The identity of a key's table.
pub(super) fn identity(fields: &Fields<'_>, name: &str) -> Result<Identity, FileError> {
    if is_pattern(name) {
        return Err(
            fields.error_at("keyless", &format!("`{name}` is a pattern; the certificate's name is meant, letter by letter"))
        );
    }
    let plain = !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    let subject = match (name.contains("://"), name.contains('@')) {
        (true, _) if plain => Subject::Uri(name.to_owned()),
        (false, true) if plain => Subject::Email(name.to_owned()),
        _ => return Err(fields.error_at("keyless", "neither an e-mail address nor a URI")),
    };
    let Some(issuer) = fields.string("issuer")? else {
        let what = "`issuer` is missing: who identified it, such as https://github.com/login/oauth";
        return Err(fields.error(what));
    };
    if !issuer.contains("://") || issuer.chars().any(|c| c.is_control() || c.is_whitespace()) || is_pattern(&issuer) {
        return Err(fields.error_at("issuer", "a URL is needed here, letter by letter"));
    }
    let mut claims = claims(fields)?;
    claims.extend(fields.string("ca")?.map(|authority| (AUTHORITY, authority)));
    let of_github = issuer.strip_prefix(GITHUB_ACTIONS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if of_github && let Some(missing) = IMMUTABLE.iter().find(|wanted| !claims.iter().any(|(name, _)| name == *wanted)) {
        let what = format!(
            "`claims` has to say {missing}: names of GitHub's repositories can be taken over by others, their numbers cannot (gh api repos/OWNER/NAME --jq '.id, .owner.id')"
        );
        return Err(fields.error(&what));
    }
    let blob = subject.blob(&issuer);
    Ok(Identity { subject, issuer, claims, blob })
}

fn claims(fields: &Fields<'_>) -> Result<Vec<(&'static str, String)>, FileError> {
    let known = |name: &str| CLAIMS.iter().find(|(_, known)| *known == name).map(|(_, known)| *known);
    let pairs = fields.pairs("claims")?.unwrap_or_default().into_iter();
    let claim = |(name, value): (String, String)| match known(&name) {
        Some(name) => Ok((name, value)),
        None => {
            let names: Vec<&str> = CLAIMS.iter().map(|(_, name)| *name).collect();
            Err(fields.error_at("claims", &format!("`{}` is none of {}", name.escape_debug(), names.join(", "))))
        }
    };
    pairs.map(claim).collect()
}

/// The Sigstore instance of an authority's table.
pub(super) fn sigstore(mut fields: Fields<'_>, root: String) -> Result<SigstoreEntry, FileError> {
    let require = match fields.string("require")?.as_deref() {
        None | Some("log") => Require::Log,
        Some("timestamp") => Require::Timestamp,
        Some("log+timestamp") => Require::LogAndTimestamp,
        Some(other) => {
            return Err(fields.error_at("require", &format!("`{other}` is none of log, timestamp, log+timestamp")));
        }
    };
    if root.is_empty() {
        return Err(fields.error_at("trusted-root", "a name of a root that is built in, or of a file, is needed here"));
    }
    if root.starts_with("tuf:") {
        let what = "what was fetched differs from machine to machine: name the file beside the policy that git warrant trust update --output writes";
        return Err(fields.error_at("trusted-root", what));
    }
    let root = match EMBEDDED.contains(&root.as_str()) {
        true => RootName::Embedded(root),
        false => RootName::File(root),
    };
    if root == RootName::Embedded("github".to_owned()) && require.log() {
        let what = "GitHub's instance has no log that all can read: say require = \"timestamp\"";
        return Err(fields.error(what));
    }
    let deny = fields.strings("deny")?.unwrap_or_default();
    if let Some(name) = deny.iter().find(|name| name.is_empty() || is_pattern(name)) {
        return Err(fields.error_at("deny", &format!("`{name}` is no name; deny lists names letter by letter")));
    }
    let entry =
        SigstoreEntry { name: fields.name().to_owned(), line: fields.line(), root, require, status: status(&mut fields)?, deny };
    fields.finish(&["roles"])?;
    Ok(entry)
}
