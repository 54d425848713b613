//! Provider accounts.

use std::net::Ipv4Addr;

use super::{
    Backend, Caller, Fields, NAME_RULE, check_count, convert, parse_call, parse_shops, pb, plan,
};
use crate::domain::id::AccountId;
use crate::domain::money::BUDGET_MAX;
use crate::domain::packet::Capability;
use crate::domain::protocol::Protocol;
use crate::domain::text::{Appid, Code};
use crate::domain::{Fen, Reason, Result};
use crate::store::account::{Account, AccountUpdate, NewAccount, appids, capabilities};
use crate::store::entity::provider_account;

/// Appids of one call at most.
const APPIDS_MAX: usize = 20;
/// Requests per second of an account at most.
const RATE_MAX: i64 = 10_000;
/// A packet at most, in fen; WeChat Pay allows no account more than this.
const AMOUNT_MAX: i64 = 10_000_000;
/// Why some fields are not for an account that gives vouchers.
const OF_PACKETS: &str = "is for accounts that pay red packets";

pub(super) async fn create_account(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateProviderAccountRequest,
) -> Result<pb::CreateProviderAccountResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateProviderAccount",
        None,
        r,
        CreateProviderAccountRequest
    );
    let new = parse_account(&mut fields, r);
    let (call, new) = fields.finish(call.zip(new))?;
    backend
        .providers
        .check(&new.credential, new.protocol, &new.mch_id, &new.shops)?;
    let done = backend.store.create_account(call, new).await?;
    backend.wake.notify_waiters();
    Ok(pb::CreateProviderAccountResponse {
        account: Some(render_account(&done.row)?),
        replayed: done.replayed,
    })
}

fn parse_account(fields: &mut Fields, r: &pb::CreateProviderAccountRequest) -> Option<NewAccount> {
    let protocol = fields.name(
        &r.protocol,
        "protocol",
        Protocol::parse,
        Reason::EnumUnknown,
        "\"wechat_pay_v2\", \"open_platform\" or \"map\"",
    );
    // What is wrong with the rest is told by the rules of the usual one.
    let known = protocol.unwrap_or(Protocol::WechatPayV2);
    let mch_id = fields.name(
        &r.mch_id,
        "mch_id",
        |raw| known.merchant(raw),
        Reason::IdInvalid,
        known.merchant_rule(),
    );
    let credential = fields.name(
        &r.credential,
        "credential",
        Code::parse,
        Reason::IdInvalid,
        NAME_RULE,
    );
    if known.pays_packets() {
        check_count(fields, "appids", r.appids.len(), APPIDS_MAX);
    } else {
        refuse_packets(fields, r);
    }
    let appids = parse_appids(fields, "appids", &r.appids);
    if r.shop_ids.is_empty() {
        fields.bad(
            "shop_ids",
            Reason::FieldRequired,
            "name the shops that may pay through it",
        );
    }
    let shops = parse_shops(fields, "shop_ids", &r.shop_ids);
    let client_ip = match r.client_ip.as_str() {
        "" => Some(Ipv4Addr::LOCALHOST),
        text => fields.take(
            text.parse().ok(),
            "client_ip",
            Reason::IdInvalid,
            "must be a dotted IPv4 address",
        ),
    };
    let bounds = bounds(known);
    let min = or(r.min_amount_fen, bounds.0);
    let min = fields.within(min, "min_amount_fen", 1, AMOUNT_MAX);
    let max = or(r.max_amount_fen, bounds.1);
    let max = fields.within(max, "max_amount_fen", 1, AMOUNT_MAX);
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        fields.bad(
            "max_amount_fen",
            Reason::AmountOutOfRange,
            "must be at least min_amount_fen",
        );
    }
    let sends = parse_rate(fields, "sends_per_second", r.sends_per_second);
    let queries = parse_rate(fields, "queries_per_second", r.queries_per_second);
    let quotas = parse_quotas(fields, [r.openid_day_count, r.openid_day_fen, r.day_fen]);
    let asked = parse_capabilities(fields, "capabilities", &r.capabilities);
    if known == Protocol::OpenPlatform && !r.capabilities.is_empty() {
        let text = "an open platform sends to one openid and can do nothing else; leave it out";
        fields.bad("capabilities", Reason::FieldNotAllowed, text);
    }
    let [openid_day_count, openid_day_fen, day_fen] = quotas;
    let daily = |default| if known.pays_packets() { default } else { 0 };
    let plan = plan::parse(fields, r.plan.as_ref());
    Some(NewAccount {
        plan: plan?,
        protocol: protocol?.name(),
        mch_id: mch_id?,
        credential: credential?,
        appids,
        shops,
        client_ip: client_ip?.to_string(),
        min_amount: Fen(min?),
        max_amount: Fen(max?),
        sends_per_second: sends?,
        queries_per_second: queries?,
        openid_day_count: openid_day_count?.unwrap_or(daily(10)),
        openid_day_fen: Fen(openid_day_fen?.unwrap_or(daily(100_000))),
        day_fen: Fen(day_fen?.unwrap_or(daily(100_000_000))),
        confirm_refusals: r.confirm_refusals.unwrap_or(true),
        capabilities: match r.capabilities.is_empty() {
            true => protocol?.capabilities(),
            false => asked,
        },
    })
}

/// The smallest and the largest amount, unless the account says otherwise.
fn bounds(protocol: Protocol) -> (i64, i64) {
    match protocol {
        Protocol::WechatPayV2 | Protocol::OpenPlatform => (100, 20_000),
        Protocol::Map => (1, AMOUNT_MAX),
    }
}

/// What an account that gives vouchers cannot have.
fn refuse_packets(fields: &mut Fields, r: &pb::CreateProviderAccountRequest) {
    for (path, set) in [
        ("appids", !r.appids.is_empty()),
        ("client_ip", !r.client_ip.is_empty()),
        ("capabilities", !r.capabilities.is_empty()),
        ("openid_day_count", r.openid_day_count.is_some()),
        ("openid_day_fen", r.openid_day_fen.is_some()),
        ("day_fen", r.day_fen.is_some()),
        ("plan", r.plan.is_some()),
    ] {
        if set {
            fields.bad(path, Reason::FieldNotAllowed, OF_PACKETS);
        }
    }
}

/// Appids, each at its own path.
fn parse_appids(fields: &mut Fields, path: &str, raw: &[String]) -> Vec<Appid> {
    let rule = "1 to 32 characters of [A-Za-z0-9_-]";
    let appids = raw.iter().enumerate().take(APPIDS_MAX);
    appids
        .filter_map(|(index, appid)| {
            let path = format!("{path}[{index}]");
            fields.name(appid, &path, Appid::parse, Reason::AppidInvalid, rule)
        })
        .collect()
}

fn parse_capabilities(fields: &mut Fields, path: &str, raw: &[i32]) -> Vec<Capability> {
    let raw = raw.iter().enumerate();
    raw.filter_map(|(index, raw)| {
        fields.choice(*raw, &format!("{path}[{index}]"), convert::parse_capability)
    })
    .collect()
}

fn or(raw: i64, default: i64) -> i64 {
    if raw == 0 { default } else { raw }
}

fn parse_rate(fields: &mut Fields, path: &str, raw: i32) -> Option<i32> {
    let rate = fields.within(or(i64::from(raw), 30), path, 1, RATE_MAX)?;
    i32::try_from(rate).ok()
}

/// Daily quotas: of an openid in packets and in fen, of the account in fen; 0 bounds
/// nothing. The outer option is nothing where one is wrong.
fn parse_quotas(fields: &mut Fields, raw: [Option<i64>; 3]) -> [Option<Option<i64>>; 3] {
    let [count, openid, whole] = raw;
    let mut quota = |raw: Option<i64>, path, most| match raw {
        None => Some(None),
        Some(raw) => fields.within(raw, path, 0, most).map(Some),
    };
    [
        quota(count, "openid_day_count", 1_000_000),
        quota(openid, "openid_day_fen", BUDGET_MAX.0),
        quota(whole, "day_fen", BUDGET_MAX.0),
    ]
}

pub(super) async fn update_account(
    backend: &Backend,
    caller: &Caller,
    r: &pb::UpdateProviderAccountRequest,
) -> Result<pb::UpdateProviderAccountResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "UpdateProviderAccount",
        None,
        r,
        UpdateProviderAccountRequest
    );
    let id = fields.id(r.account_id, "account_id", AccountId::parse);
    let mut rate = |path: &str, raw: Option<i32>| {
        raw.and_then(|rate| fields.within(i64::from(rate), path, 1, RATE_MAX))
            .and_then(|rate| i32::try_from(rate).ok())
    };
    let sends_per_second = rate("sends_per_second", r.sends_per_second);
    let queries_per_second = rate("queries_per_second", r.queries_per_second);
    let quotas = parse_quotas(
        &mut fields,
        [r.openid_day_count, r.openid_day_fen, r.day_fen],
    );
    let [openid_day_count, openid_day_fen, day_fen] = quotas.map(Option::flatten);
    if r.clear_plan && r.plan.is_some() {
        let text = "take the plan away, or bring a new one";
        fields.bad("clear_plan", Reason::FieldNotAllowed, text);
    }
    let plan = match (&r.plan, r.clear_plan) {
        (None, false) => None,
        (raw, _) => plan::parse(&mut fields, raw.as_ref()),
    };
    let update = AccountUpdate {
        plan,
        openid_day_count,
        openid_day_fen: openid_day_fen.map(Fen),
        day_fen: day_fen.map(Fen),
        add_shops: parse_shops(&mut fields, "add_shop_ids", &r.add_shop_ids),
        add_appids: parse_appids(&mut fields, "add_appids", &r.add_appids),
        add_capabilities: parse_capabilities(&mut fields, "add_capabilities", &r.add_capabilities),
        remove_capabilities: parse_capabilities(
            &mut fields,
            "remove_capabilities",
            &r.remove_capabilities,
        ),
        enabled: r.enabled,
        sends_per_second,
        queries_per_second,
        confirm_refusals: r.confirm_refusals,
        close_breaker: r.close_breaker,
    };
    if r.add_appids.len() > APPIDS_MAX {
        fields.bad("add_appids", Reason::BatchTooLarge, "at most 20");
    }
    let (call, id) = fields.finish(call.zip(id))?;
    of_packets(backend, id, r).await?;
    if !update.add_shops.is_empty() {
        let account = backend.store.account(id).await?;
        backend.providers.check(
            &account.row.credential,
            &account.row.protocol,
            &account.row.mch_id,
            &update.add_shops,
        )?;
    }
    let done = backend.store.update_account(call, id, update).await?;
    backend.wake.notify_waiters();
    Ok(pb::UpdateProviderAccountResponse {
        account: Some(render_account(&done.row)?),
        replayed: done.replayed,
    })
}

/// Whether the account may have what is asked for it.
async fn of_packets(
    backend: &Backend,
    id: AccountId,
    r: &pb::UpdateProviderAccountRequest,
) -> Result<()> {
    let asked = [
        ("openid_day_count", r.openid_day_count.is_some()),
        ("openid_day_fen", r.openid_day_fen.is_some()),
        ("day_fen", r.day_fen.is_some()),
        ("add_appids", !r.add_appids.is_empty()),
        ("add_capabilities", !r.add_capabilities.is_empty()),
        ("plan", r.plan.is_some()),
    ];
    let mut fields = Fields::default();
    for (path, _) in asked.into_iter().filter(|(_, set)| *set) {
        fields.bad(path, Reason::FieldNotAllowed, OF_PACKETS);
    }
    match fields.finish(Some(())) {
        Ok(()) => Ok(()),
        Err(refusal) => {
            let account = backend.store.account(id).await?;
            let can = match Protocol::parse(&account.row.protocol) {
                Some(Protocol::OpenPlatform) => r.add_capabilities.is_empty(),
                protocol => protocol.is_none_or(Protocol::pays_packets),
            };
            match can {
                true => Ok(()),
                false => Err(refusal),
            }
        }
    }
}

pub(super) fn render_account(account: &Account) -> Result<pb::ProviderAccount> {
    let row = &account.row;
    Ok(pb::ProviderAccount {
        account_id: row.id.0,
        protocol: row.protocol.clone(),
        mch_id: row.mch_id.to_string(),
        credential: row.credential.to_string(),
        appids: appids(row)?.iter().map(ToString::to_string).collect(),
        shop_ids: account.shops.iter().map(|shop| shop.0).collect(),
        client_ip: row.client_ip.clone(),
        min_amount_fen: row.min_amount_fen.0,
        max_amount_fen: row.max_amount_fen.0,
        sends_per_second: row.sends_per_second,
        queries_per_second: row.queries_per_second,
        openid_day_count: row.openid_day_count,
        openid_day_fen: row.openid_day_fen.0,
        day_fen: row.day_fen.0,
        day_used_count: account.used.count,
        day_used_fen: account.used.sum.0,
        confirm_refusals: row.confirm_refusals,
        enabled: row.enabled,
        capabilities: capabilities(row)?
            .into_iter()
            .map(convert::capability)
            .collect(),
        breaker: Some(render_breaker(row)),
        create_time: convert::time(row.create_time),
        money_breaker: plan::render(account.breaker.as_ref()),
    })
}

pub(super) fn render_breaker(row: &provider_account::Model) -> pb::Breaker {
    pb::Breaker {
        open: row.breaker_code.is_some(),
        code: row.breaker_code.clone().unwrap_or_default(),
        probe_time: convert::optional_time(row.breaker_until),
    }
}
