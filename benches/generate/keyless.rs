//! Keyless identities that sign the history, by a Sigstore instance in this process: its trusted root, and a policy that names it.

use super::{Fraud, Hand, Keys, email};
use anyhow::Result;
use sigstore::{Key, Leaf, Signature, Sigstore};
use std::fmt::Write as _;
use std::rc::Rc;

#[path = "../../tests/support/sigstore.rs"]
mod sigstore;

/// How many other entries are in the log's tree.
const OTHERS: usize = 31;

/// Somebody who logs in anew for every so many commits.
struct Person {
    instance: Rc<Sigstore>,
    email: String,
    commits_per_login: usize,
    signed: usize,
    key: Key,
    certificate: Vec<u8>,
}

impl Hand for Person {
    fn sign(&mut self, _: &str, payload: &[&[u8]], made: i64) -> Result<String> {
        if self.signed.is_multiple_of(self.commits_per_login) {
            self.key = Key::p256();
            let leaf = Leaf { end: made + 400 * 24 * 3600, ..Leaf::email(&self.email, made - 1) };
            self.certificate = self.instance.issue(&leaf, &self.key);
        }
        self.signed += 1;
        let bare = Signature::new(&self.key, &self.certificate, &payload.concat(), made);
        let entry = self.instance.entry(&bare, made, false, OTHERS);
        Ok(String::from_utf8(bare.with_entry(&entry).armored())?)
    }
}

/// `count` people, each with a certificate for so many commits, and those of the frauds.
pub(super) fn keys(count: usize, commits_per_login: usize) -> Result<Keys> {
    let instance = Rc::new(Sigstore::new("example"));
    let person = |email: String| -> Box<dyn Hand> {
        let (instance, key) = (Rc::clone(&instance), Key::p256());
        Box::new(Person { instance, email, commits_per_login, signed: 0, key, certificate: Vec::new() })
    };
    let mut policy = "version = 1\n[authorities.example]\ntrusted-root = \"root.json\"\n".to_owned();
    for n in 0..count {
        let keyless = email(n);
        write!(policy, "[[principals.person{n}.keys]]\nkeyless = \"{keyless}\"\nissuer = \"https://issuer.example\"\n")?;
    }
    let files = vec![("policy.toml", policy.into_bytes()), ("root.json", instance.trusted_root().into_bytes())];
    Ok(Keys {
        signers: (0..count).map(|n| person(email(n))).collect(),
        unlisted: person("unlisted@example.org".to_owned()),
        expired: person("unlisted@example.org".to_owned()),
        not_yet: None,
        frauds: &[Fraud::Unsigned, Fraud::Message, Fraud::Bit, Fraud::Stranger, Fraud::Armor],
        files,
        tree: None,
    })
}
