//! Files by which systemd starts the agent when somebody asks for it (systemd.socket(5), systemd.service(5)).

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where the socket lies is where the agent is looked for; a connection starts the service.
const SOCKET: &str = "\
[Unit]
Description=Socket of the agent that holds keyless certificates for git
Documentation=man:git-warrant(1)

[Socket]
ListenStream=%t/git-warrant/agent
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
";

const SERVICE: &str = "\
[Unit]
Description=Agent that holds keyless certificates for git
Documentation=man:git-warrant(1)
Requires=git-warrant-agent.socket

[Service]
ExecStart=PROGRAM agent --foreground
LimitCORE=0
LimitMEMLOCK=infinity
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
";

/// Writes both units into a folder, which is made where it is not there; the files.
///
/// # Errors
/// Where they cannot be written, or this program's own path cannot stand in a unit.
pub(super) fn write(to: &Path) -> Result<[PathBuf; 2]> {
    let program = env::current_exe().context("cannot tell where this program lies")?;
    let service = SERVICE.replace("PROGRAM", &quoted(&program)?);
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let put = |name: &str, text: &str| {
        let path = to.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path)
    };
    Ok([put("git-warrant-agent.socket", SOCKET)?, put("git-warrant-agent.service", &service)?])
}

/// A path as a word of a command line in a unit.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    let Some(text) = text else { bail!("the path of this program cannot stand in a unit: {}", path.display()) };
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_words() {
        assert_eq!(quoted(Path::new("/usr/bin/git-warrant")).unwrap(), "\"/usr/bin/git-warrant\"");
        assert_eq!(quoted(Path::new("/a b/50%/$x\"")).unwrap(), "\"/a b/50%%/$$x\\\"\"");
        assert!(quoted(Path::new("/a\nExecStart=/bin/sh")).is_err());
    }
}
