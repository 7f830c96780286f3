//! Which route a request takes: a full match before a greedy one before `$default`, as API Gateway chooses.

use crate::invoke::Function;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) function: Arc<Function>,
    /// `GET /v1/events/{id}`, `ANY /v1/{rest+}` or `$default`.
    pub(crate) key: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    // In the order of their precedence.
    Literal(String),
    Variable(String),
    Greedy(String),
}

#[derive(Debug)]
struct Route {
    method: Option<String>,
    segments: Option<Vec<Segment>>,
    key: String,
    function: Arc<Function>,
    timeout: Duration,
}

/// The routes, most specific first.
#[derive(Debug)]
pub(super) struct Routes(Vec<Route>);

impl Routes {
    pub(super) fn new(functions: &[Arc<Function>]) -> Self {
        let mut routes: Vec<Route> = Vec::new();
        for function in functions {
            for route in &function.template.routes {
                let key = match &route.path {
                    Some(path) => format!("{} {path}", route.method.as_deref().unwrap_or("ANY")),
                    None => "$default".to_owned(),
                };
                routes.push(Route {
                    method: route.method.clone(),
                    segments: route.path.as_deref().map(segments),
                    key,
                    function: function.clone(),
                    timeout: Duration::from_millis(route.timeout_ms.into()),
                });
            }
        }
        routes.sort_by_key(|route| {
            let segments = route.segments.as_deref();
            let greedy = segments.is_none_or(|all| matches!(all.last(), Some(Segment::Greedy(_))));
            // Kinds of segments from the left; a longer greedy route is more specific than its beginning.
            let kinds: Vec<u8> = segments
                .into_iter()
                .flatten()
                .map(|segment| match segment {
                    Segment::Literal(_) => 0,
                    Segment::Variable(_) => 1,
                    Segment::Greedy(_) => 2,
                })
                .collect();
            (segments.is_none(), greedy, kinds, route.method.is_none())
        });
        Self(routes)
    }

    /// The route for a method and a decoded path.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<Target> {
        let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        self.0.iter().find_map(|route| {
            if route.method.as_deref().is_some_and(|wanted| wanted != method) {
                return None;
            }
            let parameters = match &route.segments {
                None => BTreeMap::new(),
                Some(segments) => fit(segments, &parts)?,
            };
            let (function, key) = (route.function.clone(), route.key.clone());
            Some(Target { function, key, parameters, timeout: route.timeout })
        })
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let inner = |segment: &str| segment.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
    path.trim_start_matches('/')
        .split('/')
        .map(|segment| match inner(segment) {
            Some(name) => match name.strip_suffix('+') {
                Some(greedy) => Segment::Greedy(greedy.to_owned()),
                None => Segment::Variable(name),
            },
            None => Segment::Literal(segment.to_owned()),
        })
        .collect()
}

/// The variables, if the path fits.
fn fit(segments: &[Segment], parts: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let mut parts = parts.iter();
    for segment in segments {
        match segment {
            Segment::Literal(text) => {
                parts.next().filter(|part| *part == text)?;
            }
            Segment::Variable(name) => {
                let part = parts.next().filter(|part| !part.is_empty())?;
                parameters.insert(name.clone(), (*part).to_owned());
            }
            Segment::Greedy(name) => {
                let rest: Vec<&str> = parts.by_ref().copied().collect();
                if rest.concat().is_empty() {
                    return None;
                }
                parameters.insert(name.clone(), rest.join("/"));
            }
        }
    }
    parts.next().is_none().then_some(parameters)
}
