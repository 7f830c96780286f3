//! Writes sample tickets into a folder, to look at: `cargo run -p tessera-paper --example ticket -- DIR`.

#![allow(clippy::print_stdout, reason = "an example says what it wrote")]

use std::error::Error;
use std::path::PathBuf;

use tessera_paper::{Labels, Ticket, ticket};

const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.AZqk3vYscXW8h0m1nL2p3Q.dGhpcyBpcyBub3QgYSByZWFsIHNpZ25hdHVyZSBidXQgaXQgaXMgYXMgbG9uZyBhcyBvbmUgd291bGQgYmUgaW4gbGlmZQ";

const NOTES: &str = "This ticket admits one person, once. The first scan counts; copies are refused at the entrance.
Doors close 15 minutes after the start. Latecomers are let in at the first break.
Bags larger than A4 have to be left in the cloakroom (30 SEK). Bottles, umbrellas and professional cameras stay outside.
You can pass the ticket on to someone else until two hours before the start, free of charge. It then gets a new code and this one stops working.
If the event is cancelled you get your money back within fourteen days, on the card you paid with. If it is moved you may keep the ticket or ask for your money.";

const ENGLISH: Ticket<'static> = Ticket {
    language: "en",
    labels: Labels::ENGLISH,
    event: "Midwinter Chamber Music Festival",
    organiser: "Stockholm Chamber Society",
    date: "Saturday 14 March 2026",
    time: "20:00",
    zone: Some("Stockholm time (CET)"),
    doors: Some("19:00"),
    venue: Some("Konserthuset, Grünewald Hall"),
    place: Some("Hötorget 8, 111 57 Stockholm"),
    offer: "Early bird, seated",
    seat: Some("Block B, row 4, seat 12"),
    holder: Some("Åsa Lindström Nguyễn"),
    price: Some("450.00 SEK incl. 6 % VAT"),
    order: Some("T-2026-004711"),
    number: "7Q2K-94MX",
    qr: TOKEN,
    notes: Some(NOTES),
};

fn samples() -> Vec<(&'static str, Ticket<'static>)> {
    vec![
        ("latin", ENGLISH),
        (
            "greek",
            Ticket {
                event: "Η Ορέστεια του Αισχύλου",
                organiser: "Φεστιβάλ Αθηνών Επιδαύρου",
                venue: Some("Ωδείο Ηρώδου του Αττικού"),
                place: Some("Διονυσίου Αρεοπαγίτου, 105 55 Αθήνα"),
                holder: Some("Ελευθερία Παπαδοπούλου"),
                language: "el",
                ..ENGLISH
            },
        ),
        (
            "cyrillic",
            Ticket {
                event: "Лебедине озеро: гала-вечір балету",
                organiser: "Національна опера України",
                venue: Some("Національна опера України"),
                place: Some("вул. Володимирська, 50, Київ"),
                holder: Some("Ярослава Ґалаґанівна Їжакевич"),
                price: Some("1 250,00 ₴"),
                language: "uk",
                ..ENGLISH
            },
        ),
        (
            "arabic",
            Ticket {
                language: "ar",
                labels: Labels {
                    ticket: "تذكرة",
                    date: "التاريخ",
                    time: "الوقت",
                    doors: "فتح الأبواب",
                    venue: "المكان",
                    holder: "حامل التذكرة",
                    offer: "نوع التذكرة",
                    seat: "المقعد",
                    price: "السعر",
                    order: "رقم الطلب",
                    number: "رقم التذكرة",
                    notes: "معلومات مفيدة",
                    hint: "أظهر هذا الرمز عند المدخل على هاتفك أو مطبوعًا.",
                },
                event: "مهرجان بيروت للموسيقى والفنون 2026",
                organiser: "مؤسسة بيروت للثقافة",
                date: "السبت 14 مارس 2026",
                zone: Some("بتوقيت بيروت (EET)"),
                venue: Some("مسرح المدينة"),
                place: Some("شارع الحمرا، بيروت"),
                offer: "دخول عام (VIP)",
                seat: Some("الصف 4، المقعد 12"),
                holder: Some("ليلى عبد الرحمن الخوري (Layla)"),
                price: Some("450.00 SEK"),
                notes: Some(
                    "هذه التذكرة صالحة لشخص واحد ولمرة واحدة فقط. يُقبل أول مسح للرمز وتُرفض النسخ عند المدخل.\nتُغلق الأبواب بعد 15 دقيقة من بدء العرض.\nيمكنك نقل التذكرة إلى شخص آخر حتى ساعتين قبل البدء دون أي رسوم.",
                ),
                ..ENGLISH
            },
        ),
        (
            "hebrew",
            Ticket {
                event: "פסטיבל הקיץ בתל אביב: ערב ג׳אז",
                organiser: "היכל התרבות",
                venue: Some("היכל התרבות תל אביב"),
                place: Some("רחוב הוברמן 1, תל אביב"),
                holder: Some("נֹעַם בֶּן־דָּוִד (Noam)"),
                price: Some("₪ 180.00"),
                ..ENGLISH
            },
        ),
        (
            "devanagari",
            Ticket {
                event: "राष्ट्रीय शास्त्रीय संगीत समारोह",
                organiser: "संगीत नाटक अकादमी",
                venue: Some("कमानी सभागार"),
                place: Some("कॉपरनिकस मार्ग, नई दिल्ली"),
                holder: Some("श्रीमती लक्ष्मी कृष्णमूर्ति द्विवेदी"),
                price: Some("₹ 1,500.00"),
                language: "hi",
                ..ENGLISH
            },
        ),
        (
            "mixed",
            Ticket {
                event: "Salam & Shalom: سلام שלום", holder: Some("Layla ليلى (VIP)"), ..ENGLISH
            },
        ),
        (
            "long",
            Ticket {
                event: "The Eleventh International Conference on the History, Restoration and Contemporary Practice of \
                        Mosaics in the Eastern Mediterranean, with Workshops and an Opening Concert by Candlelight",
                organiser: "Gesellschaft zur Förderung der Erforschung spätantiker Mosaikkunst im östlichen Mittelmeerraum e. V.",
                date: "Donnerstag, 24. September 2026",
                venue: Some(
                    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftssaal",
                ),
                place: Some(
                    "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch, Anglesey, Wales, United Kingdom",
                ),
                offer: "Combined ticket for all three days with workshop, concert, dinner and reserved seating",
                seat: Some("Upper balcony left, block 12, row AA, seat 104 (restricted view)"),
                holder: Some(
                    "Wolfeschlegelsteinhausenbergerdorff Hubert Blaine Maria de los Ángeles Fernández-Montalbán y Ortiz-Echagüe",
                ),
                price: Some("1 234 567,89 VND, inclusive of all taxes and fees"),
                order: Some("0192F3A4-7B21-7C3D-9E55-AA00BB11CC22"),
                number: "7Q2K-94MX-7Q2K-94MX",
                ..ENGLISH
            },
        ),
        (
            "minimal",
            Ticket {
                event: "Jazz",
                organiser: "Bar Nine",
                date: "14 March",
                time: "20:00",
                zone: None,
                doors: None,
                venue: None,
                place: None,
                offer: "Entry",
                seat: None,
                holder: None,
                price: None,
                order: None,
                number: "A1",
                qr: "A1",
                notes: None,
                ..ENGLISH
            },
        ),
        ("missing", Ticket { event: "東京 Jazz 🎷 Night", holder: Some("山田 Tarō"), ..ENGLISH }),
        ("many_notes", Ticket { notes: Some(Box::leak(NOTES.repeat(8).into_boxed_str())), ..ENGLISH }),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: ticket DIR")?);
    std::fs::create_dir_all(&folder)?;
    for (name, sample) in samples() {
        let pdf = ticket(&sample)?;
        let path = folder.join(name).with_extension("pdf");
        std::fs::write(&path, &pdf)?;
        println!("{:>7} bytes  {}", pdf.len(), path.display());
    }
    Ok(())
}
