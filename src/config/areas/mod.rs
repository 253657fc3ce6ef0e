//! The effective configuration: one struct per area.

mod grpc;
mod http;
mod log;
mod mode;
mod redis;
mod upstream;

pub use grpc::{GrpcConfig, Role, RoleTokens};
pub use http::{HttpConfig, TlsFiles};
pub use log::{LogConfig, LogFormat, LogLevel};
pub use mode::{ApiKeys, Mode, Offline, Peer};
pub use redis::{RedisConfig, RedisTopology};
pub use upstream::{OutboundProxies, UpstreamConfig, UsageConfig};
