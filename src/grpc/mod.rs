//! The gRPC edge.

pub mod codec;
pub mod layer;
