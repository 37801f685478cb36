//! A whole Sigstore in the process: an authority with a certificate log, a transparency log in the forms of Rekor v1 and v2, a
//! timestamp authority; and signatures as gitsign writes them. Each part can be told to lie.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::as_conversions)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git_warrant::armor::encode_cms;
use sha2::{Digest as _, Sha256};

/// The origin of the first log, and of the second.
pub const ORIGINS: [&str; 2] = ["log.example", "tiles.example"];

// ---- DER

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let n = content.len();
    let mut out = vec![tag];
    match n {
        0..=127 => out.push(n as u8),
        128..=255 => out.extend([0x81, n as u8]),
        _ => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(content);
    out
}

pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut out = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for &arc in &arcs[2..] {
        let digits: Vec<u8> = (0..10).rev().map(|i| ((arc >> (7 * i)) & 0x7f) as u8).skip_while(|&d| d == 0).collect();
        let digits = if digits.is_empty() { vec![0] } else { digits };
        let last = digits.len() - 1;
        out.extend(digits.iter().enumerate().map(|(i, &d)| if i < last { d | 0x80 } else { d }));
    }
    tlv(0x06, &out)
}

pub fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

pub fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

pub fn time(seconds: i64) -> Vec<u8> {
    let text = jiff::Timestamp::from_second(seconds).unwrap().strftime("%Y%m%d%H%M%SZ").to_string();
    tlv(0x18, text.as_bytes())
}

pub fn name(common: &str) -> Vec<u8> {
    seq(&[&set(&[&seq(&[&oid("2.5.4.3"), &tlv(0x0c, common.as_bytes())])])])
}

pub fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    seq(&[&oid(id), flag, &octets(value)])
}

// ---- keys

/// An ECDSA key.
pub struct Key {
    pair: EcdsaKeyPair,
    /// Its curve, and the algorithm of its signatures.
    ids: (&'static str, &'static str),
    /// Whether it signs with the larger of the two S that are as good.
    pub high: bool,
}

impl Key {
    pub fn p256() -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            ids: ("1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"),
            high: false,
        }
    }

    pub fn p521() -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING).unwrap(),
            ids: ("1.3.132.0.35", "1.2.840.10045.4.3.4"),
            high: false,
        }
    }

    pub fn p384() -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap(),
            ids: ("1.3.132.0.34", "1.2.840.10045.4.3.3"),
            high: false,
        }
    }

    pub fn spki(&self) -> Vec<u8> {
        seq(&[&seq(&[&oid("1.2.840.10045.2.1"), &oid(self.ids.0)]), &bits(self.pair.public_key().as_ref())])
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        loop {
            let signature = self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
            let s: Vec<u8> = content(elements(content(&signature))[1]).iter().copied().skip_while(|&b| b == 0).collect();
            // halves of the orders begin with 7fffffff, 7fffffff and, of 66 bytes, with 00ffffff
            let size = match self.ids.0 {
                "1.2.840.10045.3.1.7" => 32,
                "1.3.132.0.34" => 48,
                _ => 66,
            };
            let low = s.len() < size || (size < 66 && s[0] < 0x7f);
            let high = s.len() == size && (size == 66 || s[0] > 0x7f);
            if (self.high && high) || (!self.high && low) {
                return signature;
            }
        }
    }

    pub fn algorithm(&self) -> Vec<u8> {
        seq(&[&oid(self.ids.1)])
    }
}

// ---- certificates

/// What an authority writes into a signer's certificate.
#[derive(Clone)]
pub struct Leaf {
    /// The tag of the name and the name; several are against the rules.
    pub names: Vec<(u8, String)>,
    pub issuer: Option<String>,
    /// The extension of old.
    pub old_issuer: Option<String>,
    pub claims: Vec<(u8, String)>,
    pub begin: i64,
    pub end: i64,
    /// The extended key usage.
    pub purpose: &'static str,
    /// The bits of the key usage.
    pub usage: u8,
    /// Whether the certificate log saw it.
    pub logged: bool,
    /// How many seconds after its first moment.
    pub seen: i64,
    /// Whether somebody else signed for the log.
    pub forged: bool,
    /// More extensions.
    pub more: Vec<Vec<u8>>,
}

impl Leaf {
    pub fn email(email: &str, begin: i64) -> Self {
        let issuer = "https://issuer.example".to_owned();
        Self {
            names: vec![(0x81, email.to_owned())],
            issuer: Some(issuer.clone()),
            old_issuer: Some(issuer),
            claims: Vec::new(),
            begin,
            end: begin + 600,
            purpose: "1.3.6.1.5.5.7.3.3",
            usage: 0x80,
            logged: true,
            seen: 0,
            forged: false,
            more: Vec::new(),
        }
    }
}

/// A certificate of version 3.
fn certificate(subject: &[u8], spki: &[u8], window: (i64, i64), extensions: &[Vec<u8>], issuer: &[u8], key: &Key) -> Vec<u8> {
    let tbs = tbs(subject, spki, window, extensions, issuer, key);
    seq(&[&tbs, &key.algorithm(), &bits(&key.sign(&tbs))])
}

fn tbs(subject: &[u8], spki: &[u8], window: (i64, i64), extensions: &[Vec<u8>], issuer: &[u8], key: &Key) -> Vec<u8> {
    let serial = [&[0x11], &Sha256::digest(spki)[..15]].concat();
    let extensions = tlv(0xa3, &tlv(0x30, &extensions.concat()));
    seq(&[
        &[0xa0, 3, 2, 1, 2],
        &tlv(2, &serial),
        &key.algorithm(),
        issuer,
        &seq(&[&time(window.0), &time(window.1)]),
        subject,
        spki,
        &extensions,
    ])
}

fn ca(common: &str, key: &Key, purpose: &str) -> Vec<u8> {
    ca_by(common, key, purpose, (0, 4_000_000_000), common, key)
}

/// The same by another authority.
fn ca_by(common: &str, key: &Key, purpose: &str, window: (i64, i64), by: &str, with: &Key) -> Vec<u8> {
    let extensions = [
        extension("2.5.29.19", true, &seq(&[&[1, 1, 0xff]])),
        extension("2.5.29.15", true, &[3, 2, 1, 6]),
        extension("2.5.29.37", false, &seq(&[&oid(purpose)])),
    ];
    certificate(&name(common), &key.spki(), window, &extensions, &name(by), with)
}

// ---- the instance

/// A Sigstore instance.
pub struct Sigstore {
    pub name: String,
    pub root: Key,
    /// Of the authority that signs certificates, by the root.
    pub ca: Key,
    /// When that authority's certificate holds.
    pub ca_holds: (i64, i64),
    pub ct: Key,
    pub log: Key,
    pub tiles: Ed25519KeyPair,
    pub tsa: Key,
    tsa_root: Key,
    pub tsa_certificate: Vec<u8>,
}

impl Sigstore {
    /// An instance whose authority has a key on P-384, as Sigstore's own.
    pub fn new(name_of: &str) -> Self {
        let (tsa, tsa_root) = (Key::p256(), Key::p256());
        let purpose = [extension("2.5.29.37", true, &seq(&[&oid("1.3.6.1.5.5.7.3.8")]))];
        let tsa_name = name(&format!("{name_of} tsa"));
        let root_name = name(&format!("{name_of} tsa root"));
        let tsa_certificate = certificate(&tsa_name, &tsa.spki(), (0, 4_000_000_000), &purpose, &root_name, &tsa_root);
        Self {
            name: name_of.to_owned(),
            root: Key::p384(),
            ca: Key::p384(),
            ca_holds: (0, 4_000_000_000),
            ct: Key::p256(),
            log: Key::p256(),
            tiles: Ed25519KeyPair::generate().unwrap(),
            tsa,
            tsa_root,
            tsa_certificate,
        }
    }

    /// The id of the first log, or of the second.
    pub fn log_id(&self, v2: bool) -> [u8; 32] {
        match v2 {
            false => Sha256::digest(self.log.spki()).into(),
            true => Sha256::digest([ORIGINS[1].as_bytes(), b"\n\x01", self.tiles.public_key().as_ref()].concat()).into(),
        }
    }

    /// `trusted_root.json`.
    pub fn trusted_root(&self) -> String {
        self.trusted_root_within("1970-01-01T00:00:00Z", "")
    }

    /// The same, its authorities' and logs' time from here to there (with `, "end": "…"`).
    pub fn trusted_root_within(&self, start: &str, end: &str) -> String {
        let b = |bytes: &[u8]| STANDARD.encode(bytes);
        let window = format!(r#""validFor": {{"start": "{start}"{end}}}"#);
        let log = |url: &str, spki: &[u8], details: &str, id: &[u8]| {
            format!(
                r#"{{"baseUrl": "https://{url}", "hashAlgorithm": "SHA2_256", "publicKey": {{"rawBytes": "{}", "keyDetails": "{details}", {window}}}, "logId": {{"keyId": "{}"}}}}"#,
                b(spki),
                b(id)
            )
        };
        let tiles = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], self.tiles.public_key().as_ref()].concat();
        let chain = |certificates: &[&[u8]]| {
            let all: Vec<String> = certificates.iter().map(|raw| format!(r#"{{"rawBytes": "{}"}}"#, b(raw))).collect();
            format!(r#""certChain": {{"certificates": [{}]}}, {window}"#, all.join(", "))
        };
        let (root_name, purpose) = (format!("{} root", self.name), "1.3.6.1.5.5.7.3.3");
        let root = ca(&root_name, &self.root, purpose);
        let authority = ca_by(&self.name, &self.ca, purpose, self.ca_holds, &root_name, &self.root);
        let tsa_root = ca(&format!("{} tsa root", self.name), &self.tsa_root, "1.3.6.1.5.5.7.3.8");
        let subject = r#""subject": {"organization": "x", "commonName": "x"}, "uri": "https://x""#;
        format!(
            r#"{{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
"tlogs": [{}, {}], "certificateAuthorities": [{{{subject}, {}}}], "ctlogs": [{}],
"timestampAuthorities": [{{{subject}, {}}}]}}"#,
            log(ORIGINS[0], &self.log.spki(), "PKIX_ECDSA_P256_SHA_256", &self.log_id(false)),
            log(ORIGINS[1], &tiles, "PKIX_ED25519", &self.log_id(true)),
            chain(&[&authority, &root]),
            log("ct.example", &self.ct.spki(), "PKIX_ECDSA_P256_SHA_256", &Sha256::digest(self.ct.spki())),
            chain(&[&self.tsa_certificate, &tsa_root]),
        )
    }

    /// A signer's certificate.
    pub fn issue(&self, leaf: &Leaf, key: &Key) -> Vec<u8> {
        self.issue_for(leaf, &key.spki())
    }

    /// The same, of a key of which only the public half is known.
    pub fn issue_for(&self, leaf: &Leaf, spki: &[u8]) -> Vec<u8> {
        let names: Vec<Vec<u8>> = leaf.names.iter().map(|(tag, text)| tlv(*tag, text.as_bytes())).collect();
        let utf8 = |text: &str| tlv(0x0c, text.as_bytes());
        let mut extensions = vec![
            extension("2.5.29.15", true, &[3, 2, 7, leaf.usage]),
            extension("2.5.29.37", false, &seq(&[&oid(leaf.purpose)])),
            extension("2.5.29.17", true, &tlv(0x30, &names.concat())),
        ];
        let fulcio = |number: u8, value: &[u8]| extension(&format!("1.3.6.1.4.1.57264.1.{number}"), false, value);
        extensions.extend(leaf.old_issuer.as_ref().map(|issuer| fulcio(1, issuer.as_bytes())));
        extensions.extend(leaf.issuer.as_ref().map(|issuer| fulcio(8, &utf8(issuer))));
        extensions.extend(leaf.claims.iter().map(|(number, text)| fulcio(*number, &utf8(text))));
        extensions.extend(leaf.more.iter().cloned());
        let (issuer, window, subject) = (name(&self.name), (leaf.begin, leaf.end), seq(&[]));
        if leaf.logged {
            let signed = tbs(&subject, spki, window, &extensions, &issuer, &self.ca);
            let list = self.certificate_timestamp(&signed, leaf.begin + leaf.seen, if leaf.forged { &self.log } else { &self.ct });
            extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&list)));
        }
        certificate(&subject, spki, window, &extensions, &issuer, &self.ca)
    }

    fn certificate_timestamp(&self, signed: &[u8], at: i64, key: &Key) -> Vec<u8> {
        let millis = (at as u64 * 1000).to_be_bytes();
        let length = (signed.len() as u32).to_be_bytes();
        let issuer = Sha256::digest(self.ca.spki());
        let message = [&[0, 0][..], &millis, &[0, 1], &issuer, &length[1..], signed, &[0, 0]].concat();
        let signature = key.sign(&message);
        let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let id = Sha256::digest(self.ct.spki());
        let sct = [&[0][..], &id, &millis, &[0, 0], &[4, 3], &sized(&signature)].concat();
        sized(&sized(&sct))
    }

    /// A timestamp token over a signature.
    pub fn token(&self, signature: &[u8], at: i64) -> Vec<u8> {
        let sha256 = seq(&[&oid("2.16.840.1.101.3.4.2.1")]);
        let imprint = seq(&[&sha256, &octets(&Sha256::digest(signature))]);
        self.token_answering(&imprint, &[], at)
    }

    /// A timestamp token over an imprint, with the nonce (an INTEGER in DER) of whoever asked for it.
    pub fn token_answering(&self, imprint: &[u8], nonce: &[u8], at: i64) -> Vec<u8> {
        self.token_with(imprint, nonce, at, &self.tsa_certificate, &[])
    }

    /// The same with these certificates and unsigned attributes.
    pub fn token_with(&self, imprint: &[u8], nonce: &[u8], at: i64, certificates: &[u8], unsigned: &[u8]) -> Vec<u8> {
        let sha256 = seq(&[&oid("2.16.840.1.101.3.4.2.1")]);
        let info = seq(&[&[2, 1, 1], &oid("1.3.6.1.4.1.57264.2"), imprint, &[2, 1, 7], &time(at), nonce]);
        let kind = oid("1.2.840.113549.1.9.16.1.4");
        let attributes = [
            seq(&[&oid("1.2.840.113549.1.9.3"), &set(&[&kind])]),
            seq(&[&oid("1.2.840.113549.1.9.4"), &set(&[&octets(&Sha256::digest(&info))])]),
            seq(&[
                &oid("1.2.840.113549.1.9.16.2.47"),
                &set(&[&seq(&[&seq(&[&seq(&[&octets(&Sha256::digest(&self.tsa_certificate))])])])]),
            ]),
        ];
        let signed = tlv(0x31, &attributes.concat());
        let id = signer_id(&self.tsa_certificate);
        let signer = seq(&[
            &[2, 1, 1],
            &id,
            &sha256,
            &tlv(0xa0, &attributes.concat()),
            &seq(&[&oid("1.2.840.10045.4.3.2")]),
            &octets(&self.tsa.sign(&signed)),
            unsigned,
        ]);
        let enclosed = seq(&[&kind, &tlv(0xa0, &octets(&info))]);
        let certificates = if certificates.is_empty() { Vec::new() } else { tlv(0xa0, certificates) };
        let data = seq(&[&[2, 1, 3], &set(&[&sha256]), &enclosed, &certificates, &set(&[&signer])]);
        seq(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &data)])
    }

    /// The log entry of a signature, among `others` more in the tree.
    pub fn entry(&self, signature: &Signature, at: i64, v2: bool, others: usize) -> Entry {
        self.entry_of(&signature.body(v2), at, v2, others)
    }

    /// The log entry of a body in the log's canonical form.
    pub fn entry_of(&self, body: &str, at: i64, v2: bool, others: usize) -> Entry {
        let place = others / 2;
        let mut leaves: Vec<[u8; 32]> = (0..=others).map(|n| leaf_hash(format!("other {n}").as_bytes())).collect();
        leaves[place] = leaf_hash(body.as_bytes());
        let root = root_of(&leaves);
        let index = if v2 { place as u64 } else { 1000 + place as u64 };
        let mut entry = Entry {
            index,
            log: self.log_id(v2),
            version: if v2 { "0.0.2" } else { "0.0.1" },
            time: if v2 { 0 } else { at as u64 },
            promise: None,
            proof: Some(Proof {
                index: place as u64,
                root,
                size: leaves.len() as u64,
                hashes: path(place, &leaves),
                checkpoint: self.checkpoint(v2, leaves.len(), &root),
            }),
        };
        if !v2 {
            entry.promise = Some(self.promise(body, &entry));
        }
        entry
    }

    /// The signed promise of the first log.
    pub fn promise(&self, body: &str, entry: &Entry) -> Vec<u8> {
        let (body, log) = (STANDARD.encode(body), hex::encode(entry.log));
        let text = format!(r#"{{"body":"{body}","integratedTime":{},"logID":"{log}","logIndex":{}}}"#, entry.time, entry.index);
        self.log.sign(text.as_bytes())
    }

    /// A checkpoint, signed by the log.
    pub fn checkpoint(&self, v2: bool, size: usize, root: &[u8; 32]) -> String {
        let origin = ORIGINS[usize::from(v2)];
        let text = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
        let signature = if v2 { self.tiles.sign(text.as_bytes()).as_ref().to_vec() } else { self.log.sign(text.as_bytes()) };
        let line = STANDARD.encode([&self.log_id(v2)[..4], &signature].concat());
        format!("{text}\n\u{2014} {origin} {line}\n")
    }
}

pub fn signer_id(certificate: &[u8]) -> Vec<u8> {
    // the serial number stands after 4 + 4 + 5 bytes, the issuer after the algorithm
    let at = if certificate[1] == 0x82 { 4 } else { 3 };
    let inner = &certificate[at..];
    let mut rest = &inner[if inner[1] == 0x82 { 4 } else { 3 }..];
    let mut take = || {
        let length = match rest[1] {
            0x81 => 3 + usize::from(rest[2]),
            0x82 => 4 + usize::from(rest[2]) * 256 + usize::from(rest[3]),
            n => 2 + usize::from(n),
        };
        let (element, after) = rest.split_at(length);
        rest = after;
        element
    };
    take();
    let serial = take();
    take();
    seq(&[take(), serial])
}

fn leaf_hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest([&[0], body].concat()).into()
}

fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// The root of a Merkle tree (RFC 6962 §2.1).
pub fn root_of(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Sha256::digest([&[1][..], &root_of(left), &root_of(right)].concat()).into()
        }
    }
}

/// The proof that a leaf is in it (§2.1.1).
pub fn path(place: usize, leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut inner, other) = if place < k { (path(place, left), root_of(right)) } else { (path(place - k, right), root_of(left)) };
    inner.push(other);
    inner
}

// ---- entries

#[derive(Clone)]
pub struct Entry {
    pub index: u64,
    pub log: [u8; 32],
    pub version: &'static str,
    pub time: u64,
    pub promise: Option<Vec<u8>>,
    pub proof: Option<Proof>,
}

#[derive(Clone)]
pub struct Proof {
    pub index: u64,
    pub root: [u8; 32],
    pub size: u64,
    pub hashes: Vec<[u8; 32]>,
    pub checkpoint: String,
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    if value == 0 { Vec::new() } else { [varint(field << 3), varint(value)].concat() }
}

pub fn message(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

impl Entry {
    /// The answer of Rekor v1's API that holds the entry, by a name, with its body.
    pub fn answer(&self, name: &str, body: &str) -> String {
        let proof = self.proof.as_ref().unwrap();
        let hashes: Vec<String> = proof.hashes.iter().map(|hash| format!("\"{}\"", hex::encode(hash))).collect();
        let checkpoint = proof.checkpoint.replace('\n', "\\n");
        let promise = STANDARD.encode(self.promise.as_deref().unwrap_or_default());
        format!(
            r#"{{"{name}": {{"body": "{}", "integratedTime": {}, "logID": "{}", "logIndex": {}, "verification": {{
"signedEntryTimestamp": "{promise}", "inclusionProof": {{"checkpoint": "{checkpoint}", "hashes": [{}], "logIndex": {},
"rootHash": "{}", "treeSize": {}}}}}}}}}"#,
            STANDARD.encode(body),
            self.time,
            hex::encode(self.log),
            self.index,
            hashes.join(","),
            proof.index,
            hex::encode(proof.root),
            proof.size
        )
    }

    /// The protobuf that gitsign embeds.
    pub fn encode(&self) -> Vec<u8> {
        let kind = [message(1, b"hashedrekord"), message(2, self.version.as_bytes())].concat();
        let mut out = [number(1, self.index), message(2, &message(1, &self.log)), message(3, &kind), number(4, self.time)].concat();
        out.extend(self.promise.iter().flat_map(|promise| message(5, &message(1, promise))));
        if let Some(proof) = &self.proof {
            let hashes: Vec<u8> = proof.hashes.iter().flat_map(|hash| message(4, hash)).collect();
            let checkpoint = message(5, &message(1, proof.checkpoint.as_bytes()));
            let proof = [number(1, proof.index), message(2, &proof.root), number(3, proof.size), hashes, checkpoint].concat();
            out.extend(message(6, &proof));
        }
        out
    }
}

// ---- signatures

/// A signature in all its parts.
#[derive(Clone)]
pub struct Signature {
    pub certificate: Vec<u8>,
    /// The attributes' content, without the tag of their set.
    pub attributes: Vec<u8>,
    pub signature: Vec<u8>,
    pub entry: Option<Vec<u8>>,
    pub token: Option<Vec<u8>>,
    pub algorithm: &'static str,
}

impl Signature {
    /// What gitsign signs of a payload.
    pub fn new(key: &Key, certificate: &[u8], payload: &[u8], at: i64) -> Self {
        let attributes = [
            seq(&[&oid("1.2.840.113549.1.9.3"), &set(&[&oid("1.2.840.113549.1.7.1")])]),
            seq(&[&oid("1.2.840.113549.1.9.5"), &set(&[&utc(at)])]),
            seq(&[&oid("1.2.840.113549.1.9.4"), &set(&[&octets(&Sha256::digest(payload))])]),
        ]
        .concat();
        let signature = key.sign(&tlv(0x31, &attributes));
        let certificate = certificate.to_vec();
        Self { certificate, attributes, signature, entry: None, token: None, algorithm: "1.2.840.10045.4.3.2" }
    }

    pub fn with_entry(&self, entry: &Entry) -> Self {
        Self { entry: Some(entry.encode()), ..self.clone() }
    }

    pub fn with_token(&self, token: &[u8]) -> Self {
        Self { token: Some(token.to_vec()), ..self.clone() }
    }

    /// The signed attributes, as they are signed.
    pub fn signed(&self) -> Vec<u8> {
        tlv(0x31, &self.attributes)
    }

    fn body(&self, v2: bool) -> String {
        Self::body_of(&self.signed(), &self.signature, &self.certificate, v2)
    }

    /// What a log says of some bytes, a signature over them and its certificate.
    pub fn body_of(signed: &[u8], signature: &[u8], certificate: &[u8], v2: bool) -> String {
        let (digest, signature) = (Sha256::digest(signed), STANDARD.encode(signature));
        if v2 {
            let (digest, raw) = (STANDARD.encode(digest), STANDARD.encode(certificate));
            return format!(
                r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"{digest}"}},"signature":{{"content":"{signature}","verifier":{{"keyDetails":"PKIX_ECDSA_P256_SHA_256","x509Certificate":{{"rawBytes":"{raw}"}}}}}}}}}}}}"#
            );
        }
        let text = STANDARD.encode(certificate);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        let (digest, key) = (hex::encode(digest), STANDARD.encode(pem));
        format!(
            r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{digest}"}}}},"signature":{{"content":"{signature}","publicKey":{{"content":"{key}"}}}}}}}}"#
        )
    }

    /// The CMS structure.
    pub fn cms(&self) -> Vec<u8> {
        let sha256 = seq(&[&oid("2.16.840.1.101.3.4.2.1")]);
        let attribute = |id: &str, value: &[u8]| seq(&[&oid(id), &set(&[value])]);
        let mut unsigned = Vec::new();
        unsigned.extend(self.entry.iter().flat_map(|entry| attribute("1.3.6.1.4.1.57264.3.1", &octets(entry))));
        unsigned.extend(self.token.iter().flat_map(|token| attribute("1.2.840.113549.1.9.16.2.14", token)));
        let unsigned = if unsigned.is_empty() { Vec::new() } else { tlv(0xa1, &unsigned) };
        let signer = seq(&[
            &[2, 1, 1],
            &signer_id(&self.certificate),
            &sha256,
            &tlv(0xa0, &self.attributes),
            &seq(&[&oid(self.algorithm)]),
            &octets(&self.signature),
            &unsigned,
        ]);
        let data = seq(&[
            &[2, 1, 1],
            &set(&[&sha256]),
            &seq(&[&oid("1.2.840.113549.1.7.1")]),
            &tlv(0xa0, &self.certificate),
            &set(&[&signer]),
        ]);
        seq(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &data)])
    }

    /// As it stands in a commit.
    pub fn armored(&self) -> Vec<u8> {
        encode_cms(&self.cms())
    }
}

pub fn utc(seconds: i64) -> Vec<u8> {
    tlv(0x17, jiff::Timestamp::from_second(seconds).unwrap().strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}

// ---- taking apart

/// The elements in some bytes, each with its tag.
pub fn elements(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (head, length) = sizes(rest);
        let (element, after) = rest.split_at(head + length);
        found.push(element);
        rest = after;
    }
    found
}

fn sizes(element: &[u8]) -> (usize, usize) {
    match element[1] {
        0x81 => (3, usize::from(element[2])),
        0x82 => (4, usize::from(element[2]) * 256 + usize::from(element[3])),
        n => (2, usize::from(n)),
    }
}

/// What is in an element.
pub fn content(element: &[u8]) -> &[u8] {
    &element[sizes(element).0..]
}

impl Signature {
    /// Takes a signature of gitsign's apart; `cms` puts it together again.
    pub fn parse(der: &[u8]) -> Self {
        let info = elements(content(der));
        let data = elements(content(elements(content(info[1]))[0]));
        let signer = elements(content(elements(content(data[4]))[0]));
        let unsigned: Vec<&[u8]> = signer.get(6).map(|set| elements(content(set))).unwrap_or_default();
        let value = |id: &str| {
            let of = unsigned.iter().map(|attribute| elements(content(attribute))).find(|parts| parts[0] == oid(id))?;
            Some(content(of[1]).to_vec())
        };
        Self {
            certificate: content(data[3]).to_vec(),
            attributes: content(signer[3]).to_vec(),
            signature: content(signer[5]).to_vec(),
            entry: value("1.3.6.1.4.1.57264.3.1").map(|value| content(&value).to_vec()),
            token: value("1.2.840.113549.1.9.16.2.14"),
            algorithm: "1.2.840.10045.4.3.2",
        }
    }

    /// The signature with each part of another in its place, by name; of the entry also each field.
    pub fn swapped(&self, other: &Self) -> Vec<(String, Self)> {
        let mut all = vec![
            ("certificate".to_owned(), Self { certificate: other.certificate.clone(), ..self.clone() }),
            ("attributes".to_owned(), Self { attributes: other.attributes.clone(), ..self.clone() }),
            ("signature".to_owned(), Self { signature: other.signature.clone(), ..self.clone() }),
            ("entry".to_owned(), Self { entry: other.entry.clone(), ..self.clone() }),
            ("token".to_owned(), Self { token: other.token.clone(), ..self.clone() }),
            ("all but the attributes".to_owned(), Self { attributes: self.attributes.clone(), ..other.clone() }),
            ("all but the certificate".to_owned(), Self { certificate: self.certificate.clone(), ..other.clone() }),
            ("all but the signature".to_owned(), Self { signature: self.signature.clone(), ..other.clone() }),
        ];
        if let (Some(own), Some(foreign)) = (&self.entry, &other.entry) {
            let (own, foreign) = (Entry::parse(own), Entry::parse(foreign));
            all.extend(own.swapped(&foreign).into_iter().map(|(name, entry)| (format!("entry: {name}"), self.with_entry(&entry))));
        }
        all.retain(|(_, swapped)| swapped.cms() != self.cms());
        all
    }
}

impl Entry {
    pub fn parse(bytes: &[u8]) -> Self {
        let fields = fields(bytes);
        let get = |number: u64| fields.iter().find(|(found, _, _)| *found == number);
        let number = |field: u64| get(field).map_or(0, |(_, value, _)| *value);
        let inner = |field: u64| get(field).map(|(_, _, bytes)| self::fields(bytes));
        let first = |fields: Vec<(u64, u64, Vec<u8>)>| fields[0].2.clone();
        Self {
            index: number(1),
            log: first(inner(2).unwrap()).try_into().unwrap(),
            version: if inner(3).unwrap()[1].2 == b"0.0.2" { "0.0.2" } else { "0.0.1" },
            time: number(4),
            promise: inner(5).map(first),
            proof: inner(6).map(|fields| {
                let number = |field: u64| fields.iter().find(|(found, _, _)| *found == field).map_or(0, |(_, value, _)| *value);
                let all =
                    |field: u64| fields.iter().filter(move |(found, _, _)| *found == field).map(|(_, _, bytes)| bytes.clone());
                Proof {
                    index: number(1),
                    root: all(2).next().unwrap().try_into().unwrap(),
                    size: number(3),
                    hashes: all(4).map(|hash| hash.try_into().unwrap()).collect(),
                    checkpoint: String::from_utf8(first(self::fields(&all(5).next().unwrap()))).unwrap(),
                }
            }),
        }
    }

    fn swapped(&self, other: &Self) -> Vec<(&'static str, Self)> {
        let mut all = vec![
            ("index", Self { index: other.index, ..self.clone() }),
            ("log", Self { log: other.log, ..self.clone() }),
            ("version", Self { version: other.version, ..self.clone() }),
            ("time", Self { time: other.time, ..self.clone() }),
            ("promise", Self { promise: other.promise.clone(), ..self.clone() }),
            ("proof", Self { proof: other.proof.clone(), ..self.clone() }),
        ];
        if let (Some(own), Some(foreign)) = (&self.proof, &other.proof) {
            for (name, proof) in [
                ("proof's index", Proof { index: foreign.index, ..own.clone() }),
                ("proof's root", Proof { root: foreign.root, ..own.clone() }),
                ("proof's size", Proof { size: foreign.size, ..own.clone() }),
                ("proof's hashes", Proof { hashes: foreign.hashes.clone(), ..own.clone() }),
                ("checkpoint", Proof { checkpoint: foreign.checkpoint.clone(), ..own.clone() }),
                ("root and checkpoint", Proof { root: foreign.root, checkpoint: foreign.checkpoint.clone(), ..own.clone() }),
            ] {
                all.push((name, Self { proof: Some(proof), ..self.clone() }));
            }
        }
        all
    }
}

fn fields(mut rest: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    fn take(rest: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = rest[0];
            *rest = &rest[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = take(&mut rest);
        let value = take(&mut rest);
        if key & 7 == 2 {
            let (bytes, after) = rest.split_at(value as usize);
            found.push((key >> 3, 0, bytes.to_vec()));
            rest = after;
        } else {
            found.push((key >> 3, value, Vec::new()));
        }
    }
    found
}

// ---- commits

/// A commit in which `sign` put a signature over the rest.
pub fn commit(tree: &str, parent: Option<&str>, email: &str, at: i64, sign: impl Fn(&[u8]) -> Signature) -> Vec<u8> {
    commit_by(tree, parent, email, at, |payload| sign(payload).armored())
}

/// The same with a signature that is armoured already.
pub fn commit_by(tree: &str, parent: Option<&str>, email: &str, at: i64, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
    let who = format!("A <{email}> {at} +0000");
    let (head, rest) = (format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n"), "\nmessage\n");
    let signature = String::from_utf8(sign(format!("{head}{rest}").as_bytes())).unwrap();
    let header = if tree.len() == 64 { "gpgsig-sha256" } else { "gpgsig" };
    format!("{head}{header} {}\n{rest}", signature.trim_end().replace('\n', "\n ")).into_bytes()
}

/// What the signature of a commit that `commit` made is over.
pub fn payload(raw: &str) -> String {
    let mut inside = false;
    let kept = raw.split_inclusive('\n').filter(|line| {
        inside = line.starts_with("gpgsig") || (inside && line.starts_with(' '));
        !inside
    });
    kept.collect()
}
