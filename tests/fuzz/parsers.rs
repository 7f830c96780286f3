//! What parses is within its bounds, and is written as something that parses to the same.

use crate::{check, config, now, play, play_text};
use jiff::Timestamp;
use jiff::civil::Date;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use tessera::auth::{Actor, Buyer, Keys};
use tessera::booking::{Quote, Subject};
use tessera::calendar;
use tessera::catalogue::{self, Event, LocalTime, Terms};
use tessera::clock::{is_near, sortable};
use tessera::entry::Window;
use tessera::id::{self, EventId, OrganisationId, PoolId, StoreId};
use tessera::identity::Rights;
use tessera::limit::Limits;
use tessera::message::Envelope;
use tessera::money::{self, Currency, Money, Percent};
use tessera::order::invoice::{Country, InvoiceSettings};
use tessera::payment::gift::GiftCode;
use tessera::payment::promise::{BankAccount, PaymentMeans};
use tessera::pool::HoldKey;
use tessera::price::coupon::{CouponCode, CouponTerms};
use tessera::price::{Place, PriceRules};
use tessera::retail::StoreDetails;
use tessera::seating::{Seating, Section, Status, picture};
use tessera::sheet;
use tessera::text::{Email, Text};
use tessera::vendor;
use tessera_statement as statement;

/// Reads a text; what it gives is written and read again as the same.
fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T>
where
    T::Err: Debug,
{
    let read: T = text.parse().ok()?;
    assert_eq!(read.to_string().parse::<T>().unwrap(), read, "{text}");
    Some(read)
}

/// The same of JSON.
fn json_reads_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), read, "{}", String::from_utf8_lossy(bytes));
    Some(read)
}

#[test]
fn ids() {
    let kinds = id::REGISTRY.iter().map(|(prefix, _)| format!("{prefix}_06f5k2v8s1xg4w7m3q9c0hrtbn"));
    play_text(kinds.chain(["acc_7zzzzzzzzzzzzzzzzzzzzzzzzz".to_owned()]), |text: &str| {
        macro_rules! one_of { ($($kind:ident)*) => {[$(reads_back::<id::$kind>(text).map(|id| id.to_string())),*]} }
        let read = one_of!(
            AccountId GuestId SessionId OrganisationId TeamId InvitationId KeyId DeviceId EventId ServiceId PackageId StoreId
            ProductId MovementId OfferId CouponId PoolId ApplicationId WaiterId VenueId HoldId BookingId OrderId InvoiceId
            GiftCardId PaymentId RefundId EntryId TicketId ScanId MailId MessageId ExportId PictureId
        );
        assert_eq!(read.len(), id::REGISTRY.len());
        let read: Vec<String> = read.into_iter().flatten().collect();
        // An id has one form, and is of one kind.
        assert!(read.is_empty() || read == [text], "{text}: {read:?}");
        reads_back::<Actor>(text);
        reads_back::<Buyer>(text);
        reads_back::<Subject>(text);
    });
}

#[test]
fn hold_key() {
    play_text(["AAAAAAAAAAAA", "_-_-_-_-_-_-"], |text: &str| {
        if let Ok(key) = text.parse::<HoldKey>() {
            assert_eq!(key.to_string(), text);
        }
    });
}

#[test]
fn amounts() {
    let samples =
        ["EUR", "JPY", "KWD", "XAU", "19", "8.875", "100", "100.000", r#"{"amount":2500,"currency":"EUR"}"#];
    play_text(samples, |text: &str| {
        if let Ok(currency) = text.parse::<Currency>() {
            assert_eq!(currency.code(), text);
        }
        if let Some(percent) = reads_back::<Percent>(text) {
            assert!(percent <= Percent::ALL);
        }
        if let Some(money) = json_reads_back::<Money>(text.as_bytes()) {
            let (decimals, written) = (money.currency.decimals() as usize, money.decimal());
            let digits = written.replace(['.'], "").parse::<i128>().unwrap();
            assert_eq!(digits, i128::from(money.amount), "{written}");
            assert_eq!(written.split_once('.').map_or(0, |(_, part)| part.len()), decimals);
            let sums = (money.plus(money), money.times(3), money.minus(money));
            assert!(sums.2.is_ok_and(Money::is_zero));
        }
    });
}

#[test]
fn shares() {
    check((any::<i64>(), vec(any::<u32>(), 0..20), any::<u32>()), |(amount, weights, percent)| {
        let weights: Vec<i64> = weights.iter().map(|weight| i64::from(*weight)).collect();
        let parts = money::split(amount, &weights);
        let sum: i128 = parts.iter().map(|part| i128::from(*part)).sum();
        assert_eq!(sum, if weights.is_empty() { 0 } else { i128::from(amount) }, "{weights:?}");
        let percent: Percent = format!("{}.{:03}", percent % 100, percent / 100 % 1000).parse().unwrap();
        let whole = amount.unsigned_abs().min(i64::MAX.unsigned_abs()) as i64;
        assert!((0..=whole).contains(&percent.of(whole)) && (0..=whole).contains(&percent.within(whole)));
    });
}

#[test]
fn text() {
    play_text(["Midsummer Night", " žšč ", "a\nb\tc", "Ada <ada@example.org>"], |text: &str| {
        let (short, long) = (Text::<1, 20>::parse(text), Text::<0, 2000>::parse(text));
        if let Ok(read) = &short {
            assert!(!read.as_str().chars().any(char::is_control) && read.as_str().trim() == read.as_str());
            assert_eq!(Text::parse(read.as_str()).as_ref(), Ok(read));
        }
        if let Ok(read) = &long {
            assert_eq!(Text::parse(read.as_str()).as_ref(), Ok(read));
        }
    });
}

#[test]
fn email() {
    play_text(
        ["ada@example.org", "o'neil+tag@mail.example.co.uk", "δοκιμή@παράδειγμα.ελ", "İ@example.org"],
        |text: &str| {
            if let Ok(email) = text.parse::<Email>() {
                assert_eq!(email.as_str(), text);
                let (local, domain) = text.split_once('@').unwrap();
                assert!(!local.is_empty() && domain.contains('.') && !domain.contains('@'));
                assert!(
                    !text.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;".contains(c)),
                    "{text:?}"
                );
                assert_eq!(email.normal().to_lowercase(), email.normal());
            }
        },
    );
}

#[test]
fn codes() {
    let samples = [
        "7Q2K-94MX-0V5T-DGW8",
        "SUMMER10",
        "SUMMER-7Q2K9-4MX0V",
        "DE89370400440532013000",
        "DE",
        "US-CA",
        "TS-7Q2K-94MX-3",
    ];
    play_text(samples, |text: &str| {
        reads_back::<GiftCode>(text);
        reads_back::<CouponCode>(text);
        reads_back::<Place>(text);
        reads_back::<Country>(text);
        json_reads_back::<BankAccount>(json!({"holder": "K", "iban": text}).to_string().as_bytes());
        if let Some(bits) = statement::parse(text, "TS") {
            assert_eq!(statement::parse(&statement::reference("TS", bits), "TS"), Some(bits));
        }
        for found in statement::find_codes(text, "TS") {
            assert!(statement::parse(&found, "TS").is_some(), "{text}: {found}");
        }
    });
}

#[test]
fn settings() {
    let samples =
        ["sign_in=10/60,write_address=600/60", "read=1/1", "read=10000000/86400", &crate::key_set()]
            .map(str::to_owned);
    play_text(samples, |text: &str| {
        let with = |name: &str| {
            [(name.to_owned(), text.to_owned()), ("ISSUER".to_owned(), "fuzz".to_owned())]
                .into_iter()
                .collect()
        };
        let _limits = Limits::new(&with("LIMITS")).is_ok();
        let _keys = Keys::new(&with("ACCESS_PUBLIC_KEYS")).is_ok();
        let _sealer = tessera::sign::Sealer::new(&with("TOKEN_SECRETS")).is_ok();
    });
    assert!(Limits::new(&config()).is_ok());
}

#[test]
fn messages() {
    play(include_str!("../fixtures/messages.jsonl").lines(), |bytes: &[u8]| {
        json_reads_back::<Envelope>(bytes);
    });
}

#[test]
fn quote() {
    let sample = json!({
        "hold": "hld_78f2d2tya2hw9rjxcs9t8asvhc", "buyer": "acc_01m81c07zffmt85jzbj8bdyvt9",
        "organisation": "org_6exbxxv69rhqftp198nf8kvapv", "event": "evt_7ppq92w4echmtsde0p2prptn21",
        "lines": [{"offer": "ofr_5cpn1xvxsbgwpvbzqd8mvnntq9", "name": "Standing", "quantity": 1,
            "unit": {"amount": 2500, "currency": "EUR"}, "amount": {"amount": 2500, "currency": "EUR"}}],
        "total": {"amount": 2500, "currency": "EUR"},
        "claims": [{"p": "pol_5cpn1xvxsbgwpvbzqd8mvnntq9#51", "l": "1242", "m": "5965348505101"}],
        "expires": "2026-11-22T10:24:45Z"
    });
    assert!(json_reads_back::<Quote>(sample.to_string().as_bytes()).is_some());
    play([sample.to_string()], |bytes: &[u8]| drop(json_reads_back::<Quote>(bytes)));
}

#[test]
fn instants() {
    let samples = [
        "2027-06-01T19:30:00Z",
        "2026-11-22T10:24:45.120Z",
        "2027-06-01T19:30:00+02:00",
        "9999-12-30T21:59:59.999Z",
        "1970-01-01T00:00:00Z",
    ];
    play_text(samples, |text: &str| {
        if let Ok(at) = text.parse::<Timestamp>() {
            let kept: Timestamp = sortable(at).parse().unwrap();
            assert_eq!(kept.as_millisecond(), at.as_millisecond(), "{text}");
            let _checked = tessera::page::within(at, now(), 366).is_ok()
                || tessera::page::within(now(), at, 366).is_ok();
        }
        let _date = text.parse::<Date>().is_ok();
    });
}

const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Africa/Casablanca",
    "UTC",
    "Australia/Lord_Howe",
    "Mars/Olympus",
];

/// A local time anywhere on the calendar, most often where clocks still run.
fn when() -> impl Strategy<Value = LocalTime> {
    let year = prop_oneof![1 => -9999..=9999i16, 1 => 1965..=2205i16];
    let date = (year, 1..=12i8, 1..=28i8, 0..=3i8);
    (date, 0..24i8, 0..60i8, 0..ZONES.len()).prop_map(|((year, month, day, more), hour, minute, zone)| {
        let day = Date::new(year, month, day + more).or(Date::new(year, month, day)).unwrap();
        LocalTime { local: day.at(hour, minute, 0, 0), zone: ZONES[zone].to_owned() }
    })
}

/// Nothing that follows from an event that was checked breaks.
#[test]
fn events() {
    check((when(), option::of(when())), |(starts, ends)| {
        let details = json!({
            "name": "Far, away; \\ and \n on", "city": "Berlin", "venue": "Hof 1", "starts": starts, "ends": ends
        });
        let Ok(details) = serde_json::from_value::<catalogue::Details>(details) else { return };
        if details.check().is_err() {
            return;
        }
        let event = json!({
            "id": EventId::derive(&["e"]), "organisation": OrganisationId::derive(&["o"]), "details": details,
            "state": {"is": "published", "at": now()}, "created": now(), "print": ""
        });
        let event: Event = serde_json::from_value(event).unwrap();
        let window = Window::of(&event).unwrap();
        assert!(window.from < window.until && is_near(event.starts().unwrap()));
        let file = calendar::file(&event, "https://example.org", now()).unwrap();
        assert!(
            file.split("\r\n").all(|line| line.len() <= 75)
                && !file.replace("\r\n", "").contains(['\r', '\n'])
        );
    });
}

/// What organisers write, damaged: once it is checked, what follows from it breaks nothing.
#[test]
fn what_organisers_write() {
    let hours = json!([{"day": "monday", "from": "09:00", "until": "00:00"}, {"day": "tuesday", "from": "00:00", "until": "18:00"}]);
    let euros = json!({"amount": 2500, "currency": "EUR"});
    let samples = [
        json!({"name": "Photos", "category": "photography", "city": "Berlin", "zone": "Europe/Berlin", "hours": hours, "buffer_before": 15,
            "buffer_after": 30, "prices": [{"name": "early", "until": "10:00:00", "percent": -20, "first": "2027-01-01"}]}),
        json!({"name": "Shop", "city": "Berlin", "zone": "Europe/Berlin", "hours": hours, "closed": ["2027-01-18"],
            "delivery": {"minutes": 60, "capacity": 5, "notice_minutes": 60, "horizon_days": 60}}),
        json!({"name": "Standing", "price": euros, "sale": {"opens": "2026-12-01T00:00:00Z", "closes": "2027-01-01T00:00:00Z"},
            "refund": {"steps": [{"hours": 168, "percent": "100"}, {"hours": 24, "percent": "50.5"}], "keep": euros}}),
        json!({"name": "Stalls", "rows": [{"label": "A", "seats": "ac...._....vv"}, {"label": "B<&>", "seats": "xx", "first": 9999}]}),
        json!({"tax": {"included": true, "place": "DE", "rates": [{"code": "standard", "place": "DE", "name": "USt", "percent": "19"}]},
            "fees": [{"name": "Fee", "percent": "5", "each": euros, "basket": null, "paid_by": "buyer"}]}),
        json!({"off": {"percent": "10"}, "minimum": euros, "from": "2026-12-01T00:00:00Z", "uses": 100, "per_buyer": 1}),
        json!({"role": "editor", "grants": [{"role": "gate", "event": "evt_06f5k2v8s1xg4w7m3q9c0hrtbn", "gate": "North"}]}),
        json!({"seller": {"name": "Kulturhaus", "address": ["Hof 1"], "country": "DE", "tax_numbers": [{"value": "DE1"}]}, "prefix": "2027-"}),
        json!({"transfer": {"account": {"holder": "K", "iban": "DE89370400440532013000"}, "terms": {"within": 168, "before": 48}}}),
    ];
    play(samples.map(|sample| sample.to_string()), |bytes: &[u8]| {
        if let Some(details) =
            json_reads_back::<vendor::Details>(bytes).filter(|details| details.check().is_ok())
        {
            let package =
                json!({"name": "Hour", "minutes": 90, "price": {"amount": 100_000_000, "currency": "EUR"}});
            let package: vendor::PackageTerms = serde_json::from_value(package).unwrap();
            let week = (now(), now() + jiff::SignedDuration::from_hours(24 * 7));
            for starts in details.starts(&package, week, 15, now()).unwrap_or_default() {
                let (price, _) = details.price(&package, starts, now()).unwrap();
                assert!(price.amount >= 0 && !details.cells(package.minutes, starts).is_empty());
            }
        }
        if let Some(details) =
            json_reads_back::<StoreDetails>(bytes).filter(|details| details.check().is_ok())
        {
            let week = (now(), now() + jiff::SignedDuration::from_hours(24 * 7));
            let store = StoreId::derive(&["s"]);
            for (_, starts, ends) in details.windows(store, week, now()).unwrap_or_default() {
                assert!(starts < ends && details.window(store, starts, now()).is_ok());
            }
        }
        if let Some(section) = json_reads_back::<Section>(bytes).filter(|section| section.check().is_ok()) {
            let seats: Vec<String> = section.seats().map(|seat| seat.name()).collect();
            assert!(seats.iter().all(|name| section.seat(name).is_some()));
            let rows = Status::rows(&section, &[], now());
            assert_eq!(rows.len(), section.rows.len());
            let (event, pool, code) =
                (EventId::derive(&["e"]), PoolId::derive(&["p"]), Text::parse("S").unwrap());
            let drawn = picture::draw("<&>", &[Seating { event, pool, code, section }], |_, _| Status::Free);
            assert!(!drawn.contains("<&>"));
        }
        let _checked = json_reads_back::<Terms>(bytes).map(|terms| terms.check().is_ok());
        let _checked = json_reads_back::<PriceRules>(bytes).map(|rules| rules.check().is_ok());
        let _checked = json_reads_back::<CouponTerms>(bytes);
        let _checked = json_reads_back::<Rights>(bytes).map(|rights| rights.bounded().is_ok());
        let _checked = json_reads_back::<InvoiceSettings>(bytes).map(|settings| settings.check().is_ok());
        let _checked = json_reads_back::<PaymentMeans>(bytes).map(|means| means.check().is_ok());
    });
}

macro_rules! statements {
    ($($name:literal)*) => { [$(&include_bytes!(concat!("../../shared/statement/samples/", $name))[..]),*] };
}

#[test]
fn bank_statements() {
    let samples = statements!(
        "bbva.tsv" "boursorama.csv" "camt053-02.xml" "camt053-08.xml" "camt054-04.xml" "chase.csv" "deutsche-bank.csv" "hdfc.csv"
        "ing-nl.csv" "intesa.csv" "n26.csv" "postfinance.csv" "revolut.csv" "sparkasse.csv" "sumitomo.csv" "ubs.csv"
    );
    play(samples, |bytes: &[u8]| {
        if let Ok(read) = statement::read(bytes) {
            assert_eq!(statement::read(bytes).as_ref(), Ok(&read));
            let ids: std::collections::BTreeSet<_> = read.entries.iter().map(|entry| &entry.id).collect();
            assert_eq!(ids.len(), read.entries.len(), "two bookings of one name");
            assert!(read.entries.iter().all(|entry| entry.currency.len() == 3));
        }
        let named = statement::Columns {
            amount: Some("Betrag".to_owned()),
            dates: Some(statement::DateOrder::DayFirst),
            ..statement::Columns::default()
        };
        let _read = statement::read_csv(bytes, &named).is_ok();
    });
}

#[test]
fn sheets() {
    play_text(["=1+1", "Ada, \"Lovelace\"", "-2.50", "\t@SUM(A1)", "a\r\nb"], |text: &str| {
        let written =
            String::from_utf8(sheet::write(["heading", "b"], [[text.to_owned(), "end".to_owned()]]).unwrap())
                .unwrap();
        let (_, row) = written.split_once("\r\n").unwrap();
        let cell = row.strip_suffix(",end\r\n").unwrap();
        let plain = match cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => cell.to_owned(),
        };
        assert!(plain == text || plain.strip_prefix('\'') == Some(text), "{text:?}: {written:?}");
        assert!(!plain.starts_with(['=', '+', '@', '\t', '\r']), "{plain:?}");
    });
}
