//! Who is signed in, asked of the store: a session that has ended opens nothing here, however good its access token is.

use crate::guess;
use crate::password::Password;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;
use tessera::app::App;
use tessera::auth;
use tessera::db::Stored;
use tessera::error::{Code, Refusal, Result};
use tessera::id::AccountId;
use tessera::identity::{Account, Session, store};

/// A caller whose session lasts, with what was read of them.
#[derive(Clone)]
pub struct Owner {
    /// Who.
    pub id: AccountId,
    /// Their account.
    pub account: Stored<Account>,
    /// The session of their access token.
    pub session: Stored<Session>,
}

impl FromRequestParts<App> for Owner {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let caller = auth::Account::from_request_parts(parts, app).await?;
        let (account, session) = store::live_session(&app.db, caller, app.clock.now()).await?;
        Ok(Self { id: caller.id, account, session })
    }
}

impl Owner {
    /// Has them type their password once more: whoever found a device unlocked does not know it.
    ///
    /// # Errors
    /// `password_wrong`; `too_many_tries`; the store's own.
    pub async fn confirm(&self, app: &App, password: Password, now: Timestamp) -> Result<()> {
        let counted = guess::count(app, &guess::own(self.id), now).await?;
        if !password.matches(app, self.account.value.hash()).await? {
            return Code::PasswordWrong.refuse();
        }
        guess::right(app, counted, now).await
    }

    /// Whether their session lasts, for the account as it is now.
    ///
    /// # Errors
    /// `session_ended`.
    pub fn lasts(&self, known: &Account, now: Timestamp) -> Result<()> {
        if self.session.value.is_live(known, now) { Ok(()) } else { Code::SessionEnded.refuse() }
    }

    /// Whether what was confirmed still holds for the account as it is now.
    ///
    /// # Errors
    /// `session_ended` if it ended meanwhile; `busy` if the password is another one.
    pub fn still(&self, known: &Account, now: Timestamp) -> Result<()> {
        self.lasts(known, now)?;
        if known.password == self.account.value.password { Ok(()) } else { Code::Busy.refuse() }
    }
}
