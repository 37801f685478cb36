//! Which settings count: what git reads, we read, or refuse.

use crate::world::{World, done, says};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Asserts that we see `warrant.deny` (and refuse it) where git does.
#[track_caller]
fn as_git(world: &World, folder: &str, about: &str) -> bool {
    let git = done(world.home.command("git").args(["config", "warrant.deny"]).current_dir(world.home.join(folder))).ok();
    let ours = world.verify(folder, &[]);
    assert_eq!(ours.status, Some(if git { 2 } else { 0 }), "{about}: {ours:?}");
    assert!(!git || ours.stderr.contains("warrant.deny"), "{about}: {ours:?}");
    git
}

#[test]
fn what_is_included_on_a_condition_counts_where_git_counts_it() {
    let world = World::new();
    std::fs::create_dir_all(world.home.join("work/sub")).unwrap();
    world.signed("work/sub/r", 1);
    world.home.git("work/sub/r", &["worktree", "add", "-q", "../../linked", "-b", "topic/x"]);
    world.home.git("", &["clone", "-q", "--bare", "work/sub/r", "bare.git"]);
    std::os::unix::fs::symlink("work", world.home.join("jobs")).unwrap();
    world.home.write("inc", "[warrant]\n\tdeny = x\n");
    let home = world.home.path().to_str().unwrap();
    let plain = world.home.read("gitconfig");
    let mut seen = 0;
    for condition in [
        &format!("gitdir:{home}/"),
        &format!("gitdir:{home}/work/"),
        &format!("gitdir:{home}/work/sub/r/.git"),
        &format!("gitdir:{home}/work/*/.git"),
        &format!("gitdir:{home}/work/**/.git"),
        &format!("gitdir:{home}/WORK/"),
        &format!("gitdir/i:{home}/WORK/"),
        "gitdir:~/work/",
        "gitdir/i:~/WORK/",
        "gitdir:~/jobs/",
        "gitdir:./work/",
        "gitdir:./",
        "gitdir:sub/",
        "gitdir:r/.git",
        "gitdir:worktrees/linked",
        "gitdir:**/*.git",
        "gitdir:?ork/",
        "onbranch:main",
        "onbranch:m*",
        "onbranch:topic/",
        "onbranch:topic",
        "onbranch:*",
        "onbranch:**",
        "hasconfig:remote.*.url:https://h.example/**",
        "hasconfig:remote.*.url:*",
        "hasconfig:remote.*.url:https://other/**",
    ] {
        world.home.write("gitconfig", [&plain[..], format!("[includeIf \"{condition}\"]\n\tpath = inc\n").as_bytes()].concat());
        for remote in [false, true] {
            if remote {
                world.home.git("work/sub/r", &["config", "remote.o.url", "https://h.example/a/b"]);
            }
            for folder in ["work/sub/r", "work/linked", "bare.git", "jobs/sub/r"] {
                seen += usize::from(as_git(&world, folder, &format!("{condition} in {folder}")));
            }
        }
        world.home.git("work/sub/r", &["config", "--unset", "remote.o.url"]);
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn includes_within_includes_count_in_their_order() {
    let world = World::new();
    world.signed("r", 1);
    let bad = world.signers("mallory-only", &["mallory"]);
    let mut global = String::from_utf8(world.home.read("gitconfig")).unwrap();
    global.push_str("[include]\n\tpath = folder/a\n");
    world.home.write("gitconfig", global);
    std::fs::create_dir(world.home.join("folder")).unwrap();
    let policy = |path: &str| format!("[warrant]\n\tpolicy = {path}\n");
    let good = policy(&world.policy());
    let bad = policy(bad.to_str().unwrap());
    let on = "[includeIf \"onbranch:main\"]\n\tpath = b\n"; // relative to the file that says so
    let verified = || done(&mut world.warrant("r", &["verify"])).status;
    for (a, b, status) in [
        (on.to_owned(), good.clone(), 0),
        (bad.clone() + on, good.clone(), 0),
        (on.to_owned() + &good, bad.clone(), 0),
        (good.clone() + on, bad.clone(), 1),
        (good + on, "[includeIf \"gitdir:r/\"]\n\tpath = ../c\n".to_owned(), 1),
    ] {
        world.home.write("folder/a", &a);
        world.home.write("folder/b", &b);
        world.home.write("c", &bad);
        assert_eq!(verified(), Some(status), "{a}{b}");
    }
    // round and round: git gives up as well, and so does libgit2 as it opens the repository
    world.home.write("folder/b", "[includeIf \"onbranch:main\"]\n\tpath = a\n");
    assert_eq!(verified(), Some(3));
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("inc", "[user]\n\tname = x\n");
    let plain = world.home.read("r/.git/config");
    for (text, words) in [
        ("[includeIf \"sometime:x\"]\n\tpath = ../../inc\n", &["sometime:x", "does not know the condition"][..]),
        ("[includeIf \"gitdir:[a-z]/\"]\n\tpath = ../../inc\n", &["gitdir:[a-z]/", "pattern"]),
        ("[includeIf \"gitdir:~root/\"]\n\tpath = ../../inc\n", &["gitdir:~root/", "~user/"]),
        ("[include]\n\tpath = ~root/x\n", &["include.path", "~root/x"]),
        ("[include]\n\tpath\n", &["include.path", "no value"]),
        ("[include]\n\tpath = .\n", &[".git"]),
    ] {
        world.home.write("r/.git/config", [&plain[..], text.as_bytes()].concat());
        says(&world.verify("r", &[]), 2, words);
    }
    world.home.write("r/.git/config", [&plain[..], b"[include]\n\tpath = absent\n"].concat());
    assert_eq!(world.verify("r", &[]).status, Some(0), "git passes over a file that is not there");
}

#[test]
fn the_command_line_includes_as_well() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("inc", "[warrant]\n\tdeny = x\n");
    let inc = world.home.join("inc");
    let policy = world.policy();
    for (setting, words) in [
        (format!("include.path={}", inc.display()), "warrant.deny"),
        ("include.path=~/inc".to_owned(), "warrant.deny"),
        (format!("includeIf.onbranch:main.path={}", inc.display()), "warrant.deny"),
    ] {
        says(&done(&mut world.installed("r", &["-c", &setting, "warrant", "verify", "--policy", &policy])), 2, &[words]);
    }
    for (key, word) in [("include.path", "relative"), ("includeIf.gitdir:./.path", "gitdir:./")] {
        let mut command = world.warrant("r", &["verify", "--policy", &policy]);
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", "../inc");
        says(&done(&mut command), 2, &[word]);
    }
    let other = format!("includeIf.onbranch:other.path={}", inc.display());
    assert_eq!(done(&mut world.installed("r", &["-c", &other, "warrant", "verify", "--policy", &policy])).status, Some(0));
}

#[test]
fn variables_that_are_not_utf8_and_files_that_are_pipes_are_never_passed_over() {
    let world = World::new();
    world.signed("r", 1);
    let latin = OsStr::from_bytes(b"J\xf6rg");
    let mut command = world.warrant("r", &["verify", "--policy", &world.policy()]);
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "user.name").env("GIT_CONFIG_VALUE_0", latin);
    says(&done(&mut command), 2, &["GIT_CONFIG_VALUE_0 is not UTF-8"]);
    let mut command = world.warrant("r", &["verify", "--policy", &world.policy()]);
    says(&done(command.env("GIT_CONFIG_COUNT", latin)), 2, &["GIT_CONFIG_COUNT is not UTF-8"]);
    let mut command = world.warrant("r", &["verify", "--policy", &world.policy()]);
    let parameters = OsStr::from_bytes(b"'warrant.deny'='x' 'user.name'='J\xf6rg'");
    says(&done(command.env("GIT_CONFIG_PARAMETERS", parameters)), 2, &["GIT_CONFIG_PARAMETERS is not UTF-8", "git -c"]);
    // a pipe, a folder: git reads the one, neither is nothing
    for (script, status) in [
        ("GIT_CONFIG_GLOBAL=<(printf '[warrant]\\ndeny=x\\n') git-warrant verify --policy ../signers", 2),
        ("GIT_CONFIG_SYSTEM=<(printf '[warrant]\\ndeny=x\\n') GIT_CONFIG_NOSYSTEM=0 git-warrant verify --policy ../signers", 2),
        ("GIT_CONFIG_GLOBAL=$PWD git-warrant verify --policy ../signers", 2),
        ("GIT_CONFIG_GLOBAL=/dev/null git-warrant verify --policy ../signers", 0),
        ("GIT_CONFIG_GLOBAL=$PWD/../absent git-warrant verify --policy ../signers", 0),
        ("GIT_CONFIG_GLOBAL= git-warrant verify --policy ../signers", 0),
    ] {
        let mut command = world.home.command("bash");
        let path = format!("{}:{}", world.home.join("bin").display(), std::env::var("PATH").unwrap());
        let ran = done(command.args(["-c", script]).current_dir(world.home.join("r")).env("PATH", path));
        assert_eq!(ran.status, Some(status), "{script}: {ran:?}");
        assert!(status == 0 || ran.stderr.contains("not a regular file"), "{script}: {ran:?}");
    }
}
