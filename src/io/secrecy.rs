//! Keeps what is in memory off the disk, and from whoever would attach to this process.

use rustix::process::{Resource, Rlimit, setrlimit};
use std::env;
use std::process::Command;

/// Variables in which somebody may have put a secret for us, or for another program of the same job.
const SECRETS: [&str; 15] = [
    "SIGSTORE_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "BUILDKITE_AGENT_JOB_API_TOKEN",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
    "CIRCLE_TOKEN",
    "CI_JOB_JWT",
    "CI_JOB_JWT_V2",
    "CI_JOB_TOKEN",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "SYSTEM_ACCESSTOKEN",
];

/// Keeps the secrets of our environment from a program that is started: those of known names, and what looks like one.
pub fn without_secrets(command: &mut Command) {
    for (name, value) in env::vars_os() {
        if is_secret(&name.to_string_lossy(), value.as_encoded_bytes()) {
            command.env_remove(name);
        }
    }
}

/// Keeps only those of known names from it: the people's own program may need another token of theirs to find a passphrase.
pub fn without_known_secrets(command: &mut Command) {
    SECRETS.iter().for_each(|name| {
        command.env_remove(name);
    });
}

fn is_secret(name: &str, value: &[u8]) -> bool {
    const WINDOW: &str = "XDG_ACTIVATION_TOKEN"; // by which a window comes to the front
    let upper = name.to_ascii_uppercase();
    let is_token = upper.ends_with("_TOKEN") || upper.ends_with("_JWT") || value.starts_with(b"eyJ"); // `{"` in base64
    SECRETS.contains(&name) || (is_token && name != WINDOW)
}

/// No core file is written of this process. Signers with key files do no more: they need what lies in /proc/self.
pub fn forbid_cores() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Nor is it dumped in any other way, and no other process of the same user looks into it. From now on not even this one opens
/// what lies in /proc/self, such as /dev/stdin.
pub fn forbid_dumps() {
    forbid_cores();
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Has the memory of this process never be swapped out; whether it can be. Where there is a limit on such memory it is left: a
/// process that takes more than the limit would end.
pub fn lock_memory() -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{MlockAllFlags, mlockall};
        use rustix::process::{getrlimit, getuid};
        let limits = getrlimit(Resource::Memlock);
        let _ = setrlimit(Resource::Memlock, Rlimit { current: limits.maximum, ..limits });
        let limited = getrlimit(Resource::Memlock).current.is_some() && !getuid().is_root();
        !limited && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_from_others() {
        for (name, value, want) in [
            ("SYSTEM_ACCESSTOKEN", "x", true),
            ("VAULT_TOKEN", "x", true),
            ("npm_config_token", "x", true),
            ("BUILD_JWT", "x", true),
            ("ANYTHING", "eyJhbGciOiJSUzI1NiJ9.e30.x", true),
            ("XDG_ACTIVATION_TOKEN", "x", false),
            ("TOKEN_PLACE", "x", false),
            ("DISPLAY", ":0", false),
        ] {
            assert_eq!(is_secret(name, value.as_bytes()), want, "{name}");
        }
    }
}
