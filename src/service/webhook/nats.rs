//! Publishes feeds to NATS JetStream: each event once it has its place, in the order of its shop.
//!
//! An event is acknowledged by the stream before the next one leaves, and named by its
//! `Nats-Msg-Id`, so what is published twice after a crash is dropped within the stream's
//! duplicate window, and known by its name after it.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use tokio_util::sync::CancellationToken;

use super::body;
use crate::domain::event::{event_id, type_name};
use crate::domain::id::{AppId, ShopId};
use crate::store::Store;
use crate::store::event::{EventFilter, EventView};
use crate::store::voucher::Access;

/// Its name in `event_sink`.
const SINK: &str = "nats";
/// Between two looks for something new.
const EVERY: Duration = Duration::from_millis(200);
/// Events of one part.
const PART: u64 = 256;
/// How long a part may take before another replica begins it anew, in real time.
const LEASE: Duration = Duration::from_secs(30);

/// Where to publish.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `nats://HOST:4222` or `tls://…`.
    pub url: String,
    /// A credentials file of NATS, if it asks for one.
    pub credentials: Option<std::path::PathBuf>,
    /// What subjects begin with: `SUBJECT.SHOP.TYPE`, for example `hongbao.1.issuance.sent`.
    pub subject: String,
}

/// Publishes until told to stop.
#[derive(Debug)]
pub struct JetStream {
    store: Store,
    context: Context,
    subject: String,
    stop: CancellationToken,
}

impl JetStream {
    /// Connects; a server that is away is waited for in the background.
    ///
    /// # Errors
    /// The URL or the credentials cannot be used.
    pub async fn connect(
        store: Store,
        settings: Settings,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut options = async_nats::ConnectOptions::new()
            .name("hongbao")
            .retry_on_initial_connect();
        if let Some(file) = &settings.credentials {
            options = options
                .credentials_file(file)
                .await
                .with_context(|| format!("nats.credentials_file {}", file.display()))?;
        }
        let client = options.connect(&settings.url).await.context("nats.url")?;
        Ok(Self {
            store,
            context: jetstream::new(client),
            subject: settings.subject,
            stop,
        })
    }

    /// Works until told to stop.
    pub async fn run(self) {
        let mut told = false;
        while !self.stop.is_cancelled() {
            match self.round().await {
                Ok(()) => told = false,
                // Once: a stream that is away may be away for hours.
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "events cannot be published to NATS; trying again until they are");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn round(&self) -> anyhow::Result<()> {
        for shop in self.store.unpublished(SINK).await? {
            while self.part(shop).await? && !self.stop.is_cancelled() {}
        }
        Ok(())
    }

    /// Publishes what follows in a shop's feed. True if there is more.
    async fn part(&self, shop: ShopId) -> anyhow::Result<bool> {
        let lease = self.store.clock().stretched(LEASE);
        let Some(taken) = self.store.take_sink(SINK, shop, lease).await? else {
            return Ok(false);
        };
        // All that happens in the shop, as a person in it would see it.
        let access = Access {
            app: AppId(0),
            is_person: true,
        };
        let filter = EventFilter::default();
        let page = self
            .store
            .events(shop, access, &filter, taken.position, PART);
        let page = page.await?;
        let mut through = taken.position;
        let mut failure = None;
        for event in &page.events {
            // One after the other: if one fails, none behind it may be there before it.
            match self.publish(shop, event).await {
                Ok(()) => through = event.position,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if failure.is_none() {
            through = page.through.max(through);
        }
        self.store.leave_sink(&taken, through).await?;
        failure.map_or(Ok(page.more), Err)
    }

    async fn publish(&self, shop: ShopId, event: &EventView) -> anyhow::Result<()> {
        let row = &event.row;
        let kind = type_name(row.aggregate, &row.kind);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", event_id(shop, event.position).as_str());
        let ack = self.context.publish_with_headers(
            format!("{}.{shop}.{kind}", self.subject),
            headers,
            body::json(event).into(),
        );
        ack.await?.await?;
        Ok(())
    }
}
