//! Encrypted keys and the terminal.

use crate::common::{Home, OURS, Running, has, skipped, wait_for};
use crate::signing::{assert_good, assert_refused};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// Runs a signature in a terminal of its own, with standard input closed, and types a line whenever a passphrase is asked for.
/// What the terminal showed, and whether a signature came.
fn at_a_terminal(home: &Home, lines: &[&str]) -> (String, bool) {
    let line = format!("'{OURS}' -Y sign -n git -f k message </dev/null >out 2>err; echo status $?");
    let mut command = home.command("script");
    command.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh");
    let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut keyboard = child.0.stdin.take().unwrap();
    let mut screen = child.0.stdout.take().unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&shown);
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 256];
        while let Ok(count @ 1..) = screen.read(&mut chunk) {
            sink.lock().unwrap().extend_from_slice(&chunk[..count]);
        }
    });
    let text = || String::from_utf8_lossy(&shown.lock().unwrap()).into_owned();
    for (asked, line) in lines.iter().enumerate() {
        wait_for(|| text().matches("Enter passphrase for k: ").count() > asked);
        keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    wait_for(|| text().contains("status "));
    drop(keyboard);
    reader.join().unwrap();
    (text(), home.join("message.sig").exists())
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
    for cipher in ["aes256-ctr", "aes256-gcm@openssh.com", "aes128-cbc", "chacha20-poly1305@openssh.com"] {
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
    assert_refused(&home, &done, "load it into an agent with `ssh-add k` (SSH_ASKPASS is not in this version)");
}
