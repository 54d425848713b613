//! hongbao issues red packets and vouchers for the services of a company, and never pays twice.

pub mod grpc;
pub mod http;
pub mod telemetry;
