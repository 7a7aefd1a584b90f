//! The request ids of a client (specification, "IDs", session scope).

use crate::wamp::RequestId;

/// Watches the ids that a client gives to its requests.
///
/// SUBSCRIBE, UNSUBSCRIBE, PUBLISH, REGISTER, UNREGISTER and CALL share one sequence.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestIds {
    last: RequestId,
}

impl RequestIds {
    /// Takes note of the next request; `strict` demands the sequence 1, 2, 3, ... with a wrap after 2^53.
    ///
    /// # Errors
    /// The id that should have come.
    pub fn accept(&mut self, request: RequestId, strict: bool) -> Result<(), RequestId> {
        if strict {
            let wanted = self.last.next();
            if request != wanted {
                return Err(wanted);
            }
        }
        self.last = request;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::id::ID_MAX;

    fn id(value: u64) -> RequestId {
        RequestId::from_raw(value)
    }

    #[test]
    fn strict_ids_count_from_one() {
        let mut ids = RequestIds::default();
        assert_eq!(ids.accept(id(1), true), Ok(()));
        assert_eq!(ids.accept(id(2), true), Ok(()));
        assert_eq!(ids.accept(id(2), true), Err(id(3)));
        assert_eq!(ids.accept(id(4), true), Err(id(3)));
        let mut late = RequestIds { last: id(ID_MAX) };
        assert_eq!(late.accept(id(1), true), Ok(()));
    }

    #[test]
    fn lenient_ids_are_free() {
        let mut ids = RequestIds::default();
        assert_eq!(ids.accept(id(713_845_233), false), Ok(()));
        assert_eq!(ids.accept(id(5), false), Ok(()));
    }
}
