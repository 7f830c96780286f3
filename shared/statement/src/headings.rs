//! Which column is which, by the names that banks give them in six languages.
//!
//! The names are those of exports of Sparkassen, Volksbanken, DKB, ING, comdirect, Deutsche Bank, Postbank, N26, Erste Bank, UBS,
//! PostFinance, ZKB, Revolut, Wise, Barclays, Lloyds, `NatWest`, HDFC, ICICI, Crédit Agricole, BNP Paribas, Boursorama, Société
//! Générale, BPCE, CIC, Rabobank, ING NL, KBC, BNP Fortis, BBVA, Santander, `CaixaBank`, Sabadell, Intesa, `UniCredit`, Fineco
//! and Poste Italiane. A bank that is missing needs a line in `NAMES`, or a caller who names its [`Columns`].

use crate::amount::{Decimal, currency};
use crate::date::DateOrder;
use crate::fault::{Fault, StatementError};
use crate::table::Row;
use iso_currency::Currency;

/// Rows among which the headings are looked for.
pub(crate) const FIRST_ROWS: usize = 80;
/// The most columns of a row of headings.
const MOST_COLUMNS: usize = 200;

/// What a caller knows of a CSV file. Columns are named as in its row of headings; what is not named is found by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The booking date.
    pub booked: Option<String>,
    /// The value date.
    pub value: Option<String>,
    /// The amount with its sign, or with its sign in `sign`.
    pub amount: Option<String>,
    /// What went out, if that is a column of its own.
    pub debit: Option<String>,
    /// What came in, if that is a column of its own.
    pub credit: Option<String>,
    /// The sign of the amount: `+` and `-`, S and H, D and C, debit and credit, Af and Bij.
    pub sign: Option<String>,
    /// The currency of the amount.
    pub currency: Option<String>,
    /// The columns of the reference, which are joined.
    pub reference: Vec<String>,
    /// The name of the other side.
    pub counterparty: Option<String>,
    /// The IBAN of the other side.
    pub iban: Option<String>,
    /// Whether it is booked or pending.
    pub status: Option<String>,
    /// The bank's own reference.
    pub id: Option<String>,
    /// The currency (ISO 4217) of the lines that do not say theirs.
    pub all_in: Option<String>,
    /// What comes first in a date such as `01/06/2027`.
    pub dates: Option<DateOrder>,
    /// What is before the decimals of an amount.
    pub decimal: Option<Decimal>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Booked,
    Value,
    Amount,
    Debit,
    Credit,
    Sign,
    Currency,
    /// What the payer wrote.
    Purpose,
    /// What the bank calls it: the reference of lines without a purpose.
    Description,
    Name,
    Payer,
    Payee,
    Iban,
    Account,
    Status,
    Id,
}

/// Names as `plain` writes them: those that are not English, which come first, then the English ones, the more exact before the
/// more general.
const NAMES: [(Role, &str, &str); 16] = [
    (
        Role::Booked,
        "buchungstag, buchungsdatum, buchung, datum, date de comptabilisation, date comptable, date \
         operation, date de l operation, date d operation, dateop, boekdatum, boekingsdatum, \
         uitvoeringsdatum, transactiedatum, fecha operacion, fecha de operacion, fecha contable, f \
         operativa, fecha operativa, fecha, data contabile, data operazione, data registrazione, data",
        "booking date, posting date, posted date, completed date, date completed, date completed utc, \
         transaction date, tran date, txn date, date",
    ),
    (
        Role::Value,
        "valutadatum, wertstellung, wertstellungsdatum, wertstellung valuta, valuta, wert, date de \
         valeur, date valeur, dateval, rentedatum, rente datum, fecha valor, fecha de valor, f valor, \
         data valuta",
        "value date, value dt",
    ),
    (
        Role::Amount,
        "betrag, umsatz, buchungsbetrag, montant, montant operation, montant de l operation, bedrag, \
         importe, importo",
        "amount, transaction amount, value",
    ),
    (
        Role::Debit,
        "soll, belastung, lastschrift, ausgang, debet, cargo, cargos, debe, uscite, addebiti, \
         addebito, dare",
        "debit, debit amount, paid out, money out, withdrawal, withdrawals, withdrawal amt, \
         withdrawal amount",
    ),
    (
        Role::Credit,
        "haben, gutschrift, eingang, abono, abonos, haber, ingresos, entrate, accrediti, accredito, \
         avere",
        "credit, credit amount, paid in, money in, deposit, deposits, deposit amt, deposit amount",
    ),
    (
        Role::Sign,
        "soll haben, s h, soll haben kennzeichen, soll haben kennung, sens, af bij, segno, signo, \
         debe haber",
        "debit credit, credit debit, dr cr, cr dr, direction",
    ),
    (
        Role::Currency,
        "waehrung, whg, devise, monnaie, munt, muntsoort, valuta rekening, divisa, moneda",
        "currency, ccy, payment currency, account currency",
    ),
    (
        Role::Purpose,
        "verwendungszweck, vorgang verwendungszweck, zahlungszweck, zahlungsreferenz, mitteilung, \
         mitteilungen, avisierungstext, buchungs details, motif, libelle operation, detail de l \
         ecriture, informations complementaires, communication, mededelingen, mededeling, vrije \
         mededeling, gestructureerde mededeling, omschrijving, betalingskenmerk, concepto, concepto \
         ampliado, observaciones, referencia, mas datos, movimiento, causale, descrizione completa, \
         dettagli",
        "payment reference, reference, narration, narrative, memo, transaction remarks, particulars, \
         message, notes, notes and tags, remittance information",
    ),
    (
        Role::Description,
        "buchungstext, beschreibung, libelle, libelle simplifie, libelle court, label, descripcion, \
         operazione, descrizione, descrizione operazione, descrizione operazioni",
        "description, transaction description, details",
    ),
    (
        Role::Name,
        "beguenstigter zahlungspflichtiger, empfaenger zahlungspflichtiger, auftraggeber empfaenger, \
         auftraggeber beguenstigter, beguenstigter auftraggeber, name zahlungsbeteiligter, \
         auftraggeber zahlungsempfaenger, partnername, gegenpartei, auftraggeber, empfaenger, tiers, \
         contrepartie, nom de la contrepartie, beneficiaire, supplierfound, naam tegenpartij, naam \
         van de tegenpartij, naam omschrijving, ordenante, contrapartida, controparte, ordinante",
        "counterparty, counter party, counterparty name, partner name, payee, name, merchant",
    ),
    (Role::Payer, "zahlungspflichtige r", "payer, payer name"),
    (Role::Payee, "zahlungsempfaenger in", "payee name"),
    (
        Role::Iban,
        "kontonummer iban, iban zahlungsbeteiligter, gegenkonto iban, tegenrekening iban bban, \
         tegenrekening, rekeningnummer tegenpartij, tegenpartij, iban contrepartie, compte \
         contrepartie, iban controparte, cuenta contrapartida",
        "counterparty iban, partner iban, payee account number, iban",
    ),
    (
        Role::Account,
        "iban auftragskonto, auftragskonto, iban kontoinhaber, iban bban, rekening, rekeningnummer, \
         accountnum",
        "account iban, account number, account",
    ),
    (Role::Status, "statut, estado, stato, contabilizzazione, info", "status, state"),
    (
        Role::Id,
        "transaktions nr, transaktionsnummer, zkb referenz, umsatz id, volgnr, volgnummer",
        "transaction id, transferwise id, id",
    ),
];

/// What a status means: booked, or anything else that is known. None if it is not known.
pub(crate) fn is_booked(status: &str) -> Option<bool> {
    // The first is none.
    const BOOKED: &str = ", book, booked, gebucht, umsatz gebucht, verbucht, completed, complete, posted, cleared, \
         settled, comptabilise, geboekt, verwerkt, geaccepteerd, contabilizado, contabilizzato, \
         eseguito";
    const OTHER: &str = "pdng, pending, vorgemerkt, umsatz vorgemerkt, offen, reverted, declined, failed, cancelled, \
         canceled, rejected, authorised, authorized, en attente, en cours, in behandeling, geweigerd, \
         gereserveerd, pendiente, in attesa, non contabilizzato, abgelehnt";
    let status = plain(status);
    has(BOOKED, &status).then_some(true).or(has(OTHER, &status).then_some(false))
}

/// A row that gives a balance or a sum, by what stands where the date of a booking would.
pub(crate) fn is_balance(cell: &str) -> bool {
    const WORDS: &str = "kontostand, saldo, anfangssaldo, endsaldo, alter kontostand, neuer kontostand, balance, \
         opening balance, closing balance, total, summe, solde, totale, saldo iniziale, saldo finale, \
         saldo inicial, saldo final, eindsaldo";
    has(WORDS, &plain(cell))
}

/// Names the currency of an account, above the headings.
pub(crate) fn is_currency_label(cell: &str) -> bool {
    names(Role::Currency).any(|name| name == plain(cell))
}

/// Small letters without accents, single spaces instead of all else, and no number at the end: `Omschrijving-1` is
/// `omschrijving`, `Währung` and `Waehrung` are the same.
fn plain(heading: &str) -> String {
    let mut text = String::new();
    for c in heading.chars().flat_map(char::to_lowercase).take(80) {
        match c {
            'ä' => text += "ae",
            'ö' => text += "oe",
            'ü' => text += "ue",
            'ß' => text += "ss",
            'à' | 'á' | 'â' => text.push('a'),
            'è' | 'é' | 'ê' | 'ë' => text.push('e'),
            'ì' | 'í' | 'î' | 'ï' => text.push('i'),
            'ò' | 'ó' | 'ô' => text.push('o'),
            'ù' | 'ú' | 'û' => text.push('u'),
            'ç' => text.push('c'),
            'ñ' => text.push('n'),
            '€' | '£' | '₹' => text.extend([' ', c, ' ']),
            c if c.is_alphanumeric() => text.push(c),
            _ => text.push(' '),
        }
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end().to_owned()
}

/// A heading without the currency at its end: `Betrag (€)`, `Gutschrift in CHF`, `Montant(EUROS)`.
fn priced(heading: &str) -> (String, Option<Currency>) {
    let plain = plain(heading);
    let Some((name, last)) = plain.rsplit_once(' ') else { return (plain, None) };
    let code = if matches!(last, "euro" | "euros") { "EUR" } else { last };
    match currency(code) {
        Some(currency) => (name.trim_end_matches(" in").trim_end_matches(" en").to_owned(), Some(currency)),
        None => (plain, None),
    }
}

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) booked: usize,
    pub(crate) value: Option<usize>,
    pub(crate) amount: Option<usize>,
    pub(crate) debit: Option<usize>,
    pub(crate) credit: Option<usize>,
    pub(crate) sign: Option<usize>,
    pub(crate) currency: Option<usize>,
    pub(crate) purpose: Vec<usize>,
    pub(crate) description: Vec<usize>,
    pub(crate) name: Option<usize>,
    pub(crate) payer: Option<usize>,
    pub(crate) payee: Option<usize>,
    pub(crate) iban: Option<usize>,
    pub(crate) account: Option<usize>,
    pub(crate) status: Option<usize>,
    pub(crate) id: Option<usize>,
    /// Columns.
    pub(crate) width: usize,
    /// The currency that the heading of the amount has.
    pub(crate) all_in: Option<Currency>,
    /// No heading is in another language.
    pub(crate) is_english: bool,
}

/// The headings of a row, and what the caller calls them.
struct Headings<'a> {
    names: Vec<(String, Option<Currency>)>,
    columns: &'a Columns,
}

/// Finds the row of headings among the first rows.
///
/// # Errors
/// [`Fault::NoColumn`] for a name of the caller's that is in no row, [`Fault::NoHeadings`].
pub(crate) fn find(rows: &[Row], columns: &Columns) -> Result<(usize, Layout), StatementError> {
    let first = || rows.iter().enumerate().take(FIRST_ROWS);
    if let Some(found) = first().find_map(|(at, row)| Some((at, layout(row, rows.get(at + 1), columns)?))) {
        return Ok(found);
    }
    let headings =
        |row: &Row| Headings { names: row.cells().take(MOST_COLUMNS).map(priced).collect(), columns };
    let is_named = |name: &&str| first().any(|(_, row)| headings(row).called(name).is_some());
    match columns.named().into_iter().find(|name| !is_named(name)) {
        Some(name) => Err(Fault::NoColumn(name.to_owned()).of_the_file()),
        None => Err(Fault::NoHeadings.of_the_file()),
    }
}

impl Columns {
    fn named(&self) -> Vec<&str> {
        let single = [
            &self.booked,
            &self.value,
            &self.amount,
            &self.debit,
            &self.credit,
            &self.sign,
            &self.currency,
            &self.counterparty,
            &self.iban,
            &self.status,
            &self.id,
        ];
        single.into_iter().flatten().chain(&self.reference).map(String::as_str).collect()
    }
}

/// What a row says as headings of the row after it. None if it has no date or no amount.
fn layout(row: &Row, next: Option<&Row>, columns: &Columns) -> Option<Layout> {
    (row.cells().count() <= MOST_COLUMNS).then_some(())?;
    let headings = Headings { names: row.cells().map(priced).collect(), columns };
    columns.named().iter().all(|name| headings.called(name).is_some()).then_some(())?;
    let below = |index: usize| next.map_or("", |row| row.cell(index));
    let split = columns.debit.is_some() || columns.credit.is_some();
    let amount = headings.one(Role::Amount, &columns.amount).filter(|_| !split);
    let debit = headings.one(Role::Debit, &columns.debit);
    let credit = headings.one(Role::Credit, &columns.credit);
    let priced = amount.or(credit).or(debit)?;
    let mut layout = Layout {
        booked: headings.one(Role::Booked, &columns.booked)?,
        value: headings.one(Role::Value, &columns.value),
        amount,
        debit,
        credit,
        sign: headings.one(Role::Sign, &columns.sign),
        currency: headings.currency(priced),
        purpose: headings.purpose(),
        description: headings.all(Role::Description),
        name: headings.one(Role::Name, &columns.counterparty),
        payer: headings.one(Role::Payer, &None),
        payee: headings.one(Role::Payee, &None),
        iban: headings.one(Role::Iban, &columns.iban),
        account: headings.one(Role::Account, &None),
        status: headings.one(Role::Status, &columns.status),
        id: headings.one(Role::Id, &columns.id),
        width: row.cells().count(),
        all_in: headings.names[priced].1,
        is_english: headings.are_english(),
    };
    // “Valuta” is a date in some countries and a currency in others, and “Info” may be anything.
    if let Some(index) = layout.value.filter(|index| currency(below(*index)).is_some()) {
        layout.value = None;
        layout.currency = layout.currency.or(Some(index));
    }
    layout.status = layout
        .status
        .filter(|index| headings.names[*index].0 != "info" || is_booked(below(*index)).is_some());
    // Some banks have the sign in a column without a name, after the amount.
    let unnamed = amount
        .map(|index| index + 1)
        .filter(|index| headings.names.get(*index).is_some_and(|(name, _)| name.is_empty()));
    layout.sign = layout.sign.or(unnamed.filter(|index| crate::amount::negative(below(*index)).is_some()));
    Some(layout)
}

impl Headings<'_> {
    /// The column that the caller calls so.
    fn called(&self, name: &str) -> Option<usize> {
        // “Amount (USD)” is not the “Amount (EUR)” before it.
        let named = priced(name);
        let exactly = self.names.iter().position(|heading| *heading == named);
        exactly
            .or_else(|| self.names.iter().position(|(heading, _)| *heading == named.0 && named.1.is_none()))
    }

    fn one(&self, role: Role, called: &Option<String>) -> Option<usize> {
        match called {
            Some(name) => self.called(name),
            None => names(role).find_map(|name| self.names.iter().position(|(heading, _)| heading == name)),
        }
    }

    fn all(&self, role: Role) -> Vec<usize> {
        let is = |heading: &str| names(role).any(|name| name == heading);
        (0..self.names.len()).filter(|index| is(&self.names[*index].0)).collect()
    }

    fn purpose(&self) -> Vec<usize> {
        match self.columns.reference.is_empty() {
            true => self.all(Role::Purpose),
            false => self.columns.reference.iter().filter_map(|name| self.called(name)).collect(),
        }
    }

    /// Of several columns for the currency, as with balances, the first after the amount.
    fn currency(&self, amount: usize) -> Option<usize> {
        let all = self.all(Role::Currency);
        match &self.columns.currency {
            Some(name) => self.called(name),
            None => all.iter().copied().find(|index| *index > amount).or(all.first().copied()),
        }
    }

    fn are_english(&self) -> bool {
        !NAMES.iter().any(|(_, others, _)| self.names.iter().any(|(heading, _)| has(others, heading)))
    }
}

/// Whether a list has a name.
fn has(list: &str, name: &str) -> bool {
    list.split(", ").any(|word| word == name)
}

fn names(role: Role) -> impl Iterator<Item = &'static str> {
    let of_role = NAMES.iter().filter(move |(of, _, _)| *of == role);
    of_role.flat_map(|(_, others, english)| others.split(", ").chain(english.split(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_plain_and_means_one_thing() {
        let mut seen = HashSet::new();
        for (role, _, _) in &NAMES {
            for name in names(*role) {
                assert_eq!(priced(name), (name.to_owned(), None), "{name} would never be met");
                assert!(seen.insert(name), "{name} is {role:?} and something else");
            }
        }
    }

    #[test]
    fn headings_are_compared_by_their_words() {
        for (heading, name, code) in [
            ("Betrag (€)", "betrag", Some(Currency::EUR)),
            ("Montant(EUROS)", "montant", Some(Currency::EUR)),
            ("Gutschrift in CHF", "gutschrift", Some(Currency::CHF)),
            ("Withdrawal Amount (INR )", "withdrawal amount", Some(Currency::INR)),
            ("Omschrijving-1", "omschrijving", None),
            ("Zahlungspflichtige*r", "zahlungspflichtige r", None),
            ("  W\u{e4}hrung", "waehrung", None),
            ("Amount (Foreign Currency)", "amount foreign currency", None),
        ] {
            assert_eq!(priced(heading), (name.to_owned(), code));
        }
    }
}
