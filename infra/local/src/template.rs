//! Reads the deployment's template: what to run and to keep, with every error at its line.
//!
//! Known are the resource types that mean something on one machine (functions, their API, tables, queues, buckets) and
//! those that mean nothing here (alarms, log groups and the like), which are listed as ignored. Anything
//! else is refused: a template that is half understood would run half a deployment.
//!
//! Refused on purpose: `Fn::ImportValue`, `Fn::Transform`, `Fn::ForEach`, YAML aliases, more than one API, authorizers.

mod fields;
mod resolve;
mod resources;
mod yaml;

use std::collections::BTreeMap;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if *line == 0 { String::new() } else { format!("line {line}: ") })]
pub struct TemplateError {
    /// Counted from 1; 0 if no line is to blame.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl TemplateError {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

type Result<T> = std::result::Result<T, TemplateError>;

/// What a template is read with: the place it runs in, and what is handed to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::AccountId`.
    pub account: String,
    /// `AWS::StackName`, the beginning of names the template does not give.
    pub stack: String,
    /// Where the API answers, without a slash at the end.
    pub url: String,
    /// Where queues answer, without a slash at the end: the beginning of queue URLs.
    pub queues: String,
    /// Values for parameters, by name.
    pub parameters: BTreeMap<String, String>,
    /// Values for those parameters of these names that the template happens to have.
    pub offered: BTreeMap<String, String>,
    /// What `{{resolve:secretsmanager:…}}` and `{{resolve:ssm:…}}` find, by key.
    pub secrets: BTreeMap<String, String>,
}

impl Settings {
    /// An ARN in this region and account.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }

    /// The ARN of a table's stream. The label is always the same: a table has one stream for life here.
    #[must_use]
    pub fn stream_arn(&self, table: &str) -> String {
        self.arn("dynamodb", &format!("table/{table}/stream/2026-01-01T00:00:00.000"))
    }

    /// The URL of a queue.
    #[must_use]
    pub fn queue_url(&self, queue: &str) -> String {
        format!("{}/{}/{queue}", self.queues, self.account)
    }
}

/// A deployment, as far as it concerns one machine.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The functions, by logical name.
    pub functions: Vec<Function>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The queues.
    pub queues: Vec<Queue>,
    /// The names of the buckets.
    pub buckets: Vec<String>,
    /// Who may call the API from another origin.
    pub cors: Option<Cors>,
    /// Resources that mean nothing here, as logical name and type.
    pub ignored: Vec<(String, String)>,
}

impl Template {
    /// Reads a template's text.
    ///
    /// # Errors
    /// The first thing that is malformed, unknown or unsupported, with its line.
    pub fn read(source: &str, settings: &Settings) -> Result<Self> {
        resources::read(&yaml::parse(source)?, settings)
    }
}

/// A function and what calls it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name in the template.
    pub logical: String,
    /// Its name as a function.
    pub name: String,
    /// Which program it is.
    pub binary: String,
    /// Where the template has it.
    pub line: usize,
    /// How long one call may take, seconds.
    pub timeout_seconds: u32,
    /// What it would have in Lambda, megabytes.
    pub memory_mb: u32,
    /// Its settings, secrets resolved.
    pub environment: BTreeMap<String, String>,
    /// The routes that lead to it.
    pub routes: Vec<Route>,
    /// The queues it works on.
    pub queues: Vec<QueueSource>,
    /// The table streams it reads.
    pub streams: Vec<StreamSource>,
    /// When it is called by the clock.
    pub schedules: Vec<Schedule>,
    /// What it may do to what.
    pub permissions: Vec<Permission>,
}

/// A statement of a function's policies that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// What, `dynamodb:GetItem`.
    pub actions: Vec<String>,
    /// To what, as ARNs.
    pub resources: Vec<String>,
}

/// A route of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method in capitals; `None` is any.
    pub method: Option<String>,
    /// The path with its `{variables}`; `None` is `$default`.
    pub path: Option<String>,
    /// How long an answer may take, milliseconds, at most 30,000.
    pub timeout_ms: u32,
}

/// A queue that feeds a function.
#[derive(Clone, Debug)]
pub struct QueueSource {
    /// The event's name in the template.
    pub event: String,
    /// The queue's name.
    pub queue: String,
    /// The most messages of one call, 1 to 10,000.
    pub batch: usize,
    /// How long to gather a batch, seconds.
    pub window_seconds: u32,
    /// Whether the function names the messages that failed (`ReportBatchItemFailures`).
    pub partial: bool,
    /// The most calls at once.
    pub concurrency: Option<usize>,
}

/// A table's stream that feeds a function.
#[derive(Clone, Debug)]
pub struct StreamSource {
    /// The event's name in the template.
    pub event: String,
    /// The table's name.
    pub table: String,
    /// Whether a new reader begins with what is already there (`TRIM_HORIZON`), or only with what comes (`LATEST`).
    pub from_start: bool,
    /// The most records of one call.
    pub batch: usize,
    /// How long to gather a batch, seconds.
    pub window_seconds: u32,
    /// Whether a failed batch is halved.
    pub bisect: bool,
    /// How often a failed batch is tried again; `None` is until it works.
    pub retries: Option<u32>,
    /// How old a record may get before it is given up, seconds; `None` is any age.
    pub max_age_seconds: Option<u32>,
    /// The most calls at once.
    pub parallel: usize,
    /// Patterns of which a record must match one, if there are any.
    pub filters: Vec<serde_json::Value>,
    /// Whether the function names the records that failed (`ReportBatchItemFailures`).
    pub partial: bool,
    /// The queue that is told of records that were given up.
    pub on_failure: Option<String>,
}

/// A time at which a function is called.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The event's name in the template.
    pub event: String,
    /// `rate(…)`, `cron(…)` or `at(…)`.
    pub expression: String,
    /// The IANA zone that `cron` and `at` mean.
    pub zone: String,
    /// What the function is called with; without it, the service's own event.
    pub input: Option<serde_json::Value>,
    /// Whether EventBridge Scheduler calls (`ScheduleV2`), or a rule of EventBridge.
    pub scheduler: bool,
    /// Where the template has it.
    pub line: usize,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What `CreateTable` is called with.
    pub definition: serde_json::Value,
    /// Whether it has a stream.
    pub stream: bool,
    /// The attribute with the second from which an item may be forgotten.
    pub ttl: Option<String>,
}

/// A queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its attributes as SQS spells them.
    pub attributes: BTreeMap<String, String>,
}

/// Which pages may call the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins, or `*`.
    pub origins: Vec<String>,
    /// Methods, or `*`.
    pub methods: Vec<String>,
    /// Request headers, or `*`.
    pub headers: Vec<String>,
    /// Answer headers that scripts may read.
    pub expose: Vec<String>,
    /// How long a browser may remember this, seconds.
    pub max_age: Option<u32>,
    /// Whether cookies may come along.
    pub credentials: bool,
}

/// Types that mean nothing on one machine: who watches, who may, and where it is all routed.
fn is_ignored(kind: &str) -> bool {
    const SERVICES: [&str; 15] = [
        "ApiGatewayV2",
        "ApplicationAutoScaling",
        "Backup",
        "Budgets",
        "CertificateManager",
        "CloudFront",
        "CloudWatch",
        "CodeDeploy",
        "IAM",
        "KMS",
        "Logs",
        "Route53",
        "SecretsManager",
        "SNS",
        "SSM",
    ];
    let rest = kind.strip_prefix("AWS::");
    let service = rest.and_then(|rest| rest.split("::").next());
    service.is_some_and(|service| SERVICES.contains(&service))
        || matches!(
            kind,
            "AWS::SQS::QueuePolicy"
                | "AWS::S3::BucketPolicy"
                | "AWS::Lambda::Permission"
                | "AWS::SES::EmailIdentity"
                | "AWS::SES::ConfigurationSet"
                | "AWS::WAFv2::WebACL"
                | "AWS::WAFv2::WebACLAssociation"
        )
}

#[cfg(test)]
mod tests;
