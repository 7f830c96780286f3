//! A home in a process of its own, so that what it uses can be told from what its clients use.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tessera_local::whole::GENEROUS;

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// A child that serves a fresh folder; both are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Apart {
    child: Child,
    url: String,
    // Dropped last: the child is dead by then.
    _folder: tempfile::TempDir,
}

impl Apart {
    /// Starts this program once more, quietly unless `RUST_LOG` says otherwise, and waits until it answers.
    ///
    /// # Errors
    /// If it cannot be started, ends at once, or does not answer within half a minute.
    pub(crate) async fn start() -> Result<Self, crate::Failure> {
        let folder = tempfile::tempdir()?;
        // Free a moment ago: should somebody else be quicker, the child says so and ends.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", &address.to_string(), "--data"]).arg(folder.path());
        // All clients have one address.
        command.args(["--parameter", &format!("Limits={GENEROUS}")]);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn,dynoxide=error,s3s=error,s3s_fs=error");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let url = format!("http://{address}");
        let mut apart = Self { child: command.spawn()?, url, _folder: folder };
        let began = Instant::now();
        loop {
            if reqwest::get(format!("{}/_local/health", apart.url)).await.is_ok() {
                return Ok(apart);
            }
            if let Some(status) = apart.child.try_wait()? {
                return Err(format!("the home ended at once: {status}").into());
            }
            if began.elapsed() > START {
                return Err(format!("{} does not answer", apart.url).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // One that is dead already is just as well.
        let _dead = self.child.kill().and_then(|()| self.child.wait()).is_ok();
    }
}
