//! Each resource type that means something here, property by property.

use super::fields::Fields;
use super::resolve::{Resource, Stack};
use super::yaml::{Entry, Node, Value};
use super::{
    Cors, Function, Permission, Queue, QueueSource, Result, Route, Schedule, Settings, StreamSource, Table,
    Template, TemplateError, is_ignored,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Properties of functions that mean nothing here.
const IGNORED_OF_FUNCTIONS: &[&str] = &[
    "Architectures",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CodeSigningConfigArn",
    "DeploymentPreference",
    "Description",
    "EphemeralStorage",
    "EventInvokeConfig",
    "FunctionName",
    "KmsKeyArn",
    "LoggingConfig",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "RecursiveLoop",
    "ReservedConcurrentExecutions",
    "Role",
    "RolePath",
    "RuntimeManagementConfig",
    "SnapStart",
    "Tags",
    "Tracing",
    "VersionDescription",
    "VpcConfig",
];

/// Properties of APIs that mean nothing here.
const IGNORED_OF_APIS: &[&str] = &[
    "AccessLogSettings",
    "DefaultRouteSettings",
    "Description",
    "DisableExecuteApiEndpoint",
    "Domain",
    "FailOnWarnings",
    "Name",
    "PropagateTags",
    "RouteSettings",
    "StageVariables",
    "Tags",
];

/// Properties of buckets that mean nothing here.
const IGNORED_OF_BUCKETS: &[&str] = &[
    "BucketEncryption",
    "BucketName",
    "CorsConfiguration",
    "IntelligentTieringConfigurations",
    "LifecycleConfiguration",
    "LoggingConfiguration",
    "MetricsConfigurations",
    "ObjectLockEnabled",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
    "Tags",
    "VersioningConfiguration",
];

pub(super) fn read(root: &Node, settings: &Settings) -> Result<Template> {
    for entry in root.as_map("the template")? {
        match entry.key.as_str() {
            "AWSTemplateFormatVersion" | "Description" | "Metadata" | "Outputs" | "Rules" => {}
            "Parameters" | "Mappings" | "Conditions" | "Globals" | "Resources" => {}
            "Transform" => {
                let transform = entry.node.as_text("Transform")?;
                if transform != "AWS::Serverless-2016-10-31" {
                    let what = format!("Transform `{transform}` is not supported here");
                    return Err(TemplateError::new(entry.line, what));
                }
            }
            key => {
                return Err(TemplateError::new(entry.line, format!("section `{key}` is not supported here")));
            }
        }
    }
    let stack = Stack::new(root, settings)?;
    let mut globals = Globals::default();
    if let Some(node) = root.get("Globals") {
        for entry in node.as_map("Globals")? {
            match entry.key.as_str() {
                "Function" => globals.function = Some(&entry.node),
                "HttpApi" => globals.api = Some(&entry.node),
                key => {
                    return Err(TemplateError::new(
                        entry.line,
                        format!("Globals.{key} is not supported here"),
                    ));
                }
            }
        }
    }

    let mut template = Template::default();
    let mut api = None;
    for resource in stack.resources()? {
        for Entry { key, line, .. } in resource.node.as_map(resource.logical)? {
            let known = ["Type", "Properties", "Metadata", "Condition", "DependsOn", "DeletionPolicy"];
            if !known.contains(&key.as_str()) && !key.ends_with("Policy") {
                let what =
                    format!("resource `{}` has `{key}`, which is not supported here", resource.logical);
                return Err(TemplateError::new(*line, what));
            }
        }
        match resource.kind {
            "AWS::Serverless::Function" => template.functions.push(function(&stack, &resource, &globals)?),
            "AWS::Serverless::HttpApi" => {
                if let Some(other) = api.replace(resource.logical) {
                    let what = format!(
                        "there are two APIs, `{other}` and `{}`; one can be served",
                        resource.logical
                    );
                    return Err(TemplateError::new(resource.line, what));
                }
                template.cors = http_api(properties(&stack, &resource, globals.api)?)?;
            }
            "AWS::DynamoDB::Table" => {
                let name = stack.physical(&resource)?;
                template.tables.push(table(name, properties(&stack, &resource, None)?)?);
            }
            "AWS::SQS::Queue" => {
                let name = stack.physical(&resource)?;
                template.queues.push(queue(name, properties(&stack, &resource, None)?)?);
            }
            "AWS::S3::Bucket" => {
                let mut fields = properties(&stack, &resource, None)?;
                fields.ignore(IGNORED_OF_BUCKETS);
                fields.finish()?;
                template.buckets.push(stack.physical(&resource)?);
            }
            kind if is_ignored(kind) => template.ignored.push((resource.logical.into(), kind.into())),
            kind => {
                let what =
                    format!("resource `{}` is a {kind}, which is not supported here", resource.logical);
                return Err(TemplateError::new(resource.line, what));
            }
        }
    }
    if api.is_none() {
        // The API that SAM makes by itself for functions that name none.
        if let Some(node) = globals.api {
            template.cors = http_api(Fields::new(&stack, "Globals.HttpApi", node)?)?;
        }
    }
    Ok(template)
}

#[derive(Default)]
struct Globals<'a> {
    function: Option<&'a Node>,
    api: Option<&'a Node>,
}

/// A resource's properties over the globals of its type.
fn properties<'a>(
    stack: &'a Stack<'a>,
    resource: &Resource<'_>,
    globals: Option<&Node>,
) -> Result<Fields<'a>> {
    let of = format!("{} `{}`", resource.kind, resource.logical);
    match (resource.node.get("Properties"), globals) {
        (Some(own), Some(globals)) => Fields::new(stack, of, &merged(globals, own)),
        (Some(node), None) | (None, Some(node)) => Fields::new(stack, of, node),
        (None, None) => Ok(Fields::none(stack, of, resource.line)),
    }
}

/// SAM's rule for globals: mappings merge, lists add up, anything else is replaced.
fn merged(globals: &Node, own: &Node) -> Node {
    let value = match (&globals.value, &own.value) {
        (Value::Map(ours), Value::Map(theirs)) => {
            let mut entries = ours.clone();
            for entry in theirs {
                match entries.iter_mut().find(|known| known.key == entry.key) {
                    Some(known) => {
                        known.node = merged(&known.node, &entry.node);
                        known.line = entry.line;
                    }
                    None => entries.push(entry.clone()),
                }
            }
            Value::Map(entries)
        }
        (Value::List(ours), Value::List(theirs)) => Value::List(ours.iter().chain(theirs).cloned().collect()),
        _ => own.value.clone(),
    };
    Node { line: own.line, value }
}

fn function(stack: &Stack<'_>, resource: &Resource<'_>, globals: &Globals<'_>) -> Result<Function> {
    let mut fields = properties(stack, resource, globals.function)?;
    fields.ignore(IGNORED_OF_FUNCTIONS);
    fields.one_of("PackageType", &["Zip"])?;
    fields.one_of("Runtime", &["provided.al2023", "provided.al2"])?;
    // A program has no handlers; the service wants a name all the same.
    fields.text("Handler")?;
    let code = fields.text("CodeUri")?;
    let binary = match build_property(resource.node)? {
        Some(binary) => binary,
        // Without a build step the folder of a built program carries its name.
        None => code.as_deref().and_then(|code| code.trim_end_matches('/').rsplit('/').next()).map_or_else(
            || {
                Err(fields.error(
                    fields.line(),
                    "CodeUri",
                    "is missing, and so is Metadata.BuildProperties.Binary",
                ))
            },
            |name| Ok(name.to_owned()),
        )?,
    };
    let mut function = Function {
        logical: resource.logical.to_owned(),
        name: stack.physical(resource)?,
        binary,
        line: resource.line,
        timeout_seconds: fields.parsed("Timeout")?.unwrap_or(3),
        memory_mb: fields.parsed("MemorySize")?.unwrap_or(128),
        environment: BTreeMap::new(),
        routes: Vec::new(),
        queues: Vec::new(),
        streams: Vec::new(),
        schedules: Vec::new(),
        permissions: permissions(stack, resource)?,
    };
    let mut environment = fields.fields("Environment")?;
    let mut variables = environment.fields("Variables")?;
    environment.finish()?;
    for Entry { key, line, node } in variables.rest() {
        let Some(value) = stack.resolve(&node)? else { continue };
        let value = secrets(value.as_text(&key)?, line, stack.settings())?;
        function.environment.insert(key, value);
    }
    let mut events = fields.fields("Events")?;
    fields.finish()?;
    for entry in events.rest() {
        event(stack, &mut function, &entry)?;
    }
    Ok(function)
}

/// What a function's policies allow.
fn permissions(stack: &Stack<'_>, resource: &Resource<'_>) -> Result<Vec<Permission>> {
    let policies = resource.node.get("Properties").and_then(|properties| properties.get("Policies"));
    let Some(policies) = policies.map(|policies| stack.resolve(policies)).transpose()?.flatten() else {
        return Ok(Vec::new());
    };
    // One, or a list of them, here and below.
    let each = |node: &Node| node.as_list("").map_or_else(|_| vec![node.clone()], <[Node]>::to_vec);
    let texts = |node: Option<&Node>, what: &str| -> Result<Vec<String>> {
        let texts = node.map(each).unwrap_or_default();
        texts.iter().map(|text| text.as_text(what).map(str::to_owned)).collect()
    };
    let mut permissions = Vec::new();
    for policy in each(&policies) {
        for statement in policy.get("Statement").map(each).unwrap_or_default() {
            if texts(statement.get("Effect"), "Effect")? != ["Allow"] {
                return Err(TemplateError::new(
                    statement.line,
                    "a policy that does not allow means nothing here",
                ));
            }
            let actions = texts(statement.get("Action"), "Action")?;
            let resources = texts(statement.get("Resource"), "Resource")?;
            permissions.push(Permission { actions, resources });
        }
    }
    Ok(permissions)
}

fn build_property(resource: &Node) -> Result<Option<String>> {
    let Some(metadata) = resource.get("Metadata") else { return Ok(None) };
    let Some(binary) = metadata.get("BuildProperties").and_then(|build| build.get("Binary")) else {
        return Ok(None);
    };
    binary.as_text("Metadata.BuildProperties.Binary").map(|text| Some(text.to_owned()))
}

/// Replaces `{{resolve:secretsmanager:NAME:SecretString:KEY}}` and `{{resolve:ssm:/path/KEY}}` by what KEY is here.
fn secrets(text: &str, line: usize, settings: &Settings) -> Result<String> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{resolve:") {
        resolved.push_str(&rest[..start]);
        let Some(length) = rest[start..].find("}}") else {
            return Err(TemplateError::new(line, "`{{resolve:` without its `}}`"));
        };
        let reference = &rest[start + 10..start + length];
        rest = &rest[start + length + 2..];
        let key = if let Some(secret) = reference.strip_prefix("secretsmanager:") {
            // The secret's name may be an ARN with colons of its own.
            secret.split_once(":SecretString:").and_then(|(_, key)| key.split(':').next())
        } else if let Some(name) = reference.strip_prefix("ssm:").or(reference.strip_prefix("ssm-secure:")) {
            name.split(':').next().and_then(|name| name.rsplit('/').next())
        } else {
            None
        };
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return Err(TemplateError::new(line, format!("`{{{{resolve:{reference}}}}}` names no key")));
        };
        match settings.secrets.get(key) {
            Some(value) => resolved.push_str(value),
            None => return Err(TemplateError::new(line, format!("there is no secret `{key}` here"))),
        }
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn event(stack: &Stack<'_>, function: &mut Function, entry: &Entry) -> Result<()> {
    let of = format!("{}.Events.{}", function.logical, entry.key);
    let mut fields = Fields::new(stack, of.clone(), &entry.node)?;
    let kind = fields.need_text("Type")?;
    let mut properties = fields.fields("Properties")?;
    fields.finish()?;
    let name = entry.key.clone();
    match kind.as_str() {
        "HttpApi" => function.routes.push(route(&mut properties)?),
        "SQS" => {
            if let Some(source) = queue_source(name, &mut properties)? {
                function.queues.push(source);
            }
        }
        "DynamoDB" => {
            if let Some(source) = stream_source(name, &mut properties)? {
                function.streams.push(source);
            }
        }
        "Schedule" | "ScheduleV2" => {
            if let Some(source) = schedule(name, kind == "ScheduleV2", &mut properties)? {
                function.schedules.push(source);
            }
        }
        other => {
            return Err(TemplateError::new(
                entry.line,
                format!("{of} is of type {other}, which is not supported here"),
            ));
        }
    }
    properties.finish()
}

fn route(fields: &mut Fields<'_>) -> Result<Route> {
    fields.ignore(&["RouteSettings", "ApiId"]);
    fields.one_of("PayloadFormatVersion", &["2.0"])?;
    let mut auth = fields.fields("Auth")?;
    auth.one_of("Authorizer", &["NONE"])?;
    auth.finish()?;
    let method = fields.text("Method")?.map(|method| method.to_uppercase());
    let path = fields.text("Path")?;
    if method.is_some() != path.is_some() {
        return Err(fields.error(fields.line(), "Path", "and Method go together"));
    }
    if let Some(bad) = path.as_deref().filter(|path| !path.starts_with('/')) {
        return Err(fields.error(fields.line(), "Path", &format!("`{bad}` does not begin with a slash")));
    }
    Ok(Route {
        method: method.filter(|method| method != "ANY"),
        path: path.filter(|path| path != "$default"),
        timeout_ms: fields.parsed("TimeoutInMillis")?.unwrap_or(30_000).min(30_000),
    })
}

fn queue_source(event: String, fields: &mut Fields<'_>) -> Result<Option<QueueSource>> {
    fields.ignore(&["MetricsConfig", "KmsKeyArn"]);
    let arn = fields.need_text("Queue")?;
    let mut scaling = fields.fields("ScalingConfig")?;
    let concurrency = scaling.parsed("MaximumConcurrency")?;
    scaling.finish()?;
    let source = QueueSource {
        event,
        queue: arn.rsplit([':', '/']).next().unwrap_or_default().to_owned(),
        batch: fields.parsed("BatchSize")?.unwrap_or(10),
        window_seconds: fields.parsed("MaximumBatchingWindowInSeconds")?.unwrap_or(0),
        partial: fields.partial()?,
        concurrency,
    };
    let enabled = fields.parsed("Enabled")?.unwrap_or(true);
    Ok(enabled.then_some(source))
}

fn stream_source(event: String, fields: &mut Fields<'_>) -> Result<Option<StreamSource>> {
    fields.ignore(&["MetricsConfig", "KmsKeyArn"]);
    let arn = fields.need_text("Stream")?;
    let Some((_, Some(table))) =
        arn.split_once(":table/").map(|(before, rest)| (before, rest.split('/').next()))
    else {
        return Err(fields.error(fields.line(), "Stream", "is no stream's ARN"));
    };
    let mut filters = Vec::new();
    let mut criteria = fields.fields("FilterCriteria")?;
    for mut filter in criteria.list_of_fields("Filters")? {
        let pattern = filter.need_text("Pattern")?;
        let line = filter.line();
        filter.finish()?;
        let pattern = serde_json::from_str(&pattern)
            .map_err(|error| TemplateError::new(line, format!("the pattern is no JSON: {error}")))?;
        crate::sources::filter::check(&pattern).map_err(|what| TemplateError::new(line, what))?;
        filters.push(pattern);
    }
    criteria.finish()?;
    let mut destination = fields.fields("DestinationConfig")?;
    let mut failure = destination.fields("OnFailure")?;
    failure.one_of("Type", &["SQS"])?;
    let on_failure =
        failure.text("Destination")?.map(|arn| arn.rsplit([':', '/']).next().unwrap_or_default().to_owned());
    failure.finish()?;
    destination.finish()?;
    let unlimited = |given: Option<i64>| given.and_then(|given| u32::try_from(given).ok());
    let source = StreamSource {
        event,
        table: table.to_owned(),
        from_start: fields.one_of("StartingPosition", &["TRIM_HORIZON", "LATEST"])? == "TRIM_HORIZON",
        batch: fields.parsed("BatchSize")?.unwrap_or(100),
        window_seconds: fields.parsed("MaximumBatchingWindowInSeconds")?.unwrap_or(0),
        bisect: fields.flag("BisectBatchOnFunctionError")?,
        retries: unlimited(fields.parsed("MaximumRetryAttempts")?),
        max_age_seconds: unlimited(fields.parsed("MaximumRecordAgeInSeconds")?),
        parallel: fields.parsed("ParallelizationFactor")?.unwrap_or(1),
        filters,
        partial: fields.partial()?,
        on_failure,
    };
    let enabled = fields.parsed("Enabled")?.unwrap_or(true);
    Ok(enabled.then_some(source))
}

fn schedule(event: String, scheduler: bool, fields: &mut Fields<'_>) -> Result<Option<Schedule>> {
    fields.ignore(&[
        "DeadLetterConfig",
        "Description",
        "FlexibleTimeWindow",
        "GroupName",
        "KmsKeyArn",
        "Name",
        "NamePrefix",
        "OmitName",
        "PermissionsBoundary",
        "RetryPolicy",
        "RoleArn",
    ]);
    let line = fields.line();
    let (expression, zone) = if scheduler {
        let zone = fields.text("ScheduleExpressionTimezone")?;
        (fields.need_text("ScheduleExpression")?, zone.unwrap_or_else(|| "UTC".to_owned()))
    } else {
        (fields.need_text("Schedule")?, "UTC".to_owned())
    };
    let input = match fields.text("Input")? {
        Some(text) => {
            Some(serde_json::from_str(&text).map_err(|_| fields.error(line, "Input", "should be JSON"))?)
        }
        None => None,
    };
    let on = fields.one_of("State", &["ENABLED", "DISABLED"])? == "ENABLED";
    let enabled = on && fields.parsed("Enabled")?.unwrap_or(true);
    let schedule = Schedule { event, expression, zone, input, scheduler, line };
    crate::sources::schedules::Timing::parse(&schedule.expression, &schedule.zone)
        .map_err(|what| TemplateError::new(line, what))?;
    Ok(enabled.then_some(schedule))
}

fn http_api(mut fields: Fields<'_>) -> Result<Option<Cors>> {
    fields.ignore(IGNORED_OF_APIS);
    fields.one_of("StageName", &["$default"])?;
    let given = fields.raw("CorsConfiguration");
    let stack = fields.stack();
    fields.finish()?;
    let Some(node) = given else { return Ok(None) };
    let everybody = || Cors { origins: vec!["*".into()], ..Cors::default() };
    match &node.value {
        Value::Text { text, .. } if text == "true" => return Ok(Some(everybody())),
        Value::Text { text, .. } if text == "false" => return Ok(None),
        _ => {}
    }
    let mut fields = Fields::new(stack, "CorsConfiguration", &node)?;
    let cors = Cors {
        origins: fields.texts("AllowOrigins")?,
        methods: fields.texts("AllowMethods")?,
        headers: fields.texts("AllowHeaders")?,
        expose: fields.texts("ExposeHeaders")?,
        max_age: fields.parsed("MaxAge")?,
        credentials: fields.flag("AllowCredentials")?,
    };
    fields.finish()?;
    Ok(Some(cors))
}

fn table(name: String, mut fields: Fields<'_>) -> Result<Table> {
    fields.ignore(&[
        "ContributorInsightsSpecification",
        "DeletionProtectionEnabled",
        "OnDemandThroughput",
        "PointInTimeRecoverySpecification",
        "ResourcePolicy",
        "SSESpecification",
        "TableClass",
        "TableName",
        "Tags",
        "WarmThroughput",
    ]);
    let mut definition = json!({"TableName": name});
    for key in ["KeySchema", "AttributeDefinitions"] {
        let Some(node) = fields.node(key)? else {
            return Err(fields.error(fields.line(), key, "is missing"));
        };
        definition[key] = node.to_json()?;
    }
    definition["BillingMode"] =
        fields.text("BillingMode")?.unwrap_or_else(|| "PROVISIONED".to_owned()).into();
    if let Some(throughput) = fields.node("ProvisionedThroughput")? {
        definition["ProvisionedThroughput"] = throughput.to_json()?;
    }
    for list in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        let mut indexes = Vec::new();
        for mut index in fields.list_of_fields(list)? {
            index.ignore(&["ContributorInsightsSpecification", "OnDemandThroughput", "WarmThroughput"]);
            let mut one = serde_json::Map::new();
            for key in ["IndexName", "KeySchema", "Projection", "ProvisionedThroughput"] {
                if let Some(node) = index.node(key)? {
                    one.insert(key.to_owned(), node.to_json()?);
                }
            }
            index.finish()?;
            indexes.push(serde_json::Value::Object(one));
        }
        if !indexes.is_empty() {
            definition[list] = indexes.into();
        }
    }
    let mut stream = fields.fields("StreamSpecification")?;
    let view = stream.text("StreamViewType")?;
    stream.ignore(&["ResourcePolicy"]);
    stream.finish()?;
    if let Some(view) = &view {
        definition["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": view});
    }
    let mut ttl = fields.fields("TimeToLiveSpecification")?;
    let (attribute, enabled) = (ttl.text("AttributeName")?, ttl.flag("Enabled")?);
    ttl.finish()?;
    fields.finish()?;
    Ok(Table { name, definition, stream: view.is_some(), ttl: attribute.filter(|_| enabled) })
}

fn queue(name: String, mut fields: Fields<'_>) -> Result<Queue> {
    fields.ignore(&["QueueName", "Tags"]);
    let mut attributes = BTreeMap::new();
    for key in [
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "DelaySeconds",
        "FifoQueue",
        "FifoThroughputLimit",
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    ] {
        if let Some(value) = fields.text(key)? {
            attributes.insert(key.to_owned(), value);
        }
    }
    for key in ["RedrivePolicy", "RedriveAllowPolicy"] {
        if let Some(policy) = fields.node(key)? {
            attributes.insert(key.to_owned(), policy.to_json()?.to_string());
        }
    }
    fields.finish()?;
    Ok(Queue { name, attributes })
}
