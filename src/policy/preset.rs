//! Keys that a policy can take by a name: those of forges.

/// The names.
pub const NAMES: [&str; 1] = ["github-web-flow"];

/// The fingerprint (uppercase hexadecimal) and the armoured certificate of each key of a preset. What they are good for says the
/// policy: a certificate in them that has ended stands where it is settled, as any other.
pub fn keys(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match name {
        "github-web-flow" => Some(&GITHUB_WEB_FLOW),
        _ => None,
    }
}

/// What GitHub signs with in the name of its users, as it publishes it at <https://github.com/web-flow.gpg>: since 2024-01-16,
/// and until then.
const GITHUB_WEB_FLOW: [(&str, &str); 2] = [
    ("968479A1AFF927E37D1A566BB5690EEEBB952194", include_str!("preset/968479A1AFF927E37D1A566BB5690EEEBB952194.asc")),
    ("5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23", include_str!("preset/5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23.asc")),
];
