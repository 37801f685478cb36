use super::*;

#[test]
fn times_by_their_century() {
    for (time, tag, text) in [
        (0, UTC_TIME, "700101000000Z"),
        (1_673_483_618, UTC_TIME, "230112003338Z"),
        (2_524_607_999, UTC_TIME, "491231235959Z"),
        (2_524_608_000, TIME, "20500101000000Z"),
    ] {
        assert_eq!(utc(time), (tag, text.to_owned()), "{time}");
    }
}

#[test]
fn attributes_stand_in_set_order() {
    let made = SignedAttributes::new(b"payload", 1_673_483_618);
    let mut reader = Reader(der::content(made.as_der()));
    let mut all = Vec::new();
    while let Some(value) = reader.any() {
        all.push(value.whole);
    }
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted());
    assert_ne!(made, SignedAttributes::new(b"payloae", 1_673_483_618));
}

#[test]
fn only_signed_attributes_are_taken_for_such() {
    let made = SignedAttributes::new(b"payload", 1_673_483_618);
    let der = made.as_der();
    assert_eq!(SignedAttributes::from_der(der), Some(made.clone()));
    for at in 0..der.len() {
        let cut = der.get(..at).unwrap();
        assert_eq!(SignedAttributes::from_der(cut), None);
        let mut other = der.to_vec();
        other[at] ^= 1;
        // the digits of the time and the digest are free
        if let Some(taken) = SignedAttributes::from_der(&other) {
            assert!(at >= der.len() - 32 || (45..58).contains(&at), "{at}");
            assert_eq!(taken.as_der(), other);
        }
    }
    assert_eq!(SignedAttributes::from_der(&[der, &[0]].concat()), None);
}

#[test]
fn signature_values() {
    let value = |r: u8, s: u8| {
        let mut fixed = [0; 64];
        (fixed[31], fixed[63]) = (r, s);
        signature_value(&fixed)
    };
    assert_eq!(value(1, 2), Some(vec![0x30, 6, 2, 1, 1, 2, 1, 2]));
    assert_eq!(value(0x80, 0x7f), Some(vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f]));
    assert_eq!(signature_value(&[1; 63]), None);
    // of s and n - s the smaller
    let mut high = [0; 64];
    high[32..48].copy_from_slice(&[0xff; 16]);
    high[36..40].fill(0);
    high[31] = 1;
    assert_eq!(signature_value(&high).unwrap().len(), 2 + 3 + 2 + 17);
}
