//! The agent as systemd starts it.

use crate::common::{OURS, Running, has, run, skipped, wait_for};
use crate::services::{Bed, PERSON};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

fn units(bed: &Bed) -> std::path::PathBuf {
    let folder = bed.home.join("units");
    let done = run(&mut bed.command(OURS, &["agent", "units", "--to", folder.to_str().unwrap()]), b"");
    assert!(done.ok() && done.stdout.contains("enable --now git-warrant-agent.socket"), "{done:?}");
    folder
}

#[test]
fn systemd_takes_the_units() {
    if !has("systemd-analyze") {
        return skipped("systemd-analyze (systemd)");
    }
    let bed = Bed::new();
    let folder = units(&bed);
    let files = ["git-warrant-agent.socket", "git-warrant-agent.service"].map(|name| folder.join(name));
    let mut analyze = bed.command("systemd-analyze", &["--user", "--man=no", "verify"]);
    let done = run(analyze.args(&files), b"");
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(done.ok() && !said.contains("git-warrant-agent"), "{done:?}");
    let service = String::from_utf8(std::fs::read(&files[1]).unwrap()).unwrap();
    assert!(service.contains(&format!("ExecStart=\"{OURS}\" agent --foreground\n")), "{service}");
    // one that is not right is found: the test can fail
    std::fs::write(&files[1], service.replace("ExecStart=", "ExecStat=")).unwrap();
    let mut analyze = bed.command("systemd-analyze", &["--user", "--man=no", "verify"]);
    assert!(!run(analyze.args(&files), b"").ok());
}

#[test]
fn a_socket_that_is_handed_over() {
    if !has("systemd-socket-activate") {
        return skipped("systemd-socket-activate (systemd)");
    }
    let bed = Bed::new();
    let folder = bed.home.join("run/git-warrant");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let socket = folder.join("agent");
    let start = |at: &std::path::Path| {
        let mut command =
            bed.command("systemd-socket-activate", &["-E", &format!("XDG_RUNTIME_DIR={}", bed.home.join("run").display())]);
        command.arg("-l").arg(at).args([OURS, "agent", "--foreground"]);
        let said = std::fs::File::create(bed.home.join("activated")).unwrap();
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap())
    };
    let mut manager = start(&socket);
    wait_for(|| socket.exists());
    // the first connection starts it, in the manager's place; it keeps what it gets
    bed.log_in(PERSON);
    assert_eq!(bed.agent_process(), manager.0.id());
    bed.commits(bed.command("git", &[]));
    assert!(bed.agent("stop").ok());
    manager.0.wait().unwrap();
    assert!(socket.exists(), "the socket is the manager's");
    // at another place nobody would find it
    let other = folder.join("other");
    let mut manager = start(&other);
    wait_for(|| other.exists());
    let _ = std::os::unix::net::UnixStream::connect(&other).unwrap();
    assert!(!manager.0.wait().unwrap().success());
    let said = String::from_utf8(bed.home.read("activated")).unwrap();
    assert!(said.contains("the service manager's socket is not at"), "{said}");
}

#[test]
fn what_is_meant_for_another_process_is_left() {
    let bed = Bed::new();
    let mut login = bed.command(OURS, &["agent", "--foreground"]);
    login.env("LISTEN_PID", "1").env("LISTEN_FDS", "1").stdin(Stdio::null());
    let _agent = Running(login.spawn().unwrap());
    wait_for(|| bed.agent("status").ok());
    bed.log_in(PERSON);
    bed.commits(bed.command("git", &[]));
}
