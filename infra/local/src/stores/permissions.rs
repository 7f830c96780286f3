//! What functions may do to tables: what their policies in the template allow, and nothing else.
//!
//! In AWS a permission that was forgotten shows when somebody uses what needs it. Here it shows in the test that does. Who
//! asks without saying which function they are (tools, tests) may do everything.

use super::endpoint::answer;
use crate::template::{Permission, Template};
use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::json;
use std::collections::HashMap;

/// By function, as the template names it.
#[derive(Clone, Debug, Default)]
pub struct Permissions(HashMap<String, Vec<Permission>>);

impl Permissions {
    /// Those of every function of a template.
    #[must_use]
    pub fn of(template: &Template) -> Self {
        let each = template.functions.iter();
        Self(each.map(|function| (function.logical.clone(), function.permissions.clone())).collect())
    }

    /// The refusal, as the service words it, if the caller is a function that may not do this to this table, or this index
    /// of it.
    pub(crate) fn denied(
        &self,
        caller: &str,
        operation: &str,
        table: &str,
        index: Option<&str>,
    ) -> Option<Response<Body>> {
        let permissions = self.0.get(caller)?;
        let action = format!("dynamodb:{operation}");
        let resource = match index {
            Some(index) => format!(":table/{table}/index/{index}"),
            None => format!(":table/{table}"),
        };
        let allows = |permission: &Permission| {
            permission.actions.contains(&action)
                && permission.resources.iter().any(|allowed| allowed.ends_with(&resource))
        };
        if permissions.iter().any(allows) {
            return None;
        }
        tracing::error!(caller, action, resource, "is not allowed by the template's policies");
        let message = format!("{caller} is not authorized to perform: {action} on resource: {resource}");
        let body = json!({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": message});
        Some(answer(StatusCode::BAD_REQUEST, "application/x-amz-json-1.0", body.to_string()))
    }
}
