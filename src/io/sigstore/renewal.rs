//! A certificate renewed without asking anybody: by a refresh token (RFC 6749 §6, OpenID Connect Core §12), which only the agent
//! keeps, and only where somebody asked for it.
//!
//! Where the token may go is fixed when it is given: settings that change later never send it to another issuer.

use super::certificate::issue;
use super::http::{Answer, Call, Service};
use super::login::{FORM, JSON, form};
use super::token::IdentityToken;
use super::{Http, services};
use crate::io::clock;
use crate::signature::x509::sign::Leaf;
use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// How long after a login certificates are renewed: a working day.
const WITHIN: i64 = 12 * 3600;

/// A refresh token, where it may go, and as whose. Whoever reads it can use it, so it is shown nowhere, and wiped.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The issuer, as its tokens name it.
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    pub(super) client_id: String,
    pub(super) client_secret: Option<Zeroizing<String>>,
    pub(super) refresh_token: Zeroizing<String>,
    pub(super) fulcio: String,
    /// Until when it is used, in seconds since 1970.
    pub until: i64,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}

/// Why there is no new certificate.
#[derive(Debug)]
pub enum Unrenewed {
    /// The token is good for nothing any more.
    Refused(anyhow::Error),
    /// It may go through another time.
    Passing(anyhow::Error),
}

#[derive(Deserialize)]
struct Granted {
    id_token: Option<Zeroizing<String>>,
    refresh_token: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Whether an issuer says that a refresh token, or whoever comes with it, is good for nothing any more (RFC 6749 §5.2). What a
/// gateway before it says is not the issuer's word.
fn is_final(answer: &Answer) -> bool {
    let refusal: Option<Refusal> = serde_json::from_slice(&answer.body).ok();
    let is_named = refusal.is_some_and(|refusal| matches!(refusal.error.as_str(), "invalid_grant" | "invalid_client"));
    matches!(answer.status, 400 | 401) && is_named
}

impl Renewal {
    /// The last moment of one that begins now.
    pub(super) fn end() -> i64 {
        clock::now().saturating_add(WITHIN)
    }

    /// Has Fulcio certify the key of a certificate request (PKCS #10, in DER) for whom the refresh token stands for. A token that
    /// the issuer gives in exchange takes the place of this one.
    ///
    /// # Errors
    /// As [`Unrenewed`] has it.
    pub fn renew(&mut self, http: &Http, request: &[u8]) -> Result<Leaf, Unrenewed> {
        let refused = Unrenewed::Refused;
        let issuer = Service::new("the issuer", &self.token_endpoint, "git warrant login").map_err(refused)?;
        let issuer = Service { url: self.token_endpoint.clone(), ..issuer };
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", self.refresh_token.as_str()),
            ("client_id", self.client_id.as_str()),
        ];
        fields.extend(self.client_secret.as_ref().map(|secret| ("client_secret", secret.as_str())));
        let body = form(&fields);
        let secrets: Vec<&str> = self.client_secret.iter().chain([&self.refresh_token]).map(|secret| secret.as_str()).collect();
        // a token that is good for one use may have been used, though no answer came
        let call = Call { headers: &[FORM, JSON], body: Some(body.as_bytes()), secrets: &secrets, once: true, ..Call::default() };
        let answer = http.call(&issuer, call).map_err(Unrenewed::Passing)?;
        if !answer.is_good() {
            let error = issuer.refused(&answer);
            return Err(if is_final(&answer) { refused(error) } else { Unrenewed::Passing(error) });
        }
        let granted: Option<Granted> = serde_json::from_slice(&answer.body).ok();
        let granted = granted.ok_or_else(|| refused(issuer.error("its answer makes no sense")))?;
        if let Some(next) = granted.refresh_token.filter(|next| !next.is_empty()) {
            self.refresh_token = next; // first: the old one may be good for nothing any more
        }
        let token = granted.id_token.ok_or_else(|| refused(issuer.error("its answer holds no identity token")))?;
        let token = IdentityToken::parse(token, "the issuer").map_err(refused)?;
        if !token.is_of(&self.issuer, &self.client_id) {
            return Err(refused(anyhow!("the issuer's new token is of another issuer, or for another program")));
        }
        let fulcio = services::fulcio_at(&self.fulcio).context("the certificate authority").map_err(refused)?;
        issue(http, &fulcio, &token, request).map_err(Unrenewed::Passing)
    }
}
