//! The admin API: reading the books, changing the balance, setting faults, reading limits. JSON, loopback only.
//!
//! It has a listener of its own so that client certificates and faults never stand in its way.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::books::{Payment, Totals};
use super::chaos::FaultTable;
use super::clock;
use super::engine::Engine;
use super::fault::Fault;
use super::map::{MapBook, MapFaults};
use super::open;

type Refused = (StatusCode, String);

pub(super) fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/_sim/books", get(books))
        .route("/_sim/payments", get(payments))
        .route("/_sim/balance", post(fund))
        .route("/_sim/faults", get(faults).post(set_faults))
        .route("/_sim/limits", get(limits))
        .route("/_sim/map/books", get(map_books))
        .route("/_sim/map/faults", get(map_faults).post(set_map_faults))
        .merge(open::admin::router())
        .with_state(engine)
}

#[derive(Debug, Serialize)]
struct BooksView {
    #[serde(flatten)]
    totals: Totals,
    /// Simulated time in Beijing.
    now: String,
}

async fn books(State(engine): State<Arc<Engine>>) -> Json<BooksView> {
    Json(view(&engine))
}

fn view(engine: &Engine) -> BooksView {
    BooksView {
        totals: engine.books.totals(),
        now: clock::beijing(engine.books.now_ms()),
    }
}

async fn payments(State(engine): State<Arc<Engine>>) -> Json<Vec<Payment>> {
    Json(engine.books.payments())
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
) -> Result<Json<BooksView>, Refused> {
    let funded = engine.books.fund(funding.add_fen).await;
    funded.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(view(&engine)))
}

async fn faults(State(engine): State<Arc<Engine>>) -> Json<Value> {
    Json(json!({
        "active": engine.faults(),
        "known": Fault::table(),
        "by_openid": "oSIM-<NAME>-<anything>: as often as `strikes` says (0 is always); \
                      oSIM<k>-<NAME>-<anything>: on the first k sends of a number",
    }))
}

async fn set_faults(
    State(engine): State<Arc<Engine>>,
    Json(change): Json<FaultTable>,
) -> Result<Json<FaultTable>, Refused> {
    let changed = engine.set_faults(change);
    changed.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(engine.faults()))
}

/// The vouchers that the platform gave, what became of them, and how often it was asked.
async fn map_books(State(engine): State<Arc<Engine>>) -> Json<MapBook> {
    Json(engine.books.map())
}

async fn map_faults(State(engine): State<Arc<Engine>>) -> Result<Json<MapFaults>, Refused> {
    let map = engine.map.as_ref().ok_or_else(no_platform)?;
    Ok(Json(map.faults()))
}

async fn set_map_faults(
    State(engine): State<Arc<Engine>>,
    Json(faults): Json<MapFaults>,
) -> Result<Json<MapFaults>, Refused> {
    let map = engine.map.as_ref().ok_or_else(no_platform)?;
    map.set_faults(faults);
    Ok(Json(map.faults()))
}

fn no_platform() -> Refused {
    let text = "no voucher platform was started".to_owned();
    (StatusCode::NOT_FOUND, text)
}

async fn limits(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let gate = &engine.gate;
    Json(json!({
        "limits": gate.limits(),
        "refused": gate.refused(),
        "peak_sends_per_second": gate.peak_sends_per_second(),
    }))
}
