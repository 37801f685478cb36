//! Commits: what the signature covers never holds its own header.
#![no_main]

use git_warrant::object::{Commit, HashAlgorithm};
use git_warrant::signature::ssh::SshVerifier;
use git_warrant::signature::verify;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
        let commit = Commit::parse(raw, hash);
        assert_eq!(format!("{commit:?}"), format!("{:?}", Commit::parse(raw, hash)), "one answer");
        let payload = commit.payload.to_vec();
        assert!(payload.len() <= raw.len());
        let Some(signature) = &commit.signature else { continue };
        if commit.fault.is_none() {
            let header = payload.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
            assert!(header.into_iter().all(|line| !line.starts_with(b"gpgsig")), "signed with its own header");
            let again = Commit::parse(&payload, hash);
            assert!(again.signature.is_none() && again.fault.is_none());
            assert_eq!(again.payload.to_vec(), payload);
            assert_eq!((again.parents, again.message), (commit.parents.clone(), commit.message));
        }
        if let Ok(evidence) = verify(&[&SshVerifier::default()], signature, &commit.payload) {
            assert_eq!(evidence.payload_id, commit.payload.id());
        }
    }
});
