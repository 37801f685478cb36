//! The attacks of the design's table that reach a whole program: one test a row, which fails when its guard is removed. Each
//! names the guard. threats/rows.rs lists all rows with their tests, those in other files too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

#[path = "threats/bounds.rs"]
mod bounds;
mod common;
#[path = "threats/names.rs"]
mod names;
#[path = "threats/places.rs"]
mod places;
#[path = "threats/rows.rs"]
mod rows;
#[path = "threats/supply.rs"]
mod supply;
#[path = "support/token.rs"]
mod token;
#[path = "threats/tokens.rs"]
mod tokens;
#[path = "support/world.rs"]
mod world;

use common::{has, run, skipped};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use world::{World, done, says};

// ---- 5: nothing fails open ----

/// Runs a shell command in a repository, as `$OURS`.
fn shell(world: &World, repo: &str, script: &str) -> common::Done {
    let mut command = world.home.command("sh");
    command.args(["-c", script]).env("OURS", common::OURS).env("POLICY", world.policy()).current_dir(world.home.join(repo));
    done(&mut command)
}

// guard: report, Human::finish and JsonLines::finish (errors of the writer are the command's)
#[test]
fn row_05_a_report_that_cannot_be_written_is_no_acceptance() {
    let world = World::new();
    world.signed("good", 1);
    world.signed("bad", 1);
    world.commit("bad", "unsigned", &[]);
    for format in ["human", "jsonl"] {
        let verify = format!("\"$OURS\" verify --policy \"$POLICY\" --all-verdicts --format {format}");
        says(&shell(&world, "good", &format!("{verify} > /dev/full")), 2, &["cannot write the report"]);
        let status = shell(&world, "bad", &format!("{verify} > /dev/full")).status;
        assert!(matches!(status, Some(1 | 2)), "{status:?}");
        // where nobody wants the report, the status says it
        for closed in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            assert_eq!(shell(&world, "bad", &format!("{verify} {closed}")).status, Some(1), "{format} {closed}");
        }
    }
    says(&shell(&world, "good", "\"$OURS\" show HEAD > /dev/full"), 2, &[]);
}

// guard: io/policy.rs, find (what is named and cannot be read is an error)
#[test]
fn row_05_what_cannot_be_read_is_no_policy() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("unreadable", world.line("alice", ""));
    fs::set_permissions(world.home.join("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    for name in ["unreadable", "absent", "r/.git/objects", "/dev/full", "/dev/zero"] {
        let path = world.home.join(name).to_str().unwrap().to_owned();
        let root_reads_all = name == "unreadable" && fs::read(&path).is_ok();
        let ran = world.verify_by("r", &path, &[]);
        assert_eq!(ran.status, Some(if root_reads_all { 0 } else { 2 }), "{ran:?}");
    }
    // a configuration that git could not read either
    world.home.write("r/.git/config", "[core\n");
    let ran = world.verify("r", &[]);
    assert!(matches!(ran.status, Some(2 | 3)), "{ran:?}");
}

// guard: run/hook.rs, read_updates (no updates is an error), pre_receive (errors of the report are the hook's)
#[test]
fn row_05_a_hook_without_its_input_or_its_voice_refuses() {
    let world = World::new();
    world.signed("r", 1);
    let zero = "0".repeat(40);
    let line = format!("{zero} {} refs/heads/x", world.id("r", "HEAD"));
    let hook = "\"$OURS\" hook pre-receive --policy \"$POLICY\"";
    assert_eq!(shell(&world, "r", &format!("echo {line} | {hook}")).status, Some(0));
    for broken in [
        format!("{hook} <&-"),
        format!("{hook} < /dev/null"),
        format!("{hook} < ."),
        format!("printf '%s' '{line}' | {hook}"),
        format!("printf '%s\\n%s' '{line}' '{zero}' | {hook}"),
        format!("echo {line} | {hook} 2> /dev/full"),
    ] {
        let status = shell(&world, "r", &broken).status;
        assert_eq!(status, Some(2), "{broken}");
    }
    // a call that is not one is no acceptance either
    for args in [&["verify", "--nonsense"][..], &["hook"], &["hook", "pre-receiver"], &[], &["verify", "--threads", "x"]] {
        assert_eq!(done(&mut world.warrant("r", args)).status, Some(2), "{args:?}");
    }
}

// guard: run/verify.rs, run (an empty range); history.rs, enqueue (what is missing is unjudged)
#[test]
fn row_05_nothing_judged_is_no_acceptance() {
    let world = World::new();
    world.signed("r", 2);
    says(&world.verify("r", &["HEAD..HEAD"]), 2, &["nothing to judge"]);
    let gone = world.id("r", "HEAD~1");
    fs::remove_file(world.home.join(format!("r/.git/objects/{}/{}", &gone[..2], &gone[2..]))).unwrap();
    assert_eq!(world.verify("r", &[]).status, Some(3));
}

// ---- 8: what an allowed_signers line may say ----

// guard: policy.rs, weigh and demand (mismatch, wildcard), before_lines (namespace); allowed_signers.rs (principals)
#[test]
fn row_08_a_key_speaks_for_those_whom_its_line_names() {
    let world = World::new();
    world.repo("r", &[]);
    let mut bob = world.person("bob");
    bob.retain(|setting| !setting.starts_with("user.signingKey"));
    world.commit_as("r", "bob's by alice's key", &bob, &["-S"]);
    let key = world.home.public("alice");
    let judged = |text: String, args: &[&str]| {
        world.home.write("signers", text);
        world.judged("r", args).verdicts().remove(0)
    };
    let warned = |text: String| judged(text, &[]).2;
    assert_eq!(warned(format!("alice@example.com {key}\n")), ["signer-not-committer"]);
    assert_eq!(judged(format!("alice@example.com {key}\n"), &["--bind", "committer"]).1, "signer-not-committer");
    for anybody in ["*", "*@*", "?*", "**"] {
        assert_eq!(warned(format!("{anybody} {key}\n")), ["wildcard"], "{anybody}");
    }
    assert_eq!(judged(format!("* {key}\nbob@example.com {key}\n"), &[]).2, [""; 0], "the line that names him goes first");
    for not_bob in ["!bob@example.com,*", "*@example.com,!bob@example.com"] {
        assert_eq!(judged(format!("{not_bob} {key}\n"), &[]).1, "signer-not-committer", "{not_bob}");
    }
    // line ends, a mark of byte order, lines twice
    assert_eq!(judged(format!("bob@example.com {key}\r\nbob@example.com {key}\r\n"), &["--strict"]).1, "accept");
    let namespace = |names: &str| judged(format!("bob@example.com namespaces=\"{names}\" {key}\n"), &[]).1;
    assert_eq!((namespace("git").as_str(), namespace("file,g*").as_str()), ("accept", "accept"));
    assert_eq!((namespace("file").as_str(), namespace("!git,*").as_str()), ("namespace-not-allowed", "namespace-not-allowed"));
    for nobody in [
        format!("\"\" {key}\n"),
        format!("!bob@example.com {key}\n"),
        format!("!x {key}\n"),
        format!("\u{feff}bob@example.com\n{key}\n"),
        format!(" {key}\n"),
    ] {
        world.home.write("signers", &nobody);
        let ran = world.verify("r", &[]);
        assert!(ran.status == Some(2) || (ran.status == Some(1) && !ran.stdout.contains("1 accepted")), "{nobody}: {ran:?}");
    }
    // a certificate authority's line is no line of that key
    assert_eq!(judged(format!("bob@example.com cert-authority {key}\n"), &[]).1, "key-unlisted");
}

// ---- 14: the repository chooses no program ----

/// A repository whose configuration, attributes and hooks name a program wherever one can be named.
fn booby_trapped(world: &World) -> String {
    world.signed("r", 2);
    world.commit("r", "unsigned", &[]);
    let trap = world.home.write("trap", "#!/bin/sh\ntouch \"$0.sprung\"\n");
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let trap = trap.to_str().unwrap().to_owned();
    world.home.write("r/.gitattributes", "* filter=evil diff=evil merge=evil\n");
    world.home.write("r/.gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c trap\n");
    world.home.git("r", &["add", "-A"]);
    world.home.git("r", &["commit", "-q", "-S", "-m", "attributes"]);
    fs::create_dir_all(world.home.join("r/.git/hooks")).unwrap();
    for hook in ["post-checkout", "reference-transaction", "pre-receive", "fsmonitor-watchman"] {
        fs::copy(&trap, world.home.join(format!("r/.git/hooks/{hook}"))).unwrap();
    }
    world.home.write(
        "r/.git/included",
        format!("[gpg]\n\tprogram = {trap}\n[gpg \"ssh\"]\n\tprogram = {trap}\n\tdefaultKeyCommand = {trap}\n[gpg \"x509\"]\n\tprogram = {trap}\n"),
    );
    let hostile = format!(
        "[core]\n\tfsmonitor = {trap}\n\thooksPath = {hooks}\n\tpager = {trap}\n\teditor = {trap}\n\tsshCommand = {trap}\n\taskPass = {trap}\n\
         \talternateRefsCommand = {trap}\n\tgitProxy = {trap}\n[include]\n\tpath = included\n[filter \"evil\"]\n\tclean = {trap}\n\
         \tsmudge = {trap}\n\tprocess = {trap}\n\trequired\n[diff \"evil\"]\n\ttextconv = {trap}\n\tcommand = {trap}\n[diff]\n\
         \texternal = {trap}\n[merge \"evil\"]\n\tdriver = {trap} %A\n[credential]\n\thelper = {trap}\n[pager]\n\twarrant = {trap}\n\
         \tverify = {trap}\n[alias]\n\tverify = !{trap}\n[uploadpack]\n\tpackObjectsHook = {trap}\n",
        hooks = world.home.join("r/.git/hooks").display()
    );
    let config = world.home.read("r/.git/config");
    world.home.write("r/.git/config", [&config[..], hostile.as_bytes()].concat());
    trap
}

// guard: io/config.rs and io/git.rs (only data is read of the configuration); nothing under run/ but the demo starts a program
#[test]
fn row_14_no_program_is_run_and_no_network_is_used() {
    if !has("strace") {
        return skipped("strace");
    }
    let world = World::new();
    let trap = booby_trapped(&world);
    let policy = world.policy();
    for args in [
        &["verify", "--policy", &policy][..],
        &["verify", "--policy", &policy, "--format", "jsonl"],
        &["verify"],
        &["show", "HEAD"],
        &["show", "--policy", &policy, "HEAD~1"],
    ] {
        let mut command = world.home.command("strace");
        command.args(["-f", "-qq", "-e", "trace=execve,execveat,%network", "-o"]).arg(world.home.join("trace")).arg(common::OURS);
        let ran = done(command.args(args).current_dir(world.home.join("r")));
        assert!(matches!(ran.status, Some(0..=2)), "{ran:?}");
        let trace = String::from_utf8(world.home.read("trace")).unwrap();
        assert_eq!(trace.matches("exec").count(), 1, "{args:?}: only ourselves: {trace}");
        for call in ["socket(", "connect(", "sendto("] {
            assert!(!trace.contains(call), "{args:?}: {trace}");
        }
    }
    let id = world.id("r", "HEAD~2");
    let line = format!("{} {id} refs/heads/x\n", "0".repeat(40));
    let mut command = world.home.command("strace");
    command.args(["-f", "-qq", "-e", "trace=execve,execveat,%network", "-o"]).arg(world.home.join("trace")).arg(common::OURS);
    let ran = run(command.args(["hook", "pre-receive", "--policy", &policy]).current_dir(world.home.join("r")), line.as_bytes());
    assert!(ran.ok(), "{ran:?}");
    let trace = String::from_utf8(world.home.read("trace")).unwrap();
    assert_eq!(trace.matches("exec").count(), 1, "{trace}");
    assert!(!trace.contains("socket("), "{trace}");
    assert!(!fs::exists(format!("{trap}.sprung")).unwrap());
}

// guard: io/policy.rs, inside_work_tree; io/config.rs (the repository's configuration may name data only)
#[test]
fn row_14_a_pull_request_does_not_bring_its_judge() {
    let world = World::new();
    world.repo("r", &[]);
    world.home.write("r/allowed_signers", world.line("alice", ""));
    let base = world.commit("r", "base", &["-S"]);
    world.home.write("r/allowed_signers", world.line("mallory", ""));
    world.home.write("r/.gitattributes", "* export-subst\n");
    world.commit_as("r", "mine", &world.person("mallory"), &["-S"]);
    let by_file = |args: &[&str]| world.verify_by("r", "allowed_signers", args);
    says(&by_file(&[]), 2, &["inside the work tree"]);
    assert_eq!(by_file(&[&format!("{base}..HEAD")]).status, Some(1));
}

// ---- 15: a repository of somebody else ----

// guard: io/git.rs, open (libgit2's owner check is on), open_error
#[test]
fn row_15_a_repository_of_another_user_is_read_only_where_that_is_allowed() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("", &["clone", "-q", "--bare", "r", "bare.git"]);
    fs::create_dir(world.home.join("r/sub")).unwrap();
    let chown = |who: &str| run(world.home.command("chown").args(["-R", who, "r", "bare.git"]), b"").ok();
    if !chown("65534") {
        return skipped("only root can give a repository away");
    }
    fs::set_permissions(world.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (place, top) in [("r", "r"), ("r/sub", "r"), ("bare.git", "bare.git"), ("bare.git/refs", "bare.git")] {
        let top = world.home.join(top).canonicalize().unwrap();
        let mend = format!("git config --global --add safe.directory {}", top.display());
        says(&world.verify(place, &[]), 3, &["belongs to another user", &mend]);
        says(&done(&mut world.warrant(place, &["show", "HEAD"])), 3, &["belongs to another user"]);
        // the repository cannot allow itself
        let config = format!("{}/config", if place.starts_with('b') { "bare.git" } else { "r/.git" });
        let own = world.home.read(&config);
        world.home.write(&config, [&own[..], b"[safe]\n\tdirectory = *\n"].concat());
        assert_eq!(world.verify(place, &[]).status, Some(3), "{place}");
        world.home.write(&config, own);
        let ran = world.verify(place, &[]);
        let (_, command) = ran.stderr.trim_end().split_once("if you trust it: ").unwrap();
        let said = run(world.home.command("sh").args(["-c", command]), b"");
        assert!(said.ok(), "{said:?}");
        assert_eq!(world.verify(place, &[]).status, Some(0), "{place}");
        world.home.git("", &["config", "--global", "--unset-all", "safe.directory"]);
    }
    world.home.git("", &["config", "--global", "safe.directory", "*"]);
    assert_eq!(world.verify("r", &[]).status, Some(0));
    assert!(chown("0"));
}

// ---- 16: nothing beside the objects changes the graph ----

// guard: history.rs, Walk::enqueue (parents come out of the raw objects); io/git.rs, read (libgit2 without replace refs and grafts)
#[test]
fn row_16_replace_refs_grafts_and_caches_change_no_byte() {
    let world = World::new();
    world.signed("r", 3);
    let unsigned = world.commit("r", "unsigned", &[]);
    world.commit("r", "top", &["-S"]);
    let before = world.judged("r", &[]);
    assert_eq!(before.words(), ["accept", "unsigned", "accept", "accept", "accept"]);
    let same = |what: &str| {
        let after = world.judged("r", &[]);
        assert!(after.stdout == before.stdout && after.status == Some(1), "{what}: {}", after.stdout);
        assert_eq!(world.judged("r", &["--no-walk", &unsigned]).words(), ["unsigned"], "{what}");
    };
    // a signed commit in place of the unsigned one
    let good = world.id("r", "HEAD~2");
    world.home.git("r", &["replace", &unsigned, &good]);
    assert_ne!(world.home.git("r", &["log", "--format=%s", "-1", &unsigned]), "unsigned", "git is fooled");
    same("refs/replace");
    world.home.git("r", &["replace", "-d", &unsigned]);
    // history cut right above it
    let top = world.id("r", "HEAD");
    fs::create_dir_all(world.home.join("r/.git/info")).unwrap();
    world.home.write("r/.git/info/grafts", format!("{top}\n"));
    assert_eq!(
        world.home.git("r", &["-c", "advice.graftFileDeprecated=false", "rev-list", "--count", "HEAD"]),
        "1",
        "git is fooled"
    );
    same("info/grafts");
    fs::remove_file(world.home.join("r/.git/info/grafts")).unwrap();
    // a commit-graph, an honest one and one with its bytes turned
    world.home.git("r", &["commit-graph", "write", "--reachable"]);
    same("commit-graph");
    let graph = world.home.join("r/.git/objects/info/commit-graph");
    let bytes: Vec<u8> = fs::read(&graph).unwrap().iter().map(|b| b ^ 0x55).collect();
    fs::remove_file(&graph).unwrap();
    fs::write(&graph, bytes).unwrap();
    same("commit-graph");
    fs::remove_file(&graph).unwrap();
    // a shallow file hides no parent that is here
    world.home.write("r/.git/shallow", format!("{top}\n"));
    let cut = world.judged("r", &[]);
    assert_eq!((cut.stdout, cut.status), (before.stdout.clone(), Some(1)), "shallow");
}

// guard: history.rs, ancestors (the range's start is walked by the same objects)
#[test]
fn row_16_a_graft_does_not_widen_what_a_range_leaves_out() {
    let world = World::new();
    world.signed("r", 1);
    let start = world.commit("r", "start", &["-S"]);
    let unsigned = world.commit("r", "unsigned", &[]);
    fs::create_dir_all(world.home.join("r/.git/info")).unwrap();
    world.home.write("r/.git/info/grafts", format!("{start} {unsigned}\n"));
    assert_eq!(world.judged("r", &[&format!("{start}..{unsigned}")]).words(), ["unsigned"]);
    assert_eq!(world.judged("r", &["--baseline", &start, &unsigned]).words(), ["unsigned"]);
}

// ---- 17: the hook is not led round ----
// tests/hook.rs: that_another_ref_has_a_commit_proves_nothing (guard: run/hook.rs, pre_receive: `unasked` is empty),
// refs_beside_branches_and_tags (guard: run/hook.rs, coverage), symbolic_refs_are_judged_as_what_they_move and
// namespaces_are_stripped_as_git_strips_them (guard: run/hook.rs, read_updates)

// guard: run/hook.rs, pre_receive and Walk::new (no ref of the repository hides anything)
#[test]
fn row_17_what_lies_on_another_ref_is_judged_again() {
    let world = World::new();
    world.signed("server.git", 1);
    let unsigned = world.commit("server.git", "unsigned", &[]);
    let top = world.commit("server.git", "top", &["-S"]);
    let zero = "0".repeat(40);
    for line in [
        format!("{zero} {top} refs/heads/main2\n"),
        format!("{unsigned} {top} refs/heads/main\n"), // old is no proof either
        format!("{zero} {unsigned} refs/notes/x\n{zero} {top} refs/heads/y\n"),
    ] {
        let ran = run(&mut world.warrant("server.git", &["hook", "pre-receive", "--policy", &world.policy()]), line.as_bytes());
        says(&ran, 1, &["[unsigned]", &unsigned]);
    }
}
