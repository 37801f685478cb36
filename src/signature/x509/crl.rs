//! Certificate revocation lists (RFC 5280 §5), as far as webpki reads them: whole lists, signed by whoever issued the certificates.
//! Delta and indirect lists, and those of some reasons only, are refused.

use super::algorithms::{self, Signed};
use super::ber::{self, BerError, Reader, context};
use super::certificate::Certificate;
use super::cms::moment;
use super::{name, pem};
use crate::evidence::{Name, Revocation};
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
    list: CertRevocationList<'static>,
    whole: Vec<u8>,
    /// The issuer's name in one spelling.
    spelled: Option<String>,
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
        for (line, block) in pem::blocks(file, "X509 CRL") {
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
        let Fields { this, next, serials } =
            Fields::of(der).ok_or_else(|| wrong(list.issuer(), "its times, or what it revokes, cannot be read".to_owned()))?;
        if !serials {
            return Err(wrong(list.issuer(), "a serial number in it is not in DER: no certificate would be found".to_owned()));
        }
        if next < now {
            let what = format!("it was good until {} only: fetch the one of today", Utc(next));
            return Err(wrong(list.issuer(), what));
        }
        if this > now.saturating_add(CLOCK_TOLERANCE) {
            return Err(wrong(list.issuer(), format!("it begins at {}, which is in the future", Utc(this))));
        }
        let spelled = spelled(list.issuer());
        Ok(Self { whole: der.to_vec(), spelled, list, next_update: next })
    }

    /// Whether it calls itself one of whoever has this name, in whatever spelling and types of text.
    pub(super) fn is_of(&self, issuer: &[u8]) -> bool {
        self.issuer() == issuer || (self.spelled.is_some() && self.spelled == spelled(issuer))
    }

    /// By whom it is signed.
    pub(super) fn signed_by(&self, key: &[u8]) -> Signed {
        algorithms::signed_by(&self.whole, key)
    }

    /// Whether it is for a certificate of its issuer's, an authority's or a signer's: lists may be for some (RFC 5280 §5.2.5).
    pub(super) fn is_for(&self, certificate: &Certificate<'_>, authority: bool) -> bool {
        match self.list.issuing_distribution_point() {
            None => true,
            Some(point) => covers(point, certificate.list_places(), authority).unwrap_or(false),
        }
    }

    /// The name of whoever signed it, the content of its sequence.
    pub(super) fn issuer(&self) -> &[u8] {
        self.list.issuer()
    }

    /// How it revokes a serial number. One with its highest bit set is the same with and without a zero before it: some
    /// authorities forget that in one of both places.
    pub(super) fn find(&self, serial: &[u8]) -> Option<Revocation> {
        let bare = serial.strip_prefix(&[0]).unwrap_or(serial);
        let with_zero = [&[0], bare].concat();
        let found = [bare, &with_zero].into_iter().find_map(|serial| self.list.find_serial(serial).transpose());
        let entry = match found {
            None => return None,
            Some(Ok(entry)) => entry,
            Some(Err(_)) => return Some(Revocation { hard: true, stated: true, at: 0 }), // what cannot be read is no pardon
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

/// What is read of a list beside what webpki does.
struct Fields {
    /// When it was made.
    this: i64,
    /// When the next one is due.
    next: i64,
    /// Whether all serial numbers are in DER.
    serials: bool,
}

impl Fields {
    fn of(der: &[u8]) -> Option<Self> {
        let mut tbs = Reader::der(Reader::der(der).next(ber::SEQUENCE).ok()?.content);
        let mut fields = Reader::der(tbs.next(ber::SEQUENCE).ok()?.content);
        fields.optional(ber::INTEGER).ok()?;
        fields.next(ber::SEQUENCE).ok()?;
        fields.next(ber::SEQUENCE).ok()?;
        let mut time = || fields.any().ok().and_then(|time| moment(time.tag, time.content));
        let (this, next) = (time()?, time()?);
        let mut serials = true;
        if let Some(entries) = fields.optional(ber::SEQUENCE).ok()? {
            let mut entries = Reader::der(entries.content);
            while !entries.is_empty() {
                let serial = Reader::der(entries.next(ber::SEQUENCE).ok()?.content).next(ber::INTEGER).ok()?.content;
                serials &= !matches!(serial, [] | [0, ..=0x7f, ..] | [0xff, 0x80..=0xff, ..]);
            }
        }
        Some(Self { this, next, serials })
    }
}

/// A name with nothing but its types and its letters, in small ones; `None` where it cannot be read.
fn spelled(name: &[u8]) -> Option<String> {
    let Name(parts) = name::read(name);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let parts: Vec<String> = parts.iter().map(|(kind, value)| format!("{kind}={}", words(value))).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

const URI: u8 = 0x86;

/// Whether an issuing distribution point takes in a certificate: its kind and, where the certificate says where its lists are,
/// one place that both name.
fn covers(point: &[u8], places: Option<&[u8]>, authority: bool) -> Result<bool, BerError> {
    let mut fields = Reader::der(Reader::der(point).next(ber::SEQUENCE)?.content);
    let name = fields.optional(context(0))?;
    let mut others = false;
    while !fields.is_empty() {
        let flag = fields.any()?;
        // onlyContainsUserCerts, onlyContainsCACerts
        others |= flag.content != [0] && flag.tag != if authority { 0x82 } else { 0x81 };
    }
    let Some(places) = places.filter(|_| !others) else { return Ok(!others) };
    let Some(name) = name else { return Ok(true) };
    let own = uris(name.content)?;
    let mut places = Reader::der(Reader::der(places).next(ber::SEQUENCE)?.content);
    while !places.is_empty() {
        let mut place = Reader::der(places.next(ber::SEQUENCE)?.content);
        if let Some(name) = place.optional(context(0))?
            && uris(name.content)?.iter().any(|uri| own.contains(uri))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The URIs of a distribution point's full name.
fn uris(name: &[u8]) -> Result<Vec<&[u8]>, BerError> {
    let mut found = Vec::new();
    let Some(names) = Reader::der(name).optional(context(0))? else { return Ok(found) };
    let mut names = Reader::der(names.content);
    while !names.is_empty() {
        let name = names.any()?;
        if name.tag == URI {
            found.push(name.content);
        }
    }
    Ok(found)
}

fn in_words(error: &Error) -> String {
    match error {
        Error::UnsupportedCrlVersion => "it is not of version 2".to_owned(),
        Error::UnsupportedDeltaCrl => "it says only what has changed (a delta list); the whole one is needed".to_owned(),
        Error::UnsupportedIndirectCrl => "it speaks for other authorities (an indirect list), which is not read here".to_owned(),
        Error::UnsupportedRevocationReasonsPartitioning => "it is of some reasons only; the whole one is needed".to_owned(),
        Error::UnsupportedCrlIssuingDistributionPoint => {
            "it is for some certificates only and does not name the place where it is fetched (issuingDistributionPoint), which is not read here".to_owned()
        }
        Error::TrailingData(_) => {
            "it cannot be read: it ends early, or something follows it (several lists in one file are in PEM)".to_owned()
        }
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not known".to_owned(),
        _ => "it cannot be read".to_owned(),
    }
}
