//! lambda_host
