//! Stub until the real one is merged.
use std::path::Path;
use std::time::Duration;

use redis::FromRedisValue;

use crate::config::RedisConfig;

#[derive(Clone, Debug)]
pub struct Link;
#[derive(Debug)]
pub struct Blocking;
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{reason}")]
    Away { reason: String, uncertain: bool },
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Wrong(String),
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct LinkError;
#[derive(Debug)]
pub struct Script;
impl Script {
    pub fn new(_: &'static str) -> Self {
        Script
    }
}
impl Link {
    pub fn new(_: &RedisConfig, _: Option<&Path>, _: Duration) -> Result<Link, LinkError> {
        Err(LinkError)
    }
    pub fn is_cluster(&self) -> bool {
        false
    }
    pub fn name(&self) -> &str {
        ""
    }
    pub async fn call<T: FromRedisValue>(&self, _: &redis::Cmd) -> Result<T, Failure> {
        std::future::pending().await
    }
    pub async fn script<T: FromRedisValue>(&self, _: &Script, _: &[&str], _: &[Vec<u8>]) -> Result<T, Failure> {
        std::future::pending().await
    }
    pub async fn scan(&self, _pattern: &str, _most: usize) -> Result<Vec<String>, Failure> {
        std::future::pending().await
    }
    pub async fn blocking(&self) -> Result<Blocking, Failure> {
        std::future::pending().await
    }
}
impl Blocking {
    pub async fn call<T: FromRedisValue>(&mut self, _: &redis::Cmd, _: Duration) -> Result<T, Failure> {
        std::future::pending().await
    }
}
