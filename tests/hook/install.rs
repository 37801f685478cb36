//! `git warrant hook install` and `uninstall`: what is there is chained, and put back byte for byte.

use super::Server;
use super::common::Done;
use super::world::done;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

const HOOK: &str = "server.git/hooks/pre-receive";
const KEPT: &str = "server.git/hooks/pre-receive.before-git-warrant";

/// A server without any hook, a clone `c` with a signed commit.
fn server() -> Server {
    let server = Server::new();
    fs::remove_file(server.0.home.join(HOOK)).unwrap();
    server.0.commit("c", "signed", &["-S"]);
    server
}

fn hook(server: &Server, args: &[&str]) -> Done {
    done(&mut server.0.installed("server.git", &[&["warrant", "hook"], args].concat()))
}

/// The status, and words of what is said on either stream.
#[track_caller]
fn says(done: &Done, status: i32, words: &[&str]) {
    assert_eq!(done.status, Some(status), "{done:?}");
    let text = format!("{}{}", done.stdout, done.stderr);
    words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not said: {text}"));
}

/// A hook that keeps its input, and ends with a status.
fn witness(status: i32) -> String {
    format!("#!/bin/sh\ncat >seen\necho witness speaks\nexit {status}\n")
}

#[test]
fn a_fresh_hook_judges_and_goes_without_a_trace() {
    let server = server();
    fs::remove_dir(server.0.home.join("server.git/hooks")).unwrap();
    says(&hook(&server, &["install", "--dry-run"]), 0, &["would be done: installed"]);
    assert!(!server.0.home.join(HOOK).exists());
    says(&hook(&server, &["install"]), 0, &["installed"]);
    says(&hook(&server, &["install"]), 0, &["installed already"]);
    server.passes(&["main"]);
    server.0.commit("c", "unsigned", &["--no-gpg-sign"]);
    let refused = server.push(&["main"]);
    assert!(!refused.ok() && refused.stderr.contains("unsigned"), "{refused:?}");
    says(&hook(&server, &["uninstall"]), 0, &["removed"]);
    assert!(!server.0.home.join(HOOK).exists());
    server.passes(&["main"]);
    says(&hook(&server, &["uninstall"]), 0, &["nothing to do"]);
}

#[test]
fn a_hook_from_before_runs_second_on_the_same_input_and_comes_back() {
    let server = server();
    server.hook(&witness(0));
    server.mode(HOOK, 0o750);
    says(&hook(&server, &["install"]), 0, &["runs after ours"]);
    says(&hook(&server, &["install"]), 0, &["installed already"]);
    let (old, new) = (server.at("refs/heads/main").unwrap(), server.0.id("c", "main"));
    let pushed = server.passes(&["main"]);
    assert!(pushed.stderr.contains("witness speaks"), "{pushed:?}");
    assert_eq!(server.0.home.read("server.git/seen"), format!("{old} {new} refs/heads/main\n").as_bytes());
    fs::remove_file(server.0.home.join("server.git/seen")).unwrap();
    server.0.commit("c", "unsigned", &["--no-gpg-sign"]);
    assert!(!server.push(&["main"]).ok());
    assert!(!server.0.home.join("server.git/seen").exists());
    says(&hook(&server, &["uninstall"]), 0, &["put"]);
    assert_eq!(server.0.home.read(HOOK), witness(0).as_bytes());
    assert_eq!(fs::metadata(server.0.home.join(HOOK)).unwrap().mode() & 0o777, 0o750);
    assert!(!server.0.home.join(KEPT).exists());
}

#[test]
fn a_hook_from_before_still_refuses_and_its_loss_refuses_too() {
    let server = server();
    server.hook(&witness(7));
    says(&hook(&server, &["install"]), 0, &["runs after ours"]);
    assert!(!server.push(&["main"]).ok());
    fs::remove_file(server.0.home.join(KEPT)).unwrap();
    assert!(!server.push(&["main"]).ok());
}

#[test]
fn a_symlink_is_kept_as_one_and_what_git_would_not_run_is_not_run() {
    let server = server();
    server.0.home.write("server.git/hooks/real", witness(0));
    server.mode("server.git/hooks/real", 0o755);
    symlink("real", server.0.home.join(HOOK)).unwrap();
    says(&hook(&server, &["install"]), 0, &["runs after ours"]);
    assert!(server.passes(&["main"]).stderr.contains("witness speaks"));
    says(&hook(&server, &["uninstall"]), 0, &["put"]);
    assert_eq!(fs::read_link(server.0.home.join(HOOK)).unwrap().to_str(), Some("real"));
    server.mode("server.git/hooks/real", 0o644);
    says(&hook(&server, &["install"]), 0, &["not executable"]);
    server.0.commit("c", "signed again", &["-S"]);
    assert!(!server.passes(&["main"]).stderr.contains("witness"));
}

#[test]
fn what_was_cut_off_edited_or_would_be_lost() {
    let server = server();
    server.hook(&witness(0));
    fs::hard_link(server.0.home.join(HOOK), server.0.home.join(KEPT)).unwrap(); // killed between the two steps
    says(&hook(&server, &["uninstall"]), 0, &["as it was"]);
    assert_eq!(server.0.home.read(HOOK), witness(0).as_bytes());
    fs::hard_link(server.0.home.join(HOOK), server.0.home.join(KEPT)).unwrap();
    says(&hook(&server, &["install"]), 0, &["runs after ours"]);
    assert_eq!(server.0.home.read(KEPT), witness(0).as_bytes());

    let ours = String::from_utf8(server.0.home.read(HOOK)).unwrap();
    server.hook(&format!("{ours}# mine\n"));
    says(&hook(&server, &["install"]), 2, &["was edited"]);
    says(&hook(&server, &["uninstall"]), 2, &["was edited"]);
    says(&hook(&server, &["install", "--force"]), 0, &["renewed"]);
    assert_eq!(String::from_utf8(server.0.home.read(HOOK)).unwrap(), ours);

    server.hook("#!/bin/sh\n");
    says(&hook(&server, &["install"]), 2, &["would be lost"]);
    says(&hook(&server, &["uninstall"]), 2, &["not ours"]);
    assert_eq!(server.0.home.read(KEPT), witness(0).as_bytes());
}

#[test]
fn nothing_is_installed_where_it_could_not_work() {
    let server = server();
    server.mode("signers", 0o666);
    says(&hook(&server, &["install"]), 2, &["nothing is installed", "chmod go-w"]);
    server.mode("signers", 0o644);
    says(&hook(&server, &["install", "--policy", "signers"]), 2, &["is relative"]);
    fs::create_dir(server.0.home.join(HOOK)).unwrap();
    says(&hook(&server, &["install"]), 2, &["neither a file nor"]);
    fs::remove_dir(server.0.home.join(HOOK)).unwrap();
    server.set("core.hooksPath", server.0.home.join("shared").to_str().unwrap());
    says(&hook(&server, &["install"]), 2, &["outside of this repository", "--outside"]);
    says(&hook(&server, &["install", "--outside"]), 0, &["installed"]);
    server.set("core.hooksPath", "own");
    says(&hook(&server, &["install"]), 0, &["server.git/own/pre-receive"]);
    server.0.commit("c", "unsigned", &["--no-gpg-sign"]);
    assert!(!server.push(&["main"]).ok());
    let tree = server.0.home.join("c");
    server.0.home.git("c", &["config", "core.hooksPath", tree.join(".husky/_").to_str().unwrap()]);
    let policy = server.0.policy();
    let args = ["warrant", "hook", "install", "--outside", "--policy", &policy];
    says(&done(&mut server.0.installed("c", &args)), 2, &["lies in the work tree"]);
}

#[test]
fn any_path_of_the_program_is_called_and_its_loss_refuses() {
    let server = server();
    let folder = server.0.home.join("a b'c\"d$e\nf");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("git-warrant");
    // by a process of its own: a file that we hold open for writing could not be run where another test forks just then
    assert!(done(server.0.home.command("cp").arg(env!("CARGO_BIN_EXE_git-warrant")).arg(&program)).ok());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let policy = server.0.policy();
    let mut install = server.0.home.command(&program);
    install.current_dir(server.0.home.join("server.git")).args(["hook", "install", "--strict", "--policy", &policy]);
    says(&done(&mut install), 0, &["installed"]);
    server.passes(&["main"]);
    fs::remove_file(&program).unwrap();
    server.0.commit("c", "signed again", &["-S"]);
    let refused = server.push(&["main"]);
    assert!(!refused.ok() && refused.stderr.contains("run: git warrant hook install"), "{refused:?}");
}
