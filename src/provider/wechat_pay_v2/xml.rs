//! Reading and writing V2 messages: one flat level of elements in `<xml>`.
//!
//! Writing escapes text and never uses CDATA, which cannot hold `]]>`. Reading is strict where a
//! reply could mean two things: a repeated element, a document type (which once let forged messages
//! read merchants' files), a large or deep document. What is refused here proves nothing, and the
//! caller treats it so.

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};

/// Many times what a reply has. The transport's own cap is larger, for protocols to come.
const MAX_BODY: usize = 64 * 1024;
/// A group packet that twenty people took has three hundred, blanks included.
const MAX_NODES: u32 = 400;
/// The one element whose children are elements in turn: who took a packet.
const LIST: &str = "hblist";

/// The elements of a message; an empty one counts as absent, as it does for the signature.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Elements {
    leaves: Vec<(String, String)>,
    /// The children of `hblist`, in order.
    pub(super) list: Vec<Elements>,
}

impl Elements {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        if body.len() > MAX_BODY {
            return None;
        }
        let text = std::str::from_utf8(body).ok()?.trim_start();
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).ok()?;
        let root = document.root_element();
        if !root.has_tag_name("xml") {
            return None;
        }
        let mut elements = Self::flat(root)?;
        if let Some(list) = root.children().find(|node| node.has_tag_name(LIST)) {
            let entries = list.children().filter(Node::is_element);
            elements.list = entries.map(Self::flat).collect::<Option<_>>()?;
        }
        Some(elements)
    }

    /// The elements right below `parent`; those that hold elements themselves have no value.
    fn flat(parent: Node<'_, '_>) -> Option<Self> {
        let mut elements = Self::default();
        let mut seen = Vec::new();
        for node in parent.children().filter(Node::is_element) {
            let name = node.tag_name();
            if name.namespace().is_some() || seen.contains(&name.name()) {
                return None;
            }
            seen.push(name.name());
            if node.children().any(|child| child.is_element()) {
                continue;
            }
            let texts = node.children().filter(Node::is_text);
            let value: String = texts.filter_map(|text| text.text()).collect();
            elements.leaves.push((name.name().to_owned(), value));
        }
        Some(elements)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self
            .leaves
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value);
        value.filter(|value| !value.is_empty())
    }

    #[cfg(test)]
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        self.leaves
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect()
    }
}

/// The text with U+FFFD for what XML cannot hold. A campaign's texts have none of it; should one
/// slip through, the order is still one that the provider can read, and the same in each retry.
/// Signing comes after this, so that what is signed is what is read.
pub(super) fn legal(text: &str) -> Cow<'_, str> {
    let cannot = |c: char| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}')
    };
    if text.contains(cannot) {
        Cow::Owned(text.replace(cannot, "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The elements in the order given; empty ones are left out, as they are from the signature.
pub(super) fn write(elements: &[(&str, &str)]) -> Vec<u8> {
    let mut xml = String::with_capacity(1024);
    xml.push_str("<xml>\n");
    for (name, value) in elements.iter().filter(|(_, value)| !value.is_empty()) {
        for part in ["<", name, ">"] {
            xml.push_str(part);
        }
        escape(&mut xml, value);
        for part in ["</", name, ">\n"] {
            xml.push_str(part);
        }
    }
    xml.push_str("</xml>\n");
    xml.into_bytes()
}

fn escape(xml: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            // A reader turns a bare one into a line feed, and the signature would differ.
            '\r' => xml.push_str("&#13;"),
            other => xml.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cdata_text_and_declarations_read_alike() {
        for body in [
            "<xml><a><![CDATA[1 & <2>]]></a><b>x</b></xml>",
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<xml>\n <b>x</b> <a>1 &amp; &lt;2&gt;</a>\n</xml>\n",
            "\n<xml><!-- c --><a>1 <![CDATA[& <2]]>&gt;</a><b><![CDATA[x]]></b><c/></xml>",
        ] {
            let elements = Elements::read(body.as_bytes()).unwrap();
            assert_eq!(elements.get("a"), Some("1 & <2>"), "{body}");
            assert_eq!(elements.get("b"), Some("x"), "{body}");
            assert_eq!(elements.get("c"), None);
        }
    }

    #[test]
    fn a_list_is_read_and_other_nesting_has_no_value() {
        let body = "<xml><a>1</a><hblist>\n<hbinfo><a>2</a></hbinfo><hbinfo><a>3</a></hbinfo></hblist>\
                    <other><a>4</a></other></xml>";
        let elements = Elements::read(body.as_bytes()).unwrap();
        assert_eq!(elements.get("a"), Some("1"));
        assert_eq!(elements.get("other"), None);
        let inner: Vec<_> = elements.list.iter().map(|entry| entry.get("a")).collect();
        assert_eq!(inner, [Some("2"), Some("3")]);
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let many = format!("<xml>{}</xml>", "<a/>".repeat(500));
        let deep = format!("<xml>{}{}</xml>", "<a>".repeat(500), "</a>".repeat(500));
        let large = format!("<xml><a>{}</a></xml>", "x".repeat(MAX_BODY));
        for body in [
            "",
            "hello",
            "<html></html>",
            "<xml><a>1</a>",
            "<xml><a>1</a><a>2</a></xml>",
            "<xml><a>1</a><a><b/></a></xml>",
            "<xml><hblist/><hblist/></xml>",
            "<xml><hblist><hbinfo><a>1</a><a>2</a></hbinfo></hblist></xml>",
            "<xml xmlns=\"u\"><a>1</a></xml>",
            "<xml xmlns:x=\"u\"><x:a>1</x:a></xml>",
            "<!DOCTYPE xml><xml><a>1</a></xml>",
            "<!DOCTYPE xml [<!ENTITY e \"x\">]><xml><a>&e;</a></xml>",
            "<!DOCTYPE xml SYSTEM \"file:///etc/passwd\"><xml/>",
            "<xml><a>&e;</a></xml>",
            &many,
            &deep,
            &large,
        ] {
            let short: String = body.chars().take(80).collect();
            assert_eq!(Elements::read(body.as_bytes()), None, "{short}");
        }
        assert_eq!(Elements::read(&[b'<', 0xff]), None);
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced_before_it_is_signed() {
        let text = legal("a\0b\u{1F}\u{FFFE}\u{FFFF}\t\n\r🧧");
        assert_eq!(text, "a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}\t\n\r🧧");
        let elements = Elements::read(&write(&[("a", &text)])).unwrap();
        assert_eq!(elements.get("a"), Some(&*text));
    }

    /// The worst that fits: attributes are compared each with each, entities are not expanded.
    #[test]
    fn hostile_replies_cost_little() {
        let attributes: String = (0..6_000).map(|n| format!("a{n}=\"\" ")).collect();
        let begun = crate::clock::monotonic();
        for body in [
            format!("<xml {attributes}><a>1</a></xml>"),
            format!("<xml>{}", "<a>".repeat(20_000)),
            format!("<xml><a>{}</a></xml>", "&amp;".repeat(12_000)),
            format!("<xml>{}</xml>", "<![CDATA[]]>".repeat(5_000)),
        ] {
            assert!(body.len() <= MAX_BODY, "{}", body.len());
            let _ = Elements::read(body.as_bytes());
        }
        let spent = begun.elapsed();
        assert!(spent < std::time::Duration::from_secs(2), "{spent:?}");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(a in any::<String>(), b in "[]>&<'\"a\r\n🧧 ]{0,40}") {
            let (a, b) = (legal(&a), legal(&b));
            let elements = Elements::read(&write(&[("a", &a), ("b", &b)])).unwrap();
            prop_assert_eq!(elements.get("a").unwrap_or(""), &*a);
            prop_assert_eq!(elements.get("b").unwrap_or(""), &*b);
        }

        #[test]
        fn noise_does_no_harm(noise in any::<Vec<u8>>(), inner in "[<>/!&;\\[\\]a-d \"=]{0,80}") {
            let _ = Elements::read(&noise);
            let _ = Elements::read(format!("<xml>{inner}</xml>").as_bytes());
        }
    }
}
