//! Where git looks for the hook, and where none is installed.

use crate::world::{done, says};
use crate::{HOOK, OURS, Server, listing};
use std::fs;

impl Server {
    fn set(&self, repo: &str, name: &str, value: &str) {
        self.0.home.git(repo, &["config", name, value]);
    }

    /// A repository with a work tree that takes pushes, in place of the bare one.
    fn with_work_tree() -> Self {
        let server = Self::new();
        server.0.signed("w", 1);
        server.set("w", "warrant.policy", &server.0.policy());
        server.0.home.git("c", &["remote", "set-url", "origin", server.0.home.join("w").to_str().unwrap()]);
        server
    }

    /// `install` in the work tree is refused, and writes nothing.
    #[track_caller]
    fn refuses_in(&self, folder: &str, args: &[&str], words: &[&str]) {
        let before = listing(self.0.home.path());
        says(&done(&mut self.0.warrant(folder, &[&["hook", "install"], args].concat())), 2, words);
        assert_eq!(listing(self.0.home.path()), before);
    }

    #[track_caller]
    fn installs_in(&self, folder: &str, args: &[&str], path: &str) {
        let asked = done(&mut self.0.warrant(folder, &[&["hook", "install"], args].concat()));
        assert_eq!(asked.status, Some(0), "{asked:?}");
        assert!(asked.stdout.contains(path), "{}", asked.stdout);
        assert!(self.0.home.join(path).is_file());
    }
}

#[test]
fn a_repository_with_a_work_tree_and_one_linked_to_it() {
    let server = Server::with_work_tree();
    let world = &server.0;
    fs::create_dir(world.home.join("w/sub")).unwrap();
    server.set("w", "warrant.policy", "../signers"); // from the top, and the hook runs in the git directory
    server.installs_in("w/sub", &[], "w/.git/hooks/pre-receive");
    world.home.git("c", &["checkout", "-q", "-b", "topic"]);
    world.commit("c", "bad", &[]);
    says(&server.push(&["topic"]), 1, &["[unsigned]"]);
    world.home.git("w", &["worktree", "add", "-q", "../linked"]);
    let said = done(&mut world.warrant("linked", &["hook", "install"]));
    assert!(said.stdout.contains("as it should be already"), "{said:?}");
    says(&done(&mut world.warrant("linked", &["hook", "uninstall"])), 0, &[]);
    assert!(!world.home.join("w/.git/hooks").join(HOOK).exists());
}

#[test]
fn a_folder_in_the_work_tree_is_refused_however_it_is_named() {
    let server = Server::with_work_tree();
    let world = &server.0;
    let top = world.home.join("w");
    let mend = format!("git config core.hooksPath {}", top.join(".git/hooks").display());
    fs::create_dir_all(top.join(".husky/_")).unwrap();
    world.home.git("w", &["worktree", "add", "-q", "../linked"]);
    fs::create_dir(world.home.join("linked/hooks")).unwrap();
    std::os::unix::fs::symlink(top.join(".husky"), world.home.join("link")).unwrap();
    fs::create_dir(world.home.join("outside")).unwrap();
    std::os::unix::fs::symlink(world.home.join("outside"), top.join("leads-out")).unwrap();
    for (value, word) in [
        (".husky/_".to_owned(), "in a push, from the git directory"),
        (".git/hooks".to_owned(), "in a push, from the git directory"),
        (top.join(".husky/_").display().to_string(), "inside the work tree"),
        (top.join("absent").display().to_string(), "inside the work tree"),
        ("~/w/.husky".to_owned(), "inside the work tree"),
        (world.home.join("link/_").display().to_string(), "inside the work tree"),
        (top.join("leads-out").display().to_string(), "inside the work tree"),
        (world.home.join("linked/hooks").display().to_string(), "inside the work tree"),
    ] {
        server.set("w", "core.hooksPath", &value);
        for args in [&[][..], &["--force"]] {
            server.refuses_in("w", args, &[&format!("core.hooksPath = {value}"), word, &mend]);
            server.refuses_in("linked", args, &[word]);
        }
    }
    // the mend, taken literally
    let mend = done(world.home.command("sh").args(["-c", &mend]).current_dir(&top));
    assert!(mend.ok(), "{mend:?}");
    server.installs_in("w", &[], "w/.git/hooks/pre-receive");
    world.home.git("c", &["checkout", "-q", "-b", "topic"]);
    world.commit("c", "bad", &[]);
    says(&server.push(&["topic"]), 1, &["[unsigned]"]);
}

#[test]
fn the_folder_hooks_may_itself_be_a_link() {
    let server = Server::with_work_tree();
    let world = &server.0;
    let hooks = world.home.join("w/.git/hooks");
    fs::create_dir_all(world.home.join("w/.githooks")).unwrap();
    std::os::unix::fs::symlink("../.githooks", &hooks).unwrap();
    server.refuses_in("w", &["--force"], &["inside the work tree"]);
    fs::remove_file(&hooks).unwrap();
    fs::create_dir(world.home.join("shared")).unwrap();
    std::os::unix::fs::symlink("../../shared", &hooks).unwrap();
    server.refuses_in("w", &[], &["outside of this repository", "--force", "rm ", " && mkdir "]);
    server.installs_in("w", &["--force"], "shared/pre-receive");
    world.home.git("c", &["checkout", "-q", "-b", "topic"]);
    world.commit("c", "bad", &[]);
    says(&server.push(&["topic"]), 1, &["[unsigned]"]);
}

#[test]
fn a_folder_that_others_share_wants_force() {
    let server = Server::new();
    let world = &server.0;
    fs::create_dir(world.home.join("shared")).unwrap();
    for value in [world.home.join("shared").display().to_string(), "~/shared".to_owned(), "../shared".to_owned()] {
        server.set("server.git", "core.hooksPath", &value);
        server.refuses(&["install"], &["outside of this repository", "git config core.hooksPath ", "server.git/hooks", "--force"]);
        server.install(&["--force"]);
        assert_eq!(listing(&world.home.join("shared")).into_keys().collect::<Vec<_>>(), [HOOK]);
        server.judges();
        server.refuses(&["uninstall"], &["outside of this repository", "--force"]);
        server.uninstall(&["--force"]);
        assert!(listing(&world.home.join("shared")).is_empty());
    }
    server.set("server.git", "core.hooksPath", "/nowhere/at/all");
    server.refuses(&["install", "--force"], &["there is no folder", "make it first"]);
    for (value, word) in [("/dev/null", "is no folder"), ("", "is no folder"), ("~nobody/x", "only `~/` is expanded")] {
        server.set("server.git", "core.hooksPath", value);
        server.refuses(&["install", "--force"], &[word, "git config core.hooksPath "]);
    }
}

#[test]
fn a_folder_of_the_bare_repository_by_its_setting() {
    let server = Server::new();
    let world = &server.0;
    for value in ["own", "./own/../own", &world.home.join("server.git/own").display().to_string()] {
        fs::create_dir_all(world.home.join("server.git/own")).unwrap();
        server.set("server.git", "core.hooksPath", value);
        assert!(server.install(&[]).contains("server.git/own/pre-receive"));
        server.judges();
        server.uninstall(&[]);
    }
    let mut install = world.installed("server.git", &["-c", "core.hooksPath=hooks", "warrant", "hook", "install"]);
    says(&done(&mut install), 2, &["core.hooksPath is set for this command only"]);
}

#[test]
fn a_program_in_the_work_tree_is_not_installed() {
    let server = Server::with_work_tree();
    let world = &server.0;
    let program = world.home.join("w/git-warrant");
    if fs::hard_link(OURS, &program).is_err() {
        fs::copy(OURS, &program).unwrap();
    }
    let mut install = world.home.command(&program);
    let asked = done(install.args(["hook", "install"]).current_dir(world.home.join("w")));
    says(&asked, 2, &["lies inside the work tree", "install it elsewhere"]);
    assert!(!world.home.join("w/.git/hooks").join(HOOK).exists());
}

#[test]
fn outside_of_a_repository() {
    let server = Server::new();
    says(&done(&mut server.0.warrant("", &["hook", "install"])), 2, &["not a git repository"]);
    says(&done(&mut server.0.warrant("", &["hook", "uninstall"])), 2, &["not a git repository"]);
}
