//! A terminal of its own, by util-linux's script(1).
#![allow(unreachable_pub, clippy::unwrap_used)]

use crate::common::{Running, wait_for};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Runs a line of shell at a terminal, its standard streams in the files `out` and `err`, and types the lines that `answer` makes
/// of the screen and of how many were typed before. The screen, which ends in `status N`. `script` is that program's command.
pub fn at_a_terminal(mut script: Command, line: &str, answer: impl Fn(&str, usize) -> Option<String>) -> String {
    script.args(["-qec", &format!("{line} </dev/null >out 2>err; echo status $?"), "/dev/null"]).env("SHELL", "/bin/sh");
    let mut child = Running(script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
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
    let mut typed = 0;
    wait_for(|| {
        if let Some(line) = answer(&text(), typed) {
            keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
            typed += 1;
        }
        text().contains("status ")
    });
    drop(keyboard);
    reader.join().unwrap();
    text()
}
