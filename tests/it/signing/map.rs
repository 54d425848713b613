//! Gifts and spends that are signed as seed 002 has it, past the RPCs that take them.

use hongbao::domain::Reason;
use hongbao::domain::id::ShopId;
use hongbao::grpc::pb::{MapHash, SigningRequired as R, SigningScheme as S};
use hongbao::service::map_signature::{Give, MapSignature, Operation, Spend, admit, verify};
use hongbao::signing::map::{Rules, ambiguity::Field, canonical, md5};
use hongbao::store::End;

use super::{APP_KEY, Ground, NAME, nonce, private, seconds};
use crate::support::{SHOP, TestDb, on_both};

on_both!(
    what_is_signed_right_passes,
    what_is_signed_wrong_is_refused,
    forgeries_are_refused,
    nonces_are_of_one_order,
    who_must_sign_must,
);

const MINE: ShopId = ShopId(SHOP);

fn give() -> Give<'static> {
    Give {
        mobile: "13912345678",
        sum_fen: 100_000,
        remark: "某某为用户赠送有油贷1000元红包",
        app_order_id: "AO123456789",
        product_code: "HONGBAO_YYD",
    }
}

fn spend(vouchers: &[String]) -> Spend<'_> {
    Spend {
        mobile: "13912345678",
        voucher_nos: vouchers,
        remark: "使用红包消费",
        app_order_id: "AO201412122344888444",
        associated_order_id: "AO201412122344888444",
        account_code: "231435",
        payment_code_md5: "",
        names_amounts: false,
    }
}

fn vouchers() -> Vec<String> {
    let numbers = ["RP20150404123456", "RP20150404123457"];
    numbers.map(str::to_owned).to_vec()
}

/// How an app signs.
#[derive(Clone)]
pub(super) struct Ink {
    hash: MapHash,
    covers_associated: bool,
    key: &'static str,
    name: &'static str,
    pub(super) app_timestamp: String,
    tsig_timestamp: String,
    pub(super) app_nonce: String,
    pub(super) tsig_nonce: String,
}

impl Ink {
    pub(super) fn new() -> Self {
        Self {
            hash: MapHash::Sha256,
            covers_associated: false,
            key: APP_KEY,
            name: NAME,
            app_timestamp: seconds(0).to_string(),
            tsig_timestamp: seconds(1).to_string(),
            app_nonce: nonce(),
            tsig_nonce: nonce(),
        }
    }

    pub(super) fn sign(&self, operation: &Operation<'_>) -> MapSignature {
        let rules = Rules {
            covers_associated: self.covers_associated,
            order_id_prefix: None,
        };
        let texts = operation.texts();
        let fields = operation.fields(&rules, &texts);
        let order_md5 = md5(&fields.iter().map(Field::value).collect::<Vec<_>>());
        let app = [self.name, self.key, &self.app_nonce, &self.app_timestamp];
        let tsig = [
            &order_md5,
            self.name,
            &self.tsig_timestamp,
            &self.tsig_nonce,
        ];
        MapSignature {
            app_timestamp: self.app_timestamp.clone(),
            app_nonce: self.app_nonce.clone(),
            app_signature: md5(&app),
            tsig_timestamp: self.tsig_timestamp.clone(),
            tsig_nonce: self.tsig_nonce.clone(),
            tsig_signature: rsa_sign(self.hash, &canonical(&tsig)),
            order_md5,
        }
    }
}

fn rsa_sign(hash: MapHash, text: &str) -> String {
    use base64::Engine as _;
    let (key, text) = (private(), text.as_bytes());
    let signature = match hash {
        MapHash::Sha1 => key.pkcs1v15_sign::<sha1::Sha1>(text),
        MapHash::Md5 => key.pkcs1v15_sign::<md5::Md5>(text),
        MapHash::Sha256 | MapHash::Unspecified => key.pkcs1v15_sign::<sha2::Sha256>(text),
    };
    base64::engine::general_purpose::STANDARD.encode(signature.unwrap())
}

/// Why it is refused, in the name of the contract; empty: it is not.
async fn said(ground: &Ground, signature: &MapSignature, operation: &Operation<'_>) -> String {
    said_in(ground, MINE, signature, operation).await
}

async fn said_in(
    ground: &Ground,
    shop: ShopId,
    signature: &MapSignature,
    operation: &Operation<'_>,
) -> String {
    let store = ground.app.store();
    let done = verify(store, (ground.id, shop), signature, operation, End::Commit).await;
    match done {
        Ok(()) => String::new(),
        Err(error) => error.reason.name().to_owned(),
    }
}

async fn ready(db: TestDb) -> Ground {
    let ground = Ground::make(db).await;
    let mut setting = ground.setting(&[S::Map], R::Nothing);
    setting.order_id_prefix = Some("AO".into());
    ground.set(setting).await.unwrap();
    ground
}

async fn what_is_signed_right_passes(db: TestDb) {
    let ground = ready(db).await;
    let numbers = vouchers();
    for hash in [MapHash::Sha1, MapHash::Sha256, MapHash::Md5] {
        for covers_associated in [false, true] {
            let mut setting = ground.setting(&[S::Map], R::Nothing);
            setting.order_id_prefix = Some("AO".into());
            setting.map_hash = hash.into();
            setting.map_covers_associated_order_id = covers_associated;
            ground.set(setting).await.unwrap();
            let ink = Ink {
                hash,
                covers_associated,
                ..Ink::new()
            };
            let spend = Operation::Spend(spend(&numbers));
            assert_eq!(said(&ground, &ink.sign(&spend), &spend).await, "");
            let other = Ink {
                covers_associated: !covers_associated,
                ..ink
            };
            let due = "SIGNATURE_INVALID";
            assert_eq!(said(&ground, &other.sign(&spend), &spend).await, due);
        }
    }
    let mut setting = ground.setting(&[S::Map], R::Nothing);
    setting.order_id_prefix = Some("AO".into());
    ground.set(setting).await.unwrap();
    let give = Operation::Give(give());
    // Digits in upper case are the same digest; but what RSA signs is the text that was sent.
    let mut signature = Ink::new().sign(&give);
    signature.app_signature.make_ascii_uppercase();
    assert_eq!(said(&ground, &signature, &give).await, "");
    // Beijing's time, as the seed's vectors have it, and one nonce for both parts.
    let at = hongbao::domain::Timestamp::from_parts(seconds(8 * 3_600), 0).unwrap();
    let beijing: String = at
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let once = nonce();
    let ink = Ink {
        app_timestamp: beijing.clone(),
        tsig_timestamp: beijing,
        app_nonce: once.clone(),
        tsig_nonce: once,
        ..Ink::new()
    };
    assert_eq!(said(&ground, &ink.sign(&give), &give).await, "");
    ground.stop().await;
}

async fn what_is_signed_wrong_is_refused(db: TestDb) {
    let ground = ready(db).await;
    let give = Operation::Give(give());
    let ink = Ink::new();
    let good = ink.sign(&give);
    let mut wrong = Vec::new();
    for other in [
        Ink {
            key: "secretAppKey-0123456780",
            ..ink.clone()
        },
        Ink {
            name: "another",
            ..ink.clone()
        },
        Ink {
            hash: MapHash::Sha1,
            ..ink.clone()
        },
        Ink {
            hash: MapHash::Md5,
            ..ink.clone()
        },
    ] {
        wrong.push(other.sign(&give));
    }
    let swap = |change: fn(&mut MapSignature)| {
        let mut signature = good.clone();
        change(&mut signature);
        signature
    };
    wrong.extend([
        swap(|s| s.app_nonce.push('x')),
        swap(|s| s.tsig_nonce.push('x')),
        swap(|s| s.order_md5 = "0".repeat(32)),
        swap(|s| s.app_signature = "0".repeat(32)),
        swap(|s| s.tsig_signature = "AAAA".into()),
        swap(|s| s.tsig_signature = "not*base64".into()),
        swap(|s| s.tsig_signature.make_ascii_lowercase()),
        swap(|s| s.tsig_signature.clear()),
        swap(|s| std::mem::swap(&mut s.app_timestamp, &mut s.tsig_timestamp)),
    ]);
    for signature in &wrong {
        assert_eq!(
            said(&ground, signature, &give).await,
            "SIGNATURE_INVALID",
            "{signature:?}"
        );
    }
    // Without a secret there is no signature: seed 002's source also took a bare MD5 here.
    let bare = md5(&[
        &good.order_md5,
        NAME,
        &good.tsig_timestamp,
        &good.tsig_nonce,
    ]);
    let mut signature = good.clone();
    signature.tsig_signature = bare;
    assert_eq!(said(&ground, &signature, &give).await, "SIGNATURE_INVALID");

    for later in [-310, 310] {
        let old = Ink {
            app_timestamp: seconds(later).to_string(),
            ..Ink::new()
        };
        assert_eq!(
            said(&ground, &old.sign(&give), &give).await,
            "TIMESTAMP_SKEW"
        );
        let old = Ink {
            tsig_timestamp: seconds(later).to_string(),
            ..Ink::new()
        };
        assert_eq!(
            said(&ground, &old.sign(&give), &give).await,
            "TIMESTAMP_SKEW"
        );
    }
    for bad in [
        swap(|s| s.app_nonce = "7".into()),
        swap(|s| s.tsig_nonce.clear()),
        swap(|s| s.app_signature.push('0')),
        swap(|s| s.order_md5 = "g".repeat(32)),
    ] {
        assert_eq!(
            said(&ground, &bad, &give).await,
            "INVALID_FIELDS",
            "{bad:?}"
        );
    }
    assert_eq!(
        said(&ground, &good, &give).await,
        "",
        "nothing of that was in its way"
    );

    // An app that does not sign this way.
    ground
        .set(ground.setting(&[S::HmacSha256], R::Nothing))
        .await
        .unwrap();
    let signature = Ink::new().sign(&give);
    assert_eq!(said(&ground, &signature, &give).await, "SIGNATURE_INVALID");
    ground.stop().await;
}

/// docs/signatures.md has these as a table.
async fn forgeries_are_refused(db: TestDb) {
    let ground = ready(db).await;
    // What is signed for one order and sent with another of the same digest.
    let numbers = vouchers();
    let (one, two) = ([numbers[0].clone()], [numbers[1].clone()]);
    let pairs = [
        (
            Operation::Give(Give {
                remark: "1",
                ..give()
            }),
            Operation::Give(Give {
                sum_fen: 1,
                remark: "100000",
                ..give()
            }),
        ),
        (
            Operation::Give(Give {
                app_order_id: "123456789",
                ..give()
            }),
            Operation::Give(Give {
                sum_fen: 123_456_789,
                app_order_id: "100000",
                ..give()
            }),
        ),
        (
            Operation::Give(Give {
                app_order_id: "13800138000",
                ..give()
            }),
            Operation::Give(Give {
                mobile: "13800138000",
                app_order_id: "13912345678",
                ..give()
            }),
        ),
        (
            Operation::Spend(Spend {
                remark: &two[0],
                ..spend(&one)
            }),
            Operation::Spend(Spend {
                remark: &one[0],
                ..spend(&two)
            }),
        ),
    ];
    for (signed, sent) in pairs {
        let signature = Ink::new().sign(&signed);
        for operation in [&signed, &sent] {
            let said = said(&ground, &signature, operation).await;
            assert_eq!(said, "SIGNATURE_AMBIGUOUS", "{operation:?}");
        }
    }
    // What no format keeps apart even so: letters that an order takes from a product.
    let give = Operation::Give(Give {
        app_order_id: "AO1",
        ..give()
    });
    let signature = Ink::new().sign(&give);
    let forged = Operation::Give(Give {
        app_order_id: "AO1HONG",
        product_code: "BAO_YYD",
        ..self::give()
    });
    assert_eq!(
        said(&ground, &signature, &forged).await,
        "SIGNATURE_AMBIGUOUS"
    );
    assert_eq!(said(&ground, &signature, &give).await, "");
    // The nonce and the time, where both are digits: another nonce, the same digest.
    let now = seconds(0).to_string();
    let digits = Ink {
        app_timestamp: now.clone(),
        app_nonce: now.repeat(2),
        ..Ink::new()
    };
    let signature = digits.sign(&give);
    assert_eq!(
        said(&ground, &signature, &give).await,
        "",
        "both cuts are the same one"
    );

    // What nobody signs.
    let spent = Operation::Spend(Spend {
        names_amounts: true,
        ..spend(&numbers)
    });
    assert_eq!(
        said(&ground, &Ink::new().sign(&spent), &spent).await,
        "INVALID_FIELDS"
    );
    let spent = Operation::Spend(spend(&numbers));
    let elsewhere = said_in(&ground, ShopId(2), &Ink::new().sign(&spent), &spent).await;
    assert_eq!(elsewhere, "INVALID_FIELDS");
    ground.stop().await;
}

async fn nonces_are_of_one_order(db: TestDb) {
    let ground = ready(db).await;
    let numbers = vouchers();
    let first = Operation::Spend(spend(&numbers));
    let ink = Ink::new();
    let signature = ink.sign(&first);
    // Only tried: no nonce is used up.
    let (store, of) = (ground.app.store(), (ground.id, MINE));
    let tried = verify(store, of, &signature, &first, End::RollBack).await;
    tried.unwrap();
    assert_eq!(
        ground
            .raw
            .number("SELECT COUNT(*) FROM signing_nonce")
            .await,
        0
    );
    for _ in 0..2 {
        assert_eq!(said(&ground, &signature, &first).await, "");
    }
    // What is not signed may not change either.
    let other = Operation::Spend(Spend {
        associated_order_id: "AO1",
        ..spend(&numbers)
    });
    assert_eq!(said(&ground, &signature, &other).await, "NONCE_REPLAYED");
    // Either nonce alone binds.
    let give = Operation::Give(give());
    for ink in [
        Ink {
            app_nonce: nonce(),
            ..ink.clone()
        },
        Ink {
            tsig_nonce: nonce(),
            ..ink.clone()
        },
    ] {
        assert_eq!(
            said(&ground, &ink.sign(&give), &give).await,
            "NONCE_REPLAYED"
        );
    }
    ground.stop().await;
}

async fn who_must_sign_must(db: TestDb) {
    let ground = ready(db).await;
    let (store, of) = (ground.app.store(), (ground.id, MINE));
    let operation = Operation::Give(give());
    let ask = async |signed, signature: Option<&MapSignature>| {
        let done = admit(store, of, signed, signature, &operation, End::Commit).await;
        done.map_err(|error| error.reason)
    };
    assert_eq!(ask(false, None).await, Ok(()));
    let mut setting = ground.setting(&[S::Map], R::Vouchers);
    setting.order_id_prefix = Some("AO".into());
    ground.set(setting).await.unwrap();
    assert_eq!(ask(false, None).await, Err(Reason::SignatureInvalid));
    assert_eq!(ask(true, None).await, Ok(()), "signed in its metadata");
    let good = Ink::new().sign(&operation);
    assert_eq!(ask(false, Some(&good)).await, Ok(()));
    let bad = Ink {
        key: "secretAppKey-0123456780",
        ..Ink::new()
    };
    let bad = bad.sign(&operation);
    assert_eq!(ask(true, Some(&bad)).await, Err(Reason::SignatureInvalid));
    ground.stop().await;
}
