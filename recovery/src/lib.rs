//! Under construction.
#![no_std]
extern crate alloc;

pub mod space_id;
pub use space_id::SpaceId;
