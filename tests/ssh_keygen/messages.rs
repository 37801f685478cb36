//! What is said, line for line beside ssh-keygen, and the operations that only say something.

use crate::common::{Done, Home, run};
use std::fs::File;

const MESSAGE: &[u8] = b"what is signed\n";

fn home() -> Home {
    let home = Home::new();
    home.write("message", MESSAGE);
    for name in ["k", "bob"] {
        home.key(name, &["ed25519"], "");
        let sign = ["-q", "-Y", "sign", "-n", "git", "-f", name];
        let done = run(home.command("ssh-keygen").args(sign), MESSAGE);
        home.write(format!("{name}.sig"), done.stdout);
    }
    let (k, bob) = (home.public("k"), home.public("bob"));
    for (name, text) in [
        ("signers", format!("a@x {k}\n*@x,b,\"c d\" namespaces=\"git\" {bob}\n")),
        ("expired", format!("a@x valid-before=\"20200101\" {k}\n")),
        ("early", format!("a@x valid-after=\"20990701\" {k}\nb valid-after=\"20990701\" {k}\n")),
        ("spaces", format!("a@x namespaces=\"file\" {k}\n")),
        (
            "broken",
            format!(
                "bad\na@x\nzz foo {bob}\na@x foo {bob}\na@x foo {k}\na@x \"open {k}\na@x ssh-ed25519 AAAA\na@x {k}\na@x more {k}\n"
            ),
        ),
        ("patterns", format!("*@x,!a@x {k}\n\"a@x,other\" {k}\na@x cert-authority {k}\n\n# a\na@? valid-before=\"2020\" {k}\n")),
        ("nobody", format!("\"\" {k}\nz,,y {k}\nx, {k}\n")),
        ("no-newline", "a@x".to_owned()),
        ("only", format!("# c\n  a@x {k}")),
    ] {
        home.write(name, text);
    }
    let good = String::from_utf8(home.read("k.sig")).unwrap();
    home.write("cut.sig", &good[..100]);
    home.write("magic.sig", good.replace("U1NI", "U1NJ"));
    home.write("version.sig", good.replace("U1NIU0lHAAAAAQAA", "U1NIU0lHAAAAAgAA"));
    home.write("headless.sig", good.replace("BEGIN", "BEGUN"));
    home
}

/// Both answer the same, save for the lines in which OpenSSH names its functions. (Its log ends lines in CR LF.)
#[track_caller]
fn same(home: &Home, args: &[&str], message: &[u8], zone: &str) -> Done {
    let mut theirs = home.command("ssh-keygen");
    let theirs = theirs.args(args).env("TZ", zone).stdin(File::open(home.write("stdin", message)).unwrap()).output().unwrap();
    let theirs = Done::from(theirs);
    let ours = run(home.ours(args).env("TZ", zone), message);
    let said = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_end_matches('\r').to_owned());
        lines.filter(|line| !line.starts_with("sig_") && !line.starts_with("sshsig_")).collect()
    };
    assert_eq!((ours.status, &ours.stdout), (theirs.status, &theirs.stdout), "{args:?}\n{}\n{}", ours.stderr, theirs.stderr);
    assert_eq!(said(&ours.stderr), said(&theirs.stderr), "{args:?}");
    ours
}

#[test]
fn verify_line_for_line() {
    let home = home();
    for signers in ["signers", "expired", "early", "spaces", "broken", "nobody", "only", "no-newline", "missing"] {
        for signature in ["k.sig", "bob.sig", "cut.sig", "magic.sig", "version.sig", "headless.sig", "missing.sig"] {
            for principal in ["a@x", "b", "nobody", ""] {
                let verify = ["-Y", "verify", "-n", "git", "-f", signers, "-I", principal, "-s", signature];
                same(&home, &[&verify[..], &["-Overify-time=20250101"]].concat(), MESSAGE, "UTC");
            }
            let find = ["-Y", "find-principals", "-f", signers, "-s", signature, "-Overify-time=20250101"];
            same(&home, &find, b"", "UTC");
        }
    }
    let verify = ["-Y", "verify", "-n", "git", "-f", "signers", "-I", "a@x", "-s", "k.sig"];
    same(&home, &verify, b"tampered", "UTC");
    same(&home, &[&verify[..], &["-Overify-time=2025"]].concat(), MESSAGE, "UTC");
    same(&home, &[&verify[..], &["-Ofoo"]].concat(), MESSAGE, "UTC");
    same(&home, &[&verify[..], &["-Ofoo", "-q"]].concat(), MESSAGE, "UTC");
    same(&home, &["-Y", "verify", "-n", "file", "-f", "signers", "-I", "a@x", "-s", "k.sig"], MESSAGE, "UTC");
    same(&home, &["-Y", "find-principals", "-f", "signers", "-s", "k.sig", "-Oprint-pubkey"], b"", "UTC");
    // times in the machine's zone, summer time included
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
        for (signers, time) in [("expired", "20250701120000"), ("expired", "20250101120000Z"), ("early", "20240701")] {
            let time = format!("-Overify-time={time}");
            let done = same(&home, &["-Y", "verify", "-n", "git", "-f", signers, "-I", "a@x", "-s", "k.sig", &time], MESSAGE, zone);
            assert!(done.stderr.contains(": verify time 20"), "{done:?}");
        }
    }
}

#[test]
fn the_key_is_printed() {
    let home = home();
    for options in [&[][..], &["-q"], &["-OPRINT-PUBKEY"]] {
        for (principal, message) in [("a@x", MESSAGE), ("b", MESSAGE), ("a@x", b"tampered")] {
            let verify = ["-Y", "verify", "-n", "git", "-f", "signers", "-I", principal, "-s", "k.sig", "-Oprint-pubkey"];
            let done = same(&home, &[&verify[..], options].concat(), message, "UTC");
            assert_eq!(done.stdout.contains(&home.public("k")), done.ok());
        }
        let check = ["-Y", "check-novalidate", "-n", "git", "-s", "bob.sig", "-Oprint-pubkey"];
        assert!(same(&home, &[&check[..], options].concat(), MESSAGE, "UTC").stdout.ends_with(&(home.public("bob") + "\n")));
    }
}

#[test]
fn match_principals() {
    let home = home();
    let mut statuses = Vec::new();
    for signers in ["signers", "patterns", "broken", "nobody", "no-newline", "only", "expired", "missing"] {
        for principal in ["a@x", "b@x", "c d", "zz", "nobody", ""] {
            for more in [&[][..], &["-q"], &["-Ofoo"], &["-n", "file", "operand"]] {
                let args = [&["-Y", "match-principals", "-f", signers, "-I", principal][..], more].concat();
                statuses.push(same(&home, &args, b"", "UTC").status.unwrap());
            }
        }
    }
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [0, 210, 232, 246, 252]);
}
