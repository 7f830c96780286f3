//! The machine-sized home: the whole deployment on one computer, in one process.
//!
//! It reads the same template that is deployed, runs the same functions through the same events, and stands in for the
//! services behind them: DynamoDB, S3 and SQS are embedded, API Gateway, Lambda's event sources and EventBridge's
//! schedules are here. Nothing needs a network beyond loopback, and a data folder carries everything over restarts.
//!
//! | module | holds |
//! |---|---|
//! | this one | [`Home`]: starts it all, and the handles that tests and the console use |
//! | [`template`] | reads the template: functions, routes, tables, queues, buckets, what calls what |
//! | [`whole`] | [`whole::Whole`]: the home with its sandboxes, as `tessera` starts it and tests use it |
//! | [`console`] | pages for the operator: what is wrong, queues, mail, payments, tables |
//! | [`functions`] | which program is which function |
//! | [`figures`] | what actions cost, beside what the design allows |
//! | [`timing`] | how long answers to a sign-in take, whatever is wrong with it |
//! | [`openapi`] | the API description of all functions |
//! | `invoke` | how functions are called |
//! | [`gateway`] | the API: routes, events, limits, CORS |
//! | [`sources`] | queues, table streams and schedules that call functions |
//! | [`stores`] | the embedded stores and the faults in front of them |
//! | [`secrets`] | the secrets a deployment would have in Secrets Manager |
//! | `error` | [`HomeError`], [`Unbuilt`] |
//!
//! **Trust.** Who can reach the listener is a client of the API like any other, but may also move the clock; who can
//! reach loopback can reach the stores. It is a home for one machine's owner, not a server for strangers.
//!
//! **Not the same as AWS**: eventual consistency, throttling and transaction conflicts do not happen by themselves (see
//! [`stores::faults`]); IAM permissions are checked for tables
//! alone ([`stores::permissions`]); the stores' log is written before an answer, but a power cut
//! may lose the last moments.

pub mod console;
mod error;
pub mod figures;
pub mod functions;
pub mod gateway;
mod invoke;
pub mod openapi;
pub mod secrets;
pub mod sources;
pub mod stores;
pub mod template;
pub mod timing;
pub mod whole;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use gateway::{Gateway, Recorded};
use http::{Request, StatusCode};
use invoke::{Activity, Function};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sources::positions::Positions;
use sources::queues::Poller;
use sources::schedules::Schedules;
use sources::streams::{Progress, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stores::dynamodb::{Server, Tables};
use stores::faults::Faults;
use stores::permissions::Permissions;
use stores::s3::{ACCESS_KEY, Objects, SECRET_KEY};
use template::{Settings, Template};
use tessera::app::Process;
use tessera::clock::Clock;
use tessera::config::Config;
use tessera::telemetry::Meter;
use tessera_sqs::Sqs;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use error::{HomeError, Unbuilt};
pub use invoke::Registry;

/// The region of a home, in every ARN.
pub const REGION: &str = "local";
/// The account of a home, in every ARN and queue URL.
pub const ACCOUNT: &str = "000000000000";

/// The deployment's template, as this program was built with it.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Where a data folder keeps how far its clock was moved, milliseconds as text.
const MOVED: &str = "clock-moved-ms";

/// How often expired items are deleted and passed stream records forgotten.
const SWEEP: Duration = Duration::from_secs(30);

/// An address that is taken, before anything else of a home exists: its URL is known from here on.
#[derive(Debug)]
pub struct Listen {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Listen {
    /// Takes an address; port 0 is any free one.
    ///
    /// # Errors
    /// [`HomeError::InUse`] if somebody else has it, [`HomeError::Io`] if it cannot be taken otherwise.
    pub fn at(address: SocketAddr) -> Result<Self, HomeError> {
        let listener = std::net::TcpListener::bind(address).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => HomeError::InUse(address),
            _ => HomeError::Io { what: format!("listening on {address}"), source: error },
        })?;
        let bound = listener.local_addr().map_err(HomeError::io("the listener's address"))?;
        Ok(Self { listener, address: bound })
    }

    /// Any free port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub fn anywhere() -> Result<Self, HomeError> {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Where the home will answer, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        // A home that listens everywhere is reached here on loopback.
        if self.address.ip().is_unspecified() {
            format!("http://127.0.0.1:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }
}

/// How to start a home.
pub struct Options {
    /// Where the API answers.
    pub listen: Listen,
    /// Where everything is kept; `None` is a folder that is gone with the home.
    pub data: Option<PathBuf>,
    /// The template; `None` is the one this program was built with.
    pub template: Option<PathBuf>,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Values for those parameters of these names that the template happens to have.
    pub offered: BTreeMap<String, String>,
    /// Settings for every function, over those of the template.
    pub environment: BTreeMap<String, String>,
    /// Secrets over the generated ones, by key.
    pub secrets: BTreeMap<String, String>,
    /// After which time failed work is tried again, whole seconds for queues; `None` is what the deployment would do
    /// (a queue's visibility timeout, which is minutes).
    pub retry_delay: Option<Duration>,
    /// The longest that a batch is gathered, whatever windows the template has.
    pub longest_window: Duration,
    /// Routers in front of the API, by prefix. They see paths without it.
    pub extra: Vec<(String, Router)>,
    /// The time.
    pub clock: Clock,
}

impl Options {
    /// A home that forgets everything when it stops and does not dawdle: what tests want.
    #[must_use]
    pub fn new(listen: Listen) -> Self {
        Self {
            listen,
            data: None,
            template: None,
            parameters: BTreeMap::new(),
            offered: BTreeMap::new(),
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            retry_delay: Some(Duration::ZERO),
            longest_window: Duration::ZERO,
            extra: Vec::new(),
            clock: Clock::default(),
        }
    }
}

/// A home that runs. Clones are handles on the same one; it runs until [`Home::stop`], or until the last handle and
/// its runtime are gone.
#[derive(Clone)]
pub struct Home {
    inner: Arc<Inner>,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Home").field(&self.inner.url).finish()
    }
}

struct Inner {
    url: String,
    data: PathBuf,
    clock: Clock,
    meter: Arc<Meter>,
    secrets: BTreeMap<String, String>,
    template: Template,
    endpoints: Endpoints,
    sqs: Arc<Sqs>,
    tables: Arc<Tables>,
    faults: Arc<Faults>,
    activity: Arc<Activity>,
    gateway: Arc<Gateway>,
    schedules: Arc<Schedules>,
    progress: Vec<Arc<Progress>>,
    /// Queues that a function reads: those that get empty by themselves.
    polled: BTreeSet<String>,
    stop_front: watch::Sender<bool>,
    stop_sources: watch::Sender<bool>,
    stop_stores: watch::Sender<bool>,
    running: Mutex<Option<Running>>,
}

/// What has to end before a home has stopped.
struct Running {
    front: JoinHandle<()>,
    sources: Vec<JoinHandle<()>>,
    endpoints: Vec<JoinHandle<()>>,
    dynamodb: Server,
    /// Deleted when dropped, last of all.
    folder: Option<tempfile::TempDir>,
}

/// Where the stores answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Tables.
    pub dynamodb: String,
    /// Queues.
    pub sqs: String,
    /// Objects.
    pub s3: String,
}

/// Quiet did not come in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not settled: {0}")]
pub struct Unsettled(pub String);

impl Home {
    /// Starts everything. Must be called on a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// The first thing that does not work, before any request is answered.
    pub async fn start(options: Options, registry: Registry) -> Result<Self, HomeError> {
        let url = options.listen.url();
        let (clock, meter) = (options.clock, Arc::new(Meter::default()));
        let folder = options.data.is_none().then(scratch).transpose()?;
        let data = match (&options.data, &folder) {
            (Some(data), _) => data.clone(),
            (None, Some(folder)) => folder.path().to_owned(),
            (None, None) => return Err(HomeError::Data("there is no data folder".to_owned())),
        };
        make_private(&data).map_err(HomeError::io(format!("the data folder {}", data.display())))?;

        let (dynamodb_listener, dynamodb) = loopback().await?;
        let (sqs_listener, sqs_url) = loopback().await?;
        let (s3_listener, s3) = loopback().await?;
        let endpoints = Endpoints { dynamodb, sqs: sqs_url, s3 };

        remember(&data, &clock)?;

        // The queues first: their file is locked, so a second home on the same folder ends here.
        let sqs = queues(&data, &endpoints.sqs, &clock)?;
        let mut secrets = secrets::open(&data)?;
        secrets.extend(options.secrets);
        let settings = Settings {
            region: REGION.to_owned(),
            account: ACCOUNT.to_owned(),
            stack: "tessera".to_owned(),
            url: url.clone(),
            queues: endpoints.sqs.clone(),
            parameters: options.parameters,
            offered: options.offered,
            secrets: secrets.clone(),
        };
        let template = read_template(options.template.as_deref(), &settings)?;

        let faults = Arc::new(Faults::default());
        let tables =
            Tables::open(&data.join("dynamodb.db"), template.tables.clone(), &settings, clock.clone())?;
        let objects = Objects::open(&data.join("s3"), &template.buckets, &faults)?;
        stores::sqs::ensure(&sqs, &template.queues)?;
        let positions = Arc::new(Positions::open(&data.join("positions.db"))?);

        let process = Process::new(clock.clone(), Some(meter.clone()));
        let activity = Arc::new(Activity::default());
        let mut functions = Vec::new();
        for function in &template.functions {
            let config = config(function, &options.environment, &endpoints, &url);
            let built = Function::new(function.clone(), &config, &process, &registry, &activity, &settings);
            let built = built.map_err(|error| HomeError::Function {
                function: function.logical.clone(),
                line: function.line,
                error,
            })?;
            functions.push(Arc::new(built));
        }

        let (stop_front, stop_sources, stop_stores) =
            (watch::Sender::new(false), watch::Sender::new(false), watch::Sender::new(false));
        let context = sources::Context {
            sqs: sqs.clone(),
            faults: faults.clone(),
            activity: activity.clone(),
            clock: clock.clone(),
            region: REGION.to_owned(),
            retry_delay: options.retry_delay,
            longest_window: options.longest_window,
            stop: stop_sources.subscribe(),
        };
        let scheduled = functions
            .iter()
            .flat_map(|function| {
                function.template.schedules.iter().map(|schedule| (function.clone(), schedule.clone()))
            })
            .collect();
        let schedules = Schedules::new(context.clone(), settings.clone(), scheduled);
        let schedules =
            Arc::new(schedules.map_err(|error| template_error(options.template.as_deref(), error))?);
        let readers = readers(&functions, &context, &settings, &tables, &positions)?;
        let progress: Vec<_> = readers.iter().map(|reader| reader.progress.clone()).collect();
        let polled = functions
            .iter()
            .flat_map(|function| function.template.queues.iter().map(|source| source.queue.clone()))
            .collect();

        let port = options.listen.address.port();
        let cors = template.cors.clone();
        let gateway = Arc::new(Gateway::new(&functions, cors, clock.clone(), ACCOUNT.to_owned(), port));
        for (prefix, router) in options.extra {
            gateway.plug(&prefix, router);
        }

        // From here on nothing can fail, and things begin to run: stores, then what uses them, then the door.
        let listener = options.listen.listener;
        listener.set_nonblocking(true).map_err(HomeError::io("the listener"))?;
        let listener = TcpListener::from_std(listener).map_err(HomeError::io("the listener"))?;
        let dynamodb = Server::start(
            &tables,
            &faults,
            Permissions::of(&template),
            dynamodb_listener,
            stop_stores.subscribe(),
        )?;
        let s3 = stores::serve(s3_listener, stop_stores.subscribe(), move || objects.clone());
        let queues = stores::sqs::Queues::new(sqs.clone(), &faults);
        let sqs_served = stores::serve(sqs_listener, stop_stores.subscribe(), move || queues.clone());
        let endpoints_run = vec![tokio::spawn(s3), tokio::spawn(sqs_served)];

        let mut running = Vec::new();
        for function in &functions {
            for source in &function.template.queues {
                let poller = Poller {
                    context: context.clone(),
                    function: function.clone(),
                    source: source.clone(),
                    arn: settings.arn("sqs", &source.queue),
                };
                running.push(tokio::spawn(poller.run()));
            }
        }
        running.extend(readers.into_iter().map(|reader| tokio::spawn(reader.run())));
        running.push(tokio::spawn(schedules.clone().run()));
        running.push(tokio::spawn(sweep(context, tables.clone(), progress.clone())));

        let stopped = stop_front.subscribe();
        let inner = Arc::new_cyclic(|home: &std::sync::Weak<Inner>| {
            let front = tokio::spawn(serve(listener, gateway.clone(), home.clone(), stopped));
            Inner {
                url,
                data,
                clock,
                meter,
                secrets,
                template,
                endpoints,
                sqs,
                tables,
                faults,
                activity,
                gateway,
                schedules,
                progress,
                polled,
                stop_front,
                stop_sources,
                stop_stores,
                running: Mutex::new(Some(Running {
                    front,
                    sources: running,
                    endpoints: endpoints_run,
                    dynamodb,
                    folder,
                })),
            }
        });
        Ok(Self { inner })
    }

    /// Where the API answers, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The folder where everything is kept.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.inner.data
    }

    /// The time here.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Moves the time forward: schedules that become due fire once each, delayed messages arrive, items expire.
    ///
    /// # Errors
    /// If expired items cannot be deleted.
    pub async fn advance(&self, by: Duration) -> Result<(), HomeError> {
        self.inner.advance(by).await
    }

    /// Store calls and capacity units by action.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.inner.meter
    }

    /// The secrets by key, as the template refers to them.
    #[must_use]
    pub fn secrets(&self) -> &BTreeMap<String, String> {
        &self.inner.secrets
    }

    /// What the template says.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.inner.template
    }

    /// Where the stores answer the AWS SDKs, with any credentials but for S3: see [`Home::credentials`].
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.inner.endpoints
    }

    /// Access key and secret key, as functions have them.
    #[must_use]
    pub const fn credentials() -> (&'static str, &'static str) {
        (ACCESS_KEY, SECRET_KEY)
    }

    /// The queues.
    #[must_use]
    pub fn sqs(&self) -> &Arc<Sqs> {
        &self.inner.sqs
    }

    /// What goes wrong on purpose.
    #[must_use]
    pub fn faults(&self) -> &Arc<Faults> {
        &self.inner.faults
    }

    /// The last 200 requests to the API, newest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.inner.gateway.recorded()
    }

    /// The tables with their item counts.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn tables(&self) -> Result<BTreeMap<String, u64>, HomeError> {
        self.inner.tables.counts()
    }

    /// The schedules: `Function/Event`, the expression, and when it fires next.
    #[must_use]
    pub fn schedules(&self) -> Vec<(String, String, Option<Timestamp>)> {
        self.inner.schedules.list()
    }

    /// Runs a schedule now, whatever its time, by `Function/Event` or by the event's name if only one has it.
    ///
    /// # Errors
    /// If there is no such schedule, or what the function answers.
    pub async fn run_schedule(&self, name: &str) -> Result<Value, String> {
        self.inner.schedules.run_now(name).await
    }

    /// Puts a router in front of everything under a prefix; it sees paths without it. For what needs a handle on the
    /// home itself, such as the console.
    pub fn plug(&self, prefix: &str, router: Router) {
        self.inner.gateway.plug(prefix, router);
    }

    /// Waits until nothing is left to do: queues that a function reads are empty of visible messages and messages in
    /// flight (not of delayed ones), streams are read to their end, and no function runs.
    ///
    /// # Errors
    /// What is still going on after `timeout`.
    pub async fn settle(&self, timeout: Duration) -> Result<(), Unsettled> {
        self.inner.settle(timeout).await
    }

    /// Stops: no new requests, then no new work, then the stores. Requests and batches under way are finished until
    /// `deadline` is over. When the last handle is gone, too, the data folder is free for another home. Stopping what
    /// was stopped does nothing.
    ///
    /// # Errors
    /// [`Unsettled`] if something did not end in time; it ends with the process.
    pub async fn stop(self, deadline: Duration) -> Result<(), Unsettled> {
        self.inner.stop(deadline).await
    }
}

impl Inner {
    async fn advance(&self, by: Duration) -> Result<(), HomeError> {
        let by = SignedDuration::try_from(by).map_err(HomeError::store("moving the clock"))?;
        self.clock.advance(by);
        // What was stored after the move would lie in the future of a home that forgot it.
        std::fs::write(self.data.join(MOVED), self.clock.moved_ms().to_string())
            .map_err(HomeError::io("keeping the moved clock"))?;
        self.sqs.clock_moved();
        self.schedules.clock_moved();
        let tables = self.tables.clone();
        let expired = tokio::task::spawn_blocking(move || tables.expire()).await;
        expired.map_err(HomeError::store("expiring items"))??;
        Ok(())
    }

    /// What is still to do, in words, or else two numbers that change when something was done.
    fn unfinished(&self) -> Result<(u64, u64), String> {
        let running = self.activity.running();
        if running > 0 {
            return Err(format!("{running} calls run"));
        }
        let mut written = 0;
        for progress in &self.progress {
            let Some(changes) = self.tables.changes(&progress.table) else { continue };
            let (wrote, read) = (*changes.borrow(), progress.drained.load(Ordering::SeqCst));
            // A reader that never came to its end has read as many writes as there are at most.
            if read == u64::MAX || read < wrote {
                return Err(format!("the stream of {} is not read to its end", progress.table));
            }
            written += wrote;
        }
        let queues = self.sqs.queues().map_err(|error| error.to_string())?;
        for queue in queues.iter().filter(|queue| self.polled.contains(&queue.name)) {
            if queue.dead_letter_sources.is_empty() && queue.counts.visible + queue.counts.in_flight > 0 {
                let (visible, in_flight) = (queue.counts.visible, queue.counts.in_flight);
                return Err(format!("queue {} has {visible} messages and {in_flight} in flight", queue.name));
            }
        }
        Ok((self.activity.begun(), written))
    }

    async fn settle(&self, timeout: Duration) -> Result<(), Unsettled> {
        let end = tokio::time::Instant::now() + timeout;
        let mut before = None;
        loop {
            // Looked at twice: between one look and the other nothing may have begun, or a thing was on its way from
            // a place that had been looked at to one that had not.
            let now = self.unfinished();
            match &now {
                Ok(counts) if before == Some(*counts) => return Ok(()),
                Ok(counts) => before = Some(*counts),
                Err(_) => before = None,
            }
            if tokio::time::Instant::now() >= end {
                return Err(Unsettled(now.err().unwrap_or_else(|| "something began just now".to_owned())));
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    async fn stop(&self, deadline: Duration) -> Result<(), Unsettled> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return Ok(()) };
        let orderly = async {
            self.stop_front.send_replace(true);
            joined(vec![running.front]).await;
            // What was plugged in may hold the home it was plugged into.
            self.gateway.unplug();
            self.stop_sources.send_replace(true);
            joined(running.sources).await;
            self.stop_stores.send_replace(true);
            joined(running.endpoints).await;
            running.dynamodb.stop().await;
        };
        let ended = tokio::time::timeout(deadline, orderly).await;
        // Whatever still waits should not wait for an order that never came.
        self.stop_sources.send_replace(true);
        self.stop_stores.send_replace(true);
        drop(running.folder);
        ended.map_err(|_| Unsettled(format!("{} calls run after the deadline", self.activity.running())))
    }
}

async fn joined(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a part of the home ended badly");
        }
    }
}

/// Makes a folder that only its owner can look into; one that is there stays as it is.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A folder in memory where the system has one, else on disk; both are gone with the home.
fn scratch() -> Result<tempfile::TempDir, HomeError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("tessera-");
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        builder.tempdir_in(memory).or_else(|_| builder.tempdir())
    } else {
        builder.tempdir()
    };
    made.map_err(HomeError::io("a temporary folder"))
}

/// Moves a fresh clock to where this data folder's was.
fn remember(data: &Path, clock: &Clock) -> Result<(), HomeError> {
    let path = data.join(MOVED);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let moved: i64 = text
                .trim()
                .parse()
                .map_err(|_| HomeError::Data(format!("{}: not a number of milliseconds", path.display())))?;
            clock.advance(SignedDuration::from_millis(moved - clock.moved_ms()));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(HomeError::io(path.display().to_string())(error)),
    }
}

async fn loopback() -> Result<(TcpListener, String), HomeError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(HomeError::io("a loopback listener"))?;
    let address = listener.local_addr().map_err(HomeError::io("a loopback listener"))?;
    Ok((listener, format!("http://{address}")))
}

fn queues(data: &Path, url: &str, clock: &Clock) -> Result<Arc<Sqs>, HomeError> {
    let clock = clock.clone();
    let now: tessera_sqs::Clock = Arc::new(move || clock.now().as_millisecond());
    let mut options = tessera_sqs::Options::new(url, now);
    options.region = REGION.to_owned();
    options.account = ACCOUNT.to_owned();
    let path = data.join("sqs.db");
    let what = format!("the queue store {}", path.display());
    Sqs::open(&tessera_sqs::Storage::File(path), options).map_err(HomeError::store(what))
}

fn template_error(file: Option<&Path>, error: template::TemplateError) -> HomeError {
    HomeError::Template { file: file.unwrap_or(Path::new("template.yaml")).to_owned(), error }
}

fn read_template(file: Option<&Path>, settings: &Settings) -> Result<Template, HomeError> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).map_err(HomeError::io(file.display().to_string()))?,
        None => TEMPLATE.to_owned(),
    };
    Template::read(&text, settings).map_err(|error| template_error(file, error))
}

/// A function's settings: the template's, those that Lambda would give, and where the stores are.
fn config(
    function: &template::Function,
    over: &BTreeMap<String, String>,
    endpoints: &Endpoints,
    url: &str,
) -> Config {
    let given = [
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        // Which function asks: the tables allow it what its policies do.
        ("AWS_SESSION_TOKEN", function.logical.clone()),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoints.dynamodb.clone()),
        ("AWS_ENDPOINT_URL_SQS", endpoints.sqs.clone()),
        ("AWS_ENDPOINT_URL_S3", endpoints.s3.clone()),
        ("AWS_ENDPOINT_URL_SESV2", format!("{url}/_ses")),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
    ];
    let given = given.into_iter().map(|(name, value)| (name.to_owned(), value));
    let own = function.environment.clone().into_iter();
    given.chain(own).chain(over.clone()).collect()
}

fn readers(
    functions: &[Arc<Function>],
    context: &sources::Context,
    settings: &Settings,
    tables: &Arc<Tables>,
    positions: &Arc<Positions>,
) -> Result<Vec<Reader>, HomeError> {
    let mut readers = Vec::new();
    for function in functions {
        for source in &function.template.streams {
            if tables.changes(&source.table).is_none() {
                let what = format!("event {}: table {} has no stream", source.event, source.table);
                return Err(HomeError::Function {
                    function: function.logical().to_owned(),
                    line: function.template.line,
                    error: Unbuilt::Kind(what),
                });
            }
            let progress = Progress {
                table: source.table.clone(),
                passed: AtomicI64::new(0),
                drained: AtomicU64::new(u64::MAX),
            };
            let reader = Reader {
                context: context.clone(),
                settings: settings.clone(),
                function: function.clone(),
                source: source.clone(),
                tables: tables.clone(),
                positions: positions.clone(),
                progress: Arc::new(progress),
            };
            reader.begin()?;
            readers.push(reader);
        }
    }
    Ok(readers)
}

/// Deletes expired items and forgets stream records that everybody has read, from time to time.
async fn sweep(context: sources::Context, tables: Arc<Tables>, progress: Vec<Arc<Progress>>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = context.stopped() => return,
        }
        let mut passed: BTreeMap<String, i64> = BTreeMap::new();
        for progress in &progress {
            let at = progress.passed.load(Ordering::SeqCst);
            passed
                .entry(progress.table.clone())
                .and_modify(|slowest| *slowest = (*slowest).min(at))
                .or_insert(at);
        }
        let tables = tables.clone();
        let swept = tokio::task::spawn_blocking(move || {
            tables.expire()?;
            tables.trim(&passed)
        });
        match swept.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "sweeping failed"),
            Err(error) => tracing::error!(%error, "sweeping ended badly"),
        }
    }
}

/// What the front door's handlers share. The home is held weakly: it owns the door.
#[derive(Clone)]
struct Door {
    gateway: Arc<Gateway>,
    home: std::sync::Weak<Inner>,
}

/// The one listener everybody talks to.
async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    home: std::sync::Weak<Inner>,
    mut stop: watch::Receiver<bool>,
) {
    let router = Router::new()
        .route("/_local/health", axum::routing::get(health))
        .route("/_local/meter", axum::routing::get(meter))
        .route("/_local/clock", axum::routing::post(advance))
        .fallback(api)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Door { gateway, home })
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let stopped = async move {
        let _stopped = stop.wait_for(|stop| *stop).await.is_ok();
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the listener ended");
    }
}

async fn api(
    State(door): State<Door>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    door.gateway.serve(from, request).await
}

async fn health() -> Response {
    axum::Json(json!({"status": "ok"})).into_response()
}

/// `GET /_local/meter` answers, by action, how often it ran and what all its runs cost at the store.
async fn meter(State(door): State<Door>) -> Response {
    let Some(home) = door.home.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let sums = home.meter.tallies().into_iter().map(|(action, tally)| {
        let sums = json!({"runs": tally.runs, "round_trips": tally.round_trips,
            "write_units": tally.write_units, "read_units": tally.read_units});
        (action.to_string(), sums)
    });
    axum::Json(sums.collect::<serde_json::Map<_, _>>()).into_response()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

/// `POST /_local/clock {"advance_seconds": 3600}` answers the new time.
async fn advance(State(door): State<Door>, axum::Json(asked): axum::Json<Advance>) -> Response {
    let Some(home) = door.home.upgrade() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match home.advance(Duration::from_secs(asked.advance_seconds)).await {
        Ok(()) => axum::Json(json!({"now": home.clock.now().to_string()})).into_response(),
        Err(error) => {
            tracing::error!(%error, "the clock could not be moved");
            (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(json!({"message": error.to_string()})))
                .into_response()
        }
    }
}
