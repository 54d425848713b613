//! Who calls, resolved before any handler, and what a handler asks of him.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::{Request, Status};
use tower::{Layer, Service};

use super::layer::{AppId, CallLog, Reason as LogReason};
use super::{PERMISSIONS, status};
use crate::domain::grant::{Permission, Principal};
use crate::domain::id::ShopId;
use crate::domain::{Error, Reason};
use crate::service::identity::Identity;

/// The caller of an RPC, with the permission that the RPC asks for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Arc<Principal>,
    /// For what.
    pub permission: Permission,
    /// Whether the call's metadata holds a good signature of it; see [`super::signed`].
    pub signed: bool,
}

impl Caller {
    /// The caller that the layer has put there.
    ///
    /// # Errors
    /// INTERNAL: the layer is missing, which is a bug.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let missing = || status::status(Error::internal("a call without caller", "auth layer"));
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(missing)
    }

    /// The shop that a request means.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, a field error.
    pub fn shop(&self, raw: i64) -> crate::domain::Result<ShopId> {
        let named = match raw {
            0 => None,
            raw => Some(ShopId::parse(raw).ok_or_else(|| {
                Error::field(
                    "shop_id",
                    Reason::IdInvalid,
                    "must be a positive integer".to_owned(),
                )
            })?),
        };
        let shop = self.principal.shop(self.permission, named)?;
        tracing::Span::current().record("shop_id", shop.0);
        Ok(shop)
    }

    /// That the caller may see people unmasked in a shop, if he asks for it.
    ///
    /// # Errors
    /// PERMISSION_MISSING.
    pub fn may_unmask(&self, shop: ShopId, unmask: bool) -> crate::domain::Result<()> {
        if unmask {
            self.principal.holds_in(Permission::PiiRead, shop)?;
            tracing::info!(
                shop_id = shop.0,
                app_id = self.principal.app.0,
                "people are shown unmasked"
            );
        }
        Ok(())
    }
}

/// Wraps a service in [`Auth`].
#[derive(Clone, Debug)]
pub struct AuthLayer {
    identity: Identity,
}

impl AuthLayer {
    /// Resolves callers by their API key.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth {
            inner,
            identity: self.identity.clone(),
        }
    }
}

/// Lets a call through whose caller holds the permission of its RPC. Paths that are
/// not ours (health, reflection, typos) pass without a caller: the first two need
/// none, and the last meets UNIMPLEMENTED.
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    identity: Identity,
}

impl<S> Service<http::Request<Body>> for Auth<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let identity = self.identity.clone();
        Box::pin(async move {
            let Some(permission) = permission_of(request.uri().path()) else {
                return inner.call(request).await;
            };
            let header = request.headers().get(http::header::AUTHORIZATION).cloned();
            match admit(&identity, header, permission).await {
                Ok(caller) => {
                    let app = AppId(caller.principal.app.0);
                    if let Some(log) = request.extensions().get::<CallLog>() {
                        log.set_app(app);
                    }
                    request.extensions_mut().insert(app);
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(error) => {
                    let reason = LogReason(error.reason.name());
                    let mut response = status::status(error).into_http();
                    response.extensions_mut().insert(reason);
                    Ok(response)
                }
            }
        })
    }
}

async fn admit(
    identity: &Identity,
    header: Option<http::HeaderValue>,
    permission: Permission,
) -> crate::domain::Result<Caller> {
    let principal = identity
        .resolve(header.as_ref().and_then(|value| value.to_str().ok()))
        .await?;
    principal.holds(permission)?;
    Ok(Caller {
        principal,
        permission,
        signed: false,
    })
}

/// The permission of a path; nothing for paths that are not ours.
fn permission_of(path: &str) -> Option<Permission> {
    PERMISSIONS
        .iter()
        .find(|(rpc, _)| *rpc == path)
        .and_then(|(_, name)| Permission::parse(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_asks_for_a_permission_that_is_known_here() {
        for (path, name) in PERMISSIONS {
            assert!(
                permission_of(path).is_some(),
                "{path} asks for {name}, which the domain does not know"
            );
        }
        assert_eq!(permission_of("/grpc.health.v1.Health/Check"), None);
    }
}
