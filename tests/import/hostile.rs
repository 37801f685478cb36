//! Keyrings that somebody wrote to deceive.

use super::{certificates, import, imported, principals, says};
use crate::world::{World, done};
use git_warrant::armor::{decode_keys, encode_certificate};
use sequoia_openpgp::Packet;
use sequoia_openpgp::cert::{Cert, CertBuilder, CertRevocationBuilder, CipherSuite, SubkeyRevocationBuilder};
use sequoia_openpgp::packet::UserID;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::{KeyFlags, ReasonForRevocation};
use std::time::{Duration, Instant, SystemTime};

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
    String::from_utf8(encode_certificate(&public(cert))).unwrap()
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
    let block = String::from_utf8(encode_certificate(&whole)).unwrap().replace("PUBLIC", "PRIVATE");
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

/// What a policy says in comments.
fn comments(text: &str) -> String {
    text.lines().filter(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_revocation_finds_its_certificate() {
    let world = World::new();
    let alice = secret(&[b"alice"]);
    let (bob, revocation) = CertBuilder::new()
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .add_userid("bob")
        .add_signing_subkey()
        .generate()
        .unwrap();
    let revocation = Packet::from(revocation).to_vec().unwrap();
    let subkey = bob.keys().subkeys().next().unwrap().key().clone();
    let mut signer = bob.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let of_subkey = SubkeyRevocationBuilder::new()
        .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
        .unwrap()
        .build(&mut signer, &bob, &subkey, None)
        .unwrap();
    let of_subkey = Packet::from(of_subkey).to_vec().unwrap();
    let block = |packets: &[u8]| String::from_utf8(encode_certificate(packets)).unwrap();
    let revoked = |name: &str, content: &[u8]| {
        let file = world.home.write(name, content).display().to_string();
        let (policy, _) = imported(&world, &file);
        assert_eq!(principals(&policy).len(), 2, "{name}");
        let certs = certificates(&policy).into_iter().map(|text| Cert::from_bytes(text.trim_start().as_bytes()).unwrap());
        let cert = certs.into_iter().find(|cert| cert.fingerprint() == bob.fingerprint()).unwrap();
        let sub = cert.keys().subkeys().next().unwrap();
        (cert.primary_key().self_revocations().count(), sub.self_revocations().count())
    };
    let (a, b) = (public(&alice), public(&bob));
    for (at, parts) in [[&b[..], &a, &revocation], [&revocation, &a, &b], [&a, &revocation, &b]].into_iter().enumerate() {
        if at != 1 {
            assert_eq!(revoked("packets", &parts.concat()), (1, 0), "{at}");
        }
        assert_eq!(revoked("blocks", parts.map(block).concat().as_bytes()), (1, 0), "{at}");
    }
    assert_eq!(revoked("sub", [&b[..], &a, &of_subkey].map(block).concat().as_bytes()), (0, 1));
    assert_eq!(revoked("both", &[&b[..], &a, &of_subkey, &revocation].concat()), (1, 1));
    // where its certificate is not, it is said; and what another key made in its name does nothing
    let name = bob.fingerprint().to_hex();
    let lone = world.home.write("lone", [&a[..], &revocation].concat()).display().to_string();
    says(&import(&world, &lone), 0, &[&format!("a revocation by {name} is not taken in: its certificate is not here")]);
    assert!(comments(&imported(&world, &lone).1).contains(&name));
    let alone = world.home.write("bob.rev", block(&revocation)).display().to_string();
    says(&import(&world, &alone), 2, &["bob.rev: it holds no OpenPGP certificate, only a revocation by ", &name]);
    let mut forged = revocation.clone();
    *forged.last_mut().unwrap() ^= 1;
    let file = world.home.write("forged", [&b[..], &a, &forged].concat()).display().to_string();
    says(&import(&world, &file), 0, &[&format!("a revocation by {name} is not taken in: it is none of")]);
    assert_eq!(revoked("forged", &[&b[..], &a, &forged].concat()), (0, 0));
}

#[test]
fn who_may_revoke_another_certificate_does() {
    let world = World::new();
    let [friend, other] = [secret(&[b"friend"]), secret(&[b"other"])];
    let flags = KeyFlags::empty().set_certification().set_signing();
    let builder = CertBuilder::new().set_primary_key_flags(flags).add_userid("alice");
    let alice = builder.set_revocation_keys(vec![(&friend).into()]).generate().unwrap().0;
    let by = |maker: &Cert| {
        let mut signer = maker.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let builder = CertRevocationBuilder::new().set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"").unwrap();
        Packet::from(builder.build(&mut signer, &alice, None).unwrap()).to_vec().unwrap()
    };
    let taken = |parts: &[&[u8]]| {
        let file = world.home.write("ring", parts.concat()).display().to_string();
        let ran = import(&world, &file);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let policy = git_warrant::policy::file::PolicyFile::parse(ran.stdout.as_bytes()).unwrap();
        let certs = certificates(&policy).into_iter().map(|text| Cert::from_bytes(text.trim_start().as_bytes()).unwrap());
        let cert = certs.into_iter().find(|cert| cert.fingerprint() == alice.fingerprint()).unwrap();
        (cert.primary_key().other_revocations().count(), ran.stderr)
    };
    let [a, f, o] = [&alice, &friend, &other].map(public);
    for parts in [[&a[..], &by(&friend), &f, &o], [&a, &f, &o, &by(&friend)], [&a, &o, &f, &by(&friend)]] {
        let (kept, said) = taken(&parts);
        assert_eq!(kept, 1);
        assert!(said.contains("1 of the certificates have ended, are revoked") && said.lines().count() == 1, "{said}");
    }
    let unknown = format!("a revocation by {} is not taken in: {} names that key", friend.fingerprint(), alice.fingerprint());
    for parts in [[&a[..], &by(&friend), &o], [&a, &o, &by(&friend)]] {
        let said = taken(&parts).1;
        assert!(said.contains(&unknown), "{unknown}: {said}");
    }
    let said = taken(&[&a, &by(&other), &o]).1;
    assert!(said.contains("is not taken in: it is none of a key of that certificate"), "{said}");
}

#[test]
fn signing_keys_that_ended_differently_are_told_apart() {
    let world = World::new();
    let cert = CertBuilder::new().add_userid("two").add_signing_subkey().add_signing_subkey().generate().unwrap().0;
    let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let keys: Vec<_> = cert.keys().subkeys().map(|key| key.key().clone()).collect();
    for reasons in [
        [ReasonForRevocation::KeyCompromised, ReasonForRevocation::KeySuperseded],
        [ReasonForRevocation::KeySuperseded, ReasonForRevocation::KeyCompromised],
    ] {
        let mut revoked = cert.clone();
        for (key, reason) in keys.iter().zip(reasons) {
            let builder = SubkeyRevocationBuilder::new().set_reason_for_revocation(reason, b"").unwrap();
            revoked = revoked.insert_packets(builder.build(&mut signer, &cert, key, None).unwrap()).unwrap().0;
        }
        let file = world.home.write("two", public(&revoked)).display().to_string();
        let text = comments(&imported(&world, &file).1);
        for (key, reason) in keys.iter().zip(reasons) {
            let line = text.lines().find(|line| line.contains(&key.fingerprint().to_hex())).unwrap_or_else(|| panic!("{text}"));
            let words = if reason == ReasonForRevocation::KeySuperseded { "superseded" } else { "nothing that it made stands" };
            assert!(line.contains(words), "{line}");
        }
        let path = world.home.join("imported.toml");
        let checked = done(&mut world.home.ours(&["policy", "check", path.to_str().unwrap()]));
        assert!(checked.stdout.contains(&format!("{} (revoked)", cert.fingerprint().to_hex())), "{checked:?}");
    }
}

#[test]
fn why_a_certificate_cannot_sign_is_said() {
    let world = World::new();
    let day = Duration::from_secs(86_400);
    let ahead = CertBuilder::new()
        .set_creation_time(SystemTime::now() + day * 1000)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .add_userid("ahead")
        .generate()
        .unwrap()
        .0;
    let now = secret(&[b"now"]);
    let bare = Packet::from(secret(&[b"x"]).primary_key().key().clone()).to_vec().unwrap();
    let file = world.home.write("mixed", [public(&ahead), public(&now), bare].concat()).display().to_string();
    let ran = import(&world, &file);
    let ahead_of = format!("{} (ahead) was made at ", ahead.fingerprint().to_hex());
    says(&ran, 0, &[&ahead_of, "ahead of this computer's clock", "has no self-signature that holds"]);
    assert!(!ran.stderr.contains("Brainpool"), "{}", ran.stderr);
    // and a policy that lists it says so when it is checked
    let text = format!(
        "version = 1\n[[principals.a.keys]]\nopenpgp = \"{}\"\ncert = \"\"\"\n{}\"\"\"\n",
        ahead.fingerprint().to_hex(),
        armored(&ahead)
    );
    let path = world.home.write("ahead.toml", text);
    let checked = done(&mut world.home.ours(&["policy", "check", path.to_str().unwrap()]));
    says(&checked, 0, &["warning: ", "ahead of this computer's clock"]);
    assert!(checked.stdout.contains("(no key that may sign)"), "{checked:?}");
}

#[test]
fn many_parts_are_no_work_without_end() {
    let world = World::new();
    let cert = secret(&[b"alice"]);
    let whole = public(&cert);
    let id = |n: usize| {
        let text = format!("u{n} <u@x>");
        [&[0xcd, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    // a signature that says that it is the certificate's own
    let bogus = {
        let signature = cert.userids().next().unwrap().self_signatures().next().unwrap().clone();
        let mut bytes = Packet::from(signature).to_vec().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let timed = |name: &str, content: Vec<u8>| {
        let file = world.home.write(name, content).display().to_string();
        let start = Instant::now();
        let ran = import(&world, &file);
        assert!(start.elapsed() < Duration::from_secs(8), "{name}: {:?}", start.elapsed());
        ran
    };
    let ids: Vec<u8> = (0..50_000).flat_map(id).collect();
    let ran = timed("ids", [&whole[..], &ids].concat());
    says(&ran, 0, &[]);
    assert!(!ran.stdout.contains("u7 <u@x>") && ran.stdout.contains("alice"), "{}", ran.stdout);
    let signed: Vec<u8> = (0..5000).flat_map(|n| [id(n), bogus.clone()].concat()).collect();
    let name = cert.fingerprint().to_hex();
    let heavy = [&whole[..], &signed].concat();
    let other = public(&secret(&[b"other"]));
    // no copy of it counts then: what was in the heavy one is not known
    for content in [[&heavy[..], &other, &whole].concat(), [&whole[..], &other, &heavy].concat()] {
        let ran = timed("heavy", content);
        says(&ran, 0, &[&format!("{name} has more user ids, keys and signatures than can be looked through, and is left out")]);
        assert!(!ran.stdout.contains(&format!("openpgp = \"{name}")), "{}", ran.stdout);
    }
    let pieces = (0..400).flat_map(|n| [whole.clone(), id(n), bogus.clone()].concat());
    says(&timed("pieces", pieces.chain(other.clone()).collect()), 0, &["than can be looked through"]);
    // many certificates
    let bare = |n: u32| {
        let mut key = vec![0x98, 51, 4];
        key.extend(n.to_be_bytes());
        key.extend([22, 9, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01, 0x01, 0x07, 0x40, 0x40]);
        key.extend([7; 32]);
        key.truncate(53);
        key
    };
    let ran = timed("many", (1..40_000).flat_map(bare).chain(whole.clone()).collect());
    says(&ran, 0, &["has no self-signature that holds"]);
    assert!(ran.stdout.contains(&name));
}

#[test]
fn an_error_has_an_end() {
    let world = World::new();
    let file = world.home.write("begins", "-----BEGIN PGP X\n".repeat(20_000)).display().to_string();
    let ran = import(&world, &file);
    says(&ran, 2, &["it holds no OpenPGP certificate", "and are passed over"]);
    assert!(ran.stderr.len() < 3000, "{}", ran.stderr.len());
    let bare: Vec<u8> = [0x98, 1, 3].repeat(20_000);
    let file = world.home.write("old", bare).display().to_string();
    let ran = import(&world, &file);
    says(&ran, 2, &["20000 certificates are left out"]);
    assert!(ran.stderr.len() < 3000, "{}", ran.stderr.len());
}
