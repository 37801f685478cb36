//! Rekor v1, searched: the entries that it has of something, by a certificate.

use super::certificate::pem;
use super::http::Call;
use super::log::parse_v1;
use super::{Http, Service};
use crate::signature::x509::sign::LogEntry;
use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const HEADERS: [(&str, &str); 2] = [("Content-Type", "application/json"), ("Accept", "application/json")];
/// So many entries are looked at: of one object by one certificate there is one, or a few where somebody tried again.
const MOST: usize = 8;

/// The entries, with their bodies, of some bytes by a certificate (in DER). What the log says is not checked here.
///
/// # Errors
/// Where the log cannot be asked, or its answer makes no sense.
pub fn find(http: &Http, rekor: &Service, signed: &[u8], certificate: &[u8]) -> Result<Vec<(Vec<u8>, LogEntry)>> {
    let digest: String = Sha256::digest(signed).iter().map(|byte| format!("{byte:02x}")).collect();
    // by both: entries of the same bytes can be made by anybody, so many that the right one would not be found
    let query = json!({
        "hash": format!("sha256:{digest}"),
        "publicKey": { "format": "x509", "content": STANDARD.encode(pem("CERTIFICATE", certificate)) },
        "operator": "and",
    });
    let query = query.to_string();
    let call = Call { path: "/api/v1/index/retrieve", headers: &HEADERS, body: Some(query.as_bytes()), ..Call::default() };
    let names: Vec<String> = http.json(rekor, call)?;
    let mut entries = Vec::new();
    for name in names.iter().take(MOST) {
        if name.is_empty() || name.len() > 128 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(rekor.error("its answer makes no sense: the name of an entry is none"));
        }
        let path = format!("/api/v1/log/entries/{name}");
        let answer = http.call(rekor, Call { path: &path, headers: &HEADERS, ..Call::default() })?;
        if !answer.is_good() {
            return Err(rekor.refused(&answer));
        }
        entries.push(parse_v1(rekor, &answer.body)?);
    }
    Ok(entries)
}
