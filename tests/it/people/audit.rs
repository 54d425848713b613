//! The record of every write.

use hongbao::domain::role::Role;
use hongbao::grpc::pb;

use crate::sending::ready;
use crate::support::{Client, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    every_hand_on_money_is_listed,
    people_resume_what_was_stopped
);

async fn audit(client: &Client, request: pb::ListAuditRequest) -> pb::ListAuditResponse {
    let listed = client.admin().list_audit(request).await.unwrap();
    listed.into_inner()
}

async fn every_hand_on_money_is_listed(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let viewer = app.person("vera", &[Role::Viewer]).await;
    let runner = app.person("olaf", &[Role::Operator]).await;
    runner.fund(SHOP, campaign, 500).await;
    let status = viewer.send(SHOP, campaign, "oX").await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let all = audit(&viewer, pb::ListAuditRequest::default()).await;
    let newest = &all.entries[0];
    assert_eq!(
        (
            newest.actor.as_str(),
            newest.method.as_str(),
            newest.resource_id
        ),
        ("operator:olaf", "FundCampaign", campaign)
    );
    let methods: Vec<&str> = all.entries.iter().map(|e| e.method.as_str()).collect();
    for method in [
        "CreateShop",
        "CreateProviderAccount",
        "CreateCampaign",
        "ActivateCampaign",
        "hongbao app create",
    ] {
        assert!(methods.contains(&method), "{method}: {methods:?}");
    }
    // Page by page it is the same.
    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = audit(
            &viewer,
            pb::ListAuditRequest {
                page_size: 2,
                page_token,
                ..Default::default()
            },
        )
        .await;
        paged.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all.entries);
    let funded = audit(
        &viewer,
        pb::ListAuditRequest {
            methods: vec!["FundCampaign".into()],
            app_id: newest.app_id,
            shop_id: SHOP,
            start_time: newest.create_time,
            ..Default::default()
        },
    );
    assert_eq!(funded.await.entries, vec![newest.clone()]);
    app.stop().await;
}

async fn people_resume_what_was_stopped(db: TestDb) {
    let app = TestApp::start(db).await;
    app.client.make_shop(SHOP).await;
    let scope = || {
        Some(pb::StopScope {
            scope: Some(pb::stop_scope::Scope::ShopId(SHOP)),
        })
    };
    let olaf = app.person("olaf", &[Role::Operator]).await;
    let stop = pb::StopAllRequest {
        request_id: app.client.fresh(),
        scope: scope(),
        reason: "r".into(),
        ..Default::default()
    };
    app.client.admin().stop_all(stop).await.unwrap();
    let resume = pb::ResumeAllRequest {
        request_id: app.client.fresh(),
        scope: scope(),
        reason: "r".into(),
        ..Default::default()
    };
    let trial = pb::ResumeAllRequest {
        validate_only: true,
        ..resume.clone()
    };
    let tried = olaf.admin().resume_all(trial).await.unwrap().into_inner();
    assert!(!tried.stop.unwrap().stopped);
    let done = olaf.admin().resume_all(resume.clone()).await.unwrap();
    assert!(!done.into_inner().replayed);
    let again = olaf.admin().resume_all(resume.clone()).await.unwrap();
    assert!(again.into_inner().replayed);
    let mut other = resume;
    other.reason = "other".into();
    let status = olaf.admin().resume_all(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let who = pb::ListAuditRequest {
        methods: vec!["StopAll".into(), "ResumeAll".into()],
        ..Default::default()
    };
    let who = audit(&olaf, who).await.entries;
    let who: Vec<&str> = who.iter().map(|entry| entry.actor.as_str()).collect();
    assert_eq!(who, ["operator:olaf", "app:admin"]);
    app.stop().await;
}
