//! OpenPGP signatures: a whole commit or tag, or bare packets over a fixed message, by the certificates that `fuzz/seeds` laid down.
#![no_main]

use git_warrant::armor::{decode_openpgp, encode_openpgp};
use git_warrant::object::{Commit, HashAlgorithm, Payload, Tag};
use git_warrant::signature::Verifier as _;
use git_warrant::signature::openpgp::{Certificates, OpenPgpVerifier};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// What the seeds sign.
const MESSAGE: &[u8] = b"message\n";

static VERIFIER: LazyLock<OpenPgpVerifier> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/certificates.pgp");
    let bytes = std::fs::read(file).expect("run fuzz/seeds first: it makes certificates.pgp");
    let mut certificates = Certificates::default();
    certificates.add(&bytes).unwrap();
    OpenPgpVerifier::new(&certificates, 1_790_000_000)
});

fn check(armored: &[u8], payload: &Payload<'_>) {
    if let Ok((blob, _)) = decode_openpgp(armored) {
        assert_eq!(decode_openpgp(&encode_openpgp(&blob)).map(|(blob, _)| blob), Ok(blob));
    }
    if let Ok(evidence) = VERIFIER.verify(armored, payload) {
        assert_eq!(evidence.payload_id, payload.id());
        let other = [&payload.to_vec()[..], b"x"].concat();
        assert!(VERIFIER.verify(armored, &Payload::whole(&other)).is_err(), "good for two messages");
    }
}

fuzz_target!(init: LazyLock::force(&VERIFIER), |bytes: &[u8]| {
    if bytes.starts_with(b"tree ") {
        let commit = Commit::parse(bytes, HashAlgorithm::Sha1);
        if let Some(signature) = &commit.signature {
            check(signature, &commit.payload);
        }
    } else if bytes.starts_with(b"object ") {
        let tag = Tag::parse(bytes, HashAlgorithm::Sha1);
        if let Some(signature) = tag.signature {
            check(signature, &tag.payload);
        }
    } else if bytes.starts_with(b"-----") {
        check(bytes, &Payload::whole(MESSAGE));
    } else {
        check(&encode_openpgp(bytes), &Payload::whole(MESSAGE));
    }
});
