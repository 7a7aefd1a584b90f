//! Identifiers and their scopes (specification, "IDs").
//!
//! All are integers from 1 to 2^53. *Global* ids are random, *router* ids are chosen by the router, *session*
//! ids count from 1 in each direction of one session.

use std::fmt;

/// The largest id: the largest integer up to which an IEEE 754 double is exact.
pub const ID_MAX: u64 = 1 << 53;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// The id, if `value` lies in 1..=2^53.
            #[must_use]
            pub const fn new(value: u64) -> Option<Self> {
                if value >= 1 && value <= ID_MAX { Some(Self(value)) } else { None }
            }

            /// An id without a range check: for values that the router made itself, and for the request id 0 of
            /// a revocation.
            #[must_use]
            pub const fn from_raw(value: u64) -> Self {
                Self(value)
            }

            /// The number as it stands in messages.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

id!(
    /// A session: global scope, random.
    SessionId
);
id!(
    /// A publication: global scope, random.
    PublicationId
);
id!(
    /// A subscription: router scope. All subscribers of one (realm, match policy, URI) share it.
    SubscriptionId
);
id!(
    /// A registration: router scope. All callees of a shared registration share it.
    RegistrationId
);
id!(
    /// A request: session scope, separate for each direction.
    RequestId
);

impl RequestId {
    /// The id that follows this one in its session: one more, and 1 after 2^53.
    #[must_use]
    pub const fn next(self) -> RequestId {
        if self.0 >= ID_MAX { RequestId(1) } else { RequestId(self.0 + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_span_one_to_two_to_the_fifty_third() {
        assert_eq!(SessionId::new(0), None);
        assert_eq!(SessionId::new(1).map(SessionId::get), Some(1));
        assert_eq!(SessionId::new(ID_MAX).map(SessionId::get), Some(9_007_199_254_740_992));
        assert_eq!(SessionId::new(ID_MAX + 1), None);
    }

    #[test]
    fn request_ids_wrap_to_one() {
        assert_eq!(RequestId::from_raw(7).next().get(), 8);
        assert_eq!(RequestId::from_raw(ID_MAX).next().get(), 1);
    }
}
