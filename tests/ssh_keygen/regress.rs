//! OpenSSH's own script for signatures, with us in ssh-keygen's place.

use crate::common::{OURS, skipped};
use std::process::{Command, Stdio};

#[test]
fn opensshs_own_script_finds_nothing() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openssh-regress");
    let mut command = Command::new(script);
    let output = command.arg(OURS).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        return skipped("sshsig.sh and sk-dummy.so (Debian's openssh-tests)");
    }
    assert!(output.status.success() && said.contains("0 failed of the checks around 699 calls"), "{said}");
}
