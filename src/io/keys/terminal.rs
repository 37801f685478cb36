//! Passphrases, asked at the terminal: standard input and output are git's.

use std::path::Path;
use zeroize::Zeroizing;

/// Asks for the passphrase of a key file on /dev/tty; `None` where there is no terminal, or nobody who answers.
pub fn passphrase(path: &Path) -> Option<Zeroizing<String>> {
    let name = path.to_string_lossy().escape_debug().to_string(); // a name cannot move the cursor
    rpassword::prompt_password(format!("Enter passphrase for {name}: ")).ok().map(Zeroizing::new)
}
