//! How a certificate is read: by whose rules, as of which moment, which of its keys may sign, and when that changes.

use super::{end_of, moment, seconds};
use crate::evidence::CLOCK_TOLERANCE;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::cert::amalgamation::ValidAmalgamation as _;
use sequoia_openpgp::cert::amalgamation::key::{PrimaryKey as _, ValidErasedKeyAmalgamation};
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::packet::key::{KeyParts, KeyRole, PublicParts};
use sequoia_openpgp::packet::signature::subpacket::{SubpacketTag, SubpacketValue};
use sequoia_openpgp::packet::{Key, Signature, Tag};
use sequoia_openpgp::policy::{AsymmetricAlgorithm, HashAlgoSecurity, Policy as _, StandardPolicy};
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, SignatureType, Timestamp};
use std::time::Duration;

/// By whose rules a certificate is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// A policy's: what is dated ahead counts within the tolerance of clocks.
    Policy,
    /// GnuPG's: the newest self-signature counts, whatever its date.
    Gnupg,
}

impl Rules {
    /// What counts however weak its hash is: GnuPG leaves out MD5.
    pub(super) fn lenient(self, now: Timestamp) -> StandardPolicy<'static> {
        let mut policy = lenient(now);
        if self == Self::Gnupg {
            policy.reject_hash(HashAlgorithm::MD5);
        }
        policy
    }

    /// The moment as of which a certificate is read: now, or that of its newest self-signature, where that may lie ahead.
    pub(super) fn as_of(self, cert: &Cert, now: Timestamp) -> Timestamp {
        let latest = match self {
            Self::Policy => seconds(now).saturating_add(CLOCK_TOLERANCE),
            Self::Gnupg => i64::MAX,
        };
        moment(ahead(cert, now).filter(|made| *made <= latest).max().unwrap_or(seconds(now)))
    }

    /// When a primary key ends for GnuPG: the newest direct key signature that names an end says so, else the user id with the newest
    /// self-signature that does (merge_selfsigs_main of its getkey.c). Sequoia asks the user id that is the primary one.
    fn end_of_primary(self, cert: &Cert, as_of: Timestamp) -> Option<i64> {
        let made = seconds(cert.primary_key().key().creation_time());
        self.said_of_primary(cert, as_of, |signature| after(made, signature.key_validity_period()))
    }

    /// The same of what it may be used for, where anything is said of that.
    fn flags_of_primary(self, cert: &Cert, as_of: Timestamp) -> Option<KeyFlags> {
        self.said_of_primary(cert, as_of, |signature| signature.key_flags())
    }

    fn said_of_primary<T>(self, cert: &Cert, as_of: Timestamp, what: impl Fn(&Signature) -> Option<T>) -> Option<T> {
        let (lenient, primary) = (self.lenient(as_of), cert.primary_key());
        let is_sound = |it: &&Signature| lenient.signature(it, HashAlgoSecurity::SecondPreImageResistance).is_ok();
        let counts = |it: &&Signature| is_sound(it) && it.signature_alive(as_of, Duration::ZERO).is_ok();
        let direct = primary.self_signatures().filter(|it| it.typ() == SignatureType::DirectKey);
        let named = direct.filter(counts).max_by_key(|it| made(it)).and_then(&what);
        let newest = cert.userids().filter_map(|id| {
            let revoked = id.self_revocations().filter(is_sound).map(made).max();
            let newest = id.self_signatures().filter(counts).max_by_key(|it| made(it));
            newest.filter(|it| revoked.is_none_or(|revoked| revoked < made(it)))
        });
        named.or_else(|| newest.filter(|it| what(it).is_some()).max_by_key(|it| made(it)).and_then(&what))
    }
}

/// When the self-signatures were made, or the subkeys' words in them, that are dated ahead of now.
fn ahead(cert: &Cert, now: Timestamp) -> impl Iterator<Item = i64> {
    // the newest come first, and each that is looked at is checked
    let is_ahead = move |made: &i64| *made > seconds(now);
    let latest = |it: &Signature| it.embedded_signatures().map(made).fold(made(it), i64::max);
    let of_keys = cert.keys().flat_map(move |key| key.self_signatures().map(latest).take_while(is_ahead));
    let of_ids = cert.userids().flat_map(move |id| id.self_signatures().map(made).take_while(is_ahead));
    of_keys.chain(of_ids)
}

fn made(signature: &Signature) -> i64 {
    signature.signature_creation_time().map_or(0, seconds)
}

/// Takes the weak algorithms too.
pub(super) fn lenient(now: Timestamp) -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::at(now);
    for hash in [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD] {
        policy.accept_hash(hash);
    }
    #[allow(deprecated)] // they are in old histories
    for algorithm in [
        AsymmetricAlgorithm::RSA1024,
        AsymmetricAlgorithm::DSA1024,
        AsymmetricAlgorithm::DSA2048,
        AsymmetricAlgorithm::DSA3072,
        AsymmetricAlgorithm::DSA4096,
    ] {
        policy.accept_asymmetric_algo(algorithm);
    }
    policy.accept_packet_tag_version(Tag::Signature, 3);
    policy
}

/// The numbers of a key are no longer than this, in bits: what is checked by longer ones can take minutes.
const LONGEST: usize = 8192;
/// And those that are exponents in DSA no longer than this: FIPS 186-4 ends with half of it.
const LONGEST_DSA_Q: usize = 512;

/// Whether something can be checked by a key in reasonable time.
pub(super) fn is_checkable<P: KeyParts, R: KeyRole>(key: &Key<P, R>) -> bool {
    match key.mpis() {
        PublicKey::RSA { e, n } => e.bits() <= LONGEST && n.bits() <= LONGEST,
        PublicKey::DSA { p, q, g, y } => q.bits() <= LONGEST_DSA_Q && [p, g, y].iter().all(|it| it.bits() <= LONGEST),
        PublicKey::EdDSA { q, .. } | PublicKey::ECDSA { q, .. } => q.bits() <= LONGEST,
        _ => true, // nothing is checked by it, or it is of a fixed length
    }
}

/// Whether a key may sign. Without flags GnuPG goes by the algorithm; a subkey has to say itself that it belongs to the
/// certificate, or anybody could take somebody else's. For a policy a primary key has to be for signing by GnuPG's reading, too.
pub(super) fn may_sign(key: &ValidErasedKeyAmalgamation<'_, PublicParts>, rules: Rules, as_of: Timestamp) -> bool {
    let binding = key.binding_signature();
    let gnupgs = || rules.flags_of_primary(key.cert(), as_of);
    let flags = match key.primary() {
        true if rules == Rules::Gnupg => gnupgs(),
        true => gnupgs().filter(|flags| !flags.for_signing()).or_else(|| key.key_flags()),
        false => binding.key_flags(),
    };
    match flags {
        Some(flags) => flags.for_signing(), // Sequoia asked for the subkey's word
        None => key.key().pk_algo().for_signing() && (key.primary() || agrees(key, binding)),
    }
}

fn agrees(key: &ValidErasedKeyAmalgamation<'_, PublicParts>, binding: &Signature) -> bool {
    let (primary, subkey) = (key.cert().primary_key().key(), key.key().role_as_subordinate());
    binding.embedded_signatures().any(|word| {
        key.policy().signature(word, HashAlgoSecurity::SecondPreImageResistance).is_ok()
            && word.signature_alive(key.time(), Duration::ZERO).is_ok()
            && word.verify_primary_key_binding(primary, subkey).is_ok()
    })
}

/// When a key ends, by itself or with its certificate; for a policy by Sequoia's reading or GnuPG's, whichever is sooner.
pub(super) fn end(key: &ValidErasedKeyAmalgamation<'_, PublicParts>, rules: Rules, as_of: Timestamp) -> Option<i64> {
    let primary = key.valid_cert().primary_key();
    let (made, primary_made) = (seconds(key.key().creation_time()), seconds(primary.key().creation_time()));
    let whole = rules.end_of_primary(key.cert(), as_of);
    let ends = match rules {
        Rules::Policy => [after(made, key.key_validity_period()), after(primary_made, primary.key_validity_period()), whole],
        Rules::Gnupg if key.primary() => [whole, None, None],
        Rules::Gnupg => [whole, after(made, key.binding_signature().key_validity_period()), None],
    };
    let counted = |end| if rules == Rules::Gnupg { in_32_bits(end) } else { end };
    ends.into_iter().flatten().map(counted).min()
}

/// The time some while after another, beyond 2106 too; none at all is for ever.
pub(super) fn after(time: i64, period: Option<Duration>) -> Option<i64> {
    let period = i64::try_from(period?.as_secs()).ok().filter(|period| *period > 0)?;
    Some(time.saturating_add(period))
}

/// A time as GnuPG counts it: what lies beyond 2106 is long past there.
pub(super) fn in_32_bits(time: i64) -> i64 {
    time & i64::from(u32::MAX)
}

/// The first moment at which something else may bind a key: where one of the signatures ends by which it was read, or one that is
/// dated ahead begins to count. `None` where nothing of the kind is known.
pub(super) fn change(key: &ValidErasedKeyAmalgamation<'_, PublicParts>, now: Timestamp, as_of: Timestamp) -> Option<i64> {
    let (valid, cert) = (key.valid_cert(), key.cert());
    let (own, whole) = (key.binding_signature(), valid.primary_key().binding_signature());
    let read = [Some(own), Some(whole), valid.direct_key_signature().ok()];
    let read = read.into_iter().flatten().chain(own.embedded_signatures());
    let of_ids: Vec<&Signature> = cert.userids().flat_map(|id| id.self_revocations()).collect();
    let ends = read.chain(of_ids.iter().copied()).filter_map(end_of);
    let begin = of_ids.iter().copied().map(made).chain(ahead(cert, now));
    let begin = begin.map(|made| made.saturating_sub(CLOCK_TOLERANCE));
    ends.filter(|end| *end > seconds(as_of)).chain(begin.filter(|begin| *begin > seconds(now))).min()
}

/// Whether a signature says what must be understood, and is not: a critical subpacket (RFC 9580 §5.2.3.7) of a type, or a notation
/// of a name, that GnuPG does not know either. As there, signed or not: anybody may have put in what nobody signed.
pub(super) fn is_critical_unknown(signature: &Signature) -> bool {
    let mut critical = signature.hashed_area().iter().chain(signature.unhashed_area().iter()).filter(|it| it.critical());
    critical.any(|it| match it.value() {
        SubpacketValue::NotationData(notation) => {
            !matches!(notation.name(), "preferred-email-encoding@pgp.com" | "pka-address@gnupg.org")
        }
        _ => !matches!(u8::from(it.tag()), 2..=7 | 9 | 11 | 12 | 16 | 21 | 22 | 24..=27 | 29 | 30 | 32 | 33),
    })
}

/// Whether a signature says twice when it was made, or when it ends: GnuPG goes by the first word, others by the last.
pub(super) fn is_ambiguous(signature: &Signature) -> bool {
    let times = |tag: SubpacketTag| signature.hashed_area().iter().filter(|it| it.tag() == tag).count();
    times(SubpacketTag::SignatureCreationTime) > 1 || times(SubpacketTag::SignatureExpirationTime) > 1
}

#[cfg(test)]
mod tests;
