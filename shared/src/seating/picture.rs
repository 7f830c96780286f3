//! The seat map as a picture: SVG with live states, one file, no script.
//!
//! State shows in form as well as in colour: free seats are full, held ones hollow, sold ones small, blocked ones a stroke.
//! Every seat has a title, which browsers show under the pointer and screen readers say.

use super::{Kind, Seat, Seating, Status};

/// Units between neighbouring seats and rows.
const STEP: u32 = 14;
/// Room for the row's label on either side.
const MARGIN: u32 = 28;
/// Room for a section's name above its rows.
const HEAD: u32 = 30;

/// Its style: the only one there is in a picture.
pub const STYLE: &str = "\
svg{color-scheme:light dark;font:9px system-ui,sans-serif}\
.page{fill:#fff}text{fill:#333}.stage{fill:#e4e6ee}\
.r{--c:#2a3bb7}.v{--c:#a8650a}.a{--c:#0b7a54}.c{--c:#3c9d7c}\
.f{fill:var(--c);stroke:var(--c)}.h{fill:none;stroke:var(--c);stroke-dasharray:2 1.4}\
.s{fill:#b9bcc8;stroke:none}.x{stroke:#b9bcc8}\
@media(prefers-color-scheme:dark){.page{fill:#12141c}text{fill:#d5d8e4}.stage{fill:#2a2e3c}\
.r{--c:#8c9bff}.v{--c:#f0b35e}.a{--c:#4fd3a4}.c{--c:#2f9b78}.s,.x{fill:#4a4f60;stroke:#4a4f60}}";

const SHAPES: &str = "\
<defs><rect id=\"f\" width=\"10\" height=\"10\" rx=\"3\"/><rect id=\"h\" x=\".5\" y=\".5\" width=\"9\" height=\"9\" rx=\"3\"/>\
<circle id=\"s\" cx=\"5\" cy=\"5\" r=\"3\"/><path id=\"x\" d=\"M3 7 7 3\"/></defs>";

/// Draws these sections, one below the other, the stage on top. `status` says where a seat of
/// which of them stands.
#[must_use]
pub fn draw(title: &str, sections: &[Seating], status: impl Fn(usize, &Seat<'_>) -> Status) -> String {
    let columns = |seating: &Seating| {
        let rows = seating.section.rows.iter();
        rows.map(|row| row.seats.as_str().chars().count() as u32).max().unwrap_or(0)
    };
    let width = sections.iter().map(columns).max().unwrap_or(0).max(16) * STEP + 2 * MARGIN;
    let (mut body, mut top) = (String::new(), 40);
    for (which, seating) in sections.iter().enumerate() {
        let section = &seating.section;
        let left = (width - columns(seating) * STEP) / 2;
        let name = escape(section.name.as_str());
        body += &format!(
            "<g><text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{name}</text>",
            width / 2,
            top + 18
        );
        top += HEAD;
        for (place, row) in section.rows.iter().enumerate() {
            let y = top + place as u32 * STEP + 9;
            let label = escape(row.label.as_str());
            body += &format!("<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{label}</text>", left - 6);
        }
        for seat in section.seats() {
            let (x, y) = (left + seat.column * STEP + 2, top + seat.row as u32 * STEP + 1);
            let status = status(which, &seat);
            let (class, kind) = match seat.kind {
                Kind::Regular => ('r', "seat"),
                Kind::Vip => ('v', "VIP seat"),
                Kind::Accessible => ('a', "wheelchair space"),
                Kind::Companion => ('c', "companion seat"),
            };
            let (shape, said) = match status {
                Status::Free => ('f', "free"),
                Status::Held => ('h', "on hold"),
                Status::Sold => ('s', "sold"),
                Status::Blocked => ('x', "not for sale"),
            };
            let name = escape(&seat.name());
            body += &format!(
                "<use href=\"#{shape}\" class=\"{class} {shape}\" x=\"{x}\" y=\"{y}\"><title>{name}, {kind}, {said}</title></use>"
            );
        }
        body += "</g>";
        top += section.rows.len() as u32 * STEP;
    }
    let (height, middle, title) = (top + 20, width / 2, escape(title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"{title}\">\
         <title>{title}</title><style>{STYLE}</style>{SHAPES}<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\
         <rect class=\"stage\" x=\"{MARGIN}\" y=\"12\" width=\"{}\" height=\"18\" rx=\"4\"/>\
         <text x=\"{middle}\" y=\"24\" text-anchor=\"middle\">Stage</text>{body}</svg>",
        width - 2 * MARGIN
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::section;
    use super::*;
    use crate::id::{EventId, PoolId};
    use crate::text::Text;

    #[test]
    fn every_seat_is_drawn_with_its_name_and_state_and_text_stays_text() {
        let mut drawn = section(&["a._v", "x."]);
        drawn.name = Text::parse("<Stalls & \"more\">").unwrap();
        let (event, pool) = (EventId::derive(&["e"]), PoolId::derive(&["p"]));
        let seating = Seating { event, pool, code: Text::parse("S").unwrap(), section: drawn };
        let of = |_: usize, seat: &Seat<'_>| match seat.kind {
            _ if seat.blocked => Status::Blocked,
            Kind::Vip => Status::Sold,
            Kind::Regular | Kind::Accessible | Kind::Companion => Status::Free,
        };
        let svg = draw("Midsummer", &[seating], of);
        assert_eq!(svg.matches("<use ").count(), 5);
        for title in [
            "A-1, wheelchair space, free",
            "A-3, VIP seat, sold",
            "B-1, seat, not for sale",
            "B-2, seat, free",
        ] {
            assert!(svg.contains(&format!("<title>{title}</title>")), "{title}");
        }
        assert!(svg.contains("&lt;Stalls &amp; &quot;more&quot;&gt;") && !svg.contains("<Stalls"));
    }
}
