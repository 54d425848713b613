//! Callbacks of open platforms: who says so is checked first, then they are kept, then answered.

use std::sync::Arc;

use tokio::sync::Notify;

use super::providers::Providers;
use crate::clock;
use crate::domain::Result;
use crate::domain::text::Code;
use crate::provider::open_platform::{CallbackHead, Distrust};
use crate::store::Store;
use crate::store::callback::{Kept, Report};
use crate::store::entity::provider_callback::Effect;
use crate::telemetry::Metrics;

/// Takes callbacks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Callbacks {
    /// Where they are kept.
    pub store: Store,
    /// What they are checked with.
    pub providers: Arc<Providers>,
    /// What is counted.
    pub metrics: Metrics,
    /// Told when there is an order to ask about.
    pub wake: Arc<Notify>,
}

/// What becomes of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is kept; the platform need not say it again.
    Kept(Kept),
    /// It is not believed, and nothing of it is kept.
    Distrusted(Distrust),
    /// There is no open platform of this name here.
    NoSuchCredential,
}

impl Callbacks {
    /// Takes a callback for a credential.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE: it is not kept, and has to come again.
    pub async fn take(
        &self,
        credential: &str,
        head: &CallbackHead<'_>,
        body: Vec<u8>,
    ) -> Result<Taken> {
        let known = self.providers.callbacks_of(credential);
        let (Some(codec), Some(name)) = (known, Code::parse(credential)) else {
            self.metrics.provider_callback("no_such_credential");
            return Ok(Taken::NoSuchCredential);
        };
        let read = match codec.read_callback(head, &body, clock::wall()) {
            Ok(read) => read,
            Err(distrust) => {
                let word = distrust.code().to_lowercase();
                self.metrics.provider_callback(&word);
                tracing::warn!(%credential, reason = distrust.code(), "a callback is not believed");
                return Ok(Taken::Distrusted(distrust));
            }
        };
        let report = Report {
            credential: name,
            order_code: read.order_code.as_str().to_owned(),
            biz_code: read.biz_code.as_str().to_owned(),
            said: read.state,
            signed_at: read.signed_at,
            body,
        };
        let kept = self.store.keep_report(report).await?;
        self.tell(credential, read.biz_code.as_str(), kept);
        Ok(Taken::Kept(kept))
    }

    fn tell(&self, credential: &str, biz_code: &str, kept: Kept) {
        if kept.repeated {
            return self.metrics.provider_callback("repeated");
        }
        let word = kept.effect.name().to_lowercase();
        self.metrics.provider_callback(&word);
        match kept.effect {
            Effect::Asked => self.wake.notify_waiters(),
            Effect::Known => {}
            Effect::Contradiction => tracing::error!(
                %credential,
                biz_code,
                "a callback says that an order was paid which has ended unpaid here; its packet is frozen"
            ),
            Effect::Quarantined => tracing::warn!(
                %credential,
                biz_code,
                "a callback for an order that nobody here knows; ListProviderCallbacks shows it"
            ),
        }
    }
}
