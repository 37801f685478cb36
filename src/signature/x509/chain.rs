//! Whether a certificate is one of a trusted root's authorities, and was seen by its certificate log (RFC 5280, RFC 6962).
//!
//! The same certificate signs every commit of ten minutes, and its chain costs as much as all the rest: it is checked once a
//! certificate, here, and the times that are proved must then lie within what was found ([`Window`]).

use super::certificate::{Certificate, Logged};
use super::name;
use crate::evidence::Name;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256};
use sigstore_verify::crypto::{Keyring, SigningScheme, WEBPKI_VERIFICATION_ALGS};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Sha256Hash, SignatureBytes, TimeRange};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

/// The content of the object identifier of codeSigning (1.3.6.1.5.5.7.3.3).
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

/// The authorities and certificate logs of a trusted root.
pub(super) struct Chains {
    authorities: Vec<Authority>,
    /// Whether each certificate has to be in a certificate log.
    logged: bool,
    logs: Vec<(u16, Keyring)>,
    /// The certificates that were found good.
    good: Mutex<HashMap<Vec<u8>, Window>>,
}

/// One certificate authority.
struct Authority {
    /// The last certificate of its chain: it is trusted as such.
    anchor: TrustAnchor<'static>,
    /// When that certificate holds.
    held: (i64, i64),
    /// What stands between: certificates that have to be good themselves.
    intermediates: Vec<CertificateDer<'static>>,
    /// When the trusted root believes the authority.
    valid_for: Option<TimeRange>,
    /// The certificates of its chain, the last one included: whose each is, and its key (SubjectPublicKeyInfo, DER).
    keys: Vec<(Name, Vec<u8>)>,
    /// The certificates between that were found good, each with all above it.
    proven: Mutex<Vec<Arc<Issuer>>>,
}

/// A certificate between, whose path to the anchor was found good.
struct Issuer {
    /// Itself, as what the next certificate need be signed by.
    anchor: TrustAnchor<'static>,
    /// Its key (SubjectPublicKeyInfo, DER).
    key: Vec<u8>,
    /// When it and all above it hold.
    held: (i64, i64),
}

/// How far the clocks of an authority and of a certificate log may be apart, in seconds.
const CLOCK_TOLERANCE: i64 = 600;

/// More certificates than these are forgotten again.
const MOST_REMEMBERED: usize = 1024;

/// When a certificate and its authority hold, both ends included; seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// That of the certificate and of all above it.
    path: (i64, i64),
    authority: Option<TimeRange>,
}

impl Window {
    /// Its first moment.
    pub(super) fn begin(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.path.0).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Its last.
    pub(super) fn end(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.path.1).unwrap_or(jiff::Timestamp::MIN)
    }

    /// Whether a moment lies in it.
    pub(super) fn contains(&self, time: i64) -> bool {
        let in_authority = |range: TimeRange| jiff::Timestamp::from_second(time).is_ok_and(|time| range.contains(time));
        (self.path.0..=self.path.1).contains(&time) && self.authority.is_none_or(in_authority)
    }
}

/// Signature algorithms of certificate logs (RFC 5246 §7.4.1.4.1).
const SCHEMES: [(u16, SigningScheme); 4] = [
    (0x0403, SigningScheme::EcdsaP256Sha256),
    (0x0503, SigningScheme::EcdsaP384Sha384),
    (0x0401, SigningScheme::RsaPkcs1Sha256),
    (0x0601, SigningScheme::RsaPkcs1Sha512),
];

impl Chains {
    /// Reads the authorities' certificates and the logs' keys.
    pub(super) fn of(root: &TrustedRoot) -> Result<Self, String> {
        let mut authorities = Vec::new();
        for authority in &root.certificate_authorities {
            let chain = authority.cert_chain.certificates.iter();
            let mut chain: Vec<CertificateDer<'static>> =
                chain.map(|it| CertificateDer::from(it.raw_bytes.as_bytes().to_vec())).collect();
            let Some(last) = chain.pop() else { continue };
            let anchor = anchor_from_trusted_cert(&last).map_err(|error| error.to_string())?.to_owned();
            let (held, valid_for) = (held(&last)?, authority.valid_for);
            // one that cannot be read certifies nothing
            let read = chain.iter().chain([&last]).filter_map(|it| Certificate::parse(it).ok());
            let keys = read.map(|it| (name::read(it.holder), it.key.to_vec())).collect();
            authorities.push(Authority { anchor, held, intermediates: chain, valid_for, keys, proven: Mutex::default() });
        }
        let keyring = |(number, scheme)| Ok((number, root.ctfe_keys(scheme).map_err(|error| error.to_string())?));
        let logs = SCHEMES.into_iter().map(keyring).collect::<Result<_, String>>()?;
        Ok(Self { authorities, logged: !root.ctlogs.is_empty(), logs, good: Mutex::default() })
    }

    /// Whether each certificate has to be in a certificate log.
    pub(super) fn are_logged(&self) -> bool {
        self.logged
    }

    /// Whose key is in both, as an authority's: what that certified could be of either.
    pub(super) fn shared_key(&self, other: &Self) -> Option<&Name> {
        let theirs: HashSet<&[u8]> = other.keys().map(|(_, key)| key.as_slice()).collect();
        self.keys().find(|(_, key)| theirs.contains(key.as_slice())).map(|(name, _)| name)
    }

    fn keys(&self) -> impl Iterator<Item = &(Name, Vec<u8>)> {
        self.authorities.iter().flat_map(|it| &it.keys)
    }

    /// Whether an authority signed the certificate, for signing code, at the moment at which the certificate begins; and where
    /// there are certificate logs, one of them saw it.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(super) fn check(&self, leaf: &Certificate<'_>) -> Result<Window, String> {
        if let Some(window) = self.good.lock().ok().and_then(|good| good.get(leaf.whole).copied()) {
            return Ok(window);
        }
        let window = self.check_anew(leaf)?;
        if let Ok(mut good) = self.good.lock() {
            if good.len() >= MOST_REMEMBERED {
                good.clear();
            }
            good.insert(leaf.whole.to_vec(), window);
        }
        Ok(window)
    }

    fn check_anew(&self, leaf: &Certificate<'_>) -> Result<Window, String> {
        let begin = jiff::Timestamp::from_second(leaf.not_before).map_err(|error| error.to_string())?;
        let der = CertificateDer::from(leaf.whole);
        let end_entity = EndEntityCert::try_from(&der).map_err(|error| in_words(&error))?;
        let seconds = u64::try_from(leaf.not_before).map_err(|_| "it begins before 1970".to_owned())?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let mut why = "none holds at that time".to_owned();
        for authority in self.authorities.iter().filter(|it| it.valid_for.is_none_or(|window| window.contains(begin))) {
            let (issuer, held) = match authority.issuer(&end_entity, leaf.not_before, time) {
                Ok(found) => found,
                Err(error) => {
                    why = error;
                    continue;
                }
            };
            if self.logged {
                self.check_timestamp(leaf, &issuer)?;
            }
            let path = (leaf.not_before.max(held.0), leaf.not_after.min(held.1));
            return Ok(Window { path, authority: authority.valid_for });
        }
        Err(format!("no authority of the trusted root signed it ({why})"))
    }

    fn check_timestamp(&self, leaf: &Certificate<'_>, issuer: &[u8]) -> Result<(), String> {
        let found = leaf.certificate_timestamps().map_err(|error| error.to_string())?;
        let Logged { list, signed } = found.ok_or("it carries no timestamp of a certificate log (SCT)")?;
        let sct = Sct::parse(list).ok_or("its timestamp of a certificate log (SCT) cannot be read")?;
        let length = u32::try_from(signed.len()).map_err(|_| "it is too long".to_owned())?.to_be_bytes();
        let message = [
            &[0, 0][..], // version 1, certificate_timestamp
            sct.time,
            &[0, 1], // precert_entry
            &Sha256::digest(issuer),
            length.get(1..).unwrap_or_default(),
            &signed,
            sct.extensions,
        ]
        .concat();
        let keyring = self.logs.iter().find(|(number, _)| *number == sct.algorithm).map(|(_, keyring)| keyring);
        let keyring = keyring.ok_or("its timestamp of a certificate log (SCT) is of an unknown algorithm")?;
        let wrong = |what: &dyn std::fmt::Display| format!("its timestamp of a certificate log (SCT) is not good: {what}");
        let millis = sct.time.iter().fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
        let time = i64::try_from(millis).map_err(|error| wrong(&error))?;
        let time = jiff::Timestamp::from_millisecond(time).map_err(|error| wrong(&error))?;
        // else a log's key of former times would see certificates of today
        if !(leaf.not_before.saturating_sub(CLOCK_TOLERANCE)..=leaf.not_after).contains(&time.as_second()) {
            return Err(wrong(&"it is of another time than the certificate"));
        }
        let log = Sha256Hash::try_from(sct.log).map_err(|error| wrong(&error))?;
        let signature = SignatureBytes::new(sct.signature.to_vec());
        keyring.verify_with_key_id_at(&log, time, &message, &signature).map_err(|error| wrong(&error))
    }
}

impl Authority {
    /// The key that signed a certificate (SubjectPublicKeyInfo, DER), where the path from there to the anchor is good at a moment;
    /// and when all on it hold, the certificate itself left out.
    fn issuer(&self, leaf: &EndEntityCert<'_>, at: i64, time: UnixTime) -> Result<(Vec<u8>, (i64, i64)), String> {
        let verify = |anchor: &TrustAnchor<'static>, between: &[CertificateDer<'static>]| {
            let (anchors, usage) = ([anchor.clone()], KeyUsage::required(CODE_SIGNING));
            let path = leaf.verify_for_usage(WEBPKI_VERIFICATION_ALGS, &anchors, between, time, usage, None, None);
            path.map(|path| path.intermediate_certificates().map(|it| it.der().into_owned()).collect::<Vec<_>>())
        };
        // what is above a certificate between is the same for all that it signed, and costs as much as they do
        let proven = self.proven.lock().map(|proven| proven.clone()).unwrap_or_default();
        let within = |held: (i64, i64)| (held.0..=held.1).contains(&at);
        let holds = |issuer: &&Arc<Issuer>| within(issuer.held) && verify(&issuer.anchor, &[]).is_ok();
        if let Some(issuer) = proven.iter().find(holds) {
            return Ok((issuer.key.clone(), issuer.held));
        }
        let between = verify(&self.anchor, &self.intermediates).map_err(|error| in_words(&error))?;
        let mut all = self.held;
        for certificate in &between {
            let (first, last) = held(certificate)?;
            all = (all.0.max(first), all.1.min(last));
        }
        let Some(first) = between.first() else {
            // webpki gives the content of the key's sequence only
            return Ok((super::certificate::der(super::ber::SEQUENCE, self.anchor.subject_public_key_info.as_ref()), all));
        };
        let key = Certificate::parse(first).map_err(|error| error.to_string())?.key.to_vec();
        // names that only those above allow would be forgotten: such an authority is asked each time
        let alone = between.len() == 1 && self.anchor.name_constraints.is_none();
        if alone
            && within(all)
            && let Ok(mut proven) = self.proven.lock()
        {
            let anchor = anchor_from_trusted_cert(first).map_err(|error| error.to_string())?.to_owned();
            proven.push(Arc::new(Issuer { anchor, key: key.clone(), held: all }));
        }
        Ok((key, all))
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::RequiredEkuNotFoundContext(_) => {
            "the certificate, or one above it, is not for signing code (extended key usage)".to_owned()
        }
        other => super::path::in_words(other),
    }
}

/// When a certificate of an authority holds.
fn held(certificate: &CertificateDer<'_>) -> Result<(i64, i64), String> {
    let read = Certificate::parse(certificate).map_err(|error| format!("a certificate of the trusted root: {error}"))?;
    Ok((read.not_before, read.not_after))
}

/// One SignedCertificateTimestamp (RFC 6962 §3.2).
struct Sct<'a> {
    log: &'a [u8],
    time: &'a [u8],
    /// With its length.
    extensions: &'a [u8],
    algorithm: u16,
    signature: &'a [u8],
}

impl<'a> Sct<'a> {
    /// The one timestamp of a list.
    fn parse(list: &'a [u8]) -> Option<Self> {
        let mut outer = list;
        let mut rest = of_length(take(&mut outer, 2)?).and_then(|length| take(&mut outer, length)).filter(|_| outer.is_empty())?;
        let mut sct = of_length(take(&mut rest, 2)?).and_then(|length| take(&mut rest, length)).filter(|_| rest.is_empty())?;
        if take(&mut sct, 1)? != [0] {
            return None;
        }
        let (log, time, before) = (take(&mut sct, 32)?, take(&mut sct, 8)?, sct);
        let length = of_length(take(&mut sct, 2)?)?;
        take(&mut sct, length)?;
        let extensions = before.get(..before.len() - sct.len())?;
        let algorithm = take(&mut sct, 2)?.try_into().ok().map(u16::from_be_bytes)?;
        let length = of_length(take(&mut sct, 2)?)?;
        let signature = take(&mut sct, length)?;
        sct.is_empty().then_some(Self { log, time, extensions, algorithm, signature })
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn of_length(digits: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(digits.try_into().ok()?)))
}
