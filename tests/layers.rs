//! Holds the source to the rules of the house. Each rule is a row of [`RULES`]: a sentence, the files that it binds, what
//! breaks it, and snippets that it must catch and must let pass. The source is read as text: comments, the contents of
//! strings and what is compiled for tests only are left out, `use` trees are spread out, and paths are resolved through them.

#[path = "layers/schemas.rs"]
mod schemas;
#[path = "layers/source.rs"]
mod source;

use source::{Source, tokens, without_tests};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One rule of the house.
struct Rule {
    says: &'static str,
    binds: fn(&str) -> bool,
    breaks: fn(&Source) -> Vec<String>,
    /// File name and content: caught.
    caught: &'static [(&'static str, &'static str)],
    /// File name and content: not caught.
    passes: &'static [(&'static str, &'static str)],
}

/// What reaches the world: files, environment, network, processes, standard streams, terminals, the clock.
const WORLD: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::os::unix::fs",
    "std::os::unix::net",
    "std::os::unix::process",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant",
    "jiff::Zoned::now",
    "jiff::Timestamp::now",
    "jiff::tz::TimeZone::system",
    "git2",
    "anyhow",
    "indicatif",
    "rpassword",
    "rusqlite",
    "rustix",
    "tempfile",
];

const PRINTS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "dbg!"];

/// What of the code for signatures verifies them.
const VERIFIERS: &[&str] = &[
    "crate::signature::Verifier",
    "crate::signature::verify",
    "crate::signature::ssh::SshVerifier",
    "crate::signature::ssh::SshSig",
    "crate::signature::ssh::SignatureError",
    "crate::signature::ssh::sshsig",
    "crate::signature::ssh::sign",
    "crate::signature::ssh::key::SignatureError",
    "crate::signature::x509",
];

/// What of `object` is a plain value.
const OBJECT_VALUES: &[&str] = &["ObjectId", "PayloadId", "ObjectKind", "HashAlgorithm"];

/// The modules of `signature/` that are backends, those to come included.
const BACKENDS: &[&str] = &["ssh", "openpgp", "x509", "sigstore"];

const MAX_LINES: usize = 700;

const RULES: &[Rule] = &[
    Rule {
        says: "1: only io, run and main.rs reach files, environment, network, processes, terminals, the clock, git2 or anyhow",
        binds: |file| !within(file, &["io", "run"]) && file != "main.rs",
        breaks: |source| [source.naming(WORLD), source.naming(PRINTS)].concat(),
        caught: &[
            ("policy.rs", "use std::fs;"),
            ("policy.rs", "use std::{fmt, io::{self, Write}, env as e};"),
            ("history.rs", "fn f() { let t = std::time::SystemTime::now(); }"),
            ("history.rs", "use std::time; fn f() { time::Instant::now(); }"),
            ("history.rs", "use jiff::Timestamp; fn f() { Timestamp::now(); }"),
            ("history.rs", "fn f() { ::jiff::Zoned::now(); }"),
            ("object.rs", "use std::*;"),
            ("object.rs", "use git2::{Oid, Repository};"),
            ("object.rs", "fn f(id: git2::Oid) {}"),
            ("report.rs", "fn f() -> anyhow::Result<()> { anyhow::bail!(\"no\") }"),
            ("cli.rs", "fn f() { std::process::exit(1) }"),
            ("cli.rs", "use std::io; fn f() { io::stdout(); }"),
            ("cli.rs", "fn f() { eprintln!(\"hello\") }"),
            ("running.rs", "use std::fs;"),
        ],
        passes: &[
            ("io/git.rs", "use std::fs; use git2::Oid;"),
            ("io.rs", "use std::fs;"),
            ("run/verify.rs", "use anyhow::Result; use std::time::Instant;"),
            ("main.rs", "use std::process::ExitCode;"),
            ("policy.rs", "// use std::fs;\n/* std::env /* git2::Oid */ */ fn f() -> &'static str { \"std::net::TcpStream\" }"),
            (
                "policy.rs",
                "fn f<'a>(x: &'a str) -> char { '\"' } #[cfg(test)] mod tests { use std::fs; } fn g() { r#\"git2::Oid\"#; }",
            ),
            ("policy.rs", "use jiff::Timestamp; use std::time::Duration; fn f(now: Timestamp) {}"),
        ],
    },
    Rule {
        says: "2: policy sees evidence and plain values: no object but its ids and kind, no repository, nothing that verifies",
        binds: |file| within(file, &["policy"]),
        breaks: |source| {
            let mut found = source.naming(VERIFIERS);
            found.extend(source.naming(&["crate::io", "crate::run", "crate::report", "crate::personality", "git2"]));
            found.extend(source.naming_beside("crate::object", OBJECT_VALUES));
            found
        },
        caught: &[
            ("policy.rs", "use crate::object::Commit;"),
            ("policy.rs", "use crate::object::*;"),
            ("policy/file.rs", "use crate::object; fn f(c: object::Commit) {}"),
            ("policy/file.rs", "use crate::{evidence::Evidence, signature::{Verifier as V}};"),
            ("policy/file.rs", "use crate::signature::ssh::*;"),
            ("policy/file.rs", "use super::super::signature::ssh::SshVerifier;"),
            ("policy.rs", "use crate::signature as s; fn f() { s::verify(&[], b\"\", p); }"),
            ("policy.rs", "use crate::io::git::Repository;"),
        ],
        passes: &[
            ("policy.rs", "use crate::object::{ObjectId, PayloadId}; use crate::evidence::Evidence; use crate::verdict::Reason;"),
            ("policy/allowed_signers.rs", "use super::Policy; use crate::signature::ssh::wire::Reader;"),
            ("history.rs", "use crate::object::Commit;"),
        ],
    },
    Rule {
        says: "3: the signature backends never import each other, nor policy",
        binds: |file| within(file, &["signature"]),
        breaks: |source| {
            let mut found = source.naming(&["crate::policy", "crate::io", "crate::run", "crate::report"]);
            let own = source.file.strip_prefix("signature/").and_then(|rest| rest.split(['/', '.']).next());
            if let Some(own) = own {
                let others: Vec<String> =
                    BACKENDS.iter().filter(|name| **name != own).map(|name| format!("crate::signature::{name}")).collect();
                found.extend(source.naming(&others.iter().map(String::as_str).collect::<Vec<_>>()));
            }
            found
        },
        caught: &[
            ("signature/openpgp.rs", "use super::ssh::wire::Reader;"),
            ("signature/openpgp.rs", "use crate::signature::{self, ssh};"),
            ("signature/ssh/key.rs", "use super::super::x509::Chain;"),
            ("signature/ssh.rs", "use super::*; use crate::signature::*;"),
            ("signature/x509.rs", "fn f(p: &crate::policy::Policy) {}"),
            ("signature.rs", "use crate::policy::Policy;"),
        ],
        passes: &[
            ("signature/ssh.rs", "pub mod key; use super::Verifier; use key::PublicKey; use crate::signature::ssh::wire;"),
            ("signature/ssh/sign.rs", "use super::key::PublicKey; use crate::armor;"),
            ("signature.rs", "pub mod ssh; pub use ssh::SshVerifier;"),
        ],
    },
    Rule {
        says: "4: report sees verdicts, evidence and ids, and writes to the `Write` that it is given",
        binds: |file| within(file, &["report"]),
        breaks: |source| {
            let mut found = source.naming(PRINTS);
            found.extend(source.naming_beside("crate", &["verdict", "evidence", "object", "report"]));
            found.extend(source.naming_beside("crate::object", OBJECT_VALUES));
            let crates = dependencies();
            let foreign: Vec<&str> =
                crates.iter().map(String::as_str).filter(|name| !["serde", "serde_json"].contains(name)).collect();
            found.extend(source.naming(&foreign));
            found
        },
        caught: &[
            ("report.rs", "use crate::policy::Policy;"),
            ("report/jsonl.rs", "use crate::{verdict::Verdict, history};"),
            ("report/human.rs", "fn f() { println!(\"{}\", 1) }"),
            ("report/human.rs", "fn f(o: &crate::object::Commit<'_>) {}"),
            ("report/human.rs", "use jiff::Timestamp;"),
            ("report/human.rs", "use super::super::policy;"),
        ],
        passes: &[
            ("report.rs", "pub mod human; use crate::verdict::{Reason, Verdict}; use crate::object::ObjectId; use std::io::Write;"),
            (
                "report/jsonl.rs",
                "use super::Report; use serde::Serialize; use serde_json::json; fn f(w: &mut dyn Write) { writeln!(w); }",
            ),
        ],
    },
    Rule {
        says: "5: no file is longer than 700 lines",
        binds: |_| true,
        breaks: |source| {
            if source.lines > MAX_LINES { vec![format!("{} lines, more than {MAX_LINES}", source.lines)] } else { Vec::new() }
        },
        caught: &[("run/verify.rs", LONG)],
        passes: &[("run/verify.rs", "\n\n\n")],
    },
    Rule {
        says: "6: third-party types stop at the edge: git2 in io/git and io/config",
        binds: |file| !within(file, &["io/git", "io/config"]),
        breaks: |source| source.naming(&["git2"]),
        caught: &[
            ("io/state.rs", "use git2::Oid;"),
            ("run/verify.rs", "fn f(id: git2::Oid) {}"),
            ("main.rs", "extern crate git2;"),
        ],
        passes: &[
            ("io/git.rs", "use git2::Oid;"),
            ("io/config.rs", "use git2::Config;"),
            ("io/state.rs", "use super::git::Repository;"),
        ],
    },
    Rule {
        says: "6: third-party types stop at the edge: ssh_key in io/keys",
        binds: |file| !within(file, &["io/keys"]),
        breaks: |source| source.naming(&["ssh_key"]),
        caught: &[("signature/ssh/key.rs", "use ssh_key::PublicKey;"), ("io/git.rs", "fn f(k: ssh_key::PrivateKey) {}")],
        passes: &[("io/keys/file.rs", "use ssh_key::PrivateKey;"), ("io/keys.rs", "use ssh_key::PrivateKey;")],
    },
    Rule {
        says: "6: third-party types stop at the edge: aws_lc_rs and ed25519_dalek in signature and io/keys",
        binds: |file| !within(file, &["signature", "io/keys"]),
        breaks: |source| source.naming(&["aws_lc_rs", "ed25519_dalek"]),
        caught: &[("policy.rs", "use aws_lc_rs::digest;"), ("run/sign.rs", "fn f(k: ed25519_dalek::SigningKey) {}")],
        passes: &[("signature/ssh/key.rs", "use ed25519_dalek::VerifyingKey;"), ("io/keys/rsa.rs", "use aws_lc_rs::rsa::KeyPair;")],
    },
    Rule {
        says: "6: third-party types stop at the edge: ureq and rustls in io/sigstore, so that nothing else reaches a network",
        binds: |file| !within(file, &["io/sigstore"]),
        breaks: |source| source.naming(&["ureq", "rustls"]),
        caught: &[("run/verify.rs", "fn f() { ureq::get(\"x\"); }"), ("io/policy.rs", "use rustls::ClientConfig;")],
        passes: &[("io/sigstore/http.rs", "use ureq::Agent;"), ("io/sigstore.rs", "use rustls::ClientConfig;")],
    },
    Rule {
        says: "6: third-party types stop at the edge: sequoia_openpgp in signature/openpgp",
        binds: |file| !within(file, &["signature/openpgp"]),
        breaks: |source| source.naming(&["sequoia_openpgp"]),
        caught: &[("policy.rs", "use sequoia_openpgp::Cert;"), ("run/import.rs", "fn f(c: sequoia_openpgp::Cert) {}")],
        passes: &[
            ("signature/openpgp.rs", "use sequoia_openpgp::Cert;"),
            ("signature/openpgp/raw.rs", "use sequoia_openpgp::Cert;"),
        ],
    },
    Rule {
        says: "6: third-party types stop at the edge: Sigstore's crates and webpki in signature/x509 and io/sigstore",
        binds: |file| !within(file, &["signature/x509", "io/sigstore"]),
        breaks: |source| source.naming(&["sigstore_verify", "sigstore_merkle", "sigstore_tuf", "webpki", "rustls_pki_types"]),
        caught: &[
            ("policy.rs", "use sigstore_verify::Verifier;"),
            ("run/verify.rs", "fn f(a: webpki::Error) {}"),
            ("signature.rs", "use sigstore_merkle::hash_leaf;"),
            ("io/trust.rs", "fn f(u: sigstore_tuf::client::Updater) {}"),
        ],
        passes: &[
            ("signature/x509/roots.rs", "use sigstore_verify::Verifier;"),
            ("io/sigstore.rs", "use sigstore_verify::types::Bundle;"),
            ("io/sigstore/tuf.rs", "use sigstore_tuf::client::Updater;"),
        ],
    },
    Rule {
        says: "6: third-party types stop at the edge: what io/git shows to others names no type of git2",
        binds: |file| within(file, &["io/git", "io/config"]),
        breaks: |source| source.showing("git2"),
        caught: &[
            ("io/git.rs", "pub fn open(id: git2::Oid) -> u8 { 0 }"),
            ("io/git.rs", "use git2::Oid; impl R { pub(crate) fn id(&self) -> Result<Oid, E> { x } }"),
            ("io/git.rs", "use git2::Repository as Inner; pub struct R { pub inner: Inner, n: u8 }"),
            ("io/git.rs", "pub use git2::ObjectType;"),
            ("io/git.rs", "pub type Id = git2::Oid;"),
            ("io/git.rs", "pub struct Id(pub git2::Oid);"),
        ],
        passes: &[
            (
                "io/git.rs",
                "use git2::Oid; pub struct R { inner: git2::Repository, pub n: u8 } impl R { fn id(&self) -> Oid { x } }",
            ),
            ("io/git.rs", "use git2::Oid; pub fn f(a: u8, b: &[u8]) -> u8 { let id: Oid = Oid::from_bytes(b); 0 }"),
            ("io/git.rs", "use git2::Oid; pub(super) const N: u8 = 0; fn g(id: Oid) {}"),
        ],
    },
];

/// 701 lines.
const LONG: &str = {
    const BYTES: [u8; MAX_LINES + 1] = [b'\n'; MAX_LINES + 1];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

#[test]
fn the_source_keeps_the_rules_of_the_house() {
    let mut broken = Vec::new();
    let sources = sources();
    assert!(sources.len() > 10, "the source was not found: {} files", sources.len());
    for (file, text) in &sources {
        let source = Source::read(file, text);
        for rule in RULES.iter().filter(|rule| (rule.binds)(file)) {
            broken.extend((rule.breaks)(&source).into_iter().map(|what| format!("src/{file}: {what}\n    {}", rule.says)));
        }
    }
    assert!(broken.is_empty(), "{} breaches:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn each_rule_catches_what_breaks_it_and_nothing_else() {
    for rule in RULES {
        let verdict = |file: &str, text: &str| (rule.binds)(file) && !(rule.breaks)(&Source::read(file, text)).is_empty();
        assert!(!rule.caught.is_empty() && !rule.passes.is_empty(), "without an example: {}", rule.says);
        for (file, text) in rule.caught {
            assert!(verdict(file, text), "not caught in {file}: {text}\n    {}", rule.says);
        }
        for (file, text) in rule.passes {
            assert!(
                !verdict(file, text),
                "caught in {file}: {text}\n    {:?}\n    {}",
                (rule.breaks)(&Source::read(file, text)),
                rule.says
            );
        }
    }
}

#[test]
fn a_breach_names_its_line() {
    let source = Source::read("policy.rs", "//! x\n\nuse std::{\n    fmt,\n    fs,\n};\n");
    assert_eq!(source.naming(WORLD), ["line 5: std::fs"]);
}

/// The enumerations whose codes share one column of the reports, so that no two of them may have the same.
const REASONS: &[&str] = &["Reason", "Fault", "Unjudged"];

#[test]
fn codes_are_kebab_case_and_unique() {
    let mut faults = Vec::new();
    let mut column: BTreeMap<String, String> = BTreeMap::new();
    let codes = codes(&sources());
    let kinds: BTreeSet<&str> = codes.iter().map(|code| code.of.as_str()).collect();
    for kind in REASONS.iter().chain(&["Warning"]) {
        assert!(kinds.contains(kind), "no codes of {kind} were found");
    }
    for Code { of, variant, code } in &codes {
        if !is_kebab(code) {
            faults.push(format!("{of}::{variant}: `{code}` is not in kebab-case"));
        }
        let name = if REASONS.contains(&of.as_str()) { String::new() } else { of.clone() };
        if let Some(other) = column.insert(format!("{name} {code}"), format!("{of}::{variant}")) {
            faults.push(format!("{of}::{variant} and {other} are both `{code}`"));
        }
    }
    // What only warns may reject under another setting; the same word then means the same thing.
    for warning in codes.iter().filter(|code| code.of == "Warning") {
        for reason in codes.iter().filter(|code| REASONS.contains(&code.of.as_str()) && code.code == warning.code) {
            if reason.variant != warning.variant {
                faults.push(format!(
                    "Warning::{} and {}::{} are both `{}`",
                    warning.variant, reason.of, reason.variant, warning.code
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn codes_stand_in_the_manual() {
    let mut manual = String::new();
    for folder in ["man", "docs"] {
        // a schema lists codes, and explains none
        for file in files(&root().join(folder)).into_iter().filter(|file| file.extension().is_none_or(|it| it != "json")) {
            manual.push_str(&read(&file).replace("\\-", "-"));
            manual.push('\n');
        }
    }
    if manual.is_empty() {
        return; // no manual yet
    }
    let words: BTreeSet<&str> = manual.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
    let missing: Vec<String> = codes(&sources())
        .into_iter()
        .filter(|code| !words.contains(code.code.as_str()))
        .map(|code| format!("{} ({}::{})", code.code, code.of, code.variant))
        .collect();
    assert!(missing.is_empty(), "not in the manual:\n{}", missing.join("\n"));
}

#[test]
fn codes_are_read_from_the_source() {
    let text = "impl Reason { fn code(&self) -> &'static str { match self { Self::A { .. } => \"a-b\", Self::Late { h } => match *h {
        \"tree\" => \"late-tree\", _ => \"late-tagger\" }, Self::Inner(x) => x.code() } } fn other() { \"no\" } }
        impl fmt::Display for Reason { fn fmt() { \"no\" } } impl Warning { pub const fn code(self) -> &'static str { match self { Self::W => \"w_W\" } } }";
    let found: Vec<String> = codes(&[("verdict.rs".to_owned(), text.to_owned())])
        .into_iter()
        .map(|code| format!("{}::{} {}", code.of, code.variant, code.code))
        .collect();
    assert_eq!(found, ["Reason::A a-b", "Reason::Late late-tree", "Reason::Late late-tagger", "Warning::W w_W"]);
    assert!(is_kebab("sha1-collision") && !is_kebab("w_W") && !is_kebab("-a") && !is_kebab("a--b") && !is_kebab(""));
}

/// Whether a file is the module of one of these names, or inside it.
fn within(file: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| file.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
}

struct Code {
    of: String,
    variant: String,
    code: String,
}

/// The strings that the functions `code` of the enumerations give.
fn codes(sources: &[(String, String)]) -> Vec<Code> {
    let mut found = Vec::new();
    for (_, text) in sources {
        let tokens = without_tests(tokens(text));
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let mut of = String::new();
        for at in 0..tokens.len() {
            if word(at) == "impl" {
                of = word(at + 1).to_owned();
            }
            if word(at) != "fn" || word(at + 1) != "code" {
                continue;
            }
            let mut variant = String::new();
            let mut depth = 0_usize;
            for (inner, token) in tokens.iter().enumerate().skip(at) {
                match token.text.as_str() {
                    "{" => depth += 1,
                    "}" if depth == 1 => break,
                    "}" => depth -= 1,
                    "Self" if word(inner + 1) == "::" => variant = word(inner + 2).to_owned(),
                    _ => {}
                }
                // A string before `=>` is a pattern.
                if let Some(code) = &token.literal
                    && !(word(inner + 1) == "=" && word(inner + 2) == ">")
                {
                    found.push(Code { of: of.clone(), variant: variant.clone(), code: code.clone() });
                }
            }
        }
    }
    found
}

fn is_kebab(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The files of the source: name below `src`, and content.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let named = |path: &PathBuf| path.strip_prefix(&src).map(|name| name.display().to_string()).unwrap_or_default();
    let rust = files(&src).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (named(&path), read(&path))).collect()
}

/// The crates that Cargo.toml names as dependencies, as the source writes them.
fn dependencies() -> Vec<String> {
    let manifest = read(&root().join("Cargo.toml"));
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let rows = section.lines().take_while(|line| !line.starts_with('['));
    rows.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().replace('-', "_")).collect()
}
