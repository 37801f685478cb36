//! Everything that decides about a history beside the history and the time, as one hash: equal standards, equal verdicts.

use crate::object::{HashAlgorithm, ObjectId};
use crate::policy::Demands;
use sha2::{Digest as _, Sha256};

/// What this program makes of the same input; the number is to be raised with every change of a verdict between releases.
const VERDICTS: &str = concat!(env!("CARGO_PKG_VERSION"), " 7");
/// The one rule that there is: branches and tags alike, every commit.
const RULE: &str = "branches and tags, all commits";

/// By what a push is judged.
#[derive(Clone, Debug)]
pub struct Standard<'a> {
    /// SHA-256 of the policy, what lies beside it, and the revocation file.
    pub policy: &'a str,
    /// The lengths of both: the digest alone does not say where the one ends.
    pub lengths: [Option<usize>; 2],
    /// What is asked beyond the policy.
    pub demands: Demands,
    /// The hash function of the repository.
    pub hash: HashAlgorithm,
    /// The configured baseline, and what of it is in the repository.
    pub baseline: Named,
    /// What is configured as settled, and all other ids that the policy names, and what of them is in the repository.
    pub settled: Named,
}

/// Ids that a setting names, each with the commit (of a tag that is settled: the tag) that it stands for, where it is here.
pub type Named = Vec<(ObjectId, Option<ObjectId>)>;

impl Standard<'_> {
    /// SHA-256 over all of it, every part with its length before it.
    pub fn digest(&self) -> [u8; 32] {
        // named one by one, so that none can be forgotten
        let Demands { bind_committer, refuse_claimed_only, refuse_wildcard, refuse_malleable, strong_rsa, require_touch } =
            self.demands;
        let demands = [bind_committer, refuse_claimed_only, refuse_wildcard, refuse_malleable, strong_rsa, require_touch];
        let mut hash = Sha256::new();
        part(&mut hash, b"git-warrant verified tips");
        part(&mut hash, VERDICTS.as_bytes());
        part(&mut hash, RULE.as_bytes());
        part(&mut hash, self.policy.as_bytes());
        part(&mut hash, format!("{:?}", self.lengths).as_bytes());
        part(&mut hash, &demands.map(u8::from));
        part(&mut hash, self.hash.signature_header());
        for named in [&self.baseline, &self.settled] {
            let mut named = named.clone();
            named.sort_unstable();
            named.dedup();
            part(&mut hash, named.len().to_string().as_bytes());
            for (id, here) in named {
                part(&mut hash, id.as_bytes());
                part(&mut hash, here.as_ref().map_or(&[], ObjectId::as_bytes));
            }
        }
        hash.finalize().into()
    }
}

fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(bytes.len().to_string());
    hash.update(b":");
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_decides_is_in_it() {
        let id = |n: u8| ObjectId::from_bytes(&[n; 20]).unwrap();
        let plain = || Standard {
            policy: "abc",
            lengths: [Some(3), None],
            demands: Demands::default(),
            hash: HashAlgorithm::Sha1,
            baseline: vec![(id(1), None), (id(2), Some(id(2)))],
            settled: vec![(id(3), Some(id(3)))],
        };
        let others = [
            Standard { policy: "abd", ..plain() },
            Standard { lengths: [Some(2), None], ..plain() },
            Standard { lengths: [Some(3), Some(0)], ..plain() },
            Standard { demands: Demands { bind_committer: true, ..Demands::default() }, ..plain() },
            Standard { demands: Demands { refuse_claimed_only: true, ..Demands::default() }, ..plain() },
            Standard { demands: Demands { refuse_wildcard: true, ..Demands::default() }, ..plain() },
            Standard { demands: Demands { refuse_malleable: true, ..Demands::default() }, ..plain() },
            Standard { demands: Demands { strong_rsa: true, ..Demands::default() }, ..plain() },
            Standard { demands: Demands { require_touch: true, ..Demands::default() }, ..plain() },
            Standard { hash: HashAlgorithm::Sha256, ..plain() },
            Standard { baseline: vec![(id(1), None)], ..plain() },
            Standard { baseline: vec![(id(1), Some(id(1))), (id(2), Some(id(2)))], ..plain() },
            Standard { settled: vec![(id(3), None)], ..plain() },
            Standard { settled: vec![], ..plain() },
            Standard { baseline: vec![(id(1), None)], settled: vec![(id(2), Some(id(2))), (id(3), Some(id(3)))], ..plain() },
        ];
        let mut digests: Vec<_> = others.iter().map(Standard::digest).collect();
        digests.push(plain().digest());
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), others.len() + 1);
        let turned = Standard { baseline: vec![(id(2), Some(id(2))), (id(1), None)], ..plain() };
        assert_eq!(turned.digest(), plain().digest(), "the order of settings decides nothing");
    }
}
