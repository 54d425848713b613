//! The one wording for each kind of thing that is not there, or is not yours: the
//! two must read alike, or ids of others could be probed.

use super::error::{Error, Reason};
use super::id::{
    AccountId, AppId, ApprovalId, BatchId, BranchId, CampaignId, GroupId, IssuanceId, ShopId,
};
use super::text::{Code, MchBillno, RequestId};

/// A shop.
#[must_use]
pub fn shop(id: ShopId) -> Error {
    let text = "no such shop, or none that you may use".to_owned();
    Error::new(Reason::ShopNotFound, text).fact("shop_id", id)
}

/// A campaign.
#[must_use]
pub fn campaign(id: CampaignId) -> Error {
    let text = "no such campaign in this shop".to_owned();
    Error::new(Reason::CampaignNotFound, text).fact("campaign_id", id)
}

/// A campaign, by its code.
#[must_use]
pub fn campaign_code(code: &Code) -> Error {
    let text = "no such campaign in this shop".to_owned();
    Error::new(Reason::CampaignNotFound, text).fact("campaign_code", code)
}

/// An approval.
#[must_use]
pub fn approval(id: ApprovalId) -> Error {
    let text = "no such approval, or of no shop that you may see".to_owned();
    Error::new(Reason::ApprovalNotFound, text).fact("approval_id", id)
}

/// A batch.
#[must_use]
pub fn batch(id: BatchId) -> Error {
    let text = "no such batch in this shop".to_owned();
    Error::new(Reason::BatchNotFound, text).fact("batch_id", id)
}

/// An issuance.
#[must_use]
pub fn issuance(id: IssuanceId) -> Error {
    let text = "no such issuance in this shop".to_owned();
    Error::new(Reason::IssuanceNotFound, text).fact("issuance_id", id)
}

/// An issuance, by its number.
#[must_use]
pub fn number(number: &MchBillno) -> Error {
    let text = "no such issuance in this shop".to_owned();
    Error::new(Reason::IssuanceNotFound, text).fact("mch_billno", number)
}

/// An issuance, by the request id of the call that asked for it.
#[must_use]
pub fn order(id: &RequestId) -> Error {
    let text = "no SendRedPacket or ScanSend of yours in this shop had this request_id".to_owned();
    Error::new(Reason::IssuanceNotFound, text).fact("biz_code", id)
}

/// A group.
#[must_use]
pub fn group(id: GroupId) -> Error {
    let text = "no such group in this shop".to_owned();
    Error::new(Reason::GroupNotFound, text).fact("wx_group_id", id)
}

/// A branch.
#[must_use]
pub fn branch(id: BranchId) -> Error {
    let text = "no such branch of this shop".to_owned();
    Error::new(Reason::BranchNotFound, text).fact("shop_sub_id", id)
}

/// A provider account.
#[must_use]
pub fn account(id: AccountId) -> Error {
    let text = "no such provider account, or none that is granted to this shop".to_owned();
    Error::new(Reason::AccountNotFound, text).fact("account_id", id)
}

/// An app.
#[must_use]
pub fn app(id: AppId) -> Error {
    Error::new(Reason::AppNotFound, "no such app".to_owned()).fact("app_id", id)
}

/// An API key.
#[must_use]
pub fn key(id: &str) -> Error {
    Error::new(Reason::KeyNotFound, "no such key".to_owned()).fact("key_id", id)
}
