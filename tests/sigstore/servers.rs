//! The servers themselves are killed while a rebase signs. Whoever does that needs a bed of their own:
//! `tests/sigstore/bed cargo test --test sigstore -- --ignored killed_servers`

use crate::common::{OURS, Running, run, wait_for};
use crate::support::{Bed, PERSON};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Runs the command that starts a server of the bed, and waits for its port.
fn start(bed: &Bed, name: &str, port: u16) -> Running {
    let mut command = Command::new(bed.folder.join("start").join(name));
    let running = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    running
}

#[test]
#[ignore = "it kills the servers that all other tests need"]
fn killed_servers_leave_whole_commits_or_none() {
    const COMMITS: usize = 12;
    let Some(bed) = Bed::find(9) else { return };
    bed.sign_as(PERSON);
    bed.config("warrant.trustedRoot", bed.folder.join("trusted_root.json").to_str().unwrap());
    bed.config("warrant.tsa", &format!("{}/api/v1/timestamp", bed.tsa));
    bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", "base"]);
    let process = |name: &str| -> u32 {
        std::fs::read_to_string(bed.folder.join("start").join(format!("{name}.pid"))).unwrap().trim().parse().unwrap()
    };
    // what was started again replaces what the bed started
    let mut again: Vec<(&str, Running)> = Vec::new();
    let (mut whole, mut stopped) = (0, 0);
    for round in 0..9_u64 {
        // the authority's key is in its memory: what it stamps after another start is of another root, so it comes last
        let (name, port, says) = match round {
            8 => ("tsa", 3004, "the timestamp authority at http://localhost:3004"),
            _ if round % 2 == 0 => ("rekor", 3000, "Rekor at http://localhost:3000"),
            _ => ("fulcio", 5555, "Fulcio at http://localhost:5555"),
        };
        let victim =
            again.iter().rev().find(|(known, _)| *known == name).map_or_else(|| process(name), |(_, running)| running.0.id());
        let main = format!("main-{round}");
        bed.home.git("r", &["checkout", "-q", "-B", "side", "main"]);
        for number in 0..COMMITS {
            bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", &format!("round {round}, number {number}")]);
        }
        bed.home.git("r", &["checkout", "-q", "-B", &main, "main"]);
        bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", &format!("base {round}")]);
        bed.home.git("r", &["checkout", "-q", "side"]);
        let killed = AtomicBool::new(false);
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(400 + 437 * round));
                killed.store(run(bed.home.command("kill").args(["-9", &victim.to_string()]), b"").ok(), Ordering::SeqCst);
            });
            run(&mut bed.git("r", &["rebase", "-q", "-S", &main]), b"")
        });
        assert!(killed.load(Ordering::SeqCst), "{name} was not there");
        let range = format!("{main}..HEAD");
        let verified = |count: Option<usize>| {
            let ids = bed.home.git("r", &["rev-list", &range]);
            for id in ids.lines() {
                let done = run(&mut bed.git("r", &["verify-commit", "--raw", id]), b"");
                assert!(done.ok() && done.stderr.contains("GOODSIG"), "{name}: {id}: {done:?}");
            }
            let found = ids.lines().count();
            assert!(count.is_none_or(|count| count == found), "{name}: {found}");
            found
        };
        if !done.ok() {
            stopped += 1;
            whole += verified(None);
            // why nothing more is signed
            let mut ours = bed.home.command(OURS);
            ours.current_dir(bed.home.join("r")).args(["--status-fd=2", "-bsau", "KEY"]);
            let refused = run(ours.env("SIGSTORE_ID_TOKEN", bed.token_in_use()), b"tree 0\n\nm\n");
            assert!(!refused.ok() && refused.stdout.is_empty(), "{refused:?}");
            assert!(refused.stderr.contains(says) && !refused.stderr.contains("[GNUPG:]"), "{}", refused.stderr);
        }
        if name == "tsa" {
            break;
        }
        again.retain(|(known, _)| *known != name);
        again.push((name, start(&bed, name, port)));
        if !done.ok() {
            thread::sleep(Duration::from_millis(500));
            let done = run(&mut bed.git("r", &["rebase", "--continue"]), b"");
            assert!(done.ok(), "{name}: {done:?}");
        }
        verified(Some(COMMITS));
    }
    println!("9 servers killed: {stopped} rebases stopped, {whole} commits stood by then, each of them good");
    assert!(stopped > 0);
}
