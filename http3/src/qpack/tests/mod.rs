//! Tests of both sides together. Those with files stand in `http3/tests/qpack_vectors`.

mod appendix_b;
mod exchange;
