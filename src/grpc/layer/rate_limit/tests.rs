use std::convert::Infallible;

use tonic_types::StatusExt as _;
use tower::layer::layer_fn;

use super::*;
use crate::grpc::layer::Reason;
use crate::grpc::layer::testing::{Echo, FakeAuth, ask, request, serve};

fn limits(per_second: u32, burst: u32) -> (RateLimitLayer, Metrics) {
    let metrics = Metrics::new([]).unwrap();
    let number = |n| NonZeroU32::new(n).unwrap();
    (
        RateLimitLayer::new(number(per_second), number(burst), metrics.clone()),
        metrics,
    )
}

#[tokio::test]
async fn an_app_that_calls_too_often_is_told_when_to_come_back() {
    let (layer, metrics) = limits(1, 3);
    let server = serve(
        Echo::default(),
        layer_fn(move |echo| FakeAuth(layer.layer(echo))),
    )
    .await;
    let call = |app: &'static str| ask(&server, request("hello".to_owned(), &[("app", app)]));
    for _ in 0..3 {
        call("7").await.unwrap();
    }
    let status = call("7").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("RATE_LIMITED", "hongbao")
    );
    assert_eq!(info.metadata["app_id"], "7");
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(
        wait > Duration::from_millis(500) && wait <= Duration::from_secs(1),
        "{wait:?}"
    );
    call("8").await.unwrap();
    assert!(
        metrics
            .render()
            .contains(r#"hongbao_rate_limited_total{app_id="7"} 1"#)
    );
    tokio::time::sleep(wait).await;
    call("7").await.unwrap();
}

#[tokio::test]
async fn probes_and_calls_without_an_app_are_never_refused() {
    let (layer, _) = limits(1, 1);
    let mut service = layer.layer(tower::service_fn(|_| async {
        Ok::<_, Infallible>(http::Response::new(Body::default()))
    }));
    for (path, app) in [
        ("/grpc.health.v1.Health/Check", Some(AppId(1))),
        (
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            Some(AppId(1)),
        ),
        ("/hongbao.test.Echo/Say", None),
    ] {
        for _ in 0..10 {
            let mut request = http::Request::builder()
                .uri(path)
                .body(Body::default())
                .unwrap();
            app.map(|app| request.extensions_mut().insert(app));
            let response = service.call(request).await.unwrap();
            assert!(response.extensions().get::<Reason>().is_none(), "{path}");
        }
    }
}

#[test]
fn apps_that_went_away_are_forgotten() {
    let (layer, _) = limits(1_000_000, 1);
    for app in 0..i64::from(CHECKS_BETWEEN_SWEEPS) * 4 {
        let _ = layer.0.check(AppId(app));
    }
    assert!(layer.0.limiter.len() <= 2 * usize::try_from(CHECKS_BETWEEN_SWEEPS).unwrap());
}
