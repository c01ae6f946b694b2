//! The messages and services, generated from `proto/fedsx/admin/v1/*.proto`.

#![expect(
    missing_docs,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto files are documented"
)]

tonic::include_proto!("fedsx.admin.v1");

/// The encoded `FileDescriptorSet` of the package, as reflection serves it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fedsx_admin_v1.bin"));

/// The package's name.
pub const PACKAGE: &str = "fedsx.admin.v1";

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::{DESCRIPTORS, PACKAGE};

    #[test]
    fn the_services() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("what the build wrote");
        let mut lines = Vec::new();
        for service in set.file.iter().flat_map(|file| &file.service) {
            lines.push(format!("{PACKAGE}.{}", service.name()));
            for method in &service.method {
                let name = |full: &str| full.rsplit('.').next().unwrap_or_default().to_owned();
                let stream = if method.server_streaming() {
                    "stream "
                } else {
                    ""
                };
                lines.push(format!(
                    "  {}({}) -> {stream}{}",
                    method.name(),
                    name(method.input_type()),
                    name(method.output_type())
                ));
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }
}
