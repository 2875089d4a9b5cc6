//! Queries one name server without a cache, and returns its answers as text.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use tokio::net::UdpSocket;

/// The name exists but has no record of this type.
pub(super) const NO_DATA: &str = "no data";
/// The server refuses to answer.
pub(super) const REFUSED: &str = "refused";

/// The answer of the server on this port of 127.0.0.1: its records, or the reason for an empty answer.
pub(super) async fn ask(port: u16, name: &str, kind: &str) -> String {
    let outcome = async {
        let mut connection = ConnectionConfig::udp();
        connection.port = port;
        let server = NameServerConfig::new(IpAddr::V4(Ipv4Addr::LOCALHOST), true, vec![connection]);
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        (options.attempts, options.cache_size, options.timeout) = (1, 0, Duration::from_secs(2));
        options.use_hosts_file = ResolveHosts::Never;
        let kind: RecordType = kind.parse()?;
        builder.build()?.lookup(name, kind).await
    };
    match outcome.await {
        Ok(found) => {
            let records: Vec<String> = found.answers().iter().map(|record| record.data.to_string()).collect();
            records.join(" ")
        }
        Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused))) => REFUSED.to_owned(),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) if none.response_code == ResponseCode::NoError => {
            NO_DATA.to_owned()
        }
        Err(error) => error.to_string(),
    }
}

/// A UDP port of 127.0.0.1 that is free at the moment.
pub(super) async fn free_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}
