//! Key files in all their forms: a key that loads signs what its public half verifies.
#![no_main]

use git_warrant::io::keys::{Sources, signer};
use git_warrant::signature::ssh::{MessageHash, PublicKey};
use libfuzzer_sys::fuzz_target;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let path = folder.join(format!("git-warrant-fuzz-{}", std::process::id()));
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let sources = Sources { agent_only: false, socket: None, provider: OsStr::new("internal") };
    let Ok(mut signer) = signer(&FILE, sources) else { return };
    let public = PublicKey::parse(signer.public_key()).expect("what signs has a key that can be read");
    if public.info().algorithm.starts_with("sk-") {
        return; // the token would be asked
    }
    for hash in [MessageHash::Sha256, MessageHash::Sha512] {
        if let Ok(signature) = signer.sign(b"message", hash) {
            assert!(public.verify(b"message", &signature).is_ok(), "the two halves do not belong together");
        }
    }
});
