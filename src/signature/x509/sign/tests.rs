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
    let mut reader = der::Reader(der::content(made.as_der()));
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
