//! A TUF repository in the making, and a mirror that serves it: both can be told to lie.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::as_conversions)]

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

// ---- keys

pub enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A key, under the name that metadata gives it.
pub struct Key {
    pub name: String,
    pub described: Value,
    pair: Arc<Pair>,
}

impl Key {
    pub fn new(name: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = hex::encode(pair.public_key().as_ref());
        Self::of(name, "ed25519", "ed25519", &public, Pair::Ed25519(pair))
    }

    /// An Ed25519 key in PEM.
    pub fn ed25519_pem(name: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let spki = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], pair.public_key().as_ref()].concat();
        Self::of(name, "ed25519", "ed25519", &pem(&spki), Pair::Ed25519(pair))
    }

    pub fn p256(name: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let public = pem(spki.as_ref());
        Self::of(name, "ecdsa", "ecdsa-sha2-nistp256", &public, Pair::P256(pair))
    }

    pub fn rsa(name: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let public = pem(spki.as_ref());
        Self::of(name, "rsa", "rsassa-pss-sha256", &public, Pair::Rsa(Box::new(pair)))
    }

    fn of(name: &str, kind: &str, scheme: &str, public: &str, pair: Pair) -> Self {
        let described = json!({"keytype": kind, "scheme": scheme, "keyval": {"public": public}});
        Self { name: name.to_owned(), described, pair: Arc::new(pair) }
    }

    /// The same key under another name.
    pub fn alias(&self, name: &str) -> Self {
        Self { name: name.to_owned(), described: self.described.clone(), pair: Arc::clone(&self.pair) }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &*self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

// ---- metadata

/// OLPC's canonical JSON, over which TUF signs.
fn canonical(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_bytes());
            let member =
                |(name, value): (&String, &Value)| format!("{}:{}", canonical(&Value::String(name.clone())), canonical(value));
            format!("{{{}}}", sorted.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

pub fn signed(body: &Value, keys: &[&Key]) -> Vec<u8> {
    let message = canonical(body);
    let signature = |key: &&Key| json!({"keyid": key.name, "sig": hex::encode(key.sign(message.as_bytes()))});
    json!({"signed": body, "signatures": keys.iter().map(signature).collect::<Vec<_>>()}).to_string().into_bytes()
}

/// The moment so many seconds from now.
pub fn moment(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    jiff::Timestamp::from_second(now + seconds).unwrap().to_string()
}

pub const DAY: i64 = 86_400;

/// A root: each role's keys and threshold, in the order root, timestamp, snapshot, targets.
pub fn root(version: u64, end: i64, roles: [(&[&Key], u64); 4], consistent: bool) -> Value {
    let names = ["root", "timestamp", "snapshot", "targets"];
    let keys: BTreeMap<&str, &Value> =
        roles.iter().flat_map(|(keys, _)| keys.iter()).map(|key| (key.name.as_str(), &key.described)).collect();
    let role = |(name, (keys, threshold)): (&'static str, (&[&Key], u64))| {
        (name, json!({"keyids": keys.iter().map(|key| &key.name).collect::<Vec<_>>(), "threshold": threshold}))
    };
    let roles: BTreeMap<&str, Value> = names.into_iter().zip(roles).map(role).collect();
    json!({"_type": "root", "spec_version": "1.0.31", "version": version, "expires": moment(end),
        "consistent_snapshot": consistent, "keys": keys, "roles": roles})
}

/// Timestamp, snapshot and targets of a repository.
pub struct Lower<'a> {
    pub timestamp: (u64, &'a Key),
    pub snapshot: (u64, &'a Key),
    pub targets: (u64, &'a Key),
    /// When each ends, in seconds from now.
    pub ends: [i64; 3],
    pub consistent: bool,
    /// What there is to be fetched.
    pub files: Vec<(&'static str, String)>,
}

impl Lower<'_> {
    fn about(version: u64, file: &[u8]) -> Value {
        json!({"version": version, "length": file.len(), "hashes": {"sha256": hex::encode(Sha256::digest(file))}})
    }

    pub fn targets_body(&self) -> Value {
        let entry = |(name, text): &(&'static str, String)| {
            (*name, json!({"length": text.len(), "hashes": {"sha256": hex::encode(Sha256::digest(text))}}))
        };
        let listed: BTreeMap<&str, Value> = self.files.iter().map(entry).collect();
        json!({"_type": "targets", "spec_version": "1.0", "version": self.targets.0, "expires": moment(self.ends[2]), "targets": listed})
    }

    pub fn snapshot_body(&self, targets: &[u8]) -> Value {
        json!({"_type": "snapshot", "spec_version": "1.0", "version": self.snapshot.0, "expires": moment(self.ends[1]),
            "meta": {"targets.json": Self::about(self.targets.0, targets)}})
    }

    pub fn timestamp_body(&self, snapshot: &[u8]) -> Value {
        json!({"_type": "timestamp", "spec_version": "1.0", "version": self.timestamp.0, "expires": moment(self.ends[0]),
            "meta": {"snapshot.json": Self::about(self.snapshot.0, snapshot)}})
    }

    /// Puts the files on a mirror; `targets` and `snapshot` may change what these say before they are signed.
    pub fn publish_changed(&self, mirror: &Mirror, change: [&dyn Fn(&mut Value); 3]) {
        let number = |version: u64| if self.consistent { format!("{version}.") } else { String::new() };
        let mut body = self.targets_body();
        change[2](&mut body);
        let targets = signed(&body, &[self.targets.1]);
        let mut body = self.snapshot_body(&targets);
        change[1](&mut body);
        let snapshot = signed(&body, &[self.snapshot.1]);
        let mut body = self.timestamp_body(&snapshot);
        change[0](&mut body);
        mirror.put("timestamp.json", signed(&body, &[self.timestamp.1]));
        mirror.put(&format!("{}snapshot.json", number(self.snapshot.0)), snapshot);
        mirror.put(&format!("{}targets.json", number(self.targets.0)), targets);
        for (name, text) in &self.files {
            let digest = if self.consistent { hex::encode(Sha256::digest(text)) + "." } else { String::new() };
            mirror.put(&format!("targets/{digest}{name}"), text.clone().into_bytes());
        }
    }

    pub fn publish(&self, mirror: &Mirror) {
        self.publish_changed(mirror, [&|_| {}, &|_| {}, &|_| {}]);
    }
}

// ---- the mirror

#[derive(Clone)]
pub enum Answer {
    File(Vec<u8>),
    /// Bytes without an end.
    Endless,
    /// Points elsewhere.
    Elsewhere(String),
    /// Says a longer length than it has.
    Short(Vec<u8>),
    /// A status, and nothing else.
    Status(&'static str),
}

/// Serves files on this machine, until its process ends.
#[derive(Clone)]
pub struct Mirror {
    pub url: String,
    files: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mirror = Self { url, files: Arc::default(), asked: Arc::default() };
        let served = mirror.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        match stream.read(&mut byte) {
                            Ok(1) => request.push(byte[0]),
                            _ => return,
                        }
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let length = text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    let mut body = vec![0; length.unwrap_or(0)];
                    if stream.read_exact(&mut body).is_err() {
                        return;
                    }
                    let path = text.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                    served.asked.lock().unwrap().push(path.clone());
                    let answer = served.files.lock().unwrap().get(&path).cloned();
                    let head = |status: &str, length: usize, more: &str| {
                        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
                    };
                    let _ = match answer {
                        None => stream.write_all(head("404 Not Found", 0, "").as_bytes()),
                        Some(Answer::File(bytes)) => {
                            stream.write_all(&[head("200 OK", bytes.len(), "").as_bytes(), &bytes].concat())
                        }
                        Some(Answer::Short(bytes)) => {
                            stream.write_all(&[head("200 OK", bytes.len() + 10, "").as_bytes(), &bytes].concat())
                        }
                        Some(Answer::Status(status)) => stream.write_all(head(status, 0, "").as_bytes()),
                        Some(Answer::Elsewhere(to)) => {
                            stream.write_all(head("302 Found", 0, &format!("Location: {to}\r\n")).as_bytes())
                        }
                        Some(Answer::Endless) => {
                            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
                            while sent.is_ok() {
                                sent = stream.write_all(&[b' '; 65_536]);
                            }
                            Ok(())
                        }
                    };
                });
            }
        });
        mirror
    }

    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.answer(name, Answer::File(bytes));
    }

    pub fn answer(&self, name: &str, answer: Answer) {
        self.files.lock().unwrap().insert(name.to_owned(), answer);
    }

    pub fn remove(&self, name: &str) {
        self.files.lock().unwrap().remove(name);
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        match self.files.lock().unwrap().get(name) {
            Some(Answer::File(bytes)) => bytes.clone(),
            _ => panic!("the mirror has no {name}"),
        }
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}
