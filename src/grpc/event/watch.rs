//! WatchEvents and ListEvents.
//!
//! A stream holds one part of the feed at most and reads the next one when the reader has
//! taken it, so a slow reader costs no memory and misses nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::Stream;
use tonic::Status;

use super::{Backend, Caller, Fields, page, pb, render, status};
use crate::clock;
use crate::domain::event::{Aggregate, TypePattern, Types};
use crate::domain::id::{BatchId, CampaignId, IssuanceId, ProductId, ShopId, VoucherId};
use crate::domain::{Error, Reason, Result};
use crate::store::event::{EventFilter, EventView};
use crate::store::voucher::Access;

/// Between two looks at a feed in which nothing happens.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// After so long without an event the stream says that it lives.
const BEAT: Duration = Duration::from_secs(15);
/// Events that are read at once.
const PART: u64 = 200;
/// Types that one filter names.
pub(super) const TYPES_MAX: usize = 50;

/// Where a stream stands.
pub(super) struct Watching {
    shop: ShopId,
    access: Access,
    filter: EventFilter,
    after: i64,
    read: VecDeque<pb::WatchEventsResponse>,
    spoke: Option<Instant>,
}

/// Cursors of a shop's feed fit no other.
fn scope(shop: ShopId) -> Vec<u8> {
    format!("events of shop {shop}").into_bytes()
}

pub(super) async fn start(
    backend: &Backend,
    caller: &Caller,
    r: &pb::WatchEventsRequest,
) -> Result<Watching> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let after = cursor(&mut fields, &r.cursor, shop);
    let filter = fields.event_filter(r.filter.as_ref());
    let (after, filter) = fields.finish(after.zip(filter))?;
    let after = match after {
        Some(after) => after,
        None if r.from_beginning => 0,
        None => backend.store.feed_head(shop).await?,
    };
    Ok(Watching {
        shop,
        access: Access::of(&caller.principal),
        filter,
        after,
        read: VecDeque::new(),
        spoke: None,
    })
}

fn cursor(fields: &mut Fields, raw: &str, shop: ShopId) -> Option<Option<i64>> {
    if raw.is_empty() {
        return Some(None);
    }
    let place = page::parse_cursor(raw, &scope(shop));
    let text = "not a cursor of this shop; begin with one of an earlier answer, or without";
    fields
        .take(place, "cursor", Reason::CursorInvalid, text)
        .map(Some)
}

pub(super) fn watch(
    backend: Backend,
    from: Watching,
) -> impl Stream<Item = Result<pb::WatchEventsResponse, Status>> + Send {
    futures::stream::unfold(Some((backend, from)), |state| async move {
        let (backend, mut watching) = state?;
        match watching.next(&backend).await {
            Ok(message) => Some((Ok(message), Some((backend, watching)))),
            Err(error) => Some((Err(status::status(error)), None)),
        }
    })
}

impl Watching {
    async fn next(&mut self, backend: &Backend) -> Result<pb::WatchEventsResponse> {
        loop {
            if let Some(message) = self.read.pop_front() {
                self.spoke = Some(clock::monotonic());
                return Ok(message);
            }
            let more = self.read(backend).await?;
            if !self.read.is_empty() {
                continue;
            }
            // At first, too: the reader has a cursor then.
            if self.spoke.is_none_or(|spoke| spoke.elapsed() >= BEAT) {
                self.spoke = Some(clock::monotonic());
                return Ok(pb::WatchEventsResponse {
                    event: None,
                    cursor: page::cursor(self.after, &scope(self.shop)),
                });
            }
            if more {
                continue;
            }
            tokio::select! {
                () = backend.stop.cancelled() => {
                    let text = "the server shuts down; watch again from the last cursor".to_owned();
                    return Err(Error::new(Reason::ShuttingDown, text));
                }
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    }

    /// Reads the next part. True if there is more behind it.
    async fn read(&mut self, backend: &Backend) -> Result<bool> {
        let part = backend
            .store
            .events(self.shop, self.access, &self.filter, self.after, PART)
            .await?;
        let scope = scope(self.shop);
        let message = |view: &EventView| pb::WatchEventsResponse {
            cursor: page::cursor(view.position, &scope),
            event: Some(render::event(view)),
        };
        self.read.extend(part.events.iter().map(message));
        self.after = part.through;
        Ok(part.more)
    }
}

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListEventsRequest,
) -> Result<pb::ListEventsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let after = cursor(&mut fields, &r.cursor, shop);
    let size = page::parse_size(&mut fields, r.page_size);
    let filter = fields.event_filter(r.filter.as_ref());
    let ((after, size), filter) = fields.finish(after.zip(size).zip(filter))?;
    let access = Access::of(&caller.principal);
    let after = after.unwrap_or(0);
    let part = backend
        .store
        .events(shop, access, &filter, after, size)
        .await?;
    Ok(pb::ListEventsResponse {
        events: part.events.iter().map(render::event).collect(),
        cursor: page::cursor(part.through, &scope(shop)),
        has_more: part.more,
    })
}

impl Fields {
    fn event_filter(&mut self, raw: Option<&pb::EventFilter>) -> Option<EventFilter> {
        let Some(raw) = raw else {
            return Some(EventFilter::default());
        };
        let campaign = self.optional(raw.campaign_id, "filter.campaign_id", CampaignId::parse);
        let batch = self.optional(raw.batch_id, "filter.batch_id", BatchId::parse);
        let product = self.optional(raw.product_id, "filter.product_id", ProductId::parse);
        let issuance = self.optional(raw.issuance_id, "filter.issuance_id", IssuanceId::parse);
        let voucher = self.optional(raw.voucher_id, "filter.voucher_id", VoucherId::parse);
        let types = self.types(&raw.types, "filter.types");
        Some(EventFilter {
            campaign: campaign?,
            batch: batch?,
            product: product?,
            issuance: issuance?,
            voucher: voucher?,
            types: types?,
        })
    }

    fn optional<T>(
        &mut self,
        raw: i64,
        path: &str,
        make: fn(i64) -> Option<T>,
    ) -> Option<Option<T>> {
        match raw {
            0 => Some(None),
            raw => self.id(raw, path, make).map(Some),
        }
    }

    /// Types of events; none: all.
    pub(super) fn types(&mut self, raw: &[String], path: &str) -> Option<Types> {
        if raw.len() > TYPES_MAX {
            let text = format!("{} types; at most {TYPES_MAX}", raw.len());
            self.bad(path, Reason::BatchTooLarge, text);
            return None;
        }
        let mut patterns = Vec::with_capacity(raw.len());
        for (index, raw) in raw.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let of = |subject: &str| {
                let found = Aggregate::ALL.into_iter().find(|a| a.word() == subject)?;
                let kinds = found.kinds().iter().map(|kind| kind.to_lowercase());
                Some(kinds.collect::<Vec<_>>().join(", "))
            };
            let rule = match raw.split_once('.').and_then(|(subject, _)| of(subject)) {
                Some(kinds) => format!("after the dot must stand * or one of {kinds}"),
                None => "must be SUBJECT.WHAT or SUBJECT.*, of issuance, campaign, product, voucher and endpoint, e.g. \"issuance.sent\"".to_owned(),
            };
            patterns.extend(self.take(
                TypePattern::parse(raw),
                &path,
                Reason::EventTypeInvalid,
                &rule,
            ));
        }
        Some(Types::of(patterns))
    }
}
