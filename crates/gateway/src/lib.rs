//! gateway

pub mod throttle;
