//! An XML document as a small tree: bounded, without document types and entities.
//!
//! Only the elements that a statement is read from are kept (`NAMES`); what is beneath any other element of a message is passed
//! over. Prefixes of names do not matter. A document type is refused, because the entities that it can define are how readers
//! of XML are made to open files or to fill memory (<https://cheatsheetseries.owasp.org/cheatsheets/XML_External_Entity_Prevention_Cheat_Sheet.html>).

use crate::LONGEST_TEXT;
use crate::fault::{Fault, StatementError};
use crate::text::Lines;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

/// Elements within elements. A statement has 14, an envelope around it a few more.
const DEEPEST: usize = 40;
/// Elements. A statement of the largest size has about 150,000.
const MOST: usize = 500_000;

/// The names that are kept.
const NAMES: [&str; 52] = [
    "AcctSvcrRef",
    "Acct",
    "AddtlNtryInf",
    "AddtlRmtInf",
    "AddtlTxInf",
    "Amt",
    "AmtDtls",
    "Bal",
    "BkToCstmrAcctRpt",
    "BkToCstmrDbtCdtNtfctn",
    "BkToCstmrStmt",
    "BookgDt",
    "Ccy",
    "Cd",
    "CdtDbtInd",
    "Cdtr",
    "CdtrAcct",
    "CdtrRefInf",
    "Dbtr",
    "DbtrAcct",
    "Dt",
    "DtTm",
    "EndToEndId",
    "IBAN",
    "Id",
    "InstdAmt",
    "Nm",
    "Ntfctn",
    "Ntry",
    "NtryDtls",
    "NtryRef",
    "Othr",
    "Prtry",
    "Pty",
    "Ref",
    "Refs",
    "RltdPties",
    "RmtInf",
    "Rpt",
    "RvslInd",
    "Stmt",
    "Strd",
    "Sts",
    "TxAmt",
    "TxDtls",
    "TxId",
    "UltmtCdtr",
    "UltmtDbtr",
    "Ustrd",
    "ValDt",
    "CntrValAmt",
    "Document",
];

/// The messages that have statements.
pub(crate) const MESSAGES: [&str; 3] = ["BkToCstmrStmt", "BkToCstmrAcctRpt", "BkToCstmrDbtCdtNtfctn"];

/// An element.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Without prefix. Empty for an element outside all messages that is none of `NAMES`.
    pub(crate) name: &'static str,
    /// The line it begins on.
    pub(crate) line: usize,
    /// The attribute `Ccy`.
    pub(crate) currency: Option<String>,
    /// Its own text, without space around it.
    pub(crate) text: String,
    /// The elements in it, in their order.
    pub(crate) children: Vec<Node>,
}

impl Node {
    /// The first element by way of such names: `Acct/Id/IBAN`.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |node, name| node.all(name).next())
    }

    /// The text of the first element there, if it has any.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.at(path).map(|node| node.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The elements of a name in this one.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of this element, or of the `Cd` in it: newer versions have an element where the older ones had a text.
    pub(crate) fn code(&self) -> &str {
        self.text("Cd").unwrap_or(&self.text)
    }
}

/// The tree of a document, under a node without a name.
///
/// # Errors
/// [`Fault::Xml`] if it is not well-formed, too deep or too large, [`Fault::Entity`], [`Fault::TooLong`].
pub(crate) fn tree(text: &str) -> Result<Node, StatementError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut growth = Growth { open: vec![Node::default()], passed_over: 0, met: 0 };
    let mut lines = Lines::of(text);
    loop {
        let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event().map_err(|_| Fault::Xml.at(lines.line_of(before)))?;
        let line = lines.line_of(before);
        match event {
            Event::Start(start) => growth.start(&start, line),
            Event::Text(text) => text.decode().map_err(|_| Fault::Xml).and_then(|text| growth.text(&text)),
            Event::CData(text) => text.decode().map_err(|_| Fault::Xml).and_then(|text| growth.text(&text)),
            Event::GeneralRef(reference) => {
                character(&reference).and_then(|text| growth.text(text.encode_utf8(&mut [0; 4])))
            }
            Event::End(_) => growth.end(),
            Event::DocType(_) => Err(Fault::Entity),
            Event::Eof => return growth.grown().map_err(|fault| fault.at(line)),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Ok(()),
        }
        .map_err(|fault| fault.at(line))?;
    }
}

/// The tree so far.
struct Growth {
    /// The elements that are open, the root first.
    open: Vec<Node>,
    /// Open elements that are passed over.
    passed_over: usize,
    /// Elements so far.
    met: usize,
}

impl Growth {
    fn start(&mut self, start: &BytesStart<'_>, line: usize) -> Result<(), Fault> {
        self.met += 1;
        if self.open.len() + self.passed_over > DEEPEST || self.met > MOST {
            return Err(Fault::Xml);
        }
        let local = start.local_name().into_inner();
        let name = NAMES.iter().copied().find(|name| name.as_bytes() == local);
        let in_message = self.open.iter().any(|node| MESSAGES.contains(&node.name));
        match name {
            _ if self.passed_over > 0 => self.passed_over += 1,
            None if in_message => self.passed_over = 1,
            _ => {
                let currency = attribute(start, name == Some("Amt"))?;
                self.open.push(Node { name: name.unwrap_or_default(), line, currency, ..Node::default() });
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        // Outside the messages, say in the signature of an envelope, no text matters.
        let Some(node) = self.open.last_mut().filter(|node| self.passed_over == 0 && !node.name.is_empty())
        else {
            return Ok(());
        };
        node.text.push_str(if node.text.is_empty() { text.trim_start() } else { text });
        if node.text.len() > LONGEST_TEXT { Err(Fault::TooLong) } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return Ok(());
        }
        let mut node = self.open.pop().ok_or(Fault::Xml)?;
        node.text.truncate(node.text.trim_end().len());
        self.open.last_mut().ok_or(Fault::Xml)?.children.push(node);
        Ok(())
    }

    fn grown(&mut self) -> Result<Node, Fault> {
        let root = self.open.pop().ok_or(Fault::Xml)?;
        if self.open.is_empty() { Ok(root) } else { Err(Fault::Xml) }
    }
}

/// The currency of an amount.
fn attribute(start: &BytesStart<'_>, amount: bool) -> Result<Option<String>, Fault> {
    if !amount {
        return Ok(None);
    }
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| Fault::Xml)?;
        if attribute.key.local_name().into_inner() == b"Ccy" {
            let code = std::str::from_utf8(&attribute.value).map_err(|_| Fault::Xml)?;
            return Ok(Some(crate::fault::shown(code)));
        }
    }
    Ok(None)
}

/// The character of a numeric reference or of one of the five names that XML itself has.
fn character(reference: &BytesRef<'_>) -> Result<char, Fault> {
    match reference.resolve_char_ref().map_err(|_| Fault::Xml)? {
        Some(c) => Ok(c),
        None => match &**reference {
            b"lt" => Ok('<'),
            b"gt" => Ok('>'),
            b"amp" => Ok('&'),
            b"apos" => Ok('\''),
            b"quot" => Ok('"'),
            _ => Err(Fault::Entity),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<StatementError> {
        tree(text).err()
    }

    #[test]
    fn text_is_put_together_and_unknown_elements_are_passed_over() {
        let text = "<?xml version=\"1.0\"?>\n<e:Wrap xmlns:e='x'><n:Document>\n<BkToCstmrStmt><Other><Ntry/></Other>\n<!-- - -->\
            <Stmt><Id> a&amp;b &#228;<![CDATA[<c>]]> </Id><Amt Ccy=\"EUR\" x='1'>1</Amt></Stmt></BkToCstmrStmt></n:Document></e:Wrap>";
        let tree = tree(text).unwrap();
        let message = tree.children[0].at("Document/BkToCstmrStmt").unwrap();
        let stmt = message.at("Stmt").unwrap();
        assert_eq!((stmt.line, stmt.text("Id")), (4, Some("a&b ä<c>")));
        assert_eq!(stmt.at("Amt").unwrap().currency.as_deref(), Some("EUR"));
        assert_eq!(message.children.len(), 1, "what is not known is not kept");
    }

    #[test]
    fn entities_and_document_types_are_refused() {
        let bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 \"&lol;&lol;\">]>\n<lolz>&lol1;</lolz>";
        assert_eq!(fault(bomb), Some(Fault::Entity.at(2)));
        let file =
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Document><Id>&x;</Id></Document>";
        assert_eq!(fault(file).unwrap().fault, Fault::Entity);
        assert_eq!(fault("<Document>\n<Id>&x;</Id></Document>"), Some(Fault::Entity.at(2)));
    }

    #[test]
    fn what_is_damaged_or_beyond_all_bounds_is_refused() {
        for text in ["<a><b></a>", "<a", "<a><Id>x", "<a>&#xD800;</a>", "<a>&#0;</a>", "<a></a></a>"] {
            assert!(matches!(fault(text).unwrap().fault, Fault::Xml), "{text}");
        }
        assert_eq!(fault(&"<a>".repeat(1000)), Some(Fault::Xml.at(1)));
        assert_eq!(fault(&format!("{}{}", "<a>".repeat(50), "</a>".repeat(50))), Some(Fault::Xml.at(1)));
        let long = format!("<Id>{}</Id>", "x".repeat(LONGEST_TEXT + 1));
        assert_eq!(fault(&long), Some(Fault::TooLong.at(1)));
        let many = format!("<Stmt>{}</Stmt>", "<a/>".repeat(MOST));
        assert_eq!(fault(&many), Some(Fault::Xml.at(1)));
    }
}
