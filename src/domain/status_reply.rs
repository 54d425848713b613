//! What a provider says about an order, in its own words: for people who ask live.
//! Nothing is decided by it; that is what [`super::outcome`] is for.

use super::Fen;
use super::text::Openid;

/// A reply to a question, field by field; what it does not say is empty or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusReply {
    /// Whether it understood the question.
    pub return_code: String,
    /// For people.
    pub return_msg: String,
    /// Whether it answers it.
    pub result_code: String,
    /// The error code, or a word for none.
    pub err_code: String,
    /// For people.
    pub err_code_des: String,
    /// The merchant order number.
    pub mch_billno: String,
    /// The merchant.
    pub mch_id: String,
    /// The provider's own number.
    pub detail_id: String,
    /// Where it stands there.
    pub status: String,
    /// How it was sent.
    pub send_type: String,
    /// NORMAL or GROUP.
    pub hb_type: String,
    /// How many share it.
    pub total_num: Option<i32>,
    /// The amount.
    pub total_amount: Option<Fen>,
    /// What the provider charges, as it writes it.
    pub price: String,
    /// Why it failed or hangs.
    pub reason: String,
    /// When it was sent.
    pub send_time: String,
    /// When it came back.
    pub refund_time: String,
    /// How much came back.
    pub refund_amount: Option<Fen>,
    /// The wish.
    pub wishing: String,
    /// The remark.
    pub remark: String,
    /// The activity.
    pub act_name: String,
    /// Who took it.
    pub receivers: Vec<Receiver>,
}

/// Who took a packet or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Who.
    pub openid: Option<Openid>,
    /// How much.
    pub amount: Option<Fen>,
    /// When, as the provider writes it.
    pub rcv_time: String,
}
