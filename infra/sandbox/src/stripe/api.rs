//! The endpoints: parameters in, objects out.

use serde_json::{Value, json};

use super::card::Card;
use super::error::{Error, Result};
use super::form::Form;
use super::intent::{Confirmation, Intent, Status, TEXTS};
use super::store::{self, Cut, Table};
use super::{Work, find};
use crate::events;
use crate::switches::Switches;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A server, with the secret key.
    Shop,
    /// A browser, with the publishable key: it needs the client secret, and sees less.
    Buyer,
}

/// Parameters that making, changing and confirming an intent share. Those with structures mean nothing here.
const SHARED: &[&str] = &[
    "payment_method",
    "payment_method_data",
    "payment_method_options",
    "payment_method_types",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "amount_details",
    "excluded_payment_method_types",
];
const DESCRIBED: &[&str] = &[
    "amount",
    "currency",
    "metadata",
    "description",
    "customer",
    "capture_method",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "transfer_data",
    "application_fee_amount",
    "payment_method_configuration",
    "payment_details",
];
const CREATED: &[&str] = &[
    "automatic_payment_methods",
    "confirm",
    "confirmation_method",
    "error_on_requires_action",
    "mandate",
    "mandate_data",
    "off_session",
    "on_behalf_of",
    "radar_options",
    "return_url",
    "use_stripe_sdk",
];
const CONFIRMED: &[&str] = &[
    "key",
    "client_secret",
    "return_url",
    "use_stripe_sdk",
    "mandate",
    "mandate_data",
    "off_session",
    "error_on_requires_action",
    "capture_method",
    "radar_options",
    "expected_payment_method_type",
];
const LISTED: &[&str] = &["limit", "starting_after", "ending_before", "created"];

/// What a browser sees of an intent.
const PUBLIC: [&str; 24] = [
    "id",
    "object",
    "amount",
    "amount_details",
    "automatic_payment_methods",
    "canceled_at",
    "cancellation_reason",
    "capture_method",
    "client_secret",
    "confirmation_method",
    "created",
    "currency",
    "description",
    "last_payment_error",
    "livemode",
    "next_action",
    "payment_method",
    "payment_method_configuration_details",
    "payment_method_types",
    "processing",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "status",
];

/// Finds the endpoint and runs it. `path` is what follows `/v1/`.
pub(crate) fn call(
    work: &mut Work<'_>,
    post: bool,
    path: &str,
    form: &Form,
    caller: Caller,
) -> Result<Value> {
    let segments: Vec<&str> = path.split('/').collect();
    if caller == Caller::Buyer {
        return match (post, segments.as_slice()) {
            (true, ["payment_intents", id, "confirm"]) => confirm(work, id, form, caller),
            (false, ["payment_intents", id]) => {
                form.allow_only(&["key", "client_secret"])?;
                let intent = for_buyer(find(work.tx, id)?, form)?;
                Ok(public(intent.show(&work.stripe.options.base_url)))
            }
            _ => Err(Error::unauthorized(
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
            )
            .code("secret_key_required")),
        };
    }
    match (post, segments.as_slice()) {
        (true, ["payment_intents"]) => create(work, form),
        (false, ["payment_intents"]) => list(work, Table::Payment, form),
        (false, ["payment_intents", id]) => {
            form.allow_only(&["client_secret"])?;
            shown(work, &find(work.tx, id)?, form)
        }
        (true, ["payment_intents", id]) => update(work, id, form),
        (true, ["payment_intents", id, "confirm"]) => confirm(work, id, form, caller),
        (true, ["payment_intents", id, "capture"]) => capture(work, id, form),
        (true, ["payment_intents", id, "cancel"]) => cancel(work, id, form),
        (true, ["refunds"]) => refund(work, form),
        (false, ["refunds"]) => list(work, Table::Refund, form),
        (false, ["refunds", id]) => one(work, Table::Refund, id, form),
        (true, ["refunds", id]) => update_refund(work, id, form),
        (false, ["charges"]) => list(work, Table::Charge, form),
        (false, ["charges", id]) => one(work, Table::Charge, id, form),
        (false, ["balance_transactions"]) => list(work, Table::Balance, form),
        (false, ["balance_transactions", id]) => one(work, Table::Balance, id, form),
        (false, ["events"]) => list(work, Table::Event, form),
        (false, ["events", id]) => one(work, Table::Event, id, form),
        _ => {
            let method = if post { "POST" } else { "GET" };
            Err(Error::invalid(format!("Unrecognized request URL ({method}: /v1/{path}).")).status(404))
        }
    }
}

/// Takes what the caller says about a new or unpaid intent.
fn describe(work: &Work<'_>, intent: &mut Intent, form: &Form) -> Result<()> {
    form.merge_metadata(&mut intent.metadata)?;
    for name in TEXTS {
        match form.raw(name) {
            Some("") => drop(intent.texts.remove(name)),
            Some(text) => drop(intent.texts.insert(name.into(), text.into())),
            None => {}
        }
    }
    if let Some(method) = form.choice("capture_method", &["automatic", "automatic_async", "manual"])? {
        intent.capture_method = method.into();
    }
    let types = form.list("payment_method_types");
    if types.iter().any(|kind| *kind != "card") {
        return Err(Error::invalid(
            "The payment method type provided is invalid: only card is activated here.",
        )
        .code("payment_intent_invalid_parameter")
        .param("payment_method_types"));
    }
    // Stripe would make a payment method of it; the test cards have theirs.
    if form.has_below("payment_method_data") {
        let message =
            "This sandbox takes test payment methods such as pm_card_visa instead of payment_method_data.";
        return Err(Error::invalid(message).param("payment_method_data"));
    }
    attach(work, intent, form)
}

fn attach(work: &Work<'_>, intent: &mut Intent, form: &Form) -> Result<()> {
    let Some(id) = form.get("payment_method") else { return Ok(()) };
    if intent.method.as_ref().is_some_and(|method| method.id == id) {
        return Ok(());
    }
    let card = Card::of_payment_method(id);
    let card = card.ok_or_else(|| Error::no_such("PaymentMethod", id, "payment_method").status(400))?;
    intent.attach(card, work.now)
}

fn currency(form: &Form) -> Result<String> {
    let given = form.required("currency")?.to_ascii_lowercase();
    if iso_currency::Currency::from_code(&given.to_ascii_uppercase()).is_none() {
        return Err(Error::invalid(format!("Invalid currency: {given}.")).param("currency"));
    }
    Ok(given)
}

fn create(work: &mut Work<'_>, form: &Form) -> Result<Value> {
    form.allow_only(&[SHARED, DESCRIBED, CREATED].concat())?;
    let amount = form.amount("amount")?.ok_or_else(|| Error::missing("amount"))?;
    let mut intent = Intent::new(amount, &currency(form)?, work.now)?;
    let types = form.list("payment_method_types");
    let automatic = form.get("automatic_payment_methods[enabled]").is_some();
    if automatic && !types.is_empty() {
        let message =
            "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.";
        return Err(Error::invalid(message).param("automatic_payment_methods"));
    }
    // Automatic methods are the rule; a list of types, or "enabled: false", turns them off.
    if types.is_empty() && (!automatic || form.boolean("automatic_payment_methods[enabled]")?) {
        let redirects = form.choice("automatic_payment_methods[allow_redirects]", &["always", "never"])?;
        intent.automatic = Some(redirects.unwrap_or("always").into());
    }
    describe(work, &mut intent, form)?;
    let base_url = &work.stripe.options.base_url;
    // Announced as it was before the confirmation that may follow.
    intent.announce(base_url);
    if !form.boolean("confirm")? {
        if let Some(_unused) = form.get("return_url") {
            let message = "The parameter `return_url` cannot be passed when creating a PaymentIntent unless confirm is \
                           set to true.";
            return Err(Error::invalid(message).code("parameter_missing").param("confirm"));
        }
        work.keep(&mut intent, Ok(()))?;
        return shown(work, &intent, form);
    }
    if intent.method.is_none() {
        return Err(Error::missing("payment_method"));
    }
    confirm_kept(work, &mut intent, form, Caller::Shop)?;
    shown(work, &intent, form)
}

fn update(work: &mut Work<'_>, id: &str, form: &Form) -> Result<Value> {
    form.allow_only(&[SHARED, DESCRIBED].concat())?;
    let mut intent = find(work.tx, id)?;
    let decided = ["amount", "currency", "capture_method", "payment_method", "payment_method_types"];
    if decided.iter().any(|name| form.get(name).is_some()) {
        let unpaid = [Status::RequiresPaymentMethod, Status::RequiresConfirmation, Status::RequiresAction];
        intent.check_state("updated", &unpaid, &work.stripe.options.base_url)?;
    }
    if let Some(amount) = form.amount("amount")? {
        intent.amount = amount;
    }
    if form.get("currency").is_some() {
        intent.currency = currency(form)?;
    }
    describe(work, &mut intent, form)?;
    work.keep(&mut intent, Ok(()))?;
    shown(work, &intent, form)
}

fn confirm(work: &mut Work<'_>, id: &str, form: &Form, caller: Caller) -> Result<Value> {
    form.allow_only(&[SHARED, CONFIRMED].concat())?;
    let mut intent = find(work.tx, id)?;
    if caller == Caller::Buyer || form.get("client_secret").is_some() {
        intent = for_buyer(intent, form)?;
    }
    if intent.unpaid() {
        describe(work, &mut intent, form)?;
    }
    let outcome = confirm_kept(work, &mut intent, form, caller);
    if caller == Caller::Buyer {
        outcome.map_err(|mut error| {
            if let Some(shown) = error.more.as_mut().and_then(|more| more.get_mut("payment_intent")) {
                *shown = public(shown.take());
            }
            error
        })?;
        return Ok(public(intent.show(&work.stripe.options.base_url)));
    }
    outcome?;
    shown(work, &intent, form)
}

fn confirm_kept(work: &mut Work<'_>, intent: &mut Intent, form: &Form, caller: Caller) -> Result<()> {
    let return_url = form.get("return_url");
    let redirects = intent.automatic.as_deref().is_some_and(|redirects| redirects != "never");
    if caller == Caller::Shop
        && redirects
        && return_url.is_none()
        && intent.unpaid()
        && intent.method.is_some()
    {
        let message = "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because \
                       some of these payment methods might redirect your customer off of your page, you must provide \
                       a `return_url`. If you don't want to accept redirect-based payment methods, set \
                       `automatic_payment_methods[enabled]` to `true` and \
                       `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and \
                       Payment Intents.";
        return Err(Error::invalid(message).param("return_url"));
    }
    let how = Confirmation { decline: work.decline(intent), return_url };
    let outcome = intent.confirm(how, work.now, &work.stripe.options.base_url);
    work.keep(intent, outcome)
}

fn capture(work: &mut Work<'_>, id: &str, form: &Form) -> Result<Value> {
    form.allow_only(&[
        "amount_to_capture",
        "final_capture",
        "metadata",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "application_fee_amount",
        "transfer_data",
        "amount_details",
        "payment_details",
    ])?;
    let mut intent = find(work.tx, id)?;
    let amount = form.amount("amount_to_capture")?;
    form.merge_metadata(&mut intent.metadata)?;
    let outcome = intent.capture(amount, work.now, &work.stripe.options.base_url);
    work.keep(&mut intent, outcome)?;
    shown(work, &intent, form)
}

fn cancel(work: &mut Work<'_>, id: &str, form: &Form) -> Result<Value> {
    form.allow_only(&["cancellation_reason"])?;
    let mut intent = find(work.tx, id)?;
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    let reason = form.choice("cancellation_reason", &reasons)?;
    let outcome = intent.cancel(reason, work.now, &work.stripe.options.base_url);
    work.keep(&mut intent, outcome)?;
    shown(work, &intent, form)
}

fn refund(work: &mut Work<'_>, form: &Form) -> Result<Value> {
    form.allow_only(&[
        "payment_intent",
        "charge",
        "amount",
        "currency",
        "metadata",
        "reason",
        "instructions_email",
        "refund_application_fee",
        "reverse_transfer",
    ])?;
    let mut intent = match (form.get("payment_intent"), form.get("charge")) {
        (Some(id), None) => {
            store::payment(work.tx, id)?.ok_or_else(|| Error::no_such("payment_intent", id, "payment_intent"))
        }
        (None, Some(id)) => store::payment_of(work.tx, Table::Charge, id)?
            .ok_or_else(|| Error::no_such("charge", id, "charge")),
        (Some(_), Some(_)) => {
            Err(Error::invalid("You may only specify one of these parameters: charge, payment_intent."))
        }
        (None, None) => Err(Error::invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
        )
        .code("parameter_missing")),
    }?;
    let amount = form.amount("amount")?;
    let reason = form.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let mut metadata = Default::default();
    form.merge_metadata(&mut metadata)?;
    let made = intent.refund(amount, reason, metadata, work.now, &work.stripe.options.base_url);
    if let Ok(at) = made
        && work.stripe.sandbox.take(Switches::take_refund_failure)
    {
        intent.fail_refund(at, work.now)?;
    }
    // A refund that fails is answered as it looked at first: the failure is news for later.
    let first = intent.happenings.iter().find(|happening| happening.kind == "refund.created");
    let mut object = first.map(|happening| happening.object.clone()).unwrap_or_default();
    work.keep(&mut intent, made)?;
    intent.expand(&mut object, &form.list("expand"), &work.stripe.options.base_url)?;
    Ok(object)
}

fn update_refund(work: &mut Work<'_>, id: &str, form: &Form) -> Result<Value> {
    form.allow_only(&["metadata"])?;
    let found = store::payment_of(work.tx, Table::Refund, id)?;
    let mut intent = found.ok_or_else(|| Error::no_such("refund", id, "id"))?;
    let at = intent.refunds.iter().position(|refund| refund.id == id);
    if let Some(at) = at
        && let Some(refund) = intent.refunds.get_mut(at)
    {
        form.merge_metadata(&mut refund.metadata)?;
        intent.update_refund(at);
    }
    work.keep(&mut intent, Ok(()))?;
    read(work, Table::Refund, id, &form.list("expand"))
}

fn shown(work: &Work<'_>, intent: &Intent, form: &Form) -> Result<Value> {
    let base_url = &work.stripe.options.base_url;
    let mut object = intent.show(base_url);
    intent.expand(&mut object, &form.list("expand"), base_url)?;
    Ok(object)
}

/// One object, read by its identifier.
fn one(work: &Work<'_>, table: Table, id: &str, form: &Form) -> Result<Value> {
    form.allow_only(&[])?;
    read(work, table, id, &form.list("expand"))
}

fn read(work: &Work<'_>, table: Table, id: &str, expand: &[&str]) -> Result<Value> {
    let base_url = &work.stripe.options.base_url;
    let missing = |what| Error::no_such(what, id, "id");
    let (intent, mut object) = match table {
        Table::Event => {
            let event = events::one(work.tx, id)?.ok_or_else(|| missing("event"))?;
            return Ok(store::shown(event).body);
        }
        Table::Payment => {
            let intent = find(work.tx, id)?;
            let object = intent.show(base_url);
            (intent, object)
        }
        Table::Charge => {
            let intent = store::payment_of(work.tx, table, id)?.ok_or_else(|| missing("charge"))?;
            let charge = intent.charges.iter().find(|charge| charge.id == id);
            let object = intent.show_charge(charge.ok_or_else(|| missing("charge"))?);
            (intent, object)
        }
        Table::Refund => {
            let intent = store::payment_of(work.tx, table, id)?.ok_or_else(|| missing("refund"))?;
            let refund = intent.refunds.iter().find(|refund| refund.id == id);
            let object = intent.show_refund(refund.ok_or_else(|| missing("refund"))?);
            (intent, object)
        }
        Table::Balance => {
            let missing = || missing("balance transaction");
            let intent = store::payment_of(work.tx, table, id)?.ok_or_else(missing)?;
            let movement = intent.movements.iter().find(|movement| movement.id == id);
            let object = intent.show_movement(movement.ok_or_else(missing)?);
            (intent, object)
        }
    };
    intent.expand(&mut object, expand, base_url)?;
    Ok(object)
}

fn list(work: &Work<'_>, table: Table, form: &Form) -> Result<Value> {
    let (url, filters): (_, &[&str]) = match table {
        Table::Payment => ("/v1/payment_intents", &[]),
        Table::Charge => ("/v1/charges", &["payment_intent"]),
        Table::Refund => ("/v1/refunds", &["payment_intent", "charge"]),
        Table::Event => ("/v1/events", &["type", "types"]),
        Table::Balance => ("/v1/balance_transactions", &["type", "source"]),
    };
    form.allow_only(&[LISTED, filters].concat())?;
    let limit = form.integer("limit")?.unwrap_or(10);
    let most = u32::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
    let most = most.ok_or_else(|| {
        Error::invalid("Invalid limit: must be from 1 to 100.")
            .code("parameter_invalid_integer")
            .param("limit")
    })?;
    let exactly = form.integer("created")?;
    let from = match form.integer("created[gt]")? {
        Some(after) => Some(after.saturating_add(1)),
        None => form.integer("created[gte]")?.or(exactly),
    };
    let to = match form.integer("created[lt]")? {
        Some(before) => Some(before.saturating_sub(1)),
        None => form.integer("created[lte]")?.or(exactly),
    };
    let of_charge = match form.get("charge") {
        Some(charge) => {
            let found = store::payment_of(work.tx, Table::Charge, charge)?;
            Some(found.ok_or_else(|| Error::no_such("charge", charge, "charge").status(400))?.id)
        }
        None => None,
    };
    let mut kinds = form.list("types");
    kinds.extend(form.get("type"));
    let cut = Cut {
        after: form.get("starting_after"),
        before: form.get("ending_before"),
        created: (from, to),
        payment: form.get("payment_intent").or(of_charge.as_deref()),
        kinds: &kinds,
        source: form.get("source"),
        skip: 0,
        most: most + 1,
    };
    let mut ids = store::list(work.tx, table, &cut)?;
    let has_more = ids.len() > most as usize;
    if has_more {
        // The one too many is the furthest from where the page starts.
        if cut.before.is_some() { drop(ids.remove(0)) } else { ids.truncate(most as usize) }
    }
    let expand = form.list("expand");
    let expand: Vec<&str> = expand.iter().filter_map(|path| path.strip_prefix("data.")).collect();
    let data = ids.iter().map(|id| read(work, table, id, &expand)).collect::<Result<Vec<_>>>()?;
    Ok(json!({"object": "list", "url": url, "has_more": has_more, "data": data}))
}

/// The intent, if the client secret is its own.
fn for_buyer(intent: Intent, form: &Form) -> Result<Intent> {
    let given = form.required("client_secret")?;
    if given == intent.client_secret {
        return Ok(intent);
    }
    let message = "The client_secret provided does not match any associated PaymentIntent on this account.";
    Err(Error::invalid(message).code("payment_intent_invalid_parameter").param("client_secret"))
}

fn public(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, _| PUBLIC.contains(&name.as_str()));
    }
    object
}
