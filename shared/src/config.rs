//! Settings: a map of environment variables, read once at start. A missing one is an error that names it.
//!
//! In AWS the map is the process's environment; the local home hands each function the environment that the template
//! gives it, so that many functions live in one process and none reads another's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A setting is missing or malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting {name}: {problem}")]
pub struct ConfigError {
    /// The variable's name.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The settings of one function. Values are secrets as often as not: `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Config(Arc<BTreeMap<String, String>>);

impl Config {
    /// The process's environment.
    #[must_use]
    pub fn from_env() -> Self {
        std::env::vars().collect()
    }

    /// A setting that must be there and not be empty.
    ///
    /// # Errors
    /// Names the missing variable.
    pub fn require(&self, name: &str) -> Result<&str, ConfigError> {
        self.optional(name).ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// A setting that may be absent; empty counts as absent.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A number with a default.
    ///
    /// # Errors
    /// Names the variable that is no number.
    pub fn number(&self, name: &str, default: u32) -> Result<u32, ConfigError> {
        self.optional(name)
            .map_or(Ok(default), |text| text.parse().map_err(|_| self.wrong(name, "is not a number")))
    }

    /// The error for a malformed setting.
    #[must_use]
    pub fn wrong(&self, name: &str, problem: &str) -> ConfigError {
        ConfigError { name: name.to_owned(), problem: problem.to_owned() }
    }
}

impl FromIterator<(String, String)> for Config {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_named_and_values_are_never_shown() {
        let config: Config =
            [("TOKEN_SECRETS".to_owned(), "hush".to_owned()), ("EMPTY".to_owned(), String::new())]
                .into_iter()
                .collect();
        assert_eq!(
            config.require("TABLE_PREFIX").unwrap_err().to_string(),
            "setting TABLE_PREFIX: is missing"
        );
        assert!(config.require("EMPTY").is_err());
        assert!(!format!("{config:?}").contains("hush"));
    }
}
