//! Turns the contract into code, without protoc.
//!
//! Three things come out: messages and services; the encoded descriptors, with
//! their comments and options, for reflection; and the table of permissions. A
//! method that names no permission stops the build, so that no RPC is ever open
//! by oversight.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

const FILES: [&str; 7] = [
    "hongbao/v1/admin_service.proto",
    "hongbao/v1/audience_service.proto",
    "hongbao/v1/campaign_service.proto",
    "hongbao/v1/event_service.proto",
    "hongbao/v1/issuance_service.proto",
    "hongbao/v1/review_service.proto",
    "hongbao/v1/voucher_service.proto",
];

/// No service imports it: reasons travel by name. Reflection should know it even so.
const REASONS: &str = "hongbao/v1/error_reason.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = std::env::var("OUT_DIR")?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES.iter().chain([&REASONS]))?;
    std::fs::write(
        Path::new(&out).join("descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    std::fs::write(
        Path::new(&out).join("permissions.rs"),
        permissions(&compiler.descriptor_pool())?,
    )?;
    tonic_prost_build::configure()
        .codec_path("crate::grpc::codec::StrictCodec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// `[("/hongbao.v1.CampaignService/GetCampaign", "CAMPAIGN_READ"), …]`
fn permissions(pool: &protox::prost_reflect::DescriptorPool) -> Result<String, Box<dyn Error>> {
    let extension = pool
        .get_extension_by_name("hongbao.v1.permission")
        .ok_or("the option is gone")?;
    let names = pool
        .get_enum_by_name("hongbao.v1.Permission")
        .ok_or("the enum is gone")?;
    let mut table = String::from("&[\n");
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            let value = options
                .get_extension(&extension)
                .as_enum_number()
                .unwrap_or(0);
            let name = names.get_value(value).ok_or("an unknown permission")?;
            if !options.has_extension(&extension) || value == 0 {
                return Err(format!(
                    "{} names no permission: add `option (permission) = …;`",
                    method.full_name()
                )
                .into());
            }
            let short = name.name().trim_start_matches("PERMISSION_");
            writeln!(
                table,
                "    (\"/{}/{}\", \"{short}\"),",
                service.full_name(),
                method.name()
            )?;
        }
    }
    table.push(']');
    Ok(table)
}
