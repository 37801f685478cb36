//! Keeps what is in memory off the disk, and from whoever would attach to this process.

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core dump is written of this process, and no other of the same user looks into it.
pub fn forbid_dumps() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
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
        let limited = getrlimit(Resource::Memlock).current.is_some() && !getuid().is_root();
        !limited && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    false
}
