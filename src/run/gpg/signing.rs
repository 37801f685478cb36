//! Signing in gpg's place: which key, by which agent.

mod wanted;

use super::{GOOD, Status, escaped, read_stdin};
use crate::armor::decode_openpgp;
use crate::io::gnupg::Gnupg;
use crate::io::keys::SecretFile;
use crate::io::keys::ephemeral::random;
use crate::io::keys::gpg_agent::{GpgAgent, shortened};
use crate::io::secrecy::forbid_cores;
use crate::io::{cert_d, clock};
use crate::personality::gpg::Gpg;
use crate::signature::openpgp::detached::{Detached, Outcome};
use crate::signature::openpgp::sign::{MOST_SALT, Numbers, SignerKey, SigningHash};
use crate::signature::openpgp::standing::NoKey;
use crate::signature::openpgp::{Certificates, OpenPgpVerifier};
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow, bail};
use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use wanted::Wanted;

/// Signs standard input; the signature goes to standard output.
pub(super) fn sign(gpg: &Gpg) -> Result<u8> {
    forbid_cores();
    let payload = read_stdin()?; // first: git takes a broken pipe for failure of another kind
    let hash = match gpg.digest.as_deref() {
        None => SigningHash::Sha512,
        Some(name) => SigningHash::of_name(name)
            .with_context(|| format!("--digest-algo {name}: signatures are made with SHA256, SHA384 or SHA512"))?,
    };
    let mut gnupg = Gnupg::open(gpg.home.as_deref())?;
    gnupg.use_keyrings(&gpg.keyrings, gpg.no_default_keyring)?;
    let now = clock::now();
    let made = gpg.time.as_deref().map_or(Ok(now), faked)?;
    let users = if gpg.users.is_empty() { &gnupg.settings.local_users } else { &gpg.users };
    let Found { mut key, certificates, mut holder } = match &users[..] {
        [] => by_default(&gnupg, &gpg.default_keys, made)?,
        [user] => named(&gnupg, user, made)?,
        _ => bail!("one signature by one key is made at a time; git takes no more"),
    };
    key.hash = hash;
    let verifier = OpenPgpVerifier::like_gnupg(&certificates, made);
    let status = Status(gpg.status_fd);
    status.line(&format!("KEY_CONSIDERED {} 2", key.certificate))?;
    status.line(&format!("BEGIN_SIGNING H{}", hash.number()))?;
    // the first random bytes of a process take longer than all the rest
    let salt = if key.is_salted() { random()? } else { [0; MOST_SALT] };
    let unsigned = key.prepare(&payload, made, &salt).context("the time cannot be written in OpenPGP")?;
    let numbers = holder.sign(&key, &unsigned.digest)?;
    let armored = unsigned.finish(&numbers).with_context(|| format!("{}'s answer is no signature of this key", holder.name()))?;
    // what an agent says is believed of no agent, and what stands beside a secret key of no file
    let checked = Detached::parse(&armored).map(|signature| signature.check(&verifier, &payload)).unwrap_or_default();
    if !matches!(&checked[..], [one] if matches!(one.outcome, Outcome::Good(_))) {
        bail!("{}'s signature is not good; nothing is signed", holder.name());
    }
    let signature = match gpg.armor {
        true => armored,
        false => decode_openpgp(&armored).context("the signature cannot be read back")?.0,
    };
    io::stdout().write_all(&signature).and_then(|()| io::stdout().flush()).context("cannot write the signature")?;
    status.line(&format!("SIG_CREATED D {} {} 00 {made} {}", key.algorithm, hash.number(), key.fingerprint))?;
    Ok(GOOD)
}

/// What signs.
struct Found {
    key: SignerKey,
    certificates: Certificates,
    holder: Holder,
}

/// What has the secret part of a key.
enum Holder {
    Agent(GpgAgent),
    File(SecretFile),
}

impl Holder {
    fn sign(&mut self, key: &SignerKey, digest: &[u8]) -> Result<Numbers> {
        match self {
            Self::Agent(agent) => agent.sign(&key.keygrip, &description(key), key.hash.number(), digest),
            Self::File(file) => Ok(file.sign(&key.fingerprint, key.hash, digest)?),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => "gpg-agent",
            Self::File(_) => "the key file",
        }
    }
}

/// The last of the default keys that can be had, as gpg takes it; those of the command line come after those of gpg.conf.
fn by_default(gnupg: &Gnupg, given: &[String], now: i64) -> Result<Found> {
    let mut refusal = anyhow!("no key is named; git config user.signingKey FINGERPRINT");
    for (at, spec) in gnupg.settings.default_keys.iter().chain(given).rev().enumerate() {
        match named(gnupg, spec, now) {
            Ok(found) => return Ok(found),
            Err(error) if at == 0 => refusal = error, // why it is not the one that was meant
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn named(gnupg: &Gnupg, spec: &str, now: i64) -> Result<Found> {
    match file_of(spec)? {
        Some(path) => in_file(gnupg, &path, now),
        None => by_name(gnupg, spec, now),
    }
}

/// The file that the text names, if it names one: only what has a slash in it can.
fn file_of(spec: &str) -> Result<Option<PathBuf>> {
    if !spec.contains('/') {
        return Ok(None);
    }
    let path = match spec.strip_prefix("~/") {
        Some(rest) => Path::new(&env::var_os("HOME").context("HOME is not set, so `~/` cannot be expanded")?).join(rest),
        None => PathBuf::from(spec),
    };
    Ok(Some(path).filter(|path| path.is_file()))
}

/// The newest key of a file that signs. A revocation of it may lie where its certificate does, and not in the file.
fn in_file(gnupg: &Gnupg, path: &Path, now: i64) -> Result<Found> {
    let file = SecretFile::open(path)?;
    let mut certificates = file.keys().certificates().clone();
    gnupg.complete(&mut certificates, now)?;
    let keys: Vec<SignerKey> = certificates.signers(now).into_iter().filter(|key| file.keys().has(&key.fingerprint)).collect();
    let Some(first) = keys.first() else {
        bail!("{} holds no secret key that is for signing, or of an algorithm that is signed with here", path.display())
    };
    let mut holders: Vec<&str> = keys.iter().map(|key| key.certificate.as_str()).collect();
    holders.sort_unstable();
    holders.dedup();
    if holders.len() > 1 {
        bail!("{} holds the keys of {}; put the one that is meant into a file of its own", path.display(), holders.join(" and "));
    }
    let Some(key) = keys.iter().find(|key| key.unusable.is_none()).cloned() else {
        let why = first.unusable.map(|why| why.to_string()).unwrap_or_default();
        bail!("the key {} of {} {why}", first.fingerprint, path.display())
    };
    Ok(Found { key, certificates, holder: Holder::File(file) })
}

/// By gpg-agent, or else by a file of Sequoia's store.
fn by_name(gnupg: &Gnupg, spec: &str, now: i64) -> Result<Found> {
    let (keys, certificates) = usable(gnupg, spec, now)?;
    let by_agent = || {
        let mut agent = GpgAgent::connect(gnupg.home())?;
        let key = held(&mut agent, keys.clone(), spec)?;
        Ok::<_, anyhow::Error>((key, agent))
    };
    let refusal = match by_agent() {
        Ok((key, agent)) => return Ok(Found { key, certificates, holder: Holder::Agent(agent) }),
        Err(refusal) => refusal,
    };
    for key in &keys {
        let Some(path) = SecretFile::of_sequoia(&key.certificate) else { continue };
        let file = SecretFile::open(&path)?;
        if file.keys().has(&key.fingerprint) {
            return Ok(Found { key: key.clone(), certificates, holder: Holder::File(file) });
        }
    }
    Err(anyhow!("{refusal:#}; or name a file that holds the secret key: git config user.signingKey /PATH/TO/KEY"))
}

/// The keys that the text names and that may sign, the newest first, and the certificates that they are of.
fn usable(gnupg: &Gnupg, spec: &str, now: i64) -> Result<(Vec<SignerKey>, Certificates)> {
    let wanted = Wanted::of(spec)?;
    let mut certificates = gnupg.certificates(&[wanted.needle()])?;
    if wanted.among(&certificates, now).is_empty() {
        certificates = gnupg.certificates(&[Vec::new()])?; // written otherwise, or by another of its keys
    }
    if wanted.among(&certificates, now).is_empty() {
        cert_d::add_to(&mut certificates, &[Vec::new()])?;
    }
    gnupg.complete(&mut certificates, now)?;
    let home = gnupg.home().display();
    let known = wanted.among(&certificates, now);
    if known.is_empty() && spec.contains('/') {
        bail!("there is no file {spec}; git config user.signingKey /PATH/TO/KEY names one with the secret key");
    }
    if known.is_empty() {
        bail!(
            "no key for `{spec}` is in {home} or in pgp.cert.d; gpg --list-secret-keys shows what is; git config user.signingKey FINGERPRINT names one"
        );
    }
    let keys = certificates.signers(now).into_iter().filter(|key| known.contains(&key.certificate));
    let keys: Vec<SignerKey> = keys.filter(|key| !wanted.exactly || wanted.names(&key.fingerprint, &[])).collect();
    if keys.is_empty() {
        if let Some(Err(why @ (NoKey::Unbound | NoKey::Ahead { .. }))) = known.first().map(|one| certificates.standing(one, now)) {
            bail!("the key {} of `{spec}` {why}", known.join(" "));
        }
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

/// What the person reads who is asked for the passphrase.
fn description(key: &SignerKey) -> String {
    let short = key.fingerprint.get(key.fingerprint.len().saturating_sub(16)..).unwrap_or_default();
    let created: String = Utc(key.created).to_string().chars().take(10).collect();
    let user = shortened(&escaped(&key.user_id), 700); // all else takes less than 200
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
    fn times() {
        assert_eq!(faked("20200102T030405!").unwrap(), 1_577_934_245);
        assert_eq!(faked("1577934245").unwrap(), 1_577_934_245);
        assert!(faked("yesterday").is_err());
    }
}
