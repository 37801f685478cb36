//! A socket that the service manager listens at and hands over (sd_listen_fds(3)).
//!
//! The file descriptor comes in as a number. Owning what a number names is `unsafe`, so the kernel is asked for a second
//! descriptor of the same socket, through this process's own pidfd.

use anyhow::Result;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The one socket that was handed over to this process, if one was; it must listen at this path.
///
/// # Errors
/// Where what was handed over is something else.
#[cfg(target_os = "linux")]
pub(super) fn inherited(path: &Path) -> Result<Option<UnixListener>> {
    use anyhow::{Context as _, bail};
    use rustix::net::{AddressFamily, SocketType, sockopt};
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use std::env;

    /// The first descriptor that is handed over.
    const FIRST: i32 = 3;
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(None); // meant for whoever started us, if for anybody
    }
    if number("LISTEN_FDS") != Some(1) {
        bail!("the service manager hands over {} sockets, and the agent has one", number("LISTEN_FDS").unwrap_or(0));
    }
    let own = pidfd_open(getpid(), PidfdFlags::empty());
    let socket = own.and_then(|own| pidfd_getfd(own, FIRST, PidfdGetfdFlags::empty()));
    let socket = socket.context("cannot take over the service manager's socket (Linux 5.6 or newer is needed)")?;
    let is_stream = sockopt::socket_domain(&socket).is_ok_and(|domain| domain == AddressFamily::UNIX)
        && sockopt::socket_type(&socket).is_ok_and(|kind| kind == SocketType::STREAM)
        && sockopt::socket_acceptconn(&socket).unwrap_or(false);
    if !is_stream {
        bail!("what the service manager hands over is no Unix socket that listens (ListenStream=%t/git-warrant/agent)");
    }
    let listener = UnixListener::from(socket);
    let address = listener.local_addr().context("the service manager's socket has no address")?;
    if address.as_pathname() != Some(path) {
        bail!("the service manager's socket is not at {}, where the agent is looked for", path.display());
    }
    listener.set_nonblocking(false).context("cannot wait at the service manager's socket")?;
    Ok(Some(listener))
}

/// None: only systemd does this.
#[cfg(not(target_os = "linux"))]
pub(super) fn inherited(_: &Path) -> Result<Option<UnixListener>> {
    Ok(None)
}
