//! What there is to say about the keys of the configuration file, made of its schema: the explanation of one key, an
//! example with comments, and the reference.

pub mod example;
pub mod explain;
pub mod reference;
pub mod tree;
