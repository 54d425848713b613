//! The database at its limits: away, slow, locked by another, or with words in it
//! that this version does not know. Callers get a stable reason and may come again;
//! nothing has to be restarted.

use std::sync::Arc;
use std::time::Duration;

use hongbao::domain::{Reason, Timestamp};
use hongbao::grpc::pb::{self, IssuanceState as S};
use sea_orm::ConnectionTrait as _;
use tonic_types::StatusExt as _;

use crate::sending::ready;
use crate::support::{Options, Raw, Server, TestApp, TestDb, block_on, on_both, reason};
use crate::traps::{open, write_setting};

const SHOP: i64 = 1;

on_both!(an_unknown_word_in_a_row_is_an_internal_error);

async fn an_unknown_word_in_a_row_is_an_internal_error(db: TestDb) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oAlice").await.unwrap();
    let raw = Raw::open(&app.db).await;
    raw.unguard("issuance").await;
    raw.run("UPDATE issuance SET state = 'TELEPORTED'").await;
    let request = pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(sent.issuance_id)),
        ..Default::default()
    };
    let status = app
        .client
        .issuances()
        .get_issuance(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    assert_eq!(reason(&status), "INTERNAL");
    // What is in the row is for the log, not for the caller.
    assert!(!status.message().contains("TELEPORTED"), "{status:?}");
    app.stop().await;
}

#[test]
fn time_limits_of_postgres_are_an_outage_to_callers() {
    block_on(async {
        let db = TestDb::postgres();
        let store = open(&db, 4).await;
        let slow = store.write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared("SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)")
                    .await?;
                Ok(())
            })
        });
        let error = slow.await.unwrap_err();
        assert_eq!(error.reason, Reason::DatabaseUnavailable, "{error:?}");
        let raw = Raw::open(&db).await;
        raw.run("BEGIN; LOCK TABLE setting").await;
        let locked = store.write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared(
                    "SET LOCAL lock_timeout = 50; DELETE FROM setting WHERE name = 'x'",
                )
                .await?;
                Ok(())
            })
        });
        let error = locked.await.unwrap_err();
        assert_eq!(error.reason, Reason::DatabaseUnavailable, "{error:?}");
        raw.run("ROLLBACK").await;
        // Limits that a unit set for itself ended with it.
        let limits = store.write(|tx| {
            Box::pin(async move {
                let sql = "DO $$ BEGIN IF current_setting('statement_timeout') <> '10s' OR current_setting('lock_timeout') <> '2s' THEN RAISE EXCEPTION 'other limits'; END IF; END $$";
                tx.execute_unprepared(sql).await?;
                Ok(())
            })
        });
        limits.await.unwrap();
        write_setting(&store, "after".into()).await.unwrap();
        store.close().await;
    });
}

#[test]
fn an_outage_is_told_and_outlived() {
    block_on(async {
        let server = Server::start();
        server.sql("postgres", "CREATE DATABASE away");
        let db = TestDb {
            url: server.url("away"),
            folder: tempfile::tempdir().unwrap(),
        };
        let settings = hongbao::store::Settings {
            url: db.url.clone(),
            connections_max: 2,
            time_scale: 1,
        };
        hongbao::store::migrate(&settings).await.unwrap();
        let app = TestApp::start(db).await;
        let campaign = ready(&app, 10_000).await;
        let first = app.client.send(SHOP, campaign, "oBefore").await.unwrap();

        server.stop();
        let request = app.client.send_request(SHOP, campaign, "oDuring");
        let status = app
            .client
            .issuances()
            .send_red_packet(request.clone())
            .await
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
        assert_eq!(reason(&status), "DATABASE_UNAVAILABLE");
        let retry = status.get_error_details().retry_info().cloned().unwrap();
        assert!(retry.retry_delay.unwrap() >= Duration::from_millis(100));
        assert!(app.store().check_writable().await.is_err(), "not ready");

        server.start_again();
        let began = std::time::Instant::now();
        let sent = loop {
            match app
                .client
                .issuances()
                .send_red_packet(request.clone())
                .await
            {
                Ok(sent) => break sent.into_inner(),
                Err(status) => {
                    assert_eq!(reason(&status), "DATABASE_UNAVAILABLE");
                    assert!(began.elapsed() < Duration::from_secs(10), "never back");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        for id in [first.issuance_id, sent.issuance.unwrap().issuance_id] {
            app.client.await_state(SHOP, id, &[S::Received]).await;
        }
        app.assert_sound().await;
        app.stop().await;
    });
}

#[test]
fn sqlite_readers_never_wait_and_writers_say_so_at_once() {
    block_on(async {
        let db = TestDb::sqlite();
        let store = open(&db, 4).await;
        let (started, go) = (
            Arc::new(tokio::sync::Notify::new()),
            Arc::new(tokio::sync::Notify::new()),
        );
        let (starts, goes) = (Arc::clone(&started), Arc::clone(&go));
        let writer = store.clone();
        let writing = tokio::spawn(async move {
            writer
                .write(move |tx| {
                    let (starts, goes) = (Arc::clone(&starts), Arc::clone(&goes));
                    Box::pin(async move {
                        // Nothing is written yet, and yet the write lock is held.
                        let _now: Timestamp = tx.now();
                        starts.notify_one();
                        goes.notified().await;
                        tx.execute_unprepared(
                            "INSERT INTO setting (name, value) VALUES ('slow', 'x')",
                        )
                        .await?;
                        Ok(())
                    })
                })
                .await
        });
        started.notified().await;
        let raw = Raw::open(&db).await;
        raw.run("PRAGMA busy_timeout = 0").await;
        let locked = raw.refused("BEGIN IMMEDIATE").await;
        assert!(locked.contains("locked"), "{locked}");
        for _ in 0..50 {
            let read = tokio::time::timeout(Duration::from_millis(500), store.now());
            read.await.expect("a reader waits for the writer").unwrap();
        }
        assert_eq!(
            raw.number("SELECT COUNT(*) FROM setting WHERE name = 'slow'")
                .await,
            0
        );
        go.notify_one();
        writing.await.unwrap().unwrap();
        assert_eq!(
            raw.number("SELECT COUNT(*) FROM setting WHERE name = 'slow'")
                .await,
            1
        );
        store.close().await;
    });
}

#[test]
fn a_second_server_on_one_sqlite_file_is_refused() {
    block_on(async {
        let app = TestApp::start(TestDb::sqlite()).await;
        let error = hongbao::app::start(&app.config).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("another hongbao process serves"), "{text}");
        assert!(text.contains("PostgreSQL"), "says what to do: {text}");
        let migrating = std::process::Command::new(env!("CARGO_BIN_EXE_hongbao"))
            .arg("migrate")
            .env_remove("HONGBAO_CONFIG")
            .env("HONGBAO__DATABASE__URL", &app.db.url)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&migrating.stderr);
        assert!(text.contains("another hongbao process serves"), "{text}");
        let app = app.restart(|_| {}).await;
        app.stop().await;
    });
}

#[test]
fn a_check_reads_the_files_that_a_start_would_read() {
    let folder = tempfile::tempdir().unwrap();
    let check = |flag: &str, api_key_file: &str| {
        let config = folder.path().join("hongbao.toml");
        let text = format!(
            "[database]\nurl = \"sqlite://{}/h.db\"\n[credentials.main]\nmch_id = \"1900000109\"\napi_key_file = \"{}\"\n",
            folder.path().display(),
            folder.path().join(api_key_file).display(),
        );
        std::fs::write(&config, text).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_hongbao"))
            .args(["serve", flag, "--config"])
            .arg(config)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };
    std::fs::write(folder.path().join("key.txt"), "a".repeat(32)).unwrap();
    std::fs::write(folder.path().join("short.txt"), "a").unwrap();
    assert_eq!(check("--check", "key.txt"), (true, String::new()));
    assert_eq!(check("--print-config", "absent.txt"), (true, String::new()));
    for (file, says) in [
        ("absent.txt", "absent.txt"),
        ("short.txt", "an API key has 32 characters"),
    ] {
        let (passed, said) = check("--check", file);
        assert!(
            !passed && said.contains("credentials.main") && said.contains(says),
            "{said}"
        );
    }
    assert!(
        !folder.path().join("h.db").exists(),
        "a check makes no database"
    );
}
