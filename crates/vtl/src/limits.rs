//! How much work one rendering may do.

/// Bounds of one rendering.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How deep lists and maps that are printed or compared may nest. Default 256:
    /// JSON nests up to 128.
    pub depth: usize,
    /// Rounds of one `#foreach`; 1000 as on [API Gateway]. The loop ends there
    /// without an error.
    ///
    /// [API Gateway]: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    pub iterations: usize,
    /// Longest output, and longest text that any expression may make, in bytes.
    /// Default 1 MiB: a reply may hold 128 KB, a request to a back end more.
    pub output_bytes: usize,
    /// Total work: about one per evaluated node, list item and 64 bytes of text.
    /// Default 1,000,000, which is well under a second.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 256, iterations: 1000, output_bytes: 1 << 20, steps: 1_000_000 }
    }
}
