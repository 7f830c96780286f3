//! When buyers arrive: the curve of a sale that really happened.
//!
//! Electromagnetic Field, a camp in the United Kingdom, sold 1,600 tickets in 13 seconds, 134 purchases a second at the
//! peak, about 1.7 tickets an order. The model: the rate rises from nothing to its peak in a straight line, then decays
//! as `peak / (1 + t / knee)`, because the many who are refused keep coming for a while. The knee is what makes the
//! purchases of the first 13 seconds add up to the camp's tickets.
//!
//! Both the sum and its inverse are closed formulas: the n-th arrival has a time without any simulation.

use std::time::Duration;

/// Tickets of the sale that was observed.
pub const OBSERVED_TICKETS: u32 = 1_600;
/// How long it took them to sell, seconds.
pub const OBSERVED_SECONDS: f64 = 13.0;
/// Purchases a second at its peak.
pub const OBSERVED_PEAK: f64 = 134.0;
/// Tickets of an average order.
pub const OBSERVED_ORDER: f64 = 1.7;

/// From the first arrival to the peak, seconds.
const RISE: f64 = 2.0;
/// After this time beyond the peak the rate has halved, seconds.
const KNEE: f64 = 5.46;

/// The arrivals of a sale of some size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// How much smaller than the observed sale.
    scale: f64,
    /// How much faster.
    speed: f64,
}

impl Curve {
    /// The curve of a sale of `capacity` places: as steep in time, as high as its size allows. `speed` 2.0 takes half
    /// the time; it must be above 0.
    #[must_use]
    pub fn new(capacity: u32, speed: f64) -> Self {
        Self { scale: f64::from(capacity.max(1)) / f64::from(OBSERVED_TICKETS), speed }
    }

    /// Arrivals a second at `seconds` after the opening.
    #[must_use]
    pub fn rate(&self, seconds: f64) -> f64 {
        let (at, peak) = (seconds * self.speed, OBSERVED_PEAK * self.scale * self.speed);
        match at {
            _ if at <= 0.0 => 0.0,
            _ if at < RISE => peak * at / RISE,
            _ => peak / (1.0 + (at - RISE) / KNEE),
        }
    }

    /// How many have arrived `seconds` after the opening: the integral of [`Curve::rate`].
    #[must_use]
    pub fn arrived(&self, seconds: f64) -> f64 {
        let (at, peak) = (seconds * self.speed, OBSERVED_PEAK * self.scale);
        match at {
            _ if at <= 0.0 => 0.0,
            _ if at < RISE => peak * at * at / (2.0 * RISE),
            _ => peak * (RISE / 2.0 + KNEE * (1.0 + (at - RISE) / KNEE).ln()),
        }
    }

    /// When the n-th arrives, counted from 0 and with fractions between: the inverse of [`Curve::arrived`].
    #[must_use]
    pub fn arrival(&self, n: f64) -> Duration {
        let share = n.max(0.0) / (OBSERVED_PEAK * self.scale);
        let at = if share < RISE / 2.0 {
            (2.0 * RISE * share).sqrt()
        } else {
            RISE + KNEE * (((share - RISE / 2.0) / KNEE).exp() - 1.0)
        };
        // Beyond an hour nobody waits; it also keeps an absurd n within what a Duration holds.
        Duration::from_secs_f64((at / self.speed).clamp(0.0, 3600.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirteen_seconds_sell_what_was_sold() {
        let bought = Curve::new(OBSERVED_TICKETS, 1.0).arrived(OBSERVED_SECONDS);
        let tickets = bought * OBSERVED_ORDER;
        assert!((tickets - f64::from(OBSERVED_TICKETS)).abs() < 5.0, "{tickets}");
    }

    #[test]
    fn the_peak_is_the_observed_one_and_nothing_is_above_it() {
        let curve = Curve::new(OBSERVED_TICKETS, 1.0);
        let rates: Vec<f64> = (0..4_000).map(|step| curve.rate(f64::from(step) / 100.0)).collect();
        let peak = rates.iter().copied().fold(0.0, f64::max);
        assert!((peak - OBSERVED_PEAK).abs() < 0.5, "{peak}");
        assert!(curve.rate(0.5) < peak / 3.0, "it rises");
        assert!(curve.rate(RISE + KNEE) < peak * 0.51, "it decays");
    }

    #[test]
    fn the_sum_is_the_integral_of_the_rate() {
        for (capacity, speed) in [(1_600, 1.0), (40, 10.0), (5_000, 0.5)] {
            let curve = Curve::new(capacity, speed);
            let step = 0.001;
            let end = 20.0 / speed;
            let slices = (end / step) as u32;
            let sum: f64 = (0..slices).map(|slice| curve.rate((f64::from(slice) + 0.5) * step) * step).sum();
            assert!((sum - curve.arrived(end)).abs() < 0.01 * sum, "{sum} {}", curve.arrived(end));
        }
    }

    #[test]
    fn arrivals_are_the_inverse_of_the_sum() {
        let curve = Curve::new(800, 2.0);
        for n in [0.0, 1.0, 30.5, 67.0, 400.0, 700.0] {
            let back = curve.arrived(curve.arrival(n).as_secs_f64());
            assert!((back - n).abs() < 1e-3, "{n} {back}");
        }
    }
}
