//! Chains of S/MIME certificates that somebody made up: what leads to a root and what does not, and what lists revoke.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, clippy::as_conversions)]

#[path = "support/pki.rs"]
mod pki;
#[path = "support/sigstore.rs"]
mod sigstore;

use git_warrant::evidence::{ChainStanding, Evidence, Revocation};
use git_warrant::object::Payload;
use git_warrant::signature::Verifier as _;
use git_warrant::signature::x509::{Authority, Root, X509Verifier};
use git_warrant::verdict::Reason;
use pki::{Cert, EMAIL, List, constraints, names, pem, purposes, rsa, signed, signed_by_means_of, signed_with, usage};
use sigstore::{Key, Leaf, Signature, Sigstore, extension, oid, seq, set, tlv};
use std::time::{Duration, Instant};

const PAYLOAD: &[u8] = b"tree 1\n\nmessage\n";
const NOW: i64 = 1_750_000_000;

/// A root, an authority below it, and Alice.
struct Bed {
    root_key: Key,
    between_key: Key,
    key: Key,
    root: Vec<u8>,
    between: Vec<u8>,
    leaf: Vec<u8>,
}

impl Bed {
    fn new() -> Self {
        let (root_key, between_key, key) = (Key::p384(), Key::p256(), Key::p256());
        let root = Cert::authority("root", "root", &root_key).by(&root_key);
        let between = Cert::authority("root", "between", &between_key).by(&root_key);
        let leaf = Cert::person("between", "alice@example.org", &key).by(&between_key);
        Self { root_key, between_key, key, root, between, leaf }
    }

    fn authority(&self) -> Authority {
        Authority::parse("corp", pem("CERTIFICATE", &[&self.root]).as_bytes()).unwrap()
    }

    fn between(&self) -> Cert {
        Cert::authority("root", "between", &self.between_key)
    }

    fn person(&self) -> Cert {
        Cert::person("between", "alice@example.org", &self.key)
    }

    /// What is said of Alice's signature with these certificates in it, the first hers.
    fn says(&self, all: &[&[u8]]) -> Result<Evidence, Reason> {
        self.says_by(vec![self.authority()], all)
    }

    fn says_by(&self, authorities: Vec<Authority>, all: &[&[u8]]) -> Result<Evidence, Reason> {
        let verifier = X509Verifier::new(Vec::new()).with_authorities(authorities);
        verifier.verify(&signed(&self.key, all[0], all, PAYLOAD), &Payload::whole(PAYLOAD))
    }
}

/// `good`, or the code and the reason.
fn word(result: &Result<Evidence, Reason>) -> String {
    result.as_ref().map_or_else(|reason| format!("{}: {reason}", reason.code()), |_| "good".to_owned())
}

#[track_caller]
fn expect(what: &str, result: &Result<Evidence, Reason>, want: &str) {
    let found = word(result);
    let (code, part) = want.split_once(": ").unwrap_or((want, ""));
    assert!(found.starts_with(code) && found.contains(part), "{what}: {found}, not {want}");
}

#[test]
fn a_chain_of_every_length() {
    let bed = Bed::new();
    let direct = Cert::person("root", "alice@example.org", &bed.key).by(&bed.root_key);
    let (leaf, between, root) = (&bed.leaf[..], &bed.between[..], &bed.root[..]);
    let junk = Cert::authority("root", "between", &Key::p256()).by(&Key::p256());
    for (what, all, want) in [
        ("without the one between", &[leaf][..], "certificate-untrusted: no root of it leads"),
        ("whole", &[leaf, between], "good"),
        ("in another order", &[leaf, root, between], "good"),
        ("directly", &[&direct], "good"),
        ("another of the same name beside it", &[leaf, &junk, between], "good"),
        ("another of the same name in its place", &[leaf, &junk], "certificate-untrusted: a signature in its chain"),
        ("something that is none", &[leaf, between, &[0x30, 0]], "good"),
    ] {
        expect(what, &bed.says(all), want);
    }
    let evidence = bed.says(&[leaf, between]).unwrap();
    let smime = evidence.smime.unwrap();
    assert_eq!(smime.addresses, ["alice@example.org"]);
    assert_eq!((smime.holder.to_string().as_str(), smime.issuer.to_string().as_str()), ("CN=a person", "CN=between"));
    let [path] = smime.paths.as_slice() else { panic!("{smime:?}") };
    assert_eq!(path.issuers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["CN=between", "CN=root"]);
    assert_eq!((path.authority.as_str(), path.begin, path.end), ("corp", 1_000_000_000, 2_000_000_000));
    assert_eq!(path.standing, ChainStanding::Unasked);
    // of no authority, and of one that has another root of the same name
    expect("no authority", &bed.says_by(vec![], &[leaf, between]), "certificate-untrusted: no X.509 authority is named");
    let other = Authority::parse("other", pem("CERTIFICATE", &[&Bed::new().root]).as_bytes()).unwrap();
    expect("another root", &bed.says_by(vec![other.clone()], &[leaf, between]), "certificate-untrusted: other: a signature");
    let both = bed.says_by(vec![other, bed.authority()], &[leaf, between]).unwrap().smime.unwrap();
    assert_eq!(both.paths.iter().map(|path| path.authority.as_str()).collect::<Vec<_>>(), ["corp"]);
    // hash functions that prove nothing
    let weak = X509Verifier::new(Vec::new()).with_authorities(vec![bed.authority()]);
    for (hash, want) in [
        ("1.3.14.3.2.26", "weak-algorithm: SHA-1"),
        ("1.2.840.113549.2.5", "weak-algorithm: MD5"),
        ("1.2.3", "algorithm-unsupported: 1.2.3"),
    ] {
        let armored = signed_by_means_of(hash, &bed.key, leaf, &[leaf, between], PAYLOAD);
        expect(hash, &weak.verify(&armored, &Payload::whole(PAYLOAD)), want);
    }
    // bad content goes before bad chains
    let verifier = X509Verifier::new(Vec::new()).with_authorities(vec![bed.authority()]);
    for certificates in [&[leaf, between][..], &[leaf]] {
        let armored = signed(&bed.key, leaf, certificates, PAYLOAD);
        assert_eq!(verifier.verify(&armored, &Payload::whole(b"other")).unwrap_err(), Reason::BadSignature);
    }
}

#[test]
fn what_a_signers_certificate_must_say() {
    let bed = Bed::new();
    let unknown = |critical| extension("1.2.3.4", critical, &[5, 0]);
    let lists = |critical| extension("2.5.29.31", critical, &seq(&[&seq(&[&tlv(0xa0, &tlv(0xa0, &tlv(0x86, b"http://x/crl")))])]));
    let p256 = seq(&[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")]);
    let compressed = seq(&[&p256, &sigstore::bits(&[&[2], &[1; 32][..]].concat())]);
    let forged = |what: Cert| Cert { algorithm: Some("1.2.840.10045.4.1"), ..what };
    for (what, leaf, want) in [
        ("as usual", bed.person(), "good"),
        ("for e-mail and more", bed.person().with(purposes(&["1.3.6.1.5.5.7.3.2", EMAIL])), "good"),
        ("for any purpose", bed.person().with(purposes(&["2.5.29.37.0"])), "good"),
        ("for no purpose said", bed.person().without("2.5.29.37"), "good"),
        ("for servers", bed.person().with(purposes(&["1.3.6.1.5.5.7.3.1"])), "certificate-untrusted: not for e-mail"),
        ("for code", bed.person().with(purposes(&["1.3.6.1.5.5.7.3.3"])), "certificate-untrusted: not for e-mail"),
        ("for no purpose at all", bed.person().with(purposes(&[])), "certificate-untrusted"),
        ("for signatures that bind", bed.person().with(usage(0x40)), "good"),
        ("without a key usage", bed.person().without("2.5.29.15"), "good"),
        ("for encryption", bed.person().with(usage(0x20)), "certificate-untrusted: keyUsage"),
        ("for certificates", bed.person().with(usage(0x06)), "certificate-untrusted: keyUsage"),
        ("with a point in the shorter form", Cert { spki: compressed, ..bed.person() }, "malformed-signature: uncompressed"),
        ("an authority's", bed.person().with(constraints(true, None)), "certificate-untrusted: an authority's own"),
        ("no authority's", bed.person().with(constraints(false, None)), "good"),
        ("with an extension", bed.person().with(unknown(false)), "good"),
        ("with a critical one", bed.person().with(unknown(true)), "certificate-untrusted: critical extension"),
        ("with revocation lists to be asked", bed.person().with(lists(false)), "good"),
        ("that demands these", bed.person().with(lists(true)), "certificate-untrusted: demands that revocation lists"),
        ("signed by means of SHA-1", forged(bed.person()), "weak-algorithm: SHA-1"),
        ("a serial number twice as long", Cert { serial: vec![0, 1], ..bed.person() }, "certificate-untrusted: not in DER"),
        ("a serial number that is positive", Cert { serial: vec![0, 0x81], ..bed.person() }, "good"),
    ] {
        expect(what, &bed.says(&[&leaf.by(&bed.between_key), &bed.between]), want);
    }
    let twice = bed.person().by(&bed.between_key);
    expect("signed by another key", &bed.says(&[&bed.person().by(&bed.key), &bed.between]), "certificate-untrusted: a signature");
    expect("signed by the root's key", &bed.says(&[&bed.person().by(&bed.root_key), &bed.between]), "certificate-untrusted");
    // what of two certificates with one number is meant is open
    let other = Cert { spki: Key::p256().spki(), ..bed.person() }.by(&bed.between_key);
    expect("two of one number", &bed.says(&[&twice, &other, &bed.between]), "malformed-signature: two certificates");
    expect("the same twice", &bed.says(&[&twice, &twice, &bed.between]), "good");
}

#[test]
fn whom_it_names() {
    let bed = Bed::new();
    let subject = seq(&[&set(&[&seq(&[&oid("1.2.840.113549.1.9.1"), &tlv(0x16, b"chief@example.org")])])]);
    let of = |all: &[(u8, &[u8])]| bed.person().with(names(all));
    for (what, leaf, want) in [
        ("one", of(&[(0x81, b"a@x")]), Ok(vec!["a@x"])),
        ("two", of(&[(0x81, b"a@x"), (0x81, b"b@x"), (0x81, b"a@x")]), Ok(vec!["a@x", "b@x"])),
        ("as it is written", of(&[(0x81, b"A@X.Example")]), Ok(vec!["A@X.Example"])),
        ("others are passed over", of(&[(0x82, b"x.example"), (0x86, b"mailto:b@x"), (0x81, b"a@x")]), Ok(vec!["a@x"])),
        ("none", bed.person().without("2.5.29.17"), Ok(vec![])),
        ("in the subject only", Cert { subject, ..bed.person().without("2.5.29.17") }, Ok(vec![])),
        ("a NUL", of(&[(0x81, b"a@x\0.evil")]), Err("malformed-signature")),
        ("a line end", of(&[(0x81, b"a@x\n")]), Err("malformed-signature")),
        ("a space", of(&[(0x81, b"a @x")]), Err("malformed-signature")),
        ("not ASCII", of(&[(0x81, "\u{e4}@x".as_bytes())]), Err("malformed-signature")),
        ("Latin-1", of(&[(0x81, b"\xe4@x")]), Err("malformed-signature")),
        ("two @", of(&[(0x81, b"a@x@y")]), Err("malformed-signature")),
        ("no @", of(&[(0x81, b"x.example")]), Err("malformed-signature")),
        ("nobody at x", of(&[(0x81, b"@x")]), Err("malformed-signature")),
        ("a at nowhere", of(&[(0x81, b"a@")]), Err("malformed-signature")),
        ("one good, one bad", of(&[(0x81, b"a@x"), (0x81, b"b")]), Err("malformed-signature")),
    ] {
        let found = bed.says(&[&leaf.by(&bed.between_key), &bed.between]);
        let found = found.map(|evidence| evidence.smime.unwrap().addresses.clone());
        match want {
            Ok(addresses) => assert_eq!(found.unwrap(), addresses, "{what}"),
            Err(code) => assert_eq!(found.unwrap_err().code(), code, "{what}"),
        }
    }
}

#[test]
fn what_stands_between_must_be_an_authoritys() {
    let bed = Bed::new();
    let constrained = extension("2.5.29.30", true, &seq(&[&tlv(0xa0, &seq(&[&tlv(0x81, b"example.org")]))]));
    for (what, between, want) in [
        ("as usual", bed.between(), "good"),
        ("not an authority", bed.between().with(constraints(false, None)), "certificate-untrusted: no authority's"),
        ("nothing said of it", bed.between().without("2.5.29.19"), "certificate-untrusted: no authority's"),
        ("not for certificates", bed.between().with(usage(0x80)), "certificate-untrusted: signing certificates"),
        ("no key usage", bed.between().without("2.5.29.15"), "good"),
        ("with nobody below", bed.between().with(constraints(true, Some(0))), "good"),
        ("for e-mail", bed.between().with(purposes(&[EMAIL])), "good"),
        ("for servers", bed.between().with(purposes(&["1.3.6.1.5.5.7.3.1"])), "certificate-untrusted: not for e-mail"),
        ("for some names", bed.between().with(constrained.clone()), "certificate-untrusted: nameConstraints"),
        ("with a critical extension", bed.between().with(extension("1.2.3", true, &[5, 0])), "certificate-untrusted: critical"),
        ("signed by means of SHA-1", Cert { algorithm: Some("1.2.840.10045.4.1"), ..bed.between() }, "weak-algorithm: SHA-1"),
        (
            "written in another way",
            Cert { subject: seq(&[&set(&[&seq(&[&oid("2.5.4.3"), &tlv(0x13, b"between")])])]), ..bed.between() },
            "certificate-untrusted",
        ),
    ] {
        expect(what, &bed.says(&[&bed.leaf, &between.by(&bed.root_key)]), want);
    }
    let short = Cert { spki: rsa(1024), ..bed.between() }.by(&bed.root_key);
    expect("with a short key", &bed.says(&[&bed.leaf, &short]), "weak-algorithm: an RSA key of 1024 bits");
    // a person's certificate issues nothing
    let eve = Key::p256();
    let forged = Cert::person("a person", "alice@example.org", &bed.key).by(&eve);
    let person = Cert::person("between", "eve@example.org", &eve);
    for (what, person, want) in [
        ("a person as an authority", person.clone(), "certificate-untrusted"),
        ("one that may sign certificates", person.with(usage(0x84)), "certificate-untrusted: no authority's"),
        ("one that says no usage", person.without("2.5.29.15"), "certificate-untrusted: no authority's"),
    ] {
        expect(what, &bed.says(&[&forged, &person.by(&bed.between_key), &bed.between]), want);
    }
    // more below than it may have
    let (low_key, low) = (Key::p256(), |key: &Key| Cert::authority("between", "low", key));
    let leaf = Cert::person("low", "alice@example.org", &bed.key).by(&low_key);
    let low = low(&low_key).by(&bed.between_key);
    for (length, want) in [(None, "good"), (Some(1), "good"), (Some(0), "certificate-untrusted: pathLen")] {
        let between = bed.between().with(constraints(true, length)).by(&bed.root_key);
        expect("a path length", &bed.says(&[&leaf, &low, &between]), want);
    }
}

#[test]
fn when_all_of_it_holds() {
    let bed = Bed::new();
    let leaf = bed.person().within((1_500_000_000, 1_600_000_000)).by(&bed.between_key);
    for (between, want) in [
        ((1_000_000_000, 2_000_000_000), Some((1_500_000_000, 1_600_000_000))),
        ((1_550_000_000, 1_560_000_000), Some((1_550_000_000, 1_560_000_000))),
        ((1_600_000_000, 1_700_000_000), Some((1_600_000_000, 1_600_000_000))),
        ((1_600_000_001, 1_700_000_000), None),
        ((1_400_000_000, 1_499_999_999), None),
    ] {
        let found = bed.says(&[&leaf, &bed.between().within(between).by(&bed.root_key)]);
        let window = found.as_ref().ok().map(|evidence| evidence.smime.as_ref().unwrap().paths[0].clone());
        assert_eq!(window.map(|path| (path.begin, path.end)), want, "{between:?} {}", word(&found));
    }
    // the root's own time counts, and of two chains the one that holds longer goes first
    let root = Cert::authority("root", "root", &bed.root_key).within((1_000_000_000, 1_550_000_000)).by(&bed.root_key);
    let authority = Authority::parse("corp", pem("CERTIFICATE", &[&root]).as_bytes()).unwrap();
    let evidence = bed.says_by(vec![authority], &[&leaf, &bed.between]).unwrap();
    assert_eq!(evidence.smime.unwrap().paths[0].end, 1_550_000_000);
    let renewed = Cert { serial: vec![9], ..bed.between() }.within((1_400_000_000, 1_590_000_000)).by(&bed.root_key);
    let short = Cert { serial: vec![8], ..bed.between() }.within((1_400_000_000, 1_510_000_000)).by(&bed.root_key);
    let ends: Vec<i64> = bed.says(&[&leaf, &short, &renewed]).unwrap().smime.unwrap().paths.iter().map(|path| path.end).collect();
    assert_eq!(ends, [1_590_000_000, 1_510_000_000]);
}

#[test]
fn roots_are_authorities() {
    let bed = Bed::new();
    let root = || Cert::authority("root", "root", &bed.root_key);
    let parse = |der: &[u8]| Authority::parse("corp", pem("CERTIFICATE", &[&bed.root, der]).as_bytes());
    for (what, root, want) in [
        ("as usual", root(), ""),
        ("a person's", bed.person(), "not an authority's"),
        ("that says it is none", root().with(extension("2.5.29.19", true, &seq(&[&[1, 1, 0]]))), "not an authority's"),
        ("not for certificates", root().with(usage(0x80)), "keyUsage"),
        ("for some names", root().with(extension("2.5.29.30", false, &seq(&[]))), "nameConstraints"),
        ("for servers", root().with(purposes(&["1.3.6.1.5.5.7.3.1"])), "not for e-mail"),
        ("for e-mail", root().with(purposes(&[EMAIL])), ""),
        ("with a critical extension", root().with(extension("1.2.3.4", true, &[5, 0])), "not known (1.2.3.4)"),
        ("with another", root().with(extension("1.2.3.4", false, &[5, 0])), ""),
        ("with a key of another kind", Cert { spki: seq(&[&seq(&[&oid("1.2.3")]), &[3, 2, 0, 1]]), ..root() }, "of a kind"),
        ("with a short key", Cert { spki: rsa(2040), ..root() }, "2040 bits"),
        ("with a longer one", Cert { spki: rsa(2048), ..root() }, ""),
    ] {
        let found = parse(&root.by(&bed.root_key)).map(|_| ()).map_err(|error| error.to_string());
        match want {
            "" => assert_eq!(found, Ok(()), "{what}"),
            part => {
                let error = found.unwrap_err();
                assert!(error.contains("line 4, column 1") && error.contains(part), "{what}: {error}");
            }
        }
    }
    for (text, want) in [
        ("", "it holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is missing"),
        ("\n-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", "line 2, column 1: it is not base64"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "line 1, column 1: something else"),
        ("\u{feff}-----BEGIN CERTIFICATE-----\n", "line 1, column 1: something that is no text"),
    ] {
        assert!(Authority::parse("corp", text.as_bytes()).unwrap_err().to_string().contains(want), "{text}");
    }
    // a root that signs by itself, and a signer who calls himself a root
    let by_root = signed_by(&bed.root_key, &bed.root, &[&bed.root]);
    let verifier = X509Verifier::new(Vec::new()).with_authorities(vec![bed.authority()]);
    let found = verifier.verify(&by_root, &Payload::whole(PAYLOAD));
    expect("the root itself", &found, "bad-signature"); // a key that signs over SHA-384
    let key = Key::p256();
    let small = Cert::authority("small", "small", &key).with(usage(0x86)).by(&key);
    let authority = Authority::parse("small", pem("CERTIFICATE", &[&small]).as_bytes()).unwrap();
    let verifier = X509Verifier::new(Vec::new()).with_authorities(vec![authority]);
    let found = verifier.verify(&signed_by(&key, &small, &[&small]), &Payload::whole(PAYLOAD));
    expect("a root of the right kind itself", &found, "certificate-untrusted: an authority's own");
    let itself = Cert { subject: sigstore::name("root"), ..Cert::person("root", "alice@example.org", &bed.key) }.by(&bed.key);
    expect("a signer who calls himself so", &bed.says(&[&itself]), "certificate-untrusted: a signature");
    expect("and brings the root along", &bed.says(&[&itself, &bed.root]), "certificate-untrusted");
}

fn signed_by(key: &Key, leaf: &[u8], all: &[&[u8]]) -> Vec<u8> {
    signed(key, leaf, all, PAYLOAD)
}

#[test]
fn work_is_bounded() {
    // fifteen authorities that all sign each other, none of them signed by the root; the signature is as bad as it can be
    let bed = Bed::new();
    let keys: Vec<Key> = (0..15).map(|_| Key::p256()).collect();
    for same_name in [false, true] {
        let name = |at: usize| if same_name { "root".to_owned() } else { format!("a{at}") };
        let all: Vec<Vec<u8>> = (0..15)
            .map(|at| {
                let by = (at + 1) % 15;
                Cert::authority(&name(by), &name(at), &keys[at]).by(&keys[by])
            })
            .collect();
        let leaf = Cert::person(&name(0), "alice@example.org", &bed.key).by(&keys[0]);
        let mut certificates: Vec<&[u8]> = vec![&leaf];
        certificates.extend(all.iter().map(Vec::as_slice));
        let start = Instant::now();
        expect("a knot", &bed.says(&certificates), "certificate-untrusted");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    // two that sign each other beside a chain that is good
    let (a, b) = (Key::p256(), Key::p256());
    let knot = [Cert::authority("b", "between", &a).by(&b), Cert::authority("between", "b", &b).by(&a)];
    expect("a loop", &bed.says(&[&bed.leaf, &knot[0], &knot[1], &bed.between]), "good");
    // longer than any
    let mut first = bed.person();
    first.issuer = sigstore::name("n0");
    let mut ders = vec![first.by(&keys[0])];
    for at in 0..7 {
        let issuer = if at == 6 { "root".to_owned() } else { format!("n{}", at + 1) };
        let by = if at == 6 { &bed.root_key } else { &keys[at + 1] };
        ders.push(Cert::authority(&issuer, &format!("n{at}"), &keys[at]).by(by));
    }
    let all: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
    expect("too long", &bed.says(&all), "certificate-untrusted: no root");
}

#[test]
fn keyless_and_mail_certificates_are_not_each_other() {
    let bed = Bed::new();
    // an S/MIME authority that writes what only Fulcio's certificates have
    let issuer = extension("1.3.6.1.4.1.57264.1.8", false, &tlv(0x0c, b"https://issuer.example"));
    let leaf = bed.person().with(issuer).by(&bed.between_key);
    expect("as a keyless one", &bed.says(&[&leaf, &bed.between]), "certificate-untrusted: no trusted root");
    // a certificate of a Sigstore instance whose root somebody takes for one of S/MIME
    let instance = Sigstore::new("example");
    let key = Key::p256();
    let leaf = instance.issue(&Leaf { purpose: EMAIL, ..Leaf::email("alice@example.org", 1_600_000_000) }, &key);
    let root = Cert::authority("example", "example", &instance.ca).by(&instance.ca);
    let authority = Authority::parse("corp", pem("CERTIFICATE", &[&root]).as_bytes()).unwrap();
    let verifier = X509Verifier::new(Vec::new()).with_authorities(vec![authority.clone()]);
    let armored = Signature::new(&key, &leaf, PAYLOAD, 1_600_000_001).armored();
    expect("Fulcio's", &verifier.verify(&armored, &Payload::whole(PAYLOAD)), "certificate-untrusted: no trusted root");
    // and an S/MIME certificate of the instance's own key
    let bare = Leaf { issuer: None, old_issuer: None, ..Leaf::email("alice@example.org", 1_600_000_000) };
    let armored = Signature::new(&key, &instance.issue(&bare, &key), PAYLOAD, 1_600_000_001).armored();
    let root = Root::parse(instance.trusted_root().as_bytes(), "example").unwrap();
    let verifier = X509Verifier::new(vec![root]);
    expect("to an instance", &verifier.verify(&armored, &Payload::whole(PAYLOAD)), "certificate-untrusted: no X.509 authority");
}

/// The standing of the best chain by these lists.
fn standing(bed: &Bed, leaf: &[u8], between: &[u8], lists: &[&[u8]]) -> ChainStanding {
    let authority = bed.authority().with_lists(pem("X509 CRL", lists).as_bytes(), NOW).unwrap();
    let evidence = bed.says_by(vec![authority], &[leaf, between]).unwrap();
    evidence.smime.unwrap().paths[0].standing.clone()
}

#[test]
fn what_lists_revoke() {
    let bed = Bed::new();
    let window = (NOW - 1000, NOW + 1000);
    let serial = Cert::person("between", "", &bed.key).serial;
    let above = bed.between().serial;
    let other: &[u8] = &[1, 2, 3];
    let between = |entries: &[(&[u8], Option<u8>)]| List::new("between", entries, window).by(&bed.between_key);
    let root = |entries: &[(&[u8], Option<u8>)]| List::new("root", entries, window).by(&bed.root_key);
    let revoked =
        |own: bool, hard: bool, stated: bool| ChainStanding::Revoked { own, how: Revocation { hard, stated, at: NOW - 1000 } };
    let of = |lists: &[&[u8]]| standing(&bed, &bed.leaf, &bed.between, lists);
    assert_eq!(of(&[&between(&[])]), ChainStanding::Good);
    assert_eq!(of(&[&between(&[(other, None)])]), ChainStanding::Good);
    for (reason, hard, stated) in [
        (None, true, false),
        (Some(0), true, false),
        (Some(1), true, true),
        (Some(2), true, true),
        (Some(3), false, true),
        (Some(4), false, true),
        (Some(5), false, true),
        (Some(6), true, true),
        (Some(9), true, true),
        (Some(10), true, true),
    ] {
        assert_eq!(of(&[&between(&[(other, None), (&serial, reason)])]), revoked(true, hard, stated), "{reason:?}");
        assert_eq!(of(&[&between(&[]), &root(&[(&above, reason)])]), revoked(false, hard, stated), "{reason:?}");
    }
    assert_eq!(of(&[&root(&[(&serial, None)]), &between(&[])]), ChainStanding::Good, "another authority's number");
    // the signer's own goes first, and what is hard before what is soft
    assert_eq!(of(&[&between(&[(&serial, Some(4))]), &root(&[(&above, Some(4))])]), revoked(true, false, true));
    assert_eq!(of(&[&between(&[(&serial, Some(4))]), &root(&[(&above, Some(2))])]), revoked(false, true, true));
    // two lists: what either of them revokes is revoked, and what is hard goes before what is soft
    assert_eq!(of(&[&between(&[]), &between(&[(&serial, Some(1))])]), revoked(true, true, true));
    let (soft, hard) = (between(&[(&serial, Some(4))]), between(&[(&serial, Some(1))]));
    assert_eq!([of(&[&soft, &hard]), of(&[&hard, &soft])], [revoked(true, true, true), revoked(true, true, true)]);
    // lists that say nothing of the signer
    let unknown = |lists: &[&[u8]]| match of(lists) {
        ChainStanding::Unknown(what) => what,
        other => panic!("{other:?}"),
    };
    assert!(unknown(&[&root(&[])]).contains("no revocation list is by CN=between"));
    let eve = Key::p256();
    let by_eve = |name: &str, entries: &[(&[u8], Option<u8>)]| List::new(name, entries, window).by(&eve);
    assert!(unknown(&[&by_eve("between", &[])]).contains("no revocation list is by"), "another key of the same name");
    assert_eq!(of(&[&by_eve("between", &[(&serial, None)]), &between(&[])]), ChainStanding::Good, "and beside a good one");
    assert!(unknown(&[&between(&[]), &by_eve("root", &[])]).contains("of CN=root is not usable"));
    // a key that is not for lists
    let not_for_lists = bed.between().with(usage(0x04)).by(&bed.root_key);
    assert!(matches!(standing(&bed, &bed.leaf, &not_for_lists, &[&between(&[])]), ChainStanding::Unknown(_)));
    // of two chains the one that nothing revokes
    let second = Cert { serial: vec![9], ..bed.between() }.by(&bed.root_key);
    let authority = bed.authority().with_lists(pem("X509 CRL", &[&between(&[]), &root(&[(&above, None)])]).as_bytes(), NOW);
    let paths = bed.says_by(vec![authority.unwrap()], &[&bed.leaf, &bed.between, &second]).unwrap().smime.unwrap().paths.clone();
    let standings: Vec<_> = paths.into_iter().map(|path| path.standing).collect();
    assert_eq!(standings, [ChainStanding::Good, revoked(false, true, false)]);
}

#[test]
fn a_root_that_may_not_sign_lists() {
    let bed = Bed::new();
    let root = Cert::authority("root", "root", &bed.root_key).with(usage(0x04)).by(&bed.root_key);
    let leaf = Cert::person("root", "alice@example.org", &bed.key).by(&bed.root_key);
    let list = List::new("root", &[], (NOW - 1, NOW + 1)).by(&bed.root_key);
    for (root, good) in [(&bed.root, true), (&root, false)] {
        let authority = Authority::parse("corp", pem("CERTIFICATE", &[root]).as_bytes()).unwrap();
        let authority = authority.with_lists(&list, NOW).unwrap(); // in DER, too
        let evidence = bed.says_by(vec![authority], &[&leaf]).unwrap();
        assert_eq!(evidence.smime.unwrap().paths[0].standing == ChainStanding::Good, good);
    }
}

#[test]
fn lists_that_cannot_be_used() {
    let bed = Bed::new();
    let window = (NOW - 1000, NOW + 1000);
    let list = || List::new("between", &[(&[1, 2], None)], window);
    let parse = |file: &[u8]| bed.authority().with_lists(file, NOW).map(|_| ()).map_err(|error| error.to_string());
    let of = |list: List| parse(pem("X509 CRL", &[&list.by(&bed.between_key)]).as_bytes());
    assert_eq!(of(list()), Ok(()));
    let more = |id: &str, critical, value: &[u8]| {
        let mut list = list();
        list.extensions.push(extension(id, critical, value));
        list
    };
    let point = tlv(0xa0, &tlv(0xa0, &tlv(0x86, b"http://x")));
    for (what, list, want) in [
        ("ended", List { window: (NOW - 1000, NOW - 1), ..list() }, "it was good until 2025-06-15T15:06:39Z only"),
        ("its last second", List { window: (NOW - 1000, NOW), ..list() }, ""),
        ("to come", List { window: (NOW + 601, NOW + 1000), ..list() }, "in the future"),
        ("to come soon", List { window: (NOW + 600, NOW + 1000), ..list() }, ""),
        ("of version 1", List { version: false, ..list() }, "version 2"),
        ("a delta", more("2.5.29.27", true, &[2, 1, 1]), "delta"),
        ("a delta, said softly", more("2.5.29.27", false, &[2, 1, 1]), "delta"),
        ("indirect", more("2.5.29.28", true, &seq(&[&point, &tlv(0x84, &[0xff])])), "indirect"),
        ("of some reasons", more("2.5.29.28", true, &seq(&[&point, &tlv(0x83, &[1, 2])])), "some reasons"),
        ("with an extension", more("1.2.3", false, &[5, 0]), ""),
        ("with a critical one", more("1.2.3", true, &[5, 0]), "critical extension"),
        ("entries of another authority", List { of_entries: extension("2.5.29.29", true, &seq(&[])), ..list() }, "indirect"),
        ("entries with a critical extension", List { of_entries: extension("1.2.3", true, &[5, 0]), ..list() }, "critical"),
    ] {
        match want {
            "" => assert_eq!(of(list), Ok(()), "{what}"),
            part => {
                let error = of(list).unwrap_err();
                assert!(error.contains(part) && error.contains("line 1, column 1"), "{what}: {error}");
            }
        }
    }
    let good = pem("X509 CRL", &[&list().by(&bed.between_key)]);
    for (file, want) in [
        (Vec::new(), "no revocation list"),
        (b"# nothing\n".to_vec(), "no revocation list"),
        (format!("{good}-----BEGIN CRL-----\n-----END CRL-----\n").into_bytes(), "line 4, column 1: something else"),
        (good.replace("END", "END OF").into_bytes(), "is missing"),
        (good.repeat(257).into_bytes(), "more than"),
        (vec![b' '; (16 << 20) + 1], "more than"),
        (format!("\u{feff}{good}{good}").into_bytes(), "line 1, column 1: something that is no text"),
        (format!("a list: {good}{good}").into_bytes(), "line 1, column 1: something else"),
        ([good.as_bytes(), &list().by(&bed.between_key)].concat(), "line 4, column 1: something that is no text"),
        ([list().by(&bed.between_key), list().by(&bed.between_key)].concat(), "or something follows it"),
        (list().by(&bed.between_key)[..100].to_vec(), "cannot be read"),
    ] {
        let error = parse(&file).unwrap_err();
        assert!(error.contains(want), "{want}: {error}");
    }
    for (serial, good) in [(&[0, 5][..], false), (&[0, 0x85], true), (&[0x85], true), (&[0xff, 0x85], false)] {
        let found = of(List::new("between", &[(serial, None)], window));
        assert_eq!(found.is_ok(), good, "{serial:?} {found:?}");
    }
    for (own, listed) in [(&[0, 0x85][..], &[0x85][..]), (&[0x85], &[0, 0x85])] {
        let leaf = Cert { serial: own.to_vec(), ..bed.person() }.by(&bed.between_key);
        let list = List::new("between", &[(listed, None)], window).by(&bed.between_key);
        let found = standing(&bed, &leaf, &bed.between, &[&list]);
        assert!(matches!(found, ChainStanding::Revoked { own: true, .. }), "{found:?}");
    }
    // a list of a part of the certificates says nothing of the others
    let part = more("2.5.29.28", true, &seq(&[&point, &tlv(0x82, &[0xff])]));
    let found = standing(&bed, &bed.leaf, &bed.between, &[&part.by(&bed.between_key)]);
    assert!(matches!(found, ChainStanding::Unknown(_)), "{found:?}");
}

#[test]
fn a_root_belongs_to_one_authority() {
    let (bed, other) = (Bed::new(), Bed::new());
    let of = |roots: &[&[u8]]| Authority::parse("corp", pem("CERTIFICATE", roots).as_bytes()).unwrap();
    assert_eq!(of(&[&bed.root]).shared_root(&of(&[&other.root])), None);
    assert_eq!(of(&[&other.root, &bed.root]).shared_root(&of(&[&bed.root])).as_deref(), Some("CN=root"));
    let renewed = Cert { serial: vec![3], ..Cert::authority("root", "root", &bed.root_key) }.by(&bed.root_key);
    assert!(of(&[&renewed]).shared_root(&of(&[&bed.root])).is_some(), "the same key in another certificate");
}

/// Every bit of a list and of a root, turned: nothing panics, and no list that nobody signed so clears or revokes anything.
#[test]
fn no_bit_of_a_list_or_a_root_is_free() {
    let bed = Bed::new();
    let serial = Cert::person("between", "", &bed.key).serial;
    let list = List::new("between", &[(&serial, Some(4))], (NOW - 1000, NOW + 1000)).by(&bed.between_key);
    let (mut usable, mut roots) = (0, 0);
    let turned = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        bytes
    };
    for at in 0..list.len() * 8 {
        let Ok(authority) = bed.authority().with_lists(&turned(&list, at), NOW) else { continue };
        let evidence = bed.says_by(vec![authority], &[&bed.leaf, &bed.between]).unwrap();
        let standing = &evidence.smime.unwrap().paths[0].standing;
        assert!(matches!(standing, ChainStanding::Unknown(_)), "bit {at}: {standing:?}");
        usable += 1;
    }
    for at in 0..bed.root.len() * 8 {
        let pem = pem("CERTIFICATE", &[&turned(&bed.root, at)]);
        let Ok(authority) = Authority::parse("corp", pem.as_bytes()) else { continue };
        let _ = bed.says_by(vec![authority], &[&bed.leaf, &bed.between]); // a root is trusted as it is
        roots += 1;
    }
    println!("{usable} lists and {roots} roots could be read");
    assert!(usable > 500 && roots > 500, "{usable} {roots}");
}

#[test]
fn another_authority_in_the_middle_is_not_gone_around() {
    let bed = Bed::new();
    let of = |name: &str, root: &[u8]| Authority::parse(name, pem("CERTIFICATE", &[root]).as_bytes()).unwrap();
    let through = |authorities: Vec<Authority>| {
        let smime = bed.says_by(authorities, &[&bed.leaf, &bed.between]).unwrap().smime.unwrap();
        let path = smime.paths.iter().find(|path| path.authority == "all").unwrap().clone();
        (path.through, path.standing)
    };
    let all = || of("all", &bed.root);
    assert_eq!(through(vec![all()]), (vec![], ChainStanding::Unasked));
    assert_eq!(through(vec![all(), of("other", &Bed::new().between)]), (vec![], ChainStanding::Unasked));
    let middle = vec!["middle".to_owned()];
    assert_eq!(through(vec![all(), of("middle", &bed.between)]), (middle.clone(), ChainStanding::Unasked));
    // nor are its lists
    let serial = bed.person().serial;
    let list = List::new("between", &[(&serial, Some(1))], (NOW - 1, NOW + 1)).by(&bed.between_key);
    let listed = of("middle", &bed.between).with_lists(&list, NOW).unwrap();
    for authorities in [vec![all(), listed.clone()], vec![listed, all()]] {
        let how = Revocation { hard: true, stated: true, at: NOW - 1 };
        assert_eq!(through(authorities), (middle.clone(), ChainStanding::Revoked { own: true, how }));
    }
}

#[test]
fn a_root_that_is_revoked() {
    let bed = Bed::new();
    let window = (NOW - 1000, NOW + 1000);
    let between = List::new("between", &[], window).by(&bed.between_key);
    let serial = bed.between().serial;
    let of_root = |entries: &[(&[u8], Option<u8>)]| List::new("root", entries, window).by(&bed.root_key);
    for roots in [&[&bed.root[..], &bed.between][..], &[&bed.between]] {
        let authority = Authority::parse("corp", pem("CERTIFICATE", roots).as_bytes()).unwrap();
        for (list, good) in [(of_root(&[]), true), (of_root(&[(&serial, Some(2))]), false)] {
            let authority = authority.clone().with_lists(pem("X509 CRL", &[&between, &list]).as_bytes(), NOW).unwrap();
            for certificates in [&[&bed.leaf[..]][..], &[&bed.leaf, &bed.between]] {
                let smime = bed.says_by(vec![authority.clone()], certificates).unwrap().smime.unwrap();
                for path in &smime.paths {
                    let revoked = matches!(path.standing, ChainStanding::Revoked { own: false, how } if how.hard);
                    assert_eq!((revoked, path.standing == ChainStanding::Good), (!good, good), "{path:?}");
                }
            }
        }
    }
}

#[test]
fn lists_of_those_above() {
    let bed = Bed::new();
    let window = (NOW - 1000, NOW + 1000);
    let between = List::new("between", &[], window).by(&bed.between_key);
    let above = bed.between().serial;
    let of = |lists: &[&[u8]]| standing(&bed, &bed.leaf, &bed.between, lists);
    // the root has been given a new key under its old name: the list by the key that signed is the one
    let root = |key: &Key, serial: &[u8]| List::new("root", &[(serial, Some(1))], window).by(key);
    let renewed = Key::p384();
    assert_eq!(of(&[&between, &root(&bed.root_key, b"x"), &root(&renewed, b"x")]), ChainStanding::Good);
    assert_eq!(of(&[&between, &root(&renewed, b"x"), &root(&bed.root_key, b"x")]), ChainStanding::Good);
    assert!(matches!(of(&[&between, &root(&bed.root_key, &above), &root(&renewed, b"x")]), ChainStanding::Revoked { .. }));
    // its name in letters of another kind
    let spelled = |value: &[u8]| seq(&[&set(&[&seq(&[&oid("2.5.4.3"), &tlv(0x13, value)])])]);
    for name in [&b"root"[..], b"ROOT", b" root "] {
        let list = List { issuer: spelled(name), ..List::new("root", &[(&above, Some(1))], window) };
        assert!(matches!(of(&[&between, &list.by(&bed.root_key)]), ChainStanding::Revoked { own: false, .. }), "{name:?}");
        assert!(matches!(of(&[&between, &list.by(&renewed)]), ChainStanding::Unknown(_)), "{name:?}");
    }
    // for other certificates
    let place = |uri: &[u8]| tlv(0xa0, &tlv(0xa0, &tlv(0x86, uri)));
    let at = |uri: &[u8], serial: &[u8], flag: &[u8]| {
        let mut list = List::new("root", &[(serial, Some(1))], window);
        list.extensions.push(extension("2.5.29.28", true, &seq(&[&place(uri), flag])));
        list.by(&bed.root_key)
    };
    let placed = bed.between().with(extension("2.5.29.31", false, &seq(&[&seq(&[&place(b"http://old")])]))).by(&bed.root_key);
    for (uri, flag, want) in [
        (&b"http://old"[..], &[][..], "revoked"),
        (b"http://old", &[0x82, 1, 0xff], "revoked"),
        (b"http://old", &[0x81, 1, 0xff], "for other certificates"),
        (b"http://new", &[], "for other certificates"),
    ] {
        let found = match standing(&bed, &bed.leaf, &placed, &[&between, &at(uri, &above, flag)]) {
            ChainStanding::Revoked { own: false, .. } => "revoked".to_owned(),
            ChainStanding::Unknown(what) => what,
            other => format!("{other:?}"),
        };
        assert!(found.contains(want), "{uri:?} {flag:?}: {found}");
    }
    // where there is none, that is told
    let unasked = |lists: &[&[u8]]| {
        let authority = bed.authority().with_lists(pem("X509 CRL", lists).as_bytes(), NOW).unwrap();
        let missing: Vec<String> = authority.roots_without_list().collect();
        let evidence = bed.says_by(vec![authority], &[&bed.leaf, &bed.between]).unwrap();
        let path = evidence.smime.unwrap().paths[0].clone();
        (path.standing, path.unasked.iter().map(ToString::to_string).collect::<Vec<_>>(), missing)
    };
    let root_named = || vec!["CN=root".to_owned()];
    assert_eq!(unasked(&[&between]), (ChainStanding::Good, root_named(), root_named()));
    assert_eq!(unasked(&[&between, &root(&bed.root_key, b"x")]), (ChainStanding::Good, vec![], vec![]));
}

#[test]
fn what_the_root_itself_allows() {
    let bed = Bed::new();
    let with_length = |length: Option<u8>, between: &[u8]| {
        let root = Cert::authority("root", "root", &bed.root_key).with(constraints(true, length)).by(&bed.root_key);
        let authority = Authority::parse("corp", pem("CERTIFICATE", &[&root]).as_bytes()).unwrap();
        bed.says_by(vec![authority], &[&bed.leaf, between])
    };
    expect("no length", &with_length(None, &bed.between), "good");
    expect("one below", &with_length(Some(1), &bed.between), "good");
    expect("none below", &with_length(Some(0), &bed.between), "certificate-untrusted: pathLen");
    // an authority's new key, certified by its old one, is not one more
    let root = Cert::authority("root", "root", &bed.root_key).with(constraints(true, Some(1))).by(&bed.root_key);
    for (name, want) in [("between", "good"), ("below", "certificate-untrusted: pathLen")] {
        let new = Key::p256();
        let renewed = Cert::authority("between", name, &new).by(&bed.between_key);
        let leaf = Cert::person(name, "alice@example.org", &bed.key).by(&new);
        let authority = Authority::parse("corp", pem("CERTIFICATE", &[&root]).as_bytes()).unwrap();
        expect(name, &bed.says_by(vec![authority], &[&leaf, &renewed, &bed.between]), want);
    }
    // renewed, since: the old root is needed for what is older
    let old = bed.person().within((1_100_000_000, 1_200_000_000)).by(&bed.between_key);
    let root = |from| Cert::authority("root", "root", &bed.root_key).within((from, 2_000_000_000)).by(&bed.root_key);
    let of = |roots: &[&[u8]]| {
        let authority = Authority::parse("corp", pem("CERTIFICATE", roots).as_bytes()).unwrap();
        bed.says_by(vec![authority], &[&old, &bed.between])
    };
    expect("renewed", &of(&[&root(1_300_000_000)]), "certificate-untrusted: keep its older certificate");
    expect("both", &of(&[&root(1_300_000_000), &root(1_000_000_000)]), "good");
}

#[test]
fn keys_of_all_sizes_certify() {
    let key = Key::p256();
    for root_key in [Key::p256(), Key::p384(), Key::p521()] {
        let root = Cert::authority("root", "root", &root_key).by(&root_key);
        let leaf = Cert::person("root", "alice@example.org", &key);
        let list = List::new("root", &[], (NOW - 1, NOW + 1));
        let authority = Authority::parse("corp", pem("CERTIFICATE", &[&root]).as_bytes()).unwrap();
        let of = |leaf: &[u8], list: &[u8]| {
            let authority = authority.clone().with_lists(list, NOW).unwrap();
            let verifier = X509Verifier::new(Vec::new()).with_authorities(vec![authority]);
            verifier.verify(&signed(&key, leaf, &[leaf], PAYLOAD), &Payload::whole(PAYLOAD))
        };
        let evidence = of(&leaf.by(&root_key), &list.by(&root_key)).unwrap();
        assert_eq!(evidence.smime.unwrap().paths[0].standing, ChainStanding::Good);
        expect("another key's", &of(&leaf.by(&Key::p521()), &list.by(&root_key)), "certificate-untrusted");
        let unknown = of(&leaf.by(&root_key), &list.by(&Key::p521())).unwrap();
        assert!(matches!(unknown.smime.unwrap().paths[0].standing, ChainStanding::Unknown(_)));
    }
    let other = Cert { algorithm: Some("1.2.3.4"), ..Cert::person("between", "alice@example.org", &key) };
    let bed = Bed::new();
    let found = bed.says(&[&Cert { spki: bed.key.spki(), ..other }.by(&bed.between_key), &bed.between]);
    expect("an algorithm that is not known", &found, "certificate-untrusted: not supported (1.2.3.4)");
}

#[test]
fn a_signature_that_names_its_certificate() {
    let bed = Bed::new();
    let verifier = X509Verifier::new(Vec::new()).with_authorities(vec![bed.authority()]);
    let renewed = Cert { serial: vec![9], ..bed.person() }.by(&bed.between_key);
    let sha1 = |of: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, of).as_ref().to_vec();
    let sha256 = |of: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, of).as_ref().to_vec();
    let sha512 = |of: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, of).as_ref().to_vec();
    let by = |algorithm: &str| seq(&[&oid(algorithm)]);
    let attribute = |last: &str, algorithm: &[u8], hash: Vec<u8>| {
        let named = seq(&[&seq(&[&seq(&[algorithm, &tlv(4, &hash)])])]);
        seq(&[&oid(&format!("1.2.840.113549.1.9.16.2.{last}")), &set(&[&named])])
    };
    let leaf = &bed.leaf[..];
    for (what, attribute, want) in [
        ("by SHA-256", attribute("47", &[], sha256(leaf)), "good"),
        ("by SHA-512", attribute("47", &by("2.16.840.1.101.3.4.2.3"), sha512(leaf)), "good"),
        ("by SHA-1", attribute("12", &[], sha1(leaf)), "good"),
        ("another, by SHA-256", attribute("47", &[], sha256(&renewed)), "malformed-signature: another certificate"),
        ("another, by SHA-1", attribute("12", &[], sha1(&renewed)), "malformed-signature: another certificate"),
        ("by another hash function", attribute("47", &by("1.2.3"), sha256(leaf)), "algorithm-unsupported"),
        ("none", attribute("47", &[], Vec::new()), "malformed-signature: another certificate"),
    ] {
        let armored = signed_with("2.16.840.1.101.3.4.2.1", &attribute, &bed.key, leaf, &[leaf, &bed.between], PAYLOAD);
        expect(what, &verifier.verify(&armored, &Payload::whole(PAYLOAD)), want);
    }
}
