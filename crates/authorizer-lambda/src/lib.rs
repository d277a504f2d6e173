//! The authorizer as a function: AWS's event and answer around the decision, and the loading of
//! its configuration and keys.
//!
//! A gateway runs the same [`Handler`] inside its process that AWS Lambda runs in the cloud; the
//! [typed call](Handler::authorize) and the [JSON one](Handler::handle_json) agree.

pub mod aws;
pub mod event;
mod handler;
pub mod https;
pub mod settings;

pub use handler::{Answer, Handler, HandlerError, Keys};
pub use settings::{Loaded, SourceError, Sources, load};
