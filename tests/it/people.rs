//! What takes two people, and the record of what anybody did.

mod approvals;
mod audit;
mod reviews;

use hongbao::grpc::pb;
use tonic::Status;

use crate::support::{Client, fact, reason};

/// The writes that only people make: each of them is tried and called twice in here, or in
/// `vouchers/remote.rs`.
pub const WRITES: [&str; 4] = [
    "closereview",
    "closevoucherreview",
    "decideapproval",
    "resumeall",
];

fn decision(client: &Client, approval_id: i64, approve: bool) -> pb::DecideApprovalRequest {
    pb::DecideApprovalRequest {
        request_id: client.fresh(),
        approval_id,
        approve,
        reason: "looked at it".into(),
        ..Default::default()
    }
}

pub async fn decide(
    client: &Client,
    approval_id: i64,
    approve: bool,
) -> Result<pb::Approval, Status> {
    let request = decision(client, approval_id, approve);
    let done = client.reviews().decide_approval(request).await?;
    Ok(done.into_inner().approval.unwrap())
}

/// The approval that a refusal says to wait for.
pub fn waits_for(status: &Status) -> i64 {
    assert_eq!(reason(status), "APPROVAL_REQUIRED", "{status:?}");
    fact(status, "approval_id").parse().unwrap()
}
