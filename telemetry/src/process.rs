//! Process: what is running, and what the kernel says of it.
//!
//! The `process_*` metrics are read by `metrics-process` when the exposition is made; nobody holds their handles.

use crate::family::BuildInfo;
use crate::handle::{Gauge, Seconds};
use crate::layer::layer;

layer! {
    /// What is running.
    ProcessMetrics of "process" {
        build: BuildInfo = "quicast_build_info" by ["version", "revision", "rustc", "features"],
            "Constant 1; what is running.";
        cpu: Seconds = "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.";
        open_fds: Gauge = "process_open_fds",
            "Number of open file descriptors.";
        max_fds: Gauge = "process_max_fds",
            "Maximum number of open file descriptors.";
        virtual_memory: Gauge = "process_virtual_memory_bytes",
            "Virtual memory size in bytes.";
        virtual_memory_max: Gauge = "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes; 0 if it is not limited.";
        resident_memory: Gauge = "process_resident_memory_bytes",
            "Resident memory size in bytes.";
        start_time: Gauge = "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.";
        threads: Gauge = "process_threads",
            "Number of OS threads in the process.";
    }
}
