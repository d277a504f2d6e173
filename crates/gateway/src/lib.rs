//! gateway

pub mod sigv4;
pub mod throttle;
