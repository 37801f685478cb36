//! `hook install` and `hook uninstall`, with the real `git push`: what is written, what becomes of the hook that was there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "hook_install/folders.rs"]
mod folders;
#[path = "hook_install/states.rs"]
mod states;
#[path = "support/world.rs"]
mod world;

use common::{Done, OURS, run};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use world::{World, done, says};

const HOOK: &str = "pre-receive";
const FORMER: &str = "pre-receive.before-git-warrant";

/// A server `server.git` without hooks, its policy the file `signers`, and a clone `c` with one signed commit, not yet pushed.
struct Server(World);

impl Server {
    fn new() -> Self {
        let world = World::new();
        world.repo("server.git", &["--bare"]);
        fs::set_permissions(world.home.join("signers"), fs::Permissions::from_mode(0o644)).unwrap();
        world.home.git("server.git", &["config", "warrant.policy", &world.policy()]);
        world.signed("c", 1);
        world.home.git("c", &["remote", "add", "origin", world.home.join("server.git").to_str().unwrap()]);
        Self(world)
    }

    fn hooks(&self) -> PathBuf {
        self.0.home.join("server.git/hooks")
    }

    /// Puts a hook there, as somebody else would.
    fn foreign(&self, text: &str, mode: u32) {
        fs::create_dir_all(self.hooks()).unwrap();
        fs::write(self.hooks().join(HOOK), text).unwrap();
        fs::set_permissions(self.hooks().join(HOOK), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn ask(&self, args: &[&str]) -> Done {
        done(&mut self.0.warrant("server.git", &[&["hook"], args].concat()))
    }

    #[track_caller]
    fn install(&self, args: &[&str]) -> String {
        let asked = self.ask(&[&["install"], args].concat());
        assert_eq!(asked.status, Some(0), "{asked:?}");
        asked.stdout
    }

    #[track_caller]
    fn uninstall(&self, args: &[&str]) -> String {
        let asked = self.ask(&[&["uninstall"], args].concat());
        assert_eq!(asked.status, Some(0), "{asked:?}");
        asked.stdout
    }

    /// An `install` that is refused with these words, and changes nothing.
    #[track_caller]
    fn refuses(&self, args: &[&str], words: &[&str]) {
        let before = listing(&self.0.home.join("server.git"));
        says(&self.ask(args), 2, words);
        assert_eq!(listing(&self.0.home.join("server.git")), before);
    }

    /// A push by somebody who has no git-warrant on the path: the hook must name it in full.
    fn push(&self, args: &[&str]) -> Done {
        let mut push = self.0.home.command("git");
        done(push.current_dir(self.0.home.join("c")).args(["push", "origin"]).args(args))
    }

    /// A commit that is signed passes, one that is not does not.
    #[track_caller]
    fn judges(&self) {
        let world = &self.0;
        let head = world.commit("c", "good", &["-S", "--allow-empty"]);
        let passed = self.push(&["main"]);
        says(&passed, 0, &["accepted, 0 rejected"]);
        world.commit("c", "bad", &["--allow-empty"]);
        says(&self.push(&["main"]), 1, &["pre-receive hook declined", "[unsigned]"]);
        world.home.git("c", &["reset", "-q", "--hard", &head]);
    }
}

/// Everything in a folder: by name the mode, the link's target or the content, and no file's time.
fn listing(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let kind = fs::symlink_metadata(&path).unwrap();
        let mode = kind.permissions().mode();
        if kind.is_dir() {
            found.insert(format!("{name}/"), (mode, Vec::new()));
            found.extend(listing(&path).into_iter().map(|(below, it)| (format!("{name}/{below}"), it)));
        } else if kind.is_symlink() {
            found.insert(name, (mode, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
        } else {
            found.insert(name, (mode, fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

/// A hook that says who it is, writes down what it got, and refuses what is called `no`.
const OLD: &str = "#!/bin/sh\necho old hook\ncat >got\nif grep -q refs/heads/no got; then echo old no >&2; exit 7; fi\n";

#[test]
fn fresh() {
    let server = Server::new();
    let said = server.install(&[]);
    for word in ["written: ", "server.git/hooks/pre-receive", "asks: ", "signers", OURS, "git warrant hook uninstall"] {
        assert!(said.contains(word), "`{word}` is not said: {said}");
    }
    assert_eq!(listing(&server.hooks()).into_keys().collect::<Vec<_>>(), [HOOK]);
    assert_eq!(fs::metadata(server.hooks().join(HOOK)).unwrap().permissions().mode() & 0o7777, 0o755);
    server.judges();
    assert!(server.uninstall(&[]).contains("removed: "));
    assert!(listing(&server.hooks()).is_empty());
    server.0.commit("c", "bad", &[]);
    assert!(server.push(&["main"]).ok(), "nothing judges any more");
    assert!(server.uninstall(&[]).contains("no hook of git-warrant is here"));
}

#[test]
fn a_hook_that_is_there_runs_after_and_both_must_accept() {
    let server = Server::new();
    let world = &server.0;
    server.foreign(OLD, 0o750);
    let before = listing(&server.hooks());
    let said = server.install(&[]);
    assert!(said.contains(&format!("former hook: {FORMER}; it runs after")), "{said}");
    assert_eq!(listing(&server.hooks())[FORMER], before[HOOK]);
    let head = world.id("c", "HEAD");
    let name = "refs/heads/Á\u{88}é-a'b$x"; // bytes that shells use for themselves
    let passed = server.push(&["main", &format!("main:{name}")]);
    says(&passed, 0, &["0 rejected", "old hook"]);
    let zero = "0".repeat(40);
    let got = world.home.read("server.git/got");
    assert_eq!(String::from_utf8(got).unwrap(), format!("{zero} {head} refs/heads/main\n{zero} {head} {name}\n"));
    // the old one refuses, with its own words and status
    let refused = server.push(&["main:no"]);
    says(&refused, 1, &["pre-receive hook declined", "0 rejected", "old no"]);
    let input = format!("{zero} {head} refs/heads/no\n");
    let mut called = world.home.command(server.hooks().join(HOOK));
    let called = run(called.current_dir(world.home.join("server.git")).env("GIT_DIR", "."), input.as_bytes());
    assert_eq!((called.status, called.stdout.as_str()), (Some(7), "old hook\n"));
    // ours refuses: the old one is not asked
    fs::remove_file(world.home.join("server.git/got")).unwrap();
    world.commit("c", "bad", &[]);
    let refused = server.push(&["main"]);
    says(&refused, 1, &["pre-receive hook declined", "[unsigned]"]);
    assert!(!refused.stderr.contains("old hook"), "{refused:?}");
    assert!(!world.home.join("server.git/got").exists());
    // gone, or not to be run any more: nothing passes
    world.home.git("c", &["reset", "-q", "--hard", &head]);
    let former = server.hooks().join(FORMER);
    fs::set_permissions(&former, fs::Permissions::from_mode(0o640)).unwrap();
    says(&server.push(&["main:x"]), 1, &["pre-receive hook declined", FORMER, "cannot be run"]);
    fs::set_permissions(&former, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(server.push(&["main:x"]).ok());
    assert!(server.uninstall(&[]).contains("put back: "));
    assert_eq!(listing(&server.hooks()), before);
    says(&server.push(&["main:no"]), 1, &["old no"]);
}

#[test]
fn many_refs_reach_both() {
    let server = Server::new();
    let world = &server.0;
    server.foreign("#!/bin/sh\nwc -l\n", 0o755);
    server.install(&[]);
    let head = world.id("c", "HEAD");
    server.push(&["main"]);
    let lines: String = (0..20_000).map(|n| format!("{} {head} refs/heads/b{n}\n", "0".repeat(40))).collect();
    let mut called = world.home.command(server.hooks().join(HOOK));
    let called = run(called.current_dir(world.home.join("server.git")).env("GIT_DIR", "."), lines.as_bytes());
    assert_eq!((called.status, called.stdout.trim()), (Some(0), "20000"), "{}", called.stderr);
}

#[test]
fn links_and_programs_are_moved_and_put_back_as_they_are() {
    let server = Server::new();
    let world = &server.0;
    fs::create_dir_all(server.hooks()).unwrap();
    world.home.write("server.git/old", OLD);
    fs::set_permissions(world.home.join("server.git/old"), fs::Permissions::from_mode(0o755)).unwrap();
    for (target, runs) in [("../old", true), ("/bin/true", true), ("nowhere", false), ("/dev/null", false)] {
        let hook = server.hooks().join(HOOK);
        std::os::unix::fs::symlink(target, &hook).unwrap();
        let before = listing(&server.hooks());
        let said = server.install(&[]);
        assert_eq!(said.contains("it runs after"), runs, "{said}");
        assert_eq!(fs::read_link(server.hooks().join(FORMER)).unwrap(), Path::new(target));
        server.judges();
        if target == "../old" {
            says(&server.push(&["main:no"]), 1, &["old no"]);
        }
        server.uninstall(&[]);
        assert_eq!(listing(&server.hooks()), before);
        fs::remove_file(hook).unwrap();
    }
}

#[test]
fn a_hook_that_git_passes_over_is_kept_and_not_run() {
    let server = Server::new();
    server.foreign("#!/bin/sh\nexit 1\n", 0o644);
    let before = listing(&server.hooks());
    let said = server.install(&[]);
    assert!(said.contains("is not run, as git did not run it"), "{said}");
    server.judges();
    server.uninstall(&[]);
    assert_eq!(listing(&server.hooks()), before);
}

#[test]
fn a_folder_in_the_hooks_place_is_an_error() {
    let server = Server::new();
    fs::create_dir_all(server.hooks().join(HOOK)).unwrap();
    server.refuses(&["install"], &["is neither a file nor a link", "move it away"]);
    server.refuses(&["uninstall"], &["is neither a file nor a link"]);
}

#[test]
fn a_link_that_upgrades_move_is_called_by_its_name() {
    let server = Server::new();
    let world = &server.0;
    let version = |number: &str| {
        let folder = world.home.join(number);
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(OURS, folder.join("git-warrant")).unwrap();
    };
    let bin = world.home.join("opt");
    fs::create_dir(&bin).unwrap();
    let link = bin.join("git-warrant");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    version("1");
    std::os::unix::fs::symlink("../1/git-warrant", &link).unwrap();
    for by_path in [true, false] {
        let mut install = world.home.command(if by_path { Path::new("git") } else { &link });
        install.args(if by_path { &["warrant", "hook", "install"][..] } else { &["hook", "install"] });
        let asked = done(install.current_dir(world.home.join("server.git")).env("PATH", &path));
        assert!(asked.ok() && asked.stdout.contains(&format!("{} hook pre-receive", link.display())), "{asked:?}");
    }
    server.judges();
    version("2");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../2/git-warrant", &link).unwrap();
    fs::remove_dir_all(world.home.join("1")).unwrap();
    assert!(server.push(&["main:after"]).ok());
    world.commit("c", "bad", &["--allow-empty"]);
    says(&server.push(&["main:bad"]), 1, &["[unsigned]"]);
}

#[test]
fn a_program_that_everybody_may_replace_is_no_judge() {
    let server = Server::new();
    let open = server.0.home.join("open");
    fs::create_dir(&open).unwrap();
    let link = open.join("git-warrant");
    std::os::unix::fs::symlink(OURS, &link).unwrap();
    for (mode, refused) in [(0o777, true), (0o1777, false), (0o757, true), (0o775, false)] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        let mut install = server.0.home.command(&link);
        let asked = done(install.args(["hook", "install"]).current_dir(server.0.home.join("server.git")));
        assert_eq!(asked.status, Some(if refused { 2 } else { 0 }), "{mode:o}: {asked:?}");
        let mend = format!("{} is writable by everybody", open.display());
        assert!(!refused || asked.stderr.contains(&mend) && asked.stderr.contains("chmod o-w"), "{asked:?}");
    }
}

#[test]
fn a_program_in_an_odd_place_is_called_there_and_nothing_passes_when_it_is_gone() {
    let server = Server::new();
    let world = &server.0;
    let folder = world.home.join("it's a\n$(touch pwned) \"place\"\u{1b}[31m");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("git-warrant");
    if fs::hard_link(OURS, &program).is_err() {
        fs::copy(OURS, &program).unwrap();
    }
    for old in [false, true] {
        if old {
            server.foreign(OLD, 0o755);
        }
        let mut install = world.home.command(&program);
        let asked = done(install.args(["hook", "install"]).current_dir(world.home.join("server.git")));
        assert_eq!(asked.status, Some(0), "{asked:?}");
        assert!(!asked.stdout.contains('\u{1b}'), "{}", asked.stdout);
        server.judges();
        let away = folder.join("away");
        fs::rename(&program, &away).unwrap();
        let refused = server.push(&["main:y"]);
        says(&refused, 1, &["pre-receive hook declined", "cannot be run", "git warrant hook install"]);
        assert!(!refused.stderr.contains("old hook") && !refused.stderr.contains('\u{1b}'), "{refused:?}");
        fs::rename(&away, &program).unwrap();
        server.uninstall(&[]);
    }
    assert!(!world.home.join("server.git/pwned").exists() && !world.home.join("c/pwned").exists());
}

#[test]
fn options_go_into_the_script() {
    let server = Server::new();
    let world = &server.0;
    world.home.git("server.git", &["config", "--unset", "warrant.policy"]);
    let odd = "it's $(a) policy";
    fs::create_dir(world.home.join(odd)).unwrap();
    world.home.write(format!("{odd}/signers"), world.line("alice", ""));
    world.home.write("revoked", world.home.public("bob") + "\n");
    fs::set_permissions(world.home.join("revoked"), fs::Permissions::from_mode(0o644)).unwrap();
    let policy = format!("../{odd}/signers");
    let said = server.install(&["--policy", &policy, "--revoked", "../revoked", "--bind", "committer", "--strict"]);
    assert!(said.contains("--bind=committer --strict") || said.contains("'--bind=committer' --strict"), "{said}");
    server.judges();
    world.commit_as("c", "bob's", &world.person("bob"), &["-S"]);
    says(&server.push(&["main"]), 1, &["[key-revoked]"]);
    world.home.git("c", &["reset", "-q", "--hard", "HEAD~1"]);
    let mut other = world.person("bob");
    other.retain(|setting| !setting.starts_with("user.signingKey"));
    world.commit_as("c", "by alice for bob", &other, &["-S"]);
    says(&server.push(&["main"]), 1, &["[signer-not-committer]"]);
    // asked again without them, it says what it takes away
    world.home.git("server.git", &["config", "warrant.policy", &world.policy()]);
    let said = server.install(&[]);
    assert!(said.contains("written anew") && said.contains("- exec ") && said.contains("'--bind=committer'"), "{said}");
    assert!(server.push(&["main"]).ok());
    let said = server.install(&["--require-touch", "--allow-wildcard"]);
    assert!(said.contains("+ exec "), "{said}");
    world.commit("c", "untouched", &["-S"]);
    says(&server.push(&["main"]), 1, &["rejected"]);
}

#[test]
fn what_could_not_judge_is_not_installed() {
    let server = Server::new();
    let world = &server.0;
    let set = |name: &str, value: &str| world.home.git("server.git", &["config", name, value]);
    for (name, value, word) in [
        ("warrant.baseline", "main", "a hook takes full ids only"),
        ("warrant.settled", "main", "a hook takes full ids only"),
        ("warrant.root", "x", "not in this version"),
        ("warrant.policy", "/nowhere", "warrant.policy = /nowhere"),
    ] {
        set(name, value);
        server.refuses(&["install"], &[word]);
        world.home.git("server.git", &["config", "--unset-all", name]);
    }
    server.refuses(&["install"], &["no policy found", "git config warrant.policy FILE"]);
    fs::set_permissions(world.home.join("signers"), fs::Permissions::from_mode(0o666)).unwrap();
    set("warrant.policy", &world.policy());
    server.refuses(&["install"], &["writable by others", "chmod go-w"]);
    fs::set_permissions(world.home.join("signers"), fs::Permissions::from_mode(0o644)).unwrap();
    server.refuses(&["install", "--policy", "/nowhere"], &["--policy /nowhere"]);
    // what only this command sees, a push does not
    let mut install = world.installed("server.git", &["-c", &format!("warrant.policy={}", world.policy()), "warrant"]);
    says(&done(install.args(["hook", "install"])), 2, &["set for this command only"]);
    assert!(!server.hooks().exists());
    server.install(&[]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = Server::new();
    server.foreign(OLD, 0o755);
    let before = listing(&server.hooks());
    let said = server.install(&["--dry-run"]);
    assert!(said.contains("would be written") && said.contains("    #!/bin/sh") && said.contains(FORMER), "{said}");
    assert_eq!(listing(&server.hooks()), before);
    server.install(&[]);
    let installed = listing(&server.hooks());
    assert!(server.uninstall(&["--dry-run"]).contains("would be put back"));
    assert_eq!(listing(&server.hooks()), installed);
}
