//! Where the hook's policy comes from, and who may have written it.

use crate::Server;
use crate::common::skipped;
use crate::world::{done, says};

#[test]
fn without_a_policy_nothing_passes() {
    let server = Server::new();
    let world = &server.0;
    let head = world.id("c", "HEAD");
    world.commit("c", "two", &["-S"]);
    let input = format!("{} {head} refs/heads/x\n", "0".repeat(head.len()));
    world.home.git("server.git", &["config", "--unset", "warrant.policy"]);
    server.refused(&["main"], &["no policy found", "git config warrant.policy FILE"]);
    says(&server.called(&input), 2, &["no policy found"]);
    let absent = world.home.join("absent").to_str().unwrap().to_owned();
    for policy in [&absent, "refs/heads/absent:allowed_signers", "refs/heads/main:absent", ""] {
        server.set("warrant.policy", policy);
        server.refused(&["main"], &["warrant.policy"]);
        says(&server.called(&input), 2, &["warrant.policy"]);
    }
    for name in ["warrant.root", "warrant.deny", "warrant.policyRef", "warrant.serial"] {
        server.set("warrant.policy", &world.policy());
        server.set(name, "1");
        server.refused(&["main"], &[name, "not in this version"]);
        world.home.git("server.git", &["config", "--unset", name]);
    }
    server.passes(&["main"]);
    world.home.git("server.git", &["config", "--unset", "warrant.policy"]);
    server.set("gpg.ssh.allowedSignersFile", "../signers"); // relative to the git directory
    world.commit("c", "three", &["-S"]);
    server.passes(&["main"]);
}

#[test]
fn a_file_that_others_can_change_is_no_policy() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    for mode in [0o664, 0o646, 0o666] {
        server.mode("signers", mode);
        server.refused(&["main"], &["writable by others", &format!("chmod go-w {}", world.policy())]);
    }
    // the link is followed first: what counts is the file
    server.mode("signers", 0o666);
    std::os::unix::fs::symlink("signers", world.home.join("link")).unwrap();
    server.set("warrant.policy", "../link");
    server.refused(&["main"], &["writable by others"]);
    server.mode("signers", 0o600);
    // the revocation file decides no less
    world.home.write("revoked", world.home.public("bob") + "\n");
    server.set("gpg.ssh.revocationFile", "../revoked");
    server.mode("revoked", 0o666);
    server.refused(&["main"], &["gpg.ssh.revocationFile", "writable by others"]);
    server.mode("revoked", 0o644);
    server.passes(&["main"]);
}

#[test]
fn a_file_of_somebody_else_is_no_policy() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    if std::os::unix::fs::chown(world.policy(), Some(65534), None).is_err() {
        return skipped("only root can give a file away");
    }
    server.refused(&["main"], &["belongs to user 65534", "chown"]);
    std::os::unix::fs::chown(world.policy(), Some(0), None).unwrap();
    server.passes(&["main"]);
}

#[test]
fn a_policy_on_a_branch_counts_as_it_was_before_the_push() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("c", &["checkout", "-q", "--orphan", "policy"]);
    world.home.git("c", &["rm", "-q", "-rf", "."]);
    world.home.write("c/allowed_signers", world.line("alice", ""));
    world.commit("c", "alice alone", &["-S"]);
    server.passes(&["policy"]); // still by the file
    server.set("warrant.policy", "refs/heads/policy:allowed_signers");
    // both in one push: Mallory's key on the policy's branch, signed by Alice even, and Mallory's commit on main
    world.home.write("c/allowed_signers", world.line("alice", "") + &world.line("mallory", ""));
    world.commit("c", "and mallory", &["-S"]);
    world.home.git("c", &["checkout", "-q", "main"]);
    let hers = world.commit_as("c", "hers", &world.person("mallory"), &["-S"]);
    server.refused(&["policy", "main"], &["[key-unlisted]", &hers]);
    server.refused(&["--atomic", "policy", "main"], &["[key-unlisted]", &hers]);
    // the policy's branch is judged as well: by itself, before
    world.home.git("c", &["branch", "-f", "policy2", "origin/policy"]);
    world.home.git("c", &["checkout", "-q", "policy2"]);
    world.home.write("c/allowed_signers", world.line("mallory", ""));
    world.commit_as("c", "me", &world.person("mallory"), &["-S"]);
    server.refused(&["policy2:policy"], &["[key-unlisted]"]);
    world.home.git("c", &["reset", "-q", "--hard", "HEAD~1"]);
    world.home.write("c/allowed_signers", world.line("mallory", ""));
    world.commit("c", "unsigned", &[]);
    server.refused(&["policy2:policy"], &["[unsigned]"]);
    // one after the other
    server.passes(&["policy"]);
    server.passes(&["main"]);
    // names that merely end like the policy's do not stand in for it
    server.passes(&["policy:refs/tags/refs/heads/policy", "policy:refs/heads/refs/heads/policy"]);
}

#[test]
fn the_ref_of_the_policy_leads_to_one_and_never_back_to_another() {
    let server = Server::new();
    let world = &server.0;
    let write = |text: &str| world.home.write("c/allowed_signers", text);
    write(&(world.line("alice", "") + &world.line("bob", "")));
    world.commit("c", "alice and bob", &["-S"]);
    server.passes(&["main"]); // still by the file
    server.set("warrant.policy", "refs/heads/main:allowed_signers");
    write(&world.line("alice", ""));
    world.commit("c", "bob leaves", &["-S"]);
    server.passes(&["main"]);
    // what is older has good signatures, and another policy
    server.refused(&["-f", "main~1:main"], &["refs/heads/main:allowed_signers", "may not go back", "git revert", "git update-ref"]);
    server.refused(&["--delete", "main"], &["refs/heads/main:allowed_signers", "may not be deleted"]);
    // what is reached from a ref by steps would follow it back
    server.set("warrant.policy", "refs/heads/main~0:allowed_signers");
    world.commit("c", "after", &["-S"]);
    server.refused(&["main"], &["refs/heads/main~0:allowed_signers", "a ref itself", "a full id"]);
    server.set("warrant.policy", "refs/heads/main:allowed_signers");
    // back to the same one it may go, as any other
    server.passes(&["main"]);
    server.passes(&["-f", "main~1:main"]);
    // one that is no policy would keep everybody out, also who mends it
    for text in ["", "alice@example.com ssh-ed25519 AAAA\n", &world.line("alice", "valid-before=\"soon\"")] {
        write(text);
        world.commit("c", "a slip", &["-S"]);
        server.refused(&["main"], &["refs/heads/main:allowed_signers", "nobody could push any more"]);
        world.home.git("c", &["reset", "-q", "--hard", "HEAD~1"]);
    }
    std::fs::remove_file(world.home.join("c/allowed_signers")).unwrap();
    world.commit("c", "gone", &["-S"]);
    server.refused(&["main"], &["nobody could push any more", "allowed_signers is not in the tree"]);
}

#[test]
fn the_ref_of_the_revocation_file_does_not_go_back_either() {
    let server = Server::new();
    let world = &server.0;
    world.home.write("c/revoked", world.home.public("mallory"));
    world.commit("c", "mallory", &["-S"]);
    server.passes(&["main"]);
    world.home.write("c/revoked", world.home.public("mallory") + "\n" + &world.home.public("bob"));
    world.commit("c", "and bob", &["-S"]);
    server.passes(&["main"]);
    let hook =
        include_str!("../../hooks/pre-receive").replace("hook pre-receive", "hook pre-receive --revoked refs/heads/main:revoked");
    assert!(hook.contains("--revoked"));
    server.hook(&hook);
    server.refused(&["-f", "main~1:main"], &["refs/heads/main:revoked", "may not go back"]);
    server.refused(&["--delete", "main"], &["refs/heads/main:revoked", "may not be deleted", "git update-ref -d"]);
    world.commit("c", "after", &["-S"]);
    server.passes(&["main"]);
}

#[test]
fn nobody_else_can_put_another_policy_in_its_place() {
    let server = Server::new();
    let world = &server.0;
    world.commit("c", "two", &["-S"]);
    std::fs::create_dir_all(world.home.join("open/deep")).unwrap();
    world.home.write("open/deep/signers", world.line("alice", ""));
    server.mode("open/deep/signers", 0o644);
    std::os::unix::fs::symlink("open/deep/signers", world.home.join("link")).unwrap();
    for named in ["open/deep/signers", "link"] {
        server.set("warrant.policy", world.home.join(named).to_str().unwrap());
        for folder in ["open/deep", "open"] {
            server.mode(folder, 0o777);
            server.refused(&["main"], &["is writable by others", "another policy in its place", "chmod go-w"]);
            server.mode(folder, 0o755);
        }
    }
    server.mode("open", 0o1777); // as /tmp is
    server.passes(&["main"]);
}

#[test]
fn the_ref_of_the_policy_is_kept_whatever_name_it_is_pushed_by() {
    let server = Server::new();
    let world = &server.0;
    world.home.write("c/as", world.line("alice", "") + &world.line("bob", ""));
    world.commit("c", "alice and bob", &["-S"]);
    world.home.write("c/as", world.line("alice", ""));
    world.commit("c", "bob leaves", &["-S"]);
    let push = |args: &[&str]| done(world.installed("c", &[&["push", "origin"], args].concat()).env("GIT_NAMESPACE", "ns"));
    assert!(push(&["main"]).ok());
    server.set("warrant.policy", "refs/namespaces/ns/refs/heads/main:as");
    says(&push(&["-f", "main~1:main"]), 1, &["may not go back"]);
    says(&push(&["--delete", "main"]), 1, &["may not be deleted"]);
    // of two refs that have one name in two namespaces only one is the policy's
    server.set("receive.denyDeleteCurrent", "ignore");
    server.passes(&["main"]);
    server.set("warrant.policy", "refs/heads/main:as");
    assert!(push(&["-f", "main~1:main"]).ok() && push(&["--delete", "main"]).ok());
    // a link in the place of a ref would be read in two ways
    world.home.git("server.git", &["config", "core.preferSymlinkRefs", "true"]);
    world.home.git("server.git", &["symbolic-ref", "refs/heads/latest", "refs/heads/main"]);
    if world.home.join("server.git/refs/heads/latest").is_symlink() {
        server.refused(&["-f", "main~1:refs/heads/latest"], &["refs/heads/latest is a symbolic link", "git symbolic-ref"]);
    }
}

#[test]
fn a_policy_in_an_annotated_tag_goes_forward_and_not_back() {
    let server = Server::new();
    let world = &server.0;
    let tag = || world.home.git("c", &["tag", "-f", "-s", "-m", "policy", "policy"]);
    world.home.write("c/as", world.line("alice", "") + &world.line("bob", ""));
    world.commit("c", "alice and bob", &["-S"]);
    tag();
    server.passes(&["main", "policy"]);
    server.set("warrant.policy", "refs/tags/policy:as");
    world.home.write("c/as", world.line("alice", ""));
    world.commit("c", "bob leaves", &["-S"]);
    tag();
    server.passes(&["-f", "policy"]);
    world.home.git("c", &["tag", "-f", "-s", "-m", "back", "policy", "main~1"]);
    server.refused(&["-f", "policy"], &["may not go back"]);
}

/// What `git init --separate-git-dir` makes, or a `.git` that was copied: not bare, and libgit2 takes the folder above for its tree.
#[test]
fn a_policy_beside_a_git_directory_of_another_name_is_in_no_work_tree() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("server.git", &["config", "core.bare", "false"]);
    world.commit("c", "good", &["-S"]);
    server.passes(&["main:other"]);
    world.commit("c", "unsigned", &[]);
    server.refused(&["main:other"], &["[unsigned]"]);
}

#[test]
fn under_a_namespace_the_policy_is_that_of_the_ref_named_in_full_and_links_are_followed() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let server = Server::new();
    let world = &server.0;
    world.home.write("c/as", world.line("alice", ""));
    world.commit("c", "policy", &["-S"]);
    server.passes(&["HEAD:refs/heads/pol"]);
    server.set("warrant.policy", "refs/heads/pol:as");
    world.home.git("server.git", &["symbolic-ref", "refs/namespaces/foo/refs/notes/sym", "refs/namespaces/foo/refs/heads/main"]);
    let unsigned = world.commit("c", "unsigned", &[]);
    world.home.git("c", &["push", "-q", "--no-verify", world.home.join("c/.git").to_str().unwrap(), "HEAD:refs/heads/copy"]);
    world.home.git("server.git", &["fetch", "-q", world.home.join("c").to_str().unwrap(), "main"]);
    let zero = "0".repeat(unsigned.len());
    let called = |namespace: &OsStr, line: String| {
        let mut command = world.warrant("server.git", &["hook", "pre-receive"]);
        crate::common::run(command.env("GIT_DIR", ".").env("GIT_NAMESPACE", namespace), line.as_bytes())
    };
    let good = server.at("refs/heads/pol").unwrap();
    assert_eq!(called(OsStr::new("foo"), format!("{zero} {good} refs/heads/main\n")).status, Some(0));
    says(&called(OsStr::new("foo"), format!("{zero} {unsigned} refs/heads/main\n")), 1, &["unsigned"]);
    says(&called(OsStr::new("foo"), format!("{zero} {unsigned} refs/notes/sym\n")), 1, &["unsigned"]);
    says(&called(OsStr::from_bytes(b"f\xe9"), format!("{zero} {good} refs/heads/main\n")), 2, &["GIT_NAMESPACE is not UTF-8"]);
}
