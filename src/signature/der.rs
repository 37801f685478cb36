//! RSA public keys in DER.

/// `RSAPublicKey` (RFC 8017 §A.1.1) in DER.
pub(super) fn rsa_der(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let body = [der(0x02, &unsigned(modulus)), der(0x02, &unsigned(exponent))].concat();
    der(0x30, &body)
}

fn unsigned(digits: &[u8]) -> Vec<u8> {
    let sign = if digits.first().is_none_or(|b| b & 0x80 != 0) { &[0][..] } else { &[] };
    [sign, digits].concat()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = length.get(length.iter().take_while(|&&b| b == 0).count()..).unwrap_or_default();
    let head = match (length, u8::try_from(length.len())) {
        (&[short], _) if short < 0x80 => vec![tag, short],
        (&[], _) => vec![tag, 0],
        (long, count) => [&[tag, 0x80 | count.unwrap_or(8)], long].concat(),
    };
    [&head, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_lengths() {
        assert_eq!(der(2, &[]), [2, 0]);
        assert_eq!(der(2, &[1])[..2], [2, 1]);
        assert_eq!(der(2, &[0; 0x80])[..3], [2, 0x81, 0x80]);
        assert_eq!(der(2, &[0; 0x100])[..4], [2, 0x82, 1, 0]);
    }
}
