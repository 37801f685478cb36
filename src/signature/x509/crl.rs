//! Certificate revocation lists (RFC 5280 §5), as far as webpki reads them: whole lists, signed by whoever issued the certificates.
//! Delta and indirect lists, and those of some reasons only, are refused.

use super::authority::blocks;
use super::ber::{self, Reader};
use super::cms::moment;
use super::name;
use crate::evidence::Revocation;
use crate::verdict::Utc;
use webpki::{CertRevocationList, Error, OwnedCertRevocationList, RevocationReason};

/// A larger file is refused, in bytes: it would be read anew by every command.
const MOST_BYTES: usize = 16 << 20;
/// More lists than these in one file are refused.
const MOST: usize = 256;
/// How far a list may be from the future, in seconds.
const CLOCK_TOLERANCE: i64 = 600;

/// One list.
pub(super) struct Crl {
    pub(super) list: CertRevocationList<'static>,
    /// When the next one is due, seconds since 1970 (UTC).
    pub(super) next_update: i64,
}

/// Why a file of revocation lists cannot be used. One that cannot be read in full must never count as an empty one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Too large.
    #[error("it has more than {MOST_BYTES} bytes, or more than {MOST} lists")]
    Large,
    /// Nothing in it.
    #[error("it holds no revocation list; they stand in it in PEM (-----BEGIN X509 CRL-----), or one of them in DER")]
    Empty,
    /// One that cannot be used.
    #[error("the revocation list at line {line}, column 1{of}: {what}", of = if issuer.is_empty() { String::new() } else { format!(", of {issuer}") })]
    List {
        /// The line at which it begins; 1 where it is all of the file.
        line: usize,
        /// Whose it is, where that could be read.
        issuer: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Crl {
    /// Reads all lists of a file: PEM, or one in DER. All must hold now (seconds since 1970, UTC).
    pub(super) fn parse_all(file: &[u8], now: i64) -> Result<Vec<Self>, CrlError> {
        if file.len() > MOST_BYTES {
            return Err(CrlError::Large);
        }
        if file.first() == Some(&ber::SEQUENCE) {
            return Ok(vec![Self::parse(file, now, 1)?]);
        }
        let mut lists = Vec::new();
        let foreign = |line: &[u8]| line.starts_with(b"-----BEGIN ") && line.trim_ascii_end() != b"-----BEGIN X509 CRL-----";
        if let Some(at) = file.split(|&b| b == b'\n').position(foreign) {
            let what = "something else than a revocation list stands there".to_owned();
            return Err(CrlError::List { line: at + 1, issuer: String::new(), what });
        }
        for (line, block) in blocks(file, "X509 CRL") {
            let block = block.map_err(|what| CrlError::List { line, issuer: String::new(), what })?;
            if lists.len() >= MOST {
                return Err(CrlError::Large);
            }
            lists.push(Self::parse(&block, now, line)?);
        }
        if lists.is_empty() { Err(CrlError::Empty) } else { Ok(lists) }
    }

    fn parse(der: &[u8], now: i64, line: usize) -> Result<Self, CrlError> {
        let wrong = |issuer: &[u8], what: String| CrlError::List { line, issuer: name::read(issuer).to_string(), what };
        if is_version_1(der) {
            return Err(wrong(&[], "it is of version 1; version 2 is read here (openssl: set crl_extensions)".to_owned()));
        }
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| wrong(&[], in_words(&error)))?;
        let list = CertRevocationList::from(list);
        let (this, next) = updates(der).ok_or_else(|| wrong(list.issuer(), "its times cannot be read".to_owned()))?;
        if next < now {
            let what = format!("it was good until {} only: fetch the one of today", Utc(next));
            return Err(wrong(list.issuer(), what));
        }
        if this > now.saturating_add(CLOCK_TOLERANCE) {
            return Err(wrong(list.issuer(), format!("it begins at {}, which is in the future", Utc(this))));
        }
        Ok(Self { list, next_update: next })
    }

    /// The name of whoever signed it, the content of its sequence.
    pub(super) fn issuer(&self) -> &[u8] {
        self.list.issuer()
    }

    /// How it revokes a serial number.
    pub(super) fn find(&self, serial: &[u8]) -> Option<Revocation> {
        let entry = match self.list.find_serial(serial) {
            Ok(None) => return None,
            Ok(Some(entry)) => entry,
            Err(_) => return Some(Revocation { hard: true, stated: true, at: 0 }), // what cannot be read is no pardon
        };
        let (hard, stated) = match entry.reason_code {
            None | Some(RevocationReason::Unspecified) => (true, false),
            Some(RevocationReason::Superseded | RevocationReason::CessationOfOperation | RevocationReason::AffiliationChanged) => {
                (false, true)
            }
            Some(_) => (true, true),
        };
        Some(Revocation { hard, stated, at: i64::try_from(entry.revocation_date.as_secs()).unwrap_or(i64::MAX) })
    }
}

/// Whether it says no version: webpki has but one word for all that it cannot read.
fn is_version_1(der: &[u8]) -> bool {
    let signed = Reader::der(der).next(ber::SEQUENCE).and_then(|list| Reader::der(list.content).next(ber::SEQUENCE));
    signed.is_ok_and(|signed| signed.content.first() == Some(&ber::SEQUENCE))
}

/// When it was made, and when the next one is due.
fn updates(der: &[u8]) -> Option<(i64, i64)> {
    let mut tbs = Reader::der(Reader::der(der).next(ber::SEQUENCE).ok()?.content);
    let mut fields = Reader::der(tbs.next(ber::SEQUENCE).ok()?.content);
    fields.optional(ber::INTEGER).ok()?;
    fields.next(ber::SEQUENCE).ok()?;
    fields.next(ber::SEQUENCE).ok()?;
    let mut time = || fields.any().ok().and_then(|time| moment(time.tag, time.content));
    Some((time()?, time()?))
}

fn in_words(error: &Error) -> String {
    match error {
        Error::UnsupportedCrlVersion => "it is not of version 2".to_owned(),
        Error::UnsupportedDeltaCrl => "it says only what has changed (a delta list); the whole one is needed".to_owned(),
        Error::UnsupportedIndirectCrl => "it speaks for other authorities (an indirect list), which is not read here".to_owned(),
        Error::UnsupportedRevocationReasonsPartitioning => "it is of some reasons only; the whole one is needed".to_owned(),
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not known".to_owned(),
        other => format!("it cannot be read ({other})"),
    }
}
