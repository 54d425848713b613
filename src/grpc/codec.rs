//! The protobuf codec, with a proper answer to a message that does not decode.
//!
//! The stock codec answers INTERNAL, which says that the server is broken and makes callers retry
//! and operators wake up. It is the caller that sent, say, a text that is not UTF-8. Generated code
//! uses this codec by
//! `tonic_prost_build::configure().codec_path("crate::grpc::codec::StrictCodec")`. Generated
//! clients then use it as well, and call a reply that does not decode INVALID_ARGUMENT; they only
//! live in our tests and tools.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::layer::status;

/// Encodes `T` and decodes `U`.
#[derive(Debug, Clone)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(PhantomData)
    }
}

/// The decoding half of [`StrictCodec`].
#[derive(Debug, Clone)]
pub struct StrictDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(buf).map(Some).map_err(|error| malformed(&error))
    }
}

/// prost names the field and what is wrong with it, never the value; so its text may be shown.
fn malformed(error: &prost::DecodeError) -> Status {
    status(
        Code::InvalidArgument,
        "MALFORMED_MESSAGE",
        &error.to_string(),
        &[],
        None,
    )
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use crate::grpc::layer::testing::{Echo, ask_with, serve};

    #[tokio::test]
    async fn a_text_that_is_not_utf8_is_the_callers_mistake() {
        let server = serve(Echo::default(), tower::layer::util::Identity::new()).await;
        // google.protobuf.BytesValue and StringValue look the same on the wire.
        let status = ask_with::<Vec<u8>>(&server, vec![0xff, 0xfe])
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("MALFORMED_MESSAGE", "hongbao")
        );
    }

    #[tokio::test]
    async fn a_good_text_comes_back() {
        let server = serve(Echo::default(), tower::layer::util::Identity::new()).await;
        assert_eq!(
            ask_with::<String>(&server, "恭喜发财".to_owned())
                .await
                .unwrap()
                .into_inner(),
            "恭喜发财"
        );
    }
}
