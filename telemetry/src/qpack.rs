//! QPACK: what the compression of field sections does.

use crate::family::Family;
use crate::handle::{Counter, Level};
use crate::layer::{label, layer};

label! {
    /// The half of QPACK: what is sent goes through the encoder, what is received through the decoder.
    Half { Encoder = "encoder", Decoder = "decoder", }
}

label! {
    /// Before or after compression.
    Form { Raw = "raw", Encoded = "encoded", }
}

label! {
    /// Where a field line came from.
    Source { Static = "static", Dynamic = "dynamic", Literal = "literal", }
}

layer! {
    /// What the field sections of a shard's HTTP/3 connections cost.
    QpackMetrics of "qpack" {
        section_bytes: Family<(Half, Form), Counter> =
            "quicast_qpack_field_section_bytes_total" by ["side", "form"],
            "Field sections before and after compression: raw/encoded is the compression ratio.";
        field_lines: Family<(Half, Source), Counter> = "quicast_qpack_field_lines_total" by ["side", "source"],
            "Where field lines came from: whole from a table, or with a literal value.";
        table_bytes: Family<Half, Level> = "quicast_qpack_dynamic_table_bytes" by ["side"],
            "Sum of dynamic table sizes, as RFC 9204 counts them.";
        blocked_streams: Level = "quicast_qpack_blocked_streams",
            "Streams waiting on the encoder stream.";
    }
}
