//! OpenPGP certificates, as policies lay them down.
#![no_main]

use git_warrant::object::Payload;
use git_warrant::signature::Verifier as _;
use git_warrant::signature::openpgp::{Certificates, OpenPgpVerifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut certificates = Certificates::default();
    if certificates.add(bytes).is_err() {
        assert_eq!(certificates.fingerprints().count(), 0, "nothing is taken in");
        return;
    }
    let before: Vec<String> = certificates.fingerprints().map(str::to_owned).collect();
    assert!(!before.is_empty());
    let _ = certificates.without_signing_key(1_790_000_000).count();
    assert!(certificates.add(bytes).is_ok());
    assert_eq!(certificates.fingerprints().map(str::to_owned).collect::<Vec<_>>(), before, "once is enough");
    assert!(OpenPgpVerifier::new(&certificates, 1_790_000_000).verify(b"", &Payload::whole(b"")).is_err());
});
