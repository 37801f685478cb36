//! Rows 24 and 26: what is built in. `cargo deny` says the same in CI with deny.toml; this reads the lock file, so that it holds
//! wherever the tests run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toml_edit::{Document, Item, Table};

/// The packages of Cargo.lock: name, version, and the names of what they need.
fn packages() -> Vec<(String, String, Vec<String>)> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = Document::parse(fs::read_to_string(lock).unwrap()).unwrap();
    let text = |table: &Table, key: &str| table[key].as_str().unwrap().to_owned();
    let needs = |table: &Table| {
        let list = table.get("dependencies").and_then(Item::as_array);
        let name = |value: &toml_edit::Value| value.as_str().unwrap().split(' ').next().unwrap().to_owned();
        list.map(|list| list.iter().map(name).collect()).unwrap_or_default()
    };
    let tables = lock["package"].as_array_of_tables().unwrap();
    tables.iter().map(|table| (text(table, "name"), text(table, "version"), needs(table))).collect()
}

fn needing<'a>(packages: &'a [(String, String, Vec<String>)], what: &str) -> Vec<&'a str> {
    packages.iter().filter(|(_, _, needs)| needs.iter().any(|need| need == what)).map(|(name, _, _)| name.as_str()).collect()
}

// guard: Cargo.toml (git2's features), deny.toml (bans)
#[test]
fn row_24_libgit2_hands_over_bytes_and_speaks_to_no_network() {
    let manifest = Document::parse(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap()).unwrap();
    let git2 = &manifest["dependencies"]["git2"];
    assert_eq!(git2["default-features"].as_bool(), Some(false), "its default features are transports");
    let features: Vec<&str> = git2["features"].as_array().unwrap().iter().map(|feature| feature.as_str().unwrap()).collect();
    assert_eq!(features, ["vendored-libgit2", "unstable-sha256"]);
    let packages = packages();
    for absent in ["openssl-sys", "openssl", "libssh2-sys", "curl-sys"] {
        assert!(!packages.iter().any(|(name, _, _)| name == absent), "{absent}");
    }
    assert_eq!(needing(&packages, "libgit2-sys"), ["git2"]);
    assert_eq!(needing(&packages, "git2"), ["git-warrant"]);
}

// guard: deny.toml (the wrappers of `rsa`), Cargo.toml (aws-lc-rs signs)
#[test]
fn row_26_nothing_that_leaks_by_its_timing_touches_a_private_key() {
    let packages = packages();
    assert_eq!(needing(&packages, "rsa"), ["sequoia-openpgp"], "it verifies with it only; ours is aws-lc-rs");
    let mut versions = BTreeMap::new();
    for (_, version, _) in packages.iter().filter(|(name, _, _)| name == "curve25519-dalek") {
        let numbers: Vec<u64> = version.split(['.', '-']).map_while(|number| number.parse().ok()).collect();
        versions.insert(version.clone(), numbers >= vec![4, 1, 3]);
    }
    assert!(!versions.is_empty() && versions.values().all(|fixed| *fixed), "{versions:?}");
}
