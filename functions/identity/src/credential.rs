//! Another password, for somebody who is signed in.

use crate::mailed;
use crate::owner::Owner;
use crate::password::Password;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tessera::app::App;
use tessera::error::Result;
use tessera::http::Input;
use tessera::limit::Class;
use tessera::message::AccountChange;

/// Another password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    current_password: Password,
    /// The new one.
    password: Password,
}

/// Change my password. Every other session ends.
#[utoipa::path(put, path = "/v1/me/password", tag = "identity", extensions(("x-limit" = json!(Class::SignIn))), security(("bearer" = [])), request_body = ChangePassword,
    responses((status = 204, description = "Changed")))]
pub async fn change(
    State(app): State<App>,
    owner: Owner,
    input: Input<ChangePassword>,
) -> Result<StatusCode> {
    let (ChangePassword { current_password, password }, now) = (input.value, app.clock.now());
    let known = &owner.account.value;
    password.check(&known.email, known.name.as_str())?;
    owner.confirm(&app, current_password, now).await?;
    let hash = password.hash(&app).await?;
    let change = app.db.change(owner.account.clone(), now, |known| {
        owner.still(known, now)?;
        let next = known.with_password(&hash, Some(owner.session.value.id));
        Ok(Some((next, vec![mailed::changed(known, AccountChange::PasswordChanged)])))
    });
    change.await?;
    Ok(StatusCode::NO_CONTENT)
}
