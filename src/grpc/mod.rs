//! The gRPC edge: parse → service or store → render.
//!
//! The generated code and `tonic::Status` live here and nowhere else. A request is
//! parsed once, into domain types, with all that is wrong with it found at once;
//! behind that nothing is checked again.

pub mod admin;
pub mod audience;
pub mod auth;
pub mod call;
pub mod campaign;
pub mod client;
pub mod codec;
pub mod convert;
pub mod event;
pub mod issuance;
pub mod layer;
pub mod page;
pub mod parse;
mod plan;
pub mod review;
pub mod server;
pub mod signed;
pub mod status;
pub mod voucher;

/// The contract, as code.
#[expect(
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    clippy::as_conversions,
    clippy::enum_variant_names,
    reason = "generated"
)]
pub mod pb {
    tonic::include_proto!("hongbao.v1");
}

/// The contract with its comments and options, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The permission of every RPC, by its path.
pub const PERMISSIONS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/permissions.rs"));
