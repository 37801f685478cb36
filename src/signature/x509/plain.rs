//! Whether what proves a keyless signature's time is written in its one form: whoever has the signature could write what nobody
//! signs of it in another, and have the same content under another object id.
//!
//! What cannot be seen: a log gives out any number of checkpoints over the same entry, each with a proof of its own; in Rekor v2
//! others sign checkpoints, too; and a token may be exchanged for another one of the same signature.

use super::ber::{self, Element, Reader, context};
use super::certificate::der;
use super::cms::{CmsError, Hash, SIGNED_DATA, algorithm, find_by_serial, named_certificate};
use super::entry::{Entry, Version};
use crate::signature::curve::{Curve, P256, P384, P521};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_verify::crypto::{Checkpoint, CheckpointSignature};

/// In which ways a part could be written otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loose {
    /// In other bytes.
    pub(super) form: bool,
    /// With the other S of an ECDSA signature.
    pub(super) high_s: bool,
}

impl Loose {
    pub(super) fn and(self, other: Self) -> Self {
        Self { form: self.form || other.form, high_s: self.high_s || other.high_s }
    }
}

/// Of an entry: its promise, its checkpoint, and what in version 2 repeats what is signed.
pub(super) fn of_entry(entry: &Entry) -> Loose {
    let promised = entry.promise.as_deref().is_some_and(is_high);
    let Some(proof) = &entry.proof else { return Loose { form: false, high_s: promised } };
    let Ok(checkpoint) = Checkpoint::from_text(&proof.checkpoint) else { return Loose { form: true, high_s: promised } };
    let signatures = checkpoint.signatures();
    let noted = signatures.iter().any(|it| entry.log.starts_with(it.key_id.as_slice()) && is_high(it.signature.as_bytes()));
    let lines = signatures.iter().map(|it| line(it, it.signature.as_bytes())).collect::<String>();
    let note = [checkpoint.signed_data(), b"\n", lines.as_bytes()].concat();
    let same = match entry.version {
        // its log promises or proves each number, and signs alone, by the name before that of its tree
        Version::V1 => {
            matches!(signatures, [one] if checkpoint.origin().split(" - ").next() == Some(one.name.as_str()))
        }
        Version::V2 => {
            let bare = entry.time.is_none() && entry.promise.is_none() && proof.index == entry.index;
            bare && checkpoint.tree_size() == proof.size && checkpoint.root_hash().as_bytes() == &proof.root
        }
    };
    Loose { form: !same || note != proof.checkpoint.as_bytes(), high_s: promised || noted }
}

/// Of a timestamp token (RFC 3161 §2.4.2): it is in DER, by one signer, whose certificate, which the signed attributes name, comes
/// with it alone, and has no unsigned attributes.
pub(super) fn of_token(token: &[u8]) -> Loose {
    match signature_of(token) {
        Ok(signature) => Loose { form: false, high_s: is_high(signature) },
        Err(_) => Loose { form: true, high_s: false },
    }
}

fn inside(element: Element<'_>) -> Reader<'_> {
    Reader::der(element.content)
}

/// The signature of a token in its one form.
fn signature_of(token: &[u8]) -> Result<&[u8], CmsError> {
    let other = |what| Err(CmsError::What(what));
    let mut outer = Reader::der(token);
    let mut info = inside(outer.next(ber::SEQUENCE)?);
    outer.finish()?;
    let kind = info.next(ber::OID)?.content;
    let mut wrapped = inside(info.next(context(0))?);
    info.finish()?;
    let mut data = inside(wrapped.next(ber::SEQUENCE)?);
    wrapped.finish()?;
    let version = data.next(ber::INTEGER)?.content;
    let hashes = data.next(ber::SET)?.content;
    let mut enclosed = inside(data.next(ber::SEQUENCE)?);
    enclosed.next(ber::OID)?;
    let mut content = inside(enclosed.next(context(0))?);
    enclosed.finish()?;
    content.next(ber::OCTET_STRING)?;
    content.finish()?;
    let mut certificates = inside(data.next(context(0))?);
    let certificate = certificates.next(ber::SEQUENCE)?;
    certificates.finish()?;
    let mut signers = inside(data.next(ber::SET)?);
    data.finish()?;
    let mut signer = inside(signers.next(ber::SEQUENCE)?);
    signers.finish()?;
    let signer_version = signer.next(ber::INTEGER)?.content;
    let signed_by = find_by_serial(&[certificate], signer.next(ber::SEQUENCE)?)?;
    let hash = signer.next(ber::SEQUENCE)?;
    let attributes = signer.next(context(0))?;
    let mut plain = true;
    let (digest, by) = (algorithm(hash, &mut plain)?.content, algorithm(signer.next(ber::SEQUENCE)?, &mut plain)?.content);
    let signature = signer.next(ber::OCTET_STRING)?.content;
    signer.finish()?; // no unsigned attributes
    plain &= Hash::of_oid(digest).is_some_and(|hash| hash.ecdsa() == Some(by)) && hashes == hash.whole;
    plain &= kind == SIGNED_DATA && version == [3] && signer_version == [1];
    if !plain || super::cms::in_order(attributes)?.is_some() {
        return other("its envelope is written in another way");
    }
    match named_certificate(attributes, signed_by)? {
        Some(true) => Ok(signature),
        Some(false) | None => other("its certificate is not the one that its signed attributes name"),
    }
}

/// A checkpoint in its one form: with the smaller S of each signature that has two. What is none stays as it is.
pub(super) fn low_checkpoint(text: &str) -> String {
    let Ok(checkpoint) = Checkpoint::from_text(text) else { return text.to_owned() };
    let lines = checkpoint.signatures().iter().map(|it| line(it, &low(it.signature.as_bytes()))).collect::<String>();
    format!("{}\n{lines}", String::from_utf8_lossy(checkpoint.signed_data()))
}

fn line(signed: &CheckpointSignature, signature: &[u8]) -> String {
    format!("\u{2014} {} {}\n", signed.name, STANDARD.encode([signed.key_id.as_slice(), signature].concat()))
}

/// An ECDSA signature in DER with the smaller S of the two that are as good; any other as it is.
pub(super) fn low(signature: &[u8]) -> Vec<u8> {
    match numbers(signature).filter(|_| is_high(signature)) {
        Some((curve, r, s)) => {
            let low = curve.low(s);
            let digits = low.get(low.iter().take_while(|&&b| b == 0).count()..).unwrap_or_default();
            let sign: &[u8] = if digits.first().is_none_or(|b| b & 0x80 != 0) { &[0] } else { &[] };
            der(ber::SEQUENCE, &[der(ber::INTEGER, r), der(ber::INTEGER, &[sign, digits].concat())].concat())
        }
        None => signature.to_vec(),
    }
}

/// Whether the S of an ECDSA signature in DER is the larger of the two that are as good. The curve is the smallest that r and s
/// fit: on a larger one they do so by chance once in 2^256 times.
pub(super) fn is_high(signature: &[u8]) -> bool {
    numbers(signature).is_some_and(|(curve, _, s)| curve.is_high(s))
}

/// The curve, r as it is written, and s without its sign.
fn numbers(signature: &[u8]) -> Option<(&'static Curve, &[u8], &[u8])> {
    let mut outer = Reader::der(signature);
    let mut numbers = Reader::der(outer.next(ber::SEQUENCE).ok()?.content);
    let (r, s) = (numbers.next(ber::INTEGER).ok()?.content, numbers.next(ber::INTEGER).ok()?.content);
    outer.finish().and(numbers.finish()).ok()?;
    let unsigned = |number: &'_ [u8]| number.len() - usize::from(number.first() == Some(&0));
    let curve = [&P256, &P384, &P521].into_iter().find(|curve| unsigned(r).max(unsigned(s)) <= curve.size)?;
    Some((curve, r, s.strip_prefix(&[0]).unwrap_or(s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signature_has_one_low_form() {
        for (curve, kind) in [(&P256, 0x01), (&P384, 0x02), (&P521, 0x03)] {
            let r = der(ber::INTEGER, &vec![kind; curve.size]);
            let value = |s: &[u8]| der(ber::SEQUENCE, &[r.clone(), der(ber::INTEGER, s)].concat());
            // a little more than half of all numbers that there are: its twin is a little less
            let half =
                if curve.size == 66 { [vec![1], vec![0; 65]].concat() } else { [vec![0, 0x80], vec![0; curve.size - 1]].concat() };
            assert!(is_high(&value(&half)) && !is_high(&value(&[5])), "{}", curve.name);
            let twin = low(&value(&half));
            assert!(!is_high(&twin) && twin != value(&half), "{}", curve.name);
            assert_eq!((low(&twin), low(&value(&[5]))), (twin.clone(), value(&[5])));
        }
        for other in [&b""[..], &[0x30, 0], &[7; 64], &[0x30, 3, 2, 1, 1], &[0x30, 6, 2, 1, 1, 2, 1, 2, 0]] {
            assert!(!is_high(other));
            assert_eq!(low(other), other);
        }
    }
}
