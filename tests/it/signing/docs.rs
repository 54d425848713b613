//! docs/signatures.md says what this program does: its values are computed here anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hongbao::grpc::pb;
use hongbao::signing::call::{body_digest, canonical, hmac_sign};
use hongbao::signing::map;
use prost::Message as _;

use super::{APP_KEY, NAME, private};

const TEXT: &str = include_str!("../../../docs/signatures.md");

/// A line of the document that is a value, as its examples show one.
fn shown(value: &str) {
    let line = format!("# {value}");
    assert!(TEXT.lines().any(|found| found == line), "no line: {line}");
}

fn rsa(text: &str) -> String {
    let signature = private().pkcs1v15_sign::<sha2::Sha256>(text.as_bytes());
    STANDARD.encode(signature.unwrap())
}

#[test]
fn the_example_of_a_call_is_right() {
    let message = pb::ListShopsRequest {
        page_size: 5,
        ..Default::default()
    };
    let digest = body_digest(&message.encode_to_vec());
    shown(&digest);
    let path = "/hongbao.v1.AdminService/ListShops";
    let text = canonical(path, "1795700000", "4f0c1d5be2a94c6f8d7e", &digest);
    shown(&STANDARD.encode(hmac_sign(APP_KEY, &text)));
    shown(&rsa(&text));
}

#[test]
fn the_example_of_an_order_is_right() {
    let app = [NAME, APP_KEY, "n0nce123", "1795700000"];
    let give = [
        "13912345678",
        "100000",
        "某某为用户赠送有油贷1000元红包",
        "AO123456789",
        "HONGBAO_YYD",
    ];
    let order_md5 = map::md5(&give);
    let tsig = [order_md5.as_str(), NAME, "1795700001", "n0nce456"];
    for values in [app.as_slice(), &give, &tsig] {
        shown(&map::canonical(values));
    }
    shown(&map::md5(&app));
    shown(&order_md5);
    shown(&rsa(&map::canonical(&tsig)));
    let spend = [
        "13912345678",
        "RP20150404123456|RP20150404123457",
        "使用红包消费",
        "AO201412122344888444",
        "231435",
        "",
    ];
    shown(&map::md5(&spend));
}
