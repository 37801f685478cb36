//! In gpgsm's place, as git calls it: keyless signatures made and verified, S/MIME's verified.

mod smime;

use super::gpg::{self, Status, escaped, read_stdin};
use super::{complain, drain_stdin};
use crate::evidence::{Evidence, Keyless};
use crate::io::git::Repository;
use crate::io::secrecy::forbid_dumps;
use crate::io::sigstore::services::{self, Services};
use crate::io::sigstore::signing::Ended;
use crate::io::sigstore::{Http, signing};
use crate::object::{Identity, Payload};
use crate::personality::gpg::{Action, Gpg, GpgUsage};
use crate::report::escape::printable;
use crate::signature::Verifier as _;
use crate::signature::x509::sign::Leaf;
use crate::signature::x509::{self, X509Verifier};
use crate::verdict::{Reason, Utc};
use anyhow::{Context as _, Result, anyhow, bail};
use std::io::{self, Write as _};

const GOOD: u8 = 0;
const BAD: u8 = 1;
const FAILED: u8 = 2;
/// OpenPGP's numbers, in which GnuPG's status lines speak: ECDSA, SHA-256.
const ECDSA: u8 = 19;
const SHA256: u8 = 8;

/// Does what the command line asks for; the exit status.
pub fn run(request: Result<Gpg, GpgUsage>) -> u8 {
    let done = request.map_err(anyhow::Error::from).and_then(|gpg| match &gpg.action {
        Action::Verify { signature, data } => gpg::verify(&gpg, signature, data.as_deref()),
        Action::Sign => sign(&gpg),
        Action::Unknown => Err(GpgUsage::Action.into()),
    });
    done.unwrap_or_else(|error| {
        drain_stdin();
        complain(&format!("git-warrant: {}", printable(&format!("{error:#}"))));
        FAILED
    })
}

/// Git calls for openpgp and for x509 in the same words: only its configuration tells.
pub(super) fn is_meant() -> bool {
    let format = Repository::open().and_then(|repository| repository.config()).and_then(|config| config.get("gpg.format"));
    matches!(format, Ok(Some(format)) if format == "x509") // without a repository nothing says x509
}

/// Says what a keyless signature over the data proves, by the trusted root of `warrant.trustedRoot` and without the network: good
/// (GOODSIG, TRUST_FULLY) is one whose time is proved as well, by a log or, where `warrant.log` is false, by a timestamp alone.
/// Whoever it names, that is no right: this is what a policy says.
pub(super) fn verify(status: &Status, armored: &[u8], data: &[u8]) -> Result<u8> {
    if let Ok(Some(signer)) = x509::smime::signer(armored) {
        return smime::verify(status, &signer, armored, data);
    }
    let repository = Repository::open()?;
    let config = repository.config()?;
    let unchecked = |why: &str| -> Result<u8> {
        status.line(&format!("ERRSIG - {ECDSA} {SHA256} 00 0 1"))?;
        complain(&printable(&format!("git-warrant: Can't check signature: {why}")));
        Ok(FAILED)
    };
    status.line("NEWSIG")?;
    let (root, logged) = match services::root(&repository, &config).and_then(|root| Ok((root, services::logged(&config)?))) {
        Ok(found) => found,
        Err(error) => return unchecked(&format!("{error:#}")), // else git would show that there is no signature
    };
    let unread = if root.is_none() { services::unread(&config)? } else { None };
    let roots = root.into_iter().collect();
    let refused = match X509Verifier::new(roots).verify(armored, &Payload::whole(data)) {
        Err(reason) => reason,
        Ok(evidence) => match evidence.keyless.as_deref().map(|keyless| (keyless, keyless.attested())) {
            Some((keyless, Some(time))) if keyless.entry.is_some() || !logged => {
                return tell_good(status, &evidence, keyless, time);
            }
            Some((keyless, _)) if keyless.entry.is_none() => Reason::NotLogged {
                identity: keyless.subject.name().to_owned(),
                issuer: keyless.issuer.clone(),
                from: keyless.not_before,
                to: keyless.not_after,
            },
            Some(_) | None => Reason::TimeUnproved,
        },
    };
    if refused == Reason::BadSignature {
        status.line("BADSIG - [?]")?;
        complain("git-warrant: BAD signature");
        return Ok(BAD);
    }
    let unread = unread.map(|unread| format!("; {unread}")).unwrap_or_default();
    unchecked(&format!("{refused}; git warrant show REV says more{unread}"))
}

fn tell_good(status: &Status, evidence: &Evidence, keyless: &Keyless, time: i64) -> Result<u8> {
    let key = &evidence.key.fingerprint;
    let name = escaped(format!("{} ({})", keyless.subject.name(), keyless.issuer).as_bytes());
    let date: String = Utc(time).to_string().chars().take(10).collect();
    status.line(&format!("GOODSIG {key} {name}"))?;
    status.line(&format!("VALIDSIG {key} {date} {time} 0 - - {ECDSA} {SHA256} 00"))?;
    status.line("TRUST_FULLY 0 shell")?;
    complain(&format!("git-warrant: Signature made before {}", Utc(time)));
    complain(&printable(&format!("git-warrant: Good signature from \"{name}\" [by {}]", keyless.authority)));
    Ok(GOOD)
}

/// Signs standard input; the signature goes to standard output.
fn sign(gpg: &Gpg) -> Result<u8> {
    forbid_dumps();
    let payload = read_stdin()?; // first: git takes a broken pipe for failure of another kind
    let repository = Repository::open()?;
    let services = Services::of(Some(&repository), &repository.config()?)?;
    warn(services.warning.as_deref());
    let http = Http::new();
    let attempt = || {
        let prepared = signing::prepare(&http, &services, &payload)?;
        if services.match_committer {
            refuse_others(&prepared.leaf, &payload)?;
        }
        let signed = prepared.finish(&http, &services, &payload)?;
        anyhow::Ok((prepared, signed))
    };
    let done = match attempt() {
        Err(error) if error.is::<Ended>() => attempt(), // a newer certificate
        done => done,
    };
    let (prepared, signed) = done.map_err(|error| match gpg.users.iter().find(|user| is_key(user)) {
        Some(key) => anyhow!(
            "{error:#}; or, if {key} is to sign, which user.signingKey names: git config gpg.x509.program gpgsm (here identities sign, not keys)"
        ),
        None => error,
    })?;
    let leaf = &prepared.leaf;
    warn(signed.warning.as_deref());
    let status = Status(gpg.status_fd);
    status.line(&format!("BEGIN_SIGNING H{SHA256}"))?;
    io::stdout().write_all(&signed.armored).and_then(|()| io::stdout().flush()).context("cannot write the signature")?;
    status.line(&format!("SIG_CREATED D {ECDSA} {SHA256} 00 {} {}", prepared.time, leaf.fingerprint()))?;
    let told = match &signed.entry {
        Some(entry) => format!("signed as {}; entry {} of the log", leaf.holder(), entry.index),
        None => format!("signed as {}; in no log (warrant.log)", leaf.holder()),
    };
    complain(&format!("git-warrant: {}", printable(&told)));
    Ok(GOOD)
}

/// Whether `-u` names a key as people name those of gpgsm, and no person.
fn is_key(user: &str) -> bool {
    let digits = user.strip_prefix("0x").unwrap_or(user).trim_end_matches('!');
    user.contains("CN=") || (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Git shows what a signer writes on standard error only where it fails: people read it on their terminal.
fn warn(warning: Option<&str>) {
    if let Some(warning) = warning.map(printable) {
        complain(&warning);
        signing::tell(&format!("git-warrant: {warning}"));
    }
}

/// `warrant.matchCommitter`: the certificate names the committer's address or, where it names a URI, the committer's name.
fn refuse_others(leaf: &Leaf, payload: &[u8]) -> Result<()> {
    let header = payload.split(|&b| b == b'\n').take_while(|line| !line.is_empty());
    let values = header.filter_map(|line| line.strip_prefix(b"committer ").or_else(|| line.strip_prefix(b"tagger ")));
    let Some(committer) = values.filter_map(Identity::parse).next() else {
        bail!("warrant.matchCommitter is set, and what is to be signed names no committer");
    };
    let subject = leaf.subject.as_deref().unwrap_or_default();
    if subject.is_empty() || ![committer.email, committer.name].contains(&subject.as_bytes()) {
        bail!(
            "the certificate is of {subject}, and the committer is {} <{}> (warrant.matchCommitter); log in as the committer, or commit as yourself",
            String::from_utf8_lossy(committer.name),
            String::from_utf8_lossy(committer.email)
        );
    }
    Ok(())
}
