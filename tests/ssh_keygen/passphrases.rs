//! Encrypted keys and the terminal.

use crate::common::{Done, Home, OURS, Running, has, skipped};
use crate::signing::{assert_good, assert_refused, assert_signed};
use crate::terminal;
use std::fs::{File, Permissions};
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Runs a signature in a terminal of its own, with standard input closed, and types a line whenever a passphrase is asked for.
/// What the terminal showed, and whether a signature came.
fn at_a_terminal(home: &Home, lines: &[&str]) -> (String, bool) {
    let shown =
        terminal::at_a_terminal(home.command("script"), &format!("'{OURS}' -Y sign -n git -f k message"), |screen, typed| {
            let asked = screen.matches("Enter passphrase for k: ").count() > typed;
            lines.get(typed).filter(|_| asked).map(ToString::to_string)
        });
    (shown, home.join("message.sig").exists())
}

fn encrypted(options: &[&str]) -> Home {
    let home = Home::new();
    home.key("k", &[&["ed25519"], options].concat(), "open sesame");
    home.write("message", "what is signed\n");
    home.write("signers", format!("alice@example.com {}\n", home.public("k")));
    home
}

#[test]
fn a_passphrase_is_asked_at_the_terminal() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    for cipher in ["aes256-ctr", "aes256-gcm@openssh.com", "aes128-cbc", "chacha20-poly1305@openssh.com", "3des-cbc"] {
        let home = encrypted(&["-Z", cipher, "-a", "4"]);
        let (shown, signed) = at_a_terminal(&home, &["open sesame"]);
        assert!(signed, "{cipher}: {shown} {}", String::from_utf8_lossy(&home.read("err")));
        assert!(!shown.contains("sesame") && home.read("out").is_empty(), "{shown}");
        assert_good(&home);
    }
}

#[test]
fn three_tries() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let home = encrypted(&["-a", "4"]);
    let (shown, signed) = at_a_terminal(&home, &["wrong", "", "also wrong"]);
    assert!(!signed && shown.contains("status 255"), "{shown}");
    let error = String::from_utf8(home.read("err")).unwrap();
    assert!(error.contains("incorrect passphrase supplied to decrypt private key"), "{error}");
    let (shown, signed) = at_a_terminal(&home, &["wrong", "\x03"]); // Ctrl-C
    assert!(!signed && shown.contains("status 255"), "{shown}");
    let error = String::from_utf8(home.read("err")).unwrap();
    assert!(error.contains("k: no passphrase was given"), "{error}");
    let (shown, signed) = at_a_terminal(&home, &["wrong", "wrong", "open sesame"]);
    assert!(signed, "{shown}");
}

#[test]
fn without_a_terminal_the_mends_are_named() {
    if !has("setsid") {
        return skipped("setsid (util-linux)");
    }
    let home = encrypted(&["-a", "4"]);
    let mut command = home.command("setsid");
    command.args(["-w", OURS, "-Y", "sign", "-n", "git", "-f", "k", "message"]);
    home.write("typed", "open sesame\n");
    let mut stdin = File::open(home.join("typed")).unwrap();
    let done = command.stdin(stdin.try_clone().unwrap()).output().unwrap().into();
    assert_eq!(stdin.stream_position().unwrap(), 0, "standard input is git's");
    assert_refused(&home, &done, "load it into an agent with `ssh-add k`, or name a program that asks in SSH_ASKPASS");
}

/// A program for SSH_ASKPASS that writes down what it is asked and runs a line of shell.
fn askpass(home: &Home, script: &str) -> PathBuf {
    let path = home.write("ask", format!("#!/bin/sh\necho \"$1\" >>asked\n{script}\n"));
    std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    path
}

/// Signs without a terminal; by us or by ssh-keygen.
fn unattended(home: &Home, program: &str, environment: &[(&str, &str)]) -> Done {
    let _ = std::fs::remove_file(home.join("message.sig"));
    let _ = std::fs::remove_file(home.join("asked"));
    let mut command = home.command("setsid");
    command.args(["-w", program, "-Y", "sign", "-n", "git", "-f", "k", "message"]).env("SSH_ASKPASS", home.join("ask"));
    command.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn a_program_asks_as_it_does_for_ssh_keygen() {
    if !has("setsid") {
        return skipped("setsid (util-linux)");
    }
    let home = encrypted(&["-a", "4"]);
    askpass(&home, "echo open sesame");
    for (environment, asks) in [
        (&[][..], false),
        (&[("DISPLAY", ":0")], true),
        (&[("DISPLAY", "")], false),
        (&[("DISPLAY", ":0"), ("SSH_ASKPASS_REQUIRE", "never")], false),
        (&[("SSH_ASKPASS_REQUIRE", "prefer")], false),
        (&[("DISPLAY", ":0"), ("SSH_ASKPASS_REQUIRE", "prefer")], true),
        (&[("SSH_ASKPASS_REQUIRE", "force")], true),
    ] {
        for program in [OURS, "ssh-keygen"] {
            let done = unattended(&home, program, environment);
            assert_eq!(done.ok(), asks, "{program} {environment:?}: {done:?}");
            assert_eq!(home.join("asked").exists(), asks, "{program} {environment:?}");
            if asks {
                assert_good(&home);
            }
        }
    }
    unattended(&home, OURS, &[("SSH_ASKPASS_REQUIRE", "force")]);
    assert_eq!(home.read("asked"), b"Enter passphrase for k: \n");
}

#[test]
fn a_program_that_does_not_help() {
    if !has("setsid") {
        return skipped("setsid (util-linux)");
    }
    const FORCE: [(&str, &str); 1] = [("SSH_ASKPASS_REQUIRE", "force")];
    let home = encrypted(&["-a", "4"]);
    askpass(&home, "echo wrong");
    assert_refused(&home, &unattended(&home, OURS, &FORCE), "incorrect passphrase supplied to decrypt private key");
    assert_eq!(home.read("asked"), "Enter passphrase for k: \n".repeat(3).as_bytes());
    askpass(&home, "echo open sesame; exit 1");
    assert_refused(&home, &unattended(&home, OURS, &FORCE), "k: no passphrase was given");
    // what it leaves running has none of our streams
    askpass(&home, "sleep 30 >/dev/null & echo open sesame");
    let start = Instant::now();
    assert_signed(&unattended(&home, OURS, &FORCE));
    assert!(start.elapsed() < Duration::from_secs(20));
    std::fs::remove_file(home.join("ask")).unwrap();
    assert_refused(&home, &unattended(&home, OURS, &FORCE), "ask): No such file or directory): load it into an agent");
}

/// Whoever is asked may be ended by a signal: the terminal is left as it was.
#[test]
fn a_signal_at_the_prompt_leaves_the_terminal_as_it_was() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let home = encrypted(&[]);
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        // a shell without job control ignores SIGINT for what it starts in the background; env sets it right
        let line = format!(
            "env --default-signal=INT '{OURS}' -Y sign -n git -f k message </dev/null >out 2>err & p=$!; \
             until stty -a </dev/tty | grep -qw -- -echo; do sleep 0.05; done; \
             kill -{signal} $p; wait $p; echo status $?; stty -a </dev/tty"
        );
        let mut command = home.command("timeout");
        command.args(["20", "script", "-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh");
        let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let keyboard = child.0.stdin.take(); // nobody types, and nobody hangs up
        let mut shown = String::new();
        child.0.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
        drop(keyboard);
        assert!(shown.contains(&format!("status {status}")), "{signal}: {shown}");
        let (_, modes) = shown.rsplit_once("status").unwrap();
        let modes: Vec<&str> = modes.split([' ', ';', '\r', '\n']).collect();
        for mode in ["echo", "icanon", "isig"] {
            assert!(modes.contains(&mode), "{signal}: {mode} is off: {shown}");
        }
    }
}
