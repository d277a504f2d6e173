//! gateway

pub mod ca;
pub mod cache;
pub mod mask;
pub mod sigv4;
pub mod throttle;
