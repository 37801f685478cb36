//! Tags: payload and signature are the object, and nothing of the signature is in the payload.
#![no_main]

use git_warrant::armor::Format;
use git_warrant::object::{HashAlgorithm, Tag};
use git_warrant::signature::ssh::SshVerifier;
use git_warrant::signature::verify;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
        let tag = Tag::parse(raw, hash);
        assert_eq!(format!("{tag:?}"), format!("{:?}", Tag::parse(raw, hash)), "one answer");
        let payload = tag.payload.to_vec();
        assert!(payload.len() + tag.signature.map_or(0, <[u8]>::len) <= raw.len());
        let Some(signature) = tag.signature else { continue };
        assert!(Format::sniff(signature).is_some() && raw.ends_with(signature));
        if !tag.loose {
            assert_eq!([&payload, signature].concat(), raw, "payload and signature are all of it");
        }
        let _ = verify(&[&SshVerifier::default()], signature, &tag.payload);
    }
});
