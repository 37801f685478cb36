//! Keyless commits judged by a policy: by `verify`, by `show`, by the hook.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, clippy::as_conversions)]

mod common;
#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "support/world.rs"]
mod world;

use common::run;
use sigstore::{Key, Leaf, Signature, Sigstore, commit};
use world::{World, done, says};

const BEGIN: i64 = 1_750_000_000;

/// A world with an instance, Alice's key for the moment, and a repository `r` whose commits hang on each other.
struct Bed {
    world: World,
    sigstore: Sigstore,
    key: Key,
    certificate: Vec<u8>,
    tree: String,
}

impl Bed {
    fn new() -> Self {
        let (world, sigstore, key) = (World::new(), Sigstore::new("example"), Key::p256());
        world.repo("r", &[]);
        world.commit("r", "tree", &[]);
        let tree = world.id("r", "HEAD^{tree}");
        world.home.git("r", &["update-ref", "-d", "HEAD"]);
        world.home.write("root.json", sigstore.trusted_root());
        let certificate = sigstore.issue(&Leaf::email("alice@example.com", BEGIN), &key);
        let bed = Self { world, sigstore, key, certificate, tree };
        bed.policy("", "");
        bed
    }

    /// Alice signs by her identity; with more lines for her key and for the instance.
    fn policy(&self, key: &str, instance: &str) {
        let text = format!(
            "version = 1\n[[principals.alice.keys]]\nkeyless = \"alice@example.com\"\nissuer = \"https://issuer.example\"\n{key}\n[authorities.example]\ntrusted-root = \"root.json\"\n{instance}\n"
        );
        self.world.home.write("policy.toml", text);
    }

    fn named(&self) -> String {
        self.world.home.join("policy.toml").display().to_string()
    }

    fn sign(&self, payload: &[u8], logged: bool) -> Signature {
        let bare = Signature::new(&self.key, &self.certificate, payload, BEGIN + 1);
        if logged { bare.with_entry(&self.sigstore.entry(&bare, BEGIN + 2, false, 5)) } else { bare }
    }

    /// A commit on `main`; its id.
    fn commit(&self, parent: Option<&str>, logged: bool) -> String {
        let raw = commit(&self.tree, parent, "alice@example.com", BEGIN + 1, |payload| self.sign(payload, logged));
        let id = self.world.object("r", "commit", &raw);
        self.world.home.git("r", &["update-ref", "refs/heads/main", &id]);
        id
    }

    fn of(&self, id: &str) -> String {
        self.world.judged_by("r", &self.named(), &["--no-walk", id]).of_object(id)
    }
}

#[test]
fn a_history_is_accepted_and_each_fault_named() {
    let bed = Bed::new();
    let first = bed.commit(None, true);
    let second = bed.commit(Some(&first), true);
    let judged = bed.world.judged_by("r", &bed.named(), &["main"]);
    assert_eq!((judged.status, judged.count("accepted")), (Some(0), 2), "{}", judged.stdout);
    assert_eq!(judged.lines[0]["principal"], "alice");
    assert_eq!(judged.lines[0]["times"]["attested"], "2025-06-15T15:06:42Z");
    let unlogged = bed.commit(Some(&second), false);
    let judged = bed.world.judged_by("r", &bed.named(), &["main"]);
    assert_eq!((judged.status, judged.of_object(&unlogged).as_str()), (Some(1), "not-logged"));
    // what somebody looked through stands
    let settled = bed.world.judged_by("r", &bed.named(), &["--settled", &unlogged, "main"]);
    assert_eq!(settled.status, Some(0), "{}", settled.stdout);
    let human = bed.world.verify_by("r", &bed.named(), &["main"]);
    for word in ["alice@example.com", "https://issuer.example", "no log entry", "gitsign.rekorMode offline"] {
        assert!(human.stdout.contains(word), "{word}: {}", human.stdout);
    }
    for (key, instance, want) in [
        ("", "", "accept"),
        ("claims = { repository-id = \"1\" }", "", "claim-mismatch"),
        ("", "require = \"timestamp\"", "not-timestamped"),
        ("", "deny = [\"alice@example.com\"]", "identity-denied"),
        ("status = \"retired\"", "", "key-retired"),
        ("status = \"retired\"\nbefore = 2025-06-15T15:06:43Z", "", "accept"),
        ("status = \"compromised\"", "", "key-compromised"),
        ("", "status = \"retired\"", "authority-retired"),
    ] {
        bed.policy(key, instance);
        assert_eq!(bed.of(&first), want, "{key} {instance}");
    }
    // another instance of the same name, and those that are built in
    bed.world.home.write("root.json", Sigstore::new("example").trusted_root());
    bed.policy("", "");
    assert_eq!(bed.of(&first), "certificate-untrusted");
    let text = String::from_utf8(bed.world.home.read("policy.toml")).unwrap();
    bed.world.home.write("policy.toml", text.replace("root.json", "public-good"));
    assert_eq!(bed.of(&first), "certificate-untrusted");
    // an allowed_signers file knows no instance
    assert_eq!(bed.world.judged("r", &["--no-walk", &first]).of_object(&first), "certificate-untrusted");
}

#[test]
fn a_workflow_signs_what_is_built_on_its_own_commit() {
    let mut bed = Bed::new();
    let first = bed.commit(None, true);
    let second = bed.commit(Some(&first), true);
    bed.policy("claims = { repository-digest = \"ancestor\" }", "");
    let by_run_on = |bed: &mut Bed, digest: &str, parent: &str| {
        let leaf = Leaf { claims: vec![(13, digest.to_owned())], ..Leaf::email("alice@example.com", BEGIN) };
        bed.certificate = bed.sigstore.issue(&leaf, &bed.key);
        bed.commit(Some(parent), true)
    };
    for (digest, parent, want) in [
        (second.as_str(), second.as_str(), "accept"),
        (&first, &second, "accept"),
        (&second, &first, "not-built-on"),
        (&"1".repeat(40), &second, "not-built-on"),
        ("main", &second, "claim-mismatch"),
    ] {
        let id = by_run_on(&mut bed, digest, parent);
        assert_eq!(bed.of(&id), want, "{digest} on {parent}");
        let walked = bed.world.judged_by("r", &bed.named(), &[&format!("{parent}..main")]);
        assert_eq!(walked.of_object(&id), want, "{digest} on {parent}");
        let shown = done(&mut bed.world.warrant("r", &["show", "--policy", &bed.named(), &id]));
        assert!(shown.stdout.contains(want), "{want}: {shown:?}");
    }
    // where the history is cut above the commit, nobody knows
    let top = by_run_on(&mut bed, &first, &second);
    bed.world
        .home
        .git("", &["clone", "-q", "--bare", "--depth", "1", &format!("file://{}", bed.world.home.join("r").display()), "cut"]);
    let cut = bed.world.judged_by("cut", &bed.named(), &["--no-walk", &top]);
    assert_eq!((cut.status, cut.of_object(&top).as_str()), (Some(3), "ancestor-unknown"));
}

#[test]
fn a_policy_that_cannot_be_used_is_named() {
    let bed = Bed::new();
    bed.commit(None, true);
    std::fs::remove_file(bed.world.home.join("root.json")).unwrap();
    says(&bed.world.verify_by("r", &bed.named(), &["main"]), 2, &["root.json"]);
    for (json, word) in [("{}", "trusted-root"), ("", "not a trusted root")] {
        bed.world.home.write("root.json", json);
        says(&bed.world.verify_by("r", &bed.named(), &["main"]), 2, &[word, "policy.toml"]);
        let checked = done(&mut bed.world.warrant("r", &["policy", "check", &bed.named()]));
        assert_eq!(checked.status, Some(2), "{checked:?}");
    }
    // more than anybody needs is not read
    bed.world.home.write("root.json", bed.sigstore.trusted_root() + &" ".repeat(16 << 20));
    says(&bed.world.verify_by("r", &bed.named(), &["main"]), 2, &["policy.toml:6: `trusted-root`", "more than 16777216 bytes"]);
    // without a certificate log nothing is asked of one, and that is said
    let root = bed.sigstore.trusted_root();
    let (before, rest) = root.split_once(r#""ctlogs": ["#).unwrap();
    let (_, after) = rest.split_once("],\n").unwrap();
    bed.world.home.write("root.json", format!("{before}\"ctlogs\": [],\n{after}"));
    let checked = done(&mut bed.world.warrant("r", &["policy", "check", &bed.named()]));
    assert!(
        checked.ok() && checked.stderr.contains("policy.toml:6: the trusted root of example names no certificate log"),
        "{checked:?}"
    );
    bed.world.home.write("root.json", root);
    let checked = done(&mut bed.world.warrant("r", &["policy", "check", &bed.named()]));
    assert!(!checked.stderr.contains("certificate log"), "{checked:?}");
    assert!(
        checked.ok() && checked.stdout.contains("alice@example.com") && checked.stdout.contains("trusted root root.json"),
        "{checked:?}"
    );
}

/// The first of two tables would decide alone, so that what the other says of the instance counted for nothing.
#[test]
fn an_instance_is_in_one_table_only() {
    let bed = Bed::new();
    let id = bed.commit(None, true);
    let root = bed.sigstore.trusted_root();
    // the same instance: written otherwise, with more in it, and one of its authorities only
    let mut more: serde_json::Value = serde_json::from_str(&root).unwrap();
    let foreign: serde_json::Value = serde_json::from_str(&Sigstore::new("other").trusted_root()).unwrap();
    let authorities = more["certificateAuthorities"].as_array_mut().unwrap();
    authorities.insert(0, foreign["certificateAuthorities"][0].clone());
    let mut end: serde_json::Value = serde_json::from_str(&root).unwrap();
    end["certificateAuthorities"][0]["certChain"]["certificates"].as_array_mut().unwrap().pop().unwrap();
    for again in [format!("{root} "), more.to_string(), end.to_string()] {
        bed.world.home.write("again.json", again);
        for (first, second) in [("", "status = \"retired\""), ("status = \"retired\"", ""), ("", "deny = [\"alice@example.com\"]")]
        {
            bed.policy("", &format!("{first}\n[authorities.twin]\ntrusted-root = \"again.json\"\n{second}"));
            let words = ["policy.toml:9", "is in the trusted roots of example and of twin", "keep one of both tables"];
            says(&bed.world.verify_by("r", &bed.named(), &["main"]), 2, &words);
            says(&done(&mut bed.world.warrant("r", &["policy", "check", &bed.named()])), 2, &words);
        }
    }
    bed.world.home.write("again.json", foreign.to_string());
    bed.policy(
        "",
        "[authorities.other]\ntrusted-root = \"again.json\"\n[authorities.public]\ntrusted-root = \"public-good\"\n[authorities.github]\ntrusted-root = \"github\"\nrequire = \"timestamp\"\n[authorities.staging]\ntrusted-root = \"staging\"",
    );
    assert_eq!(bed.of(&id), "accept");
}

#[test]
fn show_tells_all_of_it() {
    let bed = Bed::new();
    let id = bed.commit(None, true);
    let shown = done(&mut bed.world.warrant("r", &["show", "--policy", &bed.named(), &id]));
    for word in ["alice@example.com (email)", "https://issuer.example", "entry 1002 of", "2025-06-15T15:06:42Z", "accept"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
}

#[test]
fn the_hook_refuses_what_is_not_logged() {
    let bed = Bed::new();
    bed.world.home.git("", &["clone", "-q", "--bare", "r", "server.git"]);
    bed.world.home.git("server.git", &["config", "warrant.policy", &bed.named()]);
    let first = bed.commit(None, true);
    assert!(done(&mut bed.world.warrant("server.git", &["hook", "install"])).ok());
    let push = |what: &str| {
        let mut command = bed.world.installed("r", &["push", "-q", "../server.git", what]);
        run(&mut command, b"")
    };
    let pushed = push("main");
    assert!(pushed.ok(), "{pushed:?}");
    bed.commit(Some(&first), false);
    let refused = push("main");
    assert!(!refused.ok() && refused.stderr.contains("not-logged"), "{refused:?}");
}

#[test]
fn a_signature_as_a_bundle_and_back() {
    let bed = Bed::new();
    let id = bed.commit(None, true);
    let shown = done(&mut bed.world.warrant("r", &["show", "--bundle", &id]));
    assert!(shown.ok(), "{shown:?}");
    bed.world.home.write("bundle.json", &shown.stdout);
    let raw = bed.world.home.git("r", &["cat-file", "commit", &id]) + "\n";
    let payload = sigstore::payload(&raw);
    let signed = bed.sign(payload.as_bytes(), false).signed();
    bed.world.home.write("artifact", &signed);
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&signed));
    let digest = format!("sha256:{digest}");
    let verify = |artifact: &str, more: &[&str]| {
        let all = [&["verify", "--bundle", "bundle.json", "--trusted-root", "root.json"], more, &[artifact]].concat();
        done(&mut bed.world.home.ours(&all))
    };
    let alice = ["--identity", "alice@example.com", "--issuer", "https://issuer.example"];
    for (artifact, more, status, word) in [
        ("artifact", &alice[..], 0, "accept artifact: alice@example.com"),
        (&digest, &alice[..], 0, "accept sha256:"),
        ("root.json", &alice[..], 1, "reject"),
        ("artifact", &["--identity", "bob@example.com", "--issuer", "https://issuer.example"], 1, "not by bob@example.com"),
        ("artifact", &["--identity", "alice@example.com", "--issuer", "https://other.example"], 1, "identified by"),
        ("artifact", &[], 2, ""),
        ("artifact", &["--identity", "alice@example.com"], 2, ""),
        ("absent", &alice[..], 2, ""),
    ] {
        let done = verify(artifact, more);
        assert_eq!(done.status, Some(status), "{artifact} {more:?}: {done:?}");
        assert!(done.stdout.contains(word), "{done:?}");
    }
}

#[test]
fn a_bundle_is_of_a_good_signature() {
    let bed = Bed::new();
    let bundle = |id: &str| done(&mut bed.world.warrant("r", &["show", "--bundle", id]));
    let good = bed.commit(None, true);
    let raw = bed.world.raw("r", &good);
    let changed = bed.world.object("r", "commit", raw.replacen("alice@", "eve@", 1).as_bytes());
    let refused = bundle(&changed);
    says(&refused, 2, &["no bundle can be made of its signature: the signature does not match the content"]);
    assert_eq!(refused.stdout, "");
    // nothing proves its time: nobody will accept it
    let unlogged = bundle(&bed.commit(None, false));
    says(&unlogged, 0, &["warning: neither a log entry nor a timestamp"]);
    // attributes are sent in one order, and signed in DER's: the bundle is of what is signed
    let raw = commit(&bed.tree, None, "alice@example.com", BEGIN + 1, |payload| {
        let bare = bed.sign(payload, false);
        let logged = bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 2, false, 5));
        let mut attributes = sigstore::elements(&bare.attributes);
        attributes.reverse();
        Signature { attributes: attributes.concat(), ..logged }
    });
    let id = bed.world.object("r", "commit", &raw);
    assert_eq!(bed.of(&id), "accept");
    let shown = bundle(&id);
    assert!(shown.ok() && shown.stderr.is_empty(), "{shown:?}");
    bed.world.home.write("bundle.json", &shown.stdout);
    let payload = sigstore::payload(&String::from_utf8(raw).unwrap());
    bed.world.home.write("artifact", bed.sign(payload.as_bytes(), false).signed());
    let args = ["verify", "--bundle", "bundle.json", "--trusted-root", "root.json", "--identity", "alice@example.com", "--issuer"];
    let verified = done(bed.world.home.ours(&args).args(["https://issuer.example", "artifact"]));
    assert!(verified.ok(), "{verified:?}");
}

#[test]
fn a_log_or_an_authority_may_be_newer_than_the_root() {
    let bed = Bed::new();
    let read = |sigstore: &Sigstore| -> serde_json::Value { serde_json::from_str(&sigstore.trusted_root()).unwrap() };
    let other = read(&Sigstore::new("other"));
    let logged = bed.commit(None, true);
    let raw = commit(&bed.tree, Some(&logged), "alice@example.com", BEGIN + 1, |payload| {
        let signature = bed.sign(payload, true);
        signature.with_token(&bed.sigstore.token(&signature.signature, BEGIN + 3))
    });
    let stamped = bed.world.object("r", "commit", &raw);
    for (part, id, code) in [("tlogs", &logged, "log-entry-invalid"), ("timestampAuthorities", &stamped, "timestamp-invalid")] {
        let mut root = read(&bed.sigstore);
        root[part] = other[part].clone();
        bed.world.home.write("root.json", root.to_string());
        assert_eq!(bed.of(id), code);
        let human = bed.world.verify_by("r", &bed.named(), &["--no-walk", id]);
        for word in ["is newer than the trusted root", "git warrant trust update --output FILE", "`trusted-root` can name"] {
            assert!(human.stdout.contains(word), "{word}: {human:?}");
        }
        assert!(part == "timestampAuthorities" || !human.stdout.contains("no honest tool"), "{human:?}");
    }
}

#[test]
fn what_mends_it_stays_one_line_of_toml() {
    let bed = Bed::new();
    let hostile = Leaf { names: vec![(0x81, "a\"b\\@x".to_owned())], ..Leaf::email("", BEGIN) };
    let certificate = bed.sigstore.issue(&hostile, &bed.key);
    let raw = commit(&bed.tree, None, "alice@example.com", BEGIN + 1, |payload| {
        let bare = Signature::new(&bed.key, &certificate, payload, BEGIN + 1);
        bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 2, false, 5))
    });
    let id = bed.world.object("r", "commit", &raw);
    let judged = bed.world.judged_by("r", &bed.named(), &["--no-walk", &id]);
    assert_eq!(judged.of_object(&id), "identity-unlisted");
    let mend = judged.lines[0]["mend"].as_str().unwrap();
    assert!(mend.contains(r#"keyless = "a\"b\\@x" and issuer = "https://issuer.example""#), "{mend}");
    assert_eq!(judged.lines[0]["identity"], "a\"b\\@x");
}

#[test]
fn git_shows_what_is_proved_without_any_policy() {
    let bed = Bed::new();
    bed.world.config("gpg.x509.program", common::OURS);
    bed.world.config("warrant.trustedRoot", bed.world.home.join("root.json").to_str().unwrap());
    let good = bed.commit(None, true);
    let shown = |id: &str| bed.world.home.git("r", &["log", "-1", "--format=%G? %GS", id]);
    assert_eq!(bed.world.home.git("r", &["log", "-1", "--format=%GT", &good]), "fully");
    assert_eq!(shown(&good), "G alice@example.com (https://issuer.example)");
    let verified = done(bed.world.home.command("git").args(["-C", "r", "verify-commit", "--raw", &good]));
    says(&verified, 0, &["[GNUPG:] GOODSIG SHA256:", "[GNUPG:] VALIDSIG SHA256:", "[GNUPG:] TRUST_FULLY 0 shell"]);
    let told = done(bed.world.home.command("git").args(["-C", "r", "verify-commit", &good]));
    says(
        &told,
        0,
        &["Signature made before 2025-06-15T15:06:42Z", "Good signature from \"alice@example.com (https://issuer.example)\""],
    );
    // the content changed; no time proved; another instance: three answers, none of them good
    let raw = bed.world.raw("r", &good);
    let changed = bed.world.object("r", "commit", raw.replacen("alice@", "eve@", 1).as_bytes());
    let unlogged = bed.commit(None, false);
    for (id, letter, word) in [(&changed, "B", "BAD signature"), (&unlogged, "E", "no log entry")] {
        assert!(shown(id).starts_with(letter), "{}", shown(id));
        says(&done(bed.world.home.command("git").args(["-C", "r", "verify-commit", id])), 1, &[word]);
    }
    bed.world.home.write("root.json", Sigstore::new("other").trusted_root());
    assert!(shown(&good).starts_with('E'));
    let verified = || done(bed.world.home.command("git").args(["-C", "r", "verify-commit", &good]));
    bed.world.config("warrant.trustedRoot", "none");
    says(&verified(), 1, &["no trusted root is named", "git config warrant.trustedRoot"]);
    // in the work tree a pull request would bring its own trust
    bed.world.home.write("r/mine.json", bed.sigstore.trusted_root());
    bed.world.home.write("root.json", bed.sigstore.trusted_root());
    for name in ["mine.json", "./mine.json", "../r/mine.json"] {
        bed.world.config("warrant.trustedRoot", name);
        says(&verified(), 1, &["mine.json", "lies inside the work tree", "warrant.trustedRoot"]);
        assert!(shown(&good).starts_with('E'), "{name}: {}", shown(&good));
    }
    bed.world.config("warrant.trustedRoot", "../root.json");
    says(&verified(), 0, &[]);
}

#[test]
fn a_chain_is_walked_to_its_end() {
    let bed = Bed::new();
    let signed = bed.commit(None, true);
    assert_eq!(bed.of(&signed), "accept");
    let read = |sigstore: &Sigstore| -> serde_json::Value { serde_json::from_str(&sigstore.trusted_root()).unwrap() };
    let chain = |root: &serde_json::Value| root["certificateAuthorities"][0]["certChain"]["certificates"].clone();
    let (mut root, other) = (read(&bed.sigstore), read(&Sigstore::new("other")));
    let certificates = [chain(&root), chain(&other)];
    let certificates: serde_json::Value = certificates.iter().flat_map(|it| it.as_array().unwrap()).cloned().collect();
    root["certificateAuthorities"][0]["certChain"]["certificates"] = certificates;
    bed.world.home.write("root.json", root.to_string());
    // what signed the commit's certificate stands in the chain, but its end has not signed it
    assert_eq!(bed.of(&signed), "certificate-untrusted");
}

#[test]
fn a_certificate_log_saw_it_at_its_own_time() {
    for (seen, word) in [(0, "accept"), (-86_400, "certificate-untrusted"), (86_400, "certificate-untrusted")] {
        let mut bed = Bed::new();
        let leaf = Leaf { seen, ..Leaf::email("alice@example.com", BEGIN) };
        bed.certificate = bed.sigstore.issue(&leaf, &bed.key);
        let id = bed.commit(None, true);
        assert_eq!(bed.of(&id), word, "{seen}");
    }
}

#[test]
fn a_bundle_is_of_the_digest_and_has_its_proof() {
    let bed = Bed::new();
    bed.commit(None, true);
    let shown = done(&mut bed.world.warrant("r", &["show", "--policy", &bed.named(), "--bundle", "HEAD"]));
    assert_eq!(shown.status, Some(0), "{shown:?}");
    let mut bundle: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    bundle["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionProof").unwrap();
    bed.world.home.write("bundle.json", bundle.to_string());
    let digest = format!("sha256:{}", "0".repeat(64));
    bed.world.home.write(&digest, "content");
    let args = ["verify", "--bundle", "bundle.json", "--trusted-root", "root.json", "--identity", "alice@example.com", "--issuer"];
    let verified = done(bed.world.home.ours(&args).args(["https://issuer.example", &digest]));
    assert_eq!(verified.status, Some(1), "{verified:?}");
    assert!(verified.stdout.contains("no proof of inclusion"), "{verified:?}");
    // more than anybody needs is not read
    bed.world.home.write("bundle.json", " ".repeat((16 << 20) + 1));
    let verified = done(bed.world.home.ours(&args).args(["https://issuer.example", &digest]));
    assert!(verified.status == Some(2) && verified.stderr.contains("bundle.json has more than 16777216 bytes"), "{verified:?}");
}

impl Bed {
    /// The trusted root, changed.
    fn root(&self, change: impl Fn(&mut serde_json::Value)) {
        let mut root: serde_json::Value = serde_json::from_str(&self.sigstore.trusted_root()).unwrap();
        change(&mut root);
        self.world.home.write("root.json", root.to_string());
    }

    /// Whether `verify --bundle` accepts a signature as a bundle that is changed, and what it says.
    fn bundled(&self, signature: &Signature, change: impl Fn(&mut serde_json::Value)) -> (bool, String) {
        let raw = commit(&self.tree, None, "alice@example.com", BEGIN + 1, |_| signature.clone());
        let id = self.world.object("r", "commit", &raw);
        let shown = done(&mut self.world.warrant("r", &["show", "--bundle", &id]));
        let mut bundle: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:?}"));
        change(&mut bundle);
        self.world.home.write("bundle.json", bundle.to_string());
        self.world.home.write("artifact", signature.signed());
        let args =
            ["verify", "--bundle", "bundle.json", "--trusted-root", "root.json", "--identity", "alice@example.com", "--issuer"];
        let verified = done(self.world.home.ours(&args).args(["https://issuer.example", "artifact"]));
        (verified.ok(), verified.stdout)
    }

    /// The payload of a commit without parents.
    fn payload(&self) -> String {
        let raw = commit(&self.tree, None, "alice@example.com", BEGIN + 1, |payload| self.sign(payload, false));
        sigstore::payload(&String::from_utf8(raw).unwrap())
    }
}

fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

/// A log that has ended logs nothing more, whatever an entry says of its own time.
#[test]
fn a_log_counts_at_the_times_that_are_proved() {
    let bed = Bed::new();
    let bare = bed.sign(bed.payload().as_bytes(), false);
    let logged = |v2| bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 60, v2, 5));
    let token = bed.sigstore.token(&bare.signature, BEGIN + 60);
    let ends = |at: i64| {
        bed.root(|root| {
            for log in root["tlogs"].as_array_mut().unwrap() {
                log["publicKey"]["validFor"]["end"] = moment(at).into();
            }
        });
    };
    let unpromised = |bundle: &mut serde_json::Value| {
        let entry = bundle["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap();
        entry.remove("inclusionPromise");
        entry.insert("integratedTime".to_owned(), (BEGIN + 1).to_string().into());
    };
    bed.root(|root| root["tlogs"][0]["publicKey"]["validFor"]["end"] = "9999-12-31T23:59:59Z".into()); // protobuf's last moment
    assert!(bed.bundled(&logged(false), |_| {}).0);
    for (end, good) in [(BEGIN + 90, true), (BEGIN + 30, false), (BEGIN - 3600, false)] {
        ends(end);
        for v2 in [false, true] {
            let signature = logged(v2).with_token(&token);
            let (accepted, said) = bed.bundled(&signature, |_| {});
            assert_eq!(accepted, good, "{end} {v2}: {said}");
            let raw = commit(&bed.tree, None, "alice@example.com", BEGIN + 1, |_| signature.clone());
            let word = bed.of(&bed.world.object("r", "commit", &raw));
            assert_eq!(word, if good { "accept" } else { "log-entry-invalid" }, "{end} {v2}");
        }
        let (accepted, said) = bed.bundled(&logged(false).with_token(&token), unpromised);
        assert_eq!(accepted, good, "no promise, {end}: {said}");
    }
}

#[test]
fn a_bundle_needs_no_log_where_there_is_none_and_is_of_one_thing() {
    let bed = Bed::new();
    let bare = bed.sign(bed.payload().as_bytes(), false);
    let timed = bare.with_token(&bed.sigstore.token(&bare.signature, BEGIN + 60));
    let (accepted, said) = bed.bundled(&timed, |_| {});
    assert!(!accepted && said.contains("inclusion proof"), "{said}");
    // a log whose key cannot be read is one all the same
    bed.root(|root| {
        root["tlogs"].as_array_mut().unwrap().truncate(1);
        root["tlogs"][0]["publicKey"]["rawBytes"] = "MAA=".into();
    });
    assert!(!bed.bundled(&timed, |_| {}).0);
    bed.root(|root| root["tlogs"] = serde_json::json!([]));
    assert!(bed.bundled(&timed, |_| {}).0);
    let (accepted, said) = bed.bundled(&bare, |_| {});
    assert!(!accepted, "no time: {said}");
    bed.root(|_| {});
    let logged = bare.with_entry(&bed.sigstore.entry(&bare, BEGIN + 60, false, 5));
    let statement =
        r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://evil.example","predicate":{}}"#;
    let envelope = |payload: &str| {
        let payload = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, payload);
        serde_json::json!({"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "anVuaw=="}]})
    };
    let (accepted, said) = bed.bundled(&logged, |bundle| bundle["dsseEnvelope"] = envelope(statement));
    assert!(!accepted && said.contains("two things") && !said.contains("evil"), "{said}");
    assert!(bed.bundled(&logged, |_| {}).0);
}
