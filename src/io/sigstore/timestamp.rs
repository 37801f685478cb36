//! Timestamp authorities (RFC 3161 over HTTP).

use super::Http;
use super::http::Call;
use super::services::Services;
use crate::io::keys::ephemeral::random;
use crate::signature::x509::sign::TimestampQuery;
use anyhow::Result;

const HEADERS: [(&str, &str); 2] = [("Content-Type", "application/timestamp-query"), ("Accept", "application/timestamp-reply")];

/// A token over a signature, in DER, where an authority is configured.
///
/// # Errors
/// Where the authority gives none.
pub fn stamp(http: &Http, services: &Services, signature: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(authority) = services.timestamps()? else { return Ok(None) };
    let query = TimestampQuery::new(signature, random()?);
    let answer = http.call(&authority, Call { path: "", headers: &HEADERS, body: Some(&query.encode()), ..Call::default() })?;
    if !answer.is_good() {
        return Err(authority.refused(&answer));
    }
    query.token(&answer.body).map(Some).map_err(|error| authority.error(error))
}
