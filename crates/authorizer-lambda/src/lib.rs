//! authorizer_lambda
