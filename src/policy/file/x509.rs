//! Identities in S/MIME certificates, and the X.509 authorities that may speak for them.

use super::fields::{Fields, FileError};
use super::{PatternList, Status, is_pattern, patterns, status};
use crate::evidence::Smime;

/// Somebody by the word of an X.509 authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509Identity {
    /// The e-mail name in the certificate, exactly.
    pub address: String,
    /// The authority that vouches for it, by its name in the file.
    pub authority: String,
    /// What signatures are found by.
    pub blob: Vec<u8>,
}

/// Whose S/MIME certificates are believed.
#[derive(Clone, Debug)]
pub struct X509Entry {
    /// The name in the file.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// Its roots, a file beside the policy.
    pub roots: String,
    /// Its revocation lists, a file beside the policy.
    pub crl: Option<String>,
    /// Its state.
    pub status: Status,
    /// For which addresses that no principal lists it may speak; `None`: for none.
    pub principals: Option<PatternList>,
    /// Addresses for which it speaks no more.
    pub deny: Vec<String>,
}

/// The identity of a key's table.
pub(super) fn identity(fields: &Fields<'_>, address: String) -> Result<X509Identity, FileError> {
    if is_pattern(&address) {
        let what = format!("`{address}` is a pattern; the certificate's address is meant, letter by letter");
        return Err(fields.error_at("x509", &what));
    }
    let parts = address.split_once('@');
    let whole = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if !whole || !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fields.error_at("x509", "an e-mail address of ASCII is needed here, as the certificate has it"));
    }
    let Some(authority) = fields.string("ca")? else {
        return Err(fields.error("`ca` is missing: the name of the authority below [authorities] that certifies the address"));
    };
    let blob = Smime::blob(&authority, &address);
    Ok(X509Identity { address, authority, blob })
}

/// The authority of an authority's table.
pub(super) fn authority(mut fields: Fields<'_>, roots: String) -> Result<X509Entry, FileError> {
    let name = fields.name().to_owned();
    if name.chars().any(char::is_control) {
        return Err(fields.error("an authority's name has control characters in it"));
    }
    let deny = fields.strings("deny")?.unwrap_or_default();
    if let Some(name) = deny.iter().find(|name| name.is_empty() || is_pattern(name)) {
        let what = format!("`{name}` is no address; deny lists addresses letter by letter, and `principals` takes `!` patterns");
        return Err(fields.error_at("deny", &what));
    }
    let entry = X509Entry {
        name,
        line: fields.line(),
        roots,
        crl: fields.string("crl")?,
        status: status(&mut fields)?,
        principals: patterns(&fields)?,
        deny,
    };
    fields.finish(&["roles", "grace"])?;
    Ok(entry)
}

/// Every identity needs its authority, whose patterns, where it has any, do not leave the address out.
pub(super) fn check<'a>(
    root: &Fields<'_>,
    identities: impl Iterator<Item = (&'a X509Identity, usize)>,
    authorities: &[X509Entry],
) -> Result<(), FileError> {
    for (identity, line) in identities {
        let (address, name) = (&identity.address, &identity.authority);
        let Some(authority) = authorities.iter().find(|it| it.name == *name) else {
            let what = format!("`ca` = `{name}` names no authority with roots: add [authorities.{name}] with x509 = \"roots.pem\"");
            return Err(root.error_on(line, &what));
        };
        if authority.principals.as_ref().is_some_and(|patterns| !patterns.matches(address.as_bytes())) {
            let what = format!("the `principals` of the authority {name} leave out {address}: one of both is wrong");
            return Err(root.error_on(line, &what));
        }
    }
    Ok(())
}
