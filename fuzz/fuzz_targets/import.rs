//! What `policy import` reads: whatever it takes from bytes can be taken again, and makes a policy without secrets.
#![no_main]

use git_warrant::policy::allowed_signers::{AllowedSigners, utc_seconds};
use git_warrant::policy::file::PolicyFile;
use git_warrant::policy::file::sequoia::{SequoiaPolicy, is_sequoia_policy};
use git_warrant::policy::import::{Draft, DraftCredential, DraftKey, Person, signers};
use git_warrant::signature::openpgp::import::{Gathered, Listed};
use git_warrant::signature::openpgp::secret::SecretKeys;
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_790_000_000;

fn principal(one: &Listed) -> Person {
    let credential = DraftCredential::OpenPgp { fingerprint: one.fingerprint.clone(), armored: one.armored.clone() };
    let name = one.user_ids.first().map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default();
    let keys = vec![DraftKey { comments: vec![name.clone()], credential, retired: false }];
    Person { name, mark: one.fingerprint.clone(), keys, ..Person::default() }
}

fn is_policy(draft: &Draft) {
    let text = draft.to_toml();
    match PolicyFile::parse(text.as_bytes()) {
        Ok(policy) => {
            assert_eq!(policy.principals.len(), draft.principals.len(), "{text}");
            assert_eq!(policy.authorities.len(), draft.authorities.len(), "{text}");
        }
        Err(error) => assert!(draft.principals.is_empty() && draft.authorities.is_empty(), "{error}\n{text}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut gathered = Gathered::default();
    let found = gathered.add(bytes, 1);
    let listed = gathered.listed(NOW);
    for one in &listed {
        let mut again = Gathered::default();
        assert_eq!(again.add(one.armored.as_bytes(), 1).as_deref(), Ok(&[one.fingerprint.clone()][..]));
        assert_eq!(again.listed(NOW)[0].armored, one.armored, "imported again, it is the same");
        assert!(SecretKeys::read(one.armored.as_bytes()).is_err(), "a secret is printed");
    }
    assert!(found.is_err() || !listed.is_empty());
    is_policy(&Draft { principals: listed.iter().map(principal).collect(), ..Draft::default() });
    is_policy(&signers::draft(&AllowedSigners::parse(bytes, &utc_seconds), NOW, &|time| time.to_string()).0);
    if let (true, Ok(policy)) = (is_sequoia_policy(bytes), SequoiaPolicy::parse(bytes)) {
        for authorization in policy.authorizations {
            let _ = Gathered::default().add(authorization.keyring.as_bytes(), authorization.keyring_line);
        }
    }
    if let Ok(keys) = SecretKeys::read(bytes) {
        for key in keys.certificates().signers(NOW).iter().filter(|key| keys.has(&key.fingerprint)) {
            assert!(keys.is_locked(&key.fingerprint) || keys.open(&key.fingerprint, b"").is_some());
        }
    }
});
