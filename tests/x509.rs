//! Keyless signatures by an instance of our own that can lie: row 12 of the attacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, clippy::as_conversions)]

#[path = "support/sigstore.rs"]
mod sigstore;

use git_warrant::armor::encode_cms;
use git_warrant::evidence::{Evidence, Malleable, Subject};
use git_warrant::object::Payload;
use git_warrant::signature::Verifier as _;
use git_warrant::signature::x509::{Bundled, Root, X509Verifier, to_bundle};
use git_warrant::verdict::Reason;
use sigstore::{Entry, Key, Leaf, Proof, Signature, Sigstore, message, oid, seq};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::Bundle;
use sigstore_verify::{VerificationPolicy, Verifier};

/// 2025-06-15.
const BEGIN: i64 = 1_750_000_000;
const PAYLOAD: &[u8] = b"tree 1\n\nmessage\n";

/// An instance, a signer of it, and the verifier that trusts it.
struct Bed {
    sigstore: Sigstore,
    key: Key,
    verifier: X509Verifier,
}

impl Bed {
    fn new() -> Self {
        let sigstore = Sigstore::new("example");
        let verifier = trusting(&sigstore.trusted_root());
        Self { sigstore, key: Key::p256(), verifier }
    }

    fn leaf(&self) -> Vec<u8> {
        self.sigstore.issue(&Leaf::email("alice@example.org", BEGIN), &self.key)
    }

    /// A signature with nothing that proves the time.
    fn bare(&self) -> Signature {
        Signature::new(&self.key, &self.leaf(), PAYLOAD, BEGIN + 1)
    }

    fn entry(&self, signature: &Signature) -> Entry {
        self.sigstore.entry(signature, BEGIN + 2, false, 6)
    }

    /// With an entry of Rekor v1.
    fn logged(&self) -> Signature {
        let bare = self.bare();
        bare.with_entry(&self.entry(&bare))
    }

    /// With an entry and a token.
    fn full(&self) -> Signature {
        let logged = self.logged();
        logged.with_token(&self.sigstore.token(&logged.signature, BEGIN + 3))
    }

    fn verify(&self, signature: &Signature) -> Result<Evidence, Reason> {
        let ours = self.verifier.verify(&signature.armored(), &Payload::whole(PAYLOAD));
        self.agrees(signature, &ours);
        ours
    }

    /// As a bundle, which sigstore-verify checks alone from end to end, it must be good too, and bad only for what we ask beyond.
    fn agrees(&self, signature: &Signature, ours: &Result<Evidence, Reason>) {
        let theirs =
            to_bundle(&signature.armored(), &Payload::whole(PAYLOAD)).and_then(|Bundled { json: bundle, signed, .. }| {
                let policy = VerificationPolicy::any_identity();
                let policy = if signature.entry.is_none() { policy.skip_tlog_unsafe() } else { policy };
                let root = TrustedRoot::from_json(&self.sigstore.trusted_root()).unwrap();
                let bundle = Bundle::from_json(&bundle).unwrap();
                let answer = Verifier::new(&root).unwrap().verify(&signed, &bundle, &policy);
                answer.map_err(|error| Reason::LogEntry { what: error.to_string() })
            });
        if let Ok(evidence) = ours
            && (signature.entry.is_some() || signature.token.is_some())
        {
            let keyless = evidence.keyless.as_ref().unwrap();
            let times = theirs.unwrap_or_else(|reason| panic!("good only here: {reason}"));
            let times: Vec<i64> = times.verified_timestamps().iter().map(|time| time.as_second()).collect();
            assert_eq!(times.into_iter().max(), keyless.attested());
        }
    }

    /// `good`, or the reason's code.
    fn says(&self, signature: &Signature) -> &'static str {
        code(&self.verify(signature))
    }
}

fn trusting(root: &str) -> X509Verifier {
    X509Verifier::new(vec![Root::parse(root.as_bytes(), "example").unwrap()])
}

fn code(result: &Result<Evidence, Reason>) -> &'static str {
    result.as_ref().map_or_else(Reason::code, |_| "good")
}

#[test]
fn good_in_all_forms() {
    let bed = Bed::new();
    let bare = bed.bare();
    let v2 = bed.sigstore.entry(&bare, 0, true, 12);
    let token = bed.sigstore.token(&bare.signature, BEGIN + 4);
    let first = bed.sigstore.entry(&bare, BEGIN + 2, false, 0); // the only leaf of its tree: index 0, an empty proof
    for (what, signature, logged, attested) in [
        ("nothing", bare.clone(), None, None),
        ("v1", bed.logged(), Some(1003), Some(BEGIN + 2)),
        ("v1 and a token", bed.full(), Some(1003), Some(BEGIN + 3)),
        ("v2 and a token", bare.with_entry(&v2).with_token(&token), Some(6), Some(BEGIN + 4)),
        ("a token", bare.with_token(&token), None, Some(BEGIN + 4)),
        ("alone in its tree", bare.with_entry(&Entry { index: 1000, ..first }), Some(1000), Some(BEGIN + 2)),
    ] {
        let evidence = bed.verify(&signature).unwrap_or_else(|reason| panic!("{what}: {reason}"));
        let keyless = evidence.keyless.unwrap();
        assert_eq!(keyless.entry.as_ref().map(|entry| entry.index), logged, "{what}");
        assert_eq!(keyless.attested(), attested, "{what}");
        assert_eq!(keyless.subject, Subject::Email("alice@example.org".to_owned()));
        assert_eq!((keyless.issuer.as_str(), keyless.authority.as_str()), ("https://issuer.example", "example"));
        assert_eq!((keyless.not_before, keyless.not_after), (BEGIN, BEGIN + 600));
        assert_eq!(evidence.malleable, [], "{what}");
    }
}

#[test]
fn a_tree_of_any_size() {
    let bed = Bed::new();
    let bare = bed.bare();
    for others in 0..40 {
        for v2 in [false, true] {
            let token = bed.sigstore.token(&bare.signature, BEGIN + 4);
            let signature = bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 2, v2, others)).with_token(&token);
            assert_eq!(bed.says(&signature), "good", "{others} {v2}");
        }
    }
}

#[test]
fn what_a_certificate_says_and_does_not() {
    let bed = Bed::new();
    let by = |leaf: &Leaf| {
        let bare = Signature::new(&bed.key, &bed.sigstore.issue(leaf, &bed.key), PAYLOAD, BEGIN + 1);
        bed.verify(&bare.with_entry(&bed.entry(&bare)))
    };
    let plain = || Leaf::email("alice@example.org", BEGIN);
    let name = |tag: u8, text: &str| Leaf { names: vec![(tag, text.to_owned())], ..plain() };
    let two = vec![(0x81, "a@x".to_owned()), (0x81, "b@x".to_owned())];
    let again = seq(&[&oid("2.5.29.17"), &[4, 5], &[0x30, 3, 0x81, 1, b'b']]);
    let claims = vec![(15, "123".to_owned()), (17, "45".to_owned()), (20, "push".to_owned())];
    for (what, leaf, want) in [
        ("plain", plain(), "good"),
        ("no old issuer", Leaf { old_issuer: None, ..plain() }, "good"),
        ("the old issuer only", Leaf { issuer: None, ..plain() }, "good"),
        ("two issuers", Leaf { old_issuer: Some("https://other.example".to_owned()), ..plain() }, "malformed-signature"),
        ("no issuer", Leaf { issuer: None, old_issuer: None, ..plain() }, "certificate-untrusted"),
        ("an empty issuer", Leaf { issuer: Some(String::new()), old_issuer: None, ..plain() }, "malformed-signature"),
        (
            "an issuer of control characters",
            Leaf { issuer: Some("a\nb".to_owned()), old_issuer: None, ..plain() },
            "malformed-signature",
        ),
        ("claims", Leaf { claims, ..plain() }, "good"),
        ("two names", Leaf { names: two, ..plain() }, "malformed-signature"),
        ("no name", Leaf { names: vec![], ..plain() }, "malformed-signature"),
        ("a host's name", name(0x82, "example.org"), "malformed-signature"),
        ("a name with a NUL", name(0x81, "alice@example.org\0.evil"), "malformed-signature"),
        ("a URI", name(0x86, "https://example.org/w.yml@refs/heads/main"), "good"),
        ("the names twice", Leaf { more: vec![again], ..plain() }, "malformed-signature"),
        ("a name that is not ASCII", name(0x81, "\u{e4}lice@example.org"), "certificate-untrusted"),
        ("seen by somebody else than the log", Leaf { forged: true, ..plain() }, "certificate-untrusted"),
        ("not logged", Leaf { logged: false, ..plain() }, "certificate-untrusted"),
        ("for servers", Leaf { purpose: "1.3.6.1.5.5.7.3.1", ..plain() }, "certificate-untrusted"),
        ("for timestamps", Leaf { purpose: "1.3.6.1.5.5.7.3.8", ..plain() }, "certificate-untrusted"),
        ("not for signing", Leaf { usage: 0x20, ..plain() }, "malformed-signature"),
        ("over before the entry", Leaf { begin: BEGIN - 600, end: BEGIN + 1, ..plain() }, "log-entry-invalid"),
        ("later than the entry", Leaf { begin: BEGIN + 3, ..plain() }, "log-entry-invalid"),
    ] {
        let result = by(&leaf);
        assert_eq!(code(&result), want, "{what}: {result:?}");
    }
    let claims = by(&Leaf { claims: vec![(15, "123".to_owned())], ..plain() }).unwrap().keyless.unwrap();
    assert_eq!((claims.claim("repository-id"), claims.claim("owner-id")), (Some("123"), None));
}

#[test]
fn a_log_that_lies() {
    let bed = Bed::new();
    let bare = bed.bare();
    let other = Sigstore::new("example"); // the same names, other keys
    let good = bed.entry(&bare);
    let proof = || good.proof.clone().unwrap();
    let with = |proof: Proof| bare.with_entry(&Entry { proof: Some(proof), ..good.clone() });
    let signed_again = |entry: Entry| {
        // a promise by the right key over the fields as they are now, body of nobody's business
        bare.with_entry(&Entry { promise: Some(other.promise("{}", &entry)), ..entry })
    };
    let fork = {
        // the entry stands in no tree of the log's: another root, signed by another key
        let root = sigstore::root_of(&[[7; 32], [8; 32]]);
        Proof { index: 0, root, size: 2, hashes: vec![[8; 32]], checkpoint: other.checkpoint(false, 2, &root) }
    };
    let own_fork = {
        let root = sigstore::root_of(&[[7; 32], [8; 32]]);
        Proof { index: 0, root, size: 2, hashes: vec![[8; 32]], checkpoint: bed.sigstore.checkpoint(false, 2, &root) }
    };
    let mut long = proof();
    long.hashes.push([0; 32]);
    let mut short = proof();
    short.hashes.pop();
    let v2 = bed.sigstore.entry(&bare, 0, true, 6);
    let token = bed.sigstore.token(&bare.signature, BEGIN + 3);
    for (what, signature, want) in [
        ("as it is", bare.with_entry(&good), "good"),
        ("another log's entry", bare.with_entry(&other.entry(&bare, BEGIN + 2, false, 6)), "log-entry-invalid"),
        ("no promise", bare.with_entry(&Entry { promise: None, ..good.clone() }), "time-unproved"),
        ("no time", bare.with_entry(&Entry { time: 0, ..good.clone() }), "time-unproved"),
        ("another time", bare.with_entry(&Entry { time: good.time + 1, ..good.clone() }), "log-entry-invalid"),
        ("another index", bare.with_entry(&Entry { index: good.index + 1, ..good.clone() }), "log-entry-invalid"),
        ("no proof", bare.with_entry(&Entry { proof: None, ..good.clone() }), "log-entry-invalid"),
        ("a promise by another key", signed_again(good.clone()), "log-entry-invalid"),
        ("another log's id", bare.with_entry(&Entry { log: bed.sigstore.log_id(true), ..good.clone() }), "log-entry-invalid"),
        ("the other version", bare.with_entry(&Entry { version: "0.0.2", ..good.clone() }).with_token(&token), "log-entry-invalid"),
        ("no version of ours", bare.with_entry(&Entry { version: "0.0.3", ..good.clone() }), "log-entry-invalid"),
        ("a fork that another signed", with(fork), "log-entry-invalid"),
        ("a fork that the log signed", with(own_fork), "log-entry-invalid"),
        ("one hash more", with(long), "log-entry-invalid"),
        ("one hash less", with(short), "log-entry-invalid"),
        ("another place", with(Proof { index: 2, ..proof() }), "log-entry-invalid"),
        ("another size", with(Proof { size: 8, ..proof() }), "log-entry-invalid"),
        ("another root", with(Proof { root: [9; 32], ..proof() }), "log-entry-invalid"),
        ("no checkpoint", with(Proof { checkpoint: String::new(), ..proof() }), "log-entry-invalid"),
        (
            "the checkpoint of the other log",
            with(Proof { checkpoint: bed.sigstore.checkpoint(true, 7, &proof().root), ..proof() }),
            "log-entry-invalid",
        ),
        ("v2 without a time", bare.with_entry(&v2), "time-unproved"),
        ("v2 with a time of its own", bare.with_entry(&Entry { time: good.time, ..v2.clone() }), "time-unproved"),
        (
            "v2 with the other log's checkpoint",
            bare.with_entry(&Entry {
                proof: Some(Proof {
                    checkpoint: bed.sigstore.checkpoint(false, 7, &v2.proof.as_ref().unwrap().root),
                    ..v2.proof.clone().unwrap()
                }),
                ..v2.clone()
            })
            .with_token(&token),
            "log-entry-invalid",
        ),
        ("before the certificate", bare.with_entry(&bed.sigstore.entry(&bare, BEGIN - 1, false, 6)), "log-entry-invalid"),
        ("its first second", bare.with_entry(&bed.sigstore.entry(&bare, BEGIN, false, 6)), "good"),
        ("its last second", bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 600, false, 6)), "good"),
        ("after the certificate", bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 601, false, 6)), "log-entry-invalid"),
        ("the far future", bare.with_entry(&bed.sigstore.entry(&bare, 5_000_000_000, false, 6)), "timestamp-invalid"),
    ] {
        let result = bed.verify(&signature);
        // which of the two says so first is of no matter
        let found =
            code(&result).replace("timestamp-invalid", "log-entry-invalid").replace("certificate-untrusted", "log-entry-invalid");
        assert_eq!(found, want.replace("timestamp-invalid", "log-entry-invalid"), "{what}: {result:?}");
    }
}

#[test]
fn a_timestamp_authority_that_lies() {
    let bed = Bed::new();
    let bare = bed.bare();
    let logged = bed.logged();
    let other = Sigstore::new("example");
    let token = |bytes: &[u8], at: i64| bed.sigstore.token(bytes, at);
    for (what, token, want) in [
        ("as it is", token(&bare.signature, BEGIN + 3), "good"),
        ("over the payload", token(PAYLOAD, BEGIN + 3), "timestamp-invalid"),
        ("over what is signed", token(&bare.signed(), BEGIN + 3), "timestamp-invalid"),
        ("over another signature", token(&bed.bare().signature, BEGIN + 3), "timestamp-invalid"),
        ("by another authority", other.token(&bare.signature, BEGIN + 3), "timestamp-invalid"),
        ("before the certificate", token(&bare.signature, BEGIN - 1), "certificate-untrusted"),
        ("after the certificate", token(&bare.signature, BEGIN + 601), "certificate-untrusted"),
        ("no token", vec![0x30, 0], "timestamp-invalid"),
    ] {
        let result = bed.verify(&bare.with_token(&token));
        assert_eq!(code(&result), want, "{what}: {result:?}");
        // a bad one is not passed over because the log entry would do
        let result = bed.verify(&Signature {
            signature: bare.signature.clone(),
            entry: Some(bed.entry(&bare).encode()),
            ..bare.with_token(&token)
        });
        assert_eq!(code(&result), want, "{what}: {result:?}");
    }
    assert_eq!(bed.says(&logged), "good");
}

#[test]
fn trusted_roots_have_their_time() {
    let bed = Bed::new();
    let full = bed.full();
    let within = |start: &str, end: &str| {
        let verifier = trusting(&bed.sigstore.trusted_root_within(start, end));
        code(&verifier.verify(&full.armored(), &Payload::whole(PAYLOAD)))
    };
    assert_eq!(within("2025-06-15T15:00:00Z", ""), "good");
    assert_eq!(within("2025-06-15T15:00:00Z", r#", "end": "2025-06-15T16:00:00Z""#), "good");
    assert_eq!(within("2025-06-16T00:00:00Z", ""), "certificate-untrusted");
    assert_eq!(within("2020-01-01T00:00:00Z", r#", "end": "2025-06-15T15:06:39Z""#), "certificate-untrusted");
    // the authority ended between the certificate's begin and the entry
    assert_ne!(within("2020-01-01T00:00:00Z", r#", "end": "2025-06-15T15:06:41Z""#), "good");
    let other = trusting(&Sigstore::new("example").trusted_root());
    assert_eq!(code(&other.verify(&full.armored(), &Payload::whole(PAYLOAD))), "certificate-untrusted");
    assert_eq!(code(&X509Verifier::new(vec![]).verify(&full.armored(), &Payload::whole(PAYLOAD))), "certificate-untrusted");
}

#[test]
fn what_an_authority_between_has_proved_holds_for_no_other() {
    let mut sigstore = Sigstore::new("example");
    sigstore.ca_holds = (BEGIN - 10, BEGIN + 1000);
    let mut bed = Bed { verifier: trusting(&sigstore.trusted_root()), sigstore, key: Key::p256() };
    let leaf = |begin: i64| Leaf::email("alice@example.org", begin);
    // by an authority of the same names, whose key the root never signed; the certificate log saw it
    let ours = std::mem::replace(&mut bed.sigstore.ca, Key::p384());
    let forged = bed.sigstore.issue(&leaf(BEGIN), &bed.key);
    bed.sigstore.ca = ours;
    let says = |certificate: &[u8], begin: i64| {
        let bare = Signature::new(&bed.key, certificate, PAYLOAD, begin + 1);
        bed.says(&bare.with_entry(&bed.sigstore.entry(&bare, begin + 2, false, 6)))
    };
    let at = |begin: i64| says(&bed.sigstore.issue(&leaf(begin), &bed.key), begin);
    let mail = bed.sigstore.issue(&Leaf { purpose: "1.3.6.1.5.5.7.3.4", ..leaf(BEGIN) }, &bed.key);
    assert_eq!(says(&forged, BEGIN), "certificate-untrusted");
    for _ in 0..2 {
        assert_eq!(at(BEGIN), "good");
        assert_eq!(at(BEGIN + 390), "good");
        assert_eq!(says(&forged, BEGIN), "certificate-untrusted");
        assert_eq!(at(BEGIN - 11), "certificate-untrusted", "not yet");
        assert_eq!(at(BEGIN + 1001), "certificate-untrusted", "not any more");
        assert_eq!(at(BEGIN + 999), "certificate-untrusted", "not when it was used");
        assert_eq!(says(&mail, BEGIN), "certificate-untrusted", "for something else");
    }
}

#[test]
fn parts_of_two_good_ones_are_no_third() {
    let bed = Bed::new();
    let (one, second) = (bed.full(), Key::p256());
    let certificate = bed.sigstore.issue(&Leaf::email("bob@example.org", BEGIN + 10), &second);
    let bare = Signature::new(&second, &certificate, b"another payload", BEGIN + 11);
    let two = bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 12, false, 9));
    let two = two.with_token(&bed.sigstore.token(&two.signature, BEGIN + 13));
    let verify = |signature: &Signature, payload: &[u8]| code(&bed.verifier.verify(&signature.armored(), &Payload::whole(payload)));
    assert_eq!((verify(&one, PAYLOAD), verify(&two, b"another payload")), ("good", "good"));
    assert_eq!((verify(&two, PAYLOAD), verify(&one, b"another payload")), ("bad-signature", "bad-signature"));
    let mut n = 0;
    for (own, other) in [(&one, &two), (&two, &one)] {
        for (what, swapped) in own.swapped(other) {
            for payload in [PAYLOAD, b"another payload"] {
                assert_ne!(verify(&swapped, payload), "good", "{what}");
                n += 1;
            }
        }
    }
    assert!(n >= 70, "{n}");
    // the same key and certificate, another commit: nothing of the one serves the other
    let bare = Signature::new(&bed.key, &one.certificate, b"another payload", BEGIN + 11);
    let two = bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 12, false, 9));
    for (what, swapped) in one.swapped(&two).iter().chain(&two.swapped(&one)) {
        let of = |whole: &Signature| {
            let same = |a: &Option<Vec<u8>>, b: &Option<Vec<u8>>| a.is_none() || a == b;
            (&swapped.attributes, &swapped.signature) == (&whole.attributes, &whole.signature)
                && same(&swapped.entry, &whole.entry)
                && same(&swapped.token, &whole.token)
        };
        let is_whole = of(&one) || of(&two); // a token, or an entry, less is no other signature
        for payload in [PAYLOAD, b"another payload"] {
            assert!(is_whole || verify(swapped, payload) != "good", "{what}");
        }
    }
}

/// Every bit counts, or is told: what is still accepted says the same of who signed and when.
#[test]
fn a_flipped_bit_is_refused_or_told() {
    let bed = Bed::new();
    let full = bed.full();
    let evidence = bed.verify(&full).unwrap().keyless.unwrap();
    let der = full.cms();
    let (mut refused, mut told) = (0, 0);
    for at in 0..der.len() {
        let mut flipped = der.clone();
        flipped[at] ^= 1 << (at % 8);
        match bed.verifier.verify(&encode_cms(&flipped), &Payload::whole(PAYLOAD)) {
            Err(_) => refused += 1,
            Ok(found) => {
                let keyless = found.keyless.unwrap();
                assert_eq!(keyless.attested().is_some(), evidence.attested().is_some() || keyless.entry.is_none(), "byte {at}");
                assert_eq!((&keyless.subject, &keyless.issuer), (&evidence.subject, &evidence.issuer), "byte {at}");
                assert!(!found.malleable.is_empty(), "byte {at}");
                told += 1;
            }
        }
    }
    println!("{refused} refused, {told} told as malleable");
    assert!(refused > 1600, "{refused}");
}

#[test]
fn other_forms_of_the_same() {
    let bed = Bed::new();
    let logged = bed.logged();
    let malleable = |signature: &Signature| bed.verify(signature).unwrap().malleable;
    assert_eq!(malleable(&logged), []);
    let raw = |entry: Vec<u8>| Signature { entry: Some(entry), ..logged.clone() };
    let bytes = logged.entry.clone().unwrap();
    assert_eq!(malleable(&raw([bytes.clone(), message(99, b"x")].concat())), [Malleable::Encoding]);
    assert_eq!(bed.says(&raw([bytes.clone(), bytes.clone()].concat())), "log-entry-invalid");
    assert_eq!(bed.says(&raw([bytes, message(7, b"{}")].concat())), "log-entry-invalid");
    assert_eq!(malleable(&Signature { algorithm: "1.2.840.10045.2.1", ..logged.clone() }), [Malleable::Encoding]);
    // of version 2 nobody signs what the proof repeats
    let bare = bed.bare();
    let token = bed.sigstore.token(&bare.signature, BEGIN + 4);
    let v2 = bed.sigstore.entry(&bare, 0, true, 6);
    let told = |entry: Entry| {
        let signature = bare.with_entry(&entry).with_token(&token).armored();
        bed.verifier.verify(&signature, &Payload::whole(PAYLOAD)).map_or_else(|reason| panic!("{reason}"), |good| good.malleable)
    };
    let proof = |edit: &dyn Fn(&mut Proof)| {
        let mut entry = v2.clone();
        entry.proof.as_mut().into_iter().for_each(edit);
        entry
    };
    assert_eq!(told(v2.clone()), []);
    for changed in [
        Entry { promise: Some(vec![1]), ..v2.clone() },
        proof(&|proof| proof.index += 1),
        proof(&|proof| proof.root[0] ^= 1),
        proof(&|proof| proof.size += 1),
    ] {
        assert_eq!(told(changed), [Malleable::Encoding]);
    }
    // an algorithm of another hash function than the one that was used
    let other = Signature { algorithm: "1.2.840.10045.4.3.3", ..logged.clone() };
    assert_ne!(bed.says(&other), "good");
    let loose = [logged.armored(), b"\n".to_vec()].concat();
    let found = bed.verifier.verify(&loose, &Payload::whole(PAYLOAD)).unwrap();
    assert_eq!(found.malleable, [Malleable::Armor]);
}

#[test]
fn a_large_one_is_refused_unread() {
    let bed = Bed::new();
    let large = encode_cms(&vec![0x30; 1 << 20]);
    let result = bed.verifier.verify(&large, &Payload::whole(PAYLOAD));
    assert!(result.is_err_and(|reason| reason.to_string().contains("more than 1048576 bytes")));
}

/// Whatever the bytes: an answer, and never a panic.
#[test]
fn any_bytes_get_an_answer() {
    let bed = Bed::new();
    let full = bed.full();
    let (der, mut state) = (full.cms(), 1_u64);
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut good = 0;
    for _ in 0..20_000 {
        let mut mutant = der.clone();
        for _ in 0..=below(3) {
            let at = below(mutant.len());
            match below(6) {
                0 => mutant[at] = below(256) as u8,
                1 => mutant.truncate(at + 1),
                2 => mutant.insert(at, below(256) as u8),
                3 => drop(mutant.remove(at)),
                4 => {
                    let end = (at + below(40)).min(mutant.len());
                    let piece = mutant[at..end].to_vec();
                    mutant.splice(at..at, piece);
                }
                _ => mutant[at] = [0, 0x30, 0x31, 0x80, 0x82, 0xff, 4, 6, 0xa0][below(9)],
            }
            if mutant.is_empty() {
                mutant.push(0x30);
            }
        }
        let armored = encode_cms(&mutant);
        let _ = to_bundle(&armored, &Payload::whole(PAYLOAD));
        if let Ok(evidence) = bed.verifier.verify(&armored, &Payload::whole(PAYLOAD)) {
            assert_eq!(evidence.keyless.unwrap().subject, Subject::Email("alice@example.org".to_owned()));
            assert!(!evidence.malleable.is_empty() || mutant == der, "{mutant:02x?}");
            good += 1;
        }
    }
    println!("{good} of 20,000 are still good");
    assert!(good < 2000, "{good}");
}

/// The seconds that this process has had of the processor, whatever else runs.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
#[ignore = "a measurement"]
fn how_long_ten_thousand_take() {
    let bed = Bed::new();
    for (what, a_certificate) in [("a certificate each", 1), ("a certificate for 50, as in a rebase", 50)] {
        let mut all = Vec::new();
        let mut certificate = Vec::new();
        let mut key = Key::p256();
        for number in 0..10_000_usize {
            if number % a_certificate == 0 {
                key = Key::p256();
                certificate = bed.sigstore.issue(&Leaf::email("alice@example.org", BEGIN), &key);
            }
            let payload = format!("payload {number}").into_bytes();
            let bare = Signature::new(&key, &certificate, &payload, BEGIN + 1);
            // 30 hashes, as in a log of a thousand million entries, would cost a few microseconds more
            all.push((bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 2, false, 31)).armored(), payload));
        }
        let verifier = trusting(&bed.sigstore.trusted_root());
        let start = cpu_seconds();
        for (armored, payload) in &all {
            assert!(verifier.verify(armored, &Payload::whole(payload)).is_ok());
        }
        println!("{what}: {:.0} µs of one core each", (cpu_seconds() - start) * 100.0);
    }
}
