//! SSH signatures, armoured or the bare frame: none is good for two messages, and both ways of asking agree.
#![no_main]

use git_warrant::armor::{decode_ssh, encode_ssh};
use git_warrant::object::Payload;
use git_warrant::signature::ssh::{SshSig, SshVerifier, detached};
use git_warrant::signature::verify;
use libfuzzer_sys::fuzz_target;

/// What the seeds sign.
const MESSAGE: &[u8] = b"message\n";

fuzz_target!(|bytes: &[u8]| {
    let armored = if bytes.starts_with(b"-----") { bytes.to_vec() } else { encode_ssh(bytes) };
    // armour around nothing can be read, but nobody writes it
    if let Ok((blob, _)) = decode_ssh(&armored)
        && !blob.is_empty()
    {
        assert_eq!(decode_ssh(&encode_ssh(&blob)).map(|(blob, _)| blob), Ok(blob.clone()));
        if let Ok(frame) = SshSig::parse(&blob) {
            assert_eq!(frame.to_bytes(), blob, "a frame is written in one way");
        }
    }
    let verifier = SshVerifier::default();
    let good = verify(&[&verifier], &armored, &Payload::whole(MESSAGE));
    let lenient = detached::verify(&armored, "git", MESSAGE);
    let _ = detached::named_key(&armored);
    if let Ok(evidence) = &good {
        assert!(verify(&[&verifier], &armored, &Payload::whole(b"massage\n")).is_err(), "good for two messages");
        assert_eq!(evidence.payload_id, Payload::whole(MESSAGE).id());
        if let Ok(key) = &lenient {
            assert_eq!(key.blob, evidence.key.blob);
        }
    }
    if lenient.is_ok() {
        assert!(detached::verify(&armored, "git", b"massage\n").is_err(), "good for two messages");
        assert!(detached::verify(&armored, "file", MESSAGE).is_err(), "good for two namespaces");
    }
});
