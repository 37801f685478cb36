//! The rows of the design's table of attacks that OpenPGP brings: one test a row or more, which fails when its guard is removed.
//! Each names the guard. Certificates and signatures are made here, without gpg.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/world.rs"]
mod world;

use common::{Done, OURS, run};
use git_warrant::armor::{encode_certificate, encode_openpgp};
use sequoia_openpgp::Packet;
use sequoia_openpgp::cert::{Cert, CertBuilder, CipherSuite};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::key::{Key4, SubordinateRole};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::signature::subpacket::{NotationData, NotationDataFlags, Subpacket, SubpacketTag, SubpacketValue};
use sequoia_openpgp::packet::{Key, Signature, UserID};
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};
use std::time::{Duration, SystemTime};
use world::World;

/// Somebody with a certificate whose primary key signs.
struct Signer(Cert);

impl Signer {
    fn new(user_id: &[u8]) -> Self {
        let flags = KeyFlags::empty().set_certification().set_signing();
        let builder = CertBuilder::new().set_cipher_suite(CipherSuite::Cv25519).set_primary_key_flags(flags);
        Self(builder.add_userid(UserID::from(user_id)).generate().unwrap().0)
    }

    fn keys(&self) -> KeyPair {
        self.0.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
    }

    fn public(&self) -> Vec<u8> {
        self.0.to_vec().unwrap()
    }

    /// A signature of a kind over bytes; `edit` may add to what is signed.
    fn sign_as(&self, kind: SignatureType, bytes: &[u8], edit: impl FnOnce(SignatureBuilder) -> SignatureBuilder) -> Vec<u8> {
        let builder = edit(SignatureBuilder::new(kind).set_hash_algo(HashAlgorithm::SHA512));
        let mut hash = builder.hash_algo().context().unwrap().for_signature(4);
        hash.update(bytes);
        Packet::from(builder.sign_hash(&mut self.keys(), hash).unwrap()).to_vec().unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.sign_as(SignatureType::Binary, bytes, |it| it)
    }

    /// Itself as a principal of a policy.
    fn listed(&self, name: &str) -> String {
        listed(name, &self.0)
    }
}

fn listed(name: &str, cert: &Cert) -> String {
    let armored = String::from_utf8(encode_certificate(&cert.to_vec().unwrap())).unwrap();
    format!("[[principals.{name}.keys]]\nopenpgp = \"{}\"\ncert = \"\"\"\n{armored}\"\"\"\n", cert.fingerprint().to_hex())
}

fn armored(packets: &[u8]) -> String {
    String::from_utf8(encode_openpgp(packets)).unwrap()
}

/// A repository, and a GnuPG home without GnuPG.
struct Place(World);

impl Place {
    fn new(policy: &str, ring: &[u8]) -> Self {
        let place = Self(World::new());
        place.0.repo("r", &["--object-format=sha1"]);
        place.0.home.write("policy.toml", format!("version = 1\n{policy}"));
        std::fs::create_dir(place.0.home.join(".gnupg")).unwrap();
        place.0.home.write(".gnupg/pubring.gpg", ring);
        place.0.config("gpg.format", "openpgp");
        place.0.config("gpg.program", OURS);
        place
    }

    /// What a commit with a signature by some headers is judged, and the letter that git shows through us.
    fn judged(&self, headers: &str) -> (String, String) {
        let (start, end) = PAYLOAD.split_once("\n\n").unwrap();
        let id = self.0.object("r", "commit", format!("{start}\n{headers}\n{end}").as_bytes());
        let policy = self.0.home.join("policy.toml");
        let judged = self.0.judged_by("r", policy.to_str().unwrap(), &["--no-walk", &id]);
        let line = &judged.lines[0];
        let word = match line["verdict"].as_str().unwrap() {
            "accept" => format!("accept {}", line["principal"].as_str().unwrap()),
            _ => line["code"].as_str().unwrap().to_owned(),
        };
        let mut git = self.0.home.command("git");
        let shown = world::done(git.arg("-C").arg(self.0.home.join("r")).args(["log", "-1", "--format=%G?", &id]));
        (word, shown.stdout.trim_end().to_owned()) // nothing, where git itself gives up
    }

    /// As git calls us.
    fn verify(&self, signature: &str) -> Done {
        let file = self.0.home.write("signature", signature);
        let mut command = self.0.home.ours(&["--keyid-format=long", "--status-fd=1", "--verify"]);
        run(command.arg(file).arg("-"), PAYLOAD.as_bytes())
    }
}

/// A commit without its signature.
const PAYLOAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <alice@example.com> 1790000000 +0000\ncommitter A <alice@example.com> 1790000000 +0000\n\nm\n";

fn header(signature: &str) -> String {
    format!("gpgsig {}\n", signature.trim_end().replace('\n', "\n "))
}

fn accepted(who: &str, letter: &str) -> (String, String) {
    (format!("accept {who}"), letter.to_owned())
}

// ---- 3: one signature, whatever the others are ----

// guard: packet.rs, read (one packet); armor/openpgp.rs, decode_openpgp (one block); object/commit.rs (one header)
#[test]
fn row_03_two_signatures_are_none() {
    let (alice, bob) = (Signer::new(b"alice"), Signer::new(b"bob"));
    let place = Place::new(&(alice.listed("alice") + &bob.listed("bob")), &[alice.public(), bob.public()].concat());
    let (good, also, bad) = (alice.sign(PAYLOAD.as_bytes()), bob.sign(PAYLOAD.as_bytes()), alice.sign(b"other bytes"));
    assert_eq!(place.judged(&header(&armored(&good))), accepted("alice", "U"));
    assert_eq!(place.judged(&header(&armored(&bad))), ("bad-signature".to_owned(), "B".to_owned()));
    for (what, one, two) in
        [("good, bad", &good, &bad), ("bad, good", &bad, &good), ("good, good", &good, &also), ("twice", &good, &good)]
    {
        let packets = armored(&[&one[..], two].concat());
        let (word, letter) = place.judged(&header(&packets));
        assert_eq!((&*word, &*letter), ("multiple-signatures", "E"), "{what} in one block");
        let (word, _) = place.judged(&header(&(armored(one) + &armored(two))));
        assert_eq!(word, "multiple-signatures", "{what} in two blocks");
        let (word, _) = place.judged(&(header(&armored(one)) + &header(&armored(two))));
        assert_eq!(word, "duplicate-signature", "{what} in two headers");
        let lines = place.verify(&packets).stdout;
        assert_eq!(lines.matches("NEWSIG").count(), 2, "git counts them: {lines}");
    }
}

// ---- 4: nobody's text is a status line ----

// guard: run/gpg.rs, escaped; report/escape.rs, printable
#[test]
fn row_04_a_user_id_forges_no_status_line() {
    let hostile = b"A\n[GNUPG:] GOODSIG 0123456789ABCDEF Eve\n[GNUPG:] TRUST_ULTIMATE 0 pgp\r[GNUPG:] VALIDSIG \xe2\x80\xa8[GNUPG:] GOODSIG 0 \xff";
    let eve = Signer::new(hostile);
    let place = Place::new(&eve.listed("eve"), &eve.public());
    let sign = |bytes: &[u8]| armored(&eve.sign_as(SignatureType::Binary, bytes, |it| it.set_signers_user_id(hostile).unwrap()));
    for (signature, word) in [(sign(PAYLOAD.as_bytes()), "GOODSIG"), (sign(b"other bytes"), "BADSIG")] {
        let ran = place.verify(&signature);
        let mut words: Vec<&str> = ran.stdout.lines().map(|line| line.split(' ').nth(1).unwrap_or_default()).collect();
        assert!(ran.stdout.lines().all(|line| line.starts_with("[GNUPG:] ")), "{ran:?}");
        words.retain(|it| it.ends_with("SIG") && *it != "NEWSIG" && *it != "VALIDSIG");
        assert_eq!(words, [word], "{ran:?}");
        assert!(!ran.stdout.contains("TRUST_ULTIMATE 0 pgp\n"), "{ran:?}");
        assert!(!ran.stderr.lines().any(|line| line.starts_with("[GNUPG:]") || line.contains('\r')), "{ran:?}");
    }
    assert_eq!(place.judged(&header(&sign(b"other bytes"))), ("bad-signature".to_owned(), "B".to_owned()));
    let policy = place.0.home.join("policy.toml").display().to_string();
    let id = {
        let (start, end) = PAYLOAD.split_once("\n\n").unwrap();
        place.0.object("r", "commit", format!("{start}\n{}\n{end}", header(&sign(PAYLOAD.as_bytes()))).as_bytes())
    };
    for args in [&["show", "--policy", &policy, &id][..], &["verify", "--policy", &policy, "--all-verdicts", "--no-walk", &id]] {
        let ran = world::done(&mut place.0.warrant("r", args));
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(!ran.stdout.lines().any(|line| line.trim_start().starts_with("[GNUPG:]")), "{ran:?}");
        assert!(!ran.stdout.contains(['\r', '\u{2028}']), "{ran:?}");
    }
}

// ---- 6: detached signatures, and nothing that holds its own text ----

/// A packet with a new header.
fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&[0xc0 | tag, 0xff], &length.to_be_bytes()[..], body].concat()
}

// guard: packet.rs, read (signatures only); armor.rs, Format::sniff (no marker of a message with its text)
#[test]
fn row_06_no_message_is_a_signature() {
    let alice = Signer::new(b"alice");
    let place = Place::new(&alice.listed("alice"), &alice.public());
    let payload = PAYLOAD.as_bytes();
    let signature = alice.sign(payload);
    let one_pass = packet(4, &[&[3, 0, 10, 22][..], alice.0.keyid().as_bytes(), &[1]].concat());
    let literal = packet(11, &[&b"b\0\0\0\0\0"[..], payload].concat());
    let inline = [one_pass.clone(), literal.clone(), signature.clone()].concat();
    let message = |packets: &[u8]| armored(packets).replace("PGP SIGNATURE", "PGP MESSAGE");
    // by the name of a message, what is detached is detached
    assert_eq!(place.judged(&header(&message(&signature))), accepted("alice", "U"));
    let text = alice.sign_as(SignatureType::Text, payload, |it| it);
    let clear = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{PAYLOAD}\n{}", armored(&text));
    for (what, packets) in [
        ("inline", inline.clone()),
        ("old inline", [signature.clone(), literal.clone()].concat()),
        ("literal", literal.clone()),
        ("literal first", [literal, signature.clone()].concat()),
        ("one pass", [one_pass, signature.clone()].concat()),
        ("compressed", packet(8, &[&[0][..], &signature].concat())),
        ("compressed message", packet(8, &[&[0][..], &inline].concat())),
        ("compressed behind", [signature.clone(), packet(8, &[0])].concat()),
        ("encrypted", [packet(1, &[3; 60]), packet(18, &[1; 80])].concat()),
        ("encrypted with it", [packet(18, &[1; 80]), signature.clone()].concat()),
        ("with a certificate", [signature.clone(), alice.public()].concat()),
        ("a user id", [signature.clone(), packet(13, b"alice")].concat()),
    ] {
        for block in [armored(&packets), message(&packets)] {
            let (word, letter) = place.judged(&header(&block));
            assert_eq!(word, "malformed-signature", "{what}");
            assert!(matches!(&*letter, "" | "N" | "E" | "B"), "{what}: {letter}");
            let ran = place.verify(&block);
            assert!(ran.status != Some(0) && !ran.stdout.contains("GOODSIG"), "{what}: {ran:?}");
        }
    }
    let (word, _) = place.judged(&header(&clear));
    assert_eq!(word, "unknown-format", "clear text");
    let ran = place.verify(&clear);
    assert!(ran.status != Some(0) && !ran.stdout.contains("GOODSIG"), "{ran:?}");
}

// ---- 7: what is weak or not bound ----

// guard: policy.rs, before_grants (evidence.weak); openpgp.rs, verify (type)
#[test]
fn row_07_weak_hashes_and_other_types_are_refused() {
    let alice = Signer::new(b"alice");
    let place = Place::new(&alice.listed("alice"), &alice.public());
    let payload = PAYLOAD.as_bytes();
    let sha1 = alice.sign_as(SignatureType::Binary, payload, |it| it.set_hash_algo(HashAlgorithm::SHA1));
    assert_eq!(place.judged(&header(&armored(&sha1))).0, "weak-algorithm");
    for kind in [SignatureType::Text, SignatureType::Standalone, SignatureType::GenericCertification, SignatureType::Timestamp] {
        let (word, _) = place.judged(&header(&armored(&alice.sign_as(kind, payload, |it| it))));
        assert_eq!(word, "malformed-signature", "{kind}");
    }
}

// guard: reading.rs, is_critical_unknown and is_ambiguous; openpgp.rs, is_older; detached.rs, outcome and MOST
#[test]
fn row_07_what_a_signature_says_of_itself_is_understood_and_said_once() {
    let alice = Signer::new(b"alice");
    let place = Place::new(&alice.listed("alice"), &alice.public());
    let payload = PAYLOAD.as_bytes();
    let now = SystemTime::now();
    let unknown = || {
        let value = SubpacketValue::Unknown { tag: SubpacketTag::Private(101), body: vec![1] };
        Subpacket::new(value, true).unwrap()
    };
    let notation = || {
        let flags = NotationDataFlags::empty().set_human_readable();
        Subpacket::new(SubpacketValue::NotationData(NotationData::new("x@example.com", b"y", flags)), true).unwrap()
    };
    let ends = |seconds: u32| Subpacket::new(SubpacketValue::SignatureExpirationTime(seconds.into()), true).unwrap();
    type Edit<'a> = &'a dyn Fn(&mut SignatureBuilder);
    let edits: [(&str, Edit<'_>, &str, &str); 5] = [
        ("a critical subpacket", &|it| it.hashed_area_mut().add(unknown()).unwrap(), "malformed-signature", "B"),
        ("and nobody signed it", &|it| it.unhashed_area_mut().add(unknown()).unwrap(), "malformed-signature", "B"),
        ("a critical notation", &|it| it.hashed_area_mut().add(notation()).unwrap(), "malformed-signature", "B"),
        ("and nobody signed that", &|it| it.unhashed_area_mut().add(notation()).unwrap(), "malformed-signature", "B"),
        (
            "two ends",
            &|it| [10, 100_000_000].into_iter().for_each(|seconds| it.hashed_area_mut().add(ends(seconds)).unwrap()),
            "malformed-signature",
            "E",
        ),
    ];
    for (what, edit, word, letter) in edits {
        let signature = alice.sign_as(SignatureType::Binary, payload, |mut it| {
            edit(&mut it);
            it
        });
        assert_eq!(place.judged(&header(&armored(&signature))), (word.to_owned(), letter.to_owned()), "{what}");
    }
    let old = alice
        .sign_as(SignatureType::Binary, payload, |it| it.set_signature_creation_time(now - Duration::from_secs(100_000)).unwrap());
    assert_eq!(place.judged(&header(&armored(&old))), ("key-not-yet-valid".to_owned(), "E".to_owned()));
    let md5 = alice.sign_as(SignatureType::Binary, payload, |it| it.set_hash_algo(HashAlgorithm::MD5));
    assert_eq!(place.judged(&header(&armored(&md5))), ("weak-algorithm".to_owned(), "E".to_owned()));
    let (all, too_many) = (armored(&alice.sign(payload).repeat(100)), armored(&alice.sign(payload).repeat(101)));
    assert_eq!(place.verify(&all).stdout.matches("GOODSIG").count(), 100);
    let ran = place.verify(&too_many);
    assert!(ran.status != Some(0) && !ran.stdout.contains("GOODSIG") && ran.stdout.contains("ERRSIG"), "{ran:?}");
}

/// A certificate with a signing subkey; the subkey's own word is there or not.
fn with_subkey(owner: &Signer, subkey: &Key<sequoia_openpgp::packet::key::SecretParts, SubordinateRole>, agreed: bool) -> Cert {
    let primary = owner.0.primary_key().key().clone();
    let mut builder = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_hash_algo(HashAlgorithm::SHA512)
        .set_key_flags(KeyFlags::empty().set_signing())
        .unwrap();
    if agreed {
        let back = SignatureBuilder::new(SignatureType::PrimaryKeyBinding).set_hash_algo(HashAlgorithm::SHA512);
        let mut own = subkey.clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let back = back.sign_primary_key_binding(&mut own, &primary, &subkey.clone().parts_into_public()).unwrap();
        builder = builder.set_embedded_signature(back).unwrap();
    }
    let public = subkey.clone().take_secret().0;
    let binding: Signature = builder.sign_subkey_binding(&mut owner.keys(), None, &public).unwrap();
    owner.0.clone().strip_secret_key_material().insert_packets([Packet::from(public), binding.into()]).unwrap().0
}

// guard: certificate.rs, signing_keys (Sequoia's for_signing asks for the back-signature)
#[test]
fn row_07_a_subkey_that_did_not_agree_signs_nothing() {
    let owner = Signer::new(b"owner");
    let subkey = Key::from(Key4::<_, SubordinateRole>::generate_ecc(true, sequoia_openpgp::types::Curve::Ed25519).unwrap());
    let mut pair = subkey.clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let builder = SignatureBuilder::new(SignatureType::Binary).set_hash_algo(HashAlgorithm::SHA512);
    let signature = armored(&Packet::from(builder.sign_message(&mut pair, PAYLOAD.as_bytes()).unwrap()).to_vec().unwrap());
    for (agreed, want, letter) in [(true, "accept owner", "U"), (false, "certificate-unknown", "E")] {
        let cert = with_subkey(&owner, &subkey, agreed);
        let place = Place::new(&listed("owner", &cert), &cert.to_vec().unwrap());
        assert_eq!(place.judged(&header(&signature)), (want.to_owned(), letter.to_owned()), "agreed: {agreed}");
    }
}

// guard: openpgp.rs, candidates and check (what the signature names only says which keys are tried)
#[test]
fn row_07_a_key_id_is_no_identity() {
    let (alice, mallory) = (Signer::new(b"alice"), Signer::new(b"mallory"));
    let payload = PAYLOAD.as_bytes();
    let only_alice = Place::new(&alice.listed("alice"), &alice.public());
    let both = Place::new(&(alice.listed("alice") + &mallory.listed("mallory")), &[alice.public(), mallory.public()].concat());
    // Mallory's signature names Alice's key: by its id, by its fingerprint, beside the right one
    let (id, fingerprint) = (alice.0.keyid(), alice.0.fingerprint());
    let by_id = mallory.sign_as(SignatureType::Binary, payload, |it| it.set_issuer(id.clone()).unwrap());
    let by_fingerprint =
        mallory.sign_as(SignatureType::Binary, payload, |it| it.set_issuer_fingerprint(fingerprint.clone()).unwrap());
    for (what, signature) in [("id", &by_id), ("fingerprint", &by_fingerprint)] {
        assert_eq!(only_alice.judged(&header(&armored(signature))).0, "bad-signature", "{what}");
        let (word, _) = both.judged(&header(&armored(signature)));
        assert!(word == "accept mallory" || word == "bad-signature", "{what}: {word}");
    }
    // Mallory binds Alice's key to a certificate of his own: two certificates with one key, and so with one id
    let stolen: Key<_, SubordinateRole> = alice.0.primary_key().key().clone().parts_into_secret().unwrap().into();
    let thief = with_subkey(&mallory, &stolen, false);
    let signature = armored(&alice.sign(payload));
    for text in [listed("mallory", &thief) + &alice.listed("alice"), alice.listed("alice") + &listed("mallory", &thief)] {
        let place = Place::new(&text, &[thief.to_vec().unwrap(), alice.public()].concat());
        assert_eq!(place.judged(&header(&signature)), accepted("alice", "U"));
    }
    let place = Place::new(&listed("mallory", &thief), &thief.to_vec().unwrap());
    assert_eq!(place.judged(&header(&signature)).0, "certificate-unknown");
}
