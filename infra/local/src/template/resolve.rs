//! Parameters, conditions and intrinsic functions: what the template means with these overrides, on this machine.

use super::yaml::{Entry, Node, Value};
use super::{Result, Settings, TemplateError, is_ignored};
use std::collections::{BTreeMap, BTreeSet};

/// Everything needed to say what an intrinsic function answers.
pub(super) struct Stack<'a> {
    settings: &'a Settings,
    parameters: BTreeMap<String, Value>,
    mappings: Option<&'a Node>,
    conditions: BTreeMap<&'a str, &'a Node>,
    resources: BTreeMap<&'a str, Resource<'a>>,
}

/// A resource before its properties are read.
#[derive(Clone, Copy)]
pub(super) struct Resource<'a> {
    pub(super) logical: &'a str,
    pub(super) line: usize,
    pub(super) kind: &'a str,
    pub(super) node: &'a Node,
}

impl<'a> Stack<'a> {
    pub(super) fn new(root: &'a Node, settings: &'a Settings) -> Result<Self> {
        let mut stack = Self {
            settings,
            parameters: BTreeMap::new(),
            mappings: root.get("Mappings"),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
        };
        if let Some(node) = root.get("Parameters") {
            for Entry { key, line, node } in node.as_map("Parameters")? {
                stack.parameters.insert(key.clone(), parameter(key, *line, node, settings)?);
            }
        }
        let unknown = settings.parameters.keys().find(|name| !stack.parameters.contains_key(*name));
        if let Some(name) = unknown {
            return Err(TemplateError::new(0, format!("the template has no parameter `{name}`")));
        }
        if let Some(node) = root.get("Conditions") {
            for entry in node.as_map("Conditions")? {
                stack.conditions.insert(&entry.key, &entry.node);
            }
        }
        let Some(node) = root.get("Resources") else {
            return Err(TemplateError::new(root.line, "the template has no Resources"));
        };
        for entry in node.as_map("Resources")? {
            let kind = entry.node.get("Type").ok_or_else(|| {
                TemplateError::new(entry.line, format!("resource `{}` has no Type", entry.key))
            })?;
            let kind = kind.as_text("Type")?;
            let resource = Resource { logical: &entry.key, line: entry.line, kind, node: &entry.node };
            stack.resources.insert(&entry.key, resource);
        }
        Ok(stack)
    }

    pub(super) const fn settings(&self) -> &Settings {
        self.settings
    }

    /// The resources whose condition holds, by name.
    pub(super) fn resources(&self) -> Result<Vec<Resource<'a>>> {
        let mut found = Vec::new();
        for resource in self.resources.values() {
            if self.exists(resource)? {
                found.push(*resource);
            }
        }
        Ok(found)
    }

    fn exists(&self, resource: &Resource<'_>) -> Result<bool> {
        resource.node.get("Condition").map_or(Ok(true), |condition| {
            self.condition(condition.as_text("Condition")?, condition.line, &mut BTreeSet::new())
        })
    }

    fn condition(&self, name: &str, line: usize, open: &mut BTreeSet<String>) -> Result<bool> {
        let Some(node) = self.conditions.get(name) else {
            return Err(TemplateError::new(line, format!("there is no condition `{name}`")));
        };
        if !open.insert(name.to_owned()) {
            return Err(TemplateError::new(line, format!("condition `{name}` depends on itself")));
        }
        let holds = self.holds(node, open);
        open.remove(name);
        holds
    }

    fn holds(&self, node: &Node, open: &mut BTreeSet<String>) -> Result<bool> {
        // `{Condition: Name}` and `!Condition Name` both name another condition.
        if let Some(name) = node.get("Condition") {
            return self.condition(name.as_text("Condition")?, name.line, open);
        }
        let Value::Call(function, argument) = &node.value else {
            return Err(TemplateError::new(node.line, "a condition should be a condition function"));
        };
        match function.as_str() {
            "Condition" => self.condition(argument.as_text("Condition")?, node.line, open),
            "Equals" => match argument.as_list("Fn::Equals")? {
                [left, right] => Ok(self.plain(left)? == self.plain(right)?),
                _ => Err(TemplateError::new(node.line, "Fn::Equals takes two values")),
            },
            "Not" => match argument.as_list("Fn::Not")? {
                [one] => Ok(!self.holds(one, open)?),
                _ => Err(TemplateError::new(node.line, "Fn::Not takes one condition")),
            },
            "And" | "Or" => {
                let mut held = 0;
                let all = argument.as_list(function)?;
                for one in all {
                    held += usize::from(self.holds(one, open)?);
                }
                Ok(if function == "And" { held == all.len() } else { held > 0 })
            }
            other => Err(TemplateError::new(node.line, format!("!{other} is no condition function"))),
        }
    }

    /// A value that must be there, as text.
    fn plain(&self, node: &Node) -> Result<String> {
        let resolved =
            self.resolve(node)?.ok_or_else(|| TemplateError::new(node.line, "a value is missing"))?;
        match resolved.value {
            Value::Null => Ok(String::new()),
            _ => resolved.as_text("a value").map(str::to_owned),
        }
    }

    /// The same value without intrinsic functions; `None` for `AWS::NoValue`.
    pub(super) fn resolve(&self, node: &Node) -> Result<Option<Node>> {
        let line = node.line;
        let value = match &node.value {
            Value::Null | Value::Text { .. } => node.value.clone(),
            Value::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(self.resolve(item)?);
                }
                Value::List(list)
            }
            Value::Map(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for entry in entries {
                    if let Some(node) = self.resolve(&entry.node)? {
                        map.push(Entry { key: entry.key.clone(), line: entry.line, node });
                    }
                }
                Value::Map(map)
            }
            Value::Call(function, argument) => return self.call(function, argument, line),
        };
        Ok(Some(Node { line, value }))
    }

    fn call(&self, function: &str, argument: &Node, line: usize) -> Result<Option<Node>> {
        let wrong = |what: &str| Err(TemplateError::new(line, format!("!{function} {what}")));
        let text = |text: String| Ok(Some(Node::text(line, text)));
        match function {
            "Ref" => {
                let name = argument.as_text("!Ref")?;
                if name == "AWS::NoValue" {
                    return Ok(None);
                }
                if let Some(value) = self.parameters.get(name) {
                    return Ok(Some(Node { line, value: value.clone() }));
                }
                text(self.name(name, line)?)
            }
            "GetAtt" => {
                let (logical, attribute) = match &argument.value {
                    Value::Text { text, .. } => match text.split_once('.') {
                        Some((logical, attribute)) => (logical.to_owned(), attribute.to_owned()),
                        None => return wrong("takes Resource.Attribute"),
                    },
                    _ => match argument.as_list("!GetAtt")? {
                        [logical, attribute] => {
                            (logical.as_text("!GetAtt")?.to_owned(), self.plain(attribute)?)
                        }
                        _ => return wrong("takes a resource and an attribute"),
                    },
                };
                text(self.attribute(&logical, &attribute, line)?)
            }
            "Sub" => text(self.substitute(argument, line)?),
            "If" => match argument.as_list("!If")? {
                [condition, yes, no] => {
                    let name = condition.as_text("!If")?;
                    let holds = self.condition(name, condition.line, &mut BTreeSet::new())?;
                    self.resolve(if holds { yes } else { no })
                }
                _ => wrong("takes a condition and two values"),
            },
            "Join" => match argument.as_list("!Join")? {
                [between, items] => {
                    let Some(items) = self.resolve(items)? else { return wrong("has nothing to join") };
                    let parts = items.as_list("what !Join joins")?.iter().map(|item| self.plain(item));
                    text(parts.collect::<Result<Vec<_>>>()?.join(between.as_text("!Join")?))
                }
                _ => wrong("takes a separator and a list"),
            },
            "Select" => match argument.as_list("!Select")? {
                [index, items] => {
                    let index = self.plain(index)?;
                    let Some(items) = self.resolve(items)? else {
                        return wrong("has nothing to select from");
                    };
                    let items = items.as_list("what !Select selects from")?;
                    match index.parse::<usize>().ok().and_then(|index| items.get(index)) {
                        Some(item) => Ok(Some(item.clone())),
                        None => wrong(&format!("has no item {index}")),
                    }
                }
                _ => wrong("takes an index and a list"),
            },
            "Split" => match argument.as_list("!Split")? {
                [by, whole] => {
                    let whole = self.plain(whole)?;
                    let parts = whole.split(by.as_text("!Split")?).map(|part| Node::text(line, part));
                    Ok(Some(Node { line, value: Value::List(parts.collect()) }))
                }
                _ => wrong("takes a separator and a text"),
            },
            "FindInMap" => match argument.as_list("!FindInMap")? {
                [map, first, second] => {
                    let (map, first, second) = (self.plain(map)?, self.plain(first)?, self.plain(second)?);
                    let found = self.mappings.and_then(|maps| maps.get(&map)?.get(&first)?.get(&second));
                    match found {
                        Some(found) => Ok(Some(Node { line, value: found.value.clone() })),
                        None => wrong(&format!("finds no {map} / {first} / {second}")),
                    }
                }
                _ => wrong("takes a mapping and two keys"),
            },
            _ => wrong("is not supported"),
        }
    }

    fn substitute(&self, argument: &Node, line: usize) -> Result<String> {
        let (pattern, own) = match &argument.value {
            Value::Text { text, .. } => (text.as_str(), None),
            _ => match argument.as_list("!Sub")? {
                [pattern, own] => (pattern.as_text("!Sub")?, Some(own)),
                _ => return Err(TemplateError::new(line, "!Sub takes a text, or a text and a mapping")),
            },
        };
        let mut text = String::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some(start) = rest.find("${") {
            text.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                return Err(TemplateError::new(line, "!Sub has a `${` without its `}`"));
            };
            let name = rest[start + 2..start + length].trim();
            rest = &rest[start + length + 1..];
            if let Some(literal) = name.strip_prefix('!') {
                text.push_str(&format!("${{{literal}}}"));
            } else if let Some(own) = own.and_then(|own| own.get(name)) {
                text.push_str(&self.plain(own)?);
            } else if let Some((logical, attribute)) = name.split_once('.') {
                text.push_str(&self.attribute(logical, attribute, line)?);
            } else {
                match self.parameters.get(name) {
                    Some(Value::Text { text: value, .. }) => text.push_str(value),
                    Some(_) => {
                        return Err(TemplateError::new(line, format!("!Sub of `{name}`, which is no text")));
                    }
                    None => text.push_str(&self.name(name, line)?),
                }
            }
        }
        text.push_str(rest);
        Ok(text)
    }

    /// What `!Ref` of a pseudo parameter or resource answers.
    fn name(&self, name: &str, line: usize) -> Result<String> {
        let settings = self.settings;
        Ok(match name {
            "AWS::Region" => settings.region.clone(),
            "AWS::AccountId" => settings.account.clone(),
            "AWS::StackName" => settings.stack.clone(),
            "AWS::StackId" => settings.arn("cloudformation", &format!("stack/{}/local", settings.stack)),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ => {
                let resource = self.resource(name, line)?;
                let physical = self.physical(&resource)?;
                match resource.kind {
                    "AWS::SQS::Queue" => settings.queue_url(&physical),
                    _ => physical,
                }
            }
        })
    }

    fn attribute(&self, logical: &str, attribute: &str, line: usize) -> Result<String> {
        let settings = self.settings;
        let resource = self.resource(logical, line)?;
        let physical = self.physical(&resource)?;
        Ok(match (resource.kind, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => settings.arn("dynamodb", &format!("table/{physical}")),
            ("AWS::DynamoDB::Table", "StreamArn") => settings.stream_arn(&physical),
            ("AWS::SQS::Queue", "Arn") => settings.arn("sqs", &physical),
            ("AWS::SQS::Queue", "QueueName") => physical,
            ("AWS::SQS::Queue", "QueueUrl") => settings.queue_url(&physical),
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{physical}"),
            ("AWS::S3::Bucket", "DomainName" | "RegionalDomainName") => {
                format!("{physical}.s3.amazonaws.com")
            }
            ("AWS::Serverless::Function", "Arn") => settings.arn("lambda", &format!("function:{physical}")),
            ("AWS::Serverless::HttpApi", "ApiEndpoint") => settings.url.clone(),
            ("AWS::Serverless::HttpApi", "ApiId") => physical,
            (kind, attribute) if is_ignored(kind) => {
                // Nothing here asks these services anything; the value only has to be one.
                settings.arn("ignored", &format!("{physical}/{attribute}"))
            }
            (kind, attribute) => {
                return Err(TemplateError::new(line, format!("{kind} has no attribute `{attribute}` here")));
            }
        })
    }

    fn resource(&self, logical: &str, line: usize) -> Result<Resource<'a>> {
        let Some(resource) = self.resources.get(logical) else {
            return Err(TemplateError::new(line, format!("there is no parameter or resource `{logical}`")));
        };
        if !self.exists(resource)? {
            let what = format!("resource `{logical}` is left out by its condition");
            return Err(TemplateError::new(line, what));
        }
        Ok(*resource)
    }

    /// The name a resource has here: the one the template gives it, or one made of stack and logical name.
    pub(super) fn physical(&self, resource: &Resource<'_>) -> Result<String> {
        let settings = self.settings;
        let property = match resource.kind {
            "AWS::DynamoDB::Table" => "TableName",
            "AWS::SQS::Queue" => "QueueName",
            "AWS::S3::Bucket" => "BucketName",
            "AWS::Serverless::Function" => "FunctionName",
            "AWS::Serverless::HttpApi" => return Ok("local".to_owned()),
            _ => "",
        };
        let properties = resource.node.get("Properties");
        let given = properties.and_then(|properties| properties.get(property));
        if let Some(name) = given.map(|name| self.resolve(name)).transpose()?.flatten() {
            return name.as_text(property).map(str::to_owned);
        }
        let name = format!("{}-{}", settings.stack, resource.logical);
        let fifo = properties.and_then(|properties| properties.get("FifoQueue"));
        Ok(match resource.kind {
            "AWS::S3::Bucket" => name.to_lowercase(),
            "AWS::SQS::Queue" if fifo.is_some() => format!("{name}.fifo"),
            _ => name,
        })
    }
}

/// A parameter's value: the override, or the default.
fn parameter(name: &str, line: usize, node: &Node, settings: &Settings) -> Result<Value> {
    let error = |what: String| TemplateError::new(line, what);
    let kind = node.get("Type").map_or(Ok("String"), |kind| kind.as_text("Type"))?;
    let value =
        match (settings.parameters.get(name).or_else(|| settings.offered.get(name)), node.get("Default")) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) if matches!(default.value, Value::Null) => String::new(),
            (None, Some(default)) => default.as_text("Default")?.to_owned(),
            (None, None) => {
                return Err(error(format!("parameter `{name}` has no default and was not given")));
            }
        };
    if let Some(allowed) = node.get("AllowedValues") {
        let allowed = allowed.as_list("AllowedValues")?;
        let fits = allowed.iter().any(|one| one.as_text("AllowedValues").is_ok_and(|one| one == value));
        if !fits {
            return Err(error(format!("parameter `{name}` cannot be `{value}`")));
        }
    }
    let listed = kind == "CommaDelimitedList" || kind.starts_with("List<");
    Ok(if listed {
        Value::List(value.split(',').map(|part| Node::text(line, part.trim())).collect())
    } else {
        Value::Text { text: value, plain: kind == "Number" }
    })
}
