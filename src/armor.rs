//! The armours in which git stores signatures.

mod cms;
mod openpgp;

pub use cms::{decode_cms, encode_cms};
pub use openpgp::{decode_keys, decode_openpgp, decode_openpgp_blocks, encode_certificate, encode_openpgp};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The kind of a signature, known by the line that it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// SSHSIG (OpenSSH's PROTOCOL.sshsig).
    Ssh,
    /// OpenPGP (RFC 9580, RFC 4880).
    OpenPgp,
    /// CMS (RFC 5652): S/MIME and keyless signatures.
    X509,
}

/// One row a marker: git's `gpg-interface.c` knows these four and compares prefixes.
const MARKERS: [(&[u8], Format); 4] = [
    (b"-----BEGIN PGP SIGNATURE-----", Format::OpenPgp),
    (b"-----BEGIN PGP MESSAGE-----", Format::OpenPgp),
    (b"-----BEGIN SIGNED MESSAGE-----", Format::X509),
    (b"-----BEGIN SSH SIGNATURE-----", Format::Ssh),
];

impl Format {
    /// The format of bytes that begin with one of git's markers.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        MARKERS.iter().find(|(marker, _)| bytes.starts_with(marker)).map(|(_, format)| *format)
    }

    /// The name in reports: `ssh`, `openpgp`, `x509` (git's values of `gpg.format`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::OpenPgp => "openpgp",
            Self::X509 => "x509",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const SSH_BEGIN: &[u8] = b"-----BEGIN SSH SIGNATURE-----";
const SSH_END: &[u8] = b"-----END SSH SIGNATURE-----";
const SSH_FOOTER: &[u8] = b"\n-----END SSH SIGNATURE-----";
/// OpenSSH breaks the lines of an armoured signature after this many characters.
const SSH_COLUMNS: usize = 70;

/// How an armoured signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArmorForm {
    /// Byte for byte as ssh-keygen, or GnuPG, writes it.
    Canonical,
    /// Otherwise wrapped, or followed by text: ssh-keygen reads it.
    Loose,
    /// With CR before the newline of its first line: ssh-keygen refuses it.
    CrLf,
}

/// Why armour cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// It does not begin with the marker on a line of its own.
    #[error("missing header")]
    MissingHeader,
    /// No end line follows.
    #[error("missing footer")]
    MissingFooter,
    /// What stands between is not base64.
    #[error("invalid format")]
    InvalidBase64,
    /// A second signature follows the first.
    #[error("more than one signature")]
    Several,
}

/// Takes the armour off an SSH signature (PROTOCOL.sshsig, "Armored format"; leniency as in OpenSSH's `sshsig_dearmor`).
///
/// # Errors
/// Where a marker is missing, the base64 is broken, or a second armoured signature follows (ssh-keygen reads the first only).
pub fn decode_ssh(armored: &[u8]) -> Result<(Vec<u8>, ArmorForm), ArmorError> {
    let rest = armored.strip_prefix(SSH_BEGIN).ok_or(ArmorError::MissingHeader)?;
    let (rest, cr_lf) = match (rest.strip_prefix(b"\n"), rest.strip_prefix(b"\r\n")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return Err(ArmorError::MissingHeader),
    };
    let footer = memchr::memmem::find(rest, SSH_FOOTER).ok_or(ArmorError::MissingFooter)?;
    let (body, tail) = rest.split_at_checked(footer).ok_or(ArmorError::MissingFooter)?;
    let tail = tail.get(SSH_FOOTER.len()..).unwrap_or_default();
    if tail.split(|&b| b == b'\n').any(|line| Format::sniff(line).is_some()) {
        return Err(ArmorError::Several);
    }
    let mut packed = Vec::with_capacity(body.len());
    packed.extend(body.iter().copied().filter(|b| !matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')));
    let blob = STANDARD.decode(packed).map_err(|_| ArmorError::InvalidBase64)?;
    let form = match cr_lf {
        true => ArmorForm::CrLf,
        false if encode_ssh(&blob) == armored => ArmorForm::Canonical,
        false => ArmorForm::Loose,
    };
    Ok((blob, form))
}

/// Armours an SSHSIG blob byte for byte as ssh-keygen does: base64 in lines of 70 characters, a newline at the end.
pub fn encode_ssh(blob: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(blob);
    let mut out = Vec::with_capacity(SSH_BEGIN.len() + SSH_END.len() + text.len() + text.len().div_ceil(SSH_COLUMNS) + 2);
    out.extend_from_slice(SSH_BEGIN);
    for line in text.as_bytes().chunks(SSH_COLUMNS) {
        out.push(b'\n');
        out.extend_from_slice(line);
    }
    out.push(b'\n');
    out.extend_from_slice(SSH_END);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sniffs_gits_markers_and_no_others() {
        assert_eq!(Format::sniff(b"-----BEGIN PGP MESSAGE-----x"), Some(Format::OpenPgp));
        assert_eq!(Format::sniff(b"-----BEGIN SIGNED MESSAGE-----"), Some(Format::X509));
        assert_eq!(Format::sniff(b"-----BEGIN PKCS7-----"), None);
        assert_eq!(Format::sniff(b" -----BEGIN SSH SIGNATURE-----"), None);
    }

    #[test]
    fn ssh_round_trip_and_forms() {
        let blob: Vec<u8> = (0..=200).collect();
        let armored = encode_ssh(&blob);
        assert!(armored.split(|&b| b == b'\n').all(|line| line.len() <= 70));
        assert_eq!(decode_ssh(&armored), Ok((blob.clone(), ArmorForm::Canonical)));
        let text = String::from_utf8(armored).unwrap();
        let body = text.lines().filter(|l| !l.starts_with('-')).collect::<String>();
        let one_line = format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n");
        for (variant, form) in [
            (one_line, ArmorForm::Loose),
            (format!("{text}trailing\n"), ArmorForm::Loose),
            (text.trim_end().to_owned(), ArmorForm::Loose),
            (text.replacen("AAEC", "AA \tEC", 1), ArmorForm::Loose),
            (text.replace('\n', "\r\n"), ArmorForm::CrLf),
        ] {
            assert_eq!(decode_ssh(variant.as_bytes()), Ok((blob.clone(), form)), "{variant}");
        }
    }

    #[test]
    fn ssh_errors() {
        let good = String::from_utf8(encode_ssh(b"abcd")).unwrap();
        for (bad, error) in [
            (String::new(), ArmorError::MissingHeader),
            ("-----BEGIN SSH SIGNATURE-----".to_owned(), ArmorError::MissingHeader),
            (format!(" {good}"), ArmorError::MissingHeader),
            (good.replace("END", "FIN"), ArmorError::MissingFooter),
            (good.replace("==", "="), ArmorError::InvalidBase64),
            (good.replace("==", "==x"), ArmorError::InvalidBase64),
            (good.replace('Y', "*"), ArmorError::InvalidBase64),
            (good.repeat(2), ArmorError::Several),
        ] {
            assert_eq!(decode_ssh(bad.as_bytes()), Err(error), "{bad}");
        }
    }
}
