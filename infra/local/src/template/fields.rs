//! The keys of one mapping, each read once: what is left over at the end is something nobody here understands.

use super::resolve::Stack;
use super::yaml::{Entry, Node, Value};
use super::{Result, TemplateError};
use std::str::FromStr;

/// The unread keys of a mapping.
pub(super) struct Fields<'a> {
    stack: &'a Stack<'a>,
    /// What the mapping belongs to, for errors.
    of: String,
    line: usize,
    entries: Vec<Entry>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(stack: &'a Stack<'a>, of: impl Into<String>, node: &Node) -> Result<Self> {
        let of = of.into();
        // The mapping itself may be an intrinsic function; its values are resolved when they are read, so that keys
        // that mean nothing here may use anything.
        let entries = match &node.value {
            Value::Call(..) => match stack.resolve(node)? {
                Some(node) => node.as_map(&of)?.to_vec(),
                None => Vec::new(),
            },
            _ => node.as_map(&of)?.to_vec(),
        };
        Ok(Self { stack, of, line: node.line, entries })
    }

    /// No keys at all, where a mapping was left out.
    pub(super) fn none(stack: &'a Stack<'a>, of: impl Into<String>, line: usize) -> Self {
        Self { stack, of: of.into(), line, entries: Vec::new() }
    }

    pub(super) const fn line(&self) -> usize {
        self.line
    }

    pub(super) const fn stack(&self) -> &'a Stack<'a> {
        self.stack
    }

    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.of)
    }

    pub(super) fn error(&self, line: usize, key: &str, what: &str) -> TemplateError {
        TemplateError::new(line, format!("{} {what}", self.name(key)))
    }

    /// The value as it is written, functions and all.
    pub(super) fn raw(&mut self, key: &str) -> Option<Node> {
        let place = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(place).node)
    }

    pub(super) fn node(&mut self, key: &str) -> Result<Option<Node>> {
        match self.raw(key) {
            Some(node) => self.stack.resolve(&node),
            None => Ok(None),
        }
    }

    /// A mapping below this one; an absent one has no keys.
    pub(super) fn fields(&mut self, key: &str) -> Result<Fields<'a>> {
        match self.raw(key) {
            Some(node) => Fields::new(self.stack, self.name(key), &node),
            None => Ok(Fields::none(self.stack, self.name(key), self.line)),
        }
    }

    /// Each mapping of a list.
    pub(super) fn list_of_fields(&mut self, key: &str) -> Result<Vec<Fields<'a>>> {
        let name = self.name(key);
        match self.node(key)? {
            Some(node) => {
                node.as_list(&name)?.iter().map(|item| Fields::new(self.stack, name.clone(), item)).collect()
            }
            None => Ok(Vec::new()),
        }
    }

    /// All keys with their values as they are written.
    pub(super) fn rest(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>> {
        let name = self.name(key);
        self.node(key)?.map(|node| node.as_text(&name).map(str::to_owned)).transpose()
    }

    pub(super) fn need_text(&mut self, key: &str) -> Result<String> {
        let missing = self.error(self.line, key, "is missing");
        self.text(key)?.ok_or(missing)
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>> {
        let name = self.name(key);
        let Some(node) = self.node(key)? else { return Ok(Vec::new()) };
        node.as_list(&name)?.iter().map(|item| item.as_text(&name).map(str::to_owned)).collect()
    }

    /// A number or anything else that is written as a word.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str) -> Result<Option<T>> {
        let name = self.name(key);
        let Some(node) = self.node(key)? else { return Ok(None) };
        let text = node.as_text(&name)?;
        let parsed = text.parse().map_err(|_| self.error(node.line, key, &format!("cannot be `{text}`")))?;
        Ok(Some(parsed))
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<bool> {
        Ok(self.parsed(key)?.unwrap_or(false))
    }

    /// Text that must be one of these; the first if it is absent.
    pub(super) fn one_of(&mut self, key: &str, allowed: &[&str]) -> Result<String> {
        let name = self.name(key);
        let Some(node) = self.node(key)? else {
            return Ok(allowed.first().copied().unwrap_or_default().into());
        };
        let text = node.as_text(&name)?;
        if allowed.contains(&text) {
            return Ok(text.to_owned());
        }
        let what = format!("cannot be `{text}` here, only {}", allowed.join(" or "));
        Err(self.error(node.line, key, &what))
    }

    /// Whether `ReportBatchItemFailures` is among the response types.
    pub(super) fn partial(&mut self) -> Result<bool> {
        Ok(self.texts("FunctionResponseTypes")?.iter().any(|kind| kind == "ReportBatchItemFailures"))
    }

    /// Keys that mean nothing here.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        self.entries.retain(|entry| !keys.contains(&entry.key.as_str()));
    }

    /// Refuses what nobody has read.
    pub(super) fn finish(self) -> Result<()> {
        match self.entries.first() {
            Some(entry) => {
                let what = format!("{} has `{}`, which is not supported here", self.of, entry.key);
                Err(TemplateError::new(entry.line, what))
            }
            None => Ok(()),
        }
    }
}
