//! Our answers beside ssh-keygen's, argument by argument.

use crate::common::{Done, Home, run};
use crate::signing::KINDS;
use git_warrant::armor::{decode_ssh, encode_ssh};
use git_warrant::signature::ssh::SshSig;
use git_warrant::signature::ssh::wire::{Reader, Writer};
use std::fs::File;
use std::io::Seek;
use std::process::Stdio;

pub(crate) const MESSAGE: &[u8] = b"what is signed\n";

/// Keys `k` (listed), `bob` (listed), `stranger`; signatures `NAME.sig` by each over `message`, and a certificate's.
fn home() -> Home {
    let home = Home::new();
    home.write("message", MESSAGE);
    for name in ["k", "bob", "stranger", "ca"] {
        home.key(name, &["ed25519"], "");
        signature(&home, name, "git", name);
    }
    signature(&home, "k", "file", "other-namespace");
    let certify =
        run(home.command("ssh-keygen").args(["-q", "-s", "ca", "-I", "id", "-n", "alice@example.com", "stranger.pub"]), b"");
    assert!(certify.ok(), "{certify:?}");
    signature(&home, "stranger-cert.pub", "git", "certified");
    home.write("signers", format!("alice@example.com {}\nbob@example.com {}\n", home.public("k"), home.public("bob")));
    home
}

pub(crate) fn signature(home: &Home, key: &str, namespace: &str, name: &str) {
    let done = run(home.command("ssh-keygen").args(["-q", "-Y", "sign", "-n", namespace, "-f", key]), MESSAGE);
    assert!(done.ok(), "{done:?}");
    home.write(format!("{name}.sig"), done.stdout);
}

pub(crate) fn both(home: &Home, args: &[&str], message: &[u8], zone: &str) -> (Done, Done) {
    let mut theirs = home.command("ssh-keygen");
    let theirs = theirs.args(args).env("TZ", zone).stdin(File::open(home.write("stdin", message)).unwrap()).output().unwrap();
    let ours = run(home.ours(args).env("TZ", zone), message);
    (ours, theirs.into())
}

/// Standard output and exit status are ssh-keygen's; its status is given back.
pub(crate) fn same(home: &Home, args: &[&str], message: &[u8]) -> Option<i32> {
    let (ours, theirs) = both(home, args, message, "UTC");
    assert_eq!((ours.status, &ours.stdout), (theirs.status, &theirs.stdout), "{args:?}\n{}\n{}", ours.stderr, theirs.stderr);
    ours.status
}

const VERIFY: [&str; 4] = ["-Y", "verify", "-n", "git"];

pub(crate) fn verify<'a>(signers: &'a str, principal: &'a str, signature: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&VERIFY, &["-f", signers, "-I", principal, "-s", signature][..], more].concat()
}

#[test]
fn signers_principals_and_signatures() {
    let home = home();
    let (k, bob) = (home.public("k"), home.public("bob"));
    for (name, text) in [
        ("crlf", format!("# comment\r\n\r\nalice@example.com {k} comment\r\n")),
        ("wildcard", format!("*@example.com,!bob@example.com {k}\n* {bob}\n")),
        ("quoted", format!("\"alice@example.com,Alice A\" {k}\n")),
        ("expired", format!("alice@example.com valid-before=\"20200101Z\" {k}\n")),
        ("early", format!("alice@example.com valid-after=\"20990101Z\" {k}\n")),
        ("namespaces", format!("alice@example.com namespaces=\"file\" {k}\nalice@example.com,other namespaces=\"g*\" {k}\n")),
        ("authority", format!("alice@example.com cert-authority {}\n", home.public("ca"))),
        ("skipped", format!("junk\nalice@example.com bad-option {k}\nalice@example.com {k}\n")),
        ("empty", String::new()),
    ] {
        home.write(name, text);
    }
    let mut good = 0;
    for signers in
        ["signers", "crlf", "wildcard", "quoted", "expired", "early", "namespaces", "authority", "skipped", "empty", "missing"]
    {
        for signature in ["k.sig", "bob.sig", "stranger.sig", "other-namespace.sig", "message", "missing.sig"] {
            for principal in ["alice@example.com", "bob@example.com", "other", "", "*@example.com"] {
                let principals = verify(signers, principal, signature, &[]);
                good += usize::from(same(&home, &principals, MESSAGE) == Some(0));
                same(&home, &verify(signers, principal, signature, &["-Overify-time=20190101Z"]), MESSAGE);
                same(&home, &verify(signers, principal, signature, &[""]), b"tampered\n");
            }
            for more in [&[][..], &["-Overify-time=20190101Z"], &[""], &["-Overify-time=21000101"]] {
                let find = [&["-Y", "find-principals", "-f", signers, "-s", signature][..], more].concat();
                same(&home, &find, b"");
            }
        }
    }
    assert!(good > 8, "{good}");
    for signature in ["k.sig", "stranger.sig", "certified.sig", "other-namespace.sig", "message", "missing.sig"] {
        for message in [MESSAGE, b"tampered\n"] {
            same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", signature, ""], message);
        }
    }
    let novalidate = run(&mut home.ours(&["-Y", "check-novalidate", "-n", "git", "-s", "certified.sig"]), MESSAGE);
    assert!(novalidate.stdout.contains("with ED25519-CERT key SHA256:"), "{novalidate:?}");
}

#[test]
fn every_key_type_verifies() {
    for (name, kind) in KINDS {
        let home = Home::new();
        home.write("message", MESSAGE);
        home.key(name, kind, "");
        signature(&home, name, "git", name);
        home.write("signers", format!("alice@example.com {}\n", home.public(name)));
        let file = format!("{name}.sig");
        assert_eq!(same(&home, &verify("signers", "alice@example.com", &file, &[]), MESSAGE), Some(0), "{name}");
        assert_eq!(same(&home, &verify("signers", "alice@example.com", &file, &[]), b"x"), Some(255));
        assert_eq!(same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", &file], MESSAGE), Some(0));
        assert_eq!(same(&home, &["-Y", "find-principals", "-f", "signers", "-s", &file], b""), Some(0));
    }
}

#[test]
fn armour_as_it_is_read() {
    let home = home();
    let good = String::from_utf8(home.read("k.sig")).unwrap();
    let bob = String::from_utf8(home.read("bob.sig")).unwrap();
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    for (name, text) in [
        ("crlf", good.replace('\n', "\r\n")),
        ("one-line", format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")),
        ("no-newline", good.trim_end().to_owned()),
        ("text-after", format!("{good}text\n")),
        ("text-before", format!("text\n{good}")),
        ("twice", format!("{good}{bob}")),
        ("cut", good[..200].to_owned()),
        ("spaces", good.replace("\nU1NI", "\n U1 NI")),
        ("nul", good.replace("U1NI", "U1N\0")),
        ("padding", good.replace("\n-----END", "=\n-----END")),
        ("version-0", good.replace("U1NIU0lHAAAAAQAA", "U1NIU0lHAAAAAAAA")),
        ("version-2", good.replace("U1NIU0lHAAAAAQAA", "U1NIU0lHAAAAAgAA")),
        ("empty", String::new()),
    ] {
        home.write(name, text);
        same(&home, &verify("signers", "alice@example.com", name, &[]), MESSAGE);
        same(&home, &["-Y", "find-principals", "-f", "signers", "-s", name], b"");
        same(&home, &["-Y", "check-novalidate", "-n", "git", "-s", name], MESSAGE);
    }
}

#[test]
fn revocations() {
    let home = home();
    home.write("revoked", format!("# gone\n{} comment\n", home.public("k")));
    home.write("others", home.public("bob"));
    home.write("junk", "junk\n");
    home.write("nothing", "");
    for (list, status) in [("revoked", 255), ("others", 0), ("junk", 255), ("missing", 255)] {
        for signature in ["k.sig", "stranger.sig"] {
            same(&home, &verify("signers", "alice@example.com", signature, &["-r", list]), MESSAGE);
        }
        // the first exception: ssh-keygen does not see -r after an operand
        let after = verify("signers", "alice@example.com", "k.sig", &["", "-r", list]);
        let (ours, theirs) = both(&home, &after, MESSAGE, "UTC");
        assert_eq!((ours.status, theirs.status), (Some(status), Some(0)), "{list}: {}", ours.stderr);
        assert_eq!(ours.stdout.starts_with("Good"), status == 0);
    }
    // the second: a list of nothing
    let (ours, theirs) = both(&home, &verify("signers", "alice@example.com", "k.sig", &["-r", "nothing"]), MESSAGE, "UTC");
    assert_eq!((ours.status, theirs.status), (Some(255), Some(0)));
    assert!(ours.stderr.contains("it lists no key"), "{}", ours.stderr);
}

#[test]
fn an_s_beyond_the_order_is_refused() {
    let home = home();
    let (blob, _) = decode_ssh(&home.read("k.sig")).unwrap();
    let frame = SshSig::parse(&blob).unwrap();
    let mut reader = Reader::new(frame.signature);
    let (kind, raw) = (reader.string().unwrap(), reader.string().unwrap());
    // S + L, little-endian (RFC 8032 §5.1)
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut twin = raw.to_vec();
    let mut carry = 0;
    for (digit, add) in twin[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + add + carry;
        *digit = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    let signature = Writer::default().string(kind).string(&twin).into_bytes();
    home.write("twin.sig", encode_ssh(&SshSig { signature: &signature, ..frame.clone() }.to_bytes()));
    let ours = run(&mut home.ours(&verify("signers", "alice@example.com", "twin.sig", &[])), MESSAGE);
    assert_eq!((ours.status, ours.stdout.as_str()), (Some(255), "Could not verify signature.\n"));
}

#[test]
fn dates_are_read_as_ssh_keygen_reads_them() {
    let home = home();
    let k = home.public("k");
    for (option, civil) in [
        ("valid-before", "20240701120000"),
        ("valid-after", "20240701120000"),
        ("valid-before", "202401011200"),
        ("valid-before", "20240331023000"), // skipped in Berlin
        ("valid-before", "20241027023000"), // there twice
        ("valid-after", "20240701120000Z"),
        ("valid-before", "20240230"),
    ] {
        home.write("window", format!("alice@example.com {option}=\"{civil}\" {k}\n"));
        let date = &civil[..8];
        for zone in
            ["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "Europe/Dublin", "Pacific/Apia"]
        {
            let mut times = Vec::new();
            for hour in 0..24 {
                for minute in ["0000", "2959", "3000", "3001"] {
                    times.push(format!("-Overify-time={date}{hour:02}{minute}"));
                }
                times.push(format!("-Overify-time={date}{hour:02}0000Z"));
                times.push(format!("-Overify-time={date}{hour:02}0001utc"));
            }
            // a process each is slow: one zone in full, of the others a sample
            let step = if zone == "Europe/Berlin" { 1 } else { 11 };
            for time in times.iter().step_by(step) {
                let args = ["-Y", "find-principals", "-f", "window", "-s", "k.sig", time];
                let (ours, theirs) = both(&home, &args, b"", zone);
                assert_eq!(
                    (ours.status, &ours.stdout),
                    (theirs.status, &theirs.stdout),
                    "{zone} {option} {civil} {time} {}",
                    theirs.stderr
                );
            }
        }
    }
    for time in ["", "2024", "20241301", "19700101Z", "20240101T", "20240101000060", "xx", "99999999", "20240101 "] {
        let option = format!("-Overify-time={time}");
        same(&home, &["-Y", "find-principals", "-f", "signers", "-s", "k.sig", &option], b"");
        same(&home, &verify("signers", "alice@example.com", "k.sig", &[&option]), MESSAGE);
    }
}

/// The last days that can be written, and the seconds of the year 10000 that zones and leap seconds lead to.
#[test]
fn the_end_of_the_year_9999_is_a_date_like_any_other() {
    let home = home();
    let k = home.public("k");
    let times =
        ["20240101", "99981231235959", "99990701120000", "99991230215959Z", "99991230220000Z", "99991231", "99991231235958"];
    let late = ["99991231235958Z", "99991231235959", "99991231235959Z", "99991231235960", "99991231235961Z", "99991231235962Z"];
    let times: Vec<&str> = times.into_iter().chain(late).chain(["100000101000000", "99991332", "9999123123596"]).collect();
    for bound in ["99991231235959", "99991231235961Z", "99990701120000"] {
        for option in ["valid-before", "valid-after"] {
            home.write("window", format!("alice@example.com {option}=\"{bound}\" {k}\n"));
            for zone in ["UTC", "Europe/Berlin", "Australia/Sydney", "Pacific/Kiritimati"] {
                for time in &times {
                    let time = format!("-Overify-time={time}");
                    let (ours, theirs) = both(&home, &verify("window", "alice@example.com", "k.sig", &[&time]), MESSAGE, zone);
                    let all = |done: &Done| (done.status, done.stdout.clone(), done.stderr.replace('\r', ""));
                    assert_eq!(all(&ours), all(&theirs), "{zone} {option} {bound} {time}");
                }
            }
        }
    }
}

#[test]
fn arguments_that_are_missing_or_wrong() {
    let home = home();
    for args in [
        &["-Y", "verify", "-n", "git", "-f", "signers", "-I", "x"][..],
        &["-Y", "verify", "-n", "git", "-f", "signers", "-s", "k.sig"],
        &["-Y", "verify", "-n", "git", "-I", "x", "-s", "k.sig"],
        &["-Y", "verify", "-f", "signers", "-I", "x", "-s", "k.sig"],
        &["-Y", "verify", "-n", "git", "-f", "signers", "-I", "alice@example.com", "-s", "k.sig", "-Ofoo"],
        &["-Y", "verify", "-n", "git", "-f", "signers", "-I", "alice@example.com", "-s", "k.sig", "-q"],
        &["-Y", "verification", "-n", "git", "-f", "signers", "-I", "alice@example.com", "-s", "k.sig"],
        &["-Y", "check-novalidate", "-s", "k.sig"],
        &["-Y", "check-novalidate", "-n", "git", "-s", "k.sig", "-Ofoo"],
        &["-Y", "find-principals", "-s", "k.sig"],
        &["-Y", "find-principals", "-f", "signers"],
        &["-Y", "find-principals", "-f", "signers", "-s", "k.sig", "-Ofoo"],
        &["-Y", "sign", "-n", "git"],
        &["-Y", "sign", "-f", "k"],
        &["-Y", "sign", "-n", "git", "-f", "k", "-Ofoo", "message"],
        &["-Y", "sign", "-n", "git", "-f", "k", "-Ohashalg=md5", "message"],
        &["-Y", "nonsense"],
        &["-Y"],
    ] {
        let theirs: Done = home.command("ssh-keygen").args(args).stdin(Stdio::null()).output().unwrap().into();
        let ours: Done = home.ours(args).stdin(Stdio::null()).output().unwrap().into();
        assert_eq!((ours.status, &ours.stdout), (theirs.status, &theirs.stdout), "{args:?} {theirs:?}");
        assert!(!ours.stderr.contains("usage:"), "{ours:?}");
    }
}

#[test]
fn standard_input_is_read_where_git_feeds_it_and_nowhere_else() {
    let home = home();
    let much = vec![b'x'; 1 << 20];
    for args in [
        verify("signers", "alice@example.com", "missing.sig", &[]),
        verify("missing", "alice@example.com", "k.sig", &[]),
        verify("signers", "alice@example.com", "k.sig", &["-Ofoo"]),
        verify("signers", "alice@example.com", "k.sig", &["-Overify-time=xx"]),
        vec!["-Y", "verify", "-x"],
        vec!["-Y", "check-novalidate", "-n", "git", "-s", "missing.sig"],
        vec!["--status-fd=2", "-bsau", "KEY"],
        vec!["--keyid-format=long", "--status-fd=1", "--verify", "FILE", "-"],
    ] {
        assert_ne!(run(&mut home.ours(&args), &much).status, Some(0), "{args:?}"); // and no broken pipe
    }
    for args in [
        vec!["-Y", "find-principals", "-f", "signers", "-s", "k.sig"],
        vec!["-Y", "find-principals", "-f", "signers", "-s", "missing.sig"],
        vec!["-Y", "find-principals"],
        vec!["-Y", "sign", "-n", "git"],
    ] {
        let mut stdin = File::open(home.join("message")).unwrap();
        home.ours(&args).stdin(stdin.try_clone().unwrap()).output().unwrap();
        assert_eq!(stdin.stream_position().unwrap(), 0, "{args:?}");
    }
}

#[test]
fn gpg_without_a_key_and_gpgsm_sign_nothing() {
    let home = Home::new();
    let gpg = run(&mut home.ours(&["--status-fd=2", "-bsau", "KEY"]), b"payload");
    assert_eq!((gpg.status, gpg.stdout.as_str()), (Some(2), ""));
    assert!(gpg.stderr.contains("no key for `KEY`") && gpg.stderr.contains("user.signingKey"), "{}", gpg.stderr);
    std::os::unix::fs::symlink(crate::common::OURS, home.join("gpgsm")).unwrap();
    let gpgsm = run(home.command(home.join("gpgsm")).args(["--status-fd=2", "-bsau", "KEY"]), b"payload");
    assert_eq!((gpgsm.status, gpgsm.stdout.as_str()), (Some(2), ""));
    assert!(gpgsm.stderr.contains("not a git repository"), "{}", gpgsm.stderr);
}
