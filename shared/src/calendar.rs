//! A calendar file for an event, RFC 5545, with its time zone.
//!
//! Our own hundred lines: the library compared (icalendar 0.17) writes no VTIMEZONE, without which strict readers shift
//! the time, and brings a second time library.

use crate::catalogue::{Event, State};
use crate::error::{Code, Result};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneTransition};

/// The calendar file of an event. `now` stamps it; `place` of the same event always has the same UID, so that a later
/// file replaces an earlier one.
///
/// # Errors
/// `internal` if the event's zone is no longer known.
pub fn file(event: &Event, url: &str, now: Timestamp) -> Result<String> {
    let details = &event.details;
    let zone = TimeZone::get(&details.starts.zone).map_err(|error| Code::Internal.caused_by(error))?;
    let (starts, ends) = (event.starts()?, event.ends()?);
    let local = |instant: Timestamp| zone.to_datetime(instant).strftime("%Y%m%dT%H%M%S").to_string();
    let utc = |instant: Timestamp| instant.strftime("%Y%m%dT%H%M%SZ").to_string();
    let status = match event.state {
        State::Cancelled { .. } => "CANCELLED",
        State::Draft | State::Published { .. } => "CONFIRMED",
    };
    let mut file = File::default();
    file.line("BEGIN:VCALENDAR");
    file.line("VERSION:2.0");
    file.line("PRODID:-//Tessera//Tickets//EN");
    file.line("METHOD:PUBLISH");
    file.zone(&details.starts.zone, &zone, starts);
    file.line("BEGIN:VEVENT");
    file.line(&format!("UID:{}@tessera", event.id));
    file.line(&format!("DTSTAMP:{}", utc(now)));
    file.line(&format!("DTSTART;TZID={}:{}", details.starts.zone, local(starts)));
    file.line(&format!("DTEND;TZID={}:{}", details.starts.zone, local(ends)));
    file.line(&format!("SUMMARY:{}", escape(details.name.as_str())));
    file.line(&format!("LOCATION:{}", escape(&format!("{}, {}", details.venue, details.city))));
    file.line(&format!("URL:{url}"));
    file.line(&format!("STATUS:{status}"));
    file.line("END:VEVENT");
    file.line("END:VCALENDAR");
    Ok(file.0)
}

/// Text as RFC 5545 §3.3.11 wants it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}

#[derive(Default)]
struct File(String);

impl File {
    /// A content line, folded after 75 octets without cutting a character (§3.1).
    fn line(&mut self, line: &str) {
        let mut width = 0;
        for character in line.chars() {
            if width + character.len_utf8() > 75 {
                self.0.push_str("\r\n ");
                width = 1;
            }
            self.0.push(character);
            width += character.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    /// The zone's rules around `near` (§3.6.5): the change before and the one after it are all that one event needs.
    fn zone(&mut self, name: &str, zone: &TimeZone, near: Timestamp) {
        self.line("BEGIN:VTIMEZONE");
        self.line(&format!("TZID:{name}"));
        // The change that is in force at `near` may begin at that very second.
        let before = zone.preceding(near + jiff::SignedDuration::from_secs(1)).next();
        let after = zone.following(near).next();
        let old = |change: &TimeZoneTransition<'_>| {
            zone.to_offset(change.timestamp() - jiff::SignedDuration::from_secs(1))
        };
        if before.is_none() && after.is_none() {
            let offset = zone.to_offset(near);
            self.observance("STANDARD", "19700101T000000", offset, offset);
        }
        for change in before.iter().chain(&after) {
            let kind = if change.dst().is_dst() { "DAYLIGHT" } else { "STANDARD" };
            // The onset is written in the local time that was in force before it.
            let onset = old(change).to_datetime(change.timestamp()).strftime("%Y%m%dT%H%M%S").to_string();
            self.observance(kind, &onset, old(change), change.offset());
        }
        self.line("END:VTIMEZONE");
    }

    fn observance(&mut self, kind: &str, onset: &str, from: Offset, to: Offset) {
        let written = |offset: Offset| {
            let (sign, seconds) = (if offset.is_negative() { '-' } else { '+' }, offset.seconds().abs());
            format!("{sign}{:02}{:02}", seconds / 3600, seconds / 60 % 60)
        };
        self.line(&format!("BEGIN:{kind}"));
        self.line(&format!("DTSTART:{onset}"));
        self.line(&format!("TZOFFSETFROM:{}", written(from)));
        self.line(&format!("TZOFFSETTO:{}", written(to)));
        self.line(&format!("END:{kind}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, local: &str, zone: &str) -> Event {
        let details = serde_json::json!({
            "name": name, "city": "Ort", "venue": "Halle; 1, Süd", "starts": {"local": local, "zone": zone}
        });
        Event {
            id: crate::id::EventId::derive(&["e"]),
            organisation: crate::id::OrganisationId::derive(&["o"]),
            details: serde_json::from_value(details).unwrap(),
            state: State::Draft,
            created: Timestamp::UNIX_EPOCH,
            print: String::new(),
            room: None,
            picture_description: None,
        }
    }

    fn written(name: &str, local: &str, zone: &str) -> String {
        file(&event(name, local, zone), "https://x.example/e", Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn the_time_is_local_and_the_zone_says_what_that_means() {
        let file = written("Fest", "2027-06-01T19:30:00", "Europe/Berlin");
        assert!(file.contains("DTSTART;TZID=Europe/Berlin:20270601T193000\r\n"), "{file}");
        assert!(file.contains("BEGIN:DAYLIGHT\r\nDTSTART:20270328T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT"));
        assert!(file.contains("BEGIN:STANDARD\r\nDTSTART:20271031T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD"));
    }

    #[test]
    fn zones_without_changes_and_with_odd_offsets_are_written_too() {
        assert!(written("Fest", "2027-06-01T19:30:00", "Asia/Kolkata").contains("TZOFFSETTO:+0530"));
        assert!(written("Fest", "2027-06-01T19:30:00", "UTC").contains("TZOFFSETTO:+0000"));
        assert!(written("Fest", "2027-01-01T19:30:00", "America/St_Johns").contains("TZOFFSETTO:-0330"));
    }

    #[test]
    fn lines_are_folded_between_characters_and_text_is_escaped() {
        let file = written(&"Größe, ".repeat(20), "2027-06-01T19:30:00", "Europe/Berlin");
        assert!(file.split("\r\n").all(|line| line.len() <= 75), "{file}");
        let unfolded = file.replace("\r\n ", "");
        assert!(unfolded.contains("SUMMARY:Größe\\, Größe\\,"));
        assert!(unfolded.contains("LOCATION:Halle\\; 1\\, Süd\\, Ort"));
    }
}
