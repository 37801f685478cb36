//! CMS signatures: a whole commit or tag, or bare DER over a fixed message, by the trusted roots that are built in.
#![no_main]

use git_warrant::armor::{decode_cms, encode_cms};
use git_warrant::object::{Commit, HashAlgorithm, Payload, Tag};
use git_warrant::signature::Verifier as _;
use git_warrant::signature::x509::{Root, X509Verifier, to_bundle};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// What bare signatures are held to; none is over it.
const MESSAGE: &[u8] = b"message\n";

static VERIFIER: LazyLock<X509Verifier> = LazyLock::new(|| {
    X509Verifier::new(Root::EMBEDDED.iter().filter_map(|name| Root::embedded(name, name)).collect())
});

fn check(armored: &[u8], payload: &Payload<'_>) {
    if let Ok((blob, _)) = decode_cms(armored) {
        assert_eq!(decode_cms(&encode_cms(&blob)).map(|(blob, _)| blob), Ok(blob));
    }
    let _ = to_bundle(armored, payload);
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
        check(&encode_cms(bytes), &Payload::whole(MESSAGE));
    }
});
