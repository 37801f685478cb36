//! A FIDO token in software: what one signs, with any flags.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use ed25519_dalek::{Signer as _, SigningKey};
use git_warrant::armor::encode_ssh;
use git_warrant::signature::ssh::wire::Writer;
use sha2::{Digest as _, Sha256, Sha512};

pub const KIND: &[u8] = b"sk-ssh-ed25519@openssh.com";
const APPLICATION: &[u8] = b"ssh:";

pub fn public(key: &SigningKey) -> Vec<u8> {
    Writer::default().string(KIND).string(&key.verifying_key().to_bytes()).string(APPLICATION).into_bytes()
}

/// The armoured signature that a token with this key gives with these flags.
pub fn signed(key: &SigningKey, payload: &[u8], flags: u8) -> String {
    let parts = |writer: Writer| writer.string(b"git").string(b"").string(b"sha512");
    let message = parts(Writer::default().raw(b"SSHSIG")).string(&Sha512::digest(payload)).into_bytes();
    let data = Writer::default().raw(&Sha256::digest(APPLICATION)).byte(flags).u32(7).raw(&Sha256::digest(&message)).into_bytes();
    let signature = Writer::default().string(KIND).string(&key.sign(&data).to_bytes()).byte(flags).u32(7).into_bytes();
    let blob = parts(Writer::default().raw(b"SSHSIG").u32(1).string(&public(key))).string(&signature).into_bytes();
    String::from_utf8(encode_ssh(&blob)).unwrap()
}
