//! The simulator against what is known without it.

mod bench;
mod flows;
mod queues;
mod theory;
