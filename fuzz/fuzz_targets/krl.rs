//! Revocation lists, binary or as lines: one that reads revokes something.
#![no_main]

use git_warrant::policy::krl::Krl;
use git_warrant::policy::revocation::RevokedKeys;
use git_warrant::signature::ssh::PublicKey;
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

/// A key that no list here names.
static KEY: LazyLock<Arc<git_warrant::evidence::Key>> = LazyLock::new(|| {
    let line = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";
    git_warrant::policy::public_key::read_key(line).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(krl) = Krl::parse(bytes) {
        assert_eq!(krl.revokes_key(&KEY), Krl::parse(bytes).unwrap().revokes_key(&KEY));
        let list = RevokedKeys::parse(bytes).expect("the same list");
        let _ = list.find(&KEY);
    } else if let Ok(list) = RevokedKeys::parse(bytes) {
        let _ = list.find(&KEY);
    }
    // a certificate in the same bytes, behind the list: its serial and key id are looked up
    if let Some(at) = bytes.windows(4).position(|window| window == b"\0\0\0\x20") {
        if let (Ok(krl), Ok(key)) = (Krl::parse(&bytes[..at]), PublicKey::parse(&bytes[at..])) {
            if let Some(certificate) = &key.info().certificate {
                let _ = krl.revokes_certificate(certificate);
            }
        }
    }
});
