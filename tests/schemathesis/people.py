"""Somebody who sells, with one of everything, and somebody who comes and goes: so that what is generated meets what is there."""

import itertools
import os
import re
import time
import uuid
from datetime import datetime, timedelta, timezone

import requests

URL = os.environ["TESSERA_URL"]
PASSWORD = "correct horse"
ID = re.compile(r"\b[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}\b")
known = {}
"""Every id that was ever answered, by its prefix."""


class Person:
    """An account that is signed in."""

    fresh = itertools.count()

    def __init__(self):
        self.email = f"person-{next(self.fresh)}-{uuid.uuid4().hex[:8]}@example.org"
        self.token = None
        self.call("POST", "/v1/accounts", {"email": self.email, "password": PASSWORD, "name": "Ada"})
        proof = {"email": self.email, "code": self.code(), "password": PASSWORD}
        self.call("POST", "/v1/accounts/verify", proof)
        self.sign_in()

    def code(self):
        for _ in range(100):
            mails = requests.get(URL + "/_ses/messages", {"to": self.email}, timeout=10).json()["messages"]
            if mails:
                return mails[0]["subject"].split()[0]
            time.sleep(0.1)
        raise TimeoutError("no mail came")

    def sign_in(self):
        self.token = self.call("POST", "/v1/sessions", {"email": self.email, "password": PASSWORD})["access_token"]
        return self.token

    def call(self, method, path, body=None, by=None, version=None):
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if token := by or self.token:
            headers["Authorization"] = f"Bearer {token}"
        if version:
            headers["If-Match"] = version
        answer = requests.request(method, URL + path, json=body, headers=headers, timeout=30)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        for name in ID.findall(answer.text):
            known.setdefault(name[:3], set()).add(name)
        return answer.json() if answer.content else None

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)


def day(days):
    return (datetime.now(timezone.utc) + timedelta(days=days)).replace(microsecond=0)


def instant(days):
    return day(days).isoformat().replace("+00:00", "Z")


def seller():
    """An owner with one of everything; what can be said of it besides ids."""
    ada = Person()
    organisation = ada.post("/v1/organisations", {"name": "Kulturhaus"})["id"]
    own = f"/v1/organisations/{organisation}"
    hours = [{"day": name, "from": "08:00", "until": "20:00"} for name in
             "monday tuesday wednesday thursday friday saturday sunday".split()]
    euros = {"amount": 2500, "currency": "EUR"}
    contact = {"name": "Grace Hopper", "email": "grace@example.org"}
    place = {"city": "Berlin", "zone": "Europe/Berlin", "hours": hours}

    ada.post(f"{own}/teams", {"name": "Door", "rights": {"role": "gate"}})
    ada.post(f"{own}/invitations", {"email": "new@example.org", "rights": {"role": "editor"}})
    ada.post(f"{own}/api-keys", {"label": "Site", "rights": {"role": "editor"}})
    ada.post(f"{own}/devices", {"label": "Gate 1", "rights": {"role": "gate"}})
    terms = {"within": 168, "grace": 48}
    account = {"holder": "Kulturhaus", "iban": "DE89370400440532013000"}
    means = {"transfer": {"account": account, "terms": terms}, "cash": {"place": "At the door", "terms": terms}}
    ada.call("PUT", f"{own}/means", means, version='"v0"')
    ada.post(f"{own}/coupons", {"code": "SUMMER", "terms": {"off": {"percent": "10"}, "uses": 1000}})
    gift = ada.post(f"{own}/gift-cards", {"amount": {"amount": 100_000, "currency": "EUR"}})["code"]
    venue = ada.post("/v1/venues", {"organisation": organisation, "name": "Hall"})["id"]
    rows = [{"label": label, "seats": "." * 20} for label in "ABCDE"]
    ada.call("PUT", f"/v1/venues/{venue}/sections/S", {"name": "Stalls", "rows": rows})

    def event(**more):
        starts = {"local": day(30).strftime("%Y-%m-%dT19:30:00"), "zone": "Europe/Berlin"}
        return ada.post("/v1/events", {"organisation": organisation, "name": "Midsummer", "city": "Berlin",
                                       "venue": "Hof 1", "starts": starts, **more})["id"]

    def offer(of, **more):
        return ada.post(f"/v1/events/{of}/offers", {"name": "Standing", "price": euros, **more})["id"]

    event()
    shown, asked, queued = event(), event(), event(visibility={"kind": "private", "code": "friends"})
    standing, free = offer(shown, capacity=2000), offer(shown, capacity=1000, price={**euros, "amount": 0})
    offer(shown, seats={"venue": venue, "section": "S"})
    gone, letter = offer(shown, capacity=1), offer(asked, capacity=50, approval=True)
    offer(queued, capacity=50)
    for one in (shown, asked, queued):
        ada.post(f"/v1/events/{one}/publish")
    ada.call("PUT", f"/v1/events/{queued}/waiting-room",
             {"doors": instant(-2), "starts": instant(-1), "per_minute": 600})
    details = {"name": "Photos", "category": "photography", **place}
    service = ada.post("/v1/services", {"organisation": organisation, "details": details})["id"]
    ada.call("PUT", f"/v1/services/{service}", {"open": True, "details": details}, version='"v1"')
    package = ada.post(f"/v1/services/{service}/packages", {"name": "Hour", "minutes": 60, "price": euros})["id"]
    details = {"name": "Shop", **place, "delivery": {"minutes": 60, "capacity": 100}}
    store = ada.post("/v1/stores", {"organisation": organisation, "details": details})["id"]
    ada.call("PUT", f"/v1/stores/{store}", {"open": True, "details": details}, version='"v1"')
    product = ada.post("/v1/products", {"organisation": organisation, "terms": {"name": "Tea", "price": euros, "per_order": 10}})["id"]
    ada.call("PUT", f"/v1/stores/{store}/products/{product}", {"listed": True})

    def until(what):
        """What follows from a message is there a little later."""
        for _ in range(100):
            try:
                return what()
            except RuntimeError:
                time.sleep(0.1)
        return what()

    received = {"quantity": 1000, "cause": "received"}
    until(lambda: ada.post(f"/v1/stores/{store}/products/{product}/movements", received))

    def hold(what, **more):
        return until(lambda: ada.post("/v1/holds", {"lines": [{"quantity": 1, **what}], **more}))

    def order(held):
        return ada.post("/v1/orders", {"quote": held["quote"], "contact": contact})["id"]

    quotes = [hold({"offer": standing})["quote"] for _ in range(3)]
    hold({"offer": gone})
    order(hold({"offer": free}))
    for provider in ("stripe", "razorpay", "cash", "transfer", "gift", None):
        one = order(hold({"offer": standing}))
        if provider:
            card = {"gift_card": gift} if provider == "gift" else {}
            ada.post(f"/v1/orders/{one}/payments", {"provider": provider, **card})
    until(lambda: ada.post(f"/v1/events/{shown}/waitlist", {"offers": [gone], "quantity": 1, "contact": contact}))
    until(lambda: ada.post("/v1/applications", {"offer": letter, "quantity": 1, "contact": contact}))
    lot = ada.post(f"/v1/events/{queued}/waiting-room/places", {"code": "friends"})
    time.sleep(2)
    for path in ("bookings", "orders", "applications", "entries", "refunds", "waitlist"):
        for one in (shown, asked):
            ada.call("GET", f"/v1/events/{one}/{path}")
    for path in ("payments?list=awaited", "audit", "members"):
        ada.call("GET", f"{own}/{path}")
    for path in ("tickets?order=" + known_one("ord"), "bookings", "me", "sessions"):
        ada.call("GET", f"/v1/{path}")
    said = {"quote": quotes, "gift_code": [gift], "place": [lot.get("place")], "package": [package]}
    return ada, organisation, said


def known_one(prefix):
    return sorted(known[prefix])[0]


if __name__ == "__main__":
    _, _, said = seller()
    print({prefix: len(ids) for prefix, ids in sorted(known.items())}, said)
