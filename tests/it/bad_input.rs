//! What a wrong request is answered, and that it leaves no trace.
//!
//! Each row changes one thing of a request that is good as it stands, and names the
//! code, the reason and every field violation of the answer. All rows of an RPC use
//! one request id, and in the end the good request is accepted with it: a refused
//! call does not use its id up. Rows of `reference/reliability.md` §4 are named by
//! their number, as "#17".

mod admin;
mod asks;
mod audience;
mod campaign;
mod events;
mod groups;
mod import;
mod issuance;
mod kinds;
mod many;
mod open_platform;
mod people;
mod platforms;
mod pots;
mod reasons;
mod scans;
mod searches;
mod shops;
mod states;
mod vouchers;
mod wire;

use std::sync::Mutex;

use hongbao::domain::role::Role;
use hongbao::grpc::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Counts, Options, Raw, SHOP, TestApp, TestDb, reason, violations};

/// A shop that the account is not granted to.
const OTHER: i64 = 2;

/// A server whose packets stay where they are, so that rows can be counted.
struct Table {
    app: TestApp,
    raw: Raw,
    account: i64,
    /// All rows that were answered otherwise, to be shown together.
    wrong: Mutex<Vec<String>>,
}

/// The answer that is due.
struct Want {
    code: Code,
    reason: &'static str,
    violations: Vec<(&'static str, &'static str)>,
}

/// Field violations, in order.
fn bad(violations: &[(&'static str, &'static str)]) -> Want {
    Want {
        code: Code::InvalidArgument,
        reason: "INVALID_FIELDS",
        violations: violations.to_vec(),
    }
}

/// A refusal that is not about a field.
fn no(code: Code, reason: &'static str) -> Want {
    Want {
        code,
        reason,
        violations: Vec::new(),
    }
}

impl Table {
    async fn start(db: TestDb) -> Self {
        Self::start_with(db, false).await
    }

    /// A server that sends: for rows about what has ended.
    async fn lively(db: TestDb) -> Self {
        Self::start_with(db, true).await
    }

    async fn start_with(db: TestDb, dispatcher: bool) -> Self {
        let options = Options {
            dispatcher,
            ..Options::default()
        };
        Self::start_in(db, options).await
    }

    /// A server on real time: what is held stays held, and codes hold for their minutes.
    async fn in_real_time(db: TestDb) -> Self {
        let options = Options {
            dispatcher: false,
            time_scale: 1,
            ..Options::default()
        };
        Self::start_in(db, options).await
    }

    async fn start_in(db: TestDb, options: Options) -> Self {
        let app = TestApp::start_with(db, options).await;
        let raw = Raw::open(&app.db).await;
        app.client.make_shop(SHOP).await;
        app.client.make_shop(OTHER).await;
        let made = app
            .client
            .admin()
            .create_provider_account(Self::account_request(&app))
            .await
            .unwrap();
        let account = made.into_inner().account.unwrap().account_id;
        let wrong = Mutex::default();
        Self {
            app,
            raw,
            account,
            wrong,
        }
    }

    /// The same, called by a person.
    async fn by_person(mut self, roles: &[Role]) -> Self {
        self.app.client = self.app.person("caller", roles).await;
        self
    }

    /// Wider than WeChat Pay's default, so that a scene can be asked for.
    fn account_request(app: &TestApp) -> pb::CreateProviderAccountRequest {
        let merchant = app.simulator.merchant();
        pb::CreateProviderAccountRequest {
            request_id: "account".into(),
            protocol: "wechat_pay_v2".into(),
            mch_id: merchant.mch_id.clone(),
            credential: "simulator".into(),
            appids: vec![merchant.appid().to_owned()],
            shop_ids: vec![SHOP],
            min_amount_fen: 30,
            max_amount_fen: 50_000,
            ..Default::default()
        }
    }

    async fn judge(&self, row: &str, before: &Counts, answer: Result<(), Status>, want: &Want) {
        let found = match &answer {
            Ok(()) => "OK".to_owned(),
            Err(status) => describe(status),
        };
        let due = format!("{:?} {} {:?}", want.code, want.reason, want.violations);
        let mut wrong = Vec::new();
        if found != due {
            wrong.push(format!("{row}\n   due: {due}\n found: {found}"));
        }
        if &self.raw.counts().await != before {
            wrong.push(format!("{row}: rows were written"));
        }
        self.wrong.lock().unwrap().extend(wrong);
    }

    async fn finish(self) {
        let wrong = self.wrong.into_inner().unwrap();
        assert!(
            wrong.is_empty(),
            "{} rows:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        let findings = self.app.store().verify().await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        self.app.stop().await;
    }
}

/// Code, reason and violations; whether their number is said correctly.
fn describe(status: &Status) -> String {
    let found = violations(status);
    let found: Vec<_> = found
        .iter()
        .map(|(path, reason)| (path.as_str(), reason.as_str()))
        .collect();
    let details = status.get_error_details();
    let count = details
        .error_info()
        .and_then(|info| info.metadata.get("violation_count").cloned());
    let miscounted = count.map_or(0, |count| count.parse().unwrap()) != found.len();
    let note = if miscounted { " MISCOUNTED" } else { "" };
    format!("{:?} {} {found:?}{note}", status.code(), reason(status))
}

/// Runs rows over one RPC: `name: |request| change => answer`. The request itself,
/// unchanged, must be accepted after all of them.
macro_rules! refused {
    ($table:expr, $service:ident.$method:ident, $good:expr, {
        $($name:literal: |$request:ident| $change:expr => $want:expr),+ $(,)?
    }) => {{
        let table: &crate::bad_input::Table = &$table;
        let good = $good;
        let rows = vec![$({
            let mut $request = good.clone();
            // Some rows replace all of it.
            let _ = &$request;
            $change;
            ($name, $request, $want)
        }),+];
        for (name, request, want) in rows {
            let before = table.raw.counts().await;
            let answer = table.app.client.$service().$method(request).await;
            let row = format!("{}: {name}", stringify!($method));
            table.judge(&row, &before, answer.map(drop), &want).await;
        }
        let answer = table.app.client.$service().$method(good).await;
        answer.expect(concat!(stringify!($method), ": the good request")).into_inner()
    }};
}
use refused;

/// One byte more than a bound, in characters of three bytes and a rest.
fn over(bytes_max: usize) -> String {
    at(bytes_max + 1)
}

/// So many bytes, in characters of three bytes and a rest.
fn at(bytes: usize) -> String {
    "红".repeat(bytes / 3) + &"x".repeat(bytes % 3)
}

fn time(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}
