//! The provider's door over real connections: what each way of failing proves, and that it is
//! never more than that.

mod answers;
mod faults;
pub(crate) mod map;
mod tls;
mod transport;

use std::time::Duration;

use hongbao::domain::Fen;
use hongbao::domain::outcome::{Rejection, RejectionKind, SendOutcome};
use hongbao::domain::packet::Kind;
use hongbao::domain::text::{Appid, MchBillno, MchId, Openid, Texts};
use hongbao::provider::{ApiKey, Credential, Payment, Provider, Timeouts};
use hongbao::simulator::{Merchant, Simulator};

pub(super) const SHORT: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(1),
};

pub(super) fn credential(merchant: &Merchant, base_url: String) -> Credential {
    Credential {
        name: "simulated".to_owned(),
        base_url,
        mch_id: MchId::parse(&merchant.mch_id).unwrap(),
        api_key: ApiKey::parse(&merchant.api_key).unwrap(),
        client_identity: None,
        ca_pem: None,
    }
}

pub(super) fn door(simulator: &Simulator) -> Provider {
    let credential = credential(simulator.merchant(), simulator.base_url());
    Provider::wechat_pay(&credential, SHORT).unwrap()
}

pub(super) fn payment(merchant: &Merchant, n: u32, openid: &str) -> Payment {
    Payment {
        mch_id: MchId::parse(&merchant.mch_id).unwrap(),
        appid: Appid::parse(merchant.appid()).unwrap(),
        mch_billno: MchBillno::parse(&format!("1900000109{n:018}")).unwrap(),
        openid: Openid::parse(openid).unwrap(),
        amount: Fen(188),
        texts: Texts {
            send_name: "天虹百货".to_owned(),
            act_name: "A&B ]]> <新年>".to_owned(),
            wishing: "恭喜发财 🧧 \"'".to_owned(),
            // The simulator counts payments by it.
            remark: format!("order {n}"),
            scene_id: None,
        },
        client_ip: "192.168.0.1".to_owned(),
        kind: Kind::Normal,
        total_num: 1,
        risk_info: None,
        template_id: None,
        mobile: None,
    }
}

pub(super) fn rejected(kind: RejectionKind, code: &str) -> SendOutcome {
    SendOutcome::Rejected(Rejection {
        kind,
        code: code.to_owned(),
    })
}
