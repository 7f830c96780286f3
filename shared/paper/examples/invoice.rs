//! Writes sample invoices into a folder, to look at: `cargo run -p tessera-paper --example invoice -- DIR`.

#![allow(clippy::print_stdout, reason = "an example says what it wrote")]

use std::error::Error;
use std::path::PathBuf;

use tessera_paper::{
    Amounts, Fact, Invoice, InvoiceKind, InvoiceLabels, InvoiceLine, Party, Tax, Totals, invoice,
};

const LINES: &[InvoiceLine<'static>] = &[
    InvoiceLine {
        description: "Midwinter Chamber Music Festival, early bird, seated",
        detail: Some("Saturday 14 March 2026, 20:00 · Block B, row 4, seats 12 and 13"),
        quantity: "2",
        unit_price: "450.00",
        tax: "6 %",
        amount: "900.00",
        discount: Some(Fact { label: "Members of the society, 10 %", value: "−90.00" }),
    },
    InvoiceLine {
        description: "Programme book",
        detail: None,
        quantity: "1",
        unit_price: "120.00",
        tax: "6 %",
        amount: "120.00",
        discount: None,
    },
    InvoiceLine {
        description: "Festival tote bag, organic cotton",
        detail: Some("Colour: midnight blue"),
        quantity: "1",
        unit_price: "180.00",
        tax: "25 %",
        amount: "180.00",
        discount: None,
    },
    InvoiceLine {
        description: "Booking fee",
        detail: None,
        quantity: "2",
        unit_price: "15.00",
        tax: "25 %",
        amount: "30.00",
        discount: None,
    },
];

const SELLER: Party<'static> = Party {
    name: "Stockholm Chamber Society",
    address: &["Hötorget 8", "111 57 Stockholm", "Sweden"],
    tax_numbers: &[
        Fact { label: "VAT no.", value: "SE556677889901" },
        Fact { label: "Company no.", value: "556677-8899" },
    ],
    email: Some("tickets@chamber.example"),
};

const ENGLISH: Invoice<'static> = Invoice {
    language: "en",
    labels: InvoiceLabels { tax: "VAT", tax_amount: "VAT amount", ..InvoiceLabels::ENGLISH },
    kind: InvoiceKind::Invoice,
    number: "2026-000123",
    issued: "2 February 2026",
    supplied: Some("14 March 2026"),
    order: Some("T-2026-004711"),
    facts: &[],
    seller: SELLER,
    buyer: Some(Party {
        name: "Åsa Lindström Nguyễn",
        address: &["Sveavägen 24, 3 tr", "111 57 Stockholm", "Sweden"],
        tax_numbers: &[],
        email: Some("asa.lindstrom@example.org"),
    }),
    lines: LINES,
    totals: Totals {
        subtotal: Some("1,140.00 SEK"),
        discount: None,
        taxes: &[
            Tax { label: "VAT 6 %", base: "877.36 SEK", amount: "52.64 SEK" },
            Tax { label: "VAT 25 %", base: "168.00 SEK", amount: "42.00 SEK" },
        ],
        rounding: None,
        total: "1,140.00 SEK",
        gift_credit: Some("200.00 SEK"),
        paid: Some("940.00 SEK"),
        due: Some("0.00 SEK"),
    },
    amounts: Some(Amounts::WithTax),
    payment: Some("Paid on 2 February 2026 by card (Visa ending in 4242) and with gift credit."),
    notes: Some("Thank you for your booking. Questions about this invoice: tickets@chamber.example."),
};

const GERMAN: Invoice<'static> = Invoice {
    language: "de",
    labels: InvoiceLabels::GERMAN,
    number: "RE-2026-00817",
    issued: "3. Februar 2026",
    supplied: Some("12.–14. Mai 2026"),
    order: Some("B-2026-10552"),
    facts: &[Fact { label: "Ihre Bestellreferenz", value: "4500012345" }],
    seller: Party {
        name: "Gesellschaft zur Förderung spätantiker Mosaikkunst e. V.",
        address: &["Museumsinsel 3", "10178 Berlin"],
        tax_numbers: &[
            Fact { label: "", value: "DE123456789" },
            Fact { label: "Steuernummer", value: "27/640/51234" },
        ],
        email: Some("rechnung@mosaik.example"),
    },
    buyer: Some(Party {
        name: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk GmbH",
        address: &["Frau Dr. Ingeborg Weißenböck-Straßer", "Handelskai 12", "1020 Wien", "Österreich"],
        tax_numbers: &[Fact { label: "UID", value: "ATU12345678" }],
        email: None,
    }),
    lines: &[
        InvoiceLine {
            description: "Fachtagung „Restaurierung spätantiker Mosaiken im östlichen Mittelmeerraum“, Dreitageskarte mit Workshop",
            detail: Some("12.–14. Mai 2026, 9:00–17:30 Uhr"),
            quantity: "3",
            unit_price: "390,00",
            tax: "19 %",
            amount: "1.170,00",
            discount: Some(Fact { label: "Frühbucherrabatt 15 %", value: "−175,50" }),
        },
        InvoiceLine {
            description: "Tagungsband (gedruckt)",
            detail: Some("ISBN 978-3-00-000000-0"),
            quantity: "3",
            unit_price: "42,00",
            tax: "7 %",
            amount: "126,00",
            discount: None,
        },
        InvoiceLine {
            description: "Servicegebühr",
            detail: None,
            quantity: "1",
            unit_price: "9,90",
            tax: "19 %",
            amount: "9,90",
            discount: None,
        },
    ],
    totals: Totals {
        subtotal: Some("1.130,40 €"),
        discount: None,
        taxes: &[
            Tax { label: "USt. 19 %", base: "1.004,40 €", amount: "190,84 €" },
            Tax { label: "USt. 7 %", base: "126,00 €", amount: "8,82 €" },
        ],
        rounding: None,
        total: "1.330,06 €",
        gift_credit: None,
        paid: None,
        due: Some("1.330,06 €"),
    },
    amounts: Some(Amounts::WithoutTax),
    payment: Some(
        "Überweisung bis zum 17. Februar 2026 auf IBAN DE02 1203 0000 0000 2020 51, Verwendungszweck RE-2026-00817.",
    ),
    notes: Some("Die Leistung wird in Deutschland erbracht und versteuert."),
    ..ENGLISH
};

const HINDI: Invoice<'static> = Invoice {
    language: "hi",
    labels: InvoiceLabels::HINDI,
    number: "SNA/26-27/00042",
    issued: "3 फ़रवरी 2026",
    supplied: Some("21 फ़रवरी 2026"),
    order: Some("T-2026-00042"),
    facts: &[Fact {
        label: "आपूर्ति का स्थान", value: "दिल्ली (07)"
    }],
    seller: Party {
        name: "संगीत नाटक अकादमी",
        address: &["रवींद्र भवन, फ़िरोज़ शाह रोड", "नई दिल्ली 110001"],
        tax_numbers: &[Fact { label: "", value: "07AAATS1234F1Z5" }],
        email: Some("tickets@sna.example"),
    },
    buyer: Some(Party {
        name: "श्रीमती लक्ष्मी कृष्णमूर्ति द्विवेदी",
        address: &["12, लोधी एस्टेट", "नई दिल्ली 110003"],
        tax_numbers: &[],
        email: Some("lakshmi@example.org"),
    }),
    lines: &[
        InvoiceLine {
            description: "राष्ट्रीय शास्त्रीय संगीत समारोह, बालकनी",
            detail: Some("शनिवार, 21 फ़रवरी 2026, शाम 7:00 बजे · पंक्ति द, सीट 14–16 · SAC 999622"),
            quantity: "3",
            unit_price: "₹1,500.00",
            tax: "18%",
            amount: "₹4,500.00",
            discount: Some(Fact { label: "विद्यार्थी छूट", value: "−₹450.00" }),
        },
        InvoiceLine {
            description: "सुविधा शुल्क",
            detail: Some("SAC 998599"),
            quantity: "1",
            unit_price: "₹60.00",
            tax: "18%",
            amount: "₹60.00",
            discount: None,
        },
    ],
    totals: Totals {
        subtotal: Some("₹4,110.00"),
        discount: None,
        taxes: &[
            Tax { label: "CGST 9%", base: "₹4,110.00", amount: "₹369.90" },
            Tax { label: "SGST 9%", base: "₹4,110.00", amount: "₹369.90" },
        ],
        rounding: Some("₹0.20"),
        total: "₹4,850.00",
        gift_credit: None,
        paid: Some("₹4,850.00"),
        due: Some("₹0.00"),
    },
    amounts: Some(Amounts::WithoutTax),
    payment: Some("3 फ़रवरी 2026 को UPI से भुगतान किया गया (संदर्भ 603412345678)।"),
    notes: Some("यह कंप्यूटर से बना इनवॉइस है, हस्ताक्षर की आवश्यकता नहीं।"),
    ..ENGLISH
};

const ARABIC: Invoice<'static> = Invoice {
    language: "ar",
    labels: InvoiceLabels { invoice: "فاتورة ضريبية", ..InvoiceLabels::ARABIC },
    number: "2026-000123",
    issued: "3 فبراير 2026",
    supplied: Some("14 مارس 2026"),
    order: Some("T-2026-004711"),
    facts: &[],
    seller: Party {
        name: "مؤسسة الرياض للثقافة والفنون",
        address: &[
            "8228 طريق الملك فهد، حي العليا",
            "الرياض 12345-6789",
            "المملكة العربية السعودية",
            "+966 11 234 5678",
        ],
        tax_numbers: &[
            Fact { label: "", value: "300 012 345 600 003" },
            Fact { label: "السجل التجاري", value: "1010123456" },
        ],
        email: Some("tickets@riyadh-arts.example"),
    },
    buyer: Some(Party {
        name: "Layla Haddad (ليلى حداد)",
        address: &["شارع التحلية 41", "جدة 23435"],
        tax_numbers: &[],
        email: Some("layla@example.org"),
    }),
    lines: &[
        InvoiceLine {
            description: "مهرجان الرياض للموسيقى 2026، مقاعد VIP",
            detail: Some("السبت 14 مارس 2026، الساعة 20:00 · الصف 4، المقعدان 12 و13"),
            quantity: "2",
            unit_price: "450.00 SAR",
            tax: "15 %",
            amount: "900.00 SAR",
            discount: Some(Fact { label: "خصم الحجز المبكر 10 %", value: "−90.00 SAR" }),
        },
        InvoiceLine {
            description: "Backstage tour with Omar Khairat (عمر خيرت)",
            detail: Some("باللغة الإنجليزية"),
            quantity: "1",
            unit_price: "1,200.00 SAR",
            tax: "15 %",
            amount: "1,200.00 SAR",
            discount: None,
        },
        InvoiceLine {
            description: "رسوم الحجز",
            detail: None,
            quantity: "3",
            unit_price: "10.00 SAR",
            tax: "15 %",
            amount: "30.00 SAR",
            discount: None,
        },
    ],
    totals: Totals {
        subtotal: Some("2,040.00 SAR"),
        discount: Some("-40.00 ر.س"),
        taxes: &[Tax {
            label: "ضريبة القيمة المضافة 15 %", base: "2,000.00 SAR", amount: "300.00 SAR"
        }],
        rounding: None,
        total: "2,300.00 ر.س",
        gift_credit: Some("-300.00 SAR"),
        paid: Some("2,000.00 SAR"),
        due: Some("0.00 SAR"),
    },
    amounts: Some(Amounts::WithoutTax),
    payment: Some("دُفعت في 3 فبراير 2026 ببطاقة مدى المنتهية بـ 4242."),
    notes: Some(
        "تُقبل الأسئلة حول هذه الفاتورة خلال 30 يومًا من تاريخ الإصدار.\nFor questions in English: tickets@riyadh-arts.example, +966 11 234 5678.",
    ),
    ..ENGLISH
};

/// One of the two seats of [`ENGLISH`] given back.
const CREDIT_NOTE: Invoice<'static> = Invoice {
    kind: InvoiceKind::CreditNote { corrects: "2026-000123" },
    number: "CN-2026-000009",
    issued: "20 February 2026",
    supplied: None,
    lines: &[InvoiceLine {
        detail: Some("Row 4, seat 13: given back"),
        quantity: "1",
        amount: "450.00",
        discount: Some(Fact { label: "Members of the society, 10 %", value: "−45.00" }),
        ..LINES[0]
    }],
    totals: Totals {
        subtotal: None,
        taxes: &[Tax { label: "VAT 6 %", base: "382.08 SEK", amount: "22.92 SEK" }],
        total: "405.00 SEK",
        gift_credit: None,
        paid: Some("405.00 SEK"),
        due: None,
        ..ENGLISH.totals
    },
    payment: Some("Refunded on 20 February 2026 to the card ending in 4242."),
    notes: None,
    ..ENGLISH
};

/// The largest amounts, and an Arabic name on an English page.
const REVERSE_CHARGE: Invoice<'static> = Invoice {
    buyer: Some(Party {
        name: "دار الأوبرا المصرية / Cairo Opera House",
        address: &["El Borg Gezira, الزمالك", "Cairo"],
        tax_numbers: &[Fact { label: "VAT no.", value: "EG 100-200-300" }],
        email: None,
    }),
    lines: &[InvoiceLine {
        description: "Guest performance, Layla ليلى (VIP) at the piano",
        quantity: "1",
        unit_price: "99,999,999,999.999 KWD",
        amount: "99,999,999,999.999 KWD",
        tax: "Reverse charge",
        ..LINES[1]
    }],
    totals: Totals {
        subtotal: None,
        discount: None,
        taxes: &[Tax { label: "Reverse charge", base: "99,999,999,999.999 KWD", amount: "0.000 KWD" }],
        rounding: None,
        total: "99,999,999,999.999 KWD",
        gift_credit: None,
        paid: None,
        due: Some("99,999,999,999.999 KWD"),
    },
    amounts: Some(Amounts::WithoutTax),
    payment: None,
    notes: Some("Reverse charge: the buyer accounts for the tax (Article 196 of Directive 2006/112/EC)."),
    ..ENGLISH
};

const MINIMAL: Invoice<'static> = Invoice {
    number: "1",
    issued: "14 March",
    supplied: None,
    order: None,
    seller: Party { name: "Bar Nine", address: &[], tax_numbers: &[], email: None },
    buyer: None,
    lines: &[InvoiceLine {
        description: "Entry",
        quantity: "",
        unit_price: "",
        tax: "",
        amount: "5 €",
        ..LINES[1]
    }],
    totals: Totals {
        subtotal: None,
        taxes: &[],
        total: "5 €",
        gift_credit: None,
        paid: None,
        due: None,
        ..ENGLISH.totals
    },
    amounts: None,
    payment: None,
    notes: None,
    ..ENGLISH
};

/// Fourteen times the basket of [`ENGLISH`], and half of it once more.
const ENGLISH_PAGES: Invoice<'static> = Invoice {
    totals: Totals {
        subtotal: Some("16,890.00 SEK"),
        taxes: &[
            Tax { label: "VAT 6 %", base: "13,160.38 SEK", amount: "789.62 SEK" },
            Tax { label: "VAT 25 %", base: "2,352.00 SEK", amount: "588.00 SEK" },
        ],
        total: "16,890.00 SEK",
        gift_credit: None,
        paid: Some("16,890.00 SEK"),
        ..ENGLISH.totals
    },
    payment: Some("Paid on 2 February 2026 by card (Visa ending in 4242)."),
    ..ENGLISH
};

const ARABIC_PAGES: Invoice<'static> = Invoice {
    totals: Totals {
        subtotal: Some("28,560.00 SAR"),
        discount: None,
        taxes: &[Tax {
            label: "ضريبة القيمة المضافة 15 %", base: "28,560.00 SAR", amount: "4,284.00 SAR"
        }],
        total: "32,844.00 SAR",
        gift_credit: None,
        paid: Some("32,844.00 SAR"),
        ..ARABIC.totals
    },
    ..ARABIC
};

/// What hardly fits: the largest amounts on a page read from the right, long and mixed texts, letters without a font.
const EXTREME: Invoice<'static> = Invoice {
    labels: InvoiceLabels::ARABIC,
    seller: Party {
        name: "Gesellschaft zur Förderung spätantiker Mosaikkunst 東京 🎷 مؤسسة الرياض للثقافة والفنون والموسيقى",
        ..ARABIC.seller
    },
    lines: &[
        InvoiceLine {
            description: "Guest performance, Layla ليلى (VIP) at the piano, مع أوركسترا القاهرة السيمفونية بقيادة المايسترو Ahmed El-Saedi، على المسرح الكبير، a programme of works by Omar Khairat, Gamal Abdel-Rahim and Aziz El-Shawan, followed by a reception for the guests of honour 🎉 in the foyer, and a guided tour",
            unit_price: "99,999,999,999.999 KWD",
            amount: "-99,999,999,999.999 KWD",
            tax: "معفاة من الضريبة 0 %",
            quantity: "1,000,000",
            discount: Some(Fact {
                label: "خصم −12.5 % for early birds", value: "−12,499,999,999.999 د.ك"
            }),
            ..ARABIC.lines[0]
        },
        ARABIC.lines[2],
    ],
    totals: Totals {
        subtotal: Some("99,999,999,999.999 KWD"),
        discount: Some("−12,499,999,999.999 د.ك"),
        taxes: &[Tax {
            label: "ضريبة القيمة المضافة 15 %",
            base: "99,999,999,999.999 KWD",
            amount: "-15,000,000,000.000 KWD",
        }],
        rounding: Some("€ -0.01"),
        total: "99,999,999,999.999 د.ك",
        due: Some("99,999,999,999.999 KWD"),
        ..ARABIC.totals
    },
    ..ARABIC
};

/// The first `count` of the lines repeated without end.
fn repeated(lines: &[InvoiceLine<'static>], count: usize) -> &'static [InvoiceLine<'static>] {
    lines.iter().copied().cycle().take(count).collect::<Vec<_>>().leak()
}

fn samples() -> Vec<(&'static str, Invoice<'static>)> {
    vec![
        ("english", ENGLISH),
        ("english_pages", Invoice { lines: repeated(LINES, 58), ..ENGLISH_PAGES }),
        ("german", GERMAN),
        ("hindi", HINDI),
        ("arabic", ARABIC),
        ("arabic_pages", Invoice { lines: repeated(ARABIC.lines, 42), ..ARABIC_PAGES }),
        ("credit_note", CREDIT_NOTE),
        (
            "credit_note_german",
            Invoice {
                kind: InvoiceKind::CreditNote { corrects: "RE-2026-00817" },
                number: "RK-2026-00012",
                issued: "20. Februar 2026",
                payment: Some("Wird bis zum 27. Februar 2026 auf IBAN AT61 1904 3002 3457 3201 überwiesen."),
                ..GERMAN
            },
        ),
        ("reverse_charge", REVERSE_CHARGE),
        ("minimal", MINIMAL),
        ("extreme", EXTREME),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: invoice DIR")?);
    std::fs::create_dir_all(&folder)?;
    for (name, sample) in samples() {
        let pdf = invoice(&sample)?;
        let path = folder.join(name).with_extension("pdf");
        std::fs::write(&path, &pdf)?;
        println!("{:>7} bytes  {}", pdf.len(), path.display());
    }
    Ok(())
}
