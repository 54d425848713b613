//! Vouchers and products, read one by one and in lists.

use hongbao::grpc::pb;
use tonic::Code;

use super::super::{OTHER, Table, bad, no, refused};
use super::gifts::wrong_owners;
use super::{ANN, active, answers, draft, given, made};
use crate::support::{SHOP, TestDb, on_both};
use crate::vouchers::owner;

on_both!(single_vouchers, lists_of_vouchers, lists_of_products);

async fn single_vouchers(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let voucher = given(client, "plain").await;
    let number = voucher.voucher_no.clone();
    let get = pb::GetVoucherRequest {
        shop_id: SHOP,
        voucher_no: number.clone(),
        ..Default::default()
    };
    let missing = || no(Code::NotFound, "VOUCHER_NOT_FOUND");
    let wrong = || bad(&[("voucher_no", "ID_INVALID")]);
    let found = refused!(table, vouchers.get_voucher, get, {
        "#7 neither id nor number": |r| r.voucher_no.clear() => bad(&[("voucher_no", "FIELD_REQUIRED")]),
        "#7 an id below zero": |r| r.voucher_id = -1 => bad(&[("voucher_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.voucher_id = 404_404 => missing(),
        "#7 a number of another day": |r| r.voucher_no = format!("RP20150404{}", &number[10..]) => missing(),
        "#7 a number that is not there": |r| r.voucher_no = format!("{}404404", &number[..10]) => missing(),
        "#8 one of another shop": |r| r.shop_id = OTHER => missing(),
        "#7 a number in small letters": |r| r.voucher_no = number.to_lowercase() => wrong(),
        "#7 a number of other digits": |r| r.voucher_no = "RP２０１５０４０４１２３４５６".into() => wrong(),
        "#7 a number with a blank": |r| r.voucher_no.push(' ') => wrong(),
        "#7 a number beyond all": |r| r.voucher_no = format!("RP20150404{}", "9".repeat(30)) => wrong(),
        "#28 a number of SQL": |r| r.voucher_no = "id;drop table".into() => wrong(),
    });
    assert_eq!(found.voucher.unwrap().voucher_id, voucher.voucher_id);
    table.finish().await;
}

async fn lists_of_vouchers(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    given(client, "plain").await;
    given(client, "plain").await;
    let filter = |change: fn(&mut pb::VoucherFilter)| {
        let mut filter = pb::VoucherFilter {
            owner: owner(ANN),
            ..Default::default()
        };
        change(&mut filter);
        Some(filter)
    };
    let list = pb::ListVouchersRequest {
        shop_id: SHOP,
        page_size: 1,
        filter: filter(|_| {}),
        with_total: true,
        ..Default::default()
    };
    let page = client.vouchers().list_vouchers(list.clone()).await.unwrap();
    let page_token = page.into_inner().next_page_token;
    assert!(!page_token.is_empty());
    wrong_owners!(table, list_vouchers, "filter.owner", |owner| {
        pb::ListVouchersRequest {
            filter: Some(pb::VoucherFilter {
                owner,
                ..Default::default()
            }),
            ..list.clone()
        }
    });
    let good = pb::ListVouchersRequest {
        page_token: page_token.clone(),
        ..list.clone()
    };
    let token = || bad(&[("page_token", "PAGE_TOKEN_INVALID")]);
    let found = refused!(table, vouchers.list_vouchers, good, {
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#27 the least page": |r| r.page_size = i32::MIN => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#27 a page by number and by token": |r| r.page_index = 1 => bad(&[("page_index", "FIELD_NOT_ALLOWED")]),
        "#47 half a token": |r| { r.page_token.pop(); } => token(),
        "#47 a token of another filter": |r| r.filter = filter(|f| f.validity = 1) => token(),
        "#47 a token of another shop": |r| r.shop_id = OTHER => token(),
    });
    assert_eq!((found.vouchers.len(), found.total_count), (1, Some(2)));
    let codes = |codes: usize| vec!["plain".to_owned(); codes];
    let good = pb::ListVouchersRequest {
        page_index: 2,
        ..list
    };
    let found = refused!(table, vouchers.list_vouchers, good, {
        "#27 page -1": |r| r.page_index = -1 => bad(&[("page_index", "OUT_OF_RANGE")]),
        "#27 page 10,001": |r| r.page_index = 10_001 => bad(&[("page_index", "OUT_OF_RANGE")]),
        "#27 the last page there could be": |r| r.page_index = i32::MAX => bad(&[("page_index", "OUT_OF_RANGE")]),
        "no filter": |r| r.filter = None => bad(&[("filter", "FIELD_REQUIRED")]),
        "a filter of nothing": |r| r.filter = filter(|f| { f.owner = None; f.validity = 1; }) => bad(&[("filter", "FIELD_REQUIRED")]),
        "#27 a validity that is not known": |r| r.filter = filter(|f| f.validity = 4) => bad(&[("filter.validity", "ENUM_UNKNOWN")]),
        "#27 a validity below zero": |r| r.filter = filter(|f| f.validity = -1) => bad(&[("filter.validity", "ENUM_UNKNOWN")]),
        "#37 a state that is not said": |r| r.filter = filter(|f| f.states = vec![2, 0]) => bad(&[("filter.states[1]", "ENUM_UNKNOWN")]),
        "#37 a state that is not known": |r| r.filter = filter(|f| f.states = vec![9]) => bad(&[("filter.states[0]", "ENUM_UNKNOWN")]),
        "51 products": |r| r.filter.as_mut().unwrap().product_codes = codes(51) => bad(&[("filter.product_codes", "BATCH_TOO_LARGE")]),
        "#24 a product of nothing, as a||b": |r| r.filter = filter(|f| f.product_codes = vec!["plain".into(), String::new()])
            => bad(&[("filter.product_codes[1]", "FIELD_REQUIRED")]),
        "#28 a product of SQL": |r| r.filter = filter(|f| f.product_codes = vec!["id;drop table".into()]) => bad(&[("filter.product_codes[0]", "ID_INVALID")]),
        "#29 a product of %": |r| r.filter = filter(|f| f.product_codes = vec!["%".into()]) => bad(&[("filter.product_codes[0]", "ID_INVALID")]),
        "#7 a product that is not there": |r| r.filter = filter(|f| f.product_codes = vec!["plain".into(), "nowhere".into()])
            => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#8 a product of another shop": |r| { r.shop_id = OTHER; r.filter = filter(|f| f.product_codes = vec!["plain".into()]); }
            => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "all at once": |r| r = pb::ListVouchersRequest {
            shop_id: SHOP, page_size: -1, page_token: "?".into(), page_index: -1,
            filter: filter(|f| { f.owner = owner("1"); f.product_codes = vec!["?".into()]; f.validity = 9; f.states = vec![9]; }), ..Default::default()
        } => bad(&[("filter.owner.mobile", "MOBILE_INVALID"), ("filter.product_codes[0]", "ID_INVALID"), ("filter.validity", "ENUM_UNKNOWN"),
                   ("filter.states[0]", "ENUM_UNKNOWN"), ("page_size", "OUT_OF_RANGE"), ("page_token", "PAGE_TOKEN_INVALID"), ("page_index", "OUT_OF_RANGE")]),
    });
    assert_eq!((found.vouchers.len(), found.total_count), (1, Some(2)));
    assert_eq!(found.next_page_token, "", "pages go by number");
    table.finish().await;
}

async fn lists_of_products(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    made(client, draft(client, "first")).await;
    made(client, draft(client, "second")).await;
    let list = pb::ListVoucherProductsRequest {
        shop_id: SHOP,
        page_size: 1,
        ..Default::default()
    };
    let mut vouchers = client.vouchers();
    let page = vouchers.list_voucher_products(list.clone()).await.unwrap();
    let page_token = page.into_inner().next_page_token;
    assert!(!page_token.is_empty());
    let token = || bad(&[("page_token", "PAGE_TOKEN_INVALID")]);
    let found = refused!(table, vouchers.list_voucher_products, pb::ListVoucherProductsRequest { page_token, ..list }, {
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#47 half a token": |r| { r.page_token.pop(); } => token(),
        "#47 a token of another shop": |r| r.shop_id = OTHER => token(),
    });
    assert_eq!(found.products.len(), 1);
    table.finish().await;
}
