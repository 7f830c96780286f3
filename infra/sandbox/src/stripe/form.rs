//! Form-encoded parameters with Stripe's nested keys: `metadata[order]=7`, `expand[]=latest_charge`.

use std::collections::BTreeMap;

use super::error::{Error, Result};

/// The largest amount Stripe charges, in the currency's smallest unit.
const MOST: i64 = 99_999_999;

/// The parameters of a request, in their order.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The parameters of a query and a body together.
    pub(crate) fn parse(query: &[u8], body: &[u8]) -> Self {
        let read = |bytes| form_urlencoded::parse(bytes).into_owned();
        Self(read(query).chain(read(body)).collect())
    }

    /// All parameters in one spelling, by which two requests are compared.
    pub(crate) fn canonical(&self) -> String {
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort();
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The value of a plain parameter; empty counts as not given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// The value of a plain parameter, empty if it is to be unset.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| Error::missing(name))
    }

    /// The values of `name[]` or `name[0]`, in their order.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.below(name).map(|(_, value)| value).collect()
    }

    /// Whether some parameter's name ends so.
    pub(crate) fn has(&self, ending: &str) -> bool {
        self.0.iter().any(|(key, _)| key.ends_with(ending))
    }

    /// Whether there is any parameter of this name, or within it.
    pub(crate) fn has_below(&self, name: &str) -> bool {
        let within =
            |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
        self.0.iter().any(|(key, _)| within(key))
    }

    fn below(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(move |(key, value)| {
            let key = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((key, value.as_str()))
        })
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| {
            Error::invalid(format!("Invalid integer: {value}")).code("parameter_invalid_integer").param(name)
        })
    }

    /// An amount of money from 1 up to Stripe's most.
    pub(crate) fn amount(&self, name: &str) -> Result<Option<i64>> {
        let Some(amount) = self.integer(name)? else { return Ok(None) };
        if amount < 1 {
            let message = "This value must be greater than or equal to 1.";
            return Err(Error::invalid(message).code("parameter_invalid_integer").param(name));
        }
        if amount > MOST {
            let message = "Amount must be no more than 999,999.99 in the currency's major unit";
            return Err(Error::invalid(message).code("amount_too_large").param(name));
        }
        Ok(Some(amount))
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Error::invalid(format!("Invalid boolean: {other}")).param(name)),
        }
    }

    /// One of a few words, or `None` if not given.
    pub(crate) fn choice(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(given) = self.get(name) else { return Ok(None) };
        let word = words.iter().find(|word| **word == given);
        word.copied().map(Some).ok_or_else(|| {
            Error::invalid(format!("Invalid {name}: must be one of {}", words.join(", "))).param(name)
        })
    }

    /// Changes metadata as given: an empty value removes its key, an empty `metadata` all of them.
    pub(crate) fn merge_metadata(&self, metadata: &mut BTreeMap<String, String>) -> Result<()> {
        if self.raw("metadata") == Some("") {
            metadata.clear();
        }
        for (key, value) in self.below("metadata") {
            let refuse = |message: String| Err(Error::invalid(message).param(format!("metadata[{key}]")));
            if key.chars().count() > 40 {
                return refuse(format!("Metadata keys can be at most 40 characters long. Key: {key}"));
            }
            if value.chars().count() > 500 {
                return refuse("Metadata values can have up to 500 characters.".into());
            }
            if value.is_empty() {
                metadata.remove(key);
            } else {
                metadata.insert(key.into(), value.into());
            }
        }
        if metadata.len() > 50 {
            return Err(Error::invalid("You can have up to 50 metadata keys.").param("metadata"));
        }
        Ok(())
    }

    /// Refuses parameters Stripe does not know, so that a misspelt one is not silently lost.
    pub(crate) fn allow_only(&self, known: &[&str]) -> Result<()> {
        let top = |key: &str| key.split('[').next().unwrap_or_default().to_owned();
        match self
            .0
            .iter()
            .map(|(key, _)| top(key))
            .find(|key| !known.contains(&key.as_str()) && key != "expand")
        {
            None => Ok(()),
            Some(key) => Err(Error::invalid(format!("Received unknown parameter: {key}"))
                .code("parameter_unknown")
                .param(key)),
        }
    }
}
