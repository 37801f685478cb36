//! What is fetched or named to be believed: TUF metadata, signing configurations, trusted roots.
#![no_main]

use git_warrant::signature::x509::Root;
use git_warrant::signature::x509::sign::SigningConfig;
use git_warrant::tuf::check;
use libfuzzer_sys::fuzz_target;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

fuzz_target!(|bytes: &[u8]| {
    let _ = check(bytes);
    if let Ok(config) = SigningConfig::parse(bytes) {
        let _ = (config.fulcio(NOW), config.issuer(NOW), config.timestamps(NOW));
        for version in [1, 2] {
            let _ = config.rekor(NOW, version);
        }
    }
    let _ = Root::parse(bytes, "fuzzed");
});
