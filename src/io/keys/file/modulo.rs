//! The one piece of big arithmetic that RSA keys need: OpenSSH's files leave out d mod (p − 1), which aws-lc wants.

use zeroize::Zeroizing;

/// `number mod (prime − 1)`, big-endian and as long as the prime; `None` where the prime is 0 or 1. Which way the secret bits
/// fall changes no branch.
pub(super) fn less_one(number: &[u8], prime: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // one byte more than the prime: doubling may overflow
    let length = prime.len() + 1;
    let mut modulus = Zeroizing::new(vec![0; length]);
    modulus.iter_mut().skip(1).zip(prime).for_each(|(digit, &byte)| *digit = byte);
    let mut borrow = 1;
    for byte in modulus.iter_mut().rev() {
        let (less, under) = byte.overflowing_sub(borrow);
        *byte = less;
        borrow = u8::from(under);
    }
    if borrow != 0 || modulus.iter().all(|&byte| byte == 0) {
        return None;
    }
    let mut rest = Zeroizing::new(vec![0; length]);
    let mut reduced = Zeroizing::new(vec![0; length]);
    for &byte in number {
        for bit in (0..8).rev() {
            let mut carry = byte >> bit & 1;
            for digit in rest.iter_mut().rev() {
                let out = *digit >> 7;
                *digit = *digit << 1 | carry;
                carry = out;
            }
            let mut borrow = 0;
            for ((out, &digit), &subtrahend) in reduced.iter_mut().zip(rest.iter()).zip(modulus.iter()).rev() {
                let (first, under) = digit.overflowing_sub(subtrahend);
                let (second, under_again) = first.overflowing_sub(borrow);
                *out = second;
                borrow = u8::from(under | under_again);
            }
            let keep = 0_u8.wrapping_sub(borrow); // all ones where the modulus did not fit
            for (digit, &less) in rest.iter_mut().zip(reduced.iter()) {
                *digit = *digit & keep | less & !keep;
            }
        }
    }
    rest.remove(0);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_small_numbers_have_it() {
        for prime in [2_u32, 3, 17, 255, 256, 257, 65_537, 4_000_000_007] {
            for number in [0_u64, 1, 2, 15, 16, 17, 255, 65_536, 123_456_789, u64::MAX] {
                let rest = less_one(&number.to_be_bytes(), &prime.to_be_bytes()).unwrap();
                let expected = u32::try_from(number % u64::from(prime - 1)).unwrap();
                assert_eq!(*rest, expected.to_be_bytes(), "{number} mod {prime} - 1");
            }
        }
        assert!(less_one(&[5], &[0, 0]).is_none() && less_one(&[5], &[1]).is_none() && less_one(&[5], &[]).is_none());
    }
}
