//! Signing in gpg's place: which key, by which agent.

use super::{GOOD, Status, escaped, read_stdin};
use crate::armor::decode_openpgp;
use crate::io::clock;
use crate::io::gnupg::Gnupg;
use crate::io::keys::gpg_agent::GpgAgent;
use crate::personality::gpg::Gpg;
use crate::signature::openpgp::detached::{Detached, Outcome};
use crate::signature::openpgp::sign::{HASH, SignerKey};
use crate::signature::openpgp::{Certificates, OpenPgpVerifier};
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow, bail};
use std::io::{self, Write as _};

/// Signs standard input; the signature goes to standard output.
pub(super) fn sign(gpg: &Gpg) -> Result<u8> {
    let payload = read_stdin()?; // first: git takes a broken pipe for failure of another kind
    if gpg.digest.as_ref().is_some_and(|digest| !digest.eq_ignore_ascii_case("sha512")) {
        bail!("--digest-algo: signatures are made with SHA512 only");
    }
    let mut gnupg = Gnupg::open(gpg.home.as_deref())?;
    gnupg.use_keyrings(&gpg.keyrings, gpg.no_default_keyring);
    let spec = match &gpg.users[..] {
        [] => gnupg.default_key.clone(),
        [user] => Some(user.clone()),
        _ => bail!("one signature by one key is made at a time; git takes no more"),
    };
    let spec = spec.context("no key is named; git config user.signingKey FINGERPRINT")?;
    let now = clock::now();
    let made = gpg.time.as_deref().map_or(Ok(now), faked)?;
    let (keys, certificates) = usable(&gnupg, &spec, made)?;
    let mut agent = GpgAgent::connect(gnupg.home())?;
    let key = held(&mut agent, keys, &spec)?;
    let verifier = OpenPgpVerifier::new(&certificates, made);
    let status = Status(gpg.status_fd);
    status.line(&format!("KEY_CONSIDERED {} 2", key.certificate))?;
    status.line(&format!("BEGIN_SIGNING H{HASH}"))?;
    let unsigned = key.prepare(&payload, made).context("the time cannot be written in OpenPGP")?;
    let numbers = agent.sign(&key.keygrip, &description(&key), HASH, &unsigned.digest)?;
    let armored = unsigned.finish(&numbers).context("gpg-agent's answer is no signature of this key")?;
    // what an agent says is believed of no agent
    let checked = Detached::parse(&armored).map(|signature| signature.check(&verifier, &payload)).unwrap_or_default();
    if !matches!(&checked[..], [one] if matches!(one.outcome, Outcome::Good(_))) {
        bail!("gpg-agent's signature is not good; nothing is signed");
    }
    let signature = match gpg.armor {
        true => armored,
        false => decode_openpgp(&armored).context("the signature cannot be read back")?.0,
    };
    io::stdout().write_all(&signature).and_then(|()| io::stdout().flush()).context("cannot write the signature")?;
    status.line(&format!("SIG_CREATED D {} {HASH} 00 {made} {}", key.algorithm, key.fingerprint))?;
    Ok(GOOD)
}

/// The keys that the text names and that may sign, the newest first, and the certificates that they are of.
fn usable(gnupg: &Gnupg, spec: &str, now: i64) -> Result<(Vec<SignerKey>, Certificates)> {
    let wanted = Wanted::of(spec);
    let mut certificates = gnupg.certificates(&[wanted.needle()])?;
    if certificates.signers(now).is_empty() {
        certificates = gnupg.certificates(&[Vec::new()])?; // written otherwise, or by another of its keys
    }
    let home = gnupg.home().display();
    let known = certificates.fingerprints().filter(|fingerprint| {
        let ids = certificates.user_ids(fingerprint, now);
        wanted.names(fingerprint, &ids)
            || certificates.signers(now).iter().any(|key| key.certificate == **fingerprint && wanted.names(&key.fingerprint, &[]))
    });
    let known: Vec<&str> = known.collect();
    if known.is_empty() {
        bail!(
            "no key for `{spec}` is in {home}; gpg --list-secret-keys shows what is; git config user.signingKey FINGERPRINT names one"
        );
    }
    let keys = certificates.signers(now).into_iter().filter(|key| known.contains(&key.certificate.as_str()));
    let keys: Vec<SignerKey> = keys.filter(|key| !wanted.exactly || wanted.names(&key.fingerprint, &[])).collect();
    if keys.is_empty() {
        bail!(
            "`{spec}` is not for signing (or of an algorithm that is not signed with here); add a key that is: gpg --quick-add-key {} ed25519 sign",
            known.join(" ")
        );
    }
    let usable: Vec<SignerKey> = keys.iter().filter(|key| key.unusable.is_none()).cloned().collect();
    if let (true, Some(first)) = (usable.is_empty(), keys.first()) {
        let why = first.unusable.map(|why| why.to_string()).unwrap_or_default();
        bail!("the key {} of `{spec}` {why}", first.fingerprint);
    }
    Ok((usable, certificates))
}

/// The first of the keys whose secret part the agent holds.
fn held(agent: &mut GpgAgent, keys: Vec<SignerKey>, spec: &str) -> Result<SignerKey> {
    let (mut held, mut absent) = (Vec::new(), Vec::new());
    for key in keys {
        let place = if agent.has(&key.keygrip)? { &mut held } else { &mut absent };
        place.push(key);
    }
    let mut others: Vec<&str> = held.iter().map(|key| key.certificate.as_str()).collect();
    others.sort_unstable();
    others.dedup();
    if others.len() > 1 {
        bail!("`{spec}` may mean any of {}; git config user.signingKey FINGERPRINT says which", others.join(" and "));
    }
    held.into_iter().next().with_context(|| {
        let absent: Vec<&str> = absent.iter().map(|key| key.fingerprint.as_str()).collect();
        format!("gpg-agent holds no secret part of `{spec}` ({}); gpg --card-status, or gpg --import it", absent.join(" "))
    })
}

/// Whose key is meant (gpg(1), "How to specify a user ID").
struct Wanted {
    /// Lowercase.
    text: String,
    /// Whether the text is a fingerprint or a key id.
    hexadecimal: bool,
    /// Whether exactly this key is meant, not the best of its certificate.
    exactly: bool,
}

impl Wanted {
    fn of(spec: &str) -> Self {
        let (text, exactly) = spec.trim().strip_suffix('!').map_or((spec.trim(), false), |text| (text, true));
        let digits = text.strip_prefix("0x").unwrap_or(text).replace(' ', "");
        let hexadecimal = matches!(digits.len(), 8 | 16 | 40) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let text = if hexadecimal { digits } else { text.trim_start_matches('=').to_owned() };
        Self { text: text.to_lowercase(), hexadecimal, exactly: exactly && hexadecimal }
    }

    /// Bytes that a certificate of such a key holds.
    fn needle(&self) -> Vec<u8> {
        if !self.hexadecimal {
            let mail =
                self.text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(self.text.as_str(), |(mail, _)| mail);
            return mail.as_bytes().to_vec();
        }
        let bytes = (0..self.text.len() / 2).filter_map(|at| u8::from_str_radix(self.text.get(2 * at..2 * at + 2)?, 16).ok());
        bytes.collect()
    }

    fn names(&self, fingerprint: &str, user_ids: &[Vec<u8>]) -> bool {
        if self.hexadecimal {
            return fingerprint.to_lowercase().ends_with(&self.text);
        }
        user_ids.iter().any(|id| String::from_utf8_lossy(id).to_lowercase().contains(&self.text))
    }
}

/// What the person reads who is asked for the passphrase.
fn description(key: &SignerKey) -> String {
    let short = key.fingerprint.get(key.fingerprint.len().saturating_sub(16)..).unwrap_or_default();
    let created: String = Utc(key.created).to_string().chars().take(10).collect();
    let user = escaped(&key.user_id);
    format!("Please enter the passphrase to unlock the OpenPGP secret key:\n\"{user}\"\nID {short}, created {created}.\n")
}

/// `--faked-system-time`: seconds, or `YYYYMMDDThhmmss` in UTC, perhaps with a `!` behind it.
fn faked(text: &str) -> Result<i64> {
    let plain = text.trim_end_matches('!');
    let seconds = plain.parse().ok().or_else(|| {
        let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", plain).ok()?;
        crate::policy::allowed_signers::utc_seconds(civil)
    });
    seconds.ok_or_else(|| anyhow!("--faked-system-time: `{text}` is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_key() {
        let fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567";
        let ids = [b"Alice A <alice@example.com>".to_vec()];
        for (spec, want) in [
            (fingerprint, true),
            ("0x89ABCDEF01234567", true),
            ("01234567", true),
            ("0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567", true),
            ("89abcdef01234567!", true),
            ("89ABCDEF01234568", false),
            ("234567", false),
            ("alice@example.com", true),
            ("<alice@example.com>", true),
            ("Alice A <alice@example.com>", true),
            ("=Alice A <alice@example.com>", true),
            ("alice a", true),
            ("bob", false),
        ] {
            assert_eq!(Wanted::of(spec).names(fingerprint, &ids), want, "{spec}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(faked("20200102T030405!").unwrap(), 1_577_934_245);
        assert_eq!(faked("1577934245").unwrap(), 1_577_934_245);
        assert!(faked("yesterday").is_err());
    }
}
