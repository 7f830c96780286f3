//! How long an answer to a sign-in takes, whatever is wrong with it: from the time nobody may learn who has an account.
//!
//! Each kind is asked for in turn, so that what else the machine does falls on all of them. Beside the time on the clock stands the
//! CPU time of the process, which says more on a machine that others use.

use crate::whole::{Whole, WholeOptions};
use jiff::SignedDuration;
use serde_json::json;
use std::fmt;
use std::time::{Duration, Instant};
use tessera::identity::tries::FREE_GUESSES;

/// Anything that keeps the times from being measured.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Guesses at one address: fewer than make it wait.
const FREE: usize = FREE_GUESSES as usize - 1;
/// A wait that does not end while we measure.
const LONG_SECONDS: i64 = 600;
/// How long a home may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "times every answer";

/// What is wrong with a sign-in.
const KINDS: [(&str, u16); 4] = [
    ("no account of this address", 401),
    ("a wrong password", 401),
    ("an unproven address", 401),
    ("locked", 429),
];

/// How long answers of one kind took.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// What was wrong.
    pub what: &'static str,
    /// The status that was answered.
    pub status: u16,
    /// Times on the clock: a quarter was quicker, half, three quarters.
    pub quartiles: [Duration; 3],
    /// CPU time of the process, clients and stores included: half took less.
    pub cpu: Duration,
}

/// The times of all kinds.
#[derive(Clone, PartialEq, Debug)]
pub struct Times {
    /// By kind.
    pub rows: Vec<Row>,
    /// How often each was asked.
    pub samples: usize,
}

impl Times {
    /// By how much the median of the slowest kind is above that of the quickest: on the clock, and of CPU time. 0.05 is 5 %.
    #[must_use]
    pub fn spread(&self) -> (f64, f64) {
        let of = |time: fn(&Row) -> Duration| {
            let times = self.rows.iter().map(|row| time(row).as_secs_f64());
            let (least, most) =
                times.fold((f64::MAX, 0.0), |(least, most): (f64, f64), it| (least.min(it), most.max(it)));
            most / least - 1.0
        };
        (of(|row| row.quartiles[1]), of(|row| row.cpu))
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        writeln!(
            f,
            "| what is wrong | answer | quarter ms | median ms | three quarters ms | median CPU ms |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for Row { what, status, quartiles: [quarter, half, most], cpu } in &self.rows {
            let [quarter, half, most, cpu] = [*quarter, *half, *most, *cpu].map(ms);
            writeln!(f, "| {what} | {status} | {quarter:.2} | {half:.2} | {most:.2} | {cpu:.2} |")?;
        }
        let (clock, cpu) = self.spread();
        let percent = 100.0;
        writeln!(
            f,
            "\n{} of each. The medians differ by {:.1} % on the clock, by {:.1} % of CPU time.",
            self.samples,
            clock * percent,
            cpu * percent
        )
    }
}

/// Measures on a fresh home.
///
/// # Errors
/// Whatever keeps a step from being done, and an answer that is not as it should be.
pub async fn measure(samples: usize) -> Result<Times, Failure> {
    let whole = Whole::start(WholeOptions::default()).await?;
    let measured = measure_on(&whole, samples.max(1)).await;
    whole.stop(PATIENCE).await?;
    measured
}

async fn measure_on(whole: &Whole, samples: usize) -> Result<Times, Failure> {
    let http = reqwest::Client::new();
    let post = async |path: &str, body: serde_json::Value| {
        http.post(format!("{}{path}", whole.url())).json(&body).send().await
    };
    let people = samples.div_ceil(FREE);
    for number in 0..=people {
        let locked = if number == people { "locked".to_owned() } else { format!("known{number}") };
        for name in [locked, format!("unproven{number}")] {
            let email = format!("{name}@example.org");
            let account = json!({"email": email, "password": PASSWORD, "name": "Ada"});
            post("/v1/accounts", account).await?.error_for_status()?;
            whole.settle(PATIENCE).await?;
            if name.starts_with("unproven") {
                continue;
            }
            let mail = whole.mail().list(Some(&email), 0, 1)?.pop().ok_or("no mail came")?;
            let code = mail.subject.split(' ').next().unwrap_or_default();
            let proof = json!({"email": email, "code": code, "password": PASSWORD});
            post("/v1/accounts/verify", proof).await?.error_for_status()?;
        }
    }
    let guess = |email: String| json!({"email": email, "password": "guesses every answer"});
    loop {
        let answer = post("/v1/sessions", guess("locked@example.org".to_owned())).await?;
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        match wait.unwrap_or(0) {
            LONG_SECONDS.. => break,
            wait => whole.advance(SignedDuration::from_secs(wait)).await,
        }
    }
    let mut times = KINDS.map(|_| (Vec::new(), Vec::new()));
    for sample in 0..samples {
        let person = sample / FREE;
        let names = [
            format!("nobody{person}"),
            format!("known{person}"),
            format!("unproven{person}"),
            "locked".to_owned(),
        ];
        // Whoever comes first pays for what has cooled down meanwhile.
        for kind in (0..KINDS.len()).map(|kind| (kind + sample) % KINDS.len()) {
            let body = guess(format!("{}@example.org", names[kind]));
            let (begun, cpu) = (Instant::now(), cpu_time()?);
            let answer = post("/v1/sessions", body).await?;
            let (status, (clock, work)) = (answer.status().as_u16(), &mut times[kind]);
            answer.bytes().await?;
            clock.push(begun.elapsed());
            work.push(cpu_time()?.saturating_sub(cpu));
            let (what, expected) = KINDS[kind];
            if status != expected {
                return Err(format!("{what}: {status} was answered, not {expected}").into());
            }
        }
    }
    let rows = KINDS.into_iter().zip(times).map(|((what, status), (mut clock, mut work))| {
        clock.sort_unstable();
        work.sort_unstable();
        let quarter = |times: &[Duration], quarters: usize| times[(times.len() - 1) * quarters / 4];
        let quartiles = [1, 2, 3].map(|quarters| quarter(&clock, quarters));
        Row { what, status, quartiles, cpu: quarter(&work, 2) }
    });
    Ok(Times { rows: rows.collect(), samples })
}

/// CPU time of all threads of this process so far, as Linux counts it (`/proc/self/task/*/schedstat`, nanoseconds). Nothing elsewhere.
fn cpu_time() -> std::io::Result<Duration> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Ok(Duration::ZERO) };
    let mut sum = 0;
    for thread in threads {
        // A thread may end between the two.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_kind_is_answered_as_it_should_be() {
        let times = measure(FREE + 1).await.unwrap();
        assert_eq!((times.rows.len(), times.samples), (KINDS.len(), FREE + 1));
        let table = times.to_string();
        assert!(KINDS.iter().all(|(what, _)| table.contains(what)), "{table}");
    }
}
