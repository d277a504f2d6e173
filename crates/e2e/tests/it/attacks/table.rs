//! The attacks as data, and beside them what must still pass: each attack differs from an honest
//! request in one thing.

mod carriers;
mod csrf;
mod origin;
mod token;

use super::forge::{UI, World, claims};
use serde_json::json;

pub(super) use carriers::carriers;
pub(super) use csrf::csrf;
pub(super) use origin::{lenient, origins};
pub(super) use token::tokens;

/// One request and what must become of it.
pub(super) struct Attack {
    pub(super) name: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) want: Want,
}

/// What must become of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Want {
    /// No attack: granted to this principal.
    Granted(&'static str),
    /// Two lines that HTTP allows once: 400 on the wire, before any API is asked; as an event,
    /// this status and code.
    Malformed(u16, &'static str),
    /// This status, and this code for the operator.
    Refused(u16, &'static str),
}

impl Attack {
    fn new(name: impl Into<String>, want: Want) -> Self {
        Self { name: name.into(), headers: Vec::new(), query: Vec::new(), want }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// A token in the `Authorization` header.
    fn bearer(name: impl Into<String>, token: &str, want: Want) -> Self {
        Self::new(name, want).header("Authorization", format!("Bearer {token}"))
    }
}

/// Ada's browser on the right page; the cookies are its first header.
pub(super) fn page(world: &World) -> Attack {
    People::of(world).page("the page itself", Want::Granted("hs:ada"))
}

/// Ada, who is logged in, and Eve, who is too.
struct People {
    ada: String,
    ada_csrf: String,
    eve: String,
    eve_csrf: String,
}

impl People {
    fn of(world: &World) -> Self {
        Self {
            ada: world.hs(&claims("hs", &json!({}))),
            ada_csrf: world.csrf("s-1"),
            eve: world.hs(&claims("hs", &json!({ "sub": "eve", "sid": "s-2" }))),
            eve_csrf: world.csrf("s-2"),
        }
    }

    /// Both cookies of Ada.
    fn cookies(&self) -> String {
        format!("JWT={}; CSRF-TOKEN={}", self.ada, self.ada_csrf)
    }

    /// What Ada's browser sends from the right page, but for the `Origin`.
    fn browser(&self, name: impl Into<String>, want: Want) -> Attack {
        Attack::new(name, want)
            .header("Cookie", self.cookies())
            .query("csrf_token", self.ada_csrf.as_str())
    }

    /// The same with its `Origin`.
    fn page(&self, name: impl Into<String>, want: Want) -> Attack {
        self.browser(name, want).header("Origin", UI)
    }
}
