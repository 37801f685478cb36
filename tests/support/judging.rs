//! Commits judged by the text of a policy in TOML, as of a day.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use git_warrant::judge::Judge;
use git_warrant::object::{HashAlgorithm, ObjectId};
use git_warrant::policy::ancestry::Ancestry;
use git_warrant::policy::file::{Credential, PolicyFile};
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::policy::{Demands, Parts, Policy};
use git_warrant::signature::Verifier;
use git_warrant::signature::openpgp::{Certificates, OpenPgpVerifier};
use git_warrant::verdict::Judgement;
use std::collections::HashSet;

/// 2026-11-22, the day of the oracles.
pub(crate) const NOW: i64 = 1_795_305_600;

/// A policy of OpenPGP keys, with the certificates in it.
pub(crate) struct Judging {
    policy: Policy,
    verifier: OpenPgpVerifier,
}

impl Judging {
    pub(crate) fn by(text: &[u8]) -> Self {
        let file = PolicyFile::parse(text).unwrap();
        let mut certificates = Certificates::default();
        for key in file.principals.iter().flat_map(|it| &it.keys) {
            let Credential::OpenPgp { certificate: Some(text), .. } = &key.credential else { panic!("{key:?}") };
            certificates.add(text.as_bytes()).unwrap();
        }
        let principals = file.principals.into_iter().map(|it| {
            let audited = it.keys.iter().map(|_| Ancestry::nothing()).collect();
            (it, audited)
        });
        let parts = Parts { principals: principals.collect(), ..Parts::default() };
        let policy = Policy::from_parts(parts, RevokedKeys::default(), Demands::default());
        Self { policy, verifier: OpenPgpVerifier::new(&certificates, NOW) }
    }

    /// A commit of a SHA-1 repository.
    pub(crate) fn judge(&self, id: &str, raw: &[u8], settled: bool) -> Judgement {
        let id: ObjectId = id.parse().unwrap();
        let objects = if settled { HashSet::from([id]) } else { HashSet::new() };
        let settled = Ancestry { objects, complete: true };
        let verifiers: [&dyn Verifier; 1] = [&self.verifier];
        let judge = Judge { verifiers: &verifiers, hash: HashAlgorithm::Sha1, policy: &self.policy, settled: &settled, now: NOW };
        judge.commit(id, raw)
    }

    /// The code of a commit, or `accept`.
    pub(crate) fn word(&self, id: &str, raw: &[u8], settled: bool) -> &'static str {
        self.judge(id, raw, settled).verdict.code().unwrap_or("accept")
    }
}
