//! Calling a server of this contract with a key: for the demo, tools and tests.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A channel that puts a key on every call.
pub type Authorized = InterceptedService<Channel, Bearer>;

/// Puts a key on every call, if there is one.
#[derive(Clone, Debug)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// For an API key, or for a caller without one.
    ///
    /// # Errors
    /// The key has characters that no header may hold.
    pub fn new(key: Option<&str>) -> anyhow::Result<Self> {
        let value = key.map(|key| format!("Bearer {key}").parse()).transpose()?;
        Ok(Self(value.map(|mut value: MetadataValue<Ascii>| {
            value.set_sensitive(true);
            value
        })))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}
