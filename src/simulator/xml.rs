//! The provider's own reading and writing of V2 messages: one flat level of elements in `<xml>`.
//!
//! It shares nothing with the client's code, so that a mistake in one does not hide one in the
//! other. Reading is strict where WeChat's past accidents were: no DTD, no repeated element (two
//! values for one name make a signature mean two things), no nesting, no large body.

use roxmltree::{Document, Node};

/// More than any request needs; a larger one is refused before it is parsed.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Why a body is not a V2 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotXml;

/// The elements of a message, in the order of arrival.
#[derive(Debug)]
pub(super) struct Elements(Vec<(String, String)>);

impl Elements {
    pub(super) fn read(body: &[u8]) -> Result<Self, NotXml> {
        let text = std::str::from_utf8(body).map_err(|_| NotXml)?;
        let document = Document::parse(text.trim_start()).map_err(|_| NotXml)?;
        let root = document.root_element();
        if root.tag_name().name() != "xml" {
            return Err(NotXml);
        }
        let mut elements = Self(Vec::with_capacity(16));
        for node in root.children().filter(Node::is_element) {
            let name = node.tag_name().name();
            if elements.find(name).is_some() || node.children().any(|child| child.is_element()) {
                return Err(NotXml);
            }
            let texts = node.children().filter(Node::is_text);
            let value = texts.filter_map(|text| text.text()).collect();
            elements.0.push((name.to_owned(), value));
        }
        Ok(elements)
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of an element; an absent one is an empty one, as for the signature.
    pub(super) fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// Borrowed pairs, the form in which `signing` takes them.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

/// Writes a reply: texts in CDATA, numbers bare, as the provider does.
#[derive(Debug)]
pub(super) struct Writer(String);

impl Writer {
    /// What every message ends with.
    pub(super) const END: &str = "</xml>";

    pub(super) fn new() -> Self {
        let mut text = String::with_capacity(1024);
        text.push_str("<xml>\n");
        Self(text)
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.open(name);
        if value.contains("]]>") {
            self.escaped(value);
        } else {
            self.0.push_str("<![CDATA[");
            self.0.push_str(value);
            self.0.push_str("]]>");
        }
        self.close(name);
    }

    pub(super) fn number(&mut self, name: &str, value: impl ToString) {
        self.open(name);
        self.0.push_str(&value.to_string());
        self.close(name);
    }

    /// An element that holds elements, written by `inside`.
    pub(super) fn group(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.open(name);
        self.0.push('\n');
        inside(self);
        self.close(name);
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str(Self::END);
        self.0
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push_str(">\n");
    }

    fn escaped(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                other => self.0.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cdata_text_and_declarations_read_alike() {
        for body in [
            "<xml><a><![CDATA[1 & <2>]]></a><b>x</b></xml>",
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<xml>\n <b>x</b> <a>1 &amp; &lt;2&gt;</a>\n</xml>\n",
            "\n<xml><a>1 <![CDATA[& <2]]>&gt;</a><b><![CDATA[x]]></b></xml>",
        ] {
            let elements = Elements::read(body.as_bytes()).unwrap();
            assert_eq!(elements.get("a"), "1 & <2>", "{body}");
            assert_eq!(elements.get("b"), "x", "{body}");
            assert_eq!(elements.get("c"), "");
        }
    }

    #[test]
    fn what_is_dangerous_is_refused() {
        for body in [
            "",
            "hello",
            "<html></html>",
            "<xml><a>1</a>",
            "<xml><a>1</a><a>2</a></xml>",
            "<xml><a><b>1</b></a></xml>",
            "<!DOCTYPE xml [<!ENTITY e \"x\">]><xml><a>&e;</a></xml>",
            "<!DOCTYPE xml SYSTEM \"file:///etc/passwd\"><xml/>",
        ] {
            assert_eq!(
                Elements::read(body.as_bytes()).unwrap_err(),
                NotXml,
                "{body}"
            );
        }
        assert_eq!(Elements::read(&[b'<', 0xff]).unwrap_err(), NotXml);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let value = "A&B <c> ]]> 红包";
        let mut writer = Writer::new();
        writer.text("a", value);
        writer.text("b", "<&>");
        writer.number("n", -5);
        let elements = Elements::read(writer.finish().as_bytes()).unwrap();
        assert_eq!(elements.get("a"), value);
        assert_eq!(elements.get("b"), "<&>");
        assert_eq!(elements.get("n"), "-5");
    }
}
