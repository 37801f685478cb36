//! The NIST curves, as far as ECDSA signatures in SSH need them (RFC 5656).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm};

/// A curve that SSH knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Curve {
    /// Its name on the wire.
    pub name: &'static str,
    /// The key type that uses it.
    pub key_type: &'static str,
    /// The length in bytes of a coordinate and of r and s.
    pub size: usize,
    /// The order of the base point, `size` bytes (SEC 2, §2.4.2, §2.5.1, §2.6.1).
    order: &'static [u8],
    /// aws-lc's verification with the hash function that RFC 5656 §6.2.1 sets for it.
    pub verification: &'static EcdsaVerificationAlgorithm,
}

/// NIST P-256 with SHA-256.
pub static P256: Curve = Curve {
    name: "nistp256",
    key_type: "ecdsa-sha2-nistp256",
    size: 32,
    order: &[
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ],
    verification: &ECDSA_P256_SHA256_FIXED,
};

/// NIST P-384 with SHA-384.
pub static P384: Curve = Curve {
    name: "nistp384",
    key_type: "ecdsa-sha2-nistp384",
    size: 48,
    order: &[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a,
        0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
    ],
    verification: &ECDSA_P384_SHA384_FIXED,
};

/// NIST P-521 with SHA-512.
pub static P521: Curve = Curve {
    name: "nistp521",
    key_type: "ecdsa-sha2-nistp521",
    size: 66,
    order: &[
        0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f,
        0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f,
        0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
    ],
    verification: &ECDSA_P521_SHA512_FIXED,
};

impl Curve {
    /// The curve of a key type such as `ecdsa-sha2-nistp256`.
    pub fn of_key_type(key_type: &str) -> Option<&'static Self> {
        [&P256, &P384, &P521].into_iter().find(|curve| curve.key_type == key_type)
    }

    /// Whether s (big-endian, at most `size` bytes) lies in the upper half of the group, where n − s is the smaller twin.
    pub fn is_high(&self, s: &[u8]) -> bool {
        self.negate(s).is_some_and(|twin| twin < self.padded(s))
    }

    /// The smaller of s and n − s, both good for the same signature; s itself where it is out of range.
    pub fn low(&self, s: &[u8]) -> Vec<u8> {
        match self.negate(s) {
            Some(twin) if twin < self.padded(s) => twin,
            _ => s.to_vec(),
        }
    }

    /// n − s in `size` bytes; `None` unless 0 < s < n.
    fn negate(&self, s: &[u8]) -> Option<Vec<u8>> {
        let s = self.padded(s);
        if s.as_slice() >= self.order || s.iter().all(|&b| b == 0) {
            return None;
        }
        let mut borrow = 0;
        let mut twin = vec![0; self.size];
        for ((out, &n), &s) in twin.iter_mut().zip(self.order).zip(&s).rev() {
            let difference = i16::from(n) - i16::from(s) - borrow;
            borrow = i16::from(difference < 0);
            *out = u8::try_from(difference.rem_euclid(256)).ok()?;
        }
        Some(twin)
    }

    fn padded(&self, s: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.size.saturating_sub(s.len())];
        out.extend_from_slice(s);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_s_has_one_low_twin() {
        for curve in [&P256, &P384, &P521] {
            assert_eq!(curve.order.len(), curve.size);
            let mut top = curve.order.to_vec();
            *top.last_mut().unwrap() -= 1; // n − 1
            assert!(curve.is_high(&top));
            assert_eq!(curve.low(&top).iter().rev().take(2).collect::<Vec<_>>(), [&1, &0]);
            assert!(!curve.is_high(&[1]));
            assert_eq!(curve.low(&[1]), [1]);
            assert!(!curve.is_high(&[0]) && !curve.is_high(curve.order));
            let twin = curve.negate(&[7; 20]).unwrap();
            assert_eq!(curve.low(&twin), curve.padded(&[7; 20]));
        }
    }
}
