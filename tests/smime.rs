//! S/MIME signatures by the real gpgsm, with authorities made by openssl: judged by a policy, and in gpgsm's place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)]

mod common;
#[path = "support/world.rs"]
mod world;

use common::{Done, OURS, has, run, skipped};
use std::os::unix::fs::PermissionsExt as _;
use world::{World, done, says};

const CONFIGURATION: &str = r#"
[req]
distinguished_name = name
[name]
[ca]
default_ca = here
[here]
database = index.txt
rand_serial = yes
crlnumber = crlnumber
default_md = sha256
unique_subject = no
new_certs_dir = .
policy = any
crl_extensions = of_list
[any]
commonName = supplied
organizationName = optional
emailAddress = optional
[of_list]
authorityKeyIdentifier = keyid
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[person]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = emailProtection
subjectAltName = email:$ENV::ADDRESS
"#;

/// An authority `root`, one below it, `between`, and gpgsm with the certificates of those whom they certify.
struct Bed(World);

impl Bed {
    fn new() -> Option<Self> {
        if !["openssl", "gpgsm", "gpgconf"].into_iter().all(has) {
            skipped("S/MIME signatures by gpgsm");
            return None;
        }
        let bed = Self(World::new());
        let home = &bed.0.home;
        let folder = home.join(".gnupg");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        home.write(".gnupg/gpg-agent.conf", "allow-loopback-pinentry\n");
        home.write(".gnupg/gpgsm.conf", "disable-crl-checks\nno-secmem-warning\n");
        home.write("passphrase", "x");
        home.write("ca.cnf", CONFIGURATION);
        home.write("index.txt", "");
        home.write("crlnumber", "01\n");
        bed.request("root", "/CN=Root/O=Example");
        bed.openssl(&["ca", "-selfsign", "-keyfile", "root.key"], "root", "authority", ("20150101", "20450101"));
        bed.request("between", "/CN=Between/O=Example");
        bed.issue("between", "root", "authority", ("20150101", "20450101"));
        bed.trust("root");
        bed.0.repo("r", &[]);
        bed.0.config("gpg.format", "x509");
        // signs as of a day (`AS_OF`), without asking for a passphrase
        let script = "#!/bin/sh\nexec gpgsm ${AS_OF:+--faked-system-time $AS_OF} --batch --pinentry-mode loopback --passphrase-fd 9 \"$@\" 9<\"$HOME/passphrase\"\n";
        let script = home.write("signer", script);
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(bed)
    }

    fn request(&self, name: &str, subject: &str) {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let args = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request, "-subj", subject];
        let done = run(self.0.home.command("openssl").args(args).args(["-config", "ca.cnf"]).env("ADDRESS", "a@x"), b"");
        assert!(done.ok(), "{done:?}");
    }

    fn openssl(&self, how: &[&str], name: &str, kind: &str, (from, to): (&str, &str)) {
        let (request, out) = (format!("{name}.csr"), format!("{name}.pem"));
        let mut command = self.0.home.command("openssl");
        command.args(how).args(["-config", "ca.cnf", "-batch", "-notext", "-extensions", kind, "-in", &request, "-out", &out]);
        command.args(["-startdate", &format!("{from}000000Z"), "-enddate", &format!("{to}000000Z")]);
        let done = run(command.env("ADDRESS", format!("{name}@example.com")), b"");
        assert!(done.ok(), "{done:?}");
    }

    fn issue(&self, name: &str, by: &str, kind: &str, window: (&str, &str)) {
        let (certificate, key) = (format!("{by}.pem"), format!("{by}.key"));
        self.openssl(&["ca", "-cert", &certificate, "-keyfile", &key], name, kind, window);
    }

    /// Somebody who signs by a certificate of `between`; its fingerprint.
    fn person(&self, name: &str, window: (&str, &str)) -> String {
        self.request(name, &format!("/CN={name}/O=Example/emailAddress=boss@example.com"));
        self.issue(name, "between", "person", window);
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        self.concat("chain.pem", &["between.pem", "root.pem"]);
        // gpgsm before 2.4 reads the older form only
        let args =
            ["pkcs12", "-export", "-legacy", "-inkey", &key, "-in", &certificate, "-certfile", "chain.pem", "-passout", "pass:x"];
        // gpgsm cannot decrypt one in some hundred of them
        for _ in 0..5 {
            let done = run(self.0.home.command("openssl").args(args).args(["-out", "person.p12"]), b"");
            assert!(done.ok(), "{done:?}");
            let mut command = self.0.home.command("gpgsm");
            command.args(["--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", "person.p12"]);
            if run(&mut command, b"x").ok() {
                return self.fingerprint(name);
            }
        }
        panic!("gpgsm imports no key");
    }

    fn fingerprint(&self, name: &str) -> String {
        let file = format!("{name}.pem");
        let done = run(self.0.home.command("openssl").args(["x509", "-noout", "-fingerprint", "-sha1", "-in", &file]), b"");
        done.stdout.trim().rsplit('=').next().unwrap().replace(':', "")
    }

    fn concat(&self, to: &str, from: &[&str]) {
        let all: Vec<u8> = from.iter().flat_map(|file| self.0.home.read(file)).collect();
        self.0.home.write(to, all);
    }

    /// What gpgsm, and we in its place, take for a root.
    fn trust(&self, name: &str) {
        self.0.home.write(".gnupg/trustlist.txt", format!("{} S relax\n", self.fingerprint(name)));
        let _ = self.0.home.command("gpgconf").args(["--kill", "gpg-agent"]).status();
        self.0.config("warrant.x509Roots", self.0.home.join(format!("{name}.pem")).to_str().unwrap());
    }

    /// A commit that gpgsm signs as of a day; its id.
    fn commit(&self, who: &str, key: &str, day: &str) -> String {
        let home = &self.0.home;
        let message = format!("by {who} on {day}");
        home.write(format!("r/{}", message.replace(' ', "-")), &message);
        home.git("r", &["add", "-A"]);
        let mut command = home.command("git");
        let email = format!("user.email={who}@example.com");
        let program = format!("gpg.x509.program={}", home.join("signer").display());
        command.args(["-C", "r", "-c", &email, "-c", &program, "commit", "-q", "-m", &message, &format!("-S{key}")]);
        command.env("GIT_COMMITTER_DATE", format!("{day}T12:00:00Z")).env("GIT_AUTHOR_DATE", format!("{day}T12:00:00Z"));
        if !day.is_empty() {
            command.env("AS_OF", format!("{}T120000", day.replace('-', "")));
        }
        let done = run(&mut command, b"");
        assert!(done.ok(), "{done:?}");
        self.0.id("r", "HEAD")
    }

    fn policy(&self, key: &str, authority: &str) -> String {
        let text = format!(
            "version = 1\n[[principals.alice.keys]]\nx509 = \"alice@example.com\"\nca = \"corp\"\n{key}\n[authorities.corp]\nx509 = \"root.pem\"\n{authority}\n"
        );
        self.0.home.write("policy.toml", text).display().to_string()
    }

    fn of(&self, policy: &str, id: &str, args: &[&str]) -> String {
        self.0.judged_by("r", policy, &[args, &["--no-walk", id]].concat()).of_object(id)
    }

    /// What git shows of a commit, by a program in gpgsm's place: letter, key, fingerprint, signer; and the trust, of which git
    /// may not be asked where the signature is bad (it dies).
    fn shown(&self, program: &str, id: &str) -> String {
        let program = format!("gpg.x509.program={program}");
        let show = |format: &str| self.0.home.git("r", &["-c", &program, "log", "-1", &format!("--format={format}"), id]);
        let shown = show("%G?|%GK|%GF|%GP|%GS");
        if shown.starts_with(['B', 'N']) { shown } else { format!("{shown}|{}", show("%GT")) }
    }

    /// A revocation list of `by`, good from a day on for a month; its text.
    fn list(&self, by: &str, revoked: Option<(&str, &str)>, from: &str, to: &str) -> String {
        let home = &self.0.home;
        home.write("index.txt", "");
        let (certificate, key) = (format!("{by}.pem"), format!("{by}.key"));
        let base = ["ca", "-config", "ca.cnf", "-batch", "-cert", &certificate, "-keyfile", &key];
        let openssl = |more: &[&str]| {
            let done = run(home.command("openssl").args(base).args(more).env("ADDRESS", "a@x"), b"");
            assert!(done.ok(), "{done:?}");
        };
        if let Some((name, reason)) = revoked {
            openssl(&["-revoke", &format!("{name}.pem"), "-crl_reason", reason]);
        }
        openssl(&["-gencrl", "-out", "list.pem", "-crl_lastupdate", from, "-crl_nextupdate", to]);
        String::from_utf8(home.read("list.pem")).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.0.home.command("gpgconf").args(["--kill", "all"]).status();
    }
}

const LONG: (&str, &str) = ("20160101", "20440101");
const OVER: (&str, &str) = ("20200101", "20210101");

#[test]
fn a_policy_says_whose_signatures_stand() {
    let Some(bed) = Bed::new() else { return };
    let (alice, mallory) = (bed.person("alice", LONG), bed.person("mallory", LONG));
    let old = bed.person("carol", OVER);
    let first = bed.commit("alice", &alice, "2026-01-02");
    let by_mallory = bed.commit("mallory", &mallory, "2026-01-03");
    let in_time = bed.commit("carol", &old, "2020-06-01");
    let home = &bed.0.home;
    let policy = bed.policy("", "");
    let judged = bed.0.judged_by("r", &policy, &["--no-walk", &first]);
    assert_eq!((judged.status, judged.of_object(&first).as_str()), (Some(0), "accept"), "{}", judged.stdout);
    let line = &judged.lines[0];
    assert_eq!((line["principal"].as_str(), line["identity"].as_str()), (Some("alice"), Some("alice@example.com")));
    assert_eq!(line["smime"]["chains"][0]["authority"], "corp");
    assert_eq!(line["smime"]["valid_before"], "2044-01-01T00:00:00Z");
    for (schema, text) in [
        ("verify", judged.stdout.lines().next().unwrap().to_owned()),
        ("show", done(&mut bed.0.warrant("r", &["show", "--format", "jsonl", "--policy", &policy, &first])).stdout),
    ] {
        let schema = std::fs::read_to_string(format!("{}/docs/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        jsonschema::validator_for(&schema).unwrap().validate(&line).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    let told = done(&mut bed.0.warrant("r", &["show", "--policy", &policy, &first]));
    for word in
        ["identity    alice@example.com", "O=Example,CN=Between", "from 2016-01-01T00:00:00Z to 2044", "chain       to", "accept"]
    {
        assert!(told.stdout.contains(word), "{word}: {}", told.stdout);
    }
    let human = bed.0.verify_by("r", &policy, &["main"]);
    assert!(human.stdout.contains("serial ") && human.stdout.contains("mallory@example.com"), "{}", human.stdout);
    assert_eq!(bed.of(&policy, &by_mallory, &[]), "identity-unlisted");
    // the address of the subject, which nobody looked at, is nobody's
    let boss = policy_of(&bed, "boss@example.com");
    assert_eq!(bed.of(&boss, &first, &[]), "identity-unlisted");
    // a certificate that has ended
    let carol = policy_of(&bed, "carol@example.com");
    assert_eq!(bed.of(&carol, &in_time, &[]), "claimed-only");
    assert_eq!(bed.of(&carol, &in_time, &["--settled", &in_time]), "accept");
    for (key, authority, id, want) in [
        ("", "", &first, "accept"),
        ("status = \"retired\"", "", &first, "key-retired"),
        ("status = \"compromised\"", "", &first, "key-compromised"),
        ("", "status = \"retired\"", &first, "authority-retired"),
        ("", "deny = [\"alice@example.com\"]", &first, "identity-denied"),
        ("", "principals = [\"*@example.com\"]", &by_mallory, "accept"),
        ("", "principals = [\"*@example.com\", \"!mallory@example.com\"]", &by_mallory, "certificate-principals"),
        ("", "principals = [\"*@example.com\"]", &in_time, "claimed-only"),
    ] {
        assert_eq!(bed.of(&bed.policy(key, authority), id, &[]), want, "{key} {authority}");
    }
    // an allowed_signers file knows no such authority
    assert_eq!(bed.of(&bed.0.policy(), &first, &[]), "certificate-untrusted");
    // another root, the root of somebody else, and an authority of the middle
    let policy = bed.policy("", "");
    home.write("saved.pem", home.read("root.pem"));
    bed.concat("root.pem", &["between.pem"]);
    assert_eq!(bed.of(&policy, &first, &[]), "accept");
    bed.request("other", "/CN=Root/O=Example");
    bed.openssl(&["ca", "-selfsign", "-keyfile", "other.key"], "other", "authority", ("20150101", "20450101"));
    bed.concat("root.pem", &["other.pem"]);
    assert_eq!(bed.of(&policy, &first, &[]), "certificate-untrusted");
    bed.concat("root.pem", &["alice.pem"]);
    says(&bed.0.verify_by("r", &policy, &["main"]), 2, &["policy.toml:6", "root.pem", "line 1, column 1", "not an authority's"]);
    bed.concat("root.pem", &["saved.pem"]);
    // and the hook
    home.git("", &["init", "-q", "--bare", "server.git"]);
    home.git("server.git", &["config", "warrant.policy", &policy]);
    assert!(done(&mut bed.0.warrant("server.git", &["hook", "install"])).ok());
    let push = |what: &str| run(&mut bed.0.installed("r", &["push", "-q", "../server.git", what]), b"");
    let pushed = push(&format!("{first}:refs/heads/main"));
    assert!(pushed.ok(), "{pushed:?}");
    let refused = push(&format!("{by_mallory}:refs/heads/main"));
    assert!(!refused.ok() && refused.stderr.contains("identity-unlisted"), "{refused:?}");
    assert!(refused.stderr.contains("x509 = \"mallory@example.com\" and ca = \"corp\""), "{}", refused.stderr);
}

fn policy_of(bed: &Bed, address: &str) -> String {
    let text = format!(
        "version = 1\n[[principals.p.keys]]\nx509 = \"{address}\"\nca = \"corp\"\n[authorities.corp]\nx509 = \"root.pem\"\n"
    );
    bed.0.home.write("other.toml", text).display().to_string()
}

#[test]
fn revocation_lists_of_the_policy() {
    let Some(bed) = Bed::new() else { return };
    let alice = bed.person("alice", LONG);
    let id = bed.commit("alice", &alice, "2026-01-02");
    let policy = bed.policy("", "crl = \"crl.pem\"");
    let (from, to) = ("20260101000000Z", "20440101000000Z");
    let good = bed.list("between", None, from, to);
    let of_root = |revoked| bed.list("root", revoked, from, to);
    for (lists, want, settled) in [
        (good.clone(), "accept", "accept"),
        (bed.list("between", Some(("alice", "superseded")), from, to), "key-retired", "accept"),
        (bed.list("between", Some(("alice", "cessationOfOperation")), from, to), "key-retired", "accept"),
        (bed.list("between", Some(("alice", "keyCompromise")), from, to), "key-revoked", "key-revoked"),
        (bed.list("between", Some(("alice", "unspecified")), from, to), "key-revoked", "key-revoked"),
        (good.clone() + &of_root(Some(("between", "CACompromise"))), "key-revoked", "key-revoked"),
        (good.clone() + &of_root(Some(("between", "affiliationChanged"))), "authority-retired", "accept"),
        (good.clone() + &of_root(None), "accept", "accept"),
        (of_root(None), "revocation-unknown", "accept"),
    ] {
        bed.0.home.write("crl.pem", &lists);
        assert_eq!(bed.of(&policy, &id, &[]), want, "{lists}");
        assert_eq!(bed.of(&policy, &id, &["--settled", &id]), settled, "{lists}");
    }
    let human = bed.0.verify_by("r", &policy, &["main"]);
    assert!(human.stdout.contains("no revocation list is by O=Example,CN=Between"), "{}", human.stdout);
    // what cannot be used is no empty list
    let check = || done(&mut bed.0.warrant("r", &["policy", "check", &policy]));
    for (lists, words) in [
        (
            bed.list("between", None, "20240101000000Z", "20240201000000Z"),
            &["line 1, column 1", "O=Example,CN=Between", "it was good until 2024-02-01T00:00:00Z only"][..],
        ),
        (good.clone() + &bed.list("root", None, "20430101000000Z", to), &["in the future", "O=Example,CN=Root"]),
        (String::new(), &["no revocation list"]),
    ] {
        bed.0.home.write("crl.pem", &lists);
        says(&bed.0.verify_by("r", &policy, &["main"]), 2, &[words, &["policy.toml:6", "`crl`", "crl.pem"]].concat());
        says(&check(), 2, words);
    }
    std::fs::remove_file(bed.0.home.join("crl.pem")).unwrap();
    says(&check(), 2, &["crl.pem"]);
    bed.0.home.write("crl.pem", &good);
    let checked = check();
    assert!(checked.ok(), "{checked:?}");
    for word in [
        "authority corp (O=Example,CN=Root in root.pem), active, revocation lists good until 2044-01-01",
        "alice@example.com (active)",
    ] {
        assert!(checked.stdout.contains(word), "{word}: {}", checked.stdout);
    }
    // a root that two authorities have
    let text = String::from_utf8(bed.0.home.read("policy.toml")).unwrap() + "[authorities.twin]\nx509 = \"twin.pem\"\n";
    bed.concat("twin.pem", &["root.pem"]);
    bed.0.home.write("policy.toml", text);
    says(&check(), 2, &["policy.toml:9", "is one of corp and of twin"]);
}

/// Forms of CMS that gpgsm does not write itself: what it reads is read, the rest is refused by name.
#[test]
fn forms_by_openssl() {
    let Some(bed) = Bed::new() else { return };
    let alice = bed.person("alice", LONG);
    let policy = bed.policy("", "");
    let (pss, mut day) = ("-keyopt rsa_padding_mode:pss", 0);
    for (what, options, want, word) in [
        ("as usual", String::new(), "accept", ""),
        ("PSS", format!("{pss} -keyopt rsa_pss_saltlen:-1"), "accept", ""),
        ("PSS with SHA-512", format!("{pss} -keyopt rsa_pss_saltlen:-1 -md sha512"), "accept", ""),
        ("PSS with a longer salt", format!("{pss} -keyopt rsa_pss_saltlen:64"), "malformed-signature", "rsa_pss_saltlen:-1"),
        ("no certificate", "-nocerts".to_owned(), "malformed-signature", "gpgsm --include-certs -2"),
        ("a key identifier", "-keyid".to_owned(), "malformed-signature", "key identifier"),
    ] {
        let sign = format!(
            "#!/bin/sh\nprintf '\\n[GNUPG:] SIG_CREATED D\\n' >&2\ncd \"$HOME\" && openssl cms -sign -binary -signer alice.pem -inkey alice.key -certfile between.pem -outform PEM -md sha256 {options} | sed 's/ CMS-/ SIGNED MESSAGE-/'\n"
        );
        bed.0.home.write("signer", sign);
        day += 1;
        let id = bed.commit("alice", &alice, &format!("2026-01-0{day}"));
        let judged = bed.0.judged_by("r", &policy, &["--no-walk", &id]);
        assert_eq!(judged.of_object(&id), want, "{what}: {}", judged.stdout);
        let human = bed.0.verify_by("r", &policy, &["--no-walk", &id]).stdout;
        assert!(human.contains(word), "{what}: {human}");
        if want == "accept" {
            assert_eq!(bed.shown(OURS, &id), bed.shown("gpgsm", &id), "{what}");
        }
    }
}

#[test]
fn who_leaves_is_retired() {
    let Some(bed) = Bed::new() else { return };
    let alice = bed.person("alice", LONG);
    let id = bed.commit("alice", &alice, "2026-01-02");
    let policy = bed.policy("", "");
    let retired = done(&mut bed.0.warrant("r", &["policy", "retire", "alice", "--policy", &policy]));
    assert!(retired.ok(), "{retired:?}");
    assert_eq!(bed.of(&policy, &id, &[]), "accept", "it is settled");
    let late = bed.commit("alice", &alice, "2026-01-03");
    assert_eq!(bed.of(&policy, &late, &[]), "key-retired");
    // another authority may still certify the address, though the policy names no e-mail of hers
    bed.request("other", "/CN=Another/O=Example");
    bed.openssl(&["ca", "-selfsign", "-keyfile", "other.key"], "other", "authority", ("20150101", "20450101"));
    let policy = bed.policy("", "\n[authorities.wide]\nx509 = \"other.pem\"\nprincipals = [\"*@example.com\"]");
    let warned = done(&mut bed.0.warrant("r", &["policy", "retire", "alice", "--policy", &policy]));
    says(&warned, 0, &["warning", "the authority wide may still certify keys for alice@example.com"]);
    let policy = bed.policy("", "");
    bed.0.home.git("r", &["branch", "more"]);
    bed.0.home.git("r", &["reset", "-q", "--hard", &id]);
    let refused = done(&mut bed.0.warrant("r", &["policy", "retire", "corp", "--policy", &policy]));
    says(&refused, 2, &["refs/heads/more (1)"]);
}

#[test]
fn git_shows_what_it_shows_with_gpgsm() {
    let Some(bed) = Bed::new() else { return };
    let (alice, carol) = (bed.person("alice", LONG), bed.person("carol", OVER));
    let good = bed.commit("alice", &alice, "2026-01-02");
    let ended = bed.commit("carol", &carol, "2020-06-01");
    let changed = |id: &str| bed.0.object("r", "commit", bed.0.raw("r", id).replacen("Alice", "Malice", 1).as_bytes());
    let (bad, bad_ended) = (changed(&good), changed(&ended));
    let same = |id: &str, letter: char| {
        let (ours, theirs) = (bed.shown(OURS, id), bed.shown("gpgsm", id));
        assert_eq!(ours, theirs);
        assert!(ours.starts_with(letter), "{ours}");
    };
    let statuses = |id: &str| {
        ["gpgsm", OURS].map(|program| {
            let program = format!("gpg.x509.program={program}");
            let done = done(bed.0.home.command("git").args(["-C", "r", "-c", &program, "verify-commit", "--raw", id]));
            let lines: Vec<String> = done
                .stderr
                .lines()
                .filter(|line| line.starts_with("[GNUPG:] ") && !line.contains(" PROGRESS "))
                .map(|line| line.split_inclusive(" TRUST_UNDEFINED").next().unwrap().to_owned())
                .collect();
            (done.status, lines)
        })
    };
    let agree = |id: &str| {
        let [theirs, ours] = statuses(id);
        assert_eq!(ours, theirs);
    };
    same(&good, 'G');
    same(&ended, 'Y');
    same(&bad, 'B');
    same(&bad_ended, 'B');
    for id in [&good, &ended, &bad] {
        agree(id);
    }
    assert_eq!(bed.shown(OURS, &good), format!("G|{alice}|{alice}||/CN=alice/O=Example/EMail=boss@example.com|fully"));
    let told = done(bed.0.home.command("git").args(["-C", "r", "-c", &format!("gpg.x509.program={OURS}"), "verify-commit", &good]));
    says(
        &told,
        0,
        &["Good signature from \"/CN=alice", "aka \"alice@example.com\"", "by \"/CN=Between/O=Example\" holds from 2016"],
    );
    // a root of the same name that is not the one
    bed.request("other", "/CN=Another/O=Example");
    bed.openssl(&["ca", "-selfsign", "-keyfile", "other.key"], "other", "authority", ("20150101", "20450101"));
    bed.trust("other");
    same(&good, 'U');
    agree(&good);
    assert_eq!(bed.shown(OURS, &ended).chars().next(), Some('U'));
    same(&bad, 'B');
    let by_us = |id: &str| {
        done(bed.0.home.command("git").args(["-C", "r", "-c", &format!("gpg.x509.program={OURS}"), "verify-commit", id]))
    };
    says(&by_us(&good), 1, &["not trusted"]);
    // roots of the environment, and of the system
    bed.0.home.git("", &["config", "--global", "--unset", "warrant.x509Roots"]);
    assert_eq!(bed.shown(OURS, &good).chars().next(), Some('U'));
    let mut command = bed.0.home.command("git");
    command.args(["-C", "r", "-c", &format!("gpg.x509.program={OURS}"), "log", "-1", "--format=%G?", &good]);
    let shown: Done = done(command.env("SSL_CERT_FILE", bed.0.home.join("root.pem")));
    assert_eq!(shown.stdout.trim(), "G", "{shown:?}");
    // what is named and cannot be used is no empty list
    bed.0.config("warrant.x509Roots", bed.0.home.join("alice.pem").to_str().unwrap());
    says(&by_us(&good), 1, &["alice.pem", "warrant.x509Roots", "not an authority's"]);
    let program = format!("gpg.x509.program={OURS}");
    let letter = || bed.0.home.git("r", &["-c", &program, "log", "-1", "--format=%G?", &good]);
    assert_eq!(letter(), "E");
    bed.0.config("warrant.x509Roots", bed.0.home.join("absent.pem").to_str().unwrap());
    assert_eq!(letter(), "E");
    says(&by_us(&good), 1, &["absent.pem", "warrant.x509Roots", "cannot be read"]);
    // in the work tree a pull would choose the roots
    bed.0.home.write("r/mine.pem", bed.0.home.read("root.pem"));
    for name in ["mine.pem", "../r/mine.pem"] {
        bed.0.config("warrant.x509Roots", name);
        assert_eq!(letter(), "E", "{name}");
        says(&by_us(&good), 1, &["mine.pem", "lies inside the work tree"]);
    }
    bed.0.config("warrant.x509Roots", "../root.pem");
    assert_eq!(letter(), "G");
}
