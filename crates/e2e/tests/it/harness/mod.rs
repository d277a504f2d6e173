//! What the tests share: the binary, its clients, and what it calls.

pub(crate) mod backend;
pub(crate) mod case;
pub(crate) mod door;
pub(crate) mod function;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod https;
pub(crate) mod issuer;
pub(crate) mod moto;
pub(crate) mod normal;
pub(crate) mod runtime_api;
pub(crate) mod script;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod sign;
pub(crate) mod template;
pub(crate) mod token;
pub(crate) mod tool;
pub(crate) mod ws;
