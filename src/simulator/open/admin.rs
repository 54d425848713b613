//! The open platform's part of the admin API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::books::Payment;
use super::super::engine::Engine;
use super::{OpenBook, OpenFault, OpenFaults, OpenOrder, Platform, money, record_funds};

type Refused = (StatusCode, String);

pub(in super::super) fn router() -> Router<Arc<Engine>> {
    Router::new()
        .route("/_sim/open", get(about))
        .route("/_sim/open/books", get(book))
        .route("/_sim/open/orders", get(orders))
        .route("/_sim/open/payments", get(payments))
        .route("/_sim/open/stats", get(stats))
        .route("/_sim/open/balance", post(fund))
        .route("/_sim/open/faults", get(faults).post(set_faults))
}

fn platform(engine: &Engine) -> Result<&Platform, Refused> {
    let missing = || {
        (
            StatusCode::NOT_FOUND,
            "no open platform was started".to_owned(),
        )
    };
    engine.open.as_ref().ok_or_else(missing)
}

/// What it was started with, but for the secret.
async fn about(State(engine): State<Arc<Engine>>) -> Result<Json<Value>, Refused> {
    let config = platform(&engine)?.config();
    let templates = config.templates.iter().map(|(id, template)| {
        let about = json!({ "discount": template.discount.text(), "stock": template.stock });
        (id.clone(), about)
    });
    Ok(Json(json!({
        "merchant_id": config.merchant_id,
        "business_id": config.business_id,
        "appids": config.appids,
        "templates": Value::Object(templates.collect()),
        "callback_url": config.callback_url,
        "callback_signature": config.callback_signature(),
        "public_key": config.platform_key.as_ref().map(|key| key.public_pem()),
    })))
}

async fn book(State(engine): State<Arc<Engine>>) -> Json<OpenBook> {
    Json(engine.books.open_book())
}

async fn orders(State(engine): State<Arc<Engine>>) -> Json<Vec<OpenOrder>> {
    Json(engine.books.open_orders())
}

async fn payments(State(engine): State<Arc<Engine>>) -> Json<Vec<Payment>> {
    Json(engine.books.open_payments())
}

/// How calls were answered since the start, and how callbacks were since the books began.
async fn stats(State(engine): State<Arc<Engine>>) -> Result<Json<Value>, Refused> {
    let replies = platform(&engine)?.replies();
    let callbacks = engine.books.open_book().callbacks;
    Ok(Json(json!({ "replies": replies, "callbacks": callbacks })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Funding {
    /// Added to the balance; negative takes from it.
    add_fen: i64,
}

async fn fund(
    State(engine): State<Arc<Engine>>,
    Json(funding): Json<Funding>,
) -> Result<Json<OpenBook>, Refused> {
    platform(&engine)?;
    let micro_yuan = money::micro_of_fen(funding.add_fen);
    let books = &engine.books;
    let ((), receipt) = books.change(|change| record_funds(change, micro_yuan));
    let written = receipt.on_disk().await;
    written.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(books.open_book()))
}

async fn faults(State(engine): State<Arc<Engine>>) -> Result<Json<Value>, Refused> {
    Ok(Json(json!({
        "active": platform(&engine)?.faults(),
        "known": OpenFault::table(),
        "by_openid": "openId or bizCode oSIM-<NAME>-<anything>: as often as `strikes` says (0 is \
                      always); oSIM<k>-<NAME>-<anything>: on the first k sends of a bizCode",
    })))
}

async fn set_faults(
    State(engine): State<Arc<Engine>>,
    Json(change): Json<OpenFaults>,
) -> Result<Json<OpenFaults>, Refused> {
    let platform = platform(&engine)?;
    let changed = platform.set_faults(change);
    changed.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(platform.faults()))
}
