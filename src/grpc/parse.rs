//! Reading requests: every field becomes a domain type or a violation.
//!
//! A [`Fields`] collects all that is wrong, so that a caller mends a request once
//! and not field by field. A reader that fails gives nothing; the parser goes on,
//! and [`Fields::finish`] refuses the whole in the end. Nothing of the database is
//! touched before that.

use std::collections::HashSet;

use prost_types::Timestamp as PbTimestamp;

use super::pb;
use crate::domain::error::Violation;
use crate::domain::id::BranchId;
use crate::domain::search::{KEYWORD_MAX, Keyword};
use crate::domain::text::{Mobile, Scene, TEXT_BOUNDS, Texts, Uid, has_hidden};
use crate::domain::webhook::{Reach, ReceiverUrl};
use crate::domain::{Error, Fen, Reason, Result, Timestamp};

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Fields {
    violations: Vec<Violation>,
    /// All of them, also those that are not kept.
    count: usize,
}

/// Bytes of a person's reason at most.
const REASON_MAX: usize = 255;
/// Violations that are kept; more are only counted.
const KEPT_MAX: usize = 200;

impl Fields {
    /// Notes that a field is wrong.
    pub fn bad(&mut self, path: impl Into<String>, reason: Reason, message: impl Into<String>) {
        self.count += 1;
        if self.violations.len() < KEPT_MAX {
            self.violations.push(Violation {
                path: path.into(),
                reason,
                message: message.into(),
            });
        }
    }

    /// The value, or a note that it is wrong.
    pub fn take<T>(
        &mut self,
        value: Option<T>,
        path: &str,
        reason: Reason,
        message: &str,
    ) -> Option<T> {
        if value.is_none() {
            self.bad(path, reason, message);
        }
        value
    }

    /// What was parsed, if nothing is wrong.
    ///
    /// # Errors
    /// INVALID_FIELDS with all violations.
    pub fn finish<T>(self, parsed: Option<T>) -> Result<T> {
        match parsed {
            Some(parsed) if self.violations.is_empty() => Ok(parsed),
            _ => Err(Error::fields(self.violations).fact("violation_count", self.count)),
        }
    }

    /// A positive id that must be there.
    pub fn id<T>(&mut self, raw: i64, path: &str, make: fn(i64) -> Option<T>) -> Option<T> {
        self.take(
            make(raw),
            path,
            Reason::IdInvalid,
            "must be a positive integer",
        )
    }

    /// Positive ids, each once and at most so many.
    pub fn ids<T>(
        &mut self,
        raw: &[i64],
        path: &str,
        make: fn(i64) -> Option<T>,
        most: usize,
    ) -> Option<Vec<T>> {
        if raw.len() > most {
            let text = format!("{}; one call takes at most {most}", raw.len());
            self.bad(path, Reason::BatchTooLarge, text);
            return None;
        }
        let mut seen = HashSet::new();
        let mut ids = Vec::with_capacity(raw.len());
        for (index, id) in raw.iter().enumerate() {
            let path = format!("{path}[{index}]");
            ids.extend(self.id(*id, &path, make));
            if !seen.insert(*id) {
                let text = "stands more than once in this call";
                self.bad(path, Reason::DuplicateItem, text);
            }
        }
        Some(ids)
    }

    /// A positive id, or none where it is 0. The outer option is nothing if it is wrong.
    pub fn optional_id<T>(
        &mut self,
        raw: i64,
        path: &str,
        make: fn(i64) -> Option<T>,
    ) -> Option<Option<T>> {
        if raw == 0 {
            Some(None)
        } else {
            self.id(raw, path, make).map(Some)
        }
    }

    /// A text that is parsed by its own type.
    pub fn name<T>(
        &mut self,
        raw: &str,
        path: &str,
        make: impl FnOnce(&str) -> Option<T>,
        reason: Reason,
        rule: &str,
    ) -> Option<T> {
        if raw.is_empty() {
            self.bad(path, Reason::FieldRequired, format!("required: {rule}"));
            return None;
        }
        self.take(make(raw), path, reason, &format!("must be {rule}"))
    }

    /// The caller's id for a person.
    pub fn uid(&mut self, raw: &str, path: &str) -> Option<Uid> {
        let rule = "1 to 64 printable ASCII characters without blanks";
        self.name(raw, path, Uid::parse, Reason::IdInvalid, rule)
    }

    /// A person's mobile number.
    pub fn mobile(&mut self, raw: &str, path: &str) -> Option<Mobile> {
        let rule = "an 11-digit Chinese mobile number that begins with 13 to 19; +86 in front is taken off, nothing else";
        self.name(raw, path, Mobile::parse, Reason::MobileInvalid, rule)
    }

    /// Where something is to be posted.
    pub fn receiver(&mut self, raw: &str, path: &str, reach: Reach) -> Option<ReceiverUrl> {
        if raw.is_empty() {
            self.bad(path, Reason::FieldRequired, "required: where to post");
            return None;
        }
        match ReceiverUrl::parse(raw, reach) {
            Ok(url) => Some(url),
            Err(fault) => {
                self.bad(path, Reason::ReceiverUrlInvalid, fault.to_string());
                None
            }
        }
    }

    /// A branch; 0 is the head office.
    pub fn branch(&mut self, raw: i64, path: &str) -> Option<BranchId> {
        let branch = (raw >= 0).then_some(BranchId(raw));
        let rule = "must be the id of a branch, or 0 for the head office";
        self.take(branch, path, Reason::IdInvalid, rule)
    }

    /// A part of a name, or none where it is empty. The outer option is nothing if it is wrong.
    pub fn keyword(&mut self, raw: &str, path: &str) -> Option<Option<Keyword>> {
        if raw.is_empty() {
            return Some(None);
        }
        let rule = format!("at most {KEYWORD_MAX} characters");
        self.take(Keyword::parse(raw), path, Reason::TextTooLong, &rule)
            .map(Some)
    }

    /// A positive amount.
    pub fn amount(&mut self, raw: i64, path: &str) -> Option<Fen> {
        let amount = (raw > 0).then_some(Fen(raw));
        self.take(
            amount,
            path,
            Reason::AmountOutOfRange,
            "must be a positive number of fen",
        )
    }

    /// A number within bounds.
    pub fn within(&mut self, raw: i64, path: &str, min: i64, max: i64) -> Option<i64> {
        let value = (min..=max).contains(&raw).then_some(raw);
        self.take(
            value,
            path,
            Reason::OutOfRange,
            &format!("must be {min} to {max}"),
        )
    }

    /// A time, or none where it is absent. The outer option is nothing if it is wrong.
    pub fn time(&mut self, raw: Option<&PbTimestamp>, path: &str) -> Option<Option<Timestamp>> {
        let Some(raw) = raw else { return Some(None) };
        let time = Timestamp::from_parts(raw.seconds, raw.nanos);
        self.take(
            time,
            path,
            Reason::TimeRangeInvalid,
            "must lie in 1970 to 9999",
        )
        .map(Some)
    }

    /// A free text within a bound of bytes, without hidden characters.
    pub fn text(&mut self, raw: &str, path: &str, bytes_max: usize) -> Option<String> {
        if raw.len() > bytes_max {
            let text = format!(
                "has {} bytes in UTF-8, at most {bytes_max} are taken; it is never cut",
                raw.len()
            );
            self.bad(path, Reason::TextTooLong, text);
            return None;
        }
        if has_hidden(raw) {
            self.bad(
                path,
                Reason::TextInvalid,
                "has control or invisible characters",
            );
            return None;
        }
        Some(raw.to_owned())
    }

    /// Why a person does something: 1 to 255 bytes that others will read.
    pub fn reason(&mut self, raw: &str) -> Option<String> {
        if raw.is_empty() {
            self.bad("reason", Reason::FieldRequired, "required: say why");
            return None;
        }
        self.text(raw, "reason", REASON_MAX)
    }

    /// The texts of a packet, all of them required but the scene.
    pub fn texts(&mut self, raw: Option<&pb::RedPacketTexts>, path: &str) -> Option<Texts> {
        let Some(raw) = raw else {
            self.bad(
                path,
                Reason::FieldRequired,
                "required: send_name, act_name, wishing and remark",
            );
            return None;
        };
        let values = [&raw.send_name, &raw.act_name, &raw.wishing, &raw.remark];
        let mut read = TEXT_BOUNDS.iter().zip(values).map(|((name, max), value)| {
            let path = format!("{path}.{name}");
            if value.is_empty() {
                self.bad(
                    path,
                    Reason::FieldRequired,
                    format!("required: 1 to {max} bytes"),
                );
                return None;
            }
            self.text(value, &path, *max)
        });
        let (send_name, act_name, wishing, remark) =
            (read.next()?, read.next()?, read.next()?, read.next()?);
        drop(read);
        let scene_id = if raw.scene_id.is_empty() {
            Some(None)
        } else {
            let path = format!("{path}.scene_id");
            self.take(
                Scene::parse(&raw.scene_id),
                &path,
                Reason::EnumUnknown,
                "must be PRODUCT_1 to PRODUCT_8",
            )
            .map(Some)
        };
        Some(Texts {
            send_name: send_name?,
            act_name: act_name?,
            wishing: wishing?,
            remark: remark?,
            scene_id: scene_id?,
        })
    }

    /// A choice that must be made.
    pub fn choice<T>(&mut self, raw: i32, path: &str, make: fn(i32) -> Option<T>) -> Option<T> {
        self.take(
            make(raw),
            path,
            Reason::EnumUnknown,
            "must be one of the values of the contract, and not UNSPECIFIED",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_are_read_even_if_the_first_is_wrong() {
        let mut fields = Fields::default();
        let texts = pb::RedPacketTexts {
            send_name: "x".repeat(32),
            act_name: String::new(),
            wishing: "a\u{202E}b".to_owned(),
            remark: "ok".to_owned(),
            scene_id: "PRODUCT_9".to_owned(),
        };
        assert!(fields.texts(Some(&texts), "texts").is_none());
        let error = fields.finish::<()>(None).unwrap_err();
        let found: Vec<(&str, Reason)> = error
            .violations
            .iter()
            .map(|v| (v.path.as_str(), v.reason))
            .collect();
        assert_eq!(
            found,
            [
                ("texts.send_name", Reason::TextTooLong),
                ("texts.act_name", Reason::FieldRequired),
                ("texts.wishing", Reason::TextInvalid),
                ("texts.scene_id", Reason::EnumUnknown),
            ]
        );
    }

    #[test]
    fn nothing_wrong_is_no_refusal() {
        let mut fields = Fields::default();
        let id = fields.id(7, "id", Some);
        assert_eq!(fields.finish(id).ok(), Some(7));
    }
}
