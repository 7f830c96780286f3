//! Which route is of which class: what its handler's description says (`x-limit`), or else what follows from it.
//!
//! A handler that says nothing is counted all the same: as [`Class::Write`] if it changes something, as [`Class::Read`]
//! if it wants a credential. What takes a secret in its address (`?key=`, `?code=`) is counted as
//! [`Class::Link`] where one is sent.

use super::Class;
use axum::http::Method;
use std::collections::HashMap;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

/// The member of an operation's description that names its class.
pub const EXTENSION: &str = "x-limit";
/// Query parameters that are secrets.
const SECRETS: [&str; 2] = ["key", "code"];

/// How a route is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// As this.
    pub class: Class,
    /// As [`Class::Link`] instead, where a secret is in the address.
    pub takes_secret: bool,
}

impl Route {
    fn of(method: &HttpMethod, operation: &Operation) -> Self {
        let parameters = operation.parameters.iter().flatten();
        let takes_secret = parameters.into_iter().any(|parameter| match parameter {
            RefOr::T(parameter) => {
                parameter.parameter_in == ParameterIn::Query && SECRETS.contains(&parameter.name.as_str())
            }
            RefOr::Ref(_) => false,
        });
        let changes = !matches!(method, HttpMethod::Get | HttpMethod::Head);
        let class = declared(operation).unwrap_or(match (changes, &operation.security) {
            (true, _) => Class::Write,
            (false, Some(_)) => Class::Read,
            (false, None) => Class::Open,
        });
        Self { class, takes_secret }
    }

    /// As what a request with this query is counted.
    #[must_use]
    pub fn class(self, query: Option<&str>) -> Class {
        let secret = |query: &str| {
            // What is no parameter of ours is refused later: counting it costs nobody else anything.
            query.split('&').any(|pair| SECRETS.iter().any(|name| pair.split('=').next() == Some(*name)))
        };
        if self.takes_secret && query.is_some_and(secret) { Class::Link } else { self.class }
    }
}

/// The class that an operation's description names.
#[must_use]
pub fn declared(operation: &Operation) -> Option<Class> {
    let word = operation.extensions.as_ref()?.get(EXTENSION)?.as_str()?;
    Class::ALL.iter().copied().find(|class| class.word() == word)
}

/// Every route of a description.
#[derive(Clone, Debug, Default)]
pub struct Routes(HashMap<(Method, String), Route>);

impl Routes {
    /// Those of a description.
    #[must_use]
    pub fn of(api: &OpenApi) -> Self {
        let paths = api.paths.paths.iter();
        let all = paths.flat_map(|(path, item)| operations(item).map(move |found| (path, found)));
        Self(
            all.map(|(path, (method, name, operation))| {
                ((name, path.clone()), Route::of(&method, operation))
            })
            .collect(),
        )
    }

    /// A route by its method and its path as it is written in the code.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Option<Route> {
        // A HEAD is answered by what answers the GET.
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, path.to_owned())).copied()
    }

    /// All of them, by path and method.
    #[must_use]
    pub fn all(&self) -> Vec<(&Method, &str, Route)> {
        let mut all: Vec<_> =
            self.0.iter().map(|((method, path), route)| (method, path.as_str(), *route)).collect();
        all.sort_by_key(|(method, path, _)| (*path, method.as_str()));
        all
    }
}

/// The operations of a path.
pub fn operations(item: &PathItem) -> impl Iterator<Item = (HttpMethod, Method, &Operation)> {
    [
        (HttpMethod::Get, Method::GET, &item.get),
        (HttpMethod::Post, Method::POST, &item.post),
        (HttpMethod::Put, Method::PUT, &item.put),
        (HttpMethod::Delete, Method::DELETE, &item.delete),
        (HttpMethod::Patch, Method::PATCH, &item.patch),
        (HttpMethod::Head, Method::HEAD, &item.head),
        (HttpMethod::Options, Method::OPTIONS, &item.options),
    ]
    .into_iter()
    .filter_map(|(method, name, operation)| Some((method, name, operation.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_address_is_counted_as_one_where_the_route_takes_it() {
        let route = |takes_secret| Route { class: Class::Read, takes_secret };
        for (query, class) in [
            (None, Class::Read),
            (Some(""), Class::Read),
            (Some("limit=3&cursor=key"), Class::Read),
            (Some("monkey=1"), Class::Read),
            (Some("limit=3&key=abc"), Class::Link),
            (Some("code=friends"), Class::Link),
            (Some("key"), Class::Link),
        ] {
            assert_eq!(route(true).class(query), class, "{query:?}");
            assert_eq!(route(false).class(query), Class::Read, "{query:?}");
        }
    }
}
