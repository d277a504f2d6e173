//! The back end and page of `wsgate demo`.
//!
//! A chat as a front-end team behind cookies would build it. The page logs in and gets two cookies
//! of the parent domain: `JWT`, which no script can read, and `CSRF-TOKEN`, which the page repeats
//! in `Sec-WebSocket-Protocol`. The gateway lets its authorizer decide and calls this back end
//! for `$connect`, messages and `$disconnect`; this back end pushes through signed `@connections`.
//!
//! ```text
//! browser ──── page, login ────▶ back end ◀──── /ws/connect, /ws/message ──── gateway
//!    │                              └────── POST @connections, DELETE @principals ──▲
//!    └───────────────── wss://ws.{parent}/{stage}, cookies ──────────────────────┘
//! ```
//!
//! [`Backend::bind`], tell the gateway the address, [`Backend::run`].

mod account;
mod app;
mod backend;
mod gateway;
mod hook;
mod page;
mod rooms;
mod session;
mod settings;
mod template;
mod token;

pub use backend::Backend;
pub use settings::{
    AUDIENCE, Admin, ApiStage, BACKEND_PORT, FindAdmin, GatewayAddress, PARENT_DOMAIN, Scheme,
    Secrets, Settings, Site,
};
pub use template::{AUTHORIZER_FUNCTION, MANAGEMENT_POLICY, TEMPLATES};
