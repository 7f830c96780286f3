//! Mail, sent through the AWS SDK and read by people.

use std::sync::Arc;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, RawMessage};
use axum::Router;
use serde_json::{Value, json};
use tessera_sandbox::Storage;
use tessera_sandbox::mail::{Mail, router};

use crate::world::{NOW, serve, text};

const RAW: &str = "From: =?utf-8?q?Caf=C3=A9?= <cafe@example.com>\r\nTo: Ada <Ada@example.com>, bob@example.com\r\n\
Subject: Your tickets\r\nDate: Sat, 21 Nov 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=\"c\"\r\n\r\n\
--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
<p>rich</p>\r\n--c--\r\n--b\r\nContent-Type: application/pdf; name=\"ticket.pdf\"\r\n\
Content-Disposition: attachment; filename=\"ticket.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n";

struct Post {
    mail: Arc<Mail>,
    url: String,
    ses: Client,
}

/// The sandbox mounted below a path, and the SDK pointed at it.
async fn post_office() -> Post {
    let mail = Mail::open(&Storage::Memory, Arc::new(|| NOW)).unwrap();
    let url = serve(Router::new().nest("/_mail", router(Arc::clone(&mail)))).await + "/_mail";
    let config = aws_sdk_sesv2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(&url)
        .build();
    Post { mail, url, ses: Client::from_conf(config) }
}

impl Post {
    fn raw(
        &self,
        to: &[&str],
        raw: &str,
    ) -> aws_sdk_sesv2::operation::send_email::builders::SendEmailFluentBuilder {
        let message = RawMessage::builder().data(Blob::new(raw)).build().unwrap();
        let to =
            Destination::builder().set_to_addresses(Some(to.iter().map(|to| (*to).to_owned()).collect()));
        self.ses
            .send_email()
            .from_email_address("Café <Cafe@example.com>")
            .destination(to.build())
            .content(EmailContent::builder().raw(message).build())
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    async fn switch(&self, switches: &Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.post(format!("{}/_switches", self.url)).json(switches).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// A plain mail without the SDK; answers its identifier.
pub(crate) async fn send_simple(url: &str, to: &str, subject: &str) -> String {
    let body = json!({
        "FromEmailAddress": "shop@example.com",
        "Destination": {"ToAddresses": [to]},
        "Content": {"Simple": {"Subject": {"Data": subject}, "Body": {"Text": {"Data": "plain"}}}},
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.post(format!("{url}/v2/email/outbound-emails")).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    text(&response.json::<Value>().await.unwrap()["MessageId"])
}

#[tokio::test]
async fn a_raw_message_is_kept_byte_for_byte_and_taken_apart() {
    let post = post_office().await;
    let sent = post.raw(&["ada@example.com"], RAW).send().await.unwrap();
    let id = sent.message_id().unwrap();
    assert_eq!(post.mail.raw(id).unwrap(), RAW.as_bytes());
    assert_eq!(post.get(&format!("/messages/{id}/raw")).await.text().await.unwrap(), RAW);

    let message = post.json(&format!("/messages/{id}")).await;
    assert_eq!(message["sender"], "cafe@example.com");
    assert_eq!(
        message["recipients"],
        json!(["ada@example.com"]),
        "the envelope, not the header, says who gets it"
    );
    assert_eq!(message["from"], json!(["Café <cafe@example.com>"]));
    assert_eq!(message["to"], json!(["Ada <Ada@example.com>", "bob@example.com"]));
    assert_eq!(message["subject"], "Your tickets");
    assert_eq!((&message["date"], &message["received_ms"]), (&json!(NOW / 1_000), &json!(NOW)));
    assert_eq!(message["text"].as_str().unwrap().trim(), "plain");
    assert_eq!(message["html"].as_str().unwrap().trim(), "<p>rich</p>");
    let ticket =
        json!([{"name": "ticket.pdf", "media_type": "application/pdf", "bytes": 5, "content_id": null}]);
    assert_eq!(message["attachments"], ticket);
    let attachment = post.get(&format!("/messages/{id}/attachments/0")).await;
    assert_eq!(attachment.headers()["content-type"], "application/pdf");
    assert_eq!(&attachment.bytes().await.unwrap()[..], b"%PDF-");
    assert_eq!(post.get(&format!("/messages/{id}/attachments/1")).await.status(), 404);
    assert_eq!(post.get("/messages/none").await.status(), 404);
}

#[tokio::test]
async fn a_simple_message_becomes_a_real_one() {
    let post = post_office().await;
    let content = |data: &str| Content::builder().data(data).charset("UTF-8").build().unwrap();
    let body = Body::builder().text(content("Grüße")).html(content("<p>Grüße</p>")).build();
    let message = Message::builder().subject(content("Schön, dass du kommst")).body(body).build();
    let to =
        Destination::builder().to_addresses("Ada <ada@example.com>").bcc_addresses("archive@example.com");
    let sent = post
        .ses
        .send_email()
        .from_email_address("Tessera <hello@example.com>")
        .destination(to.build())
        .content(EmailContent::builder().simple(message).build())
        .send()
        .await
        .unwrap();
    let message = post.mail.get(sent.message_id().unwrap()).unwrap();
    assert_eq!((message.subject.as_str(), message.date), ("Schön, dass du kommst", Some(NOW / 1_000)));
    assert_eq!(message.from, ["Tessera <hello@example.com>"]);
    assert_eq!(message.recipients, ["ada@example.com", "archive@example.com"]);
    assert_eq!(message.text.as_deref().map(str::trim), Some("Grüße"));
    assert_eq!(message.html.as_deref().map(str::trim), Some("<p>Grüße</p>"));
    let raw = String::from_utf8(post.mail.raw(&message.id).unwrap()).unwrap();
    assert!(!raw.contains("archive@"), "a blind copy stays blind");
}

#[tokio::test]
async fn without_a_destination_the_headers_say_who_receives_it() {
    let post = post_office().await;
    let message = RawMessage::builder().data(Blob::new(RAW)).build().unwrap();
    let content = EmailContent::builder().raw(message).build();
    post.ses.send_email().content(content).send().await.unwrap();
    let message = &post.mail.list(None, 0, 1).unwrap()[0];
    assert_eq!(message.recipients, ["ada@example.com", "bob@example.com"]);
    assert_eq!(message.sender, "cafe@example.com");
}

#[tokio::test]
async fn messages_are_listed_newest_first_by_recipient_and_in_pages() {
    let post = post_office().await;
    for number in 0..5 {
        let to = if number % 2 == 0 { "ada@example.com" } else { "bob@example.com" };
        send_simple(&post.url, to, &number.to_string()).await;
    }
    let subjects = async |query: &str| {
        let page = post.json(&format!("/messages?{query}")).await;
        let messages = page["messages"].as_array().unwrap();
        (
            messages.iter().map(|one| text(&one["subject"])).collect::<Vec<_>>().join(" "),
            page["total"].clone(),
        )
    };
    assert_eq!(subjects("").await, ("4 3 2 1 0".into(), json!(5)));
    assert_eq!(subjects("to=ADA%40example.com").await, ("4 2 0".into(), json!(3)));
    assert_eq!(subjects("to=ada%40example.com&skip=1&limit=1").await, ("2".into(), json!(3)));
    assert_eq!(subjects("to=nobody%40example.com").await, (String::new(), json!(0)));
    post.mail.clear().unwrap();
    assert_eq!(post.mail.count(None).unwrap(), 0);
    assert_eq!(subjects("to=ada%40example.com").await, (String::new(), json!(0)));
}

#[tokio::test]
async fn the_sdk_knows_the_refusals_by_their_names() {
    let post = post_office().await;
    let refused = async || post.raw(&["ada@example.com"], RAW).send().await.unwrap_err().into_service_error();
    post.switch(&json!({"throttle_next": 1})).await;
    assert!(refused().await.is_too_many_requests_exception());
    post.switch(&json!({"reject_next": 1})).await;
    assert!(refused().await.is_message_rejected());
    post.switch(&json!({"reject": ["ADA@example.com"]})).await;
    assert!(refused().await.is_message_rejected());
    post.raw(&["bob@example.com"], RAW).send().await.unwrap();
    post.switch(&json!({"reject": [], "fail_next": 1})).await;
    let failed = post.raw(&["ada@example.com"], RAW).send().await.unwrap_err();
    assert_eq!(failed.raw_response().unwrap().status().as_u16(), 500);
    assert_eq!(post.mail.count(None).unwrap(), 1, "what was refused is not kept");
    post.raw(&["ada@example.com"], RAW).send().await.unwrap();
}

#[tokio::test]
async fn mail_that_makes_no_sense_is_refused() {
    let post = post_office().await;
    let none: [&str; 0] = [];
    let nobody =
        post.raw(&none, "From: a@example.com\r\n\r\n").send().await.unwrap_err().into_service_error();
    assert!(nobody.is_bad_request_exception());
    let illegal = post.raw(&["not an address"], RAW).send().await.unwrap_err().into_service_error();
    assert!(illegal.is_bad_request_exception());
    let anonymous = post.raw(&["ada@example.com"], "Subject: x\r\n\r\n").send().await.unwrap_err();
    assert!(anonymous.into_service_error().is_message_rejected());
    let many: Vec<_> = (0..51).map(|number| format!("a{number}@example.com")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(post.raw(&many, RAW).send().await.unwrap_err().into_service_error().is_message_rejected());
    assert_eq!(post.mail.count(None).unwrap(), 0);
}

#[tokio::test]
async fn a_message_can_be_taken_and_its_answer_lost() {
    let post = post_office().await;
    post.switch(&json!({"lose_next": 1})).await;
    post.raw(&["ada@example.com"], RAW).send().await.unwrap_err();
    assert_eq!(post.mail.count(None).unwrap(), 1);
}
