use super::*;
use crate::signature::ssh::wire::Writer;

const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20\xa7\x9c\xca\x38\x7d\x68\xd9\x83\xe2\xb6\xfc\x59\xb9\x40\xf2\xff\x75\x26\x34\x5b\xd0\x27\x76\x26\xd9\x33\xab\x17\x20\x80\x67\x86";

fn header() -> Writer {
    Writer::default().raw(MAGIC).u32(1).raw(&[0; 24]).string(b"").string(b"a comment")
}

fn with(sections: &[(u8, Vec<u8>)]) -> Result<Krl, KrlError> {
    let writer = sections.iter().fold(header(), |writer, (kind, body)| writer.byte(*kind).string(body));
    Krl::parse(&writer.into_bytes())
}

/// A section of an authority's certificates.
fn certificates(authority: &[u8], parts: &[(u8, Vec<u8>)]) -> (u8, Vec<u8>) {
    let head = Writer::default().string(authority).string(b"");
    (1, parts.iter().fold(head, |writer, (kind, body)| writer.byte(*kind).string(body)).into_bytes())
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn bitmap(first: u64, digits: &[u8]) -> Vec<u8> {
    Writer::default().raw(&first.to_be_bytes()).mpint(digits).into_bytes()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    Writer::default().string(bytes).into_bytes()
}

fn extension_of(critical: u8) -> Vec<u8> {
    Writer::default().string(b"strange@example.com").byte(critical).string(b"x").into_bytes()
}

fn serials(krl: &Krl) -> impl Fn(u64) -> bool {
    let list = krl.certificates.get(b"".as_slice()).unwrap().clone();
    move |serial| list.in_range(serial) || list.bitmaps.iter().any(|bitmap| bitmap.contains(serial))
}

#[test]
fn serials_in_every_form() {
    for (part, inside, outside) in [
        ((0x20, numbers(&[1, 3, u64::MAX])), &[1, 3, u64::MAX][..], &[2, 4, u64::MAX - 1][..]),
        ((0x21, numbers(&[2, u64::MAX])), &[2, 1 << 40, u64::MAX], &[1]),
        ((0x21, numbers(&[5, 5])), &[5], &[4, 6]),
        ((0x22, bitmap(1, &[0x81, 0x01])), &[1, 9, 16], &[2, 8, 10, 15, 17, 1 << 60]),
        ((0x22, bitmap(u64::MAX - 8, &[0x01, 0x01])), &[u64::MAX - 8, u64::MAX], &[1, u64::MAX - 1]),
        ((0x22, bitmap(0, &[0x02])), &[1], &[2]),
    ] {
        let krl = with(&[certificates(b"", &[part])]).unwrap();
        let revoked = serials(&krl);
        assert!(inside.iter().all(|&serial| revoked(serial)), "{krl:?}");
        assert!(outside.iter().all(|&serial| !revoked(serial)), "{krl:?}");
    }
    let parts = [(0x21, numbers(&[10, 20])), (0x20, numbers(&[21, 5])), (0x21, numbers(&[1, 30])), (0x20, numbers(&[40]))];
    let krl = with(&[certificates(b"", &parts)]).unwrap();
    assert_eq!(krl.certificates[b"".as_slice()].ranges, [(1, 30), (40, 40)]);
}

#[test]
fn what_is_not_understood_is_an_error() {
    let good = (2, string(KEY));
    let part = |kind, body| certificates(b"", &[(kind, body)]);
    let trailing = |body: Vec<u8>| [body, vec![0]].concat();
    for (section, error) in [
        ((2, string(b"junk")), KrlError::Key),
        ((2, string(&string(b"ssh-ed25519"))), KrlError::Key),
        ((2, trailing(string(KEY))), KrlError::Damaged),
        ((3, string(&[0; 19])), KrlError::Damaged),
        ((5, string(&[0; 20])), KrlError::Damaged),
        ((4, b"junk".to_vec()), KrlError::Key),
        ((4, KEY.to_vec()), KrlError::Damaged), // no signature
        ((6, vec![]), KrlError::Section(6)),
        ((0, vec![]), KrlError::Section(0)),
        ((255, extension_of(1)), KrlError::Extension("strange@example.com".into())),
        ((255, trailing(extension_of(0))), KrlError::Damaged),
        (certificates(b"junk", &[]), KrlError::Key),
        (part(0x24, vec![]), KrlError::CertificateSection(0x24)),
        (part(0x39, extension_of(2)), KrlError::Extension("strange@example.com".into())),
        (part(0x20, vec![0; 7]), KrlError::Damaged),
        (part(0x20, numbers(&[0])), KrlError::Serial),
        (part(0x21, numbers(&[2, 1])), KrlError::Serial),
        (part(0x21, numbers(&[0, 1])), KrlError::Serial),
        (part(0x21, numbers(&[1, 2, 3])), KrlError::Damaged),
        (part(0x22, bitmap(0, &[1])), KrlError::Serial),
        (part(0x22, bitmap(u64::MAX - 7, &[1, 1])), KrlError::Serial),
        (part(0x22, bitmap(1, &[1; MAX_BITMAP + 1])), KrlError::Damaged),
        (part(0x22, trailing(bitmap(1, &[1]))), KrlError::Damaged),
        (part(0x22, [numbers(&[1]), string(&[0x80])].concat()), KrlError::Damaged), // negative
        (part(0x23, string(b"a\0b")), KrlError::Damaged),
    ] {
        assert_eq!(with(&[good.clone(), section.clone()]).map(|_| ()), Err(error), "{section:?}");
    }
    assert_eq!(Krl::parse(&Writer::default().raw(MAGIC).u32(2).into_bytes()).map(|_| ()), Err(KrlError::Format(2)));
}

#[test]
fn a_list_of_nothing_is_an_error() {
    for sections in [
        &[][..],
        &[(2, vec![])],
        &[certificates(b"", &[])],
        &[certificates(KEY, &[(0x20, vec![]), (0x23, vec![]), (0x22, bitmap(1, &[]))])],
        &[(255, extension_of(0))],
    ] {
        assert_eq!(with(sections).map(|_| ()), Err(KrlError::Empty), "{sections:?}");
    }
}

#[test]
fn what_need_not_be_understood_is_passed_over() {
    assert!(with(&[(255, extension_of(0)), (2, string(KEY))]).is_ok());
    assert!(with(&[certificates(KEY, &[(0x39, extension_of(0)), (0x23, string(b"id"))])]).is_ok());
    // keys of types that no signature is taken from
    let dss = string(&Writer::default().string(b"ssh-dss").raw(b"whatever").into_bytes());
    assert!(with(&[(2, dss)]).is_ok());
    // of one that nobody knows, nobody can say that it was understood
    let unknown = Writer::default().string(b"ssh-xd25519").raw(b"whatever").into_bytes();
    for section in [(2, string(&unknown)), certificates(&unknown, &[(0x23, string(b"id"))])] {
        assert_eq!(with(&[section]).map(|_| ()), Err(KrlError::Key));
    }
}
