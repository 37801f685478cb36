//! Key files, whole and broken.

use super::*;
use base64::Engine as _;

/// The P-256 key whose number is 1: its point is the curve's base point, and its mpint has one byte instead of 32.
fn smallest_key() -> (Vec<u8>, Vec<u8>) {
    let point = [
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ]
    .concat();
    let point: Vec<u8> = (0..65).map(|n| u8::from_str_radix(&point[2 * n..2 * n + 2], 16).unwrap()).collect();
    let public = Writer::default().string(b"ecdsa-sha2-nistp256").string(b"nistp256").string(&point).into_bytes();
    let private = Writer::default().u32(7).u32(7).raw(&public).mpint(&[1]).string(b"").raw(&[1, 2, 3]).into_bytes();
    let container = Writer::default().raw(b"openssh-key-v1\0").string(b"none").string(b"none").string(b"").u32(1);
    (public.clone(), container.string(&public).string(&private).into_bytes())
}

fn file(container: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(container);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
}

#[test]
fn a_number_with_leading_zeros_is_a_key() {
    let (public, container) = smallest_key();
    let container = Container::parse(file(&container).as_bytes()).unwrap();
    let material = Material::of(container.open().unwrap()).unwrap();
    let public = PublicKey::parse(&public).unwrap();
    let signature = FileKey { public: Arc::clone(public.info()), material }.sign(b"data", MessageHash::Sha512).unwrap();
    assert!(public.verify(b"data", &signature).is_ok());
}

#[test]
fn what_is_cut_or_bent_is_no_key() {
    let (_, whole) = smallest_key();
    let opens = |bytes: &[u8]| Container::parse(file(bytes).as_bytes()).and_then(|container| container.open().map(|_| ())).is_ok();
    assert!(opens(&whole));
    for cut in 0..whole.len() {
        assert!(!opens(&whole[..cut]), "cut at {cut}");
    }
    for bent in [0, 15, 24, 34, 40, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[bent] ^= 1;
        assert!(!opens(&bytes), "bent at {bent}");
    }
}

#[test]
fn a_file_whose_public_key_is_not_that_of_its_private_key_signs_nothing() {
    let seed = [7; 32];
    let key = SigningKey::from_bytes(&seed);
    let own = key.verifying_key().to_bytes();
    let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for (outside, inside, fits) in [(own, own, true), (other, own, false), (other, other, false), (own, other, true)] {
        let public = |key: &[u8]| Writer::default().string(b"ssh-ed25519").string(key).into_bytes();
        let private = Writer::default().u32(7).u32(7).raw(&public(&inside)).string(&[seed, inside].concat());
        let private = private.string(b"").raw(&[1, 2, 3]).into_bytes();
        let container = Writer::default().raw(b"openssh-key-v1\0").string(b"none").string(b"none").string(b"").u32(1);
        let container = container.string(&public(&outside)).string(&private).into_bytes();
        std::fs::write(&path, file(&container)).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let unlocked = KeyFile::open(&path).unwrap().unlock(OsStr::new("internal"));
        match (unlocked, fits) {
            (Ok(mut signer), true) => {
                let signature = signer.sign(b"data", MessageHash::Sha512).unwrap();
                assert!(PublicKey::parse(&public(&own)).unwrap().verify(b"data", &signature).is_ok());
            }
            (Err(FileError::Mismatch { .. }), false) => {}
            (unlocked, _) => panic!("{fits}: {:?}", unlocked.map(|_| "a key")),
        }
    }
}
