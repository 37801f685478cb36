//! The pre-receive hook on a bare repository, with the real `git push`: which refs and objects pass. Where its policy comes
//! from, and whether what it tells the pusher helps, is in modules of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

#[path = "hook/certificates.rs"]
mod certificates;
mod common;
#[path = "hook/mend.rs"]
mod mend;
#[path = "hook/policy.rs"]
mod policy;
#[path = "hook/push_certificates.rs"]
mod push_certificates;
#[path = "hook/pushers.rs"]
mod pushers;
#[path = "hook/state.rs"]
mod state;
#[path = "hook/toml.rs"]
mod toml;
#[path = "support/world.rs"]
mod world;

use common::{Done, digits, run};
use std::os::unix::fs::PermissionsExt as _;
use world::{World, done, says};

/// A server `server.git` with the project's hook, judged by the file `signers`, and a clone `c` with one signed commit on `main`.
pub(crate) struct Server(pub(crate) World);

impl Server {
    pub(crate) fn new() -> Self {
        let server = Self::bare();
        server.0.signed("c", 1);
        server.0.home.git("c", &["remote", "add", "origin", server.0.home.join("server.git").to_str().unwrap()]);
        assert!(server.push(&["main"]).ok());
        server
    }

    fn bare() -> Self {
        let world = World::new();
        world.repo("server.git", &["--bare"]);
        std::fs::create_dir(world.home.join("server.git/hooks")).unwrap();
        let server = Self(world);
        server.hook(include_str!("../hooks/pre-receive"));
        server.set("warrant.policy", &server.0.policy());
        server.mode("signers", 0o644);
        server
    }

    pub(crate) fn hook(&self, script: &str) {
        self.0.home.write("server.git/hooks/pre-receive", script);
        self.mode("server.git/hooks/pre-receive", 0o755);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.0.home.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn set(&self, name: &str, value: &str) {
        self.0.home.git("server.git", &["config", name, value]);
    }

    pub(crate) fn push(&self, args: &[&str]) -> Done {
        done(&mut self.0.installed("c", &[&["push", "origin"], args].concat()))
    }

    /// Where a ref of the server stands.
    pub(crate) fn at(&self, reference: &str) -> Option<String> {
        let id = done(self.0.home.command("git").arg("-C").arg(self.0.home.join("server.git")).args([
            "rev-parse",
            "-q",
            "--verify",
            reference,
        ]));
        id.ok().then(|| id.stdout.trim().to_owned())
    }

    /// All refs of the server.
    pub(crate) fn refs(&self) -> String {
        self.0.home.git("server.git", &["for-each-ref"])
    }

    #[track_caller]
    pub(crate) fn passes(&self, args: &[&str]) -> Done {
        let pushed = self.push(args);
        assert!(pushed.ok(), "{pushed:?}");
        pushed
    }

    /// A push that is refused with these words, and moves nothing.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], words: &[&str]) -> Done {
        let before = self.refs();
        let pushed = self.push(args);
        says(&pushed, 1, &[&["pre-receive hook declined"], words].concat());
        assert_eq!(self.refs(), before);
        pushed
    }

    /// The hook called by hand, as git would.
    pub(crate) fn called(&self, input: &str) -> Done {
        run(self.0.warrant("server.git", &["hook", "pre-receive"]).env("GIT_DIR", "."), input.as_bytes())
    }
}

// ---- refs ----

#[test]
fn signed_branches_are_made_moved_rewritten_and_deleted() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    world.home.git("c", &["branch", "topic/x"]);
    let pushed = server.passes(&["main", "topic/x"]);
    assert!(pushed.stderr.contains("1 accepted, 0 rejected, 0 unjudged, above 1 commit verified earlier"), "{pushed:?}");
    world.home.git("c", &["commit", "-q", "-S", "--amend", "-m", "another two"]);
    assert!(!server.push(&["main"]).ok(), "git itself wants --force");
    server.passes(&["--force", "main"]);
    assert_eq!(server.at("main"), Some(world.id("c", "HEAD")));
    server.passes(&["--delete", "topic/x"]);
    assert_eq!(server.at("topic/x"), None);
}

#[test]
fn an_unsigned_commit_is_refused_with_its_name_the_reason_and_the_mend_and_leaves_nothing() {
    let server = Server::new();
    let world = &server.0;
    let good = world.id("c", "HEAD");
    for unpack_limit in ["1", "100"] {
        server.set("receive.unpackLimit", unpack_limit); // the quarantine holds a pack, or loose objects
        let unsigned = world.commit("c", &format!("forgot {unpack_limit}"), &[]);
        world.commit("c", &format!("remembered {unpack_limit}"), &["-S"]);
        let refused =
            server.refused(&["main"], &["[unsigned]", &unsigned, "for refs/heads/main", "mend: git config commit.gpgSign true"]);
        assert!(refused.stderr.contains("To mend, in your clone"), "{refused:?}");
        assert_eq!(server.at("main"), Some(good.clone()));
        let there =
            done(world.home.command("git").arg("-C").arg(world.home.join("server.git")).args(["cat-file", "-e", &unsigned]));
        assert!(!there.ok(), "what is refused does not stay");
        world.home.git("c", &["reset", "-q", "--hard", &good]);
    }
    world.commit_as("c", "stranger", &world.person("mallory"), &["-S"]);
    server.refused(&["main"], &["[key-unlisted]", "mallory@example.com"]);
    server.refused(&["main:new"], &["[key-unlisted]", "for refs/heads/new"]);
}

#[test]
fn tags() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("c", &["tag", "-s", "-m", "m", "good"]);
    world.home.git("c", &["tag", "-a", "-m", "m", "unsigned"]);
    world.home.git("c", &["tag", "light"]);
    let tag = world.id("c", "refs/tags/good");
    server.passes(&["good", "light"]);
    server.refused(&["unsigned"], &["[unsigned]", "for refs/tags/unsigned"]);
    server.refused(&["refs/tags/good:refs/tags/v9.9"], &["[tag-name-mismatch]", "`good`", "`v9.9`"]);
    server.refused(&["refs/tags/good:refs/heads/good"], &["[tag-name-mismatch]"]);
    world.commit("c", "forgot", &[]);
    world.home.git("c", &["tag", "-s", "-m", "m", "above"]);
    world.home.git("c", &["tag", "light2"]);
    server.refused(&["above"], &["[unsigned]"]);
    server.refused(&["light2"], &["[unsigned]"]);
    server.passes(&["--delete", "good"]);
    // a tag of a blob has nobody to sign the blob; the tag itself is judged
    world.home.git("c", &["reset", "-q", "--hard", "HEAD~1"]);
    world.home.git("c", &["tag", "-s", "-m", "m", "key", "HEAD:signed-1"]);
    server.passes(&["key"]);
    world.home.git("c", &["tag", "blob", "HEAD:signed-1"]);
    server.refused(&["blob"], &["[not-signable]"]);
    assert_ne!(server.at("light"), None);
    assert_eq!(world.id("c", "refs/tags/good"), tag);
}

#[test]
fn one_bad_ref_refuses_the_whole_push() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    world.home.git("c", &["checkout", "-q", "-b", "bad"]);
    world.commit("c", "forgot", &[]);
    let refused = server
        .refused(&["main", "bad"], &["for refs/heads/bad", "1 accepted, 1 rejected, 0 unjudged, above 1 commit verified earlier"]);
    assert!(!refused.stderr.contains("for refs/heads/main"), "{refused:?}");
    server.passes(&["main"]);
}

#[test]
fn refs_beside_branches_and_tags() {
    let server = Server::new();
    let world = &server.0;
    let good = world.id("c", "HEAD");
    let unsigned = world.commit("c", "forgot", &[]);
    world.home.git("c", &["update-ref", &format!("refs/replace/{good}"), &unsigned]);
    server.refused(&["refs/replace/*"], &["[replace-ref]", "refs/replace/"]);
    server.refused(&[&format!("{good}:refs/replace/{unsigned}")], &["[replace-ref]"]);
    for name in ["refs/for/main", "refs/meta/config", "refs/pull/1/head", "refs/headsx/main", "refs/stash"] {
        server.refused(&[&format!("{good}:{name}")], &["[no-rule]", &format!("for {name}")]);
    }
    world.home.git("c", &["notes", "add", "-m", "n", &good]);
    let pushed = server.passes(&["refs/notes/commits"]);
    assert!(pushed.stderr.contains("refs/notes/commits passes unjudged"), "{pushed:?}");
}

#[test]
fn symbolic_refs_are_judged_as_what_they_move() {
    let server = Server::new();
    let world = &server.0;
    for name in ["refs/notes/sym", "refs/heads/sym", "refs/x/sym"] {
        world.home.git("server.git", &["symbolic-ref", name, "refs/heads/main"]);
    }
    world.home.git("server.git", &["symbolic-ref", "refs/notes/twice", "refs/notes/sym"]);
    world.home.git("server.git", &["symbolic-ref", "refs/heads/aside", "refs/replace/aside"]);
    world.home.git("server.git", &["symbolic-ref", "refs/notes/dangling", "refs/heads/unborn"]);
    let good = world.id("c", "HEAD");
    world.commit("c", "forgot", &[]);
    for name in ["refs/notes/sym", "refs/notes/twice", "refs/heads/sym", "refs/x/sym", "refs/notes/dangling"] {
        server.refused(&[&format!("main:{name}")], &["[unsigned]", &format!("for {name}")]);
    }
    server.refused(&["main:refs/heads/aside"], &["[replace-ref]"]);
    assert_eq!(server.at("main"), Some(good));
    world.home.git("c", &["reset", "-q", "--hard", "HEAD~1"]);
    let two = world.commit("c", "two", &["-S"]);
    server.passes(&["main:refs/heads/sym"]);
    assert_eq!(server.at("main"), Some(two));
}

#[test]
fn namespaces_are_stripped_as_git_strips_them() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "forgot", &[]);
    world.home.git("server.git", &["symbolic-ref", "refs/namespaces/ns/refs/notes/sym", "refs/namespaces/ns/refs/heads/main"]);
    let before = server.refs();
    let mut push = world.installed("c", &["push", "origin", "main:refs/notes/sym"]);
    says(&done(push.env("GIT_NAMESPACE", "ns")), 1, &["[unsigned]"]);
    assert_eq!(server.refs(), before);
    let mut push = world.installed("c", &["push", "origin", "HEAD~1:refs/heads/main"]);
    assert!(done(push.env("GIT_NAMESPACE", "ns")).ok());
    assert_ne!(server.at("refs/namespaces/ns/refs/heads/main"), None);
}

#[test]
fn an_empty_push_by_a_tool_is_no_push_that_was_judged() {
    let server = Server::new();
    let world = &server.0;
    let head = world.id("c", "HEAD");
    let zero = "0".repeat(digits());
    for (input, words) in [
        (String::new(), "no ref updates"),
        ("\n".to_owned(), "OLD NEW REF"),
        (format!("{zero} {head} refs/heads/x"), "OLD NEW REF"), // cut off
        (format!("{zero} {head}\n"), "OLD NEW REF"),
        (format!("{zero} {}x refs/heads/x\n", &head[1..]), "OLD NEW REF"),
        (format!("{zero} HEAD refs/heads/x\n"), "OLD NEW REF"),
        (format!("{} {} refs/heads/x\n", "0".repeat(104 - digits()), "1".repeat(104 - digits())), "another hash function"),
        (format!("{zero} {head} refs/heads/a..b\n"), "refs/heads/a..b"),
        (format!("{zero} {head} \u{1b}[2J\n"), "[2J"),
    ] {
        let ran = server.called(&input);
        says(&ran, 2, &[words]);
        assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    }
    assert_eq!(server.called(&format!("{zero} {head} refs/heads/x\n")).status, Some(0));
    assert_eq!(server.called(&format!("{head} {head} refs/heads/main\n")).status, Some(0), "nothing new, and all is well with it");
    let absent = "1".repeat(digits());
    says(&server.called(&format!("{zero} {absent} refs/heads/x\n")), 3, &["[missing-object]", &absent]);
}

// ---- standards ----

#[test]
fn that_another_ref_has_a_commit_proves_nothing() {
    let server = Server::new();
    let world = &server.0;
    let unsigned = world.commit("c", "forgot", &[]);
    // on a ref that is not judged, on one that was there before the hook, and in the same push
    server.passes(&["main:refs/notes/x"]);
    assert_eq!(server.at("refs/notes/x"), Some(unsigned.clone()));
    server.refused(&["main"], &["[unsigned]", &unsigned]);
    world.home.git("server.git", &["update-ref", "refs/heads/old", &unsigned]);
    server.refused(&["main"], &["[unsigned]", &unsigned]);
    server.refused(&["main", "main:refs/notes/y"], &["[unsigned]"]);
    server.refused(&["main:refs/heads/old2"], &["[unsigned]"]);
    world.commit("c", "signed above", &["-S"]);
    server.refused(&["main"], &["[unsigned]", &unsigned]);
}

#[test]
fn baselines_are_full_ids() {
    let server = Server::new();
    let world = &server.0;
    let unsigned = world.commit("c", "forgot", &[]);
    world.commit("c", "signed above", &["-S"]);
    world.home.git("server.git", &["fetch", "-q", "../c", "main:refs/x/seen"]);
    for name in ["refs/x/seen", "main", &unsigned[..12]] {
        server.set("warrant.baseline", name);
        server.refused(&["main"], &[&format!("warrant.baseline = {name}"), "full ids", &format!("git rev-parse {name}")]);
    }
    server.set("warrant.baseline", &"1".repeat(digits()));
    server.refused(&["main"], &["[unsigned]"]);
    server.set("warrant.baseline", &unsigned);
    let pushed = server.passes(&["main"]);
    assert!(pushed.stderr.contains("1 accepted, 0 rejected, 0 unjudged, 2 outside"), "{pushed:?}");
}

#[test]
fn what_stands_by_its_claimed_time_alone_is_refused_until_it_is_settled() {
    let server = Server::new();
    let world = &server.0;
    server.set("warrant.baseline", &world.id("c", "HEAD"));
    let old = world.commit_on("c", "old", "2024-01-01T00:00:00Z");
    let end = "namespaces=\"git\",valid-before=\"20240601Z\"";
    world.home.write("signers", world.line("alice", end) + &world.line("bob", ""));
    let refused = server.refused(&["main"], &["[claimed-only]"]);
    // whoever runs the server says that it was there, in the words of the mend
    let (_, mend) =
        refused.stderr.split_once("mend: if this was there before the key ended, ask whoever runs the server to say so: ").unwrap();
    let command = mend.split(" (").next().unwrap();
    assert_eq!(command, format!("git config --add warrant.settled {old}"));
    let ran = run(world.home.command("sh").args(["-c", command]).current_dir(world.home.join("server.git")), b"");
    assert!(ran.ok(), "{ran:?}");
    server.passes(&["main"]);
    server.set("warrant.settled", "main");
    server.refused(&["main:again"], &["warrant.settled = main", "full ids"]);
}

#[test]
fn a_line_for_anybody_is_refused_unless_allowed() {
    let server = Server::new();
    let world = &server.0;
    world.home.write("signers", format!("* {}\n", world.home.public("alice")));
    world.commit("c", "two", &["-S"]);
    server.refused(&["main"], &["[wildcard]", "--allow-wildcard", &format!("{}:1", world.policy())]);
    server.hook("#!/bin/sh\nexec git-warrant hook pre-receive --allow-wildcard\n");
    server.passes(&["main"]);
}

#[test]
fn the_hook_takes_the_stricter_options() {
    let server = Server::new();
    let world = &server.0;
    let mut bob = world.person("bob");
    bob.retain(|setting| !setting.starts_with("user.signingKey"));
    world.commit_as("c", "bob's by alice", &bob, &["-S"]);
    server.hook("#!/bin/sh\nexec git-warrant hook pre-receive --bind committer\n");
    server.refused(&["main"], &["[signer-not-committer]"]);
    server.hook(include_str!("../hooks/pre-receive"));
    server.passes(&["main"]);
}

#[test]
fn a_hook_without_its_program_refuses() {
    let server = Server::new();
    server.0.commit("c", "two", &["-S"]);
    let mut push = server.0.home.command("git");
    push.current_dir(server.0.home.join("c")).args(["push", "origin", "main"]);
    says(&done(&mut push), 1, &["pre-receive hook declined"]);
}
