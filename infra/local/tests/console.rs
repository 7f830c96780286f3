//! The operator's console, asked as a browser asks it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use reqwest::header::{CONTENT_SECURITY_POLICY, LOCATION, ORIGIN};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tessera_local::whole::{Whole, WholeOptions};
use tessera_sqs::{NewMessage, Receive};

/// A guard against hanging, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);
/// A name and a subject that are harmless as text alone.
const NASTY: &str = "<script>alert(1)</script>\"'&";

struct Operator {
    whole: Whole,
    http: reqwest::Client,
}

struct Page {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Page {
    /// Where a change leads to.
    #[track_caller]
    fn onward(&self) -> String {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn shown(self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.text
    }
}

impl Operator {
    async fn new() -> Self {
        let whole = Whole::start(WholeOptions::default()).await.unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { whole, http }
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.whole.url())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }

    async fn look(&self, path: &str) -> Page {
        self.send(self.http.get(self.address(path))).await
    }

    async fn push(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.send(self.http.post(self.address(path)).form(form)).await
    }

    /// Signs somebody up; the code they are mailed is the answer.
    async fn sign_up(&self, email: &str) -> String {
        let account = json!({"email": email, "password": "correct horse", "name": NASTY});
        let signed = self.send(self.http.post(self.address("/v1/accounts")).json(&account)).await;
        assert_eq!(signed.status, 202, "{}", signed.text);
        self.whole.settle(PATIENCE).await.unwrap();
        let mail = self.whole.mail().list(Some(email), 0, 1).unwrap().remove(0);
        mail.subject.split_whitespace().next().unwrap().to_owned()
    }

    /// A mail; its identifier is the answer.
    async fn mail(&self, html: &str) -> String {
        let mail = json!({
            "FromEmailAddress": "shop@example.org", "Destination": {"ToAddresses": ["ada@example.org"]},
            "Content": {"Simple": {"Subject": {"Data": NASTY}, "Body": {"Text": {"Data": NASTY}, "Html": {"Data": html}},
                "Attachments": [
                    {"FileName": "ticket.pdf", "ContentType": "application/pdf", "RawContent": "JVBERi0xLjQK"},
                    {"FileName": "page.html", "ContentType": "text/html", "RawContent": "PGI+aGk8L2I+"},
                ]}},
        });
        let sent = self.http.post(self.address("/_ses/v2/email/outbound-emails")).json(&mail);
        let sent: Value = serde_json::from_str(&self.send(sent).await.shown()).unwrap();
        sent["MessageId"].as_str().unwrap().to_owned()
    }

    /// A payment of 24.50 EUR; its identifier and its client secret are the answer.
    async fn payment(&self) -> (String, String) {
        let key = &self.whole.home().secrets()["stripe_secret_key"];
        let form = [
            ("amount", "2450"),
            ("currency", "eur"),
            ("description", NASTY),
            ("metadata[order_id]", "ord_1"),
        ];
        let call = self.http.post(self.address("/_stripe/v1/payment_intents")).bearer_auth(key).form(&form);
        let made: Value = serde_json::from_str(&self.send(call).await.shown()).unwrap();
        (made["id"].as_str().unwrap().to_owned(), made["client_secret"].as_str().unwrap().to_owned())
    }

    /// A queue that no function reads, with `count` dead letters of it.
    async fn dead_letters(&self, count: usize) {
        let sqs = self.whole.home().sqs();
        sqs.create_queue("work-dead", &BTreeMap::new()).unwrap();
        let target = &sqs.attributes("work-dead").unwrap()["QueueArn"];
        let redrive = json!({"deadLetterTargetArn": target, "maxReceiveCount": 1}).to_string();
        sqs.create_queue("work", &BTreeMap::from([("RedrivePolicy".to_owned(), redrive)])).unwrap();
        for number in 0..count {
            let body = json!({"type": "test.v1", "number": number, "note": NASTY}).to_string();
            sqs.send("work", &NewMessage::new(body)).unwrap();
        }
        let at_once = Receive { max: 10, visibility_seconds: Some(0), wait_seconds: Some(0) };
        while sqs.queues().unwrap().iter().any(|queue| queue.name == "work" && queue.counts.visible > 0) {
            sqs.receive("work", &at_once).await.unwrap();
        }
    }

    fn waiting(&self, queue: &str) -> i64 {
        let queues = self.whole.home().sqs().queues().unwrap();
        queues.into_iter().find(|found| found.name == queue).unwrap().counts.visible
    }
}

const PAGES: [&str; 8] = [
    "/console",
    "/console/mail",
    "/console/queues",
    "/console/tables",
    "/console/requests",
    "/console/payments",
    "/console/faults",
    "/console/figures",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_an_empty_home_is_there_and_says_what_would_be_on_it() {
    let operator = Operator::new().await;
    for page in PAGES {
        let shown = operator.look(page).await;
        assert!(!shown.headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script"));
        assert!(!shown.shown().contains("<script"), "{page}");
    }
    assert!(operator.look("/console").await.text.contains("Nothing is wrong"));
    assert!(operator.look("/console/mail").await.text.contains("No mail yet"));
    assert!(operator.look("/console/payments").await.text.contains("No payment yet"));
    assert!(operator.look("/console/requests").await.text.contains("No request yet"));
    assert!(operator.look("/console/tables/tessera-local-order").await.shown().contains("Empty."));
    assert!(operator.look("/console/queues/tessera-local-order").await.shown().contains("Empty."));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_filled_home_is_there_and_escapes_what_people_wrote() {
    let operator = Operator::new().await;
    operator.sign_up("ada@example.org").await;
    let mail = operator.mail(NASTY).await;
    let (payment, _) = operator.payment().await;
    operator.dead_letters(2).await;
    let mut pages: Vec<String> = PAGES.map(str::to_owned).to_vec();
    pages.extend([
        format!("/console/mail/{mail}"),
        "/console/mail?to=ada@example.org".to_owned(),
        format!("/console/payments/{payment}"),
        "/console/queues/work-dead".to_owned(),
        "/console/queues/work-dead/purge".to_owned(),
        format!("/console?done={NASTY}&failed={NASTY}"),
    ]);
    let tables = operator.whole.home().tables().unwrap();
    pages.extend(tables.into_keys().map(|table| format!("/console/tables/{table}")));
    let mut seen = 0;
    for page in &pages {
        let shown = operator.look(page).await.shown();
        assert!(!shown.contains("<script"), "{page}");
        seen += shown.matches("&lt;script&gt;").count();
    }
    assert!(
        seen >= 6,
        "the nasty text is on the pages of the mail, the payment, the queue and the account: {seen}"
    );
    assert!(operator.look("/console").await.text.contains("2 dead letters in work-dead"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_readable_page() {
    let operator = Operator::new().await;
    for path in [
        "/console/nothing",
        "/console/mail/1",
        "/console/queues/nothing",
        "/console/tables/nothing",
        "/console/payments/pi_1",
    ] {
        let page = operator.look(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.text.contains("<html") && page.text.contains("Overview"), "{path}");
    }
    assert_eq!(operator.look("/console/tables/tessera-local-order?after=x").await.status, 400);
    assert_eq!(operator.look("/console/clock").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_html_of_a_mail_is_shown_where_it_can_do_nothing() {
    let operator = Operator::new().await;
    let mail = operator.mail("<p>Hello</p><script>alert(1)</script>").await;
    let html = operator.look(&format!("/console/mail/{mail}/html")).await;
    let policy = html.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
    assert!(html.text.contains("<p>Hello</p>"));

    let pdf = operator.look(&format!("/console/mail/{mail}/attachments/0")).await;
    assert_eq!(pdf.headers["content-type"], "application/pdf");
    assert_eq!(pdf.headers["x-content-type-options"], "nosniff");
    assert!(pdf.headers["content-disposition"].to_str().unwrap().starts_with("inline"));
    assert!(pdf.shown().starts_with("%PDF"));
    let page = operator.look(&format!("/console/mail/{mail}/attachments/1")).await;
    assert_eq!(page.headers["content-type"], "application/octet-stream");
    assert!(page.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(operator.look(&format!("/console/mail/{mail}/attachments/2")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_changes_nothing() {
    let operator = Operator::new().await;
    operator.dead_letters(1).await;
    let own = operator.whole.url().to_owned();
    let purge = || operator.http.post(operator.address("/console/queues/work-dead/purge"));
    for foreign in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(operator.send(purge().header(ORIGIN, foreign)).await.status, 403, "{foreign}");
    }
    for site in ["cross-site", "same-site", "none"] {
        let request = purge().header(ORIGIN, &own).header("sec-fetch-site", site);
        assert_eq!(operator.send(request).await.status, 403, "{site}");
    }
    assert_eq!(operator.waiting("work-dead"), 1);
    let ours = purge().header(ORIGIN, &own).header("sec-fetch-site", "same-origin");
    assert!(operator.send(ours).await.onward().starts_with("/console/queues/work%2Ddead?done="));
    assert_eq!(operator.waiting("work-dead"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_go_back_one_by_one_and_all_together() {
    let operator = Operator::new().await;
    operator.dead_letters(3).await;
    let first = operator.whole.home().sqs().peek("work-dead", 0, 1).unwrap().remove(0).message_id;
    let replay = "/console/queues/work-dead/replay";
    let onward = operator.push(replay, &[("message", &first)]).await.onward();
    assert!(operator.look(&onward).await.shown().contains("1 message went back"));
    assert_eq!((operator.waiting("work"), operator.waiting("work-dead")), (1, 2));
    let again = operator.push(replay, &[("message", &first)]).await.onward();
    assert!(again.contains("?failed="), "{again}");
    operator.push(replay, &[]).await.onward();
    assert_eq!((operator.waiting("work"), operator.waiting("work-dead")), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_gave_up_on_counts_as_dead_though_no_queue_names_it() {
    let operator = Operator::new().await;
    let sqs = operator.whole.home().sqs();
    sqs.send("tessera-local-outbox-dead", &NewMessage::new("{}")).unwrap();
    let shown = operator.look("/console").await.shown();
    assert!(shown.contains("1 dead letter in tessera-local-outbox-dead"));
    let queue = operator.look("/console/queues/tessera-local-outbox-dead").await.shown();
    assert!(queue.contains("cannot be replayed") && !queue.contains("Replay all"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_asks_first() {
    let operator = Operator::new().await;
    operator.dead_letters(2).await;
    let asked = operator.look("/console/queues/work-dead/purge").await.shown();
    assert!(asked.contains("2 messages are deleted for good"));
    assert_eq!(operator.waiting("work-dead"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_masked_in_tables_queues_and_events() {
    let operator = Operator::new().await;
    let code = operator.sign_up("ada@example.org").await;
    assert_eq!(code.len(), "7Q2K-94MX".len(), "{code}");
    let kept = operator.look("/console/tables/tessera-local-identity").await.shown();
    assert!(kept.contains("account.code_requested.v1") && kept.contains("ada@example.org"));
    assert!(!kept.contains("argon2") && !kept.contains(&format!(": &quot;{code}")), "{kept}");

    operator.dead_letters(0).await;
    let body = json!({"type": "account.code_requested.v1", "data": {"code": "314159", "name": "Ada"}});
    operator.whole.home().sqs().send("work", &NewMessage::new(body.to_string())).unwrap();
    let waiting = operator.look("/console/queues/work").await.shown();
    assert!(waiting.contains("Ada") && !waiting.contains("314159"));

    let (payment, secret) = operator.payment().await;
    let shown = operator.look(&format!("/console/payments/{payment}")).await.shown();
    // Once it is there for the buyer's page; the event's object must not say it again.
    assert_eq!(shown.matches(secret.as_str()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_read_page_by_page_and_by_key() {
    let operator = Operator::new().await;
    for number in 0..21 {
        operator.sign_up(&format!("person{number}@example.org")).await;
    }
    let table = "/console/tables/tessera-local-identity";
    let (mut at, mut accounts, mut pages) = (table.to_owned(), std::collections::BTreeSet::new(), 0);
    loop {
        let shown = operator.look(&at).await.shown().replace("&#x2f;", "/");
        pages += 1;
        let people = shown.match_indices("person").map(|(from, _)| &shown[from..]);
        accounts.extend(people.filter_map(|rest| rest.split('@').next()).map(str::to_owned));
        let Some(next) = shown.split("rel=\"next\" href=\"").nth(1) else { break };
        at = next.split('"').next().unwrap().replace("&amp;", "&");
    }
    assert!(pages > 1);
    assert_eq!(accounts.len(), 21);
    let missing = operator.look(&format!("{table}?pk=acc_nobody")).await.shown();
    assert!(missing.contains("No item has the key acc_nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_moves_forward_and_a_schedule_runs_when_asked() {
    let operator = Operator::new().await;
    let before = operator.whole.clock().now();
    let onward = operator.push("/console/clock", &[("seconds", "3600")]).await.onward();
    assert!(onward.starts_with("/console?done="), "{onward}");
    assert!(operator.whole.clock().now().duration_since(before).as_secs() >= 3600);
    for wrong in ["-1", "0", "soon", "999999999999"] {
        let onward = operator.push("/console/clock", &[("seconds", wrong)]).await.onward();
        assert!(onward.contains("?failed="), "{wrong}");
    }
    let ran = operator.push("/console/schedules/run", &[("name", "BookingWorker/Tidy")]).await.onward();
    assert!(ran.contains("?done="), "{ran}");
    let unknown = operator.push("/console/schedules/run", &[("name", "Nobody/Nothing")]).await.onward();
    assert!(unknown.contains("?failed="), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_are_set_and_taken_back_and_show_on_the_first_page() {
    let operator = Operator::new().await;
    let form = [("decline_next", "2"), ("hold_webhooks", "on"), ("sign_with", "both"), ("back", "payments")];
    let onward = operator.push("/console/faults/payments", &form).await.onward();
    assert!(onward.starts_with("/console/payments?done="), "{onward}");
    let switches = operator.whole.stripe().switches();
    assert_eq!((switches.decline_next, switches.hold_webhooks, switches.hang_ms), (2, true, 60_000));
    assert!(operator.look("/console").await.text.contains("decline next 2"));
    let wrong = operator.push("/console/faults/payments", &[("fail_status", "200")]).await.onward();
    assert!(wrong.starts_with("/console/faults?failed="), "{wrong}");
    assert_eq!(operator.whole.stripe().switches(), switches);
    operator.push("/console/faults/payments", &[("reset", "yes")]).await.onward();
    assert_eq!(operator.whole.stripe().switches().decline_next, 0);

    operator.push("/console/faults/mail", &[("reject", "a@example.org, b@example.org")]).await.onward();
    assert_eq!(operator.whole.mail().switches().reject, ["a@example.org", "b@example.org"]);

    let fault = [("fault", "throttle"), ("service", "s3"), ("operation", ""), ("times", "3")];
    operator.push("/console/faults/stores", &fault).await.onward();
    let rules = operator.whole.home().faults().rules();
    assert_eq!((rules.len(), rules[0].times, &rules[0].operation), (1, 3, &None));
    assert!(operator.look("/console").await.text.contains("1 fault switched on for the stores"));
    let wrong = operator.push("/console/faults/stores", &[("fault", "meteor")]).await.onward();
    assert!(wrong.contains("?failed="), "{wrong}");
    operator.push("/console/faults/stores/clear", &[]).await.onward();
    assert!(operator.whole.home().faults().rules().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_again_when_asked() {
    let operator = Operator::new().await;
    let (payment, _) = operator.payment().await;
    operator.whole.settle(PATIENCE).await.unwrap();
    let event = operator.whole.stripe().events(Some(&payment), 0, 1).unwrap().remove(0).id;
    let redeliver = format!("/console/payments/{payment}/redeliver");
    assert!(operator.push(&redeliver, &[("event", &event)]).await.onward().contains("?done="));
    assert!(operator.push(&redeliver, &[("event", "evt_none")]).await.onward().contains("?failed="));
    let shown = operator.look("/console/payments").await.shown();
    assert!(shown.contains("24.50 EUR") && shown.contains("ord_1") && shown.contains("Pay page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_meter_says_what_each_action_cost() {
    let operator = Operator::new().await;
    operator.sign_up("ada@example.org").await;
    let meter: Value = serde_json::from_str(&operator.look("/_local/meter").await.shown()).unwrap();
    let sign_up = &meter["POST /v1/accounts"];
    assert_eq!(sign_up["runs"], 1);
    assert!(sign_up["round_trips"].as_u64() > Some(0) && sign_up["write_units"].as_f64() > Some(0.0));
    assert!(sign_up["read_units"].is_number());
    let figures = operator.look("/console/figures").await.shown().replace("&#x2f;", "/");
    assert!(figures.contains("POST /v1/accounts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_with_a_console_lets_go_of_its_folder_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let options = WholeOptions { data: Some(folder.path().to_owned()), ..WholeOptions::default() };
        let whole = Whole::start(options).await.unwrap();
        let shown = reqwest::get(format!("{}/console", whole.url())).await.unwrap().text().await.unwrap();
        assert!(shown.contains("Nothing is wrong"), "{shown}");
        whole.stop(PATIENCE).await.unwrap();
    }
}
