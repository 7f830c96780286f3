//! What prices must come to, whatever is in the basket.

use super::coupon::{Batch, Coupon, CouponTerms, For, MAX_CODES, Named, Off, Why, apply, look_under, named};
use super::*;
use crate::auth::Buyer;
use crate::booking::{Item, Subject};
use crate::id::{AccountId, EventId, GuestId, OfferId, OrganisationId};
use jiff::Timestamp;
use proptest::prelude::*;

const CODES: [&str; 3] = ["EUR", "JPY", "KWD"];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn money(amount: i64) -> Money {
    Money::new(amount, "EUR".parse().unwrap())
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

fn offer(name: &str) -> OfferId {
    OfferId::derive(&[name])
}

fn charge(name: &str, quantity: u32, unit: Money, code: Option<&str>) -> Charge {
    let line = Line::new(Item::Offer(offer(name)), name.into(), quantity, unit).unwrap();
    Charge { line, tax_code: code.map(|code| Text::parse(code).unwrap()) }
}

fn rules(included: bool, rates: &[(&str, &str, &str)]) -> PriceRules {
    let rate = |(code, place, percent): &(&str, &str, &str)| TaxRate {
        code: Text::parse(code).unwrap(),
        place: place.parse().unwrap(),
        name: Text::parse("VAT").unwrap(),
        percent: percent.parse().unwrap(),
    };
    let place = "DE".parse().unwrap();
    PriceRules {
        tax: Some(TaxRules { included, place, rates: rates.iter().map(rate).collect() }),
        fees: vec![],
    }
}

fn fee(percent: &str, each: Option<i64>, basket: Option<i64>, paid_by: PaidBy) -> FeeRule {
    let (each, basket) = (each.map(money), basket.map(money));
    FeeRule {
        name: Text::parse("Booking fee").unwrap(),
        percent: percent.parse().unwrap(),
        each,
        basket,
        paid_by,
        tax_code: None,
    }
}

fn terms(off: Off) -> CouponTerms {
    CouponTerms {
        off,
        minimum: None,
        most: None,
        from: None,
        until: None,
        only: vec![],
        uses: None,
        per_buyer: None,
        stackable: false,
        active: true,
    }
}

fn coupon(code: &str, terms: CouponTerms) -> (coupon::CouponCode, Option<Named>) {
    (code.parse().unwrap(), Some(Named { id: CouponId::derive(&[code]), terms }))
}

fn guest() -> Buyer {
    Buyer::Guest(GuestId::derive(&["g"]))
}

fn event() -> Subject {
    Subject::Event(EventId::derive(&["e"]))
}

fn used(
    charges: &mut [Charge],
    coupons: &[(coupon::CouponCode, Option<Named>)],
) -> Vec<std::result::Result<i64, Why>> {
    let (_, verdicts) = apply(charges, event(), guest(), coupons, &[], at(0));
    let outcome = |verdict: coupon::Verdict| match verdict.amount {
        Some(amount) => Ok(amount.amount),
        None => Err(verdict.why.unwrap()),
    };
    verdicts.into_iter().map(outcome).collect()
}

#[test]
fn a_german_basket_contains_its_taxes_by_rate() {
    let rules = rules(true, &[("standard", "DE", "19"), ("reduced", "DE", "7")]);
    let charges = vec![
        charge("party", 2, money(1190), None),
        charge("museum", 1, money(1070), Some("reduced")),
        charge("programme", 1, money(119), None),
    ];
    let bill = bill(charges, vec![], &rules, None).unwrap();
    let taxes: Vec<i64> = bill.lines.iter().map(|line| line.tax.as_ref().unwrap().amount.amount).collect();
    assert_eq!((taxes, bill.total), (vec![380, 70, 19], money(2380 + 1070 + 119)));
}

#[test]
fn an_american_basket_is_taxed_on_top_and_by_state() {
    let all =
        rules(false, &[("standard", "DE", "19"), ("standard", "US", "0"), ("standard", "US-NY", "8.875")]);
    let priced = |place: &str| {
        let charges = vec![charge("show", 3, money(3333), None)];
        bill(charges, vec![], &all, Some(&place.parse().unwrap())).unwrap()
    };
    assert_eq!(priced("US-NY").total, money(9999 + 887), "887.41");
    assert_eq!(priced("US-TX").total, money(9999), "the country's");
    let nowhere = bill(vec![charge("show", 1, money(100), Some("books"))], vec![], &all, None);
    assert_eq!(nowhere.unwrap_err(), Code::TaxUnknown);
}

#[test]
fn fees_are_paid_by_the_buyer_or_borne_by_the_seller_and_free_places_have_none() {
    let fees = vec![fee("5", Some(50), Some(100), PaidBy::Buyer), fee("2.5", None, None, PaidBy::Seller)];
    let rules = PriceRules { fees, ..rules(true, &[("standard", "DE", "19")]) };
    let charges = vec![charge("paid", 2, money(1000), None), charge("free", 3, money(0), None)];
    let bill = bill(charges, vec![], &rules, None).unwrap();
    // 5 % of 20.00, twice 0.50, and 1.00 for the basket.
    let fee = &bill.extras.fees[0];
    assert_eq!((fee.amount, bill.total), (money(100 + 100 + 100), money(2300)));
    assert_eq!(bill.extras.borne, Some(money(50)));
    // The tax of lines and fees together is what 23.00 contain.
    let taxes = bill.lines[0].tax.as_ref().unwrap().amount.amount + fee.tax.as_ref().unwrap().amount.amount;
    assert_eq!(taxes, percent("19").within(2300));

    let free = super::bill(vec![charge("free", 3, money(0), None)], vec![], &rules, None).unwrap();
    assert_eq!((free.total, free.extras), (money(0), Extras::default()));
    let yen = Money::new(1000, "JPY".parse().unwrap());
    let foreign = super::bill(vec![charge("paid", 1, yen, None)], vec![], &rules, None).unwrap();
    assert_eq!((foreign.extras.fees.len(), foreign.total), (0, yen), "a fee in euros is none in yen");
    let mixed = vec![charge("paid", 1, yen, None), charge("paid", 1, money(1), None)];
    assert_eq!(super::bill(mixed, vec![], &rules, None).unwrap_err(), Code::InvalidInput);
}

#[test]
fn a_coupon_takes_off_what_it_says_of_what_it_is_for() {
    let basket = || vec![charge("a", 1, money(1000), None), charge("b", 3, money(333), None)];
    let tenth = || terms(Off::Percent(percent("10")));
    let mut charges = basket();
    assert_eq!(used(&mut charges, &[coupon("TENTH", tenth())]), [Ok(200)], "199.9");
    assert_eq!(charges[0].line.discount, Some(money(100)));
    assert_eq!(charges[1].line.discount, Some(money(100)));

    let only = CouponTerms { only: vec![For::Offer(offer("b"))], ..tenth() };
    let mut charges = basket();
    assert_eq!(used(&mut charges, &[coupon("ONLY-B", only.clone())]), [Ok(100)]);
    assert_eq!((charges[0].line.discount, left(&charges[1].line)), (None, 899));

    let of = |terms| used(&mut basket(), &[coupon("CODE", terms)])[0];
    assert_eq!(of(terms(Off::Amount(money(5000)))), Ok(1999), "never more than there is");
    assert_eq!(of(CouponTerms { most: Some(money(150)), ..tenth() }), Ok(150));
    assert_eq!(of(CouponTerms { minimum: Some(money(1999)), ..tenth() }), Ok(200));
    assert_eq!(of(CouponTerms { minimum: Some(money(2000)), ..tenth() }), Err(Why::BelowMinimum));
    assert_eq!(
        of(CouponTerms { minimum: Some(money(1000)), ..only }),
        Err(Why::BelowMinimum),
        "of those lines"
    );
    assert_eq!(of(CouponTerms { from: Some(at(1)), ..tenth() }), Err(Why::NotYet));
    assert_eq!(of(CouponTerms { from: Some(at(0)), until: Some(at(1)), ..tenth() }), Ok(200));
    assert_eq!(of(CouponTerms { until: Some(at(0)), ..tenth() }), Err(Why::Ended));
    assert_eq!(of(CouponTerms { active: false, ..tenth() }), Err(Why::Stopped));
    assert_eq!(of(CouponTerms { per_buyer: Some(1), ..tenth() }), Err(Why::SignInNeeded));
    let yen = Money::new(100, "JPY".parse().unwrap());
    assert_eq!(of(terms(Off::Amount(yen))), Err(Why::OtherCurrency));
    let elsewhere = vec![For::Event(EventId::derive(&["other"]))];
    assert_eq!(of(CouponTerms { only: elsewhere, ..tenth() }), Err(Why::NotForThis));
    assert_eq!(of(CouponTerms { only: vec![For::Event(EventId::derive(&["e"]))], ..tenth() }), Ok(200));
    assert_eq!(used(&mut basket(), &[("NONE".parse().unwrap(), None)]), [Err(Why::Unknown)]);

    let one = CouponTerms { per_buyer: Some(1), ..tenth() };
    let account = Buyer::Account(AccountId::derive(&["a"]));
    let (discounts, _) = apply(&mut basket(), event(), account, &[coupon("MINE", one)], &[], at(0));
    assert_eq!(discounts[0].limits(&[7; 32]).len(), 1);
}

#[test]
fn coupons_stack_if_all_of_them_say_so_and_each_takes_from_what_is_left() {
    let half = |stackable| CouponTerms { stackable, ..terms(Off::Percent(percent("50"))) };
    let of = |coupons: &[_]| used(&mut [charge("a", 1, money(1000), None)], coupons);
    let (one, two, alone) =
        (coupon("ONE", half(true)), coupon("TWO", half(true)), coupon("ALONE", half(false)));
    assert_eq!(of(&[one.clone(), two.clone()]), [Ok(500), Ok(250)]);
    assert_eq!(of(&[one.clone(), one.clone()]), [Ok(500), Err(Why::NotWithOthers)], "once each");
    assert_eq!(of(&[one.clone(), alone.clone()]), [Ok(500), Err(Why::NotWithOthers)]);
    assert_eq!(of(&[alone, one.clone()]), [Ok(500), Err(Why::NotWithOthers)]);
    let all = coupon("ALL", CouponTerms { stackable: true, ..terms(Off::Percent(Percent::ALL)) });
    assert_eq!(of(&[all, one.clone()]), [Ok(1000), Err(Why::NotForThis)], "nothing is left");
    // Whose uses are gone is as if it had not been named, but that its buyer is told.
    let spent = [(CouponId::derive(&["ONE"]), Why::UsedUp)];
    let (discounts, verdicts) =
        apply(&mut [charge("a", 1, money(1000), None)], event(), guest(), &[one, two], &spent, at(0));
    assert_eq!(
        (discounts[0].amount, verdicts[0].why, verdicts[1].why),
        (money(500), Some(Why::UsedUp), None)
    );
}

fn batch(codes: u32) -> Coupon {
    Coupon {
        id: CouponId::derive(&["batch"]),
        organisation: OrganisationId::derive(&["o"]),
        code: "WINTER-26".parse().unwrap(),
        batch: Some(Batch { codes, seed: "5eed".into() }),
        terms: terms(Off::Percent(percent("10"))),
        created: at(0),
        print: String::new(),
    }
}

#[test]
fn every_code_of_a_batch_is_its_own_and_reads_as_people_write_it() {
    let batch = batch(MAX_CODES);
    let known = |code| named(code, std::slice::from_ref(&batch));
    let codes: Vec<_> = batch.codes().collect();
    let ids: std::collections::HashSet<_> = codes.iter().map(|code| known(code).unwrap().id).collect();
    assert_eq!((codes.len(), ids.len()), (MAX_CODES as usize, MAX_CODES as usize));
    let code = codes.iter().find(|code| code.as_str().contains('0') && code.as_str().contains('1')).unwrap();
    let typed = code.as_str()[10..].replace('0', "o").replace('1', "l").to_lowercase();
    let typed: coupon::CouponCode = format!(" winter-26-{typed}").parse().unwrap();
    assert_eq!(look_under(&typed)[1], batch.code);
    assert_eq!(known(&typed), known(code));
    assert_eq!(known(code).unwrap().terms.uses, Some(1), "good for one basket");
    // The batch's own code names nothing, and neither does one of a smaller batch of the same seed.
    assert_eq!(known(&batch.code), None);
    let found: Vec<_> =
        codes.iter().filter(|code| named(code, &[super::tests::batch(10)]).is_some()).collect();
    assert_eq!(found, codes[..10].iter().collect::<Vec<_>>());
    // A coupon of exactly this code comes first: one code of a batch can be stopped.
    let stopped = CouponTerms { active: false, ..batch.terms.clone() };
    let stop = Coupon { code: code.clone(), batch: None, terms: stopped, ..batch.clone() };
    assert!(!named(code, &[batch.clone(), stop]).unwrap().terms.active);
}

#[test]
fn codes_are_read_in_any_case_and_with_spaces() {
    let code: coupon::CouponCode = " summer 10".parse().unwrap();
    assert_eq!(code.as_str(), "SUMMER10");
    for bad in ["", "ab", "-AB", "ÄPFEL", "A_B_C", "123456789012345678901234567890123"] {
        assert!(bad.parse::<coupon::CouponCode>().is_err(), "{bad}");
    }
    for place in ["DE", "US-NY", "GB-ENG", "FR-75"] {
        assert_eq!(place.parse::<Place>().unwrap().to_string(), place);
    }
    for bad in ["", "D", "de", "DEU", "DE-", "DE-ABCD", "DE-b"] {
        assert!(bad.parse::<Place>().is_err(), "{bad}");
    }
}

#[test]
fn rules_and_terms_have_their_bounds() {
    assert!(PriceRules::default().check().is_ok());
    let twice = rules(true, &[("standard", "DE", "19"), ("standard", "DE", "7"), ("standard", "FR", "20")]);
    assert_eq!(twice.check().unwrap_err().faults.len(), 1);
    let elsewhere = rules(true, &[("standard", "FR", "20"), ("reduced", "DE", "7")]);
    assert_eq!(elsewhere.check().unwrap_err().faults.len(), 1);
    let dear = PriceRules { tax: None, fees: vec![fee("1", Some(-1), Some(1), PaidBy::Buyer); 6] };
    assert_eq!(dear.check().unwrap_err().faults.len(), 7);

    let yen = Money::new(0, "JPY".parse().unwrap());
    let wrong = CouponTerms {
        minimum: Some(yen),
        most: Some(money(0)),
        from: Some(at(1)),
        until: Some(at(1)),
        uses: Some(0),
        per_buyer: Some(41),
        ..terms(Off::Amount(money(0)))
    };
    assert_eq!(wrong.check().unwrap_err().faults.len(), 8);
    assert!(terms(Off::Percent(Percent::default())).check().is_err());
    assert!(batch(MAX_CODES).check().is_ok());
    assert!(batch(MAX_CODES + 1).check().is_err());
    assert!(Coupon { code: "A-CODE-OF-21-LETTERS-".parse().unwrap(), ..batch(1) }.check().is_err());
}

proptest! {
    /// Whatever is bought: lines, fees and taxes sum to the total, nothing costs less than nothing, the tax of each rate is what all
    /// that is taxed with it comes to, and what coupons took off is what the lines say.
    #[test]
    fn every_basket_sums_up(
        currency in 0usize..3,
        included: bool,
        lines in proptest::collection::vec((1u32..40, 0i64..1_000_000, 0usize..3), 1..20),
        offs in proptest::collection::vec((0u32..=100, 1i64..100_000, any::<bool>(), 0usize..20), 0..5),
        fees in proptest::collection::vec((0u32..=30, any::<bool>()), 0..5),
    ) {
        let currency: Currency = CODES[currency].parse().unwrap();
        let codes = ["standard", "reduced", "none"];
        let all: Vec<(&str, &str, &str)> = vec![("standard", "DE", "19"), ("reduced", "DE", "7"), ("none", "DE", "0")];
        let fees = fees.iter().map(|(rate, buyer)| {
            fee(&rate.to_string(), None, None, if *buyer { PaidBy::Buyer } else { PaidBy::Seller })
        });
        let rules = PriceRules { fees: fees.collect(), ..rules(included, &all) };
        let mut charges: Vec<Charge> = lines.iter().enumerate().map(|(place, (quantity, unit, code))| {
            charge(&place.to_string(), *quantity, Money::new(*unit, currency), Some(codes[*code]))
        }).collect();
        let coupons: Vec<_> = offs.iter().enumerate().map(|(place, (rate, amount, by_rate, only))| {
            let off = match by_rate {
                true => Off::Percent(percent(&rate.to_string())),
                false => Off::Amount(Money::new(*amount, currency)),
            };
            let only = vec![For::Offer(offer(&only.to_string())), For::Offer(offer("0"))];
            coupon(&format!("CODE{place}"), CouponTerms { stackable: true, only, ..terms(off) })
        }).collect();
        let (discounts, _) = apply(&mut charges, event(), guest(), &coupons, &[], at(0));
        let taken: i64 = discounts.iter().map(|discount| discount.amount.amount).sum();
        let bill = bill(charges, discounts, &rules, None).unwrap();

        let off: i64 = bill.lines.iter().map(|line| line.amount.amount - left(line)).sum();
        prop_assert_eq!(off, taken);
        prop_assert!(bill.lines.iter().all(|line| left(line) >= 0));
        let parts = bill.lines.iter().map(|line| (left(line), line.tax.as_ref().unwrap()))
            .chain(bill.extras.fees.iter().map(|fee| (fee.amount.amount, fee.tax.as_ref().unwrap())));
        let (mut total, mut rates) = (0, std::collections::BTreeMap::<String, (i64, i64, Percent)>::new());
        for (amount, tax) in parts {
            prop_assert!(0 <= tax.amount.amount && tax.amount.amount <= amount.max(tax.percent.of(amount) + 1));
            total += amount + if included { 0 } else { tax.amount.amount };
            let rate = rates.entry(tax.percent.to_string()).or_insert((0, 0, tax.percent));
            *rate = (rate.0 + amount, rate.1 + tax.amount.amount, tax.percent);
        }
        prop_assert_eq!(Money::new(total, currency), bill.total);
        let parts = super::parts(&bill.lines, &bill.extras);
        prop_assert_eq!(parts.iter().map(|part| part.gross).sum::<i64>(), total);
        for (base, tax, rate) in rates.into_values() {
            prop_assert_eq!(tax, if included { rate.within(base) } else { rate.of(base) });
        }
    }

    /// No text is read as something that panics or that is not written the same way again.
    #[test]
    fn any_text_is_a_code_or_none(text in "\\PC{0,40}") {
        if let Ok(code) = text.parse::<coupon::CouponCode>() {
            prop_assert_eq!(code.as_str().parse::<coupon::CouponCode>().unwrap(), code.clone());
            prop_assert!(named(&code, &[batch(100_000)]).is_none());
        }
    }
}
