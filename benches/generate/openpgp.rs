//! OpenPGP keys that sign the history: their certificates, and a policy that lists these.

use super::{Fraud, Hand, Keys, email};
use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::digest::{self, SHA512};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use ed25519_dalek::{Signer as _, SigningKey};
use git_warrant::signature::openpgp::Certificates;
use git_warrant::signature::openpgp::sign::{MOST_SALT, Numbers, SignerKey};
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Key, Packet, UserID};
use sequoia_openpgp::serialize::SerializeInto as _;
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// When all keys were made: 2019-01-01.
const MADE: u64 = 1_546_300_800;
const DAY: Duration = Duration::from_secs(86_400);

enum Secret {
    Rsa(RsaKeyPair),
    Ed25519(SigningKey),
}

struct OpenPgp {
    key: SignerKey,
    secret: Secret,
}

impl Hand for OpenPgp {
    fn sign(&mut self, _: &str, payload: &[&[u8]], made: i64) -> Result<String> {
        let unsigned = self.key.prepare(&payload.concat(), made, &[0; MOST_SALT]).context("no time for OpenPGP")?;
        let numbers = match &self.secret {
            Secret::Rsa(pair) => {
                let digest = digest::Digest::import_less_safe(&unsigned.digest, &SHA512)?;
                let mut number = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA512, &digest, &mut number)?;
                Numbers::One(number)
            }
            Secret::Ed25519(key) => {
                let signature = key.sign(&unsigned.digest);
                Numbers::Two(signature.r_bytes().to_vec(), signature.s_bytes().to_vec())
            }
        };
        Ok(String::from_utf8(unsigned.finish(&numbers).context("not the numbers of such a key")?)?)
    }
}

/// `count` keys and those of the frauds.
pub(super) fn keys(count: usize) -> Result<Keys> {
    let (mut policy, mut keyring) = ("version = 1\n".to_owned(), Vec::new());
    let mut theirs = "version = 0\ncommit_goodlist = []\n".to_owned();
    let mut list = |name: &str, cert: &Cert| -> Result<()> {
        let armored = String::from_utf8(cert.armored().to_vec()?)?;
        let fingerprint = cert.fingerprint().to_hex();
        writeln!(policy, "[[principals.{name}.keys]]\nopenpgp = \"{fingerprint}\"\ncert = \"\"\"\n{armored}\"\"\"")?;
        writeln!(theirs, "[authorization.{name}]\nsign_commit = true\nkeyring = \"\"\"\n{armored}\"\"\"")?;
        keyring.extend(cert.to_vec()?);
        Ok(())
    };
    let mut signers: Vec<Box<dyn Hand>> = Vec::new();
    for n in 0..count {
        let who = format!("Person {n} <{}>", email(n));
        let (cert, hand) = if n < count / 2 { rsa(&who)? } else { ed25519(&who, None)? };
        list(&format!("person{n}"), &cert)?;
        signers.push(hand);
    }
    let (_, unlisted) = ed25519("Unlisted <unlisted@example.org>", None)?;
    let (cert, expired) = ed25519("Gone <gone@example.org>", Some(DAY))?;
    list("gone", &cert)?;
    let files = vec![("policy.toml", policy.into_bytes()), ("keyring.pgp", keyring)];
    Ok(Keys {
        signers,
        unlisted,
        expired,
        not_yet: None,
        frauds: &Fraud::OPENPGP,
        files,
        tree: Some(("openpgp-policy.toml", theirs.into_bytes())),
    })
}

fn rsa(who: &str) -> Result<(Cert, Box<dyn Hand>)> {
    let pair = RsaKeyPair::generate(KeySize::Rsa4096)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
    let numbers = numbers(der.as_ref())?;
    // version, n, e, d, p, q (RFC 8017 §A.1.2)
    let [_, _, _, d, p, q, ..] = numbers[..] else { return Err(anyhow!("a key of too few numbers")) };
    let key = Key4::import_secret_rsa(d, p, q, made())?;
    certified(key.into(), who, None, Secret::Rsa(pair))
}

fn ed25519(who: &str, ends: Option<Duration>) -> Result<(Cert, Box<dyn Hand>)> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed)?;
    let key = Key4::import_secret_ed25519(&seed, made())?;
    certified(key.into(), who, ends, Secret::Ed25519(SigningKey::from_bytes(&seed)))
}

fn made() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(MADE)
}

fn certified(
    key: Key<SecretParts, PrimaryRole>,
    who: &str,
    ends: Option<Duration>,
    secret: Secret,
) -> Result<(Cert, Box<dyn Hand>)> {
    let mut pair = key.clone().into_keypair()?;
    ensure!(pair.public().creation_time() == made(), "a key of another time");
    let cert = Cert::try_from(vec![Packet::from(key)])?;
    let user_id = UserID::from(who);
    let binding = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_hash_algo(HashAlgorithm::SHA512)
        .set_signature_creation_time(made())?
        .set_key_validity_period(ends)?
        .set_key_flags(KeyFlags::empty().set_certification().set_signing())?;
    let binding = user_id.bind(&mut pair, &cert, binding)?;
    let cert = cert.insert_packets([Packet::from(user_id), binding.into()])?.0.strip_secret_key_material();
    let mut certificates = Certificates::default();
    certificates.add(&cert.to_vec()?)?;
    let key = certificates.signers(i64::try_from(MADE)?).pop().context("no key that signs")?;
    Ok((cert, Box::new(OpenPgp { key, secret })))
}

/// The numbers inside a PKCS #8 file of an RSA key, which aws-lc wrote: no check of anything that it could not have written.
fn numbers(pkcs8: &[u8]) -> Result<Vec<&[u8]>> {
    let (_, info, _) = element(pkcs8)?;
    let (_, _, rest) = element(info)?; // the version
    let (_, _, rest) = element(rest)?; // the algorithm
    let (_, key, _) = element(rest)?;
    let (_, mut rest, _) = element(key)?;
    let mut numbers = Vec::new();
    while !rest.is_empty() {
        let (_, number, more) = element(rest)?;
        numbers.push(number.strip_prefix(&[0]).unwrap_or(number));
        rest = more;
    }
    Ok(numbers)
}

/// A DER element: its tag, its content, and what follows.
fn element(der: &[u8]) -> Result<(u8, &[u8], &[u8])> {
    let short = || anyhow!("a key that is cut off");
    let (&[tag, first], rest) = der.split_first_chunk().ok_or_else(short)?;
    let (length, rest) = match usize::from(first) {
        length @ ..128 => (length, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 128).ok_or_else(short)?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    Ok((tag, content, rest))
}
