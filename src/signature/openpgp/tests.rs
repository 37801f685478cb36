use super::*;
use sequoia_openpgp::Profile;
use sequoia_openpgp::cert::{Cert, CertBuilder};
use sequoia_openpgp::crypto::mpi;
use sequoia_openpgp::packet::signature::subpacket::SubpacketArea;
use sequoia_openpgp::packet::signature::{Signature4, Signature6};
use sequoia_openpgp::types::{KeyFlags, PublicKeyAlgorithm};

const MADE: i64 = 1_700_000_000;

fn signing_key(profile: Profile) -> SigningKey {
    let flags = KeyFlags::empty().set_certification().set_signing();
    let builder = CertBuilder::new().set_profile(profile).unwrap().set_primary_key_flags(flags).set_creation_time(moment(MADE));
    let cert: Cert = builder.add_userid("a").generate().unwrap().0;
    let mut known = Certificates::default();
    known.add(&cert.to_vec().unwrap()).unwrap();
    known.keys(moment(MADE + 100), Rules::Policy).0.remove(0)
}

fn hashed(made: i64) -> SubpacketArea {
    let made = SubpacketValue::SignatureCreationTime(moment(made));
    SubpacketArea::new(vec![Subpacket::new(made, true).unwrap()]).unwrap()
}

fn of_v4(algorithm: PublicKeyAlgorithm, hashed: SubpacketArea) -> Signature {
    let numbers = mpi::Signature::EdDSA { r: vec![1].into(), s: vec![1].into() };
    let (kind, hash) = (SignatureType::Binary, HashAlgorithm::SHA256);
    Signature4::new(kind, algorithm, hash, hashed, SubpacketArea::default(), [0; 2], numbers).into()
}

fn of_v6(algorithm: PublicKeyAlgorithm, salt: usize) -> Signature {
    let numbers = mpi::Signature::Ed25519 { s: Box::new([1; 64]) };
    let (kind, hash) = (SignatureType::Binary, HashAlgorithm::SHA256);
    let (hashed, unhashed) = (hashed(MADE), SubpacketArea::default());
    Signature6::new(kind, algorithm, hash, hashed, unhashed, [0; 2], vec![7; salt], numbers).unwrap().into()
}

#[test]
fn a_signature_fits_its_key() {
    let (v4, v6) = (signing_key(Profile::RFC4880), signing_key(Profile::RFC9580));
    assert_eq!([v4.key.version(), v6.key.version()], [4, 6]);
    let (old, new) = (v4.key.pk_algo(), v6.key.pk_algo());
    for (what, signature, key, fits) in [
        ("version 4", of_v4(old, hashed(MADE)), &v4, true),
        ("version 6", of_v6(new, 16), &v6, true),
        ("an older version than its key", of_v4(new, hashed(MADE)), &v6, false),
        ("a newer version than its key", of_v6(old, 16), &v4, false),
        ("a short salt", of_v6(new, 15), &v6, false),
        ("a long salt", of_v6(new, 32), &v6, false),
        ("no salt", of_v6(new, 0), &v6, false),
        ("another algorithm", of_v4(PublicKeyAlgorithm::RSAEncryptSign, hashed(MADE)), &v4, false),
        ("no time", of_v4(old, SubpacketArea::default()), &v4, false),
    ] {
        assert_eq!(may_be_of(&signature, key), fits, "{what}");
    }
}

#[test]
fn a_signature_is_not_older_than_its_key() {
    let key = signing_key(Profile::RFC4880);
    for (made, older) in [(MADE - 1, Some(MADE)), (MADE, None), (MADE + 1, None)] {
        assert_eq!(is_older(&of_v4(key.key.pk_algo(), hashed(made)), &key), older);
    }
}
