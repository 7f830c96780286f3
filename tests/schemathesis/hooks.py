"""What Schemathesis is told about us: who calls, what is there, and what else has to be true of an answer."""

import re

import people
import schemathesis

seller, organisation, said = people.seller()

CALLING_OFF = re.compile(r"^/v1/(sessions|me/)")
"""What ends sessions or changes how somebody signs in is asked by people who do nothing else."""


@schemathesis.auth(refresh_interval=600).skip_for(path_regex=CALLING_OFF.pattern)
class Seller:
    """The owner. An access token lasts for 15 minutes."""

    def get(self, case, context):
        return seller.sign_in()

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth(refresh_interval=None).apply_to(path_regex=CALLING_OFF.pattern)
class Passing:
    """Somebody else as soon as the one before cannot sign in any more."""

    person = None

    def get(self, case, context):
        try:
            self.person = self.person or people.Person()
            return self.person.sign_in()
        except (RuntimeError, KeyError):
            self.person = people.Person()
            return self.person.token

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


KINDS = re.compile(r"\^\(?([a-z|]+)\)?_\[0-7\]")
INSTANTS = [*(people.instant(days) for days in (-1, 0, 1, 2)), "0001-01-01T00:00:00Z", "9999-12-30T21:00:00Z"]


def either(there, schema):
    """One of what is there, or anything of that form."""
    return {"anyOf": [{"enum": there}, dict(schema)]} if there else schema


def meet(schema):
    """The same schema, but half of the ids and instants that are made by it name something that is there."""
    if isinstance(schema, list):
        return [meet(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if kind := KINDS.match(schema.get("pattern") or ""):
        there = [name for prefix in kind[1].split("|") for name in sorted(people.known.get(prefix, ()))[:4]]
        return either(there, schema)
    if schema.get("format") == "date-time" and schema.get("type") == "string":
        return either(INSTANTS, schema)
    if schema.get("format") == "password":
        return either([people.PASSWORD], schema)
    if schema.get("pattern") == "^[A-Z]{3}$":
        return either(["EUR", "USD", "JPY", "KWD"], schema)
    examples = schema.get("examples") or [schema["example"]] if "example" in schema or "examples" in schema else []
    if examples and "string" in schema.get("type", ()):
        return either(examples, schema)
    return {name: meet(part) for name, part in schema.items()}


USUAL = {"city": ["Berlin"], "zone": ["Europe/Berlin"], "If-Match": ['"v0"', '"v1"', '"v2"'], "code": ["SUMMER", "S"],
         "services": [",".join(sorted(people.known["svc"]) * 2)]}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            for part in operation.get("parameters", []):
                part["schema"] = either(USUAL.get(part["name"]), part["schema"])
            # An answer is checked by what is written, an input made from what is there.
            if "parameters" in operation:
                operation["parameters"] = meet(operation["parameters"])
    schemas = raw_schema["components"]["schemas"]
    for name, schema in list(schemas.items()):
        schemas[name] = meet(schema)
    fields = {("LocalTime", "local"): [people.day(30).strftime("%Y-%m-%dT19:30:00"), "9999-12-30T20:00:00"],
              ("Take", "admission"): said["place"], ("PlaceOrder", "quote"): said["quote"],
              ("PresentPlace", "place"): said["place"], ("GiftCardLook", "code"): said["gift_code"]}
    for (schema, field), there in fields.items():
        properties = schemas[schema]["properties"]
        properties[field] = either(there, properties[field])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Where the path is no route (an empty id, one with a slash), the gateway answers by itself, as the service does."""
    return response.status_code != 404 or response.content != b'{"message":"Not Found"}'


def is_described(response, case):
    return response.request.method.lower() in case.operation.schema.raw_schema["paths"][case.operation.path]


CODE = re.compile(r"(\d{3}) ([a-z_]+)")


@schemathesis.check
def a_refusal_is_one_of_the_catalogue(ctx, response, case):
    """Operations describe their refusals by one answer, `default`. It says which codes there are and the status of each."""
    status = response.status_code
    if status < 400:
        documented = case.operation.definition.raw["responses"]
        assert not is_described(response, case) or str(status) in documented, f"{status} is not described"
        return
    if not is_described(response, case):
        return
    catalogue = case.operation.schema.raw_schema["components"]["responses"]["Problem"]["description"]
    problem = response.json()
    assert (str(status), problem.get("code")) in CODE.findall(catalogue), f"{status} {problem}"
    assert problem["status"] == status, f"{status} {problem}"
    assert response.headers["content-type"][0].startswith("application/problem+json"), response.headers


@schemathesis.check
def what_is_not_described_is_not_served(ctx, response, case):
    """The gateway of an HTTP API knows no 405: what is no route is 404 there, with or without another method."""
    if not is_described(response, case):
        status = response.status_code
        assert status in (404, 405), f"{response.request.method} is answered with {status}"
