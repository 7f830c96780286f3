//! Identity: accounts, sessions, organisations. Pure rules; [`store`] has the kept form.
//!
//! | file | what |
//! |---|---|
//! | [`account`] | an address, how it is proven, the password |
//! | [`session`] | a sign-in on one device, its tokens |
//! | [`rights`] | organisations, members, roles, and what they allow |
//!
//! Nothing here tells a stranger whether an address has an account: signing up answers the same for both, and the
//! difference is in the mail.

pub mod account;
pub mod rights;
pub mod session;
pub mod store;

pub use account::{Account, CODE_MINUTES, CODE_TRIES, MailedCode, State};
pub use rights::{Action, Member, Organisation, Role};
pub use session::{ACCESS_SECONDS, Ending, GRACE_SECONDS, Refresh, SESSION_DAYS, Session};
