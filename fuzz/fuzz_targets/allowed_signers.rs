//! allowed_signers files: what holds of a line holds of it by itself.
#![no_main]

use git_warrant::policy::allowed_signers::{AllowedSigners, utc_seconds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let signers = AllowedSigners::parse(text, &utc_seconds);
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    assert!(signers.lines.len() + signers.skipped.len() <= lines.len());
    for line in &signers.lines {
        let alone = AllowedSigners::parse(lines[line.number - 1], &utc_seconds);
        assert_eq!(alone.lines.len(), 1, "a line does not hang on others");
        assert_eq!(alone.lines[0].key.blob, line.key.blob);
        assert!(line.key.certificate.is_none());
        if let (Some(after), Some(before)) = (line.valid_after, line.valid_before) {
            assert!(after < before && line.holds_at(after) && line.holds_at(before));
        }
        let _ = (line.principals.matching_item(b"alice@example.org"), line.covers_namespace(b"git"));
    }
    for bad in &signers.skipped {
        let _ = bad.why.to_string();
    }
    let _ = AllowedSigners::speaking_for(text, b"alice@example.org", &utc_seconds);
});
