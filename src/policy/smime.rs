//! What is asked of S/MIME evidence: which authority vouches for which address, and what stands by which chain.
//!
//! A certificate may lead to the roots of several authorities, by several chains. Each chain is judged as if it were the only one,
//! by what the policy says of its authority; one that is good enough suffices. What the policy says of the state of an address that
//! the certificate has counts by whatever chain.

use super::file::X509Identity;
use super::grant::Grant;
use super::{Context, Policy};
use crate::evidence::{ChainStanding, Evidence, Smime, SmimePath};
use crate::verdict::{Reason, Revoked, Verdict};
use std::sync::Arc;

/// What an X.509 authority of a policy is found by: no bytes of a key look like this.
pub(super) fn blob_of_authority(name: &str) -> Vec<u8> {
    format!("x509-authority\0{name}").into_bytes()
}

/// S/MIME evidence once for each of its chains, with that chain first.
pub(super) fn each_chain_first(evidence: &Evidence) -> Vec<Evidence> {
    let Some(smime) = evidence.smime.as_deref() else { return Vec::new() };
    let turned = |at: usize| {
        let mut paths = smime.paths.clone();
        paths.rotate_left(at);
        Evidence { smime: Some(Arc::new(Smime { paths, ..smime.clone() })), ..evidence.clone() }
    };
    (0..smime.paths.len()).map(turned).collect()
}

/// The chain that is judged.
pub(super) fn path(evidence: &Evidence) -> Option<&SmimePath> {
    evidence.smime.as_deref()?.paths.first()
}

/// The entries that may speak for what a chain certifies: those of its addresses under its authority, and the authority's own.
///
/// # Errors
/// Where there is none.
pub(super) fn entries(policy: &Policy, evidence: &Evidence) -> Result<Vec<usize>, Reason> {
    let untrusted = |what: String| Reason::CertificateUntrusted { what };
    let judged = evidence.smime.as_deref().zip(path(evidence));
    let (smime, path) = judged.ok_or_else(|| untrusted("no chain leads to a root".to_owned()))?;
    let authority = policy.authorities.get(&blob_of_authority(&path.authority));
    let authority = authority.ok_or_else(|| untrusted(format!("the policy has no authority {}", path.authority)))?;
    if smime.addresses.is_empty() {
        return Err(Reason::CertificatePrincipals { named: String::new() });
    }
    let mut found = listed(policy, smime, [path.authority.as_str()].into_iter());
    found.extend(authority.iter().filter(|&&index| policy.grants.get(index).is_some_and(Grant::speaks_by_itself)));
    match found.is_empty() {
        false => Ok(found),
        true => Err(Reason::IdentityUnlisted { identity: smime.identity(), issuer: path.authority.clone() }),
    }
}

/// The entries that have to stand beside the one that speaks: those of the certificate's addresses by whatever chain it has.
/// Where an authority speaks by itself, those under any authority: whoever signed may have left certificates out, so that the
/// chain to the one that is named does not show.
pub(super) fn others(policy: &Policy, speaks: &Grant, smime: &Smime) -> Vec<usize> {
    let counts = |authority: &str| speaks.speaks_by_itself() || smime.paths.iter().any(|path| path.authority == authority);
    // an address in other letters speaks for nobody, but whoever is refused stays so in any
    let is_listed = |grant: &Grant| {
        let same = |identity: &X509Identity| smime.addresses.iter().any(|it| it.eq_ignore_ascii_case(&identity.address));
        grant.x509.as_ref().is_some_and(|identity| counts(&identity.authority) && same(identity))
    };
    policy.grants.iter().enumerate().filter(|(_, grant)| is_listed(grant)).map(|(index, _)| index).collect()
}

/// The entries of a certificate's addresses under some authorities.
fn listed<'a>(policy: &Policy, smime: &Smime, authorities: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for authority in authorities {
        for address in &smime.addresses {
            let of_address = policy.keys.get(&Smime::blob(authority, address)).map(Vec::as_slice).unwrap_or_default();
            for index in of_address {
                if !found.contains(index) {
                    found.push(*index);
                }
            }
        }
    }
    found
}

/// What speaks against a chain, beside what the entries say: the state of its authority and of those in the middle of it, and that
/// an authority in it is revoked, or nobody knows.
pub(super) fn refuses(
    policy: &Policy,
    path: &SmimePath,
    evidence: &Evidence,
    context: &Context<'_>,
) -> Result<(), (usize, Verdict)> {
    let names = [&path.authority].into_iter().chain(&path.through);
    let indexes: Vec<usize> =
        names.filter_map(|name| policy.authorities.get(&blob_of_authority(name))).flatten().copied().collect();
    for grant in policy.grants(&indexes) {
        grant.denies(evidence).map_err(|reason| (grant.line, reason.into()))?;
        if let ChainStanding::Revoked { own: false, how } = &path.standing
            && let Some(reason) = grant.standing.revoked(*how, Revoked::Authority, Reason::AuthorityRetired, context)
        {
            return Err((grant.line, reason.into()));
        }
        if let Some(verdict) = grant.standing.refuses(true, evidence, context) {
            return Err((grant.line, verdict));
        }
        if let (false, ChainStanding::Unknown(what)) = (context.settled, &path.standing) {
            return Err((grant.line, Reason::RevocationUnknown { what: what.clone() }.into()));
        }
    }
    Ok(())
}

/// Whether the chain that is judged vouches for an entry's address; an address's entry is for S/MIME certificates only, any other
/// for none.
pub(super) fn check_identity(listed: Option<&X509Identity>, evidence: &Evidence) -> Result<(), Reason> {
    match (listed, evidence.smime.as_deref().zip(path(evidence))) {
        (None, None) => Ok(()),
        (Some(identity), Some((smime, path)))
            if identity.authority == path.authority && smime.addresses.contains(&identity.address) =>
        {
            Ok(())
        }
        _ => Err(Reason::KeyUnlisted),
    }
}
