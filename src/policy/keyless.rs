//! What is asked of keyless evidence: which instance vouches for it, what proves the time, what the certificate says besides.

use super::file::{AUTHORITY, Require, SigstoreEntry};
use super::grant::Standing;
use super::{CLOCK_TOLERANCE, Context};
use crate::evidence::{Evidence, Keyless, Subject};
use crate::object::ObjectId;
use crate::verdict::{Reason, Verdict};

/// A Sigstore instance that the policy believes.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    name: String,
    pub(super) line: usize,
    require: Require,
    standing: Standing,
    deny: Vec<String>,
}

impl Instance {
    pub(super) fn new(entry: SigstoreEntry, standing: Standing) -> Self {
        Self { name: entry.name, line: entry.line, require: entry.require, standing, deny: entry.deny }
    }

    /// What speaks against evidence that this instance vouches for.
    pub(super) fn refuses(&self, keyless: &Keyless, evidence: &Evidence, context: &Context<'_>) -> Result<(), Verdict> {
        // an address in other letters speaks for nobody, but whoever is refused stays so in any
        let is_denied = |name: &String| match &keyless.subject {
            Subject::Email(own) => name.eq_ignore_ascii_case(own),
            Subject::Uri(own) => name == own,
        };
        if self.deny.iter().any(is_denied) {
            Err(Reason::IdentityDenied { name: keyless.subject.name().to_owned() })?;
        }
        self.standing.refuses(true, evidence, context).map_or(Ok(()), Err)?;
        if context.settled {
            return Ok(());
        }
        if self.require.log() && keyless.entry.is_none() {
            Err(Reason::NotLogged {
                identity: keyless.subject.name().to_owned(),
                issuer: keyless.issuer.clone(),
                from: keyless.not_before,
                to: keyless.not_after,
            })?;
        }
        if self.require.timestamp() && keyless.timestamps.is_empty() {
            Err(Reason::NotTimestamped)?;
        }
        let Some(attested) = keyless.attested() else { return Err(Reason::TimeUnproved.into()) };
        if !(keyless.not_before..=keyless.not_after).contains(&attested) {
            return Err(Reason::TimeUnproved.into());
        }
        Ok(claimed_within(keyless, context)?)
    }
}

/// The claim that names the commit which the signer worked on (1.3.6.1.4.1.57264.1.13).
pub(super) const DIGEST: &str = "repository-digest";
/// What a policy asks of it where any commit will do that lies below, or the signed object itself.
pub(super) const ANCESTOR: &str = "ancestor";

/// The commit below which the evidence does not count, where the claims ask for one.
pub(super) fn built_on(claims: Option<&[(&'static str, String)]>, evidence: &Evidence) -> Option<ObjectId> {
    let asked = claims?.iter().any(|(claim, wanted)| (*claim, wanted.as_str()) == (DIGEST, ANCESTOR));
    evidence.keyless.as_deref().filter(|_| asked)?.claim(DIGEST)?.parse().ok()
}

/// The instance that evidence names.
pub(super) fn instance<'a>(instances: &'a [Instance], keyless: &Keyless) -> Result<&'a Instance, Reason> {
    let what = || "the policy believes no Sigstore instance".to_owned();
    instances
        .iter()
        .find(|instance| instance.name == keyless.authority)
        .ok_or_else(|| Reason::CertificateUntrusted { what: what() })
}

/// A date far from the certificate's ten minutes is a lie, or a clock that is wrong.
fn claimed_within(keyless: &Keyless, context: &Context<'_>) -> Result<(), Reason> {
    let Some(claimed) = context.claimed else { return Ok(()) };
    if claimed < keyless.not_before.saturating_sub(CLOCK_TOLERANCE) {
        return Err(Reason::CertificateNotYetValid { claimed, after: keyless.not_before });
    }
    if claimed > keyless.not_after.saturating_add(CLOCK_TOLERANCE) {
        return Err(Reason::CertificateExpired { claimed, before: keyless.not_after });
    }
    Ok(())
}

/// Whether the certificate names the committer's own address.
pub(super) fn is_committer(evidence: &Evidence, email: Option<&[u8]>) -> bool {
    match evidence.keyless.as_deref().map(|keyless| &keyless.subject) {
        Some(Subject::Email(own)) => email == Some(own.as_bytes()),
        Some(Subject::Uri(_)) | None => false,
    }
}

/// Whether the certificate says what an entry asks for; an identity's entry is for certificates only, a key's for none.
pub(super) fn check_claims(claims: Option<&[(&'static str, String)]>, evidence: &Evidence) -> Result<(), Reason> {
    let (claims, keyless) = match (claims, evidence.keyless.as_deref()) {
        (None, None) => return Ok(()),
        (Some(claims), Some(keyless)) => (claims, keyless),
        (None, Some(_)) | (Some(_), None) => return Err(Reason::KeyUnlisted),
    };
    for (claim, wanted) in claims {
        let found = if *claim == AUTHORITY { Some(keyless.authority.as_str()) } else { keyless.claim(claim) };
        let holds = match (*claim, wanted.as_str()) {
            (DIGEST, ANCESTOR) => found.is_some_and(|found| found.parse::<ObjectId>().is_ok()),
            _ => found == Some(wanted),
        };
        if !holds {
            let (claim, wanted) = ((*claim).to_owned(), wanted.clone());
            return Err(Reason::ClaimMismatch { claim, found: found.map(str::to_owned), wanted });
        }
    }
    Ok(())
}
