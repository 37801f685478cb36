//! Fulcio (its API v2): an identity token and a proof of the key become a certificate.

use super::http::Call;
use super::token::IdentityToken;
use super::{Http, Service};
use crate::io::clock;
use crate::signature::x509::sign::Leaf;
use crate::verdict::Utc;
use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

/// How far this machine's clock may be off before a certificate that was just made cannot be used.
pub(super) const SKEW: i64 = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    signed_certificate_embedded_sct: Option<Chained>,
    signed_certificate_detached_sct: Option<Chained>,
}

#[derive(Deserialize)]
struct Chained {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Has Fulcio certify the key of a certificate request (PKCS #10, in DER).
///
/// # Errors
/// Where Fulcio does not, or its certificate is of another time, or not in a certificate log.
pub fn issue(http: &Http, fulcio: &Service, token: &IdentityToken, request: &[u8]) -> Result<Leaf> {
    let body = json!({
        "credentials": { "oidcIdentityToken": token.as_str() },
        "certificateSigningRequest": STANDARD.encode(pem("CERTIFICATE REQUEST", request)),
    });
    let body = Zeroizing::new(body.to_string());
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let secrets = [token.as_str()];
    let call =
        Call { path: "/api/v2/signingCert", headers: &headers, body: Some(body.as_bytes()), secrets: &secrets, ..Call::default() };
    let issued: Issued = http.json(fulcio, call)?;
    let leaf = leaf(fulcio, issued)?;
    let now = clock::now();
    if now < leaf.not_before.saturating_sub(SKEW) || now > leaf.not_after {
        let (from, to, now) = (Utc(leaf.not_before), Utc(leaf.not_after), Utc(now));
        bail!("Fulcio's certificate is valid from {from} to {to}, and the clock of this machine says {now}; set the clock");
    }
    Ok(leaf)
}

fn leaf(fulcio: &Service, issued: Issued) -> Result<Leaf> {
    let chained = match (issued.signed_certificate_embedded_sct, issued.signed_certificate_detached_sct) {
        (Some(chained), _) => chained,
        (None, Some(_)) => {
            return Err(fulcio.error("its certificates carry no proof of being in a certificate log, which verifiers ask for"));
        }
        (None, None) => return Err(fulcio.error("its answer holds no certificate")),
    };
    let der = chained.chain.certificates.first().and_then(|text| unpem(text));
    let leaf = der.and_then(|der| Leaf::parse(&der).ok());
    leaf.ok_or_else(|| fulcio.error("what it gives is no certificate"))
}

/// PEM (RFC 7468).
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

fn unpem(text: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix("-----BEGIN CERTIFICATE-----")?.strip_suffix("-----END CERTIFICATE-----")?;
    let packed: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(packed).ok()
}
