//! `tessera`: starts the home on this machine.

use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tessera_local::{Home, HomeError, Listen, Options, functions};
use tracing_subscriber::EnvFilter;

/// How long requests and batches under way may take after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tessera on one machine: the API, its functions and everything behind them.
#[derive(Parser)]
#[command(name = "tessera", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

// `demo` and `keys` belong here.
#[derive(Subcommand)]
enum Command {
    /// Start the home (what happens without a command)
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Where the API answers
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Where everything is kept
    #[arg(long, default_value = "./.tessera")]
    data: PathBuf,
    /// Another template than the one built in
    #[arg(long)]
    template: Option<PathBuf>,
    /// A parameter of the template, NAME=VALUE
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log();
    let outcome = match cli.command {
        Some(Command::Serve(serve)) => self::serve(serve).await,
        None => self::serve(cli.serve).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("tessera: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Lines for people on a terminal, JSON elsewhere. The embedded stores report every refusal; those are the callers'
/// business.
fn log() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,dynoxide=error,s3s=error,s3s_fs=error"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        lines.compact().with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).try_init()
    };
    if let Err(error) = started {
        say(&format!("tessera: no log: {error}"));
    }
}

/// Writes to standard error; when even that is closed there is nobody to tell.
fn say(text: &str) {
    let _written = writeln!(std::io::stderr(), "{text}").is_ok();
}

async fn serve(serve: Serve) -> Result<(), HomeError> {
    let listen = Listen::at(serve.listen)?;
    let mut options = Options::new(listen);
    options.data = Some(serve.data.clone());
    options.template = serve.template;
    options.parameters = serve.parameters.into_iter().collect::<BTreeMap<_, _>>();
    options.retry_delay = Some(Duration::from_secs(2));
    options.longest_window = Duration::from_millis(100);
    let home = Home::start(options, Arc::new(functions::build)).await?;
    banner(home.url(), &serve.data);
    stopped().await;
    say("\nstopping; Ctrl-C again to stop at once");
    tokio::select! {
        ended = home.stop(PATIENCE) => {
            if let Err(error) = ended {
                tracing::warn!(%error, "stopped with work under way; it begins again at the next start");
            }
        }
        () = stopped() => {}
    }
    Ok(())
}

fn banner(url: &str, data: &std::path::Path) {
    say(&format!(
        "\n  Tessera is at home.\n\n  \
         API       {url}\n  \
         API page  {url}/docs\n  \
         Console   {url}/console\n  \
         Data      {}\n\n  \
         Fill it with a demo from another terminal:  cargo run --release -- demo\n  \
         Stop with Ctrl-C; the data stays.\n",
        data.display()
    ));
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _interrupted = interrupted => {}
                _terminated = terminated.recv() => {}
            }
            return;
        }
    }
    if let Err(error) = interrupted.await {
        tracing::error!(%error, "signals cannot be waited for");
    }
}
