//! S/MIME signatures in gpgsm's place: its status lines by the system's roots, or those of `warrant.x509Roots`.
//!
//! As gpgsm has it, a signature that is over the content is told as good (GOODSIG) whoever made it, and whether its certificate
//! is trusted follows (TRUST_FULLY or TRUST_UNDEFINED): git shows G or U. One whose certificate has ended since is told apart
//! (EXPKEYSIG): git shows Y. gpgsm's own lists of trusted roots and of revoked certificates are not looked at.

use super::{BAD, FAILED, GOOD, Status, escaped};
use crate::evidence::{ChainStanding, Evidence, Name, Smime};
use crate::io::clock;
use crate::io::git::Repository;
use crate::io::system_roots;
use crate::object::Payload;
use crate::report::escape::printable;
use crate::run::complain;
use crate::signature::Verifier as _;
use crate::signature::x509::X509Verifier;
use crate::signature::x509::smime::Signer;
use crate::verdict::{Reason, Utc};
use anyhow::Result;

/// GnuPG's numbers of why a chain is not trusted.
const NOT_TRUSTED: u8 = 98;
const REVOKED: u8 = 94;
const TOO_YOUNG: u8 = 102;

/// Says what an S/MIME signature over the data proves.
pub(super) fn verify(status: &Status, signer: &Signer, armored: &[u8], data: &[u8]) -> Result<u8> {
    let Signer { fingerprint, algorithm, hash, .. } = signer;
    status.line("NEWSIG")?;
    let repository = Repository::open()?;
    let roots = match system_roots::read(&repository, &repository.config()?) {
        Ok(roots) => roots,
        Err(error) => {
            status.line(&format!("ERRSIG {fingerprint} {algorithm} {hash} 00 0 1"))?;
            complain(&printable(&format!("git-warrant: Can't check signature: {error:#}")));
            return Ok(FAILED);
        }
    };
    let verified = X509Verifier::new(Vec::new()).with_authorities(vec![roots]).verify(armored, &Payload::whole(data));
    let name = shown(&signer.holder);
    if let Some(made) = signer.made {
        complain(&format!("git-warrant: Signature made {}", Utc(made)));
    }
    let trust = match &verified {
        Ok(evidence) => trusted(evidence, clock::now()),
        Err(Reason::BadSignature) => {
            status.line(&format!("BADSIG {fingerprint} {name}"))?;
            complain(&printable(&format!("git-warrant: BAD signature from \"{name}\"")));
            return Ok(BAD);
        }
        // that it is over the content was found out first
        Err(reason @ Reason::CertificateUntrusted { .. }) => Trust::Undefined(NOT_TRUSTED, reason.to_string()),
        Err(reason) => {
            status.line(&format!("ERRSIG {fingerprint} {algorithm} {hash} 00 0 1"))?;
            complain(&printable(&format!("git-warrant: Can't check signature: {reason}")));
            return Ok(FAILED);
        }
    };
    let word = if matches!(trust, Trust::Expired(_)) { "EXPKEYSIG" } else { "GOODSIG" };
    status.line(&format!("{word} {fingerprint} {name}"))?;
    let date = signer.made.map_or_else(|| "0".to_owned(), |made| Utc(made).to_string().chars().take(10).collect());
    let (made, ends) = (signer.made.map_or_else(|| "0".to_owned(), compact), compact(signer.not_after));
    status.line(&format!("VALIDSIG {fingerprint} {date} {made} {ends} 0 0 {algorithm} {hash} 00"))?;
    complain(&printable(&format!("git-warrant: Good signature from \"{name}\"")));
    if let Some(smime) = verified.as_ref().ok().and_then(|evidence| evidence.smime.as_deref()) {
        introduce(smime);
    }
    match trust {
        Trust::Fully => {
            status.line("TRUST_FULLY 0 shell")?;
            Ok(GOOD)
        }
        Trust::Expired(end) => {
            status.line("TRUST_FULLY 0 shell")?;
            complain(&format!("git-warrant: the certificate, or one above it, has ended ({})", Utc(end)));
            Ok(GOOD)
        }
        Trust::Undefined(number, why) => {
            status.line(&format!("TRUST_UNDEFINED {number}"))?;
            complain(&printable(&format!("git-warrant: WARNING: not trusted: {why}")));
            Ok(FAILED)
        }
    }
}

/// What the chain is worth.
enum Trust {
    Fully,
    /// It has ended then.
    Expired(i64),
    /// It is not worth anything, by GnuPG's number and in words.
    Undefined(u8, String),
}

fn trusted(evidence: &Evidence, now: i64) -> Trust {
    let undefined = |number, why: &str| Trust::Undefined(number, why.to_owned());
    let paths = evidence.smime.as_deref().map(|smime| smime.paths.as_slice()).unwrap_or_default();
    let least = crate::policy::STRICT_RSA_BITS;
    if evidence.key.rsa_bits.is_some_and(|bits| bits < least) {
        return Trust::Undefined(NOT_TRUSTED, format!("its RSA key has fewer than {least} bits"));
    }
    let standing = |good: &ChainStanding| matches!(good, ChainStanding::Unasked | ChainStanding::Good);
    if paths.iter().any(|path| standing(&path.standing) && (path.begin..=path.end).contains(&now)) {
        return Trust::Fully;
    }
    match paths.first() {
        None => undefined(NOT_TRUSTED, "no root leads to it"),
        Some(path) if !standing(&path.standing) => undefined(REVOKED, "it is revoked, or nobody knows"),
        Some(path) if now < path.begin => undefined(TOO_YOUNG, "it does not hold yet"),
        Some(path) => Trust::Expired(path.end),
    }
}

fn introduce(smime: &Smime) {
    for address in &smime.addresses {
        complain(&printable(&format!("git-warrant:                aka \"{}\"", escaped(address.as_bytes()))));
    }
    let (issuer, serial) = (shown(&smime.issuer), &smime.serial);
    let (from, to) = (Utc(smime.not_before), Utc(smime.not_after));
    complain(&printable(&format!("git-warrant: its certificate {serial} by \"{issuer}\" holds from {from} to {to}")));
}

/// A name for a status line; what would turn the direction of the text around is escaped as control characters are.
fn shown(name: &Name) -> String {
    let turns = |c: &char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::new();
    for character in escaped(name.as_gpgsm().as_bytes()).chars() {
        match turns(&character) {
            true => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
            false => out.push(character),
        }
    }
    out
}

/// A time in the short form of ISO 8601, as gpgsm writes it.
fn compact(time: i64) -> String {
    Utc(time).to_string().chars().filter(|c| c.is_ascii_digit() || *c == 'T').take(15).collect()
}

#[cfg(test)]
mod tests {
    use super::{Name, compact, shown};

    #[test]
    fn names_turn_no_text_around() {
        let name = Name(vec![("CN".to_owned(), "a\u{202e}b\n%/\u{d6}".to_owned())]);
        assert_eq!(shown(&name), "/CN=a%E2%80%AEb%0A%25\\/\u{d6}");
    }

    #[test]
    fn times_as_gpgsm_writes_them() {
        assert_eq!(compact(1_795_538_221), "20261124T163701");
        assert_eq!(compact(0), "19700101T000000");
    }
}
