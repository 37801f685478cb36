//! Rekor, v1 and v2: a signature is logged before anybody sees it.

use super::certificate::pem;
use super::http::{Answer, Call, misplaced};
use super::services::{RekorVersion, Services};
use super::{Http, Service};
use crate::signature::x509::sign::{Inclusion, Leaf, LogEntry, SignedAttributes};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HEADERS: [(&str, &str); 2] = [("Content-Type", "application/json"), ("Accept", "application/json")];

/// Logs a signature; the entry is of exactly this digest, signature and certificate.
///
/// # Errors
/// Where the log does not take it, or answers with another entry.
pub fn record(http: &Http, services: &Services, leaf: &Leaf, attributes: &SignedAttributes, signature: &[u8]) -> Result<LogEntry> {
    let rekor = services.rekor()?;
    let logged = Logged { rekor: &rekor, leaf, attributes, signature };
    let entry = match services.rekor_version {
        RekorVersion::V1 => logged.in_v1(http),
        RekorVersion::V2 => logged.in_v2(http),
    };
    entry.map(LogEntry::in_one_form)
}

struct Logged<'a> {
    rekor: &'a Service,
    leaf: &'a Leaf,
    attributes: &'a SignedAttributes,
    signature: &'a [u8],
}

/// `LogEntry` of Rekor v1's API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryV1 {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: VerificationV1,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationV1 {
    inclusion_proof: Option<ProofV1>,
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofV1 {
    checkpoint: String,
    #[serde(default)]
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

/// `TransparencyLogEntry` in protobuf's JSON, as Rekor v2 answers: 64-bit numbers are text, zeros are left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryV2 {
    #[serde(default)]
    log_index: Number,
    log_id: KeyId,
    kind_version: Kind,
    inclusion_proof: ProofV2,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyId {
    key_id: String,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofV2 {
    #[serde(default)]
    log_index: Number,
    root_hash: String,
    tree_size: Number,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Checkpoint,
}

#[derive(Deserialize)]
struct Checkpoint {
    envelope: String,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Number {
    #[default]
    Zero,
    Plain(u64),
    Text(String),
}

impl Number {
    fn get(&self) -> Option<u64> {
        match self {
            Self::Zero => Some(0),
            Self::Plain(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Logged<'_> {
    fn in_v1(&self, http: &Http) -> Result<LogEntry> {
        let body = self.body_v1().to_string();
        let call = Call { path: "/api/v1/log/entries", headers: &HEADERS, body: Some(body.as_bytes()), ..Call::default() };
        let mut answer = http.call(self.rekor, call)?;
        if answer.status == 409 {
            // a try whose answer was lost did log it
            let path = answer.location.as_deref().filter(|path| path.starts_with("/api/v1/log/entries/")).map(str::to_owned);
            let path = path.ok_or_else(|| self.rekor.refused(&answer))?;
            answer = http.call(self.rekor, Call { path: &path, headers: &HEADERS, ..Call::default() })?;
        }
        if !answer.is_good() {
            return Err(self.rekor.refused(&answer));
        }
        self.entry_v1(&answer)
    }

    fn entry_v1(&self, answer: &Answer) -> Result<LogEntry> {
        let (body, entry) = parse_v1(self.rekor, &answer.body)?;
        if serde_json::from_slice::<Value>(&body).ok() != Some(self.body_v1()) {
            return Err(self.rekor.error("the entry that it returns is not of what was sent"));
        }
        Ok(entry)
    }

    fn body_v1(&self) -> Value {
        let digest = hex::encode(self.attributes.digest());
        json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": digest } },
                "signature": {
                    "content": STANDARD.encode(self.signature),
                    "publicKey": { "content": STANDARD.encode(pem("CERTIFICATE", self.leaf.as_der())) },
                },
            },
        })
    }

    fn in_v2(&self, http: &Http) -> Result<LogEntry> {
        let verifier = json!({
            "x509Certificate": { "rawBytes": STANDARD.encode(self.leaf.as_der()) },
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        });
        let signature = json!({ "content": STANDARD.encode(self.signature), "verifier": verifier });
        let digest = STANDARD.encode(self.attributes.digest());
        let request = json!({ "hashedRekordRequestV002": { "digest": digest, "signature": signature } }).to_string();
        let call = Call { path: "/api/v2/log/entries", headers: &HEADERS, body: Some(request.as_bytes()), ..Call::default() };
        let answer = http.call(self.rekor, call)?;
        if !answer.is_good() {
            return Err(self.rekor.refused(&answer));
        }
        let entry: EntryV2 = parsed(self.rekor, &answer.body)?;
        let body: Option<Value> = serde_json::from_slice(&base64(self.rekor, &entry.canonicalized_body)?).ok();
        let data = json!({ "algorithm": "SHA2_256", "digest": digest });
        let want = json!({
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": { "hashedRekordV002": { "data": data, "signature": signature } },
        });
        if body != Some(want) {
            return Err(self.rekor.error("the entry that it returns is not of what was sent"));
        }
        let number = |number: &Number| number.get().ok_or_else(|| nonsense(self.rekor, "a number is none"));
        let hashes: Result<Vec<Vec<u8>>> = entry.inclusion_proof.hashes.iter().map(|hash| base64(self.rekor, hash)).collect();
        Ok(LogEntry {
            index: number(&entry.log_index)?,
            log_id: base64(self.rekor, &entry.log_id.key_id)?,
            kind: entry.kind_version.kind,
            version: entry.kind_version.version,
            integrated: 0,
            promise: Vec::new(),
            inclusion: Some(Inclusion {
                index: number(&entry.inclusion_proof.log_index)?,
                root: base64(self.rekor, &entry.inclusion_proof.root_hash)?,
                size: number(&entry.inclusion_proof.tree_size)?,
                hashes: hashes?,
                checkpoint: entry.inclusion_proof.checkpoint.envelope,
            }),
        })
    }
}

/// The entry in an answer of Rekor v1, and its body.
///
/// # Errors
/// Where there is none.
pub(super) fn parse_v1(rekor: &Service, answer: &[u8]) -> Result<(Vec<u8>, LogEntry)> {
    let entries: BTreeMap<String, EntryV1> = parsed(rekor, answer)?;
    let entry = entries.into_values().next().ok_or_else(|| nonsense(rekor, "it is empty"))?;
    let proof = entry.verification.inclusion_proof.ok_or_else(|| nonsense(rekor, "there is no proof of inclusion"))?;
    let hashes: Result<Vec<Vec<u8>>> = proof.hashes.iter().map(|hash| hex(rekor, hash)).collect();
    let made = LogEntry {
        index: entry.log_index,
        log_id: hex(rekor, &entry.log_id)?,
        kind: "hashedrekord".to_owned(),
        version: "0.0.1".to_owned(),
        integrated: entry.integrated_time,
        promise: base64(rekor, &entry.verification.signed_entry_timestamp)?,
        inclusion: Some(Inclusion {
            index: proof.log_index,
            root: hex(rekor, &proof.root_hash)?,
            size: proof.tree_size,
            hashes: hashes?,
            checkpoint: proof.checkpoint,
        }),
    };
    Ok((base64(rekor, &entry.body)?, made))
}

fn parsed<T: serde::de::DeserializeOwned>(rekor: &Service, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| rekor.error(misplaced(&error)))
}

fn nonsense(rekor: &Service, why: &str) -> anyhow::Error {
    rekor.error(format!("its answer makes no sense: {why}"))
}

fn base64(rekor: &Service, text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).ok().ok_or_else(|| nonsense(rekor, "what should be base64 is not"))
}

fn hex(rekor: &Service, text: &str) -> Result<Vec<u8>> {
    let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digit).collect();
    bytes.with_context(|| nonsense(rekor, "what should be hexadecimal is not").to_string())
}
