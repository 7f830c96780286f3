//! `rate(5 minutes)`, `cron(0 10 ? * MON-FRI *)` and `at(2026-12-24T18:00:00)`, by the home's clock.

use super::Context;
use crate::invoke::Function;
use crate::template;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// When a schedule fires.
#[derive(Clone, Debug)]
pub enum Timing {
    /// So often, counted from the home's start.
    Rate(SignedDuration),
    /// At these local times.
    Cron(Box<croner::Cron>, TimeZone),
    /// Once.
    At(Timestamp),
}

impl Timing {
    /// Reads a schedule expression; `zone` is an IANA name, and matters for `cron` and `at`.
    ///
    /// # Errors
    /// What is not understood, in words.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("the schedule `{expression}` is not understood: {why}");
        let zone = TimeZone::get(zone).map_err(|error| wrong(&error.to_string()))?;
        let (kind, rest) = expression.trim().split_once('(').ok_or_else(|| wrong("no bracket"))?;
        let inner = rest.strip_suffix(')').ok_or_else(|| wrong("no closing bracket"))?.trim();
        match kind {
            "rate" => {
                let (count, unit) =
                    inner.split_once(' ').ok_or_else(|| wrong("a number and a unit are needed"))?;
                let count: i64 = count.parse().map_err(|_| wrong("no number"))?;
                let minutes = match (unit, count) {
                    (_, ..1) => return Err(wrong("it should be at least 1")),
                    ("minute" | "minutes", _) => count,
                    ("hour" | "hours", _) => count * 60,
                    ("day" | "days", _) => count * 24 * 60,
                    _ => return Err(wrong("the unit should be minutes, hours or days")),
                };
                if (count == 1) == unit.ends_with('s') {
                    return Err(wrong("the service wants `1 minute` and `2 minutes`"));
                }
                Ok(Self::Rate(SignedDuration::from_mins(minutes)))
            }
            "cron" => {
                let fields: Vec<&str> = inner.split_whitespace().collect();
                let [_, _, day, _, weekday, _] = fields[..] else {
                    return Err(wrong("minute, hour, day, month, weekday and year are needed"));
                };
                if (day == "?") == (weekday == "?") {
                    return Err(wrong("one of day and weekday should be `?`"));
                }
                // Sunday is 1 and steps may begin anywhere (`0/15`), unlike in crontab.
                let parser = CronParser::builder()
                    .seconds(Seconds::Required)
                    .year(Year::Required)
                    .alternative_weekdays(true)
                    .sloppy_ranges(true)
                    .build();
                let pattern = format!("0 {}", inner.replace('?', "*"));
                let cron = parser.parse(&pattern).map_err(|error| wrong(&error.to_string()))?;
                Ok(Self::Cron(Box::new(cron), zone))
            }
            "at" => {
                let local: DateTime = inner.parse().map_err(|_| wrong("no local date and time"))?;
                let at = zone.to_timestamp(local).map_err(|error| wrong(&error.to_string()))?;
                Ok(Self::At(at))
            }
            _ => Err(wrong("only rate, cron and at are known")),
        }
    }

    /// The first time after `now`; `last` is when it was due before, or when the home started.
    #[must_use]
    pub fn next(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(every) => {
                let passed = now.duration_since(last).as_secs().max(0) / every.as_secs().max(1);
                last.checked_add(every.checked_mul(i32::try_from(passed + 1).ok()?)?).ok()
            }
            Self::Cron(cron, zone) => {
                let from = now.to_zoned(zone.clone());
                cron.find_next_occurrence(&from, false).ok().map(|at| at.timestamp())
            }
            Self::At(at) => Some(*at).filter(|at| *at > now),
        }
    }
}

/// One schedule of one function.
struct Planned {
    /// `Function/Event`.
    name: String,
    function: Arc<Function>,
    schedule: template::Schedule,
    timing: Timing,
    next: Option<Timestamp>,
}

/// All schedules of a home.
pub(crate) struct Schedules {
    context: Context,
    settings: template::Settings,
    planned: Mutex<Vec<Planned>>,
    moved: Notify,
}

impl Schedules {
    pub(crate) fn new(
        context: Context,
        settings: template::Settings,
        all: Vec<(Arc<Function>, template::Schedule)>,
    ) -> Result<Self, template::TemplateError> {
        let now = context.clock.now();
        let planned = all.into_iter().map(|(function, schedule)| {
            let timing = Timing::parse(&schedule.expression, &schedule.zone)
                .map_err(|what| template::TemplateError::new(schedule.line, what))?;
            let next = timing.next(now, now);
            let name = format!("{}/{}", function.logical(), schedule.event);
            Ok(Planned { name, function, schedule, timing, next })
        });
        let planned = planned.collect::<Result<_, _>>()?;
        Ok(Self { context, settings, planned: Mutex::new(planned), moved: Notify::new() })
    }

    /// Names, expressions and when each fires next.
    pub(crate) fn list(&self) -> Vec<(String, String, Option<Timestamp>)> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.iter().map(|one| (one.name.clone(), one.schedule.expression.clone(), one.next)).collect()
    }

    /// Tells that the clock was moved: starts what became due.
    pub(crate) fn clock_moved(self: &Arc<Self>) {
        self.fire_due();
        self.moved.notify_one();
    }

    /// Starts what is due, each schedule once, however often it would have been due meanwhile.
    fn fire_due(self: &Arc<Self>) {
        if *self.context.stop.borrow() {
            return;
        }
        let now = self.context.clock.now();
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        for one in planned.iter_mut() {
            let Some(due) = one.next.filter(|due| *due <= now) else { continue };
            one.next = one.timing.next(due, now);
            let (function, event) = (one.function.clone(), self.event(one, due));
            let (schedules, name) = (self.clone(), one.name.clone());
            // Counted before the task starts, so that who waits for quiet does not miss it.
            let busy = self.context.activity.begin();
            tokio::spawn(async move {
                schedules.fire(&name, &function, event).await;
                drop(busy);
            });
        }
    }

    /// Calls asynchronously, as Lambda does: up to two more tries.
    async fn fire(&self, name: &str, function: &Function, event: Value) {
        let mut tries = 0;
        loop {
            tokio::select! {
                () = self.context.faults.wait_for_life() => {}
                () = self.context.stopped() => return,
            }
            let done = function.call(event.clone()).await;
            if self.context.faults.crashed() {
                continue;
            }
            tries += 1;
            match done {
                Ok(_) => return,
                Err(error) if tries == 3 => {
                    tracing::error!(schedule = name, error, "a scheduled call was given up");
                    return;
                }
                Err(_) => {
                    if !self.context.pause().await {
                        return;
                    }
                }
            }
        }
    }

    /// Runs a schedule now, whatever its time, by `Function/Event` or by the event's name alone.
    pub(crate) async fn run_now(&self, name: &str) -> Result<Value, String> {
        let (function, event) = {
            let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            let mut fitting = planned.iter().filter(|one| one.name == name || one.schedule.event == name);
            match (fitting.next(), fitting.next()) {
                (Some(one), None) => (one.function.clone(), self.event(one, self.context.clock.now())),
                (Some(_), Some(_)) => {
                    return Err(format!("several schedules are called `{name}`; say Function/{name}"));
                }
                (None, _) => {
                    let known: Vec<&str> = planned.iter().map(|one| one.name.as_str()).collect();
                    return Err(format!("there is no schedule `{name}`, only {}", known.join(", ")));
                }
            }
        };
        function.call(event).await
    }

    fn event(&self, one: &Planned, due: Timestamp) -> Value {
        if let Some(input) = &one.schedule.input {
            return input.clone();
        }
        let (source, resource) = if one.schedule.scheduler {
            (
                "aws.scheduler",
                self.settings.arn("scheduler", &format!("schedule/default/{}", one.schedule.event)),
            )
        } else {
            ("aws.events", self.settings.arn("events", &format!("rule/{}", one.schedule.event)))
        };
        let seconds = Timestamp::from_second(due.as_second()).unwrap_or(due);
        json!({
            "version": "0",
            "id": crate::invoke::request_id(),
            "detail-type": "Scheduled Event",
            "source": source,
            "account": self.settings.account,
            "time": seconds.to_string(),
            "region": self.settings.region,
            "resources": [resource],
            "detail": if one.schedule.scheduler { json!("{}") } else { json!({}) },
        })
    }

    /// Fires by the passing of time until the home stops.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.fire_due();
            let now = self.context.clock.now();
            let next = self.list().into_iter().filter_map(|(_, _, next)| next).min();
            let wait = next.map_or(Duration::from_secs(3_600), |next| {
                Duration::try_from(next.duration_since(now)).unwrap_or_default()
            });
            tokio::select! {
                () = tokio::time::sleep(wait.clamp(Duration::from_millis(1), Duration::from_secs(3_600))) => {}
                () = self.moved.notified() => {}
                () = self.context.stopped() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: &str, now: &str) -> String {
        let now: Timestamp = now.parse().unwrap();
        let at = Timing::parse(expression, zone).unwrap().next(now, now);
        at.map_or_else(|| "never".to_owned(), |at| at.to_string())
    }

    #[test]
    fn each_kind_of_expression_finds_its_next_time() {
        let now = "2026-03-27T09:59:30Z"; // a Friday
        for (expression, zone, expected) in [
            ("rate(5 minutes)", "UTC", "2026-03-27T10:04:30Z"),
            ("rate(1 day)", "UTC", "2026-03-28T09:59:30Z"),
            ("cron(0 10 * * ? *)", "UTC", "2026-03-27T10:00:00Z"),
            ("cron(0/15 * * * ? *)", "UTC", "2026-03-27T10:00:00Z"),
            ("cron(0 10 ? * MON-FRI *)", "Europe/Berlin", "2026-03-30T08:00:00Z"),
            ("cron(0 10 ? * 1 *)", "UTC", "2026-03-29T10:00:00Z"),
            ("cron(0 0 L * ? *)", "UTC", "2026-03-31T00:00:00Z"),
            ("cron(0 12 1 1 ? 2030)", "UTC", "2030-01-01T12:00:00Z"),
            ("cron(0 12 1 1 ? 2020)", "UTC", "never"),
            ("at(2026-12-24T18:00:00)", "America/New_York", "2026-12-24T23:00:00Z"),
            ("at(2020-12-24T18:00:00)", "UTC", "never"),
        ] {
            assert_eq!(next(expression, zone, now), expected, "{expression} {zone}");
        }
    }

    #[test]
    fn local_times_survive_daylight_saving() {
        // Berlin goes from UTC+1 to UTC+2 in the night to 29 March 2026.
        let ten = "cron(0 10 * * ? *)";
        assert_eq!(next(ten, "Europe/Berlin", "2026-03-28T00:00:00Z"), "2026-03-28T09:00:00Z");
        assert_eq!(next(ten, "Europe/Berlin", "2026-03-28T12:00:00Z"), "2026-03-29T08:00:00Z");
    }

    #[test]
    fn a_rate_that_was_missed_goes_on_in_step() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now: Timestamp = "2026-01-01T00:17:00Z".parse().unwrap();
        let next = Timing::parse("rate(5 minutes)", "UTC").unwrap().next(start, now).unwrap();
        assert_eq!(next.to_string(), "2026-01-01T00:20:00Z");
    }

    #[test]
    fn what_the_service_would_refuse_is_refused() {
        for (expression, zone) in [
            ("rate(5 minute)", "UTC"),
            ("rate(0 minutes)", "UTC"),
            ("rate(5 seconds)", "UTC"),
            ("cron(0 10 * * *)", "UTC"),
            ("cron(0 10 * * * *)", "UTC"),
            ("cron(61 10 * * ? *)", "UTC"),
            ("at(tomorrow)", "UTC"),
            ("hourly", "UTC"),
            ("rate(5 minutes)", "Mars/Olympus"),
        ] {
            assert!(Timing::parse(expression, zone).is_err(), "{expression} {zone}");
        }
    }
}
