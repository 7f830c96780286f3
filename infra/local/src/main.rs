//! `tessera`: starts the home on this machine.

mod apart;

use apart::Apart;
use clap::{Args, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tessera::telemetry;
use tessera_demo::Options as Demand;
use tessera_demo::load;
use tessera_local::secrets::Step;
use tessera_local::whole::{Whole, WholeOptions};
use tessera_local::{Listen, figures, openapi, secrets, timing};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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

#[derive(Subcommand)]
enum Command {
    /// Start the home (what happens without a command)
    Serve(Serve),
    /// Run a real on-sale against a home: 1,600 tickets, gone in seconds, then the gate, then the books
    Demo(Demo),
    /// Measure how much a home takes: holds, refusals and paid bookings a second, and what one costs in CPU time
    Load(Load),
    /// Print what each action costs: round trips and capacity units, beside what the design allows
    Figures,
    /// Measure how long an answer to a sign-in takes, whatever is wrong with it
    SignIns {
        /// How often each kind is asked, 1 to 10,000
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        samples: u32,
    },
    /// Print the API description
    Openapi,
    /// Print a fresh set of secrets; or take a set on standard input one step on, and print it (see shared/docs/secrets.md)
    Secrets(Secrets),
}

#[derive(Args)]
struct Secrets {
    #[command(subcommand)]
    step: Option<SecretsStep>,
}

#[derive(Subcommand, Clone, Copy)]
enum SecretsStep {
    /// Publish a new key and a new secret, which nothing uses yet
    Add,
    /// Use what was added; what was used before is still good
    Switch,
    /// Only the key in use is good: 20 minutes after the switch was deployed
    RetireKeys,
    /// Only the secret in use is good: see the runbook for when
    RetireSecrets,
}

#[derive(Args)]
struct Demo {
    /// A running server; without it a home is started on a fresh folder and stopped at the end
    #[arg(long)]
    url: Option<String>,
    /// Places on sale
    #[arg(long, default_value_t = 1600)]
    capacity: u32,
    /// What the buyers do
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much faster than the real sale they come
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
}

#[derive(Args)]
struct Load {
    /// A running server; without it a home is started on a fresh folder, as a process of its own
    #[arg(long)]
    url: Option<String>,
    /// How many clients ask at once, 1 to 256; one round for each number
    #[arg(long, value_delimiter = ',', default_value = "16,256")]
    clients: Vec<usize>,
    /// How long each measurement asks, 1 to 20
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Only holds, refusals, bookings (all on one event) or many (the three on many events)
    #[arg(long, value_delimiter = ',')]
    only: Vec<load::Part>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    log(matches!(
        cli.command,
        Some(
            Command::Demo(_)
                | Command::Load(_)
                | Command::Figures
                | Command::SignIns { .. }
                | Command::Secrets(_)
        )
    ));
    let outcome = match cli.command {
        Some(Command::Serve(serve)) => self::serve(serve).await,
        Some(Command::Demo(demo)) => self::demo(demo).await,
        Some(Command::Load(load)) => self::load(load).await,
        Some(Command::Figures) => self::figures().await,
        Some(Command::SignIns { samples }) => sign_ins(samples).await,
        Some(Command::Openapi) => describe(),
        Some(Command::Secrets(wish)) => secrets(wish.step),
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
fn log(quiet: bool) {
    let level = if quiet { "error" } else { "info" };
    let wanted = telemetry::wanted(&format!("{level},dynoxide=error,s3s=error,s3s_fs=error"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.compact().with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    if let Err(error) = tracing_subscriber::registry().with(lines.with_filter(wanted)).try_init() {
        say(&format!("tessera: no log: {error}"));
    }
}

/// Writes to standard error; when even that is closed there is nobody to tell.
fn say(text: &str) {
    let _written = writeln!(std::io::stderr(), "{text}").is_ok();
}

async fn serve(serve: Serve) -> Result<(), Failure> {
    let options = WholeOptions {
        listen: Some(Listen::at(serve.listen)?),
        data: Some(serve.data.clone()),
        template: serve.template,
        parameters: serve.parameters,
        limits: None,
        retry_delay: Duration::from_secs(2),
    };
    let whole = Whole::start(options).await?;
    let stop = stopped()?;
    banner(whole.url(), &serve.data);
    stop.await;
    say("\nstopping; Ctrl-C again to stop at once");
    let again = stopped()?;
    tokio::select! {
        ended = whole.stop(PATIENCE) => {
            if let Err(error) = ended {
                tracing::warn!(%error, "stopped with work under way; it begins again at the next start");
            }
        }
        () = again => {}
    }
    Ok(())
}

async fn demo(demo: Demo) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let own = match demo.url {
        Some(_) => None,
        None => {
            let data = Some(folder.path().to_owned());
            Some(
                Whole::start(WholeOptions {
                    data,
                    retry_delay: Duration::from_secs(1),
                    ..WholeOptions::default()
                })
                .await?,
            )
        }
    };
    let url = demo.url.or_else(|| own.as_ref().map(|own| own.url().to_owned())).unwrap_or_default();
    let demand = Demand { capacity: demo.capacity, seed: demo.seed, speed: demo.speed, ..Demand::new(url) };
    tokio::select! {
        report = tessera_demo::run(demand) => drop(report?),
        () = stopped()? => return Err("stopped before the end".into()),
    }
    if let Some(own) = own {
        own.stop(PATIENCE).await?;
    }
    Ok(())
}

async fn load(wish: Load) -> Result<(), Failure> {
    let own = match wish.url {
        Some(_) => None,
        None => Some(Apart::start().await?),
    };
    let url = wish.url.or_else(|| own.as_ref().map(|own| own.url().to_owned())).unwrap_or_default();
    let options = load::Options {
        server: own.as_ref().map(Apart::process),
        clients: wish.clients,
        seconds: wish.seconds,
        only: wish.only,
        ..load::Options::new(url)
    };
    tokio::select! {
        measured = load::run(options) => drop(measured?),
        () = stopped()? => return Err("stopped before the end".into()),
    }
    Ok(())
}

async fn figures() -> Result<(), Failure> {
    write!(std::io::stdout(), "{}", figures::count().await?)?;
    Ok(())
}

async fn sign_ins(samples: u32) -> Result<(), Failure> {
    write!(std::io::stdout(), "{}", timing::measure(samples as usize).await?)?;
    Ok(())
}

fn describe() -> Result<(), Failure> {
    std::io::stdout().write_all(openapi::text()?.as_bytes())?;
    Ok(())
}

fn secrets(wish: Option<SecretsStep>) -> Result<(), Failure> {
    let step =
        |step| -> Result<_, Failure> { Ok(secrets::step(serde_json::from_reader(std::io::stdin())?, step)?) };
    let set = match wish {
        None => secrets::fresh()?,
        Some(SecretsStep::Add) => step(Step::Add)?,
        Some(SecretsStep::Switch) => step(Step::Switch)?,
        Some(SecretsStep::RetireKeys) => step(Step::RetireKeys)?,
        Some(SecretsStep::RetireSecrets) => step(Step::RetireSecrets)?,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&set)?)?;
    Ok(())
}

fn banner(url: &str, data: &std::path::Path) {
    say(&format!(
        "\n  Tessera is at home.\n\n  \
         API       {url}\n  \
         API page  {url}/docs\n  \
         Console   {url}/console\n  \
         Data      {}\n\n  \
         Fill it with a demo from another terminal:  cargo run --release -- demo --url {url}\n  \
         Stop with Ctrl-C; the data stays.\n",
        data.display()
    ));
}

/// Ctrl-C or SIGTERM, listened for from the call on: who has read that the home is up may stop it at once.
#[cfg(unix)]
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _interrupted = interrupted.recv() => {}
            _terminated = terminated.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "signals cannot be waited for");
        }
    })
}
