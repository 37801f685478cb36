//! No bytes make an import panic, and what it takes from bytes can be used: certificates cut, joined and changed.

use crate::hostile::secret;
use git_warrant::armor::{encode_certificate, encode_openpgp};
use git_warrant::policy::allowed_signers::{AllowedSigners, utc_seconds};
use git_warrant::policy::file::PolicyFile;
use git_warrant::policy::file::sequoia::{SequoiaPolicy, is_sequoia_policy};
use git_warrant::policy::import::{Draft, DraftCredential, DraftKey, Person, signers};
use git_warrant::signature::openpgp::import::Gathered;
use git_warrant::signature::openpgp::secret::SecretKeys;
use proptest::prelude::*;
use sequoia_openpgp::cert::{Cert, CertBuilder};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::MarshalInto as _;
use std::sync::LazyLock;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";
const NOW: i64 = 1_795_305_600;

/// What imports are made for.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cert = secret(&[b"alice <alice@example.com>", b"second"]);
    let locked = CertBuilder::general_purpose(Some("bob")).set_password(Some("pw".into())).generate().unwrap().0;
    let (public, tsk) = (cert.to_vec().unwrap(), cert.as_tsk().to_vec().unwrap());
    let block = String::from_utf8(encode_certificate(&public)).unwrap();
    let boxed = {
        let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
        let entry = [&number(16 + public.len())[..], &[2, 1, 0, 0], &number(16), &number(public.len()), &public].concat();
        [&32_u32.to_be_bytes()[..], &[1, 1, 0, 2], b"KBXf", &[0; 20], &entry, &entry].concat()
    };
    let policy =
        format!("version = 0\ncommit_goodlist = [\"a\"]\n[authorization.a]\nsign_commit = true\nkeyring = \"\"\"\n{block}\"\"\"\n");
    let lines = format!("a@x,b@x valid-before=\"20200101Z\" {KEY}\n*@x cert-authority {KEY}\n");
    vec![
        public.clone(),
        tsk,
        locked.as_tsk().to_vec().unwrap(),
        boxed,
        format!("Keys\n\n{block}\npub x\n{}", block.replace("PUBLIC", "PRIVATE")).into_bytes(),
        encode_openpgp(&public),
        policy.into_bytes(),
        lines.into_bytes(),
    ]
});

/// A seed with parts cut out, copied or overwritten; of most, only a few bytes.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..40_usize, 0..4_u8, prop::collection::vec(any::<u8>(), 0..5));
    (0..SEEDS.len(), prop::collection::vec(edit, 0..4)).prop_map(|(seed, edits)| {
        let mut bytes = SEEDS[seed].clone();
        for (from, length, what, new) in edits {
            let start = from.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            match what {
                0 => drop(bytes.drain(start..end)),
                1 => drop(bytes.splice(start..start, new)),
                2 => {
                    let copy = bytes[start..end].to_vec();
                    drop(bytes.splice(end..end, copy));
                }
                _ => {
                    let end = (start + new.len()).min(bytes.len());
                    drop(bytes.splice(start..end, new));
                }
            }
        }
        bytes
    })
}

/// A policy of what was read; it must be one.
fn checked(draft: &Draft) {
    let text = draft.to_toml();
    let read = PolicyFile::parse(text.as_bytes());
    let empty = draft.principals.is_empty() && draft.authorities.is_empty();
    assert!(empty || read.is_ok(), "{read:?}\n{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn certificates(bytes in changed()) {
        let mut gathered = Gathered::default();
        let found = gathered.add(&bytes, 1);
        let listed = gathered.listed(NOW);
        for one in &listed {
            let mut again = Gathered::default();
            prop_assert_eq!(again.add(one.armored.as_bytes(), 1).unwrap(), [one.fingerprint.clone()]);
            let second = again.listed(NOW);
            prop_assert_eq!(&second[0].armored, &one.armored, "imported again, it is the same");
            prop_assert!(!Cert::from_bytes(one.armored.as_bytes()).unwrap().is_tsk());
        }
        if let Ok(found) = found {
            prop_assert!(found.iter().all(|it| listed.iter().any(|one| one.fingerprint == *it)));
        }
        let person = |one: &git_warrant::signature::openpgp::import::Listed| Person {
            name: String::from_utf8_lossy(one.user_ids.first().map(Vec::as_slice).unwrap_or_default()).into_owned(),
            mark: one.fingerprint.clone(),
            keys: vec![DraftKey {
                comments: vec![],
                credential: DraftCredential::OpenPgp { fingerprint: one.fingerprint.clone(), armored: one.armored.clone() },
                retired: false,
            }],
            ..Person::default()
        };
        checked(&Draft { principals: listed.iter().map(person).collect(), ..Draft::default() });
    }

    #[test]
    fn secrets(bytes in changed()) {
        if let Ok(keys) = SecretKeys::read(&bytes) {
            for key in keys.certificates().signers(NOW) {
                if keys.has(&key.fingerprint) && !keys.is_locked(&key.fingerprint) {
                    prop_assert!(keys.open(&key.fingerprint, b"").is_some());
                }
            }
        }
    }

    #[test]
    fn texts(bytes in changed()) {
        let _ = is_sequoia_policy(&bytes);
        if let Ok(policy) = SequoiaPolicy::parse(&bytes) {
            for authorization in policy.authorizations {
                let _ = Gathered::default().add(authorization.keyring.as_bytes(), authorization.keyring_line);
            }
        }
        let lines = AllowedSigners::parse(&bytes, &utc_seconds);
        checked(&signers::draft(&lines, NOW, &|time| time.to_string()).0);
    }
}
