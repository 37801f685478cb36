//! Asking people: by a program (SSH_ASKPASS) or at the terminal, never at standard input, which is git's.
//!
//! Which of them is OpenSSH's rule (ssh(1), ENVIRONMENT; `readpass.c`): the program where standard input is no terminal or
//! SSH_ASKPASS_REQUIRE prefers it, if there is a display; with `force` in any case, with `never` in none.

use super::terminal;
use crate::io::secrecy::without_known_secrets;
use rustix::termios::isatty;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// As much of an answer as OpenSSH reads.
const MAX_ANSWER: u64 = 1023;
/// What is run where SSH_ASKPASS is not set: Debian's place first, then OpenSSH's own.
const PROGRAMS: [&str; 2] = ["/usr/bin/ssh-askpass", "/usr/X11R6/bin/ssh-askpass"];

/// Asks for a secret; `None` where whoever is asked breaks off.
///
/// # Errors
/// Where there is nobody to ask, or where the program that asks cannot be run.
pub(super) fn secret(prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let choice = Choice::of(&|name| env::var_os(name), isatty(io::stdin()));
    match choice {
        Choice::Terminal => terminal::secret(prompt),
        Choice::Program { forced } => {
            let named = env::var_os("SSH_ASKPASS").filter(|program| !program.is_empty());
            let program = named.clone().or_else(|| PROGRAMS.into_iter().find(|path| is_there(path)).map(OsString::from));
            match program {
                Some(program) => by_program(&program, prompt),
                None if forced => Err(io::Error::other("SSH_ASKPASS names no program")),
                None => terminal::secret(prompt),
            }
        }
    }
}

fn is_there(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Terminal,
    Program { forced: bool },
}

impl Choice {
    fn of(environment: &dyn Fn(&str) -> Option<OsString>, at_terminal: bool) -> Self {
        let display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().filter_map(environment).any(|name| !name.is_empty());
        let require = environment("SSH_ASKPASS_REQUIRE").unwrap_or_default();
        let requires = |word: &str| require.eq_ignore_ascii_case(word);
        if requires("force") {
            Self::Program { forced: true }
        } else if display && !requires("never") && (requires("prefer") || !at_terminal) {
            Self::Program { forced: false }
        } else {
            Self::Terminal
        }
    }
}

/// The first line that a program prints. It gets none of our streams: whatever it starts cannot keep git waiting.
fn by_program(program: &OsStr, prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut command = Command::new(program);
    command.arg(prompt).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    without_known_secrets(&mut command);
    let failed = |error: io::Error| io::Error::other(format!("SSH_ASKPASS ({}): {error}", program.display()));
    let mut child = command.spawn().map_err(failed)?;
    let mut answer = Zeroizing::new(Vec::with_capacity(1024)); // what grows leaves copies behind
    let read = child.stdout.take().map_or(Ok(0), |stdout| stdout.take(MAX_ANSWER).read_to_end(&mut answer));
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    if !status.success() {
        return Ok(None);
    }
    let end = answer.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(answer.len());
    answer.truncate(end);
    Ok(Some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_openssh_chooses() {
        const ASK: Choice = Choice::Program { forced: false };
        const FORCED: Choice = Choice::Program { forced: true };
        const TTY: Choice = Choice::Terminal;
        for (display, wayland, require, at_terminal, elsewhere) in [
            ("", "", "", TTY, TTY),
            (":0", "", "", TTY, ASK),
            ("", "wayland-0", "", TTY, ASK),
            ("", "", "prefer", TTY, TTY),
            (":0", "", "prefer", ASK, ASK),
            (":0", "", "PREFER", ASK, ASK),
            (":0", "", "sometimes", TTY, ASK),
            (":0", "wayland-0", "never", TTY, TTY),
            ("", "", "force", FORCED, FORCED),
        ] {
            let environment = |name: &str| match name {
                "DISPLAY" => Some(OsString::from(display)),
                "WAYLAND_DISPLAY" => Some(OsString::from(wayland)).filter(|name| !name.is_empty()),
                "SSH_ASKPASS_REQUIRE" => Some(OsString::from(require)),
                _ => None,
            };
            let row = (display, wayland, require);
            assert_eq!(Choice::of(&environment, true), at_terminal, "{row:?} at a terminal");
            assert_eq!(Choice::of(&environment, false), elsewhere, "{row:?} elsewhere");
        }
    }

    #[test]
    fn what_a_program_answers() {
        let shell = |script: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ask");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
            by_program(path.as_os_str(), "Who? ")
        };
        let answer = |script: &str| shell(script).unwrap().map(|answer| String::from_utf8(answer.to_vec()).unwrap());
        assert_eq!(answer("echo \"$1me\"").as_deref(), Some("Who? me"));
        assert_eq!(answer("printf 'one\\r\\ntwo\\n'").as_deref(), Some("one"));
        assert_eq!(answer("printf half").as_deref(), Some("half"));
        assert_eq!(answer("true").as_deref(), Some(""));
        assert_eq!(answer("echo no; exit 1"), None);
        assert!(by_program(OsStr::new("/nonexistent/ask"), "").unwrap_err().to_string().contains("/nonexistent/ask"));
    }
}
