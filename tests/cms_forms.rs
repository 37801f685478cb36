//! CMS structures that say the same in another form, or something else: what is refused, and what is told as malleable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, clippy::as_conversions)]

#[path = "support/pki.rs"]
mod pki;
#[path = "support/sigstore.rs"]
mod sigstore;

use git_warrant::armor::encode_cms;
use git_warrant::evidence::{Evidence, Malleable};
use git_warrant::object::Payload;
use git_warrant::signature::Verifier as _;
use git_warrant::signature::x509::{Authority, Root, X509Verifier};
use git_warrant::verdict::Reason;
use pki::{Cert, List, pem};
use sha2::{Digest as _, Sha256, Sha384};
use sigstore::{Entry, Key, Leaf, Signature, Sigstore, octets, oid, seq, set, signer_id, tlv};

const PAYLOAD: &[u8] = b"tree 1\n\nmessage\n";
const BEGIN: i64 = 1_750_000_000;
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const NULL: &[u8] = &[5, 0];

fn attribute(id: &str, values: &[&[u8]]) -> Vec<u8> {
    seq(&[&oid(id), &set(values)])
}

fn content_type(id: &str) -> Vec<u8> {
    attribute("1.2.840.113549.1.9.3", &[&oid(id)])
}

fn digest() -> Vec<u8> {
    attribute("1.2.840.113549.1.9.4", &[&octets(&Sha256::digest(PAYLOAD))])
}

/// The same element with its length in more bytes than it needs.
fn long(element: &[u8]) -> Vec<u8> {
    let content = sigstore::content(element);
    [&[element[0], 0x83, 0], &(content.len() as u16).to_be_bytes()[..], content].concat()
}

/// A structure in its parts.
struct Form {
    certificates: Vec<Vec<u8>>,
    enclosed: Vec<u8>,
    lists: Vec<u8>,
    hash: Vec<u8>,
    attributes: Vec<Vec<u8>>,
    algorithm: Vec<u8>,
    unsigned: Vec<Vec<u8>>,
    /// Whether the attributes' own length is written in DER.
    der: bool,
    signers: usize,
    trailing: Vec<u8>,
    /// One that was made before.
    signature: Option<Vec<u8>>,
}

impl Form {
    fn of(certificate: &[u8]) -> Self {
        Self {
            certificates: vec![certificate.to_vec()],
            enclosed: oid("1.2.840.113549.1.7.1"),
            lists: Vec::new(),
            hash: seq(&[&oid(SHA256)]),
            attributes: vec![content_type("1.2.840.113549.1.7.1"), digest()],
            algorithm: seq(&[&oid("1.2.840.10045.4.3.2")]),
            unsigned: Vec::new(),
            der: true,
            signers: 1,
            trailing: Vec::new(),
            signature: None,
        }
    }

    fn armored(&self, certificate: &[u8], key: &Key) -> Vec<u8> {
        let attributes = self.attributes.concat();
        let sent = tlv(0xa0, &attributes);
        let signer = seq(&[
            &[2, 1, 1],
            &signer_id(certificate),
            &self.hash,
            &if self.der { sent } else { long(&sent) },
            &self.algorithm,
            &octets(&self.signature.clone().unwrap_or_else(|| key.sign(&tlv(0x31, &attributes)))),
            &if self.unsigned.is_empty() { Vec::new() } else { tlv(0xa1, &self.unsigned.concat()) },
        ]);
        let data = seq(&[
            &[2, 1, 1],
            &set(&[&self.hash]),
            &tlv(0x30, &self.enclosed),
            &tlv(0xa0, &self.certificates.concat()),
            &self.lists,
            &set(&vec![&signer[..]; self.signers]),
        ]);
        encode_cms(&[seq(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &data)]), self.trailing.clone()].concat())
    }
}

fn word(result: &Result<Evidence, Reason>) -> String {
    match result {
        Ok(evidence) => format!("good {:?}", evidence.malleable),
        Err(reason) => format!("{}: {reason}", reason.code()),
    }
}

/// Who signs, and what verifies it.
struct Bed {
    key: Key,
    leaf: Vec<u8>,
    verifier: X509Verifier,
}

impl Bed {
    fn new() -> Self {
        let (root, key) = (Key::p256(), Key::p256());
        let certificate = Cert::authority("root", "root", &root).by(&root);
        let authority = Authority::parse("corp", pem("CERTIFICATE", &[&certificate]).as_bytes()).unwrap();
        let leaf = Cert::person("root", "alice@example.org", &key).by(&root);
        Self { key, leaf, verifier: X509Verifier::new(Vec::new()).with_authorities(vec![authority]) }
    }

    fn says(&self, edit: &dyn Fn(&mut Form)) -> String {
        let mut form = Form::of(&self.leaf);
        edit(&mut form);
        word(&self.verifier.verify(&form.armored(&self.leaf, &self.key), &Payload::whole(PAYLOAD)))
    }
}

/// What changes a form, what it is called, and what is said.
type Row<'a> = (&'a str, &'a dyn Fn(&mut Form), &'a str);

#[test]
fn forms_that_are_refused() {
    let bed = Bed::new();
    let other = |n: usize| Cert::authority("root", &format!("other {n}"), &Key::p256()).by(&Key::p256());
    let many: Vec<Vec<u8>> = (0..16).map(other).collect();
    let more = |n: usize| attribute(&format!("1.2.3.{n}"), &[NULL]);
    let data = "1.2.840.113549.1.7.1";
    let rows: [Row<'_>; 22] = [
        ("as it is", &|_| {}, "good []"),
        ("bytes behind it", &|form| form.trailing = vec![5, 0], "malformed-signature: something follows"),
        (
            "enclosed content",
            &|form| form.enclosed = [oid(data), tlv(0xa0, &octets(PAYLOAD))].concat(),
            "malformed-signature: it encloses",
        ),
        (
            "other content",
            &|form| form.enclosed = oid("1.2.840.113549.1.9.16.1.4"),
            "malformed-signature: what it signs is not data",
        ),
        ("no signer", &|form| form.signers = 0, "malformed-signature: it has no signer"),
        ("two signers", &|form| form.signers = 2, "multiple-signatures"),
        ("attributes not in DER", &|form| form.der = false, "malformed-signature: its signed attributes are not in DER"),
        ("an attribute not in DER", &|form| form.attributes[0] = long(&form.attributes[0]), "malformed-signature: a length"),
        ("no certificate", &|form| form.certificates.clear(), "malformed-signature: the certificate of its signer is not in it"),
        (
            "a certificate not in DER",
            &|form| form.certificates.push(long(&bed.leaf)),
            "malformed-signature: a certificate in it is not in DER",
        ),
        ("17 certificates", &|form| form.certificates.extend(many.clone()), "malformed-signature: it carries more certificates"),
        (
            "a hash with parameters",
            &|form| form.hash = seq(&[&oid(SHA256), &octets(b"x")]),
            "malformed-signature: an algorithm has parameters",
        ),
        (
            "a hash with more than NULL",
            &|form| form.hash = seq(&[&oid(SHA256), NULL, NULL]),
            "malformed-signature: something follows",
        ),
        (
            "an algorithm with parameters",
            &|form| form.algorithm = seq(&[&oid("1.2.840.10045.4.3.2"), &oid("1.2.3")]),
            "malformed-signature: an algorithm has parameters",
        ),
        (
            "a signed attribute twice",
            &|form| form.attributes.extend([more(1), more(1)]),
            "malformed-signature: a signed attribute stands in it twice",
        ),
        ("18 signed attributes", &|form| form.attributes.extend((1..17).map(more)), "malformed-signature: a signed attribute"),
        (
            "two content types",
            &|form| form.attributes[0] = attribute("1.2.840.113549.1.9.3", &[&oid(data), &oid(data)]),
            "malformed-signature: something follows",
        ),
        (
            "signed as something else",
            &|form| form.attributes[0] = content_type("1.2.840.113549.1.9.16.1.4"),
            "malformed-signature: its signed attributes do not say that data",
        ),
        (
            "no content type",
            &|form| drop(form.attributes.remove(0)),
            "malformed-signature: its signed attributes do not say that data",
        ),
        ("no digest", &|form| drop(form.attributes.remove(1)), "malformed-signature: its signed attributes name no digest"),
        (
            "an unsigned attribute of two values",
            &|form| form.unsigned.push(attribute("1.2.3", &[NULL, NULL])),
            "malformed-signature: an unsigned attribute has more than one value",
        ),
        (
            "an unsigned attribute twice",
            &|form| form.unsigned.extend([more(1), more(1)]),
            "malformed-signature: an unsigned attribute has more",
        ),
    ];
    for (what, edit, want) in rows {
        let found = bed.says(edit);
        assert!(
            found.starts_with(want) || (found.starts_with(&want[..19]) && found.contains(&want[20..])),
            "{what}: {found}, not {want}"
        );
    }
    // 16 of each are read
    let most = bed.says(&|form| form.certificates.extend(many[1..].to_vec()));
    assert_eq!(most, "good [Encoding]");
    let attributes = bed.says(&|form| form.attributes.extend((1..15).map(more)));
    assert!(attributes.starts_with("good"), "{attributes}");
    let unsigned = |count: usize| bed.says(&|form| form.unsigned.extend((1..=count).map(more)));
    assert_eq!(unsigned(16), "good [Encoding]");
    assert!(unsigned(17).contains("more unsigned attributes"), "{}", unsigned(17));
}

#[test]
fn forms_that_are_told() {
    let bed = Bed::new();
    let list = List::new("root", &[], (BEGIN, BEGIN + 1)).by(&Key::p256());
    let null = |id: &str| seq(&[&oid(id), NULL]);
    let rows: [Row<'_>; 6] = [
        ("a revocation list in it", &|form| form.lists = tlv(0xa1, &list), "good [Encoding]"),
        ("a certificate more", &|form| form.certificates.push(bed.leaf.clone()), "good [Encoding]"),
        ("a hash with NULL", &|form| form.hash = null(SHA256), "good [Encoding]"),
        ("an algorithm with NULL", &|form| form.algorithm = null("1.2.840.10045.4.3.2"), "good [Encoding]"),
        ("an unsigned attribute", &|form| form.unsigned.push(attribute("1.2.3", &[NULL])), "good [Encoding]"),
        ("content in BER", &|form| form.enclosed = long(&form.enclosed), "good [Encoding]"),
    ];
    for (what, edit, want) in rows {
        assert_eq!(bed.says(edit), want, "{what}");
    }
    let mut high = Bed::new();
    high.key.high = true;
    assert_eq!(high.says(&|_| {}), "good [HighS]");
}

/// The authority may have signed with the larger S: whoever has the signature could put the certificate with the smaller one in its
/// place, save where the signed attributes name it.
#[test]
fn the_certificate_has_two_forms() {
    let (mut root, key) = (Key::p256(), Key::p256());
    let certificate = Cert::authority("root", "root", &root).by(&root);
    let authority = Authority::parse("corp", pem("CERTIFICATE", &[&certificate]).as_bytes()).unwrap();
    root.high = true;
    let leaf = Cert::person("root", "alice@example.org", &key).by(&root);
    let bed = Bed { key, leaf, verifier: X509Verifier::new(Vec::new()).with_authorities(vec![authority]) };
    assert_eq!(bed.says(&|_| {}), "good [HighS]");
    let named = seq(&[&seq(&[&seq(&[&octets(&Sha256::digest(&bed.leaf))])])]);
    let named = attribute("1.2.840.113549.1.9.16.2.47", &[&named]);
    assert_eq!(bed.says(&|form| form.attributes.push(named.clone())), "good []");
}

#[test]
fn keyless_signatures() {
    let (sigstore, key) = (Sigstore::new("example"), Key::p256());
    let verifier = |sigstore: &Sigstore| X509Verifier::new(vec![Root::parse(sigstore.trusted_root().as_bytes(), "x").unwrap()]);
    let (own, other) = (verifier(&sigstore), verifier(&Sigstore::new("example")));
    let leaf = sigstore.issue(&Leaf::email("alice@example.org", BEGIN), &key);
    let bare = Signature::new(&key, &leaf, PAYLOAD, BEGIN + 1);
    let logged = bare.with_entry(&sigstore.entry(&bare, BEGIN + 2, false, 6));
    let says = |verifier: &X509Verifier, armored: &[u8], payload: &[u8]| word(&verifier.verify(armored, &Payload::whole(payload)));
    assert_eq!(says(&own, &logged.armored(), PAYLOAD), "good []");
    assert!(says(&other, &logged.armored(), PAYLOAD).starts_with("certificate-untrusted"));
    // that the content was changed is graver than that nobody trusts the certificate, by the digest and by the signature
    let forged = Signature { signature: Signature::new(&key, &leaf, b"x", BEGIN).signature, ..bare.clone() };
    let forged_entry = Signature { signature: forged.signature.clone(), ..logged.clone() };
    for verifier in [&own, &other] {
        assert!(says(verifier, &logged.armored(), b"other").starts_with("bad-signature"));
        assert!(says(verifier, &forged.armored(), PAYLOAD).starts_with("bad-signature"));
        assert!(says(verifier, &forged_entry.armored(), PAYLOAD).starts_with("bad-signature"));
    }
    // over another hash function
    let mut form = Form::of(&leaf);
    let sha384 = attribute("1.2.840.113549.1.9.4", &[&octets(&Sha384::digest(PAYLOAD))]);
    (form.hash, form.attributes[1]) = (seq(&[&oid("2.16.840.1.101.3.4.2.2")]), sha384);
    let curve384 = Key::p384();
    let leaf384 = sigstore.issue(&Leaf::email("alice@example.org", BEGIN), &curve384);
    (form.algorithm, form.certificates) = (seq(&[&oid("1.2.840.10045.4.3.3")]), vec![leaf384.clone()]);
    let said = says(&own, &form.armored(&leaf384, &curve384), PAYLOAD);
    assert_eq!(said.split(':').next(), Some("malformed-signature"), "{said}");
    assert!(said.contains("over SHA-256"), "{said}");
    // unsigned attributes: as they should be, in BER, and one more
    let token = attribute("1.2.840.113549.1.9.16.2.14", &[&sigstore.token(&bare.signature, BEGIN + 3)]);
    let parts = sigstore::elements(sigstore::content(&token));
    let (in_ber, set_in_ber) = (long(&token), seq(&[parts[0], &long(parts[1])]));
    for (what, unsigned, want) in [
        ("a token", vec![token.clone()], "good []"),
        ("in BER", vec![in_ber], "good [Encoding]"),
        ("its values in BER", vec![set_in_ber], "good [Encoding]"),
        ("one more", vec![token, attribute("1.2.3", &[NULL])], "good [Encoding]"),
    ] {
        let form = Form {
            unsigned,
            signature: Some(bare.signature.clone()),
            attributes: vec![bare.attributes.clone()],
            ..Form::of(&leaf)
        };
        assert_eq!(says(&own, &form.armored(&leaf, &key), PAYLOAD), want, "{what}");
    }
    // attributes that are sent in one order and signed in another: in DER's, or in none of both
    let mut sorted = sigstore::elements(&bare.attributes);
    sorted.sort_unstable();
    assert_eq!(sorted.concat(), bare.attributes);
    sorted.reverse();
    let turned = Signature { attributes: sorted.concat(), ..logged.clone() };
    assert_eq!(says(&own, &turned.armored(), PAYLOAD), "good [Encoding]");
    let in_order = sorted.iter().map(|it| it.to_vec()).collect();
    let form = Form { attributes: in_order, ..Form::of(&leaf) };
    assert_eq!(says(&own, &form.armored(&leaf, &key), PAYLOAD), "good [Encoding]", "signed as they are sent");
}

/// An instance, and somebody who signs by it.
struct Instance {
    sigstore: Sigstore,
    key: Key,
    verifier: X509Verifier,
}

impl Instance {
    fn new() -> Self {
        let sigstore = Sigstore::new("example");
        let verifier = X509Verifier::new(vec![Root::parse(sigstore.trusted_root().as_bytes(), "x").unwrap()]);
        Self { sigstore, key: Key::p256(), verifier }
    }

    fn leaf(&self) -> Vec<u8> {
        self.sigstore.issue(&Leaf::email("alice@example.org", BEGIN), &self.key)
    }

    fn bare(&self) -> Signature {
        Signature::new(&self.key, &self.leaf(), PAYLOAD, BEGIN + 1)
    }

    fn entry(&self, signature: &Signature) -> Entry {
        self.sigstore.entry(signature, BEGIN + 2, false, 6)
    }

    fn verify(&self, signature: &Signature) -> Result<Evidence, Reason> {
        self.verifier.verify(&signature.armored(), &Payload::whole(PAYLOAD))
    }
}

/// Whoever has a signature could write what nobody signs of its proofs otherwise, and have another commit of the same content.
#[test]
fn proofs_have_one_form() {
    let mut bed = Instance::new();
    let bare = bed.bare();
    let set_high = |sigstore: &mut Sigstore, high: bool| {
        [&mut sigstore.log, &mut sigstore.tsa, &mut sigstore.ca].into_iter().for_each(|key| key.high = high);
    };
    set_high(&mut bed.sigstore, true);
    let (high, high_token) = (bed.entry(&bare), bed.sigstore.token(&bare.signature, BEGIN + 4));
    let issued = bed.leaf();
    set_high(&mut bed.sigstore, false);
    let malleable = |signature: &Signature| bed.verify(signature).unwrap().malleable;
    let token = bed.sigstore.token(&bare.signature, BEGIN + 4);
    let (good, v2) = (bed.entry(&bare), bed.sigstore.entry(&bare, 0, true, 6));
    let note = |entry: &Entry, edit: &dyn Fn(&str) -> String| {
        let mut entry = entry.clone();
        entry.proof.as_mut().into_iter().for_each(|proof| proof.checkpoint = edit(&proof.checkpoint));
        entry
    };
    let imprint = seq(&[&seq(&[&oid("2.16.840.1.101.3.4.2.1")]), &octets(&Sha256::digest(&bare.signature))]);
    let certificate = &bed.sigstore.tsa_certificate;
    let with = |certificates: &[u8], unsigned: &[u8]| bed.sigstore.token_with(&imprint, &[], BEGIN + 4, certificates, unsigned);
    let unsigned = tlv(0xa1, &seq(&[&oid("1.2.3.4"), &set(&[NULL])]));
    let more = [&certificate[..], &bed.leaf()].concat();
    let cosigned = |text: &str| format!("{text}\u{2014} witness.example AAAAAAAAAAAA\n");
    let (encoding, high_s) = (&[Malleable::Encoding][..], &[Malleable::HighS][..]);
    for (what, signature, want) in [
        ("as it is", bare.with_entry(&good).with_token(&token), &[][..]),
        ("the promise's S", bare.with_entry(&Entry { promise: high.promise.clone(), ..good.clone() }), high_s),
        ("the checkpoint's S", bare.with_entry(&Entry { proof: high.proof.clone(), ..good.clone() }), high_s),
        ("a signature more", bare.with_entry(&note(&good, &cosigned)), encoding),
        ("nothing behind the checkpoint", bare.with_entry(&note(&good, &|text| text.trim_end().to_owned())), encoding),
        ("text behind the checkpoint", bare.with_entry(&note(&good, &|text| format!("{text}\ntext"))), encoding),
        (
            "the checkpoint by another name",
            bare.with_entry(&note(&good, &|text| text.replace("\u{2014} log.", "\u{2014} lag."))),
            encoding,
        ),
        ("blanks in the checkpoint", bare.with_entry(&note(&good, &|text| text.replace("\u{2014} ", "\u{2014}  "))), encoding),
        ("v2, cosigned", bare.with_entry(&note(&v2, &cosigned)).with_token(&token), &[]),
        ("v2, text behind it", bare.with_entry(&note(&v2, &|text| format!("{text}\n"))).with_token(&token), encoding),
        ("the token's S", bare.with_token(&high_token), high_s),
        ("the token's S, logged", bare.with_entry(&good).with_token(&high_token), high_s),
        ("the token again", bare.with_token(&with(certificate, &[])), &[]),
        ("no certificate in the token", bare.with_token(&with(&[], &[])), encoding),
        ("more certificates in the token", bare.with_token(&with(&more, &[])), encoding),
        ("another certificate in the token", bare.with_token(&with(&bed.leaf(), &[])), encoding),
        ("an unsigned attribute in the token", bare.with_token(&with(certificate, &unsigned)), encoding),
    ] {
        assert_eq!(malleable(&signature), want, "{what}");
    }
    // the authority's S of the certificate, which a log entry holds and a token does not; and the signer's own
    let signed_by = |key: &Key, certificate: &[u8]| Signature::new(key, certificate, PAYLOAD, BEGIN + 1);
    let by = signed_by(&bed.key, &issued);
    assert_eq!(malleable(&by.with_token(&bed.sigstore.token(&by.signature, BEGIN + 4))), high_s);
    assert_eq!(malleable(&by.with_entry(&bed.entry(&by))), []);
    let mut key = Key::p256();
    key.high = true;
    let own = signed_by(&key, &bed.sigstore.issue(&Leaf::email("alice@example.org", BEGIN), &key));
    assert_eq!(malleable(&own.with_token(&bed.sigstore.token(&own.signature, BEGIN + 4))), high_s);
    assert_eq!(malleable(&own.with_entry(&bed.entry(&own))), []);
}

#[test]
fn certificates_of_version_3() {
    let bed = Bed::new();
    let mut leaf = bed.leaf.clone();
    let at = leaf.windows(5).position(|window| window == [0xa0, 3, 2, 1, 2]).unwrap();
    leaf[at + 4] = 1;
    let form = Form::of(&leaf);
    let said = word(&bed.verifier.verify(&form.armored(&leaf, &bed.key), &Payload::whole(PAYLOAD)));
    assert!(said.starts_with("malformed-signature") && said.contains("not of version 3"), "{said}");
}
