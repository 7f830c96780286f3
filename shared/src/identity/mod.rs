//! Identity: accounts, sessions, organisations. Pure rules; [`store`] has the kept form.
//!
//! | file | what |
//! |---|---|
//! | [`account`] | an address, how it is proven, what its owner signs in with |
//! | [`code`] | codes that come by mail |
//! | [`export`] | an archive of all that is known of somebody |
//! | [`password`] | which passwords are taken |
//! | [`tries`] | guesses, and how long the next one waits |
//! | [`second_factor`] | codes by the minute, codes on paper |
//! | [`profile`] | what people tell about themselves |
//! | [`provider`] | Google and Apple: what an id token proves |
//! | [`session`] | a sign-in on one device, its tokens |
//! | [`rights`] | organisations, members, teams, roles, and what they allow |
//! | [`invitation`] | a place in an organisation that is offered to an address |
//! | [`audit`] | who did what that matters, as chains in which a change shows |
//! | [`thing`] | API keys and devices, their credentials |
//!
//! Nothing here tells a stranger whether an address has an account: signing up answers the same for both, and the
//! difference is in the mail.

pub mod account;
pub mod audit;
pub mod code;
pub mod export;
pub mod invitation;
pub mod password;
pub mod profile;
pub mod provider;
pub mod rights;
pub mod second_factor;
pub mod session;
pub mod store;
pub mod thing;
pub mod tries;

pub use account::{Account, Moving, State, Tried};
pub use code::{CODE_MINUTES, CODE_TRIES, Guess, MailedCode};
pub use invitation::Invitation;
pub use profile::Profile;
pub use rights::{Action, Grant, Member, Organisation, Resource, Rights, Role, Team};
pub use second_factor::SecondFactor;
pub use session::{ACCESS_SECONDS, Ending, GRACE_SECONDS, IDLE_DAYS, Refresh, SESSION_DAYS, Session};
pub use thing::{ApiKey, Credential, Device, Thing};
pub use tries::Tries;
