//! `--online`: what a log says of a commit whose signature carries no entry; and that nothing reaches a network without it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, clippy::as_conversions)]

mod common;
#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "support/tuf.rs"]
mod tuf;
#[path = "support/world.rs"]
mod world;

use serde_json::{Value, json};
use sigstore::{Entry, Key, Leaf, Signature, Sigstore, commit};
use tuf::{Answer, Mirror};
use world::{World, done};

const BEGIN: i64 = 1_750_000_000;
const SEARCH: &str = "api/v1/index/retrieve";

/// A commit signed in online mode, and the log that knows it: the server of any files, here a log's answers.
struct Bed {
    world: World,
    sigstore: Sigstore,
    log: Mirror,
    key: Key,
    certificate: Vec<u8>,
    id: String,
}

/// An entry and its body, as they are to be served.
#[derive(Clone)]
struct Logged {
    body: String,
    entry: Entry,
}

impl Bed {
    fn new() -> Self {
        let (world, sigstore, key, log) = (World::new(), Sigstore::new("example"), Key::p256(), Mirror::start());
        world.repo("r", &[]);
        world.commit("r", "tree", &[]);
        let tree = world.id("r", "HEAD^{tree}");
        world.home.write("root.json", sigstore.trusted_root());
        let text = "version = 1\n[[principals.alice.keys]]\nkeyless = \"alice@example.com\"\nissuer = \"https://issuer.example\"\n[authorities.example]\ntrusted-root = \"root.json\"\n";
        world.home.write("policy.toml", text);
        let certificate = sigstore.issue(&Leaf::email("alice@example.com", BEGIN), &key);
        let sign = |payload: &[u8]| Signature::new(&key, &certificate, payload, BEGIN + 1);
        let raw = commit(&tree, None, "alice@example.com", BEGIN + 1, sign);
        let id = world.object("r", "commit", &raw);
        world.home.git("r", &["config", "warrant.rekor", &log.url]);
        Self { world, sigstore, log, key, certificate, id }
    }

    /// What gitsign logs of an object's id.
    fn logged(&self, id: &str, key: &Key, certificate: &[u8]) -> Logged {
        let body = Signature::body_of(id.as_bytes(), &key.sign(id.as_bytes()), certificate, false);
        Logged { entry: self.sigstore.entry_of(&body, BEGIN + 2, false, 5), body }
    }

    fn good(&self) -> Logged {
        self.logged(&self.id, &self.key, &self.certificate)
    }

    /// The log has these.
    fn serve(&self, entries: &[Logged]) {
        let names: Vec<String> = (0..entries.len()).map(|at| format!("{at:080x}")).collect();
        self.log.put(SEARCH, json!(names).to_string().into_bytes());
        for (name, entry) in names.iter().zip(entries) {
            self.log.put(&format!("api/v1/log/entries/{name}"), entry.entry.answer(name, &entry.body).into_bytes());
        }
    }

    /// Verdict and standard error.
    fn judged(&self, more: &[&str]) -> (String, String) {
        let policy = self.world.home.join("policy.toml").display().to_string();
        let args = [more, &["--no-walk", &self.id]].concat();
        let judged = self.world.judged_by("r", &policy, &args);
        (judged.of_object(&self.id), judged.stderr)
    }

    /// More commits by her, each on the one before; all of them, the first included.
    fn chain(&self, more: usize) -> Vec<String> {
        let tree = self.world.id("r", &format!("{}^{{tree}}", self.id));
        let mut all = vec![self.id.clone()];
        for _ in 0..more {
            let sign = |payload: &[u8]| Signature::new(&self.key, &self.certificate, payload, BEGIN + 1);
            let raw = commit(&tree, all.last().map(String::as_str), "alice@example.com", BEGIN + 1, sign);
            all.push(self.world.object("r", "commit", &raw));
        }
        all
    }

    /// What is said of all commits up to this: how many are accepted, and standard error.
    fn walked(&self, tip: &str) -> (u64, String) {
        let policy = self.world.home.join("policy.toml").display().to_string();
        let judged = self.world.judged_by("r", &policy, &["--online", "--threads", "1", tip]);
        (judged.count("accepted"), judged.stderr)
    }

    #[track_caller]
    fn refused(&self, what: &str, says: &str) {
        let (verdict, stderr) = self.judged(&["--online"]);
        assert_eq!(verdict, "not-logged", "{what}: {stderr}");
        assert!(stderr.contains(says), "{what}: {stderr}");
    }
}

#[test]
fn an_entry_of_this_commit_by_this_certificate_counts() {
    let bed = Bed::new();
    bed.serve(&[bed.good()]);
    assert_eq!(bed.judged(&[]).0, "not-logged");
    assert!(bed.log.asked().is_empty(), "nothing is asked that nobody asked for");
    assert_eq!(bed.judged(&["--online"]), ("accept".to_owned(), String::new()));
    let asked = bed.log.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let policy = bed.world.home.join("policy.toml").display().to_string();
    let shown = done(&mut bed.world.warrant("r", &["show", "--policy", &policy, "--online", "--format", "jsonl", &bed.id]));
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let keyless = &shown["signature"]["evidence"]["keyless"];
    assert_eq!(keyless["log"]["found"], true, "{shown}");
    assert_eq!((&keyless["attested"], &shown["verdict"]["verdict"]), (&json!("2025-06-15T15:06:42Z"), &json!("accept")));
    assert_eq!(bed.log.asked().len(), 2, "once, for the verdict and for what is shown");
    let human = done(&mut bed.world.warrant("r", &["show", "--online", &bed.id]));
    assert!(human.ok() && !human.stdout.contains("found "), "without a policy no root is known for it: {human:?}");
    // the second is as good as the first
    let mut bad = bed.good();
    bad.entry.promise = Some(vec![1; 70]);
    bed.serve(&[bad, bed.good()]);
    assert_eq!(bed.judged(&["--online"]).0, "accept");
}

#[test]
fn what_a_log_may_say_besides_proves_nothing() {
    let bed = Bed::new();
    let (good, other) = (bed.good(), Key::p256());
    let changed = |change: &dyn Fn(&mut Logged)| {
        let mut logged = good.clone();
        change(&mut logged);
        logged
    };
    let promised = |change: &dyn Fn(&mut Logged)| {
        changed(&|logged| {
            change(logged);
            logged.entry.promise = Some(bed.sigstore.promise(&logged.body, &logged.entry));
        })
    };
    let others = bed.sigstore.issue(&Leaf::email("alice@example.com", BEGIN), &other);
    let strange = Sigstore::new("example");
    let of_strange = Logged { entry: strange.entry_of(&good.body, BEGIN + 2, false, 5), body: good.body.clone() };
    let id = bed.id.clone();
    let upper = Logged { body: good.body.clone(), entry: bed.sigstore.entry_of(&format!("{} ", good.body), BEGIN + 2, false, 5) };
    let spaced = format!("{} ", good.body);
    let spaced = Logged { entry: bed.sigstore.entry_of(&spaced, BEGIN + 2, false, 5), body: spaced };
    let of_attributes = {
        let raw = bed.world.home.git("r", &["cat-file", "commit", &id]) + "\n";
        let again = Signature::new(&bed.key, &bed.certificate, sigstore::payload(&raw).as_bytes(), BEGIN + 1);
        let body = Signature::body_of(&again.signed(), &again.signature, &bed.certificate, false);
        Logged { entry: bed.sigstore.entry_of(&body, BEGIN + 2, false, 5), body }
    };
    for (what, logged, says) in [
        ("another object", bed.logged(&"0".repeat(id.len()), &bed.key, &bed.certificate), "of another object"),
        ("its id in other letters", bed.logged(&id.to_uppercase(), &bed.key, &bed.certificate), "of another object"),
        ("another certificate of hers", bed.logged(&id, &other, &others), "of another certificate"),
        ("another key's signature", bed.logged(&id, &other, &bed.certificate), "signature"),
        ("its attributes", of_attributes, "of another object"),
        ("a body that is written otherwise", spaced, "of another object"),
        ("a proof of another body", upper, "inclusion"),
        ("another log", of_strange, "its log is not one of the trusted root"),
        ("no promise", changed(&|it| it.entry.promise = None), "proves no time"),
        ("a promise of another time", changed(&|it| it.entry.time += 1), "invalid inclusion promise"),
        ("a time before the certificate", promised(&|it| it.entry.time = (BEGIN - 1) as u64), "outside certificate validity"),
        ("a time after it", promised(&|it| it.entry.time = (BEGIN + 601) as u64), "outside certificate validity"),
        ("no time", promised(&|it| it.entry.time = 0), "proves no time"),
        ("another index", changed(&|it| it.entry.index += 1), "invalid inclusion promise"),
        ("another place", changed(&|it| it.entry.proof.as_mut().unwrap().index += 1), "inclusion"),
        ("a hash more", changed(&|it| it.entry.proof.as_mut().unwrap().hashes.push([0; 32])), "inclusion"),
        ("another root", changed(&|it| it.entry.proof.as_mut().unwrap().root = [7; 32]), "another root"),
        (
            "another checkpoint",
            changed(&|it| {
                it.entry.proof.as_mut().unwrap().checkpoint =
                    strange.checkpoint(false, 6, &it.entry.proof.as_ref().unwrap().root.clone())
            }),
            "not signed by the log",
        ),
    ] {
        bed.serve(&[logged]);
        bed.refused(what, says);
    }
    bed.serve(&[]);
    bed.refused("nothing", "the log has no entry of it");
    bed.serve(std::slice::from_ref(&good));
    assert_eq!(bed.judged(&["--online"]).0, "accept");
    // the bounds of a time are in it
    for time in [BEGIN, BEGIN + 600] {
        bed.serve(&[promised(&|it| it.entry.time = time as u64)]);
        assert_eq!(bed.judged(&["--online"]).0, "accept", "{time}");
    }
}

#[test]
fn a_log_that_does_not_answer_is_as_none() {
    let bed = Bed::new();
    let file = |text: &str| Answer::File(text.as_bytes().to_vec());
    for (answer, says) in [
        (Answer::Endless, "its answer is longer than"),
        (Answer::Elsewhere("http://127.0.0.1:1/".to_owned()), "status 302"),
        (file("{}"), "makes no sense"),
        (file("[\"../../x\"]"), "the name of an entry is none"),
        (file("[\"abc\"]"), "status 404"),
        (file("[\"\"]"), "the name of an entry is none"),
    ] {
        bed.log.answer(SEARCH, answer);
        bed.refused(says, says);
    }
    bed.log.put(SEARCH, b"[\"abc\"]".to_vec());
    bed.log.put("api/v1/log/entries/abc", b"{}".to_vec());
    bed.refused("empty", "makes no sense");
    bed.world.home.git("r", &["config", "warrant.rekor", "http://127.0.0.1:1"]);
    bed.refused("nobody", "Rekor at http://127.0.0.1:1");
    bed.world.home.git("r", &["config", "warrant.rekor", "http://rekor.example.com"]);
    let policy = bed.world.home.join("policy.toml").display().to_string();
    let done = done(&mut bed.world.warrant("r", &["verify", "--policy", &policy, "--online", &bed.id]));
    assert!(done.status == Some(2) && done.stderr.contains("neither https"), "{done:?}");
}

#[test]
fn what_is_odd_of_one_object_is_nothing_of_others() {
    let bed = Bed::new();
    let ids = bed.chain(2);
    let tip = ids.last().unwrap();
    let good: Vec<Logged> = ids.iter().map(|id| bed.logged(id, &bed.key, &bed.certificate)).collect();
    bed.serve(&good);
    assert_eq!(bed.walked(tip), (3, String::new()));
    // entries that nobody can read, before those that are good
    let mut names: Vec<String> = (0..3).map(|at| format!("{at:080x}")).collect();
    let entry = |name: &str| format!("api/v1/log/entries/{name}");
    bed.log.put(&entry("bad2"), b"{}".to_vec());
    bed.log.put(&entry("bad3"), vec![b' '; (64 << 10) + 1]);
    for odd in ["bad1", "bad2", "bad3", "../x"] {
        names.insert(0, odd.to_owned());
        bed.log.put(SEARCH, json!(names).to_string().into_bytes());
        assert_eq!(bed.walked(tip), (3, String::new()), "{odd}");
    }
    // one entry that the log fails to give
    bed.log.answer(&entry(&names[4]), Answer::Status("503 No"));
    let (accepted, stderr) = bed.walked(tip);
    assert!(accepted == 2 && stderr.lines().count() == 1 && stderr.contains("status 503"), "{accepted}: {stderr}");
    // longer entries than there are, which would fill the memory
    bed.log.put(SEARCH, b"[\"bad3\"]".to_vec());
    bed.refused("long", "its answer is longer than 65536 bytes");
    // more names than anybody looks at, each time anew
    bed.log.put(SEARCH, json!(vec!["0".repeat(80); 13_000]).to_string().into_bytes());
    let (accepted, stderr) = bed.walked(tip);
    let lines = stderr.lines().filter(|line| line.contains("its answer is longer than 1048576 bytes")).count();
    assert!(accepted == 0 && lines == 3 && ids.iter().all(|id| stderr.contains(id)), "{stderr}");
}

#[test]
fn a_log_that_is_gone_is_given_up_once() {
    let bed = Bed::new();
    let ids = bed.chain(5);
    let tip = ids.last().unwrap();
    bed.log.answer(SEARCH, Answer::Status("503 No"));
    let (accepted, stderr) = bed.walked(tip);
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(accepted == 0 && lines.len() == 4, "{stderr}");
    assert!(lines[..3].iter().all(|line| line.contains("status 503")), "{stderr}");
    assert_eq!(lines[3], "warning: --online: 3 objects more would have been asked for, and the log was given up");
    bed.world.home.git("r", &["config", "warrant.rekor", "http://127.0.0.1:1"]);
    let (accepted, stderr) = bed.walked(tip);
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(accepted == 0 && lines.len() == 2 && lines[0].contains("Rekor at http://127.0.0.1:1"), "{stderr}");
    assert_eq!(lines[1], "warning: --online: 5 objects more would have been asked for, and the log was given up");
}

/// What a private instance signed is nothing that the public log is to hear of.
#[test]
fn the_public_log_is_asked_of_nothing_private() {
    let bed = Bed::new();
    let git = |args: &[&str]| bed.world.home.git("r", &[&["config"], args].concat());
    let policy = bed.world.home.join("policy.toml").display().to_string();
    let asked = || {
        let mut command = bed.world.warrant("r", &["verify", "--policy", &policy, "--online", "--no-walk", &bed.id]);
        done(command.env("HTTPS_PROXY", "http://127.0.0.1:1"))
    };
    let v2 = json!({"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"});
    let config = bed.world.home.write("config.json", v2.to_string());
    git(&["warrant.rekorVersion", "2"]);
    let says = |done: common::Done| {
        assert!(done.status == Some(2) && done.stderr.contains("git config warrant.rekor URL names it"), "{done:?}")
    };
    says(asked()); // that of the settings is of the second version
    git(&["--unset", "warrant.rekor"]);
    git(&["warrant.fulcio", "http://127.0.0.1:1"]);
    says(asked());
    git(&["--unset", "warrant.fulcio"]);
    git(&["warrant.signingConfig", config.to_str().unwrap()]);
    says(asked());
    git(&["--unset", "warrant.signingConfig"]);
    let done = asked();
    assert!(done.status == Some(1) && done.stderr.contains("Rekor at https://rekor.sigstore.dev"), "{done:?}");
}

#[test]
fn what_is_said_of_an_entry_that_the_log_has() {
    let bed = Bed::new();
    let mut late = bed.good();
    late.entry.time = (BEGIN + 700) as u64;
    late.entry.promise = Some(bed.sigstore.promise(&late.body, &late.entry));
    bed.serve(&[late]);
    let (_, stderr) = bed.judged(&["--online"]);
    assert!(stderr.contains("entry 1002: invalid") && !stderr.contains("in the signature"), "{stderr}");
}

#[test]
fn nothing_reaches_a_network_that_is_not_asked_to() {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not here");
        println!("skipped: what reaches a network, 6 cases (strace is not here)");
        return;
    }
    let bed = Bed::new();
    bed.serve(&[bed.good()]);
    let (home, id) = (&bed.world.home, bed.id.as_str());
    let policy = home.join("policy.toml").display().to_string();
    home.git("r", &["config", "warrant.policy", &policy]);
    home.git("r", &["config", "warrant.trustedRoot", home.join("root.json").to_str().unwrap()]);
    let raw = home.git("r", &["cat-file", "commit", id]) + "\n";
    home.write("payload", sigstore::payload(&raw));
    let signature = Signature::new(&bed.key, &bed.certificate, sigstore::payload(&raw).as_bytes(), BEGIN + 1);
    let logged = signature.with_entry(&bed.sigstore.entry(&signature, BEGIN + 2, false, 5));
    home.write("signature", logged.armored());
    home.git("r", &["config", "gpg.format", "x509"]);
    let zero = "0".repeat(id.len());
    let (payload, signature) = (home.join("payload").display().to_string(), home.join("signature").display().to_string());
    let verify = ["verify", "--no-walk", id];
    for (what, args, input, status, asks) in [
        ("verify", &verify[..], String::new(), 1, false),
        ("verify --online", &[&verify[..], &["--online"]].concat(), String::new(), 0, true),
        ("show", &["show", id], String::new(), 0, false),
        ("the hook", &["hook", "pre-receive"], format!("{zero} {id} refs/heads/x\n"), 1, false),
        ("the personality", &["--status-fd=1", "--verify", &signature, &payload], String::new(), 0, false),
        ("trust status", &["trust", "status"], String::new(), 0, false),
    ] {
        let trace = home.join("trace");
        let mut command = home.command("strace");
        command.args(["-f", "-qq", "-e", "trace=socket,connect,execve", "-o"]).arg(&trace).arg(common::OURS).args(args);
        let done = common::run(command.current_dir(home.join("r")), input.as_bytes());
        assert_eq!(done.status, Some(status), "{what}: {done:?}");
        let trace = std::fs::read_to_string(&trace).unwrap();
        assert_eq!(trace.contains("AF_INET"), asks, "{what}: {trace}");
        assert_eq!(trace.matches("execve(").count(), 1, "{what} runs another program: {trace}");
    }
}
