//! Why a home does not start.

use crate::template::TemplateError;
use std::net::SocketAddr;
use std::path::PathBuf;
use tessera::config::ConfigError;

/// Why a home does not start, or a part of it fails.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Somebody else listens there.
    #[error("{0} is in use; stop what listens there, or choose another address with --listen")]
    InUse(SocketAddr),
    /// A file, folder or socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The template.
    #[error("{}: {error}", file.display())]
    Template {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        error: TemplateError,
    },
    /// A function of the template cannot be built.
    #[error("line {line}: function `{function}`: {error}")]
    Function {
        /// Its name in the template.
        function: String,
        /// Where the template has it.
        line: usize,
        /// Why.
        error: Unbuilt,
    },
    /// The data folder holds something that does not fit the template or is damaged.
    #[error("{0}")]
    Data(String),
    /// A store does not work.
    #[error("{what}: {why}")]
    Store {
        /// What was tried.
        what: String,
        /// What the store says.
        why: String,
    },
}

impl HomeError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn store<E: std::fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |why| Self::Store { what, why: why.to_string() }
    }
}

/// Why a function cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Unbuilt {
    /// The registry does not know it.
    #[error("there is no program `{0}`")]
    Unknown(String),
    /// A setting is missing or malformed.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// It is called by something that it does not answer to.
    #[error("{0}")]
    Kind(String),
}
