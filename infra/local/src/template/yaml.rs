//! YAML as templates use it: every value knows its line, and `!Ref x` reads the same as `Ref: x`.

use super::{Result, TemplateError};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;

/// A value and the line it begins on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    /// A scalar as it is written; `plain` if without quotes, so that `10` may be a number and `"10"` may not.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// An intrinsic function by its short name, `Ref` or `Sub`, and its argument.
    Call(String, Box<Node>),
}

/// One key of a mapping and what stands under it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn text(line: usize, text: impl Into<String>) -> Self {
        Self { line, value: Value::Text { text: text.into(), plain: false } }
    }

    /// The name of the kind of value, for errors.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Call(..) => "an intrinsic function",
        }
    }

    /// The scalar's text.
    pub(super) fn as_text(&self, what: &str) -> Result<&str> {
        match &self.value {
            Value::Text { text, .. } => Ok(text),
            _ => Err(TemplateError::new(self.line, format!("{what} should be text and is {}", self.kind()))),
        }
    }

    pub(super) fn as_list(&self, what: &str) -> Result<&[Self]> {
        match &self.value {
            Value::List(items) => Ok(items),
            _ => {
                Err(TemplateError::new(self.line, format!("{what} should be a list and is {}", self.kind())))
            }
        }
    }

    pub(super) fn as_map(&self, what: &str) -> Result<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            Value::Null => Ok(&[]),
            _ => Err(TemplateError::new(
                self.line,
                format!("{what} should be a mapping and is {}", self.kind()),
            )),
        }
    }

    /// What stands under a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The same value as JSON; plain scalars that look like numbers and booleans become those.
    pub(super) fn to_json(&self) -> Result<serde_json::Value> {
        Ok(match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Text { text, plain: false } => text.clone().into(),
            Value::Text { text, plain: true } => match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                text => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
            },
            Value::List(items) => items.iter().map(Self::to_json).collect::<Result<_>>()?,
            Value::Map(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|entry| Ok((entry.key.clone(), entry.node.to_json()?)))
                    .collect::<Result<_>>()?,
            ),
            Value::Call(name, _) => {
                return Err(TemplateError::new(self.line, format!("!{name} was not resolved")));
            }
        })
    }
}

/// Reads the one document of a template.
pub(super) fn parse(source: &str) -> Result<Node> {
    let mut events = Events { parser: Parser::new_from_str(source) };
    loop {
        match events.next()? {
            (Event::StreamEnd, span) => {
                return Err(TemplateError::new(span.start.line(), "the template is empty"));
            }
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (event, span) => return events.node(event, span),
        }
    }
}

struct Events<'input, I: saphyr_parser::Input> {
    parser: Parser<'input, I>,
}

impl<'input, I: saphyr_parser::Input> Events<'input, I> {
    fn next(&mut self) -> Result<(Event<'input>, Span)> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                Err(TemplateError::new(error.marker().line(), format!("this is no YAML: {}", error.info())))
            }
            None => Err(TemplateError::new(0, "the template ends in the middle of a value")),
        }
    }

    fn node(&mut self, event: Event<'input>, span: Span) -> Result<Node> {
        let line = span.start.line();
        let (value, tag) = match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null");
                let text = text.into_owned();
                // `!Ref` of nothing keeps its empty text, so that the error can say what is missing.
                let value = if null && tag.is_none() { Value::Null } else { Value::Text { text, plain } };
                (value, tag)
            }
            Event::SequenceStart(_, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span)?),
                    }
                }
                (Value::List(items), tag)
            }
            Event::MappingStart(_, tag) => (Value::Map(self.entries()?), tag),
            Event::Alias(_) => return Err(TemplateError::new(line, "YAML aliases are not supported")),
            _ => return Err(TemplateError::new(line, "a value was expected")),
        };
        let node = long_form(Node { line, value });
        Ok(match tag.and_then(function) {
            Some(name) => Node { line, value: Value::Call(name, Box::new(node)) },
            None => node,
        })
    }

    fn entries(&mut self) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => (text.into_owned(), span.start.line()),
                (_, span) => return Err(TemplateError::new(span.start.line(), "a key should be text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(TemplateError::new(line, format!("key `{key}` is there twice")));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span)?;
            entries.push(Entry { key, line, node });
        }
    }
}

/// `!Sub` names an intrinsic function; `!!str` and its like do not.
fn function(tag: Cow<'_, Tag>) -> Option<String> {
    (tag.handle == "!").then(|| tag.suffix.clone())
}

/// `{Fn::Sub: x}` and `{Ref: x}` as calls.
fn long_form(node: Node) -> Node {
    let Value::Map(entries) = &node.value else { return node };
    let [only] = entries.as_slice() else { return node };
    let name = match only.key.as_str() {
        "Ref" => "Ref",
        key => match key.strip_prefix("Fn::") {
            Some(name) => name,
            None => return node,
        },
    };
    Node { line: node.line, value: Value::Call(name.to_owned(), Box::new(only.node.clone())) }
}
