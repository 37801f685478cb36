//! SSH public keys and certificates, as blobs and as lines.
#![no_main]

use git_warrant::policy::public_key::read_key;
use git_warrant::signature::ssh::PublicKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::parse(bytes) {
        let info = key.info();
        let line = info.to_openssh();
        let again = read_key(line.as_bytes()).expect("what is written can be read");
        assert_eq!(again.blob, info.blob);
        assert!(PublicKey::parse_plain(&info.blob).is_ok(), "the key inside is a key");
        if let Some(certificate) = &info.certificate {
            assert_eq!(certificate.blob, bytes);
            assert!(certificate.authority.certificate.is_none(), "no chains");
        }
        assert!(key.verify(b"message", bytes).is_err());
    }
    let _ = read_key(bytes);
});
