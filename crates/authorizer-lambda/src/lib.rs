//! The authorizer as a function: AWS's event and answer around the decision, and the loading of
//! its configuration and keys.
//!
//! A gateway runs the same [`Handler`] inside its process that AWS Lambda runs in the cloud; the
//! [typed call](Handler::authorize) and the [JSON one](Handler::handle_json) agree.

pub mod aws;
mod delegate;
pub mod event;
mod handler;
pub mod https;
mod keyring;
pub mod settings;
mod source;

pub use delegate::DelegateError;
pub use handler::{Answer, Handler, HandlerError, Refusal};
pub use keyring::Keys;
pub use settings::{Loaded, load};
pub use source::{Reading, SourceError, Sources};
