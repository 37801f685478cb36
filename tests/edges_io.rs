//! The edges of what `git warrant` reads around a history: git's configuration with its conditions, policies reached by links and
//! pipes, names that stand for two things, object stores with colons in their paths.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/world.rs"]
mod world;

use common::run;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use world::{Judged, World, done, says};

/// A world with one commit of Alice in `r`, and a file `revoked` that lists her key.
fn revoking() -> World {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("revoked", world.home.public("alice") + "\n");
    let setting = format!("[gpg \"ssh\"]\n\trevocationFile = {}\n", world.home.join("revoked").display());
    world.home.write("more", setting);
    world
}

#[test]
fn conditional_includes_are_followed_or_refused_but_never_passed_over() {
    let world = revoking();
    let more = world.home.join("more");
    let more = more.to_str().unwrap();
    // as it is for people: the user's file lies where git looks for it
    let verify = || {
        std::fs::copy(world.home.join("gitconfig"), world.home.join(".gitconfig")).unwrap();
        let mut command = world.warrant("r", &["verify", "--format", "jsonl", "--policy", &world.policy()]);
        done(command.env_remove("GIT_CONFIG_GLOBAL"))
    };
    let words = || Judged::of(verify()).words();
    assert_eq!(words(), ["accept"]);
    let git_dir = world.home.join("r").canonicalize().unwrap();
    for (condition, followed) in [
        (format!("gitdir:{}/", git_dir.display()), true),
        (format!("gitdir/i:{}/", git_dir.display().to_string().to_uppercase()), true),
        ("gitdir:/somewhere/else/".to_owned(), false),
        ("onbranch:main".to_owned(), true),
        ("onbranch:other".to_owned(), false),
    ] {
        let name = format!("includeIf.{condition}.path");
        for place in ["--global", "--local"] {
            world.home.git("r", &["config", place, &name, more]);
            let want = if followed { "key-revoked" } else { "accept" };
            assert_eq!(words(), [want], "{place} {condition}");
            world.home.git("r", &["config", place, "--unset", &name]);
        }
    }
    world.config("includeIf.someday:x.path", more);
    says(&verify(), 2, &["someday:x", "must not be passed over"]);
    world.home.git("", &["config", "--global", "--unset", "includeIf.someday:x.path"]);
    // in a file of another name as well
    world.home.write("elsewhere", format!("[includeIf \"onbranch:main\"]\n\tpath = {more}\n"));
    let mut elsewhere = world.warrant("r", &["verify", "--policy", &world.policy()]);
    assert_eq!(done(elsewhere.env("GIT_CONFIG_GLOBAL", world.home.join("elsewhere"))).status, Some(1));
    // an unconditional one, and one that includes another on a condition
    world.home.write("outer", format!("[includeIf \"onbranch:main\"]\n\tpath = {more}\n"));
    world.config("include.path", world.home.join("outer").to_str().unwrap());
    assert_eq!(words(), ["key-revoked"]);
}

#[test]
fn what_git_dash_c_includes_counts_and_what_cannot_be_read_is_refused() {
    let world = revoking();
    let policy = world.policy();
    let with = |setting: &OsStr| {
        let mut command = world.installed("r", &[]);
        command.arg("-c").arg(setting).args(["warrant", "verify", "--policy", &policy]);
        done(&mut command)
    };
    assert!(with(OsStr::new("user.name=plain")).ok());
    let include = format!("include.path={}", world.home.join("more").display());
    assert_eq!(with(OsStr::new(&include)).status, Some(1));
    says(&with(OsStr::from_bytes(b"user.name=J\xf6rg")), 2, &["not UTF-8"]);
}

#[test]
fn a_configuration_that_is_a_pipe_is_not_taken_for_none() {
    let world = revoking();
    let line = format!("GIT_CONFIG_GLOBAL=<(cat ../more) {} verify --policy {}", common::OURS, world.policy());
    let piped = run(world.home.command("bash").args(["-c", &line]).current_dir(world.home.join("r")), b"");
    says(&piped, 2, &["not a regular file"]);
    let none = done(world.warrant("r", &["verify", "--policy", &world.policy()]).env("GIT_CONFIG_GLOBAL", "/dev/null"));
    assert!(none.ok(), "{none:?}");
    let named = world.home.join("more");
    let file = done(world.warrant("r", &["verify", "--policy", &world.policy()]).env("GIT_CONFIG_GLOBAL", named));
    assert_eq!(file.status, Some(1), "{file:?}");
}

#[test]
fn no_link_of_the_tree_leads_to_a_judge() {
    let world = World::new();
    world.signed("r", 1);
    std::fs::create_dir(world.home.join("outside")).unwrap();
    world.home.write("outside/as", world.line("alice", ""));
    symlink(world.home.join("outside"), world.home.join("r/cfg")).unwrap();
    says(&world.verify_by("r", "cfg/as", &[]), 2, &["inside the work tree"]);
    says(&world.verify_by("r", "../outside/../r/cfg/as", &[]), 2, &["inside the work tree"]);
    assert!(world.verify_by("r", "../outside/as", &[]).ok());
    // nor does another work tree of the repository
    world.home.git("r", &["worktree", "add", "-q", "../linked"]);
    world.home.write("linked/as", world.line("alice", ""));
    says(&world.verify_by("r", "../linked/as", &[]), 2, &["inside the work tree"]);
    world.home.write("r/as", world.line("alice", ""));
    says(&world.verify_by("linked", "../r/as", &[]), 2, &["inside the work tree"]);
}

#[test]
fn a_policy_may_come_by_a_pipe_and_a_short_revision_is_explained() {
    let world = World::new();
    world.signed("r", 1);
    let piped = |command: &str| run(world.home.command("bash").args(["-c", command]).current_dir(world.home.join("r")), b"");
    let line = format!("{} verify --policy <(cat {})", common::OURS, world.policy());
    assert!(piped(&line).ok(), "{:?}", piped(&line));
    says(&world.verify_by("r", "main:as", &[]), 2, &["cannot read", "REV is a full id or begins with refs/"]);
}

#[test]
fn a_name_of_two_refs_is_not_guessed() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["tag", "main"]);
    world.commit("r", "unsigned", &[]);
    says(&world.verify("r", &["main"]), 2, &["ambiguous", "refs/tags/main", "refs/heads/main"]);
    assert_eq!(world.judged("r", &["refs/heads/main"]).words(), ["unsigned", "accept"]);
    assert_eq!(world.judged("r", &["refs/tags/main"]).words(), ["accept"]);
}

#[test]
fn grafts_do_not_say_what_a_revision_means() {
    let world = World::new();
    world.signed("r", 3);
    let [head, root] = ["HEAD", "HEAD~2"].map(|revision| world.id("r", revision));
    assert!(world.verify("r", &["HEAD~1..HEAD"]).ok());
    std::fs::create_dir_all(world.home.join("r/.git/info")).unwrap();
    world.home.write("r/.git/info/grafts", format!("{head} {root}\n"));
    assert_eq!(world.judged("r", &["HEAD~1..HEAD"]).words().len(), 1);
    assert_eq!(world.judged("r", &["HEAD^..HEAD"]).words().len(), 1);
    says(&world.verify("r", &["HEAD^{/signed 2}"]), 2, &["info/grafts", "git rev-parse"]);
    assert_eq!(world.judged("r", &[]).words().len(), 3);
}

#[test]
fn a_server_whose_path_holds_colons_and_quotes_is_pushed_to() {
    let world = World::new();
    let server = "s:\"e\u{e9}.git";
    world.repo(server, &["--bare"]);
    std::fs::create_dir(world.home.join(server).join("hooks")).unwrap();
    world.home.write(format!("{server}/hooks/pre-receive"), include_str!("../hooks/pre-receive"));
    let hook = world.home.join(server).join("hooks/pre-receive");
    std::fs::set_permissions(hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(world.home.join("signers"), std::fs::Permissions::from_mode(0o644)).unwrap();
    world.home.git(server, &["config", "warrant.policy", &world.policy()]);
    world.signed("r", 1);
    let push = |refs: &str| {
        let path = world.home.join(server);
        let mut command = world.installed("r", &["push", path.to_str().unwrap(), refs]);
        done(&mut command)
    };
    assert!(push("main").ok(), "{:?}", push("main"));
    world.commit("r", "builds on it", &["-S"]);
    let second = push("main");
    assert!(second.ok(), "{second:?}");
    world.commit("r", "unsigned", &[]);
    assert!(!push("main").ok());
}

#[test]
fn a_ref_that_is_not_utf_8_is_refused_by_its_name() {
    let world = World::new();
    world.signed("r", 1);
    let id = world.id("r", "HEAD");
    let line = [format!("{} {id} refs/heads/caf", "0".repeat(id.len())).as_bytes(), b"\xe9\n"].concat();
    let mut hook = world.warrant("r", &["hook", "pre-receive", "--policy", &world.policy()]);
    std::fs::set_permissions(world.home.join("signers"), std::fs::Permissions::from_mode(0o644)).unwrap();
    says(&run(&mut hook, &line), 2, &["refs/heads/caf\\xe9", "under another name"]);
}

/// What git reads as unset, false or its own is read so here: a file that is passed over could be the one that revokes.
#[test]
fn the_places_of_the_configuration_are_gits() {
    let world = revoking();
    let verify = |settings: &[(&str, &str)]| {
        let mut command = world.warrant("r", &["verify", "--policy", &world.policy()]);
        command.env_remove("GIT_CONFIG_GLOBAL").env_remove("GIT_CONFIG_NOSYSTEM");
        done(command.envs(settings.iter().copied()))
    };
    let off = ("GIT_CONFIG_NOSYSTEM", "1");
    assert_eq!(verify(&[off]).status, Some(0));
    std::fs::create_dir_all(world.home.join(".config/git")).unwrap();
    std::fs::copy(world.home.join("more"), world.home.join(".config/git/config")).unwrap();
    for settings in [&[off][..], &[off, ("XDG_CONFIG_HOME", "")]] {
        assert_eq!(verify(settings).status, Some(1), "{settings:?}");
    }
    std::fs::remove_file(world.home.join(".config/git/config")).unwrap();
    let more = world.home.join("more");
    let system = ("GIT_CONFIG_SYSTEM", more.to_str().unwrap());
    for (value, status) in [("FALSE", 1), ("No", 1), ("off", 1), ("0", 1), ("", 1), ("TRUE", 0), ("1", 0), ("bogus", 2)] {
        assert_eq!(verify(&[system, ("GIT_CONFIG_NOSYSTEM", value)]).status, Some(status), "{value}");
    }
    says(&verify(&[off, ("GIT_CONFIG_GLOBAL", "more")]), 2, &["relative path"]);
}

#[test]
fn the_work_trees_own_configuration_is_switched_by_the_repositorys_alone() {
    let world = revoking();
    let revoked = world.home.join("revoked");
    world.home.git("r", &["config", "extensions.worktreeConfig", "true"]);
    world.home.git("r", &["config", "--worktree", "gpg.ssh.revocationFile", revoked.to_str().unwrap()]);
    assert_eq!(world.judged("r", &[]).words(), ["key-revoked"]);
    world.home.write("included", "[extensions]\n\tworktreeConfig = false\n");
    world.home.git("r", &["config", "include.path", world.home.join("included").to_str().unwrap()]);
    assert_eq!(world.judged("r", &[]).words(), ["key-revoked"]);
}

/// An empty payload is not what a directory gives on standard input.
#[test]
fn what_cannot_be_read_is_no_payload() {
    let world = World::new();
    world.home.write("empty", "");
    let signed = done(&mut world.home.ours(&["-Y", "sign", "-n", "git", "-f", "alice", "empty"]));
    assert!(signed.ok(), "{signed:?}");
    let verify = |input: &str| {
        let line = format!("exec {} -Y verify -n git -f signers -I alice@example.com -s empty.sig < {input}", common::OURS);
        run(world.home.command("sh").args(["-c", &line]).current_dir(world.home.join(".")), b"")
    };
    assert!(verify("empty").ok(), "{:?}", verify("empty"));
    let folder = verify(".");
    assert_eq!(folder.status, Some(255), "{folder:?}");
    assert!(!folder.stdout.contains("Good"), "{folder:?}");
}
