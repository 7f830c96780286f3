//! Who comes, when, for how many places, and how they behave. The same seed makes the same plan.

use crate::curve::Curve;
use crate::random::Random;
use std::time::Duration;

/// How a buyer behaves once places are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conduct {
    /// Pays at once.
    Pays,
    /// The first card is declined, the second pays.
    DeclinedFirst,
    /// Presses "pay" twice at the same moment.
    PaysTwice,
    /// Pays when the hold is over.
    PaysLate,
    /// Holds places and leaves.
    LeavesHold,
    /// Orders and leaves.
    LeavesOrder,
}

/// Shares of the rush, in percent; the rest pays at once.
const RUSH: [(Conduct, u32); 5] = [
    (Conduct::LeavesHold, 7),
    (Conduct::DeclinedFirst, 6),
    (Conduct::PaysTwice, 5),
    (Conduct::PaysLate, 4),
    (Conduct::LeavesOrder, 3),
];
/// Who comes for what was given back knows what they want.
const LATER: [(Conduct, u32); 2] = [(Conduct::DeclinedFirst, 6), (Conduct::PaysTwice, 5)];

/// Orders of 1, 2, 3 and 4 places, in percent: 1.7 on average.
const QUANTITIES: [(u32, u32); 4] = [(1, 48), (2, 38), (3, 10), (4, 4)];

/// Names as buyers write them: Latin, Greek, Cyrillic, Arabic, Hebrew and Devanagari, alone and mixed.
pub const NAMES: [&str; 24] = [
    "Ada Lovelace",
    "Zoë Müller-Lüdenscheidt",
    "Łukasz Żółkiewski",
    "Nguyễn Thị Ánh",
    "Siobhán O’Rourke",
    "İpek Çağlayan",
    "Ελένη Παπαδοπούλου",
    "Γιώργος Αλεξίου",
    "Σοφία Ωραιοπούλου",
    "Фёдор Щербаков",
    "Олена Їжакевич",
    "Борис Ђорђевић",
    "فاطمة الزهراء",
    "محمد عبد الله",
    "لیلا پورحسینی",
    "נועה לוי־כהן",
    "יצחק אברהמי",
    "שרה פרידמן",
    "प्रिया शर्मा",
    "राजेश श्रीवास्तव",
    "लक्ष्मी कृष्णमूर्ति",
    "Anna Ängström (Άννα)",
    "Мария Smith",
    "José Ñandú דוד",
];

/// One buyer of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Buyer {
    /// In which wave, from 0.
    pub wave: u32,
    /// Which of the wave, from 0, in order of arrival.
    pub number: u32,
    /// After the opening.
    pub arrives: Duration,
    /// Between two steps, while a person reads and types.
    pub thinks: Duration,
    /// Places, 1 to 4.
    pub places: u32,
    /// How they behave.
    pub conduct: Conduct,
    /// The name on the tickets.
    pub name: &'static str,
}

/// The rush: buyers until they want `demand` times the `capacity`. `speed` divides every time.
#[must_use]
pub fn rush(seed: u64, capacity: u32, demand: f64, speed: f64) -> Vec<Buyer> {
    let curve = Curve::new(capacity, speed);
    wave(seed, 0, f64::from(capacity) * demand, speed, curve, &RUSH)
}

/// A later wave (`number` from 1) for `places` that came back: `demand` times as many are wanted. It is over sooner than
/// the rush: these people were waiting.
#[must_use]
pub fn later(seed: u64, number: u32, places: u32, demand: f64, speed: f64) -> Vec<Buyer> {
    let curve = Curve::new(places, speed * 4.0);
    wave(seed, number, f64::from(places) * demand, speed, curve, &LATER)
}

fn wave(
    seed: u64,
    wave: u32,
    wanted: f64,
    speed: f64,
    curve: Curve,
    shares: &[(Conduct, u32)],
) -> Vec<Buyer> {
    let mut random = Random::new(seed, u64::from(wave) + 1);
    // Steps of the golden ratio around the circle: every stretch of the plan has its share of each conduct, small
    // sales too.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let mut around = random.unit();
    let (mut buyers, mut sum) = (Vec::new(), 0);
    while f64::from(sum) < wanted {
        around = (around + golden).fract();
        let number = u32::try_from(buyers.len()).unwrap_or(u32::MAX);
        let places = share(&QUANTITIES, random.unit()).unwrap_or(1);
        // Somewhere within its own slot: arrivals stay in order.
        let arrives = curve.arrival(f64::from(number) + random.unit());
        let thinks = Duration::from_secs_f64((0.1 + 0.5 * random.unit()) / speed);
        let name = random.pick(&NAMES).unwrap_or(NAMES[0]);
        let conduct = share(shares, around).unwrap_or(Conduct::Pays);
        buyers.push(Buyer { wave, number, arrives, thinks, places, conduct, name });
        sum += places;
    }
    buyers
}

/// Which share of a hundred a number between 0 and 1 falls into.
fn share<T: Copy>(shares: &[(T, u32)], at: f64) -> Option<T> {
    let mut bound = 0;
    shares.iter().find_map(|(value, percent)| {
        bound += percent;
        (at * 100.0 < f64::from(bound)).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{OBSERVED_ORDER, OBSERVED_PEAK};
    use std::collections::HashMap;

    #[test]
    fn a_plan_is_made_by_its_seed_alone() {
        assert_eq!(rush(5, 300, 1.6, 1.0), rush(5, 300, 1.6, 1.0));
        assert_ne!(rush(5, 300, 1.6, 1.0), rush(6, 300, 1.6, 1.0));
        assert_eq!(later(5, 1, 30, 1.3, 1.0), later(5, 1, 30, 1.3, 1.0));
        assert_ne!(later(5, 1, 30, 1.3, 1.0), later(5, 2, 30, 1.3, 1.0));
    }

    #[test]
    fn demand_is_met_in_orders_of_the_observed_size() {
        let plan = rush(1, 1_600, 1.6, 1.0);
        let places: u32 = plan.iter().map(|buyer| buyer.places).sum();
        assert!((2_560..2_564).contains(&places), "{places}");
        let mean = f64::from(places) / plan.len() as f64;
        assert!((mean - OBSERVED_ORDER).abs() < 0.06, "{mean}");
        assert!(plan.iter().all(|buyer| (1..=4).contains(&buyer.places)));
    }

    #[test]
    fn the_busiest_second_has_the_observed_peak() {
        let mut seconds: HashMap<u64, u32> = HashMap::new();
        for buyer in rush(1, 1_600, 1.6, 1.0) {
            *seconds.entry(buyer.arrives.as_secs()).or_default() += 1;
        }
        let peak = f64::from(seconds.into_values().max().unwrap_or_default());
        assert!((OBSERVED_PEAK * 0.88..=OBSERVED_PEAK * 1.02).contains(&peak), "{peak}");
    }

    #[test]
    fn arrivals_are_in_order_and_speed_shortens_them() {
        let (slow, fast) = (rush(3, 200, 1.6, 1.0), rush(3, 200, 1.6, 10.0));
        assert!(slow.windows(2).all(|pair| pair[0].arrives <= pair[1].arrives));
        let ratio = slow[100].arrives.as_secs_f64() / fast[100].arrives.as_secs_f64();
        assert!((ratio - 10.0).abs() < 1e-6, "{ratio}");
    }

    #[test]
    fn even_a_small_sale_sees_every_conduct() {
        for seed in 0..50 {
            let plan = rush(seed, 40, 1.6, 1.0);
            for (conduct, _) in RUSH {
                let there = plan.iter().any(|buyer| buyer.conduct == conduct);
                assert!(there || plan.len() < 40, "seed {seed}: nobody {conduct:?} among {}", plan.len());
            }
        }
        let plan = rush(2, 1_600, 1.6, 1.0);
        let late = plan.iter().filter(|buyer| buyer.conduct == Conduct::PaysLate).count();
        assert!((late as f64 / plan.len() as f64 - 0.04).abs() < 0.005);
    }
}
