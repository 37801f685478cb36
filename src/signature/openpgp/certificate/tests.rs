use super::*;
use sequoia_openpgp::Packet;
use sequoia_openpgp::cert::{CertBuilder, CertRevocationBuilder};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::key::SubordinateRole;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::serialize::SerializeInto as _;
use sequoia_openpgp::types::{KeyFlags, SignatureType};

const NOW: i64 = 1_700_000_000;

/// Some seconds after the keys were made.
fn at(seconds: i64) -> Timestamp {
    moment(1_600_000_000 + seconds)
}

fn builder() -> CertBuilder<'static> {
    let flags = KeyFlags::empty().set_certification().set_signing();
    CertBuilder::new().add_userid("a <a@example.org>").set_primary_key_flags(flags).set_creation_time(at(0))
}

fn pair(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

fn revocation(by: &Cert, of: &Cert, reason: ReasonForRevocation) -> Packet {
    let builder = CertRevocationBuilder::new().set_reason_for_revocation(reason, b"").unwrap();
    let builder = builder.set_signature_creation_time(at(100).into()).unwrap();
    builder.build(&mut pair(by), of, None).unwrap().into()
}

fn with(cert: &Cert, packets: impl IntoIterator<Item = Packet>) -> Cert {
    cert.clone().insert_packets(packets).unwrap().0
}

fn known(certs: &[&Cert]) -> Certificates {
    let mut known = Certificates::default();
    certs.iter().for_each(|cert| known.add(&cert.to_vec().unwrap()).unwrap());
    known
}

fn revoked(known: &Certificates, cert: &Cert) -> Option<bool> {
    let keys = known.keys(moment(NOW), Rules::Policy).0;
    let key = keys.into_iter().find(|key| key.certificate() == cert.fingerprint().to_hex()).unwrap();
    key.info.binding.as_ref().unwrap().revoked.map(|it| it.hard)
}

#[test]
fn a_revocation_counts_whatever_is_bound_later() {
    let cert = builder().generate().unwrap().0;
    let gone = with(&cert, [revocation(&cert, &cert, ReasonForRevocation::KeyRetired)]);
    let later = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_signature_creation_time(at(200))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_certification().set_signing())
        .unwrap();
    let id = cert.userids().next().unwrap().userid().clone();
    let later = id.bind(&mut pair(&cert), &cert, later).unwrap();
    let newer = with(&cert, [Packet::from(later)]);
    for (certs, want) in [(vec![&cert], None), (vec![&newer], None), (vec![&gone], Some(false)), (vec![&gone, &newer], Some(false))]
    {
        assert_eq!(revoked(&known(&certs), &cert), want);
    }
    assert_eq!(revoked(&known(&[&newer, &gone]), &cert), Some(false), "whichever came first");
}

#[test]
fn who_is_named_for_that_may_revoke_and_nobody_else() {
    let [friend, other] = [(); 2].map(|()| builder().generate().unwrap().0);
    let cert = builder().set_revocation_keys(vec![(&friend).into()]).generate().unwrap().0;
    let by = |who: &Cert| with(&cert, [revocation(who, &cert, ReasonForRevocation::KeyCompromised)]);
    assert_eq!(revoked(&known(&[&by(&friend), &friend]), &cert), Some(true));
    assert_eq!(revoked(&known(&[&by(&other), &friend, &other]), &cert), None, "anybody could");
    // without a certificate it cannot be checked: that is said
    let unknown = known(&[&by(&friend)]);
    assert_eq!(revoked(&unknown, &cert), None);
    assert_eq!(unknown.unchecked_revocations(NOW), [(cert.fingerprint().to_hex().as_str(), friend.fingerprint().to_hex())]);
    for nothing in [known(&[&cert]), known(&[&by(&friend), &friend]), known(&[&by(&other)])] {
        assert!(nothing.unchecked_revocations(NOW).is_empty());
    }
}

#[test]
fn a_key_of_two_certificates_is_found_and_the_worst_of_it_first() {
    let [own, other] = [(); 2].map(|()| builder().generate().unwrap().0);
    let subkey: sequoia_openpgp::packet::Key<_, SubordinateRole> = own.primary_key().key().clone().role_into_subordinate();
    let primary = other.primary_key().key();
    let back = SignatureBuilder::new(SignatureType::PrimaryKeyBinding).set_signature_creation_time(at(10)).unwrap();
    let back = back.sign_primary_key_binding(&mut pair(&own), primary, &subkey).unwrap();
    let binding = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_signature_creation_time(at(10))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_signing())
        .unwrap()
        .set_embedded_signature(back)
        .unwrap();
    let binding = subkey.bind(&mut pair(&other), &other, binding).unwrap();
    let adopted = with(&other, [Packet::from(subkey), binding.into()]);
    assert_eq!(known(&[&own, &other]).shared_key(NOW), None);
    let both = known(&[&own, &adopted]);
    assert_eq!(both.shared_key(NOW).map(|(key, _)| key), Some(own.fingerprint().to_hex()));
    let first = |known: &Certificates| {
        let keys = known.keys(moment(NOW), Rules::Policy).0;
        keys.into_iter().find(|key| key.info.fingerprint == own.fingerprint().to_hex()).map(|key| key.certificate())
    };
    assert_eq!(first(&both), Some(own.fingerprint().to_hex()));
}
