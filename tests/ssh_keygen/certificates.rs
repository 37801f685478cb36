//! Certificates: signing with them and judging them, beside ssh-keygen.

use crate::common::{Home, SshAgent, run};
use crate::signing::{KINDS, assert_refused, assert_signed, check, sign};
use crate::verifying::{MESSAGE, same, signature, verify};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git_warrant::armor::{decode_ssh, encode_ssh};
use git_warrant::policy::allowed_signers::{AllowedSigners, LineError, utc_seconds};
use git_warrant::signature::ssh::SshSig;
use git_warrant::signature::ssh::wire::Writer;

/// Has an authority certify `KEY.pub`, as `NAME-cert.pub` beside a copy of the key.
pub(crate) fn certify(home: &Home, authority: &str, key: &str, name: &str, options: &[&str]) {
    for suffix in ["", ".pub"] {
        if name != key {
            std::fs::copy(home.join(format!("{key}{suffix}")), home.join(format!("{name}{suffix}"))).unwrap();
        }
    }
    let mut command = home.command("ssh-keygen");
    command.args(["-q", "-s", authority, "-I", "the id"]).args(options).arg(format!("{name}.pub"));
    let done = run(&mut command, b"");
    assert!(done.ok(), "{done:?}");
}

const NAMED: [&str; 2] = ["-n", "alice@example.com"];

fn home() -> Home {
    let home = Home::new();
    home.write("message", MESSAGE);
    for name in ["k", "ca", "other"] {
        home.key(name, &["ed25519"], "");
    }
    home
}

/// A blob of a signature with another key in it.
fn with_key(home: &Home, file: &str, key: &[u8]) -> Vec<u8> {
    let (blob, _) = decode_ssh(&home.read(file)).unwrap();
    let frame = SshSig::parse(&blob).unwrap();
    encode_ssh(&SshSig { public_key: key, ..frame.clone() }.to_bytes())
}

fn blob(home: &Home, file: &str) -> Vec<u8> {
    let text = String::from_utf8(home.read(file)).unwrap();
    STANDARD.decode(text.split(' ').nth(1).unwrap().trim()).unwrap()
}

#[test]
fn every_window_name_kind_and_option_is_judged_as_ssh_keygen_does() {
    let home = home();
    let certificates: [(&str, &[&str]); 14] = [
        ("plain", &NAMED),
        ("two", &["-n", "bob@example.com,alice@example.com"]),
        ("pattern", &["-n", "*@example.com"]),
        ("bang", &["-n", "!alice@example.com,alice@example.com"]),
        ("nobody", &[]),
        ("stranger", &["-n", "mallory@example.com"]),
        ("ended", &["-n", "alice@example.com", "-V", "20200101000000:20210101000000"]),
        ("early", &["-n", "alice@example.com", "-V", "20980101000000:20990101000000"]),
        ("always", &["-n", "alice@example.com", "-V", "always:forever"]),
        ("host", &["-n", "alice@example.com", "-h"]),
        ("command", &["-n", "alice@example.com", "-O", "force-command=/bin/true", "-O", "source-address=10.0.0.0/8"]),
        ("critical", &["-n", "alice@example.com", "-O", "critical:strange@example.com=1"]),
        ("extension", &["-n", "alice@example.com", "-O", "extension:strange@example.com=1"]),
        ("verified", &["-n", "alice@example.com", "-O", "verify-required"]),
    ];
    for (name, options) in certificates {
        certify(&home, "ca", "k", name, options);
        signature(&home, &format!("{name}-cert.pub"), "git", name);
    }
    let (ca, k, other) = (home.public("ca"), home.public("k"), home.public("other"));
    let all = "alice@example.com,bob@example.com,*@example.com";
    for (name, text) in [
        ("one", format!("alice@example.com cert-authority {ca}\n")),
        ("many", format!("{all} cert-authority {ca}\n")),
        ("anybody", format!("* cert-authority {ca}\n")),
        ("but", format!("*,!alice@example.com cert-authority {ca}\n")),
        ("spaces", format!("bob@example.com cert-authority {ca}\nalice@example.com cert-authority,namespaces=\"file\" {ca}\n")),
        ("spaced", format!("alice@example.com cert-authority,namespaces=\"file,g*\" {ca}\n")),
        ("past", format!("alice@example.com cert-authority,valid-before=\"20200601Z\" {ca}\n* cert-authority {ca}\n")),
        ("future", format!("alice@example.com cert-authority,valid-after=\"20980601Z\" {ca}\n")),
        ("plain-ca", format!("alice@example.com {ca}\n")),
        ("key", format!("alice@example.com {k}\n")),
        ("key-as-ca", format!("alice@example.com cert-authority {k}\n")),
        ("other-ca", format!("alice@example.com cert-authority {other}\n")),
        ("goes-on", format!("mallory@example.com cert-authority {ca}\nalice@example.com {k}\n* cert-authority {ca}\n")),
        ("empty", String::new()),
    ] {
        let signers = format!("signers-{name}");
        home.write(&signers, text);
    }
    let mut good = 0;
    for signers in [
        "one",
        "many",
        "anybody",
        "but",
        "spaces",
        "spaced",
        "past",
        "future",
        "plain-ca",
        "key",
        "key-as-ca",
        "other-ca",
        "goes-on",
        "empty",
    ] {
        // a process each is slow: times where times matter; the third is the very end of `ended`, which does not belong to it
        let times = [&[][..], &["-Overify-time=20200301Z"], &["-Overify-time=20210101000000Z"], &["-Overify-time=20980701Z"]];
        let times = &times[..if ["one", "past", "future"].contains(&signers) { 4 } else { 1 }];
        let signers = format!("signers-{signers}");
        for (name, _) in certificates {
            let file = format!("{name}.sig");
            for time in times {
                for principal in ["alice@example.com", "bob@example.com", "*@example.com"] {
                    good += usize::from(same(&home, &verify(&signers, principal, &file, time), MESSAGE) == Some(0));
                }
                let find = [&["-Y", "find-principals", "-f", &signers, "-s", &file][..], *time].concat();
                good += usize::from(same(&home, &find, b"") == Some(0));
            }
        }
    }
    assert!(good > 60, "{good}");
    for (name, _) in certificates {
        let file = format!("{name}.sig");
        assert_eq!(same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", &file], MESSAGE), Some(0));
        assert_eq!(same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", &file], b"x"), Some(255));
    }
    // keys and authorities in a plain revocation file
    for (list, status) in [("k", 255), ("ca", 255), ("other", 0), ("plain-cert", 255)] {
        let list = format!("{list}.pub");
        let args = verify("signers-one", "alice@example.com", "plain.sig", &["-r", &list]);
        assert_eq!(same(&home, &args, MESSAGE), Some(status), "{list}");
    }
}

#[test]
fn a_line_that_lists_a_certificate_is_good_for_just_that_one() {
    let home = home();
    for (name, options) in [
        ("plain", &NAMED[..]),
        ("twin", &NAMED), // the same words of the same key in another certificate
        ("ended", &["-n", "mallory@example.com", "-V", "20200101000000:20210101000000"]),
        ("host", &["-h"]),
    ] {
        certify(&home, "ca", "k", name, options);
        signature(&home, &format!("{name}-cert.pub"), "git", name);
    }
    signature(&home, "k", "git", "k");
    let line = |name: &str| String::from_utf8(home.read(format!("{name}-cert.pub"))).unwrap();
    certify(&home, "other", "ca", "ca-certified", &NAMED);
    let (plain, ended, host) = (line("plain"), line("ended"), line("host"));
    let policy = AllowedSigners::parse(format!("* {plain}").as_bytes(), &utc_seconds);
    assert!(policy.lines.is_empty() && policy.skipped[0].why == LineError::CertificateAsKey, "a policy has no use for it");
    let broken = plain.replacen("AAAA", "AAAB", 1);
    let mut good = 0;
    for (name, text) in [
        ("one", format!("alice@example.com,*@example.net {plain}")),
        ("all", format!("mallory@example.com {plain}alice@example.com {ended}* {host}")),
        ("options", format!("* namespaces=\"file\" {plain}alice@example.com namespaces=\"g*\" {plain}")),
        ("times", format!("alice@example.com valid-before=\"20200601Z\" {plain}* valid-after=\"20200101Z\" {ended}")),
        ("authority", format!("* cert-authority {plain}")),
        ("certified-authority", format!("* cert-authority {}", line("ca-certified"))),
        ("plain-key", format!("* {}\n", home.public("k"))),
        ("broken", format!("* {broken}* {plain}")),
        ("late", format!("* {ended}* cert-authority {}\n", home.public("ca"))),
    ] {
        home.write(name, text);
        for file in ["plain.sig", "twin.sig", "ended.sig", "host.sig", "k.sig"] {
            for principal in ["alice@example.com", "mallory@example.com"] {
                good += usize::from(same(&home, &verify(name, principal, file, &[]), MESSAGE) == Some(0));
            }
            good += usize::from(same(&home, &["-Y", "find-principals", "-f", name, "-s", file], b"") == Some(0));
        }
        for principal in ["alice@example.com", "eve@example.net"] {
            same(&home, &["-Y", "match-principals", "-f", name, "-I", principal], b"");
        }
        same(&home, &verify(name, "alice@example.com", "plain.sig", &["-r", "k.pub"]), MESSAGE);
    }
    assert!(good > 20, "{good}");
}

#[test]
fn authorities_of_every_type_and_none_by_sha1() {
    let home = home();
    let verified = |signers: &str, name: &str| {
        let file = format!("{name}.sig");
        signature(&home, &format!("{name}-cert.pub"), "git", name);
        let find = ["-Y", "find-principals", "-f", signers, "-s", &file];
        let novalidate = ["-Y", "check-novalidate", "-n", "git", "-s", &file];
        let statuses = [same(&home, &find, b""), same(&home, &novalidate, MESSAGE)];
        let by_name = same(&home, &verify(signers, "alice@example.com", &file, &[]), MESSAGE);
        assert_eq!(statuses, [by_name; 2], "{name}");
        by_name
    };
    for (name, kind) in KINDS {
        let authority = format!("{name}-ca");
        home.key(&authority, kind, "");
        home.write("signers", format!("*@example.com cert-authority {}\n", home.public(&authority)));
        certify(&home, &authority, "k", name, &NAMED);
        assert_eq!(verified("signers", name), Some(0), "{name}");
    }
    certify(&home, "rsa-ca", "k", "rsa256", &["-t", "rsa-sha2-256", "-n", "alice@example.com"]);
    assert_eq!(verified("signers", "rsa256"), Some(0));
    // where we are stricter: RSA with SHA-1
    certify(&home, "rsa-ca", "k", "sha1", &["-t", "ssh-rsa", "-n", "alice@example.com"]);
    signature(&home, "k", "git", "k");
    home.write("sha1.sig", with_key(&home, "k.sig", &blob(&home, "sha1-cert.pub")));
    let ours = run(&mut home.ours(&verify("signers", "alice@example.com", "sha1.sig", &[])), MESSAGE);
    assert_eq!((ours.status, ours.stdout.as_str()), (Some(255), "Could not verify signature.\n"));
    assert!(ours.stderr.contains("`ssh-rsa`, which is not supported"), "{}", ours.stderr);
}

#[test]
fn certificates_that_are_bent_are_no_ones() {
    let home = home();
    home.write("signers", format!("alice@example.com cert-authority {}\n", home.public("ca")));
    certify(&home, "ca", "k", "k", &["-n", "alice@example.com", "-V", "always:forever"]);
    signature(&home, "k-cert.pub", "git", "good");
    assert_eq!(same(&home, &verify("signers", "alice@example.com", "good.sig", &[]), MESSAGE), Some(0));
    let certificate = blob(&home, "k-cert.pub");
    for at in (0..certificate.len()).step_by(5) {
        let mut bent = certificate.clone();
        bent[at] ^= 0x10;
        home.write("bent.sig", with_key(&home, "good.sig", &bent));
        assert_eq!(same(&home, &verify("signers", "alice@example.com", "bent.sig", &[]), MESSAGE), Some(255), "{at}");
        assert_eq!(same(&home, &["-Y", "find-principals", "-f", "signers", "-s", "bent.sig"], b""), Some(255), "{at}");
        assert_eq!(same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", "bent.sig"], MESSAGE), Some(255), "{at}");
    }
    for cut in (0..certificate.len()).step_by(7) {
        home.write("cut.sig", with_key(&home, "good.sig", &certificate[..cut]));
        let done = run(&mut home.ours(&["-Y", "check-novalidate", "-n", "git", "-s", "cut.sig"]), MESSAGE);
        assert_eq!(done.status, Some(255), "{cut}");
    }
    // another's certificate around the same signature
    certify(&home, "ca", "other", "other", &NAMED);
    home.write("others.sig", with_key(&home, "good.sig", &blob(&home, "other-cert.pub")));
    assert_eq!(same(&home, &verify("signers", "alice@example.com", "others.sig", &[]), MESSAGE), Some(255));
    // an authority that is a certificate itself
    let mut nested = certificate.clone();
    let ca = blob(&home, "ca.pub");
    let at = nested.windows(ca.len()).position(|window| window == ca).unwrap();
    let inner = Writer::default().string(&certificate).into_bytes();
    nested.splice(at - 4..at + ca.len(), inner);
    home.write("nested.sig", with_key(&home, "good.sig", &nested));
    assert_eq!(same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", "nested.sig"], MESSAGE), Some(255));
}

#[test]
fn signing_with_a_certificate_from_its_file_and_by_the_agent() {
    for (name, kind) in KINDS {
        let home = home();
        home.key(name, kind, "");
        certify(&home, "ca", name, name, &NAMED);
        home.write("signers", format!("alice@example.com cert-authority {}\n", home.public("ca")));
        let (file, wanted) = (format!("{name}-cert.pub"), blob(&home, &format!("{name}-cert.pub")));
        signature(&home, &file, "git", "theirs");
        let deterministic = matches!(name, "ed25519" | "rsa");
        let signed = || {
            let (frame, _) = decode_ssh(&home.read("message.sig")).unwrap();
            assert_eq!(SshSig::parse(&frame).unwrap().public_key, wanted, "{name}");
            assert!(!check(&home).high_s);
            assert_eq!(same(&home, &verify("signers", "alice@example.com", "message.sig", &[]), MESSAGE), Some(0));
            if deterministic {
                assert_eq!(home.read("message.sig"), home.read("theirs.sig"), "{name}");
            }
        };
        assert_signed(&sign(&home, &file, &[], None));
        signed();
        // the certificate beside a key is not used unless it is named
        for plain in [name.to_owned(), format!("{name}.pub")] {
            assert_signed(&sign(&home, &plain, &[], None));
            let (frame, _) = decode_ssh(&home.read("message.sig")).unwrap();
            assert_eq!(SshSig::parse(&frame).unwrap().public_key, blob(&home, &format!("{name}.pub")));
        }
        let agent = SshAgent::start(&home, &[]);
        // an agent that holds the plain key only
        std::fs::rename(home.join(&file), home.join("aside")).unwrap();
        agent.add(&home, &["-q", name]);
        std::fs::rename(home.join("aside"), home.join(&file)).unwrap();
        assert_refused(&home, &sign(&home, &file, &["-U"], Some(&agent.socket)), "does not hold the certificate of SHA256:");
        assert_signed(&sign(&home, &file, &[], Some(&agent.socket)));
        signed();
        agent.add(&home, &["-q", name]);
        std::fs::remove_file(home.join(name)).unwrap();
        let text = String::from_utf8(home.read(&file)).unwrap();
        home.write("literal", text.split(' ').take(2).collect::<Vec<_>>().join(" ")); // as git writes `key::…`
        for (key, options) in [(file.as_str(), &[][..]), (&file, &["-U"]), ("literal", &["-U"])] {
            assert_signed(&sign(&home, key, options, Some(&agent.socket)));
            signed();
        }
    }
}
