//! Around the product: rows counted on a connection of our own, and calls whose
//! bytes are made by hand.

use std::collections::BTreeMap;

use prost::bytes::{Buf as _, BufMut as _, Bytes};
use sea_orm::{
    ConnectionTrait as _, Database, DatabaseConnection, DatabaseTransaction, Statement,
    TransactionTrait as _,
};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::database::TestDb;

/// A connection that the server knows nothing of.
pub struct Raw {
    db: DatabaseConnection,
    postgres: bool,
}

/// Rows by table.
pub type Counts = BTreeMap<String, i64>;

impl Raw {
    pub async fn connect(db: &TestDb) -> Self {
        Self {
            postgres: db.is_postgres(),
            db: Database::connect(&db.url).await.unwrap(),
        }
    }

    fn statement(&self, text: &str) -> Statement {
        Statement::from_string(self.db.get_database_backend(), text)
    }

    /// Runs a statement; gives how many rows it changed.
    pub async fn execute(&self, text: &str) -> u64 {
        let done = self.db.execute_raw(self.statement(text)).await.unwrap();
        done.rows_affected()
    }

    /// Keeps everybody else from writing packets until this is rolled back.
    pub async fn hold(&self) -> DatabaseTransaction {
        let held = self.db.begin().await.unwrap();
        let text = if self.postgres {
            "LOCK TABLE issuance IN EXCLUSIVE MODE"
        } else {
            "UPDATE issuance SET version = version"
        };
        held.execute_raw(self.statement(text)).await.unwrap();
        held
    }

    /// One number.
    pub async fn number(&self, text: &str) -> i64 {
        let row = self.db.query_one_raw(self.statement(text)).await.unwrap();
        row.unwrap().try_get_by_index(0).unwrap()
    }

    /// Every table's rows, and the versions of what changes in place. Leased id
    /// blocks are left out: an id that nobody gets is not a trace of a call.
    pub async fn counts(&self) -> Counts {
        let tables = if self.postgres {
            "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'public'"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let rows = self.db.query_all_raw(self.statement(tables)).await.unwrap();
        let mut counts = Counts::new();
        for row in rows {
            let name: String = row.try_get("", "name").unwrap();
            if name != "id_block" {
                let count = self.number(&format!("SELECT COUNT(*) FROM {name}")).await;
                counts.insert(name, count);
            }
        }
        assert!(counts.len() > 10, "{counts:?}");
        for table in ["campaign", "issuance"] {
            let text = format!("SELECT CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM {table}");
            counts.insert(format!("{table} versions"), self.number(&text).await);
        }
        counts
    }
}

/// Bytes as they are.
#[derive(Clone, Debug, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Calls an RPC by its path with a message of these bytes: the first answer.
pub async fn call(
    channel: &Channel,
    path: &str,
    streams: bool,
    key: Option<&str>,
    message: Vec<u8>,
) -> Result<Bytes, Status> {
    let mut request = Request::new(Bytes::from(message));
    if let Some(key) = key {
        let value = format!("Bearer {key}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let path = path.parse().unwrap();
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    if !streams {
        let answer = grpc.unary(request, path, BytesCodec).await?;
        return Ok(answer.into_inner());
    }
    let answer = grpc.server_streaming(request, path, BytesCodec).await?;
    let first = answer.into_inner().message().await?;
    Ok(first.unwrap_or_default())
}
