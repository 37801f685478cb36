//! Blocks of PEM (RFC 7468) out of files that people keep. What is meant as a block and is not written as one is an error: a list
//! of revoked certificates that is passed over would be an empty one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The blocks of a kind, each with the line at which it begins; text around them is passed over. What looks like the begin or the
/// end of a block and is not exactly one of this kind, and what is no text, comes as one that cannot be read.
pub(super) fn blocks<'a>(file: &'a [u8], label: &str) -> impl Iterator<Item = (usize, Result<Vec<u8>, String>)> + use<'a> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut lines = file.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).enumerate();
    std::iter::from_fn(move || {
        let (at, stray) = lines.find_map(|(at, line)| match line == begin.as_bytes() {
            true => Some((at, None)),
            false => stray(line, &begin).map(|what| (at, Some(what))),
        })?;
        if let Some(what) = stray {
            return Some((at + 1, Err(what)));
        }
        let mut body = Vec::new();
        for (_, line) in lines.by_ref() {
            if line == end.as_bytes() {
                let der = STANDARD.decode(&body).map_err(|_| "it is not base64".to_owned());
                return Some((at + 1, der));
            }
            body.extend_from_slice(line);
        }
        Some((at + 1, Err(format!("`{end}` is missing"))))
    })
}

/// What is wrong with a line outside of blocks.
fn stray(line: &[u8], begin: &str) -> Option<String> {
    let text =
        std::str::from_utf8(line).ok().filter(|text| !text.chars().any(|c| c == '\u{feff}' || (c.is_control() && c != '\t')));
    let Some(text) = text else {
        return Some(format!(
            "something that is no text stands there (a byte order mark, DER); only text may stand around {begin}"
        ));
    };
    let is_mark = (text.contains("BEGIN") && text.contains("--")) || text.starts_with("-----END");
    is_mark.then(|| format!("something else stands there than {begin} on a line by itself, or its end without it"))
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn a_block_is_read_or_told() {
        let good = "-----BEGIN X-----\nAAAA\n-----END X-----\n";
        let of = |text: &[u8]| blocks(text, "X").map(|(line, block)| (line, block.is_ok())).collect::<Vec<_>>();
        for text in ["", "# a comment: BEGIN\n", "\tissuer: \u{d6}\r\n", "-- the end\n", "-----\n"] {
            assert_eq!(of(text.as_bytes()), [], "{text}");
            assert_eq!(of((text.to_owned() + good).as_bytes()).iter().map(|(_, good)| *good).collect::<Vec<_>>(), [true], "{text}");
        }
        assert_eq!(of(good.replace("-----B", "  -----B").replace('\n', " \r\n").as_bytes()), [(1, true)]);
        for bad in [
            "\u{feff}-----BEGIN X-----\nAAAA\n-----END X-----\n",
            "here it is: -----BEGIN X-----\nAAAA\n-----END X-----\n",
            "-----BEGIN X----- x\nAAAA\n-----END X-----\n",
            "----- BEGIN X -----\nAAAA\n----- END X -----\n",
            " -----BEGIN Y-----\nAAAA\n -----END Y-----\n",
            "-----BEGIN X-----\r-----END X-----\n",
            "AAAA\n-----END X-----\n",
            "\u{30}\u{3}\u{2}\u{1}\u{7}\n",
        ] {
            for text in [good.to_owned() + bad, bad.to_owned() + good] {
                let found = of(text.as_bytes());
                assert!(found.iter().any(|(_, good)| !good), "{text:?}: {found:?}");
            }
        }
        for bad in [&b"\xff\xfe"[..], b"\0", b"\x30\x82\x01\x02"] {
            assert_eq!(of(&[good.as_bytes(), bad].concat()), [(1, true), (4, false)]);
        }
    }
}
