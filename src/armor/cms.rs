//! The armour of CMS signatures: PEM (RFC 7468) under the label that git looks for.

use super::{ArmorError, ArmorForm, Format};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &[u8] = b"-----BEGIN SIGNED MESSAGE-----";
const END: &[u8] = b"-----END SIGNED MESSAGE-----";
/// gpgsm, gitsign and smimesign break lines after this many characters.
const COLUMNS: usize = 64;

/// Takes the armour off a CMS signature. Lines of any length, and text after the end line, are read and told.
///
/// # Errors
/// Where a marker is missing, the base64 is broken, or a second signature follows.
pub fn decode_cms(armored: &[u8]) -> Result<(Vec<u8>, ArmorForm), ArmorError> {
    let mut lines = armored.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
    if lines.next() != Some(BEGIN) {
        return Err(ArmorError::MissingHeader);
    }
    let (mut body, mut ended) = (Vec::with_capacity(armored.len()), false);
    for line in lines.by_ref() {
        if line == END {
            ended = true;
            break;
        }
        line.split(|b| matches!(b, b' ' | b'\t')).for_each(|part| body.extend_from_slice(part));
    }
    if !ended {
        return Err(ArmorError::MissingFooter);
    }
    if lines.any(|line| Format::sniff(line).is_some()) {
        return Err(ArmorError::Several);
    }
    let blob = STANDARD.decode(body).map_err(|_| ArmorError::InvalidBase64)?;
    let form = if encode_cms(&blob) == armored { ArmorForm::Canonical } else { ArmorForm::Loose };
    Ok((blob, form))
}

/// Armours a CMS signature byte for byte as gitsign does: lines of 64 characters, a newline at the end.
pub fn encode_cms(blob: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(blob);
    let mut out = Vec::with_capacity(BEGIN.len() + END.len() + text.len() + text.len().div_ceil(COLUMNS) + 2);
    out.extend_from_slice(BEGIN);
    out.push(b'\n');
    for line in text.as_bytes().chunks(COLUMNS) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(END);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_forms_and_errors() {
        let blob: Vec<u8> = (0..=200).collect();
        let text = String::from_utf8(encode_cms(&blob)).unwrap();
        assert_eq!(decode_cms(text.as_bytes()), Ok((blob.clone(), ArmorForm::Canonical)));
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        for loose in [
            format!("-----BEGIN SIGNED MESSAGE-----\n{body}\n-----END SIGNED MESSAGE-----\n"),
            text.replace('\n', "\r\n"),
            format!("{text}and more\n"),
            text.trim_end().to_owned(),
        ] {
            assert_eq!(decode_cms(loose.as_bytes()), Ok((blob.clone(), ArmorForm::Loose)), "{loose}");
        }
        for (bad, error) in [
            (format!(" {text}"), ArmorError::MissingHeader),
            (text.replace("BEGIN SIGNED MESSAGE", "BEGIN PKCS7"), ArmorError::MissingHeader),
            (text.replace("END", "FIN"), ArmorError::MissingFooter),
            (text.replace("-----END SIGNED MESSAGE-----", ""), ArmorError::MissingFooter),
            (text.replace("AAEC", "AA*C"), ArmorError::InvalidBase64),
            (text.repeat(2), ArmorError::Several),
            (format!("{text}-----BEGIN SSH SIGNATURE-----\n"), ArmorError::Several),
        ] {
            assert_eq!(decode_cms(bad.as_bytes()), Err(error), "{bad}");
        }
    }
}
