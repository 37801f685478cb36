//! Chains from an S/MIME certificate to an authority's roots (RFC 5280 §6, RFC 8550).
//!
//! Candidates are found by name: each certificate's issuer has, byte for byte, the name of the next. For every candidate webpki
//! checks all signatures, basicConstraints and path lengths, the extended key usage, critical extensions, and that all
//! certificates hold at one time; what it leaves open is asked here: the key usage, weak algorithms, names that a chain holds for
//! only, when the root holds, revocation. Every chain is judged by itself, at no time: when it holds is evidence.
//!
//! Work: at most [`MOST_STEPS`] certificates are looked at and [`MOST_CHAINS`] candidates are verified, each at most
//! [`MOST_LENGTH`] long, for one authority and one set of certificates, whatever whoever signed puts into it.

use super::authority::{Authority, CERTIFICATE_SIGN, DIGITAL_SIGNATURE, NON_REPUDIATION, Root, short_key};
use super::certificate::{Certificate, CertificateError};
use super::cms::dotted;
use super::crl::Crl;
use super::name;
use crate::evidence::{ChainStanding, SmimePath};
use rustls_pki_types::{CertificateDer, UnixTime};
use sigstore_verify::crypto::WEBPKI_VERIFICATION_ALGS;
use std::time::Duration;
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// The most certificates of a chain, its root aside.
const MOST_LENGTH: usize = 6;
const MOST_STEPS: usize = 256;
const MOST_CHAINS: usize = 16;

/// 1.3.6.1.5.5.7.3.4, emailProtection, and 2.5.29.37.0, any.
const EMAIL_PROTECTION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

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
/// hold longest. `others` are certificates that came with it.
///
/// # Errors
/// Where there is none.
pub(super) fn find(authority: &Authority, leaf: &Certificate<'_>, others: &[&[u8]]) -> Result<Vec<SmimePath>, Why> {
    let untrusted = |what: &dyn std::fmt::Display| Why::Untrusted(format!("{}: {what}", authority.name));
    check_signer(leaf).map_err(|what| untrusted(&what))?;
    let mut certificates = vec![leaf.clone()];
    for other in others.iter().filter_map(|other| Certificate::parse(other).ok()) {
        if certificates.iter().all(|known| known.whole != other.whole) {
            certificates.push(other);
        }
    }
    let mut search = Search { authority, certificates, steps: MOST_STEPS, chains: MOST_CHAINS, found: Vec::new(), why: None };
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
        let held = chain.iter().map(|it| (it.not_before, it.not_after)).chain([root.held]);
        let (begin, end) = held.fold((i64::MIN, i64::MAX), |all, it| (all.0.max(it.0), all.1.min(it.1)));
        if begin > end {
            return Err(Why::Untrusted("at no time did all certificates of the chain hold".to_owned()));
        }
        let checked = Checked { leaf, above, root, begin };
        checked.verify(None).map_err(|error| Why::Untrusted(in_words(&error)))?;
        Ok(SmimePath {
            authority: self.authority.name.clone(),
            issuers: chain.iter().map(|it| name::read(it.issuer)).collect(),
            begin,
            end,
            standing: match &self.authority.crls {
                Some(lists) => checked.standing(lists),
                None => ChainStanding::Unasked,
            },
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
    fn verify(&self, revocation: Option<RevocationOptions<'_>>) -> Result<(), Error> {
        let der = CertificateDer::from(self.leaf.whole);
        let end_entity = EndEntityCert::try_from(&der)?;
        let between: Vec<CertificateDer<'_>> = self.above.iter().map(|it| CertificateDer::from(it.whole)).collect();
        let anchors = [self.root.anchor.clone()];
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(self.begin).unwrap_or(0)));
        let algorithms = WEBPKI_VERIFICATION_ALGS;
        let path = end_entity.verify_for_usage(algorithms, &anchors, &between, time, ForMail, revocation, None)?;
        // a shorter way is a candidate of its own
        if path.intermediate_certificates().count() == between.len() { Ok(()) } else { Err(Error::UnknownIssuer) }
    }

    /// What revocation lists say of it. A list of the right name that cannot be checked by the key of that name here makes it
    /// unknown: it might be the one that matters.
    fn standing(&self, lists: &[Crl]) -> ChainStanding {
        let (mut own_is_good, mut unknown, mut revoked) = (false, None, Vec::new());
        let chain: Vec<&Certificate<'a>> = [self.leaf].into_iter().chain(self.above.iter().copied()).collect();
        for list in lists {
            let of_list = |certificate: &Certificate<'_>| certificate.issuer == list.issuer();
            if !chain.iter().any(|it| of_list(it)) {
                continue;
            }
            let by_root = self.root.holder == list.issuer();
            let check = |depth, status| match RevocationOptionsBuilder::new(&[&list.list]) {
                Ok(options) if !by_root || self.root.may_sign_lists => {
                    self.verify(Some(options.with_depth(depth).with_status_policy(status).build()))
                }
                _ => Err(Error::IssuerNotCrlSigner),
            };
            let checks = [
                of_list(self.leaf).then(|| check(RevocationCheckDepth::EndEntity, UnknownStatusPolicy::Deny)),
                self.above.iter().any(|it| of_list(it)).then(|| check(RevocationCheckDepth::Chain, UnknownStatusPolicy::Allow)),
            ];
            for (index, check) in checks.into_iter().enumerate() {
                match check {
                    None => {}
                    Some(Ok(())) => own_is_good |= index == 0,
                    Some(Err(Error::CertRevoked)) => revoked.extend(chain.iter().enumerate().filter_map(|(at, it)| {
                        let how = Some(it).filter(|it| of_list(it)).and_then(|it| list.find(it.serial))?;
                        Some(ChainStanding::Revoked { own: at == 0, how })
                    })),
                    // by another key of the same name, or for other certificates: a good one is asked for below
                    Some(Err(
                        Error::InvalidCrlSignatureForPublicKey
                        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
                        | Error::UnknownRevocationStatus,
                    )) if index == 0 => {}
                    Some(Err(error)) => {
                        unknown = Some(format!("the revocation list of {} is not usable: {error}", name::read(list.issuer())));
                    }
                }
            }
        }
        let worst = revoked
            .into_iter()
            .max_by_key(|standing| (severity(standing), matches!(standing, ChainStanding::Revoked { own: true, .. })));
        match (worst, unknown) {
            (Some(revoked), _) => revoked,
            (None, Some(what)) => ChainStanding::Unknown(what),
            (None, None) if own_is_good => ChainStanding::Good,
            (None, None) => {
                let issuer = name::read(self.leaf.issuer);
                ChainStanding::Unknown(format!("no revocation list is by {issuer}, who issued the certificate"))
            }
        }
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

fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidSignatureForPublicKey => "a signature in its chain does not match".to_owned(),
        Error::CaUsedAsEndEntity => "the certificate is an authority's own, which signs certificates only".to_owned(),
        Error::EndEntityUsedAsCa => "what signed it is no authority's certificate (basicConstraints)".to_owned(),
        Error::PathLenConstraintViolated => "an authority above it may not have as many below it (pathLenConstraint)".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => {
            "the certificate, or one above it, is not for e-mail (extended key usage)".to_owned()
        }
        Error::UnsupportedCriticalExtension => "a certificate has a critical extension that is not known".to_owned(),
        Error::UnsupportedSignatureAlgorithmContext(context) => {
            format!("a certificate is signed by an algorithm that is not supported ({})", dotted(&context.signature_algorithm_id))
        }
        other => other.to_string(),
    }
}
