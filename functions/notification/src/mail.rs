//! One mail: rendered from its template, sent, remembered.
//!
//! The memory is written after the service accepted the mail. If the function dies in between, the mail goes out a
//! second time; the other order could lose it.

use mail_builder::MessageBuilder;
use minijinja::{Environment, Value};
use tessera::app::App;
use tessera::config::{Config, ConfigError};
use tessera::error::{Code, Result};
use tessera::id::{ApplicationId, MailId, OrderId, WaiterId};
use tessera::notification::{Kind, Sent, store};
use tessera::text::Email;

/// A file that goes with a mail.
pub struct Attachment {
    /// Its media type.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Who gets what.
pub struct Letter<'a> {
    /// From the message that caused it and the recipient.
    pub id: MailId,
    /// What it is about.
    pub kind: Kind,
    /// To whom.
    pub to: &'a str,
    /// The recipient's name.
    pub name: &'a str,
    /// What the template names.
    pub values: Value,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// Renders and sends.
pub struct Post {
    templates: Environment<'static>,
    from: String,
    public_url: String,
    order_page: Option<String>,
    waitlist_page: Option<String>,
    application_page: Option<String>,
}

macro_rules! templates {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!("../templates/", $name)))),*] };
}

const TEMPLATES: &[(&str, &str)] = templates!(
    "layout.html",
    "verify.txt",
    "verify.html",
    "already_registered.txt",
    "already_registered.html",
    "invitation.txt",
    "invitation.html",
    "reset.txt",
    "reset.html",
    "move_address.txt",
    "move_address.html",
    "address_taken.txt",
    "address_taken.html",
    "account_changed.txt",
    "account_changed.html",
    "confirmation.txt",
    "confirmation.html",
    "cancellation.txt",
    "cancellation.html",
    "places_gone.txt",
    "places_gone.html",
    "event_changed.txt",
    "event_changed.html",
    "waitlist_offer.txt",
    "waitlist_offer.html",
    "moved.txt",
    "moved.html",
    "approved.txt",
    "approved.html",
    "declined.txt",
    "declined.html",
    "refund.txt",
    "refund.html",
    "invoice.txt",
    "invoice.html",
    "reserved.txt",
    "reserved.html",
    "payment_reminder.txt",
    "payment_reminder.html",
    "pay_to.txt",
    "pay_to.html"
);

impl Post {
    /// Reads `MAIL_FROM`, `PUBLIC_URL` and perhaps `ORDER_PAGE`, the team's own page of an order with `{order}` and `{key}`,
    /// and `WAITLIST_PAGE`, that of a place on a waitlist with `{waiter}` and `{key}`, and
    /// `APPLICATION_PAGE`, that of an application with `{application}` and `{key}`.
    ///
    /// # Errors
    /// Names the setting, or the template that does not parse.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in TEMPLATES {
            templates
                .add_template(name, source)
                .map_err(|error| config.wrong("template", &format!("{name}: {error}")))?;
        }
        Ok(Self {
            templates,
            from: config.require("MAIL_FROM")?.to_owned(),
            public_url: config.require("PUBLIC_URL")?.trim_end_matches('/').to_owned(),
            order_page: config.optional("ORDER_PAGE").map(str::to_owned),
            application_page: config.optional("APPLICATION_PAGE").map(str::to_owned),
            waitlist_page: config.optional("WAITLIST_PAGE").map(str::to_owned),
        })
    }

    /// Where a buyer looks at an order without signing in.
    #[must_use]
    pub fn order_link(&self, app: &App, order: OrderId) -> String {
        let (order, key) = (order.to_string(), app.link_secret(&order));
        match &self.order_page {
            Some(page) => page.replace("{order}", &order).replace("{key}", &key),
            None => format!("{}/v1/orders/{order}?key={key}", self.public_url),
        }
    }

    /// Where somebody sees what they are offered without signing in.
    #[must_use]
    pub fn waitlist_link(&self, app: &App, waiter: WaiterId) -> String {
        match &self.waitlist_page {
            Some(page) => {
                page.replace("{waiter}", &waiter.to_string()).replace("{key}", &app.link_secret(&waiter))
            }
            None => format!("{}/v1/waitlist/{waiter}?key={}", self.public_url, app.link_secret(&waiter)),
        }
    }

    /// Where an applicant sees what was decided without signing in.
    #[must_use]
    pub fn application_link(&self, app: &App, application: ApplicationId) -> String {
        let key = app.link_secret(&application);
        match &self.application_page {
            Some(page) => page.replace("{application}", &application.to_string()).replace("{key}", &key),
            None => format!("{}/v1/applications/{application}?key={key}", self.public_url),
        }
    }

    /// Where everybody looks at an event.
    #[must_use]
    pub fn event_link(&self, event: tessera::id::EventId) -> String {
        format!("{}/v1/events/{event}", self.public_url)
    }

    fn render(&self, letter: &Letter<'_>, form: &str) -> Result<String> {
        let name = format!("{}.{form}", letter.kind.word());
        let template = self.templates.get_template(&name).map_err(|error| Code::Internal.caused_by(error))?;
        template.render(&letter.values).map_err(|error| Code::Internal.caused_by(error))
    }

    /// Sends a letter unless it was sent before.
    ///
    /// # Errors
    /// `unavailable` when the service does not accept it: the message comes again.
    pub async fn send(&self, app: &App, letter: Letter<'_>) -> Result<()> {
        // Whoever was there has been erased: nobody is to be told.
        if letter.to == Email::nowhere().as_str() || store::sent(&app.db, letter.id).await?.is_some() {
            return Ok(());
        }
        let text = self.render(&letter, "txt")?;
        let html = self.render(&letter, "html")?;
        // The first line of the plain text is the subject.
        let (subject, text) =
            text.split_once('\n').ok_or_else(|| Code::Internal.caused_by("a template has no subject"))?;
        let now = app.clock.now();
        let mut mime = MessageBuilder::new()
            .message_id(format!("{}@tessera", letter.id))
            .date(now.as_second())
            .from(self.from.as_str())
            .to((letter.name, letter.to))
            .subject(subject.trim())
            .text_body(text.trim_start())
            .html_body(html.as_str());
        for Attachment { kind, name, bytes } in &letter.attachments {
            mime = mime.attachment(*kind, name.as_str(), bytes.as_slice());
        }
        let mime = mime.write_to_vec().map_err(|error| Code::Internal.caused_by(error))?;
        let provider_id = app.mailer.send(&self.from, letter.to, mime).await?;
        let sent = Sent { id: letter.id, kind: letter.kind, provider_id, at: now };
        app.db.put_new(sent, Vec::new(), now).await?;
        Ok(())
    }
}
