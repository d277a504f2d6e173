//! gateway

pub mod cache;
pub mod sigv4;
pub mod throttle;
