//! The fixed words of an invoice, in the languages that have a set.

/// The fixed words of an invoice and of a credit note.
///
/// [`InvoiceLabels::of`] finds the set of a language. A seller who must print another word (a "Tax invoice" in India,
/// a "فاتورة ضريبية" in Saudi Arabia) changes that one:
/// `InvoiceLabels { invoice: "Tax invoice", ..InvoiceLabels::ENGLISH }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvoiceLabels<'a> {
    /// The word for the document itself.
    pub invoice: &'a str,
    /// The word for a document that takes back an invoice or a part of one.
    pub credit_note: &'a str,
    /// Number of an invoice.
    pub number: &'a str,
    /// Number of a credit note.
    pub credit_note_number: &'a str,
    /// Date of issue.
    pub issued: &'a str,
    /// Date of supply.
    pub supplied: &'a str,
    /// Reference of the order.
    pub order: &'a str,
    /// Number of the invoice that a credit note corrects.
    pub corrects: &'a str,
    /// Heads the block of the seller.
    pub seller: &'a str,
    /// Heads the block of the buyer.
    pub buyer: &'a str,
    /// The usual word before a tax number.
    pub tax_number: &'a str,
    /// Heads the column of what was sold.
    pub description: &'a str,
    /// Heads the column of quantities.
    pub quantity: &'a str,
    /// Heads the column of prices for one.
    pub unit_price: &'a str,
    /// Heads the columns of tax rates.
    pub tax: &'a str,
    /// Heads the column of amounts.
    pub amount: &'a str,
    /// The sum of the lines.
    pub subtotal: &'a str,
    /// What is taken off that sum.
    pub discount: &'a str,
    /// Heads the amounts that tax is charged on.
    pub net: &'a str,
    /// Heads the amounts of tax.
    pub tax_amount: &'a str,
    /// What rounding to a coin adds or takes off.
    pub rounding: &'a str,
    /// The sum that the document is about.
    pub total: &'a str,
    /// Invoice: the part paid with gift credit.
    pub gift_credit: &'a str,
    /// Invoice: the part already paid.
    pub paid: &'a str,
    /// Invoice: what is left to pay.
    pub due: &'a str,
    /// Credit note: the part given back as gift credit.
    pub gift_credit_returned: &'a str,
    /// Credit note: the part already paid back.
    pub refunded: &'a str,
    /// Credit note: what is left to pay back.
    pub refund_due: &'a str,
    /// Heads the line about how and when it was paid.
    pub payment: &'a str,
    /// Says that the amounts contain tax.
    pub tax_included: &'a str,
    /// Says that the amounts are without tax.
    pub tax_excluded: &'a str,
    /// Which page this is: `{page}` and `{pages}` stand for the numbers.
    pub page: &'a str,
}

impl InvoiceLabels<'static> {
    /// The words in English.
    pub const ENGLISH: InvoiceLabels<'static> = InvoiceLabels {
        invoice: "Invoice",
        credit_note: "Credit note",
        number: "Invoice number",
        credit_note_number: "Credit note number",
        issued: "Date of issue",
        supplied: "Date of supply",
        order: "Order",
        corrects: "Corrects invoice",
        seller: "From",
        buyer: "Billed to",
        tax_number: "Tax no.",
        description: "Description",
        quantity: "Qty",
        unit_price: "Unit price",
        tax: "Tax",
        amount: "Amount",
        subtotal: "Subtotal",
        discount: "Discount",
        net: "Net amount",
        tax_amount: "Tax amount",
        rounding: "Rounding",
        total: "Total",
        gift_credit: "Paid with gift credit",
        paid: "Already paid",
        due: "Amount due",
        gift_credit_returned: "Returned as gift credit",
        refunded: "Already refunded",
        refund_due: "To be refunded",
        payment: "Payment",
        tax_included: "All amounts include tax.",
        tax_excluded: "Amounts of the lines do not include tax.",
        page: "Page {page} of {pages}",
    };

    /// The words in German.
    pub const GERMAN: InvoiceLabels<'static> = InvoiceLabels {
        invoice: "Rechnung",
        // Not "Gutschrift": in German tax law (§ 14 Abs. 2 UStG) that is an invoice which the buyer writes, and a
        // document of that name may be taken for one.
        credit_note: "Rechnungskorrektur",
        number: "Rechnungsnummer",
        credit_note_number: "Korrekturnummer",
        issued: "Ausstellungsdatum",
        supplied: "Leistungsdatum",
        order: "Bestellnummer",
        corrects: "Korrigiert Rechnung",
        seller: "Verkäufer",
        buyer: "Rechnungsempfänger",
        tax_number: "USt-IdNr.",
        description: "Bezeichnung",
        quantity: "Menge",
        unit_price: "Einzelpreis",
        tax: "USt.",
        amount: "Betrag",
        subtotal: "Zwischensumme",
        discount: "Rabatt",
        net: "Nettobetrag",
        tax_amount: "Steuerbetrag",
        rounding: "Rundung",
        total: "Gesamtbetrag",
        gift_credit: "Mit Gutschein bezahlt",
        paid: "Bereits bezahlt",
        due: "Noch zu zahlen",
        gift_credit_returned: "Als Gutschein erstattet",
        refunded: "Bereits erstattet",
        refund_due: "Noch zu erstatten",
        payment: "Zahlung",
        tax_included: "Alle Beträge enthalten die gesetzliche Umsatzsteuer.",
        tax_excluded: "Die Beträge der Positionen verstehen sich zuzüglich der gesetzlichen Umsatzsteuer.",
        page: "Seite {page} von {pages}",
    };

    /// The words in Hindi.
    pub const HINDI: InvoiceLabels<'static> = InvoiceLabels {
        // What bills under GST say; "बीजक" stands in dictionaries and rarely on paper. A seller outside GST
        // overrides it.
        invoice: "टैक्स इनवॉइस",
        credit_note: "क्रेडिट नोट",
        number: "इनवॉइस संख्या",
        credit_note_number: "क्रेडिट नोट संख्या",
        issued: "जारी करने की तिथि",
        supplied: "आपूर्ति की तिथि",
        order: "ऑर्डर संख्या",
        corrects: "मूल इनवॉइस संख्या",
        seller: "विक्रेता",
        buyer: "क्रेता",
        // Printed in Latin letters also on Hindi bills.
        tax_number: "GSTIN",
        description: "विवरण",
        quantity: "मात्रा",
        unit_price: "इकाई मूल्य",
        tax: "जीएसटी",
        amount: "राशि",
        subtotal: "उप-योग",
        discount: "छूट",
        net: "कर योग्य मूल्य",
        tax_amount: "कर राशि",
        rounding: "राउंड ऑफ़",
        total: "कुल राशि",
        gift_credit: "गिफ़्ट क्रेडिट से भुगतान",
        paid: "भुगतान की गई राशि",
        due: "देय राशि",
        gift_credit_returned: "गिफ़्ट क्रेडिट के रूप में वापस",
        refunded: "वापस की गई राशि",
        refund_due: "वापस की जाने वाली राशि",
        payment: "भुगतान",
        tax_included: "सभी राशियों में कर शामिल है।",
        tax_excluded: "मदों की राशियों में कर शामिल नहीं है।",
        page: "पृष्ठ {page} / {pages}",
    };

    /// The words in Arabic.
    pub const ARABIC: InvoiceLabels<'static> = InvoiceLabels {
        invoice: "فاتورة",
        credit_note: "إشعار دائن",
        number: "رقم الفاتورة",
        credit_note_number: "رقم الإشعار الدائن",
        issued: "تاريخ الإصدار",
        supplied: "تاريخ التوريد",
        order: "رقم الطلب",
        corrects: "رقم الفاتورة الأصلية",
        seller: "البائع",
        buyer: "المشتري",
        tax_number: "الرقم الضريبي",
        description: "الوصف",
        quantity: "الكمية",
        unit_price: "سعر الوحدة",
        tax: "الضريبة",
        amount: "المبلغ",
        subtotal: "المجموع الفرعي",
        discount: "الخصم",
        net: "المبلغ الخاضع للضريبة",
        tax_amount: "مبلغ الضريبة",
        rounding: "فرق التقريب",
        total: "الإجمالي",
        gift_credit: "مدفوع من رصيد الهدايا",
        paid: "المبلغ المدفوع",
        due: "المبلغ المستحق",
        gift_credit_returned: "معاد إلى رصيد الهدايا",
        refunded: "المبلغ المسترد",
        refund_due: "المبلغ المستحق رده",
        payment: "الدفع",
        tax_included: "جميع المبالغ شاملة الضريبة.",
        tax_excluded: "مبالغ البنود غير شاملة الضريبة.",
        page: "صفحة {page} من {pages}",
    };

    /// The words in a language, by the primary subtag of its BCP 47 tag (`de-AT` finds German); English where there
    /// are none.
    #[must_use]
    pub fn of(language: &str) -> &'static InvoiceLabels<'static> {
        let primary = language.split(['-', '_']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "de" => &InvoiceLabels::GERMAN,
            "hi" => &InvoiceLabels::HINDI,
            "ar" => &InvoiceLabels::ARABIC,
            _ => &InvoiceLabels::ENGLISH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_its_first_subtag_and_english_is_the_rest() {
        let word = |language| InvoiceLabels::of(language).invoice;
        assert_eq!((word("de"), word("de-AT"), word("DE_ch")), ("Rechnung", "Rechnung", "Rechnung"));
        assert_eq!((word("hi-IN"), word("ar-EG")), ("टैक्स इनवॉइस", "فاتورة"));
        assert_eq!((word("en-GB"), word("den"), word("")), ("Invoice", "Invoice", "Invoice"));
    }

    #[test]
    fn every_set_has_both_page_numbers() {
        for language in ["en", "de", "hi", "ar"] {
            let page = InvoiceLabels::of(language).page;
            assert!(page.contains("{page}") && page.contains("{pages}"), "{language}");
        }
    }
}
