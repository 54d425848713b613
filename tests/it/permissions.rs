//! Who may call what: every RPC of the contract, called without a key, with a wrong
//! one, without the grant, for another tenant, and by right.
//!
//! The RPCs come from the descriptor set, so a new one fails here until it has a
//! request of its own in `requests.rs`. The table is kept in `docs/permissions.md`;
//! `UPDATE_DOCS=1` writes it.

mod requests;
mod things;
mod unmask;
mod vouchers;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hongbao::domain::grant::Permission;
use hongbao::domain::role::Role;
use hongbao::grpc::{DESCRIPTOR, PERMISSIONS, pb};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::Type;
use prost_types::{FieldDescriptorProto, FileDescriptorSet};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Options, SHOP, TestApp, TestDb, call, on_both, reason};
use requests::good;
use things::{OTHER, Things};

on_both!(every_rpc_asks_for_its_permission, wrong_keys_read_alike);

/// An RPC as the contract has it.
struct Rpc {
    path: String,
    permission: &'static str,
    input: String,
    streams: bool,
}

/// The fields of every message of the contract.
type Messages = BTreeMap<String, Vec<FieldDescriptorProto>>;

impl Rpc {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    fn is_platform(&self) -> bool {
        things::is_platform(self.permission)
    }

    /// The field of a path, with those that it lies in, outermost first.
    fn field(&self, messages: &Messages, path: &str) -> Option<Vec<FieldDescriptorProto>> {
        let (mut found, mut fields) = (Vec::new(), messages.get(&self.input)?);
        for name in path.split('.') {
            let field = fields.iter().find(|field| field.name() == name)?;
            found.push(field.clone());
            if field.r#type() == Type::Message {
                fields = messages.get(last(field.type_name()))?;
            }
        }
        Some(found)
    }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap()
}

fn rpcs() -> (Vec<Rpc>, Messages) {
    let set = FileDescriptorSet::decode(DESCRIPTOR).unwrap();
    let ours = set
        .file
        .iter()
        .filter(|file| file.package() == "hongbao.v1");
    let messages = ours
        .clone()
        .flat_map(|file| &file.message_type)
        .map(|message| (message.name().to_owned(), message.field.clone()))
        .collect();
    let mut rpcs = Vec::new();
    for service in ours.flat_map(|file| &file.service) {
        for method in &service.method {
            let path = format!("/hongbao.v1.{}/{}", service.name(), method.name());
            let (_, permission) = PERMISSIONS.iter().find(|(rpc, _)| *rpc == path).unwrap();
            rpcs.push(Rpc {
                path,
                permission,
                input: last(method.input_type()).to_owned(),
                streams: method.server_streaming(),
            });
        }
    }
    assert_eq!(rpcs.len(), PERMISSIONS.len());
    (rpcs, messages)
}

/// A field with this id, in the fields that it lies in. Behind a message it stands for
/// what the message had there, or beside it where there may be several.
fn with(path: &[FieldDescriptorProto], id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in path.iter().rev() {
        let number = u32::try_from(field.number()).unwrap();
        let inner = if field.r#type() == Type::Message {
            std::mem::take(&mut bytes)
        } else if field.r#type() == Type::String {
            id.as_bytes().to_vec()
        } else {
            encode_key(number, WireType::Varint, &mut bytes);
            encode_varint(id.parse().unwrap(), &mut bytes);
            continue;
        };
        encode_key(number, WireType::LengthDelimited, &mut bytes);
        encode_varint(u64::try_from(inner.len()).unwrap(), &mut bytes);
        bytes.extend_from_slice(&inner);
    }
    bytes
}

/// As long as this id, and nobody's.
fn missing(id: &str) -> String {
    // The number of a voucher: its day may be anyone's.
    if let Some(day) = id.get(..10).filter(|day| day.starts_with("RP")) {
        return format!("{day}{}", "9".repeat(id.len() - 10));
    }
    let nine = if id.bytes().all(|b| b.is_ascii_digit()) {
        "9"
    } else {
        "z"
    };
    nine.repeat(id.len())
}

/// All that a caller can read in a refusal, but for the id that he named himself.
fn seen(status: &Status, id: &str) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    let mut facts: Vec<_> = info
        .metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.replace(id, "ID")))
        .collect();
    facts.sort();
    format!(
        "{:?} {:?} {} {facts:?} {:?} {:?} {}",
        status.code(),
        status.message().replace(id, "ID"),
        info.reason,
        details.bad_request(),
        details.retry_info(),
        status.details().len()
    )
}

fn cell(answer: &Result<(), Status>) -> String {
    match answer {
        Ok(()) => "OK".to_owned(),
        Err(status) => reason(status),
    }
}

async fn every_rpc_asks_for_its_permission(db: TestDb) {
    let options = Options {
        open: Some(Box::new(hongbao::simulator::OpenConfig::from_seed(1))),
        dispatcher: false,
        // What is held for an order must stay held.
        time_scale: 1,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let things = Things::make(&app).await;
    let channel = app.client.channel();
    let wrong = format!("{}{}", &app.key[..app.key.len() - 4], "0000");
    let mut table = String::new();
    let (rpcs, messages) = rpcs();
    for rpc in rpcs {
        let name = rpc.name();
        let ask = async |key: Option<&str>, message: Vec<u8>| {
            call(&channel, &rpc.path, rpc.streams, key, message).await
        };
        let message = good(name, &things);
        let none = ask(None, message.clone()).await.map(drop);
        let bad = ask(Some(&wrong), message.clone()).await.map(drop);
        let without = things.key_without(rpc.permission);
        let without = ask(Some(without), message.clone()).await.map(drop);
        assert_eq!(none.as_ref().unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(cell(&none), "CREDENTIAL_MISSING", "{name}");
        assert_eq!(bad.as_ref().unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(cell(&bad), "CREDENTIAL_INVALID", "{name}");
        assert_eq!(without.as_ref().unwrap_err().code(), Code::PermissionDenied);
        assert_eq!(cell(&without), "PERMISSION_MISSING", "{name}");

        let only = things.key_for(name, rpc.permission);
        let (mut other_shop, mut other_ids) = ("—".to_owned(), Vec::new());
        if !rpc.is_platform() {
            // An approval brings its shop along.
            if let Some(field) = rpc.field(&messages, "shop_id") {
                let ask_shop = async |shop: &str| {
                    let message = [message.clone(), with(&field, shop)].concat();
                    ask(Some(only), message).await.unwrap_err()
                };
                let foreign = OTHER.to_string();
                let (theirs, nobodys) = (ask_shop(&foreign).await, ask_shop("99999").await);
                assert_eq!(seen(&theirs, &foreign), seen(&nobodys, "99999"), "{name}");
                other_shop = reason(&theirs);
                assert_eq!(other_shop, "SHOP_NOT_FOUND", "{name}");
            }
            for (field, id) in things.foreign() {
                // A group of an id that only another shop has is a new one here.
                let Some(field) = rpc
                    .field(&messages, field)
                    .filter(|_| name != "UpsertGroup")
                else {
                    continue;
                };
                let ask_id = async |id: &str| {
                    let message = [message.clone(), with(&field, id)].concat();
                    ask(Some(only), message).await.expect_err(name)
                };
                let (theirs, nobodys) = (ask_id(&id).await, ask_id(&missing(&id)).await);
                assert_eq!(seen(&theirs, &id), seen(&nobodys, &missing(&id)), "{name}");
                let found = reason(&theirs);
                // Vouchers that are in an order's way are all named, whatever the cause.
                let code = match found.as_str() {
                    "VOUCHER_NOT_USABLE" => Code::FailedPrecondition,
                    _ => Code::NotFound,
                };
                assert_eq!(theirs.code(), code, "{name}: {theirs:?}");
                if !other_ids.contains(&found) {
                    other_ids.push(found);
                }
            }
        }
        let right = ask(Some(only), message).await.map(drop);
        let due = match name {
            // There can be but one account of the simulator's merchant.
            "CreateProviderAccount" => "ALREADY_EXISTS",
            // Nobody sends here.
            "QueryProviderStatus" => "ISSUANCE_NOT_SENT",
            "CloseReview" | "CloseVoucherReview" => "NOT_IN_REVIEW",
            _ => "OK",
        };
        assert_eq!(cell(&right), due, "{name}: {right:?}");
        let ids = if other_ids.is_empty() {
            "—".to_owned()
        } else {
            other_ids.join(", ")
        };
        writeln!(
            table,
            "| {} | {} | {} | {} | {} | {other_shop} | {ids} | {} |",
            rpc.path.trim_start_matches("/hongbao.v1."),
            rpc.permission,
            cell(&none),
            cell(&bad),
            cell(&without),
            cell(&right),
        )
        .unwrap();
    }
    compare(&table);
    // A filter by somebody else's ids finds what a filter by nobody's finds.
    let key = things.key_with("ISSUANCE_READ");
    let reader = app.client.with_key(Some(key));
    for (field, id) in things.foreign() {
        let mut filter = pb::IssuanceFilter::default();
        match field {
            "campaign_id" => filter.campaign_id = id.parse().unwrap(),
            "batch_id" => filter.batch_id = id.parse().unwrap(),
            "uid" => filter.uid = id,
            _ => continue,
        }
        let request = pb::ListIssuancesRequest {
            shop_id: SHOP,
            filter: Some(filter),
            ..Default::default()
        };
        let found = reader.issuances().list_issuances(request).await.unwrap();
        assert_eq!(found.into_inner(), pb::ListIssuancesResponse::default());
    }
    app.stop().await;
}

/// A line for each permission: which roles hold it.
fn roles() -> String {
    let names = Role::ALL.map(|role| role.name().to_lowercase());
    let mut table = format!(
        "| permission | platform | {} |\n|---|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (name, permission) in Permission::ALL {
        let mark = |held: bool| if held { "yes" } else { "—" };
        let held = Role::ALL.map(|role| mark(role.permissions().contains(&permission)));
        let platform = mark(permission.is_platform());
        writeln!(table, "| {name} | {platform} | {} |", held.join(" | ")).unwrap();
    }
    table
}

fn compare(rows: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/permissions.md");
    let text = format!(
        "# Who may call what\n\n\
         Made by `UPDATE_DOCS=1 cargo test permissions` from the descriptor set; the test calls each RPC in each of\n\
         these ways. \"Other shop\" and \"other's ids\" are called with a grant in one shop for what belongs to another:\n\
         the answer is byte for byte the one for an id that does not exist. \"Right\" is called with a grant of this\n\
         permission alone.\n\n\
         | RPC | permission | no key | wrong key | missing grant | other shop | other's ids | right |\n\
         |---|---|---|---|---|---|---|---|\n{rows}\n\
         ## What a role holds\n\n\
         A person (`hongbao operator create --role`) holds what any of the roles holds. \"Platform\" is over the whole\n\
         installation, and held by people of all shops alone. A system is granted permissions one by one.\n\n{}",
        roles()
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == text,
        "docs/permissions.md is old; run UPDATE_DOCS=1 cargo test permissions\n{text}"
    );
}

/// Nobody learns from the answer what is wrong with a key.
async fn wrong_keys_read_alike(db: TestDb) {
    let app = TestApp::start(db).await;
    let things = Things::make(&app).await;
    let path = "/hongbao.v1.CampaignService/ListCampaigns";
    let revoked = things.revoked_key().await;
    let (id, secret) = app.key[3..].split_once('_').unwrap();
    let mut answers = Vec::new();
    for key in [
        format!("hb_{id}_{}", "0".repeat(secret.len())),
        format!("hb_{}_{secret}", "0".repeat(id.len())),
        format!("hb_{id}_{}", &secret[1..]),
        format!("hb_{id}"),
        "password".to_owned(),
        String::new(),
        revoked,
    ] {
        let channel = app.client.channel();
        let status = call(&channel, path, false, Some(&key), Vec::new()).await;
        answers.push(seen(&status.unwrap_err(), "no id"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(answers[0].contains("CREDENTIAL_INVALID"), "{answers:?}");
    app.stop().await;
}
