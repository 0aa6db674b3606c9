//! Products in tiles of one register, on cores that gain nothing from wider ones. Small products
//! take as long to decide as to multiply, so this shares only what costs it nothing.

mod block;
mod microkernel;
mod product;

pub(super) use product::Narrow;
