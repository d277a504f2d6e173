//! Behaviour of paths and of the scan.
