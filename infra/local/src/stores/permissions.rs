//! What functions may do to tables: what their policies in the template allow, and nothing else.
//!
//! In AWS a permission that was forgotten shows when somebody uses what needs it. Here it shows in the test that does. Who
//! asks without saying which function they are (tools, tests) may do everything.

use super::endpoint::answer;
use crate::template::{Permission, Template};
use axum::body::Body;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashMap;

/// By function, as the template names it.
#[derive(Clone, Debug, Default)]
pub struct Permissions(HashMap<String, Vec<Permission>>);

#[derive(Deserialize)]
struct Index<'a> {
    #[serde(rename = "IndexName", borrow)]
    index: Option<Cow<'a, str>>,
}

impl Permissions {
    /// Those of every function of a template.
    #[must_use]
    pub fn of(template: &Template) -> Self {
        let each = template.functions.iter();
        Self(each.map(|function| (function.logical.clone(), function.permissions.clone())).collect())
    }

    /// The refusal, as the service words it, if the caller is a function that may not do this to these tables.
    pub(crate) fn denied(
        &self,
        caller: &str,
        operation: &str,
        body: &[u8],
        tables: impl FnOnce() -> Vec<String>,
    ) -> Option<Response<Body>> {
        let permissions = self.0.get(caller)?;
        let action = format!("dynamodb:{operation}");
        let index = serde_json::from_slice::<Index<'_>>(body).ok().and_then(|request| request.index);
        let denied = tables().into_iter().find_map(|table| {
            let resource = match &index {
                Some(index) => format!(":table/{table}/index/{index}"),
                None => format!(":table/{table}"),
            };
            let allows = |permission: &Permission| {
                permission.actions.contains(&action)
                    && permission.resources.iter().any(|allowed| allowed.ends_with(&resource))
            };
            (!permissions.iter().any(allows)).then_some(resource)
        })?;
        tracing::error!(caller, action, resource = denied, "is not allowed by the template's policies");
        let message = format!("{caller} is not authorized to perform: {action} on resource: {denied}");
        let body = json!({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": message});
        Some(answer(StatusCode::BAD_REQUEST, "application/x-amz-json-1.0", body.to_string()))
    }
}
