//! What install and uninstall find: earlier installations, edited ones, and those that were interrupted.

use crate::common::{has, skipped};
use crate::world::{done, says};
use crate::{FORMER, HOOK, OLD, OURS, Server, listing};
use std::fs;

#[test]
fn twice_in_a_row_is_once() {
    let server = Server::new();
    for old in [false, true] {
        if old {
            server.foreign(OLD, 0o755);
        }
        let before = listing(&server.hooks());
        server.install(&[]);
        let installed = listing(&server.hooks());
        assert!(server.install(&[]).contains("as it should be already"));
        assert_eq!(listing(&server.hooks()), installed);
        server.judges();
        server.uninstall(&[]);
        assert_eq!(listing(&server.hooks()), before);
    }
}

#[test]
fn an_installation_that_cannot_run_is_mended() {
    let server = Server::new();
    server.install(&[]);
    let installed = listing(&server.hooks());
    fs::set_permissions(server.hooks().join(HOOK), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(server.install(&[]).contains("written anew"));
    assert_eq!(listing(&server.hooks()), installed);
    // nor may others write it
    fs::set_permissions(server.hooks().join(HOOK), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert!(server.install(&[]).contains("written anew"));
    assert_eq!(listing(&server.hooks()), installed);
}

#[test]
fn an_interrupted_install_is_finished_or_taken_back() {
    let server = Server::new();
    let hook = server.hooks().join(HOOK);
    server.foreign(OLD, 0o755);
    let before = listing(&server.hooks());
    server.install(&[]);
    let installed = listing(&server.hooks());
    server.uninstall(&[]);
    for finish in [true, false] {
        // the old hook has got its second name, and the new one lies half written beside it
        fs::hard_link(&hook, server.hooks().join(FORMER)).unwrap();
        fs::write(server.hooks().join(".pre-receive.git-warrant-abc"), "#!/bin/").unwrap();
        says(&server.push(&["main:no"]), 1, &["old no"]);
        if finish {
            server.install(&[]);
            assert_eq!(listing(&server.hooks()), installed);
        }
        server.uninstall(&[]);
        assert_eq!(listing(&server.hooks()), before);
    }
    // the link itself, not what it leads to, has the second name
    fs::rename(&hook, server.hooks().join("real")).unwrap();
    std::os::unix::fs::symlink("real", &hook).unwrap();
    let before = listing(&server.hooks());
    fs::hard_link(&hook, server.hooks().join(FORMER)).unwrap();
    server.install(&[]);
    server.judges();
    server.uninstall(&[]);
    assert_eq!(listing(&server.hooks()), before);
}

/// Runs `hook COMMAND` and lets a system call fail, or kills at it. Gives whether that stopped it.
fn struck(server: &Server, command: &str, call: &str, what: &str) -> bool {
    let mut strace = server.0.home.command("strace");
    strace.args(["-f", "-qq", "-e", &format!("inject={call}:{what}"), "-o", "/dev/null"]).arg(OURS);
    let ran = done(strace.args(["hook", command]).current_dir(server.0.home.join("server.git")));
    !ran.ok()
}

#[test]
fn whenever_it_is_killed_the_old_hook_or_the_new_one_is_there() {
    if !has("strace") {
        return skipped("strace");
    }
    let server = Server::new();
    assert!(server.push(&["main"]).ok());
    server.foreign(OLD, 0o755);
    let before = listing(&server.hooks());
    server.install(&[]);
    let after = listing(&server.hooks());
    server.uninstall(&[]);
    let zero = "0".repeat(40);
    let input = format!("{zero} {} refs/heads/no\n", server.0.id("c", "HEAD"));
    let mut kills = 0;
    let calls = ["fchmod", "fsync", "linkat", "rename", "renameat2", "unlink"];
    for (command, start, end) in [("install", &before, &after), ("uninstall", &after, &before)] {
        for call in calls {
            for what in (1..=3).flat_map(|n| [format!("signal=KILL:when={n}"), format!("error=EIO:when={n}")]) {
                if !struck(&server, command, call, &what) {
                    assert_eq!(&listing(&server.hooks()), end, "{command} with {call} {what}");
                } else {
                    kills += 1;
                }
                // whichever is there refuses what the old one refuses
                let mut hook = server.0.home.command(server.hooks().join(HOOK));
                let ran =
                    crate::common::run(hook.current_dir(server.0.home.join("server.git")).env("GIT_DIR", "."), input.as_bytes());
                assert_eq!(ran.status, Some(7), "{command} with {call} {what}: {ran:?}");
                // the next call finishes it, and the one after takes it back
                server.ask(&[command]);
                assert_eq!(&listing(&server.hooks()), end, "{command} again, after {call} {what}");
                server.ask(&[if command == "install" { "uninstall" } else { "install" }]);
                assert_eq!(&listing(&server.hooks()), start, "after {command} with {call} {what}");
            }
        }
    }
    assert!(kills >= 10, "only {kills} calls were struck");
}

#[test]
fn what_is_kept_already_is_not_overwritten() {
    let server = Server::new();
    server.foreign(OLD, 0o755);
    fs::write(server.hooks().join(FORMER), "#!/bin/sh\n").unwrap();
    server.refuses(&["install", "--force"], &[FORMER, "exists already", "rename or remove it"]);
    server.refuses(&["uninstall", "--force"], &["was not made by git warrant hook install", FORMER]);
    // the hook that somebody removed comes back
    fs::remove_file(server.hooks().join(HOOK)).unwrap();
    server.refuses(&["install"], &[FORMER, "git warrant hook uninstall"]);
    assert!(server.uninstall(&[]).contains("put back"));
    assert_eq!(listing(&server.hooks())[HOOK].1, b"#!/bin/sh\n");
}

#[test]
fn a_script_that_was_edited_is_not_thrown_away() {
    let server = Server::new();
    server.foreign(OLD, 0o755);
    let before = listing(&server.hooks());
    server.install(&[]);
    let hook = server.hooks().join(HOOK);
    let edited = fs::read_to_string(&hook).unwrap().replace("exec \"$former\"", "echo mine\nexec \"$former\"");
    fs::write(&hook, edited).unwrap();
    says(&server.push(&["main"]), 0, &["mine", "old hook"]);
    server.refuses(&["install"], &["was edited", "--force"]);
    server.refuses(&["uninstall"], &["was edited", "--force"]);
    let said = server.install(&["--force"]);
    assert!(said.contains("- echo mine"), "{said}");
    fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    server.refuses(&["uninstall", "--force"], &["was not made by"]);
    fs::remove_file(&hook).unwrap();
    server.uninstall(&[]);
    assert_eq!(listing(&server.hooks()), before);
}

#[test]
fn a_former_hook_that_is_gone_is_not_passed_over() {
    let server = Server::new();
    server.foreign(OLD, 0o755);
    server.install(&[]);
    fs::remove_file(server.hooks().join(FORMER)).unwrap();
    says(&server.push(&["main"]), 1, &["pre-receive hook declined", FORMER]);
    server.refuses(&["install"], &[FORMER, "is gone"]);
    server.refuses(&["uninstall"], &[FORMER, "is gone"]);
    server.install(&["--force"]);
    server.judges();
    server.uninstall(&[]);
    assert!(listing(&server.hooks()).is_empty());
}

#[test]
fn our_own_script_is_nobodys_former_hook() {
    let server = Server::new();
    server.install(&[]);
    fs::copy(server.hooks().join(HOOK), server.hooks().join(FORMER)).unwrap();
    server.refuses(&["install"], &["is a script of git warrant hook install itself"]);
    server.refuses(&["uninstall"], &["is a script of git warrant hook install itself"]);
    // nor is a link to it
    fs::rename(server.hooks().join(FORMER), server.hooks().join("elsewhere")).unwrap();
    fs::remove_file(server.hooks().join(HOOK)).unwrap();
    std::os::unix::fs::symlink("elsewhere", server.hooks().join(HOOK)).unwrap();
    server.refuses(&["install", "--force"], &["is a link to a script of git warrant hook install", "remove the link"]);
    server.refuses(&["uninstall", "--force"], &["is a link to a script of git warrant hook install"]);
}

#[test]
fn a_hook_that_asks_for_its_name_would_run_nothing_under_another() {
    let server = Server::new();
    let dispatcher = "#!/bin/sh\ndata=$(cat)\nfor hook in \"${0%/*}/$(basename \"$0\").d\"/*; do\n    printf '%s\\n' \"$data\" | \"$hook\" || exit 1\ndone\n";
    server.foreign(dispatcher, 0o755);
    let folder = server.hooks().join("pre-receive.d");
    fs::create_dir(&folder).unwrap();
    server.refuses(&["install"], &["line 3", FORMER, "pre-receive.d", "exec ", "hook pre-receive", "--force"]);
    // its words, taken literally
    let refused = server.ask(&["install"]).stderr;
    let command = refused.split("ask the policy: ").nth(1).unwrap().split("; or,").next().unwrap().to_owned();
    fs::write(folder.join("10-warrant"), format!("#!/bin/sh\n{command}\n")).unwrap();
    fs::set_permissions(folder.join("10-warrant"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    server.judges();
    let said = server.install(&["--force"]);
    assert!(server.install(&[]).contains("as it should be already"), "asked once is enough");
    assert!(said.contains("its line 3 asks for its own name") && said.contains("pre-receive.d"), "{said}");
    server.uninstall(&[]);
    server.judges();
}
