//! What a buyer who cancels gets back: by how long before the beginning they do.

use super::Line;
use crate::catalogue::MAX_PRICE;
use crate::money::{Money, Percent};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So much comes back until so long before the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefundStep)]
pub struct Step {
    /// Until so many hours before, up to 8,760.
    #[schema(maximum = 8760)]
    pub hours: u32,
    /// How much of what was paid.
    pub percent: Percent,
}

/// What comes back to a buyer who cancels. Whoever else cancels gives back everything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundPolicy {
    /// Up to 5 steps, ever nearer to the beginning: the first whose time is not over counts. After the last of them, nothing comes
    /// back.
    #[schema(max_items = 5)]
    pub steps: Vec<Step>,
    /// So much is kept for each place or unit in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Money>,
}

impl RefundPolicy {
    /// What is wrong with it, for something at this price: where, and what.
    #[must_use]
    pub fn faults(&self, price: Money) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if self.steps.len() > 5 {
            faults.push(("/refund/steps", "must be at most 5"));
        }
        if self.steps.iter().any(|step| step.hours > 8760) {
            faults.push(("/refund/steps", "must have hours of at most 8760"));
        }
        if !self
            .steps
            .windows(2)
            .all(|pair| pair[0].hours > pair[1].hours && pair[0].percent >= pair[1].percent)
        {
            faults.push(("/refund/steps", "must come nearer to the beginning, and give back less"));
        }
        if let Some(keep) = self.keep
            && (keep.currency != price.currency || !(0..=MAX_PRICE).contains(&keep.amount))
        {
            faults.push((
                "/refund/keep",
                "must be between 0 and 100000000 minor units, in the currency of the price",
            ));
        }
        faults
    }

    /// How much of so much comes back at `now`, of so many places or units.
    fn back(&self, paid: i64, quantity: u32, starts: Timestamp, now: Timestamp) -> i64 {
        let open = |step: &&Step| now + SignedDuration::from_hours(step.hours.into()) <= starts;
        let percent = self.steps.iter().find(open).map(|step| step.percent).unwrap_or_default();
        let kept = self.keep.map_or(0, |keep| keep.amount.saturating_mul(quantity.into()));
        (percent.of(paid) - kept).max(0)
    }
}

/// What comes back of a booking that its buyer cancels at `now`: of each line by its policy, of a line without one everything. Fees
/// come back with everything else alone.
#[must_use]
pub fn back(lines: &[Line], total: Money, starts: Timestamp, now: Timestamp) -> Money {
    let (mut all, mut back) = (0, 0);
    for line in lines {
        let paid = line.paid();
        all += paid;
        back += line.refund.as_ref().map_or(paid, |policy| policy.back(paid, line.quantity, starts, now));
    }
    if back == all { total } else { Money::new(back, total.currency) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::booking::Item;
    use crate::id::OfferId;

    fn money(amount: i64) -> Money {
        Money::new(amount, "EUR".parse().unwrap())
    }

    fn policy(steps: &[(u32, &str)], keep: Option<i64>) -> RefundPolicy {
        let step = |(hours, percent): &(u32, &str)| Step { hours: *hours, percent: percent.parse().unwrap() };
        RefundPolicy { steps: steps.iter().map(step).collect(), keep: keep.map(money) }
    }

    fn line(refund: Option<RefundPolicy>) -> Line {
        let line = Line::new(Item::Offer(OfferId::derive(&["o"])), "A".into(), 2, money(1000)).unwrap();
        Line { refund, ..line }
    }

    fn hours_before(hours: i64) -> (Timestamp, Timestamp) {
        let starts = Timestamp::from_second(1_800_000_000).unwrap();
        (starts, starts - SignedDuration::from_hours(hours))
    }

    #[test]
    fn the_later_the_less_and_fees_come_back_with_everything_alone() {
        let by_time = policy(&[(168, "100"), (24, "50")], None);
        let of = |policy: Option<RefundPolicy>, hours| {
            let (starts, now) = hours_before(hours);
            // Two places at 10.00 and a fee of 1.00.
            back(&[line(policy)], money(2100), starts, now).amount
        };
        let at = |hours| of(Some(by_time.clone()), hours);
        assert_eq!([at(200), at(168), at(167), at(24), at(23), at(0)], [2100, 2100, 1000, 1000, 0, 0]);
        assert_eq!([of(None, 1), of(None, -1)], [2100, 2100]);
        let keep = policy(&[(0, "100")], Some(150));
        assert_eq!([of(Some(keep), 1), of(Some(policy(&[(0, "10")], Some(150))), 1)], [1700, 0]);
        assert_eq!(of(Some(policy(&[], None)), 1000), 0, "nothing ever");

        let (starts, now) = hours_before(48);
        let two = [line(Some(by_time)), line(None)];
        assert_eq!(back(&two, money(4100), starts, now).amount, 1000 + 2000);
    }

    #[test]
    fn a_policy_has_its_bounds() {
        let faults = |policy: &RefundPolicy| policy.faults(money(0)).len();
        assert_eq!(faults(&policy(&[(168, "100"), (24, "50"), (1, "50")], Some(1))), 0);
        assert_eq!(faults(&policy(&[(24, "50"), (168, "100")], Some(-1))), 2);
        assert_eq!(faults(&policy(&[(24, "50"), (12, "60")], None)), 1);
        assert_eq!(
            faults(&policy(&[(9000, "100"), (5, "9"), (4, "8"), (3, "7"), (2, "6"), (1, "5")], None)),
            2
        );
    }
}
