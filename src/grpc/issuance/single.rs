//! SendRedPacket, ScanSend, Resend.

use std::net::Ipv4Addr;

use tokio::time::Instant;

use super::call::parse_call;
use super::parse::Fields;
use super::render::{Shows, render, render_forecast};
use super::{Backend, Caller, convert, pb};
use crate::domain::id::{CampaignId, IssuanceId, ShopId};
use crate::domain::packet::{FISSION_NUM, Kind, RiskInfo};
use crate::domain::text::{Appid, Code, Openid};
use crate::domain::webhook::Reach;
use crate::domain::{Error, Reason, Result};
use crate::store::entity::issuance;
use crate::store::issue::{Command, Issued, Named, Single, Wanted};
use crate::store::read::ByIssuance;
use crate::telemetry;

const OPENID_RULE: &str = "1 to 32 characters of [A-Za-z0-9_-]";

pub(super) async fn send(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendRedPacketRequest,
    until: Instant,
) -> Result<pb::SendRedPacketResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "SendRedPacket",
        Some(shop),
        r,
        SendRedPacketRequest,
        shop_id,
        wait
    );
    let campaign = parse_campaign(&mut fields, r);
    let single = parse_single(&mut fields, r, backend.reach);
    let source = fields.choice(r.source, "source", convert::parse_source);
    let branch = fields.branch(r.shop_sub_id, "shop_sub_id");
    let parsed = (|| Some((call?, campaign?, single?, source?, branch?)))();
    let (call, campaign, single, source, branch) = fields.finish(parsed)?;
    let issued = backend
        .issuer
        .issue(Command {
            call,
            shop,
            campaign,
            source,
            branch,
            wanted: Wanted::Single(Box::new(single)),
            traceparent: telemetry::traceparent_of_current_span(),
        })
        .await?;
    let wait = r.wait.then_some(until);
    let row = outcome(backend, shop, &issued, r.validate_only, wait).await?;
    Ok(pb::SendRedPacketResponse {
        forecast: render_forecast(&issued),
        issuance: Some(
            shown(
                backend,
                row,
                &r.openid,
                r.validate_only && issued.packet.is_some(),
            )
            .await?,
        ),
        replayed: issued.replayed,
    })
}

/// Which campaign pays, by id or by code; the DIRECT one if none is named. The outer option is
/// nothing if it is wrong.
fn parse_campaign(fields: &mut Fields, r: &pb::SendRedPacketRequest) -> Option<Option<Named>> {
    let id = fields.optional_id(r.campaign_id, "campaign_id", CampaignId::parse)?;
    let code = match r.campaign_code.as_str() {
        "" => None,
        raw => Some(fields.name(
            raw,
            "campaign_code",
            Code::parse,
            Reason::IdInvalid,
            "1 to 64 characters of [A-Za-z0-9_.:-]",
        )?),
    };
    match (id, code) {
        (Some(_), Some(_)) => {
            let text = "campaign_id names the campaign already; give one of the two";
            fields.bad("campaign_code", Reason::FieldNotAllowed, text);
            None
        }
        (id, code) => Some(id.map(Named::Id).or(code.map(Named::Code))),
    }
}

fn parse_single(fields: &mut Fields, r: &pb::SendRedPacketRequest, reach: Reach) -> Option<Single> {
    let openid = fields.name(
        &r.openid,
        "openid",
        Openid::parse,
        Reason::OpenidInvalid,
        OPENID_RULE,
    );
    let amount = match r.amount_fen {
        0 => Some(None),
        raw => fields.amount(raw, "amount_fen").map(Some),
    };
    let texts = match &r.texts {
        Some(texts) => fields.texts(Some(texts), "texts").map(Some),
        None => Some(None),
    };
    let kind = match r.kind {
        0 => Some(Kind::Normal),
        raw => fields.choice(raw, "kind", convert::parse_kind),
    };
    let total_num = kind.and_then(|kind| parse_total_num(fields, r.total_num, kind));
    parse_amt_type(fields, r.amt_type, kind);
    let appid = match r.appid.as_str() {
        "" => Some(None),
        raw => fields
            .name(
                raw,
                "appid",
                Appid::parse,
                Reason::AppidInvalid,
                OPENID_RULE,
            )
            .map(Some),
    };
    let gateway = match r.gateway_type {
        0 => Some(None),
        raw => fields
            .choice(raw, "gateway_type", convert::parse_gateway)
            .map(Some),
    };
    let risk_info = match r.risk_info.as_str() {
        "" => Some(None),
        raw => fields
            .take(
                RiskInfo::parse(raw),
                "risk_info",
                Reason::TextInvalid,
                "must be urlencoded: 1 to 127 bytes of printable ASCII without blanks",
            )
            .map(Some),
    };
    if kind == Some(Kind::MiniProgram) && !r.risk_info.is_empty() {
        let text = "a packet of a mini program takes no risk_info";
        fields.bad("risk_info", Reason::FieldNotAllowed, text);
    }
    let client_ip = match r.client_ip.as_str() {
        "" => Some(None),
        raw => fields
            .take(
                raw.parse::<Ipv4Addr>().ok(),
                "client_ip",
                Reason::IdInvalid,
                "must be a dotted IPv4 address",
            )
            .map(|ip| Some(ip.to_string())),
    };
    let mobile = match r.mobile.as_str() {
        "" => Some(None),
        raw => fields.mobile(raw, "mobile").map(Some),
    };
    let callback_url = match r.callback_url.as_str() {
        "" => Some(None),
        raw => fields.receiver(raw, "callback_url", reach).map(Some),
    };
    Some(Single {
        mobile: mobile?,
        callback_url: callback_url?,
        openid: openid?,
        amount: amount?,
        texts: texts?,
        kind: kind?,
        total_num: total_num?,
        appid: appid?,
        gateway: gateway?,
        risk_info: risk_info?,
        client_ip: client_ip?,
    })
}

fn parse_total_num(fields: &mut Fields, raw: i32, kind: Kind) -> Option<i32> {
    let (fits, due) = match kind {
        Kind::Fission => (FISSION_NUM.contains(&raw), "must be 3 to 20"),
        Kind::Normal | Kind::MiniProgram => {
            ((0..=1).contains(&raw), "must be 1, for only one gets it")
        }
    };
    let people = fits.then_some(raw.max(1));
    fields.take(people, "total_num", Reason::OutOfRange, due)
}

fn parse_amt_type(fields: &mut Fields, raw: i32, kind: Option<Kind>) {
    if raw == 0 {
        return;
    }
    let known = pb::AmtType::try_from(raw).is_ok();
    if !known {
        let text = "must be one of the values of the contract";
        fields.bad("amt_type", Reason::EnumUnknown, text);
    } else if kind.is_some_and(|kind| kind != Kind::Fission) {
        let text = "only a group packet is divided; leave it out";
        fields.bad("amt_type", Reason::FieldNotAllowed, text);
    }
}

pub(super) async fn scan(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ScanSendRequest,
    until: Instant,
) -> Result<pb::ScanSendResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "ScanSend",
        Some(shop),
        r,
        ScanSendRequest,
        shop_id
    );
    let campaign = fields.id(r.campaign_id, "campaign_id", CampaignId::parse);
    let openid = fields.name(
        &r.openid,
        "openid",
        Openid::parse,
        Reason::OpenidInvalid,
        OPENID_RULE,
    );
    let branch = fields.branch(r.shop_sub_id, "shop_sub_id");
    let parsed = (|| Some((call?, campaign?, openid?, branch?)))();
    let (call, campaign, openid, branch) = fields.finish(parsed)?;
    let issued = backend
        .issuer
        .issue(Command {
            call,
            shop,
            campaign: Some(Named::Id(campaign)),
            source: crate::domain::source::Source::Scan,
            branch,
            wanted: Wanted::Scan(openid),
            traceparent: telemetry::traceparent_of_current_span(),
        })
        .await?;
    let row = outcome(backend, shop, &issued, r.validate_only, Some(until)).await?;
    Ok(pb::ScanSendResponse {
        forecast: render_forecast(&issued),
        issuance: Some(
            shown(
                backend,
                row,
                &r.openid,
                r.validate_only && issued.packet.is_some(),
            )
            .await?,
        ),
        replayed: issued.replayed,
    })
}

pub(super) async fn resend(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ResendRequest,
    until: Instant,
) -> Result<pb::ResendResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "Resend",
        Some(shop),
        r,
        ResendRequest,
        shop_id,
        wait
    );
    let id = fields.id(r.issuance_id, "issuance_id", IssuanceId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let done = backend.store.resend(call, shop, id).await?;
    backend.wake.notify_waiters();
    let row = match r.wait && !r.validate_only {
        true => backend.issuer.await_issuance(shop, id, until).await?,
        false => done.row,
    };
    let packet = whole(backend, row).await?;
    Ok(pb::ResendResponse {
        issuance: Some(render(backend, &packet, Shows::PACKAGE)?),
        replayed: done.replayed,
    })
}

/// A packet as it is now, once the provider has said whether it was paid, or as a
/// trial would have made it.
async fn outcome(
    backend: &Backend,
    shop: ShopId,
    issued: &Issued,
    validate_only: bool,
    wait: Option<Instant>,
) -> Result<issuance::Model> {
    if let (true, Some(row)) = (validate_only, &issued.packet) {
        return Ok(row.clone());
    }
    let id = IssuanceId(issued.resource);
    match wait {
        Some(until) => backend.issuer.await_issuance(shop, id, until).await,
        None => Ok(backend.store.issuance(shop, &ByIssuance::Id(id)).await?.0),
    }
}

/// A packet for the caller who brought its openid; of a trial without its id, which nothing has.
async fn shown(
    backend: &Backend,
    row: issuance::Model,
    openid: &str,
    trial: bool,
) -> Result<pb::Issuance> {
    let packet = whole(backend, row).await?;
    let mut shown = render(backend, &packet, Shows::own(openid))?;
    if trial {
        shown.issuance_id = 0;
    }
    Ok(shown)
}

async fn whole(backend: &Backend, row: issuance::Model) -> Result<crate::store::packets::Packet> {
    let packets = backend.store.packets(vec![row]).await?;
    let packet = packets.into_iter().next();
    packet.ok_or_else(|| Error::internal("a packet vanished", "send"))
}
