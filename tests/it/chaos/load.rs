//! The load: callers that do not give up.
//!
//! Each caller sends single packets and batches, three in ten calls with a request
//! id that was used before (often one that is still under way elsewhere), to a
//! replica drawn by lot, and repeats what was not answered with the same request
//! id until it is.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hongbao::grpc::pb;
use tonic::{Code, Status};

use super::journal::{Ask, Journal, Line, uid_of};
use super::rng::Rng;
use crate::support::Client;

pub const SHOP: i64 = 1;
/// Callers at the same time.
const CALLERS: u64 = 12;
/// A caller rests between two calls.
const REST_MS: (u64, u64) = (100, 400);
/// A call without an answer is repeated after this long.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A call that is not answered for so long never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the callers share.
#[derive(Debug)]
pub struct Load {
    pub journal: Journal,
    pub campaign: i64,
    /// People of the audience who have not been sent to.
    pub people_left: AtomicU64,
    stop: AtomicBool,
    next: AtomicU64,
    recent: Mutex<Vec<(String, Ask)>>,
    pub counts: Counts,
}

#[derive(Debug, Default)]
pub struct Counts {
    pub calls: AtomicU64,
    pub duplicates: AtomicU64,
    pub unanswered: AtomicU64,
}

impl Load {
    pub fn new(journal: Journal, campaign: i64, people: u64) -> Self {
        Self {
            journal,
            campaign,
            people_left: AtomicU64::new(people),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            recent: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Starts the callers; they end some time after [`Load::stop`].
    pub fn start(
        self: &Arc<Self>,
        clients: &[Client],
        seed: u64,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let caller = |n| {
            let (load, clients) = (Arc::clone(self), clients.to_vec());
            tokio::spawn(async move { load.call_until_stopped(&clients, Rng::new(seed + n)).await })
        };
        (0..CALLERS).map(caller).collect()
    }

    /// No new calls; those that were begun are brought to an end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    async fn call_until_stopped(&self, clients: &[Client], mut rng: Rng) {
        while !self.stop.load(Ordering::Relaxed) {
            let (request_id, ask) = match self.used_before(&mut rng) {
                Some(again) => {
                    self.counts.duplicates.fetch_add(1, Ordering::Relaxed);
                    again
                }
                None => self.fresh(&mut rng),
            };
            self.insist(clients, &mut rng, &request_id, &ask).await;
            tokio::time::sleep(rng.millis(REST_MS.0, REST_MS.1)).await;
        }
    }

    fn used_before(&self, rng: &mut Rng) -> Option<(String, Ask)> {
        let recent = self.recent.lock().unwrap();
        if !rng.percent(30) || recent.is_empty() {
            return None;
        }
        // Half of them are so young that the first call is probably still under way.
        let depth = if rng.percent(50) {
            CALLERS
        } else {
            u64::MAX - 1
        };
        let depth = depth.min(u64::try_from(recent.len()).unwrap());
        let back = usize::try_from(rng.below(depth)).unwrap();
        recent.get(recent.len() - 1 - back).cloned()
    }

    fn fresh(&self, rng: &mut Rng) -> (String, Ask) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("chaos-{n}");
        let ask = if rng.percent(12) {
            self.batch(2 + rng.below(15))
        } else {
            None
        };
        let ask = ask.unwrap_or_else(|| Ask::Single {
            openid: format!("oSingle{n}"),
        });
        self.journal.write(&Line::Intent {
            request_id: request_id.clone(),
            ask: ask.clone(),
        });
        self.recent
            .lock()
            .unwrap()
            .push((request_id.clone(), ask.clone()));
        (request_id, ask)
    }

    /// People who get their only packet now; nobody when there are too few left.
    fn batch(&self, size: u64) -> Option<Ask> {
        let left = self
            .people_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(size)
            })
            .ok()?;
        Some(Ask::Batch {
            people: (left - size..left).collect(),
        })
    }

    /// Repeats a call until it is answered.
    async fn insist(&self, clients: &[Client], rng: &mut Rng, request_id: &str, ask: &Ask) {
        let since = Instant::now();
        loop {
            let client = &clients
                [usize::try_from(rng.below(u64::try_from(clients.len()).unwrap())).unwrap()];
            self.counts.calls.fetch_add(1, Ordering::Relaxed);
            let wait = rng.percent(10);
            let call = send(client, self.campaign, request_id, ask, wait);
            match tokio::time::timeout(CALL_TIMEOUT, call).await {
                Ok(Ok((id, amount_fen, replayed))) => {
                    self.journal.write(&Line::Reply {
                        request_id: request_id.to_owned(),
                        id,
                        amount_fen,
                        replayed,
                    });
                    return;
                }
                Ok(Err(status)) if !may_repeat(&status) || since.elapsed() > PATIENCE => {
                    self.journal.write(&Line::Refused {
                        request_id: request_id.to_owned(),
                        status: format!("{:?} {}", status.code(), status.message()),
                    });
                    return;
                }
                Ok(Err(_)) | Err(_) => {
                    self.counts.unanswered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(rng.millis(20, 150)).await;
                }
            }
        }
    }
}

/// Codes that say nothing about what became of the call, or "later".
fn may_repeat(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::ResourceExhausted
    )
}

/// Id, amount, replayed.
pub async fn send(
    client: &Client,
    campaign_id: i64,
    request_id: &str,
    ask: &Ask,
    wait: bool,
) -> Result<(i64, i64, bool), Status> {
    match ask {
        Ask::Single { openid } => {
            let request = within(pb::SendRedPacketRequest {
                shop_id: SHOP,
                request_id: request_id.to_owned(),
                campaign_id,
                openid: openid.clone(),
                source: pb::IssuanceSource::Open.into(),
                wait,
                ..Default::default()
            });
            let sent = client.issuances().send_red_packet(request).await?;
            let sent = sent.into_inner();
            let issuance = sent.issuance.unwrap();
            Ok((issuance.issuance_id, issuance.amount_fen, sent.replayed))
        }
        Ask::Batch { people } => {
            let request = within(pb::SendToUsersRequest {
                shop_id: SHOP,
                request_id: request_id.to_owned(),
                campaign_id,
                uids: people.iter().map(|n| uid_of(*n)).collect(),
                source: pb::IssuanceSource::Lottery.into(),
                wait,
                ..Default::default()
            });
            let sent = client.issuances().send_to_users(request).await?;
            let sent = sent.into_inner();
            let batch = sent.batch.unwrap();
            Ok((batch.batch_id, batch.amount_fen, sent.replayed))
        }
    }
}

/// With a deadline: one that waits is answered before the caller gives up.
fn within<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_TIMEOUT - Duration::from_secs(1));
    request
}
