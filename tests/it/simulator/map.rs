//! The voucher platform from outside: over real HTTP, with the seed's requests and replies,
//! and none of our client.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hongbao::signing::map::{canonical, md5};
use hongbao::signing::private::PrivateKey;
use hongbao::signing::rsa::{Hash, PublicKey};
use hongbao::simulator::{Books, Config, MapCall, MapConfig, MapFault, Simulator, start};
use serde_json::{Value, json};

use super::client::http;

const PRIVATE: &str = include_str!("../../golden/map/private.pem");
const PUBLIC: &str = include_str!("../../golden/map/public.pem");

struct Platform {
    simulator: Simulator,
    http: reqwest::Client,
    nonce: std::cell::Cell<u32>,
}

async fn platform(books: Option<PathBuf>) -> Platform {
    let map = MapConfig {
        public_key: PublicKey::from_pem(PUBLIC),
        ..MapConfig::from_seed(1)
    };
    let config = Config {
        books,
        map: Some(map),
        ..Config::default()
    };
    Platform {
        simulator: start(config).await.unwrap(),
        http: http().build().unwrap(),
        nonce: std::cell::Cell::new(0),
    }
}

impl Platform {
    fn nonce(&self) -> String {
        self.nonce.set(self.nonce.get() + 1);
        format!("nonce-{}", self.nonce.get())
    }

    fn app(&self) -> Value {
        let map = self.simulator.map().unwrap();
        let (time, nonce) = ("20150504153000", self.nonce());
        let key = map.app_key.as_deref().unwrap();
        let signature = md5(&[&map.app_id, key, &nonce, time]);
        json!({ "appId": map.app_id, "timeStamp": time, "nonce": nonce, "signature": signature })
    }

    fn ordered(&self, order: Value, values: &[&str]) -> Value {
        let (time, nonce, order_md5) = ("20150504153001", self.nonce(), md5(values));
        let app_id = &self.simulator.map().unwrap().app_id;
        let text = canonical(&[&order_md5, app_id, time, &nonce]);
        let key = PrivateKey::from_pem(PRIVATE).unwrap();
        let signature = STANDARD.encode(key.sign(Hash::Sha1, text.as_bytes()).unwrap());
        let tsig = json!({ "orderMD5": order_md5, "signature": signature, "timeStamp": time, "nonce": nonce });
        json!({ "app": self.app(), "order": order, "tsig": tsig })
    }

    fn give(&self, order: &str, sum: i64) -> Value {
        let (mobile, product, remark) = (
            "13912345678",
            "HONGBAO_YYD",
            "某某为用户赠送有油贷1000元红包",
        );
        let body = json!({ "mobileNum": mobile, "sum": sum, "redPaperProductId": product, "appOrderId": order, "remark": remark });
        self.ordered(body, &[mobile, &sum.to_string(), remark, order, product])
    }

    fn query(&self, page: u32, size: u32, products: &str) -> Value {
        let query = json!({
            "pageSize": size, "pageIndex": page, "mobileNum": "13912345678",
            "redPaperProductId": products, "expireIn": "ALL",
        });
        json!({ "app": self.app(), "query": query })
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.simulator.base_url());
        let sent = self.http.post(url).body(body.to_string()).send().await;
        let text = sent
            .unwrap()
            .error_for_status()
            .unwrap()
            .text()
            .await
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn it_speaks_as_the_seed_does() {
    let platform = platform(None).await;
    let none = platform
        .post("/redPaper/query", &platform.query(1, 10, ""))
        .await;
    assert_eq!(none["errcode"], 10_000);
    assert_eq!(none["errmsg"], "没有查询到该用户的红包，其它错误");
    for n in 1..=3 {
        let request = platform.give(&format!("order-{n}"), 100_000 + n);
        let given = platform.post("/gw/redPaper/give", &request).await;
        assert_eq!(
            (&given["errcode"], &given["errmsg"]),
            (&json!(0), &json!("赠送红包成功"))
        );
        let order = &given["order"];
        assert_eq!(
            (&order["status"], &order["startTime"]),
            (&json!("正常"), &json!(""))
        );
        assert!(
            order["endTime"].as_str().unwrap().ends_with(" 24:00:00"),
            "{order}"
        );
        assert_eq!(order["sum"], 100_000 + n);
    }
    let page = platform
        .post("/redPaper/query", &platform.query(2, 2, "HONGBAO_YYD|X"))
        .await;
    assert_eq!((&page["total"], &page["pageIndex"]), (&json!(3), &json!(2)));
    assert_eq!(page["list"].as_array().unwrap().len(), 1);
    assert_eq!(page["list"][0]["redPaperProductName"], "有油贷红包");
    assert_eq!(page.get("errcode"), None);
}

#[tokio::test]
async fn what_is_forged_or_comes_again_is_refused() {
    let platform = platform(None).await;
    let good = platform.give("order-1", 100);
    let change = |path: &[&str], value: Value| {
        let mut request = platform.give("order-1", 100);
        let (last, way) = path.split_last().unwrap();
        let target = way
            .iter()
            .fold(&mut request, |value, name| &mut value[*name]);
        target[*last] = value;
        request
    };
    for (request, code) in [
        (change(&["order", "sum"], json!(101)), 24_102),
        (change(&["order", "sum"], json!("100")), 24_101),
        (
            change(&["order", "mobileNum"], json!("13912345679")),
            24_102,
        ),
        (change(&["order", "more"], json!(1)), 24_101),
        (change(&["app", "appId"], json!("another")), 24_102),
        (change(&["app", "signature"], json!("0".repeat(32))), 24_102),
        (change(&["tsig", "signature"], json!("AAAA")), 24_102),
        (
            change(&["tsig", "timeStamp"], json!("20150504153002")),
            24_102,
        ),
        (json!({}), 24_101),
    ] {
        let refused = platform.post("/gw/redPaper/give", &request).await;
        assert_eq!(refused["errcode"], code, "{request}");
    }
    assert_eq!(
        platform.post("/gw/redPaper/give", &good).await["errcode"],
        0
    );
    // The very same bytes are a replay; the same order with new nonces is another gift.
    assert_eq!(
        platform.post("/gw/redPaper/give", &good).await["errcode"],
        24_102
    );
    let again = platform.give("order-1", 100);
    assert_eq!(
        platform.post("/gw/redPaper/give", &again).await["errcode"],
        0
    );
    let book = platform.simulator.books().map();
    assert_eq!((book.vouchers.len(), book.double_gives), (2, 1));
}

#[tokio::test]
async fn the_books_outlive_it_and_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.jsonl");
    let platform = self::platform(Some(path.clone())).await;
    let admin = platform.simulator.admin_url();
    let faults = json!({ "next": { "give": ["TIMEOUT_TWICE", "ERROR_AFTER"] }, "odds": { "query": { "SLOW": 1000 } } });
    let set = platform.http.post(format!("{admin}/_sim/map/faults"));
    let set = set
        .header("content-type", "application/json")
        .body(faults.to_string());
    assert!(set.send().await.unwrap().status().is_success());
    let cut = platform.http.post(format!(
        "{}/gw/redPaper/give",
        platform.simulator.base_url()
    ));
    let cut = cut.body(platform.give("order-1", 100).to_string());
    let cut = cut
        .timeout(std::time::Duration::from_millis(300))
        .send()
        .await;
    assert!(cut.unwrap_err().is_timeout());
    let error = platform
        .post("/gw/redPaper/give", &platform.give("order-2", 100))
        .await;
    assert_eq!(error["errcode"], 10_000);
    let before = platform.simulator.books().map();
    let seen = platform
        .http
        .get(format!("{admin}/_sim/map/books"))
        .send()
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(&seen.text().await.unwrap()).unwrap();
    assert_eq!(seen["vouchers"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&seen["double_gives"], &seen["calls"]["give"]),
        (&json!(1), &json!(2))
    );
    platform.simulator.shutdown().await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("TIMEOUT_TWICE") && !text.contains("13912345678"),
        "{text}"
    );

    let platform = self::platform(Some(path.clone())).await;
    assert_eq!(platform.simulator.books().map(), before);
    assert_eq!(before.calls[&MapCall::Give], 2);
    assert!(Books::read(&path).unwrap().is_empty(), "no packet was paid");
    assert_eq!(
        serde_json::to_value(MapFault::ErrorAfter).unwrap(),
        "ERROR_AFTER"
    );
}
