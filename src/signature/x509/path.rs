//! Chains from an S/MIME certificate to an authority's roots (RFC 5280 §6, RFC 8550).
//!
//! Candidates are found by name: each certificate's issuer has, byte for byte, the name of the next. For every candidate webpki
//! checks all signatures, basicConstraints and path lengths, the extended key usage, critical extensions, and that all
//! certificates hold at one time; what it leaves open is asked here: the key usage, weak algorithms, names that a chain holds for
//! only, what the root itself allows and when it holds, revocation. Every chain is judged by itself, at no time: when it holds is evidence.
//!
//! Work: at most [`MOST_STEPS`] certificates are looked at and [`MOST_CHAINS`] candidates are verified, each at most
//! [`MOST_LENGTH`] long, for one authority and one set of certificates, whatever whoever signed puts into it.

use super::algorithms::{self, Signed};
use super::authority::{Authority, CERTIFICATE_SIGN, CRL_SIGN, DIGITAL_SIGNATURE, NON_REPUDIATION, Root, short_key};
use super::ber::{self, Reader};
use super::certificate::{ANY_PURPOSE, Certificate, CertificateError, EMAIL_PROTECTION};
use super::cms::dotted;
use super::crl::Crl;
use super::name;
use crate::evidence::{ChainStanding, Name, Revocation, SmimePath};
use crate::verdict::Utc;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
};

/// The most certificates of a chain, its root aside.
const MOST_LENGTH: usize = 6;
const MOST_STEPS: usize = 256;
const MOST_CHAINS: usize = 16;

/// Algorithms of signatures that prove nothing any more.
const WEAK: [(&[u8], &str); 6] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02], "MD2"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], "MD5"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], "SHA-1"),
    (&[0x2b, 0x0e, 0x03, 0x02, 0x1d], "SHA-1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], "SHA-1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03], "DSA and SHA-1"),
];

/// Why no chain is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A chain there is, but it rests on this.
    Weak(String),
    /// What is missing, in words.
    Untrusted(String),
}

/// The good chains of a certificate to an authority's roots, the best first: those in which nothing is revoked, then those that
/// hold longest. `all` are the policy's authorities, this one among them; `others` are certificates that came with it.
///
/// # Errors
/// Where there is none.
pub(super) fn find(
    authority: &Authority,
    all: &[Authority],
    leaf: &Certificate<'_>,
    others: &[&[u8]],
) -> Result<Vec<SmimePath>, Why> {
    let untrusted = |what: &dyn std::fmt::Display| Why::Untrusted(format!("{}: {what}", authority.name));
    check_signer(leaf).map_err(|what| untrusted(&what))?;
    let mut certificates = vec![leaf.clone()];
    for other in others.iter().filter_map(|other| Certificate::parse(other).ok()) {
        if certificates.iter().all(|known| known.whole != other.whole) {
            certificates.push(other);
        }
    }
    let mut search = Search { authority, all, certificates, steps: MOST_STEPS, chains: MOST_CHAINS, found: Vec::new(), why: None };
    search.extend(&mut vec![0]);
    let Search { mut found, why, .. } = search;
    found.sort_by_key(|path| (severity(&path.standing), std::cmp::Reverse(path.end), path.issuers.len()));
    if !found.is_empty() {
        return Ok(found);
    }
    Err(match why {
        Some(Why::Untrusted(what)) => untrusted(&what),
        Some(weak) => weak,
        None => untrusted(&"no root of it leads to the certificate, or one between is not in the signature"),
    })
}

fn severity(standing: &ChainStanding) -> u8 {
    match standing {
        ChainStanding::Unasked | ChainStanding::Good => 0,
        ChainStanding::Unknown(_) => 1,
        ChainStanding::Revoked { how, .. } => 2 + u8::from(how.hard),
    }
}

/// Whether a certificate may sign mails: its key usage, where it has one, says digitalSignature or nonRepudiation (RFC 8550
/// §4.4.2).
fn check_signer(leaf: &Certificate<'_>) -> Result<(), String> {
    let usage = leaf.key_usage().map_err(|error| error.to_string())?;
    match usage.is_none_or(|usage| usage & (DIGITAL_SIGNATURE | NON_REPUDIATION) != 0) {
        true => Ok(()),
        false => Err("the certificate is not for signing (keyUsage)".to_owned()),
    }
}

struct Search<'a> {
    authority: &'a Authority,
    all: &'a [Authority],
    /// The signer's first.
    certificates: Vec<Certificate<'a>>,
    steps: usize,
    chains: usize,
    found: Vec<SmimePath>,
    /// Why the last candidate is not good; weakness goes before all else.
    why: Option<Why>,
}

impl<'a> Search<'a> {
    /// Looks for issuers of the last certificate of a chain (indexes, the signer's first).
    fn extend(&mut self, chain: &mut Vec<usize>) {
        let Some(head) = chain.last().and_then(|&last| self.certificates.get(last)).cloned() else { return };
        self.steps = self.steps.saturating_sub(1);
        let authority = self.authority;
        for root in authority.roots.iter().filter(|root| root.holder == head.issuer) {
            if self.chains == 0 {
                return;
            }
            self.chains -= 1;
            match self.judge(chain, root) {
                Ok(path) => self.found.push(path),
                Err(Why::Untrusted(_)) if matches!(self.why, Some(Why::Weak(_))) => {}
                Err(why) => self.why = Some(why),
            }
        }
        if chain.len() >= MOST_LENGTH {
            return;
        }
        for next in 1..self.certificates.len() {
            let Some(issuer) = self.certificates.get(next) else { continue };
            // one key of one name twice is a loop (RFC 4158 §5.2)
            let mut known = chain.iter().filter_map(|&at| self.certificates.get(at));
            let again = known.any(|it| it.key == issuer.key && it.holder == issuer.holder);
            if issuer.holder != head.issuer || again || self.steps == 0 {
                continue;
            }
            chain.push(next);
            self.extend(chain);
            chain.pop();
        }
    }

    fn judge(&self, chain: &[usize], root: &Root) -> Result<SmimePath, Why> {
        let chain: Vec<&Certificate<'_>> = chain.iter().filter_map(|&at| self.certificates.get(at)).collect();
        let (Some(leaf), above) = (chain.first(), chain.get(1..).unwrap_or_default()) else {
            return Err(Why::Untrusted("no certificate".to_owned()));
        };
        for certificate in &chain {
            if let Some((_, name)) = WEAK.iter().find(|(oid, _)| *oid == certificate.algorithm) {
                return Err(Why::Weak(format!("a certificate that is signed by means of {name}")));
            }
            if matches!(certificate.serial, [0, second, ..] if *second < 0x80) {
                return Err(Why::Untrusted("a serial number is not in DER".to_owned())); // no list would find it
            }
        }
        for certificate in above {
            check_issuer(certificate)?;
        }
        // one that has its own name as issuer is not counted (RFC 5280 §4.2.1.9)
        let counted = above.iter().filter(|it| it.issuer != it.holder).count();
        if root.path_length.is_some_and(|most| counted > most) {
            return Err(Why::Untrusted(in_words(&Error::PathLenConstraintViolated)));
        }
        let both = |all: (i64, i64), it: (i64, i64)| (all.0.max(it.0), all.1.min(it.1));
        let without_root = chain.iter().map(|it| (it.not_before, it.not_after)).fold((i64::MIN, i64::MAX), both);
        let (begin, end) = both(without_root, root.held);
        if without_root.0 > without_root.1 {
            return Err(Why::Untrusted("at no time did all certificates of the chain hold".to_owned()));
        }
        if begin > end {
            let (name, (from, to)) = (name::read(&root.holder), root.held);
            return Err(Why::Untrusted(format!(
                "the root {name} holds from {} to {}, when not all certificates below it do; where it was renewed, keep its older certificate among the roots",
                Utc(from),
                Utc(to)
            )));
        }
        let checked = Checked { leaf, above, root, begin };
        checked.verify().map_err(|error| Why::Untrusted(in_words(&error)))?;
        // another authority of the policy in the middle: its state and its lists are not evaded by going above it
        let of_chain = |other: &Authority| chain.iter().map(|it| it.key).chain([&root.key[..]]).any(|key| other.has_key(key));
        let through = self.all.iter().filter(|other| other.name != self.authority.name && of_chain(other)).collect::<Vec<_>>();
        let crls = [self.authority].into_iter().chain(through.iter().copied()).filter_map(|it| it.crls.as_deref());
        let lists = crls.collect::<Vec<_>>();
        let (standing, unasked) = match lists.is_empty() {
            false => checked.standing(&lists.into_iter().flatten().collect::<Vec<_>>()),
            true if chain.iter().any(|it| it.demands_lists()) => {
                let what =
                    "a certificate demands that revocation lists are asked (cRLDistributionPoints, critical), and there are none";
                return Err(Why::Untrusted(what.to_owned()));
            }
            true => (ChainStanding::Unasked, Vec::new()),
        };
        Ok(SmimePath {
            authority: self.authority.name.clone(),
            issuers: chain.iter().map(|it| name::read(it.issuer)).collect(),
            begin,
            end,
            through: through.iter().map(|it| it.name.clone()).collect(),
            standing,
            unasked,
        })
    }
}

/// What webpki does not ask of an authority's certificate between.
fn check_issuer(certificate: &Certificate<'_>) -> Result<(), Why> {
    let untrusted = |what: &str| Why::Untrusted(what.to_owned());
    let usage = certificate.key_usage().map_err(|error: CertificateError| Why::Untrusted(error.to_string()))?;
    if usage.is_some_and(|usage| usage & CERTIFICATE_SIGN == 0) {
        return Err(untrusted("a key above it is not for signing certificates (keyUsage)"));
    }
    if certificate.has_name_constraints() {
        return Err(untrusted("an authority above it holds for some names only (nameConstraints), which is not judged here"));
    }
    match short_key(certificate.key) {
        Some(bits) => Err(Why::Weak(format!("a certificate that is signed by an RSA key of {bits} bits"))),
        None => Ok(()),
    }
}

/// One candidate.
struct Checked<'a, 'b> {
    leaf: &'b Certificate<'a>,
    /// What stands between it and the root, its issuer first.
    above: &'b [&'b Certificate<'a>],
    root: &'b Root,
    /// A moment at which all of it holds.
    begin: i64,
}

impl<'a> Checked<'a, '_> {
    /// Whether webpki finds it good, by all of the certificates in it.
    fn verify(&self) -> Result<(), Error> {
        let der = CertificateDer::from(self.leaf.whole);
        let end_entity = EndEntityCert::try_from(&der)?;
        let between: Vec<CertificateDer<'_>> = self.above.iter().map(|it| CertificateDer::from(it.whole)).collect();
        let anchors = [self.root.anchor.clone()];
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(self.begin).unwrap_or(0)));
        let path = end_entity.verify_for_usage(&algorithms::ALL, &anchors, &between, time, ForMail, None, None)?;
        // a shorter way is a candidate of its own
        if path.intermediate_certificates().count() == between.len() { Ok(()) } else { Err(Error::UnknownIssuer) }
    }

    /// What revocation lists say of it, and whose certificates in it no list is for.
    fn standing(&self, lists: &[&Crl]) -> (ChainStanding, Vec<Name>) {
        let chain = [self.leaf].into_iter().chain(self.above.iter().copied());
        let (mut revoked, mut unknown, mut unasked) = (self.of_root(lists), None, Vec::new());
        for (at, certificate) in chain.enumerate() {
            let own = at == 0;
            let (key, may_sign_lists) = match self.above.get(at) {
                Some(issuer) => (issuer.key, issuer.key_usage().is_ok_and(|usage| usage.is_none_or(|it| it & CRL_SIGN != 0))),
                None => (&self.root.key[..], self.root.may_sign_lists),
            };
            match ask(lists, certificate, !own, key, may_sign_lists) {
                Said::Good => {}
                Said::Revoked(how) => revoked.push(ChainStanding::Revoked { own, how }),
                Said::Unknown(what) => unknown = unknown.or(Some(what)),
                Said::Nothing if own => {
                    let issuer = name::read(certificate.issuer);
                    unknown = Some(format!("no revocation list is by {issuer}, who issued the certificate"));
                }
                Said::Nothing => unasked.push(name::read(certificate.issuer)),
            }
        }
        let worst = revoked
            .into_iter()
            .max_by_key(|standing| (severity(standing), matches!(standing, ChainStanding::Revoked { own: true, .. })));
        let standing = worst.or(unknown.map(ChainStanding::Unknown)).unwrap_or(ChainStanding::Good);
        (standing, unasked)
    }

    /// How the root's own certificate is revoked. Nobody stands above it here by whose key a list could be checked, so the word of
    /// the policy's own file is enough.
    fn of_root(&self, lists: &[&Crl]) -> Vec<ChainStanding> {
        let of_root = lists.iter().filter(|list| list.is_of(&self.root.issuer));
        of_root.filter_map(|list| list.find(&self.root.serial)).map(|how| ChainStanding::Revoked { own: false, how }).collect()
    }
}

/// What lists say of one certificate.
enum Said {
    Good,
    Revoked(Revocation),
    /// Lists there are, but none by which it could be told.
    Unknown(String),
    /// No list is of its issuer.
    Nothing,
}

/// Asks the lists of a certificate's issuer, whose key is `key`. What any of them revokes is revoked; else one that is good, by
/// that key and for this certificate, is enough: another may be by an older key of the same name.
fn ask(lists: &[&Crl], certificate: &Certificate<'_>, authority: bool, key: &[u8], may_sign_lists: bool) -> Said {
    let (mut good, mut revoked, mut unfit, mut unread) = (false, None::<Revocation>, None, None);
    let issuer = || name::read(certificate.issuer);
    for list in lists.iter().filter(|list| list.is_of(certificate.issuer)) {
        match list.signed_by(key) {
            Signed::ByKey if !may_sign_lists => {
                unread = Some(format!("the key of {} may not sign the revocation list that it signed (keyUsage)", issuer()));
            }
            Signed::ByKey if !list.is_for(certificate, authority) => {
                let what =
                    format!("the revocation list of {} is for other certificates than this (issuingDistributionPoint)", issuer());
                unfit = unfit.or(Some(what));
            }
            Signed::ByKey => match list.find(certificate.serial) {
                None => good = true,
                Some(how) => revoked = revoked.filter(|worse| worse.hard).or(Some(how)),
            },
            Signed::ByAnother => {
                let name = issuer();
                unfit = Some(format!(
                    "no revocation list is by the key of {name}: the list of {name} is not usable, it is signed by another key"
                ));
            }
            Signed::Unsupported => {
                let what = "it is signed by an algorithm that is not supported, or too weak";
                unread = Some(format!("the revocation list of {} is not usable: {what}", issuer()));
            }
        }
    }
    match (revoked, unread, good, unfit) {
        (Some(how), ..) => Said::Revoked(how),
        (None, Some(what), ..) => Said::Unknown(what),
        (None, None, true, _) => Said::Good,
        (None, None, false, Some(what)) => Said::Unknown(what),
        (None, None, false, None) => Said::Nothing,
    }
}

/// The extended key usage of an S/MIME certificate and of those above it: emailProtection, any, or none said (RFC 8550 §4.4.4,
/// RFC 5280 §4.2.1.12; openssl and gpgsm take it so). One for servers, clients or code is not one for mails.
struct ForMail;

impl ExtendedKeyUsageValidator for ForMail {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let (mut said, mut good) = (false, false);
        for purpose in purposes {
            let purpose = purpose?;
            said = true;
            good |= purpose == KeyPurposeId::new(EMAIL_PROTECTION) || purpose == KeyPurposeId::new(ANY_PURPOSE);
        }
        if good || !said {
            return Ok(());
        }
        let required = KeyUsage::required_if_present(EMAIL_PROTECTION);
        Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present: Vec::new() }))
    }
}

/// Why webpki finds a chain not good.
pub(super) fn in_words(error: &Error) -> String {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => {
            "a certificate of its chain does not hold at that time".to_owned()
        }
        Error::NameConstraintViolation => "an authority above it does not hold for its name (nameConstraints)".to_owned(),
        Error::InvalidSignatureForPublicKey => "a signature in its chain does not match".to_owned(),
        Error::CaUsedAsEndEntity => "the certificate is an authority's own, which signs certificates only".to_owned(),
        Error::EndEntityUsedAsCa => "what signed it is no authority's certificate (basicConstraints)".to_owned(),
        Error::PathLenConstraintViolated => "an authority above it may not have as many below it (pathLenConstraint)".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => {
            "the certificate, or one above it, is not for e-mail (extended key usage)".to_owned()
        }
        Error::UnsupportedCriticalExtension => "a certificate has a critical extension that is not known".to_owned(),
        Error::UnsupportedSignatureAlgorithmContext(context) => {
            let id = Reader::der(&context.signature_algorithm_id).next(ber::OID).map(|id| dotted(id.content)).unwrap_or_default();
            format!("a certificate is signed by an algorithm that is not supported ({id})")
        }
        Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a certificate is signed by an algorithm that is not one of the key above it".to_owned()
        }
        Error::UnknownIssuer => "no root of it leads to the certificate".to_owned(),
        Error::MaximumPathBuildCallsExceeded | Error::MaximumSignatureChecksExceeded | Error::MaximumPathDepthExceeded => {
            "its chain is too long, or asks for too much work".to_owned()
        }
        Error::SignatureAlgorithmMismatch => "a certificate names two algorithms for its signature".to_owned(),
        _ => "a certificate in its chain cannot be read, or is not for this".to_owned(),
    }
}
