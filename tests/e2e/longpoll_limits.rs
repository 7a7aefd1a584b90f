//! The long-poll transport: errors, limits, and clients that do not use it well.
