//! Histories with every kind of line.

use crate::Schema;
use crate::common::{has, run, skipped};
use crate::pki::{Cert, List, pem};
use crate::sigstore::{Key, Leaf, Signature, Sigstore, commit, commit_by};
use crate::token::{KIND, public, signed};
use crate::tuf::Mirror;
use crate::world::{World, done};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use serde_json::Value;

/// Both commands, held to their schemas.
struct Checked {
    world: World,
    verify: Schema,
    show: Schema,
}

impl Checked {
    fn new(world: World) -> Self {
        Self { world, verify: Schema::of("verify"), show: Schema::of("show") }
    }

    /// `verify` with these arguments; the exit status must be this one.
    #[track_caller]
    fn verify(&mut self, repo: &str, status: i32, args: &[&str]) {
        let ran = done(&mut self.world.warrant(repo, &[&["verify", "--format", "jsonl"], args].concat()));
        assert_eq!(ran.status, Some(status), "{ran:?}");
        assert!(ran.stdout.lines().count() > 0, "{ran:?}");
        for line in ran.stdout.lines() {
            self.verify.holds(&serde_json::from_str(line).unwrap());
        }
    }

    #[track_caller]
    fn show(&mut self, repo: &str, args: &[&str]) -> Value {
        let ran = done(&mut self.world.warrant(repo, &[&["show", "--format", "jsonl"], args].concat()));
        assert!(ran.ok(), "{ran:?}");
        let shown = serde_json::from_str(&ran.stdout).unwrap();
        self.show.holds(&shown);
        shown
    }

    /// `verify` of one object, and `show` of it with the policy and without.
    #[track_caller]
    fn both(&mut self, repo: &str, status: i32, policy: &str, revision: &str) {
        self.verify(repo, status, &["--policy", policy, "--no-walk", revision]);
        self.show(repo, &["--policy", policy, revision]);
        self.show(repo, &[revision]);
    }
}

/// A commit that a software token signed, touched or not.
fn by_token(world: &World, key: &SigningKey, flags: u8) -> String {
    let who = "Alice <alice@example.com> 1700000000 +0000";
    let (head, message) = (format!("tree {}\nauthor {who}\ncommitter {who}\n", world.id("r", "HEAD^{tree}")), "\nm\n");
    let signature = signed(key, format!("{head}{message}").as_bytes(), flags).trim_end().replace('\n', "\n ");
    world.object("r", "commit", format!("{head}gpgsig {signature}\n{message}").as_bytes())
}

fn of_ssh(checked: &mut Checked) {
    let world = &checked.world;
    world.repo("r", &[]);
    let baseline = world.commit("r", "old", &[]);
    world.commit("r", "accepted", &["-S"]);
    world.commit("r", "unsigned", &[]);
    world.commit_as("r", "unlisted", &world.person("mallory"), &["-S"]);
    world.home.key("rsa", &["rsa", "-b", "3072"], "");
    world.home.key("ca", &["ed25519"], "");
    let mut certify = world.home.command("ssh-keygen");
    let certify = certify.args(["-q", "-s", "ca", "-I", "id", "-n", "bob@example.com", "-z", "7", "-V", "-1d:+1d", "bob.pub"]);
    assert!(run(certify, b"").ok());
    let certificate = world.home.join("bob-cert.pub");
    let mut settings = world.person("bob");
    settings.push(format!("user.signingKey={}", certificate.display()));
    let certified = world.commit_as("r", "certified", &settings, &["-S"]);
    let by_rsa = world.commit_as("r", "rsa", &world.person("rsa"), &["-S"]);
    let token = SigningKey::from_bytes(&[7; 32]);
    let touched = by_token(world, &token, 5);
    let untouched = by_token(world, &token, 0);
    let old_key = world.line("mallory", "valid-before=\"20200101Z\"");
    let signers = [
        world.line("alice", ""),
        world.line("rsa", ""),
        old_key,
        format!("*@example.com cert-authority {}\n", world.home.public("ca")),
        format!("token@example.com {} {}\n", std::str::from_utf8(KIND).unwrap(), STANDARD.encode(public(&token))),
    ];
    world.home.write("signers", signers.concat());
    for (name, args) in [("good", "-s"), ("plain", "-a")] {
        world.home.git("r", &["tag", args, "-m", "m", name]);
    }
    world.home.git("r", &["update-ref", "refs/tags/renamed", "refs/tags/good"]);
    world.home.git("r", &["checkout", "-q", "-b", "side"]);
    world.commit("r", "side", &["-S"]);
    world.home.git("r", &["tag", "-s", "-m", "m", "side-tag"]);
    world.home.git("r", &["checkout", "-q", "main"]);
    world.commit("r", "beside", &["-S"]);
    world.home.git("r", &["merge", "-q", "-S", "--no-ff", "--no-edit", "side-tag"]);
    let merge = world.id("r", "HEAD");
    let odd = world.object("r", "commit", format!("tree {}\nauthor x\n\n\u{202e}\n", world.id("r", "HEAD^{tree}")).as_bytes());
    world.home.git("", &["clone", "-q", "--depth", "2", &format!("file://{}", world.home.join("r").display()), "shallow"]);
    let policy = world.policy();
    checked.verify("r", 1, &["--policy", &policy, "--all"]);
    checked.verify("r", 1, &["--policy", &policy, "--baseline", &baseline]);
    checked.verify("r", 0, &["--policy", &policy, "--no-walk", &merge]);
    checked.verify("shallow", 3, &["--policy", &policy]);
    for (revision, status) in [
        ("good", 0),
        ("plain", 1),
        ("refs/tags/renamed", 1),
        (&certified, 0),
        (&by_rsa, 0),
        (&touched, 0),
        (&untouched, 0),
        (&merge, 0),
        (&odd, 1),
        ("main~4", 1),
    ] {
        checked.both("r", status, &policy, revision);
    }
    let world = &checked.world;
    world.repo("sha256", &["--object-format=sha256"]);
    world.commit("sha256", "signed", &["-S"]);
    checked.both("sha256", 0, &policy, "HEAD");
    let gone = checked.world.id("r", "HEAD~1");
    std::fs::remove_file(checked.world.home.join(format!("r/.git/objects/{}/{}", &gone[..2], &gone[2..]))).unwrap();
    checked.verify("r", 1, &["--policy", &policy]);
}

fn of_exempt(checked: &mut Checked) {
    let world = &checked.world;
    world.repo("t", &[]);
    world.commit("t", "first", &["-S"]);
    let bad = world.commit("t", "bad", &[]);
    let mend = world.commit("t", "mend", &["-S"]);
    let alice = format!("[[principals.alice.keys]]\nssh = \"{}\"\n", world.home.public("alice"));
    let exempt = format!("[[exempt]]\ncommit = \"{bad}\"\nuntil = \"{mend}\"\nreason = \"reverted\"\n");
    world.home.write("policy.toml", format!("version = 1\n{alice}{exempt}"));
    let policy = world.home.join("policy.toml").display().to_string();
    checked.verify("t", 0, &["--policy", &policy]);
    checked.show("t", &["--policy", &policy, &bad]);
    checked.show("t", &["--policy", &policy, &mend]);
}

fn of_keyless(checked: &mut Checked) {
    let world = &checked.world;
    let (sigstore, key, begin) = (Sigstore::new("example"), Key::p256(), 1_700_000_000);
    world.home.write("root.json", sigstore.trusted_root());
    let names = vec![(0x86, "https://example.com/w".to_owned())];
    let leaf = Leaf { names, claims: vec![(15, "1".to_owned())], ..Leaf::email("", begin) };
    let certificate = sigstore.issue(&leaf, &key);
    let identity = "keyless = \"https://example.com/w\"\nissuer = \"https://issuer.example\"";
    let text = format!("version = 1\n[[principals.ci.keys]]\n{identity}\n[authorities.example]\ntrusted-root = \"root.json\"\n");
    world.home.write("keyless.toml", text);
    let policy = world.home.join("keyless.toml").display().to_string();
    world.repo("k", &[]);
    world.commit("k", "tree", &[]);
    let tree = world.id("k", "HEAD^{tree}");
    for (logged, stamped, status) in [(true, true, 0), (true, false, 0), (false, true, 1), (false, false, 1)] {
        let raw = commit(&tree, None, "a@x", begin + 1, |payload| {
            let mut signature = Signature::new(&key, &certificate, payload, begin + 1);
            if logged {
                signature = signature.with_entry(&sigstore.entry(&signature, begin + 2, false, 3));
            }
            if stamped { signature.with_token(&sigstore.token(&signature.signature, begin + 3)) } else { signature }
        });
        let id = checked.world.object("k", "commit", &raw);
        checked.both("k", status, &policy, &id);
        if !logged && !stamped {
            // the log has it
            let body = Signature::body_of(id.as_bytes(), &key.sign(id.as_bytes()), &certificate, false);
            let log = Mirror::start();
            log.put("api/v1/index/retrieve", b"[\"abc\"]".to_vec());
            let answer = sigstore.entry_of(&body, begin + 2, false, 3).answer("abc", &body);
            log.put("api/v1/log/entries/abc", answer.into_bytes());
            checked.world.home.git("k", &["config", "warrant.rekor", &log.url]);
            checked.verify("k", 0, &["--policy", &policy, "--no-walk", "--online", &id]);
            let shown = checked.show("k", &["--policy", &policy, "--online", &id]);
            assert_eq!(shown["signature"]["evidence"]["keyless"]["log"]["found"], true, "{shown}");
        }
    }
}

fn of_smime(checked: &mut Checked) {
    let (root_key, between_key, key, now) = (Key::p384(), Key::p256(), Key::p256(), 1_900_000_000);
    let root = Cert::authority("root", "root", &root_key).by(&root_key);
    let between = Cert::authority("root", "between", &between_key).by(&root_key);
    let person = Cert::person("between", "a@x", &key);
    let certificate = person.by(&between_key);
    let world = &checked.world;
    world.home.write("roots.pem", pem("CERTIFICATE", &[&root]));
    world.repo("m", &[]);
    world.commit("m", "tree", &[]);
    let tree = world.id("m", "HEAD^{tree}");
    let sign = |payload: &[u8]| crate::pki::signed(&key, &certificate, &[&certificate, &between], payload);
    let raw = commit_by(&tree, None, "a@x", 1_700_000_000, sign);
    let id = world.object("m", "commit", &raw);
    let list = |entries: &[(&[u8], Option<u8>)]| {
        let list = List::new("between", entries, (1_700_000_000, now + 100_000_000)).by(&between_key);
        pem("X509 CRL", &[&list])
    };
    let other = List::new("other", &[], (1_700_000_000, now + 100_000_000)).by(&root_key);
    let lists = [None, Some((list(&[]), 0)), Some((list(&[(&person.serial, None)]), 1)), Some((pem("X509 CRL", &[&other]), 1))];
    for (at, lists) in lists.into_iter().enumerate() {
        let (crl, status) = match lists {
            None => ("", 0),
            Some((text, status)) => {
                checked.world.home.write(format!("lists{at}.pem"), text);
                (&*format!("crl = \"lists{at}.pem\"\n"), status)
            }
        };
        let key = "[[principals.a.keys]]\nx509 = \"a@x\"\nca = \"corp\"\n";
        let text = format!("version = 1\n{key}[authorities.corp]\nx509 = \"roots.pem\"\n{crl}");
        let policy = checked.world.home.write(format!("smime{at}.toml"), text).display().to_string();
        checked.both("m", status, &policy, &id);
    }
}

/// `false` where there is no gpg, which has been said.
fn of_openpgp(checked: &mut Checked) -> bool {
    if !has("gpg") {
        skipped("OpenPGP signatures by gpg");
        return false;
    }
    let world = &checked.world;
    let folder = world.home.join(".gnupg");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |args: &[&str]| {
        let mut command = world.home.command("gpg");
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase", ""]).args(args);
        let done = run(&mut command, b"");
        assert!(done.ok(), "{done:?}");
        done.stdout
    };
    gpg(&["--quick-gen-key", "pg <pg@example.com>", "ed25519", "sign", "1y"]);
    let listed = gpg(&["--list-keys", "--with-colons", "pg"]);
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned();
    std::fs::create_dir(world.home.join("certs")).unwrap();
    let certificate = format!("certs/{fingerprint}.pgp");
    gpg(&["--armor", "--output", &certificate, "--export", &fingerprint]);
    world.repo("g", &[]);
    let settings = ["gpg.format=openpgp", "user.name=pg", "user.email=pg@example.com", &format!("user.signingKey={fingerprint}")];
    let settings = settings.map(str::to_owned);
    world.commit_as("g", "by gpg", &settings, &["-S"]);
    world.config("gpg.openpgp.program", "gpg");
    let key = format!("[principals.pg]\nemails = [\"pg@example.com\"]\nkeys = [{{ openpgp = \"{fingerprint}\" }}]\n");
    world.home.write("openpgp.toml", format!("version = 1\n{key}"));
    // revoked by its owner, after
    let revocation = world.home.read(format!(".gnupg/openpgp-revocs.d/{fingerprint}.rev"));
    let revocation = String::from_utf8(revocation).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let policy = world.home.join("openpgp.toml").display().to_string();
    checked.both("g", 0, &policy, "HEAD");
    let world = &checked.world;
    world.home.write("revocation", revocation);
    let gpg = |args: &[&str]| assert!(run(world.home.command("gpg").args(["--batch", "--quiet"]).args(args), b"").ok());
    gpg(&["--import", "revocation"]);
    gpg(&["--yes", "--armor", "--output", &certificate, "--export", &fingerprint]);
    checked.verify("g", 1, &["--policy", &policy]);
    checked.show("g", &["--policy", &policy, "HEAD"]);
    let _ = done(checked.world.home.command("gpgconf").args(["--kill", "all"]));
    true
}

#[test]
fn every_kind_of_line() {
    let mut checked = Checked::new(World::new());
    of_ssh(&mut checked);
    of_exempt(&mut checked);
    of_keyless(&mut checked);
    of_smime(&mut checked);
    let openpgp = of_openpgp(&mut checked);
    assert_eq!(checked.verify.verdicts.iter().map(String::as_str).collect::<Vec<_>>(), ["accept", "exempt", "reject", "unjudged"]);
    // every field that a schema has was written by one of these: what cannot be is named here
    let unseen: Vec<String> = checked.verify.unseen().into_iter().collect();
    assert_eq!(unseen, ["/ref"], "fields of docs/verify.schema.json that nothing writes");
    if openpgp {
        let unseen = checked.show.unseen();
        let rare = ["/mergetags/evidence", "/signature/evidence/weak", "/mergetags/detail"];
        let unseen: Vec<_> = unseen.iter().filter(|name| !rare.iter().any(|rare| name.starts_with(rare))).collect();
        assert!(unseen.is_empty(), "fields of docs/show.schema.json that nothing writes: {unseen:?}");
    }
}
