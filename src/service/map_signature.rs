//! Signatures of gifts and spends as seed 002 has them: whether one is good, and means one
//! thing only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::domain::error::Violation;
use crate::domain::id::{AppId, ShopId};
use crate::domain::signing::{self as rules, MapHash, Required};
use crate::domain::{Error, Reason, Result, Timestamp};
use crate::signing::map::ambiguity::{Field, Format, is_ambiguous};
use crate::signing::map::{self, Rules, Texts};
use crate::signing::rsa::{Hash, PublicKey};
use crate::store::signing::Signing;
use crate::store::{End, Store};

pub use crate::signing::map::{Give, Operation, Spend};

/// Characters of a nonce, at least.
const NONCE_MIN: usize = 8;

/// The signature of an order, each part as it was sent.
#[derive(Clone, Debug)]
pub struct MapSignature {
    /// app.timeStamp.
    pub app_timestamp: String,
    /// app.nonce.
    pub app_nonce: String,
    /// app.signature.
    pub app_signature: String,
    /// tsig.timeStamp.
    pub tsig_timestamp: String,
    /// tsig.nonce.
    pub tsig_nonce: String,
    /// tsig.orderMD5.
    pub order_md5: String,
    /// tsig.signature.
    pub tsig_signature: String,
}

/// Lets a gift or a spend through that is signed as its app must sign it: in its metadata
/// (`signed`), by a [`MapSignature`] of its own, or not at all where nothing is required. A
/// signature that is there must be good. `end` is the call's: a trial uses no nonce up.
///
/// # Errors
/// As [`verify`].
pub async fn admit(
    store: &Store,
    (app, shop): (AppId, ShopId),
    signed: bool,
    signature: Option<&MapSignature>,
    operation: &Operation<'_>,
    end: End,
) -> Result<()> {
    if let Some(signature) = signature {
        return verify(store, (app, shop), signature, operation, end).await;
    }
    if signed {
        return Ok(());
    }
    match store.signing(app).await? {
        Some(signing) if signing.row.required != Required::Nothing => Err(rules::invalid()),
        _ => Ok(()),
    }
}

/// That a signature of an order is good, means one thing, and has nonces of no other call.
///
/// # Errors
/// INVALID_FIELDS: a part is malformed, or the call says what this signature cannot cover;
/// TIMESTAMP_SKEW; SIGNATURE_INVALID (one wording for every way of being wrong);
/// SIGNATURE_AMBIGUOUS; NONCE_REPLAYED.
pub async fn verify(
    store: &Store,
    (app, shop): (AppId, ShopId),
    signature: &MapSignature,
    operation: &Operation<'_>,
    end: End,
) -> Result<()> {
    check_forms(signature)?;
    let signing = store.signing(app).await?;
    let signing = signing
        .filter(|signing| signing.row.accepts_map)
        .ok_or_else(rules::invalid)?;
    let now = store.real_now().await?;
    let window = signing.row.window_seconds;
    for time in [&signature.app_timestamp, &signature.tsig_timestamp] {
        if !rules::is_current(time, now, window) {
            return Err(rules::skewed(now, window));
        }
    }
    let order = Order {
        operation,
        rules: Rules {
            covers_associated: signing.row.map_covers_associated,
            order_id_prefix: signing.row.order_id_prefix.as_deref(),
        },
        texts: operation.texts(),
    };
    if !is_good(&signing, signature, &order)? {
        return Err(rules::invalid());
    }
    check_uncovered(&signing, shop, operation)?;
    if is_doubtful(&signing, signature, &order, now) {
        return Err(rules::ambiguous());
    }
    let nonces = vec![signature.app_nonce.clone(), signature.tsig_nonce.clone()];
    let hash = call_hash(shop, signature, &order);
    store.claim_nonces(app, nonces, hash, end).await
}

struct Order<'a> {
    operation: &'a Operation<'a>,
    rules: Rules<'a>,
    texts: Texts,
}

impl Order<'_> {
    fn fields(&self) -> Vec<Field<'_>> {
        self.operation.fields(&self.rules, &self.texts)
    }
}

/// That the parts look like what they should be. Whether they are right is asked later.
fn check_forms(signature: &MapSignature) -> Result<()> {
    let nonce = |text: &str| rules::is_nonce(text, NONCE_MIN);
    let md5 = |text: &str| Format::Md5.takes(text);
    let parts = [
        ("app_nonce", nonce(&signature.app_nonce)),
        ("app_signature", md5(&signature.app_signature)),
        ("tsig_nonce", nonce(&signature.tsig_nonce)),
        ("order_md5", md5(&signature.order_md5)),
    ];
    let bad = parts.iter().filter(|(_, good)| !good);
    let bad: Vec<Violation> = bad
        .map(|(name, _)| Violation {
            path: format!("map_signature.{name}"),
            reason: Reason::IdInvalid,
            message: if name.ends_with("nonce") {
                "must be 8 to 64 characters of [A-Za-z0-9_-]"
            } else {
                "must be 32 hexadecimal digits"
            }
            .to_owned(),
        })
        .collect();
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Error::fields(bad)),
    }
}

/// Whether all three digests are right.
fn is_good(signing: &Signing, signature: &MapSignature, order: &Order<'_>) -> Result<bool> {
    let broken = || Error::internal("a stored key is missing or broken", "app_signing");
    let app_key = signing.app_key.as_deref().ok_or_else(broken)?;
    let pem = signing.row.public_key.as_deref().ok_or_else(broken)?;
    let key = PublicKey::from_pem(pem).ok_or_else(broken)?;
    let hash = match signing.row.map_hash {
        MapHash::Sha1 => Hash::Sha1,
        MapHash::Sha256 => Hash::Sha256,
        MapHash::Md5 => Hash::Md5,
    };
    let s = signature;
    let app = [&signing.app_name, app_key, &s.app_nonce, &s.app_timestamp];
    let fields = order.fields();
    let values: Vec<&str> = fields.iter().map(Field::value).collect();
    let tsig = [
        s.order_md5.as_str(),
        &signing.app_name,
        &s.tsig_timestamp,
        &s.tsig_nonce,
    ];
    let Ok(given) = STANDARD.decode(&s.tsig_signature) else {
        return Ok(false);
    };
    // All three are looked at, so that the time does not tell which one was wrong.
    let right = [
        map::is_md5(&app, &s.app_signature),
        map::is_md5(&values, &s.order_md5),
        map::is_rsa(&key, hash, &tsig, &given),
    ];
    Ok(!right.contains(&false))
}

/// That the call says nothing of weight that this signature does not cover.
fn check_uncovered(signing: &Signing, shop: ShopId, operation: &Operation<'_>) -> Result<()> {
    let refuse =
        |path: &str, text: &str| Err(Error::field(path, Reason::FieldNotAllowed, text.to_owned()));
    if signing.default_shop.is_some_and(|own| own != shop) {
        let text = "this signature does not say the shop; leave it to the app's default shop";
        return refuse("shop_id", text);
    }
    if let Operation::Spend(spend) = operation
        && spend.names_amounts
    {
        let text = "this signature does not say how much of a voucher; leave amount_fen out";
        return refuse("uses", text);
    }
    Ok(())
}

/// Whether any of the three texts that were signed could mean something else. Of the outer
/// two, the name and the key of the app are known, and no order can be found for another MD5.
fn is_doubtful(
    signing: &Signing,
    signature: &MapSignature,
    order: &Order<'_>,
    now: Timestamp,
) -> bool {
    let current = |text: &str| rules::is_current(text, now, signing.row.window_seconds);
    let nonce = |text: &str| rules::is_nonce(text, NONCE_MIN);
    let name = signing.app_name.as_str();
    let key = signing.app_key.as_deref().unwrap_or_default();
    let known = |value| Field::due(value, Format::Exactly(value));
    let time = |value| Field::due(value, Format::Rule(10, 14, &current));
    let once = |value| Field::due(value, Format::Rule(NONCE_MIN, 64, &nonce));
    let app = [
        known(name),
        known(key),
        time(&signature.app_timestamp),
        once(&signature.app_nonce),
    ];
    let tsig = [
        known(name),
        known(&signature.order_md5),
        time(&signature.tsig_timestamp),
        once(&signature.tsig_nonce),
    ];
    is_ambiguous(&app) || is_ambiguous(&tsig) || is_ambiguous(&order.fields())
}

/// Tells the very same call from every other: all that it says, each part with its length.
fn call_hash(shop: ShopId, signature: &MapSignature, order: &Order<'_>) -> [u8; 32] {
    let shop = shop.to_string();
    let mut parts = vec![
        "MAP",
        &shop,
        &signature.app_timestamp,
        &signature.app_nonce,
        &signature.app_signature,
        &signature.tsig_timestamp,
        &signature.tsig_nonce,
        &signature.order_md5,
        &signature.tsig_signature,
        order.texts.as_str(),
    ];
    parts.extend(order.operation.whole());
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}
