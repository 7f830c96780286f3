"""Drives a running sandbox with Stripe's own library, which knows nothing of it but the address. See README.md."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import stripe

PORT, HOOK = int(sys.argv[1]), int(sys.argv[2])
SECRET = "whsec_sandbox"

events, forged = [], []


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        header = self.headers["Stripe-Signature"]
        events.append(stripe.Webhook.construct_event(body, header, SECRET))
        try:
            stripe.Webhook.construct_event(json.dumps(json.loads(body)), header, SECRET)
            forged.append(body)
        except stripe.SignatureVerificationError:
            pass
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", HOOK), Hook).serve_forever, daemon=True).start()

client = stripe.StripeClient("sk_test_sandbox", base_addresses={"api": f"http://127.0.0.1:{PORT}/_stripe"})
intents, refunds = client.v1.payment_intents, client.v1.refunds


def refused(kind, call, **expected):
    try:
        call()
    except kind as error:
        for name, value in expected.items():
            assert getattr(error, name) == value, (name, getattr(error, name), value)
        return error
    raise AssertionError(f"no {kind.__name__}")


def create(**more):
    return intents.create({"amount": 2450, "currency": "eur", "payment_method_types": ["card"],
                           "capture_method": "manual", "metadata": {"order": "7"}, **more})


# Created, confirmed, captured, refunded in parts.
intent = create(description="Two places")
assert (intent.status, intent.metadata["order"], intent.livemode) == ("requires_payment_method", "7", False)
intent = intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
assert (intent.status, intent.amount_capturable) == ("requires_capture", 2450)
intent = intents.capture(intent.id, {"amount_to_capture": 2000, "expand": ["latest_charge"]})
assert (intent.status, intent.amount_received, intent.latest_charge.amount_captured) == ("succeeded", 2000, 2000)
refund = refunds.create({"payment_intent": intent.id, "amount": 500, "reason": "requested_by_customer"})
assert (refund.status, refund.amount, refund.payment_intent) == ("succeeded", 500, intent.id)
assert refunds.retrieve(refund.id).charge == intent.latest_charge.id
refunds.create({"charge": intent.latest_charge.id})
assert client.v1.charges.retrieve(intent.latest_charge.id).refunded
refused(stripe.InvalidRequestError, lambda: refunds.create({"payment_intent": intent.id}), code="charge_already_refunded")
assert [one.amount for one in refunds.list({"payment_intent": intent.id}).data] == [1500, 500]

# Refusals have the library's own classes.
declined = create()
pay = lambda: intents.confirm(declined.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"})
error = refused(stripe.CardError, pay, code="card_declined", http_status=402)
assert error.error.decline_code == "insufficient_funds" and error.error.payment_intent.id == declined.id
assert intents.retrieve(declined.id).last_payment_error.decline_code == "insufficient_funds"
refused(stripe.InvalidRequestError, lambda: intents.capture(declined.id), code="payment_intent_unexpected_state")
refused(stripe.InvalidRequestError, lambda: intents.retrieve("pi_none"), code="resource_missing", http_status=404)
wrong = stripe.StripeClient("sk_test_wrong", base_addresses={"api": f"http://127.0.0.1:{PORT}/_stripe"})
refused(stripe.AuthenticationError, lambda: wrong.v1.payment_intents.list())
assert intents.cancel(declined.id, {"cancellation_reason": "abandoned"}).status == "canceled"

# Idempotency.
params = {"amount": 100, "currency": "jpy"}
first = intents.create(params, {"idempotency_key": f"key-{time.time_ns()}"})
key = first.last_response.headers["idempotency-key"]
again = intents.create(params, {"idempotency_key": key})
assert again.id == first.id and again.last_response.headers["idempotent-replayed"] == "true"
other = lambda: intents.create({**params, "amount": 200}, {"idempotency_key": key})
refused(stripe.IdempotencyError, other, http_status=400)

# Authentication and automatic capture.
asked = intents.create({"amount": 900, "currency": "usd", "confirm": True, "payment_method": "pm_card_authenticationRequired",
                        "automatic_payment_methods": {"enabled": True}, "return_url": "https://shop.example/back"})
assert asked.status == "requires_action" and "/pay/" in asked.next_action.redirect_to_url.url
paid = intents.create({"amount": 900, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa",
                       "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}})
assert paid.status == "succeeded"
assert len(list(intents.list({"limit": 2}).auto_paging_iter())) >= 5

# What happened arrives, and verifies.
while len(client.v1.events.list({"limit": 100}).data) > len({event.id for event in events}):
    time.sleep(0.05)
kinds = {event.type for event in events}
assert not forged, "a re-serialised body verified"
assert {"payment_intent.created", "payment_intent.amount_capturable_updated", "payment_intent.succeeded",
        "payment_intent.payment_failed", "payment_intent.canceled", "payment_intent.requires_action",
        "charge.captured", "charge.refunded", "refund.created"} <= kinds, kinds
assert client.v1.events.retrieve(events[0].id).type == events[0].type
print(f"stripe {stripe.VERSION}: {len(events)} events, {len(kinds)} kinds, all as expected")
