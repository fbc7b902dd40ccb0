//! The two macros in which the tables are written: a closed set of label values, and the metrics of a layer.

/// A closed set of label values: an enum whose variants have the exported words.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $variant,)+
        }

        impl $crate::family::Label for $name {
            const NAMES: &'static [&'static str] = &[$($word,)+];
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// One row of a layer's table as a [`crate::Metric`].
macro_rules! metric {
    ($layer:literal, $name:literal, $row:ty, [$($label:literal)*], [$($buckets:ident)?], $help:literal) => {
        $crate::metric::Metric {
            layer: $layer,
            name: $name,
            kind: <$row as $crate::family::Row>::KIND,
            labels: &[$($label),*],
            values: <$row as $crate::family::Row>::VALUES,
            buckets: $crate::layer::metric!(@buckets $($buckets)?),
            help: $help,
        }
    };
    (@buckets) => { None };
    (@buckets $buckets:ident) => { Some(&$crate::metric::$buckets) };
}
pub(crate) use metric;

/// The metrics of a layer: from each row come the handle, the entry of the table, and the documentation.
macro_rules! layer {
    (
        $(#[$doc:meta])*
        $struct:ident of $layer:literal {
            $($field:ident: $row:ty = $name:literal $(by [$($label:literal),+])? $(in $buckets:ident)?, $help:literal;)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $struct {
            $(#[doc = concat!("`", $name, "`: ", $help)] pub $field: $row,)+
        }

        impl $struct {
            /// The table.
            pub const METRICS: &'static [$crate::metric::Metric] = &[
                $($crate::layer::metric!($layer, $name, $row, [$($($label)+)?], [$($buckets)?], $help),)+
            ];

            /// Asks the recorder for every handle, for the given shard.
            pub fn new(recorder: &dyn metrics::Recorder, shard: usize) -> Self {
                Self {
                    $($field: {
                        const METRIC: $crate::metric::Metric =
                            $crate::layer::metric!($layer, $name, $row, [$($($label)+)?], [$($buckets)?], $help);
                        <$row as $crate::family::Row>::resolve(recorder, &METRIC, shard)
                    },)+
                }
            }
        }
    };
}

pub(crate) use {label, layer};
