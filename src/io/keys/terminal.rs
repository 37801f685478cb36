//! The terminal, where people are asked and told: standard input and output are git's.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// More is not typed; the buffer never grows, which would leave copies behind.
const MAX_LENGTH: usize = 1024;

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Whether there is somebody to ask.
pub(in crate::io) fn is_there() -> bool {
    open().is_ok()
}

/// Shows a line on /dev/tty, if there is one.
pub(in crate::io) fn tell(line: &str) {
    if let Ok(mut terminal) = OpenOptions::new().write(true).open("/dev/tty") {
        let _ = writeln!(terminal, "{line}");
    }
}

/// Asks for a secret on /dev/tty; `None` where whoever is asked breaks off (Ctrl-C, Ctrl-D).
///
/// # Errors
/// Where there is no terminal.
pub(in crate::io) fn secret(prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let terminal = open()?;
    let silenced = Silenced::new(&terminal)?; // before the prompt: who answers at once is not echoed
    write!(&terminal, "{prompt}")?;
    let line = read_line(&terminal);
    drop(silenced);
    writeln!(&terminal)?;
    line
}

fn read_line(mut keyboard: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const CTRL_C: u8 = 0x03;
    const CTRL_D: u8 = 0x04;
    const CTRL_U: u8 = 0x15;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LENGTH));
    let mut byte = Zeroizing::new([0]);
    loop {
        match keyboard.read(byte.as_mut()) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match *byte {
            [b'\n' | b'\r'] => return Ok(Some(line)),
            [CTRL_C | CTRL_D] => return Ok(None),
            [CTRL_U] => line.clear(),
            [0x08 | 0x7f] => {
                line.pop();
            }
            [other] if line.len() < MAX_LENGTH => line.push(other),
            _ => {}
        }
    }
}

/// A terminal without echo until this is dropped, or until a signal ends the process. Ctrl-C comes as a byte.
struct Silenced<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silenced<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        restore_on_signals(terminal.try_clone()?, before.clone())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

/// A thread that gives the terminal back as it was before a signal does what it would have done. It stays: without it these
/// signals would do nothing any more.
fn restore_on_signals(terminal: File, before: Termios) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    std::thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

impl Drop for Silenced<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_they_are_typed() {
        for (typed, line) in [
            ("open sesame\n", Some("open sesame")),
            ("typo\x7f\x7fed\r", Some("tyed")),
            ("\x7fwrong\x15right\nmore", Some("right")),
            ("\n", Some("")),
            ("half\x03\n", None),
            ("half\x04\n", None),
            ("half", None),
        ] {
            let read = read_line(typed.as_bytes()).unwrap();
            assert_eq!(read.as_deref().map(Vec::as_slice), line.map(str::as_bytes), "{typed:?}");
        }
        let long = read_line([&[b'x'; 5000][..], b"\n"].concat().as_slice()).unwrap().unwrap();
        assert_eq!((long.len(), long.capacity()), (MAX_LENGTH, MAX_LENGTH));
    }
}
