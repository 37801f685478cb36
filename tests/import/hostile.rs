//! Keyrings that somebody wrote to deceive.

use super::{certificates, import, imported, principals, says};
use crate::world::World;
use git_warrant::armor::decode_keys;
use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
use sequoia_openpgp::packet::UserID;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::KeyFlags;

/// A certificate with its secret key, that signs and carries user ids of these bytes.
pub(crate) fn secret(user_ids: &[&[u8]]) -> Cert {
    let mut builder = CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing());
    for id in user_ids {
        builder = builder.add_userid(UserID::from(*id));
    }
    builder.generate().unwrap().0
}

pub(crate) fn public(cert: &Cert) -> Vec<u8> {
    cert.to_vec().unwrap()
}

pub(crate) fn armored(cert: &Cert) -> String {
    String::from_utf8(git_warrant::armor::encode_certificate(&public(cert))).unwrap()
}

#[test]
fn user_ids_write_no_policy() {
    let world = World::new();
    let eve = armored(&secret(&[b"eve"]));
    let hostile: Vec<Vec<u8>> = vec![
        b"\"]\n[[principals.eve.keys]]\nssh = \"x\"\n".to_vec(),
        b"\"\"\"\nversion = 2\n".to_vec(),
        b"'''\\".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        "\u{202e}moc\u{200b}.elpmaxe@ecila".as_bytes().to_vec(),
        b"\x1b]0;owned\x07".to_vec(),
        b"".to_vec(),
        b"[GNUPG:] GOODSIG".to_vec(),
        [b"\n", eve.as_bytes()].concat(),
        b"x".repeat(5000),
        b"keys".to_vec(),
    ];
    let mut ring = Vec::new();
    let mut fingerprints = Vec::new();
    for id in hostile.iter().chain(&hostile) {
        let cert = secret(&[id, b"# second\nversion = 3"]);
        fingerprints.push(vec![cert.fingerprint().to_hex()]);
        ring.extend(public(&cert));
    }
    let file = world.home.write("ring", &ring).display().to_string();
    let (policy, text) = imported(&world, &file);
    let mut got: Vec<_> = principals(&policy).into_iter().map(|(_, keys)| keys).collect();
    got.sort();
    fingerprints.sort();
    assert_eq!(got, fingerprints, "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains(['\u{202e}', '\u{200b}']), "{text:?}");
    assert_eq!(text, imported(&world, &file).1, "the same file twice");
    // cut off, it is no text with a block in it
    let cut = world.home.write("cut", &ring[..ring.len() - 5]).display().to_string();
    says(&import(&world, &cut), 2, &["its packets cannot be read, or are cut off"]);
}

#[test]
fn secrets_stay_where_they_are() {
    let world = World::new();
    let cert = secret(&[b"alice"]);
    let whole = cert.as_tsk().to_vec().unwrap();
    // and a key of a kind that is not known yet, whose secret cannot be told from the rest
    let unknown = [&[0xc7, 26][..], b"\x09unknown and SECRET enough"].concat();
    assert!(Cert::from_bytes(&whole).unwrap().is_tsk());
    let block = String::from_utf8(git_warrant::armor::encode_certificate(&whole)).unwrap().replace("PUBLIC", "PRIVATE");
    for (name, content) in [
        ("secring.gpg", whole.clone()),
        ("secret.asc", block.into_bytes()),
        ("both", [whole.clone(), public(&cert)].concat()),
        ("unknown", [&public(&cert)[..], &unknown, &unknown].concat()),
    ] {
        let file = world.home.write(name, content).display().to_string();
        let (policy, _) = imported(&world, &file);
        assert_eq!(principals(&policy), [("alice".to_owned(), vec![cert.fingerprint().to_hex()])], "{name}");
        let packets = decode_keys(certificates(&policy)[0].trim_start().as_bytes()).unwrap();
        assert!(!Cert::from_bytes(&packets).unwrap().is_tsk(), "{name}");
        assert_eq!(packets, public(&cert), "{name}: only what is public");
        if name != "unknown" {
            says(&import(&world, &file), 0, &[&cert.fingerprint().to_hex(), "comes with its secret key, which is left out"]);
        }
    }
}
