//! ISO 20022 camt.052 (report), camt.053 (statement) and camt.054 (notification), versions 02 to 13
//! (<https://www.iso20022.org/iso-20022-message-definitions>, Bank-to-Customer Cash Management).
//!
//! Three things moved between the versions, and each is taken from where it is: the status, a text and later an element with a
//! code; a party, later within `Pty`; the amount of a transaction, at first only in `AmtDtls`.

use crate::amount;
use crate::date;
use crate::fault::{Fault, StatementError, shown};
use crate::iban::iban;
use crate::id::{self, Ids};
use crate::text::tidy;
use crate::xml::{self, MESSAGES, Node};
use crate::{Entry, MOST_ENTRIES, Statement};
use iso_currency::Currency;
use jiff::civil::Date;

/// Reads a message.
pub(crate) fn read(text: &str) -> Result<Statement, StatementError> {
    let tree = xml::tree(text)?;
    let message = message(&tree).ok_or(Fault::NoStatement.of_the_file())?;
    let parts: Vec<&Node> =
        message.children.iter().filter(|node| ["Stmt", "Rpt", "Ntfctn"].contains(&node.name)).collect();
    let mut reading = Reading {
        own: one_account(&parts)?.and_then(iban),
        ids: Ids::default(),
        entries: Vec::new(),
        skipped: 0,
    };
    for entry in parts.iter().flat_map(|part| part.all("Ntry")) {
        reading.entry(entry)?;
    }
    let currency = parts.iter().find_map(|part| part.text("Acct/Ccy")).map(str::to_owned);
    Ok(Statement {
        currency: currency
            .or(reading.entries.first().map(|entry| entry.currency.clone()))
            .or(of_balance(&parts)),
        account: reading.own,
        entries: reading.entries,
        skipped: reading.skipped,
    })
}

/// The message, wherever in its envelopes.
fn message(node: &Node) -> Option<&Node> {
    match MESSAGES.contains(&node.name) {
        true => Some(node),
        false => node.children.iter().find_map(message),
    }
}

/// The account of all parts, as it is written.
fn one_account<'a>(parts: &[&'a Node]) -> Result<Option<&'a str>, StatementError> {
    let account = |part: &&'a Node| part.text("Acct/Id/IBAN").or(part.text("Acct/Id/Othr/Id"));
    let first = parts.first().and_then(account);
    match parts.iter().find(|part| account(part) != first) {
        Some(other) => Err(Fault::Accounts.at(other.line)),
        None => Ok(first),
    }
}

fn of_balance(parts: &[&Node]) -> Option<String> {
    parts.iter().find_map(|part| part.at("Bal/Amt")?.currency.clone())
}

/// What has been read so far.
struct Reading {
    own: Option<String>,
    ids: Ids,
    entries: Vec<Entry>,
    skipped: usize,
}

/// What an entry says for all its transactions.
struct Booking<'a> {
    node: &'a Node,
    booked: Date,
    value: Option<Date>,
    currency: Currency,
    credit: bool,
    reversal: bool,
}

impl Reading {
    fn entry(&mut self, node: &Node) -> Result<(), StatementError> {
        let status = node.at("Sts").ok_or(Fault::Missing("status").at(node.line))?;
        if status.code() != "BOOK" {
            self.skipped += 1;
            return Ok(());
        }
        let (booking, amount) = booking(node)?;
        let transactions: Vec<&Node> =
            node.all("NtryDtls").flat_map(|details| details.all("TxDtls")).collect();
        match parts(&booking, &transactions)? {
            Some(amounts) => transactions
                .iter()
                .zip(amounts)
                .try_for_each(|(transaction, amount)| self.add(&booking, Some(transaction), amount, true)),
            None => self.add(
                &booking,
                transactions.first().copied().filter(|_| transactions.len() == 1),
                amount,
                false,
            ),
        }
    }

    fn add(
        &mut self,
        booking: &Booking<'_>,
        transaction: Option<&Node>,
        amount: i64,
        of_many: bool,
    ) -> Result<(), StatementError> {
        if self.entries.len() == MOST_ENTRIES {
            return Err(Fault::TooMany.of_the_file());
        }
        let reference = remittance(booking.node, transaction);
        // A reversal names the parties in the parts that they had in what it takes back.
        let came_from = (amount >= 0) != booking.reversal;
        let (counterparty, iban) = transaction.map_or((None, None), |node| self.other_side(node, came_from));
        let texts =
            [reference.as_str(), counterparty.as_deref().unwrap_or(""), iban.as_deref().unwrap_or("")];
        let own = transaction.and_then(|node| node.text("Refs/AcctSvcrRef")).and_then(id::given);
        let id = match of_many {
            false => {
                self.ids.id(booking.booked, amount, own.or_else(|| single(booking.node, transaction)), &texts)
            }
            true => {
                let names = ["Refs/EndToEndId", "Refs/TxId"]
                    .map(|path| transaction.and_then(|node| node.text(path)).unwrap_or(""));
                let line: Vec<&str> =
                    booking.node.text("AcctSvcrRef").into_iter().chain(names).chain(texts).collect();
                self.ids.id(booking.booked, amount, own, &line)
            }
        };
        self.entries.push(Entry {
            id,
            booked: booking.booked,
            value: booking.value,
            amount,
            currency: booking.currency.code().to_owned(),
            reference,
            counterparty,
            iban,
            reversal: booking.reversal,
        });
        Ok(())
    }

    /// Name and IBAN of the debtor, or else of the creditor; of the other one if that is the account itself.
    fn other_side(&self, transaction: &Node, debtor: bool) -> (Option<String>, Option<String>) {
        let account = |path| transaction.text(path).and_then(iban);
        let (payer, payee) = (account("RltdPties/DbtrAcct/Id/IBAN"), account("RltdPties/CdtrAcct/Id/IBAN"));
        let expected = if debtor { &payer } else { &payee };
        let is_own = expected.is_some() && *expected == self.own;
        match debtor != is_own {
            true => (name(transaction, ["Dbtr", "UltmtDbtr"]), payer),
            false => (name(transaction, ["Cdtr", "UltmtCdtr"]), payee),
        }
    }
}

fn booking(node: &Node) -> Result<(Booking<'_>, i64), StatementError> {
    let (amount, currency) = money(node.at("Amt").ok_or(Fault::Missing("amount").at(node.line))?)?;
    let credit = credit(node)?.ok_or(Fault::Missing("credit or debit indicator").at(node.line))?;
    let value = day(node, "ValDt")?;
    let booking = Booking {
        node,
        booked: day(node, "BookgDt")?.or(value).ok_or(Fault::Missing("booking date").at(node.line))?,
        value,
        currency,
        credit,
        reversal: node.text("RvslInd").is_some_and(|text| matches!(text, "true" | "1")),
    };
    Ok((booking, if credit { amount } else { -amount }))
}

/// The amounts of the transactions of a batch, in the currency of the account. None if it is no batch, or if one of them does not
/// say its own: then the booking stays one.
fn parts(booking: &Booking<'_>, transactions: &[&Node]) -> Result<Option<Vec<i64>>, StatementError> {
    if transactions.len() < 2 {
        return Ok(None);
    }
    let part = |transaction: &&Node| -> Result<Option<i64>, StatementError> {
        let places = ["Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt", "AmtDtls/CntrValAmt/Amt"];
        let own = |node: &&Node| node.currency.as_deref() == Some(booking.currency.code());
        let Some(amount) = places.iter().filter_map(|path| transaction.at(path)).find(own) else {
            return Ok(None);
        };
        let (amount, _) = money(amount)?;
        Ok(Some(if credit(transaction)?.unwrap_or(booking.credit) { amount } else { -amount }))
    };
    transactions.iter().map(part).collect()
}

/// Came in: for a reversal, too, the direction of this entry, not of the one that it takes back (Swiss Payment Standards,
/// Implementation Guidelines for camt.052, 053 and 054, `RvslInd`). None if it does not say.
fn credit(node: &Node) -> Result<Option<bool>, StatementError> {
    let Some(indicator) = node.at("CdtDbtInd") else { return Ok(None) };
    match indicator.text.as_str() {
        "CRDT" => Ok(Some(true)),
        "DBIT" => Ok(Some(false)),
        other => Err(Fault::Direction(shown(other)).at(indicator.line)),
    }
}

fn money(node: &Node) -> Result<(i64, Currency), StatementError> {
    let code = node.currency.as_deref().ok_or(Fault::Missing("currency").at(node.line))?;
    let currency = Currency::from_code(code).ok_or_else(|| Fault::Currency(shown(code)).at(node.line))?;
    let amount = amount::plain(&node.text, currency).map_err(|fault| fault.at(node.line))?;
    Ok((amount, currency))
}

fn day(node: &Node, name: &str) -> Result<Option<Date>, StatementError> {
    let Some(choice) = node.at(name) else { return Ok(None) };
    let Some(text) = choice.text("Dt").or(choice.text("DtTm")) else { return Ok(None) };
    date::plain(text).map(Some).map_err(|fault| fault.at(choice.line))
}

/// The reference of a booking that is not split: the bank's of the entry, the entry's own unless it is a running number, or the
/// one that the payer gave.
fn single<'a>(entry: &'a Node, transaction: Option<&'a Node>) -> Option<&'a str> {
    let own = entry.text("AcctSvcrRef").and_then(id::given);
    let named = entry.text("NtryRef").and_then(id::given).filter(|text| text.len() > 5);
    own.or(named).or(transaction.and_then(|node| node.text("Refs/EndToEndId")).and_then(id::given))
}

/// What the payer wrote, then the structured references. Where a bank gives neither, what it says itself.
fn remittance(entry: &Node, transaction: Option<&Node>) -> String {
    let information = || transaction.into_iter().flat_map(|node| node.all("RmtInf"));
    let free = information().flat_map(|node| node.all("Ustrd"));
    let structured = || information().flat_map(|node| node.all("Strd"));
    let creditor = structured().filter_map(|node| node.at("CdtrRefInf/Ref"));
    let additional = structured().flat_map(|node| node.all("AddtlRmtInf"));
    let said: Vec<&str> = free.chain(creditor).chain(additional).map(|node| node.text.as_str()).collect();
    let said = tidy(&said.join(" "));
    let bank = || transaction.and_then(|node| node.text("AddtlTxInf")).or(entry.text("AddtlNtryInf"));
    if said.is_empty() { bank().map(tidy).unwrap_or_default() } else { said }
}

fn name(transaction: &Node, parties: [&str; 2]) -> Option<String> {
    let party = |party: &&str| {
        let node = transaction.at("RltdPties")?.at(party)?;
        node.text("Pty/Nm").or(node.text("Nm")).map(tidy)
    };
    parties.iter().find_map(party)
}
