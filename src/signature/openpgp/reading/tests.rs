use super::*;
use crate::evidence::{Binding, WeakBinding};
use crate::signature::openpgp::import::Gathered;
use crate::signature::openpgp::{Certificates, moment};
use sequoia_openpgp::Packet;
use sequoia_openpgp::cert::{CertBuilder, SubkeyRevocationBuilder};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::crypto::mpi::MPI;
use sequoia_openpgp::packet::key::{Key4, PrimaryRole, SecretParts, SubordinateRole};
use sequoia_openpgp::packet::signature::{SignatureBuilder, subpacket::Subpacket};
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::{Curve, KeyFlags, PublicKeyAlgorithm, ReasonForRevocation};

/// When the keys were made.
const MADE: i64 = 1_600_000_000;
const NOW: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

fn signing() -> KeyFlags {
    KeyFlags::empty().set_certification().set_signing()
}

fn builder() -> CertBuilder<'static> {
    CertBuilder::new().add_userid("a <a@example.org>").set_primary_key_flags(signing()).set_creation_time(moment(MADE))
}

/// A certificate whose only user id has just these self-signatures.
fn bound(bindings: impl IntoIterator<Item = SignatureBuilder>) -> Cert {
    let whole = builder().generate().unwrap().0;
    let id = whole.userids().next().unwrap().userid().clone();
    let bare = Cert::try_from(vec![Packet::SecretKey(whole.primary_key().key().clone().parts_into_secret().unwrap())]).unwrap();
    let bound: Vec<_> = bindings.into_iter().map(|it| id.bind(&mut pair(&whole), &bare, it).unwrap().into()).collect();
    bare.insert_packets([vec![Packet::from(id)], bound].concat()).unwrap().0
}

fn certification(made: i64) -> SignatureBuilder {
    let builder = SignatureBuilder::new(SignatureType::PositiveCertification).set_hash_algo(HashAlgorithm::SHA512);
    builder.set_signature_creation_time(moment(made)).unwrap()
}

fn flagged(made: i64) -> SignatureBuilder {
    certification(made).set_key_flags(signing()).unwrap()
}

fn ending(builder: SignatureBuilder, days: i64) -> SignatureBuilder {
    builder.set_key_validity_period(Duration::from_secs(u64::try_from(days * DAY).unwrap())).unwrap()
}

fn pair(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

/// The bindings of the keys that may sign.
fn read(certs: &[&Cert], now: i64, rules: Rules) -> Vec<Binding> {
    let mut known = Certificates::default();
    certs.iter().for_each(|cert| known.add(&cert.to_vec().unwrap()).unwrap());
    known.keys(moment(now), rules).0.into_iter().map(|key| key.info.binding.clone().unwrap()).collect()
}

fn one(cert: &Cert) -> Binding {
    read(&[cert], NOW, Rules::Policy).remove(0)
}

/// A subkey and its secret, bound by a signature that `edit` makes of one without flags; `back` says when the subkey agreed.
fn with_subkey(cert: &Cert, made: i64, back: Option<i64>, edit: impl Fn(SignatureBuilder) -> SignatureBuilder) -> Cert {
    let subkey: Key<SecretParts, SubordinateRole> = {
        let mut key = Key4::generate_ecc(true, Curve::Ed25519).unwrap();
        key.set_creation_time(moment(MADE)).unwrap();
        Key::from(key)
    };
    let mut binding = SignatureBuilder::new(SignatureType::SubkeyBinding).set_hash_algo(HashAlgorithm::SHA512);
    binding = edit(binding.set_signature_creation_time(moment(made)).unwrap());
    if let Some(back) = back {
        let word = SignatureBuilder::new(SignatureType::PrimaryKeyBinding).set_hash_algo(HashAlgorithm::SHA512);
        let word = word.set_signature_creation_time(moment(back)).unwrap();
        let mut own = subkey.clone().into_keypair().unwrap();
        let word = word.sign_primary_key_binding(&mut own, cert.primary_key().key(), &subkey).unwrap();
        binding = binding.set_embedded_signature(word).unwrap();
    }
    let bound = subkey.bind(&mut pair(cert), cert, binding).unwrap();
    cert.clone().insert_packets([Packet::from(subkey), bound.into()]).unwrap().0
}

#[test]
fn a_weak_signature_gives_no_more_time() {
    let sha1 = |builder: SignatureBuilder| builder.set_hash_algo(HashAlgorithm::SHA1);
    let long = i64::from(u32::try_from((NOW - MADE) / DAY).unwrap()) + 100;
    for (older, newer, weak, changes) in [
        // the sound one ends: the weak one does not prolong it
        (ending(flagged(MADE), 10), sha1(flagged(MADE + DAY)), Some(WeakBinding::Prolonged { ended: MADE + 10 * DAY }), None),
        (ending(flagged(MADE), 10), flagged(MADE + DAY), None, None),
        // not yet
        (ending(flagged(MADE), long), sha1(flagged(MADE + DAY)), None, Some(MADE + long * DAY)),
        // one that shortens it counts
        (flagged(MADE), ending(sha1(flagged(MADE + DAY)), 10), None, None),
        (sha1(flagged(MADE)), sha1(flagged(MADE + DAY)), Some(WeakBinding::Signature), None),
    ] {
        let binding = one(&bound([older, newer]));
        assert_eq!((binding.weak, binding.changes), (weak, changes));
    }
}

#[test]
fn without_flags_the_algorithm_decides_and_the_subkey_agrees() {
    let bare = bound([certification(MADE)]);
    assert_eq!(read(&[&bare], NOW, Rules::Policy).len(), 1, "the primary key");
    let only_certifies = bound([certification(MADE).set_key_flags(KeyFlags::empty().set_certification()).unwrap()]);
    assert!(read(&[&only_certifies], NOW, Rules::Policy).is_empty());
    let agreed = with_subkey(&only_certifies, MADE, Some(MADE), |it| it);
    let alone = with_subkey(&only_certifies, MADE, None, |it| it);
    let encrypts = KeyFlags::empty().set_storage_encryption();
    let other = with_subkey(&only_certifies, MADE, Some(MADE), |it| it.set_key_flags(encrypts.clone()).unwrap());
    for rules in [Rules::Policy, Rules::Gnupg] {
        assert_eq!([&agreed, &alone, &other].map(|cert| read(&[cert], NOW, rules).len()), [1, 0, 0]);
    }
    // nor do the flags of the whole certificate stand in for the subkey's word
    let direct = SignatureBuilder::new(SignatureType::DirectKey).set_hash_algo(HashAlgorithm::SHA512);
    let direct = direct.set_signature_creation_time(moment(MADE)).unwrap().set_key_flags(signing()).unwrap();
    let direct = direct.sign_direct_key(&mut pair(&alone), None).unwrap();
    let whole = alone.insert_packets([Packet::from(direct)]).unwrap().0;
    let known = read(&[&whole], NOW, Rules::Policy);
    assert_eq!(known.len(), 0, "{known:?}");
}

#[test]
fn what_is_dated_ahead_counts_within_the_tolerance() {
    for (ahead, by_policy) in [(0, 1), (CLOCK_TOLERANCE, 1), (CLOCK_TOLERANCE + 1, 0)] {
        let cert = bound([flagged(NOW + ahead)]);
        assert_eq!(read(&[&cert], NOW, Rules::Policy).len(), by_policy, "{ahead}");
        assert_eq!(read(&[&cert], NOW, Rules::Gnupg).len(), 1, "{ahead}");
    }
    let flags = || KeyFlags::empty().set_signing();
    let certifies = bound([certification(MADE).set_key_flags(KeyFlags::empty().set_certification()).unwrap()]);
    for (made, back) in [(NOW + 300, NOW + 300), (NOW, NOW + 300), (NOW + 300, NOW)] {
        let cert = with_subkey(&certifies, made, Some(back), |it| it.set_key_flags(flags()).unwrap());
        assert_eq!(read(&[&cert], NOW, Rules::Policy).len(), 1, "{made} {back}");
    }
}

#[test]
fn when_a_binding_changes() {
    let short = |builder: SignatureBuilder, seconds: i64| {
        builder.set_signature_validity_period(Duration::from_secs(u64::try_from(seconds).unwrap())).unwrap()
    };
    let age = NOW - MADE;
    for (what, bindings, want) in [
        ("for ever", vec![flagged(MADE)], None),
        ("it ends", vec![short(flagged(MADE), age + 50)], Some(NOW + 50)),
        ("one ahead", vec![flagged(MADE), flagged(NOW + 1000)], Some(NOW + 1000 - CLOCK_TOLERANCE)),
        ("both", vec![short(flagged(MADE), age + 50), flagged(NOW + 1000)], Some(NOW + 50)),
        ("an older one ended", vec![short(flagged(MADE), 50), flagged(MADE + 1)], None),
    ] {
        assert_eq!(one(&bound(bindings)).changes, want, "{what}");
    }
    let certifies = bound([certification(MADE).set_key_flags(KeyFlags::empty().set_certification()).unwrap()]);
    let flags = KeyFlags::empty().set_signing();
    let cert = with_subkey(&certifies, MADE, Some(MADE), |it| short(it.set_key_flags(flags.clone()).unwrap(), age + 70));
    assert_eq!(one(&cert).changes, Some(NOW + 70));
}

#[test]
fn gnupg_finds_the_end_of_a_key_in_all_user_ids() {
    let whole = builder().generate().unwrap().0;
    let ids = [whole.userids().next().unwrap().userid().clone(), "b <b@example.org>".into()];
    let bare = Cert::try_from(vec![Packet::SecretKey(whole.primary_key().key().clone().parts_into_secret().unwrap())]).unwrap();
    let primary = |builder: SignatureBuilder, is: bool| if is { builder.set_primary_userid(true).unwrap() } else { builder };
    let until = |made: i64, days: Option<i64>| match days {
        Some(days) => ending(flagged(MADE + made), days),
        None => flagged(MADE + made),
    };
    let end = |days: i64| Some(MADE + days * DAY);
    // each as the real gpg 2.2.40 has it: two user ids, when each was bound, until when, and whether the first is the primary one
    for (first, second, is_primary, want) in [
        ((1, Some(10)), (2, None), false, end(10)),
        ((1, None), (2, Some(10)), false, end(10)),
        ((2, Some(10)), (1, Some(200)), false, end(10)),
        ((2, Some(200)), (1, Some(10)), false, end(200)),
        ((1, Some(10)), (2, Some(200)), true, end(200)),
        ((1, Some(200)), (2, Some(10)), true, end(10)),
        ((1, None), (2, Some(10)), true, end(10)),
        ((1, None), (2, None), true, None),
    ] {
        let bindings = [primary(until(first.0, first.1), is_primary), until(second.0, second.1)];
        let packets = ids.iter().zip(bindings).flat_map(|(id, binding)| {
            let binding = id.bind(&mut pair(&whole), &bare, binding).unwrap();
            [Packet::from(id.clone()), binding.into()]
        });
        let cert = bare.clone().insert_packets(packets.collect::<Vec<_>>()).unwrap().0;
        assert_eq!(read(&[&cert], NOW, Rules::Gnupg)[0].ends, want, "{first:?} {second:?} {is_primary}");
    }
    for (direct, by_id, want) in [
        ((2, Some(10)), (1, Some(200)), end(10)),
        ((1, Some(10)), (2, Some(200)), end(10)),
        ((1, Some(200)), (2, Some(10)), end(200)),
        ((1, None), (2, Some(10)), end(10)),
        ((1, Some(10)), (2, None), end(10)),
        ((3, None), (2, Some(10)), end(10)),
    ] {
        let mut whole = SignatureBuilder::new(SignatureType::DirectKey).set_hash_algo(HashAlgorithm::SHA512);
        whole = whole.set_signature_creation_time(moment(MADE + direct.0)).unwrap().set_key_flags(signing()).unwrap();
        whole = direct.1.map_or(whole.clone(), |days| ending(whole, days));
        let cert = bound([until(by_id.0, by_id.1)]);
        let whole = whole.sign_direct_key(&mut pair(&cert), None).unwrap();
        let cert = cert.insert_packets([Packet::from(whole)]).unwrap().0;
        assert_eq!(read(&[&cert], NOW, Rules::Gnupg)[0].ends, want, "{direct:?} {by_id:?}");
    }
}

#[test]
fn who_is_named_for_that_revokes_subkeys_too() {
    let [friend, other] = [(); 2].map(|()| builder().generate().unwrap().0);
    let certifies = builder().set_primary_key_flags(KeyFlags::empty().set_certification());
    let cert = certifies.set_revocation_keys(vec![(&friend).into()]).add_signing_subkey().generate().unwrap().0;
    let subkey = || cert.keys().subkeys().next().unwrap().key();
    let by = |who: &Cert| {
        let builder = SubkeyRevocationBuilder::new().set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"").unwrap();
        let revocation = builder.build(&mut pair(who), &cert, subkey(), None).unwrap();
        cert.clone().insert_packets([Packet::from(revocation)]).unwrap().0
    };
    let hard = |certs: &[&Cert]| {
        let all = read(certs, NOW, Rules::Policy);
        let own = all.into_iter().find(|it| it.certificate == cert.fingerprint().to_hex()).unwrap();
        own.revoked.map(|it| it.hard)
    };
    assert_eq!(hard(&[&cert, &friend]), None);
    assert_eq!(hard(&[&by(&friend), &friend]), Some(true));
    assert_eq!(hard(&[&by(&other), &friend, &other]), None, "anybody could");
    let mut alone = Certificates::default();
    alone.add(&by(&friend).to_vec().unwrap()).unwrap();
    assert_eq!(alone.unchecked_revocations(NOW), [(&*cert.fingerprint().to_hex(), friend.fingerprint().to_hex())]);
}

#[test]
fn a_revocation_counts_wherever_it_stands() {
    let friend = builder().generate().unwrap().0;
    let certifies = builder().set_primary_key_flags(KeyFlags::empty().set_certification());
    let certifies = certifies.set_revocation_keys(vec![(&friend).into()]).add_signing_subkey().add_authentication_subkey();
    let cert = certifies.add_storage_encryption_subkey().generate().unwrap().0;
    let policy = lenient(moment(NOW));
    let signs = cert.keys().subkeys().with_policy(&policy, moment(NOW)).for_signing().next().unwrap().key();
    let revoke = |who: &Cert| {
        let whole = sequoia_openpgp::cert::CertRevocationBuilder::new();
        let whole = whole.set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"").unwrap();
        let part = SubkeyRevocationBuilder::new().set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"").unwrap();
        [whole.build(&mut pair(who), &cert, None).unwrap(), part.build(&mut pair(who), &cert, signs, None).unwrap()]
    };
    for revocation in [revoke(&friend), revoke(&cert)].concat() {
        let behind = [cert.to_vec().unwrap(), Packet::from(revocation.clone()).to_vec().unwrap()].concat();
        let mut known = Certificates::default();
        known.add(&behind).unwrap();
        known.add(&friend.to_vec().unwrap()).unwrap();
        let keys = known.keys(moment(NOW), Rules::Policy).0;
        let own = keys.iter().find(|key| key.info.fingerprint == signs.fingerprint().to_hex()).unwrap();
        let revoked = own.info.binding.as_ref().unwrap().revoked;
        assert_eq!(revoked.map(|it| it.hard), Some(true), "{revocation:?}");
    }
}

#[test]
fn keys_of_huge_numbers_are_left_out() {
    let number = |bits: usize| MPI::new(&[vec![0x80], vec![1; bits / 8 - 1]].concat());
    let dsa = |p: usize, q: usize| PublicKey::DSA { p: number(p), q: number(q), g: number(p), y: number(p) };
    #[allow(deprecated)] // it is what is tested
    let key = |algorithm, mpis| Key::<PublicParts, PrimaryRole>::from(Key4::new(moment(MADE), algorithm, mpis).unwrap());
    #[allow(deprecated)]
    let keys = [
        (true, key(PublicKeyAlgorithm::DSA, dsa(3072, 256))),
        (false, key(PublicKeyAlgorithm::DSA, dsa(8200, 256))),
        (false, key(PublicKeyAlgorithm::DSA, dsa(3072, 520))),
        (true, key(PublicKeyAlgorithm::RSAEncryptSign, PublicKey::RSA { e: number(32), n: number(4096) })),
        (false, key(PublicKeyAlgorithm::RSAEncryptSign, PublicKey::RSA { e: number(32), n: number(8200) })),
        (false, key(PublicKeyAlgorithm::RSAEncryptSign, PublicKey::RSA { e: number(8200), n: number(4096) })),
    ];
    for (checkable, key) in keys {
        assert_eq!(is_checkable(&key), checkable, "{key:?}");
        let alone = Packet::from(key).to_vec().unwrap();
        let mut known = Certificates::default();
        known.add_readable(&alone);
        assert_eq!(known.fingerprints().count() == 1, checkable);
        assert_eq!(known.add(&alone).is_ok(), checkable);
    }
    // a subkey of that kind, that anybody could put there, and a revocation behind it
    let cert = builder().generate().unwrap().0;
    #[allow(deprecated)]
    let huge = Key4::<PublicParts, SubordinateRole>::new(moment(MADE), PublicKeyAlgorithm::DSA, dsa(8200, 256)).unwrap();
    let revocation = sequoia_openpgp::cert::CertRevocationBuilder::new().build(&mut pair(&cert), &cert, None).unwrap();
    let behind = [Packet::from(Key::from(huge)), revocation.into()].map(|it| it.to_vec().unwrap()).concat();
    let whole = [cert.to_vec().unwrap(), behind].concat();
    let twice = [cert.to_vec().unwrap(), whole.clone()].concat();
    for file in [&whole, &twice] {
        let mut gathered = Gathered::default();
        gathered.add(file, 1).unwrap();
        let keys = gathered.listed(NOW).remove(0).keys.unwrap();
        assert!(keys.len() == 1 && keys[0].revoked.is_some(), "{keys:?}");
        let error = Certificates::default().add(file).unwrap_err().to_string();
        assert!(error.contains("8192 bits"), "{error}");
    }
}

#[test]
fn what_ends_after_2106_ends_then() {
    let days = 200 * 365;
    assert_eq!(one(&bound([ending(flagged(MADE), days / 2)])).ends, Some(MADE + days / 2 * DAY));
    let most = i64::from(u32::MAX) / DAY; // as long as can be said
    let cert = bound([ending(flagged(MADE), most)]);
    assert_eq!(one(&cert).ends, Some(MADE + most * DAY));
    assert_eq!(read(&[&cert], NOW, Rules::Gnupg)[0].ends, Some(MADE + most * DAY - (1 << 32)), "as gpg 2.2.40 has it");
}

#[test]
fn what_must_be_understood_and_what_is_said_twice() {
    let cert = builder().generate().unwrap().0;
    let signed = |hashed: Vec<Subpacket>, unhashed: Vec<Subpacket>| {
        let mut builder = SignatureBuilder::new(SignatureType::Binary);
        hashed.into_iter().for_each(|it| builder.hashed_area_mut().add(it).unwrap());
        unhashed.into_iter().for_each(|it| builder.unhashed_area_mut().add(it).unwrap());
        builder.sign_message(&mut pair(&cert), b"").unwrap()
    };
    let unknown = |critical| Subpacket::new(SubpacketValue::Unknown { tag: SubpacketTag::Private(101), body: vec![1] }, critical);
    for (critical, want) in [(true, true), (false, false)] {
        assert_eq!(is_critical_unknown(&signed(vec![unknown(critical).unwrap()], vec![])), want);
        assert_eq!(is_critical_unknown(&signed(vec![], vec![unknown(critical).unwrap()])), want);
    }
    let twice =
        |value: fn(u64) -> SubpacketValue| vec![Subpacket::new(value(1), false).unwrap(), Subpacket::new(value(2), false).unwrap()];
    let ends = |n| SubpacketValue::SignatureExpirationTime(u32::try_from(n).unwrap().into());
    assert!(is_ambiguous(&signed(twice(ends), vec![])));
    assert!(!is_ambiguous(&signed(twice(ends)[..1].to_vec(), twice(ends))));
}
