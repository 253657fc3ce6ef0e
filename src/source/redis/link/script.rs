//! A Lua script and the hash that servers know it by.

use redis::{Cmd, cmd};

/// A script; `Script::new` is cheap enough for a `LazyLock`.
#[derive(Clone, Debug)]
pub struct Script {
    text: &'static str,
    /// SHA-1 in hexadecimal.
    hash: String,
}

impl Script {
    #[must_use]
    pub fn new(text: &'static str) -> Self {
        Script { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// `EVALSHA` of the script.
    pub(super) fn by_hash(&self, keys: &[&str], arguments: &[Vec<u8>]) -> Cmd {
        with_arguments("EVALSHA", &self.hash, keys, arguments)
    }

    /// `EVAL` of the script, after which the server knows its hash.
    pub(super) fn by_text(&self, keys: &[&str], arguments: &[Vec<u8>]) -> Cmd {
        with_arguments("EVAL", self.text, keys, arguments)
    }
}

fn with_arguments(name: &str, script: &str, keys: &[&str], arguments: &[Vec<u8>]) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    for argument in arguments {
        command.arg(argument.as_slice());
    }
    command
}
