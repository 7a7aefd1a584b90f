//! The URIs that the protocol predefines for errors and closing reasons (specification, "Basic Profile URIs").

/// A URI in a message is malformed or reserved.
pub const INVALID_URI: &str = "wamp.error.invalid_uri";
/// Nobody has registered the procedure.
pub const NO_SUCH_PROCEDURE: &str = "wamp.error.no_such_procedure";
/// Somebody else has registered the procedure.
pub const PROCEDURE_ALREADY_EXISTS: &str = "wamp.error.procedure_already_exists";
/// The registration is not one of the session's.
pub const NO_SUCH_REGISTRATION: &str = "wamp.error.no_such_registration";
/// The subscription is not one of the session's.
pub const NO_SUCH_SUBSCRIPTION: &str = "wamp.error.no_such_subscription";
/// An argument or option has a value that cannot be used.
pub const INVALID_ARGUMENT: &str = "wamp.error.invalid_argument";
/// The payload cannot be said in the receiver's serialization.
pub const INVALID_PAYLOAD: &str = "wamp.error.invalid_payload";
/// The call was canceled, or its callee left.
pub const CANCELED: &str = "wamp.error.canceled";
/// The message is larger than the receiver allows.
pub const PAYLOAD_SIZE_EXCEEDED: &str = "wamp.error.payload_size_exceeded";
/// The session holds as many subscriptions, registrations or open calls as it may.
pub const LIMIT_EXCEEDED: &str = "wamp.error.limit_exceeded";
/// An option was asked for that is not to be had.
pub const OPTION_NOT_ALLOWED: &str = "wamp.error.option_not_allowed";
/// Publishers and callers are not disclosed here.
pub const DISCLOSE_ME_DISALLOWED: &str = "wamp.error.option_disallowed.disclose_me";
/// The other side has not announced the feature that a request needs.
pub const FEATURE_NOT_SUPPORTED: &str = "wamp.error.feature_not_supported";
/// The time for a call is over.
pub const TIMEOUT: &str = "wamp.error.timeout";
/// A callee cannot attend to a call: somebody else should be called.
pub const UNAVAILABLE: &str = "wamp.error.unavailable";
/// Every callee has been asked in vain.
pub const NO_AVAILABLE_CALLEE: &str = "wamp.error.no_available_callee";
/// Every callee works on as many calls as it has allowed, and too many wait already. Not of the specification: the
/// URI is the one that clients know from Crossbar.io.
pub const MAX_CONCURRENCY_REACHED: &str = "crossbar.error.max_concurrency_reached";
/// There is no session with this id, or it is the one that asks.
pub const NO_SUCH_SESSION: &str = "wamp.error.no_such_session";
/// The peer broke the protocol.
pub const PROTOCOL_VIOLATION: &str = "wamp.error.protocol_violation";
/// The peer may not do this.
pub const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";
/// The realm does not exist.
pub const NO_SUCH_REALM: &str = "wamp.error.no_such_realm";
/// None of the authentication methods that the client offers is to be had.
pub const NO_MATCHING_AUTH_METHOD: &str = "wamp.error.no_matching_auth_method";
/// Who the client says it is could not be shown. Not of the specification.
pub const AUTHENTICATION_DENIED: &str = "wamp.error.authentication_denied";
/// It could not be found out who the client is. Not of the specification.
pub const AUTHENTICATION_FAILED: &str = "wamp.error.authentication_failed";
/// It could not be found out whether the peer may do this.
pub const AUTHORIZATION_FAILED: &str = "wamp.error.authorization_failed";
/// The realm does not have the role.
pub const NO_SUCH_ROLE: &str = "wamp.error.no_such_role";
/// The router cannot do what it should, through no fault of the peer. Not of the specification.
pub const INTERNAL_ERROR: &str = "wamp.error.internal_error";

/// The router or client ends.
pub const SYSTEM_SHUTDOWN: &str = "wamp.close.system_shutdown";
/// The session was ended by another.
pub const LOGOUT: &str = "wamp.close.logout";
/// What the client has shown who it is by is not valid any longer.
pub const CLOSE_EXPIRED: &str = "wamp.close.authentication_expired";
/// The session was killed.
pub const CLOSE_KILLED: &str = "wamp.close.killed";
/// Another callee has taken the procedure over by force. Not of the specification; a URI, since clients read it as one.
pub const TAKEN_OVER: &str = "wamp.error.registration_taken_over";
/// The peer leaves the realm.
pub const CLOSE_REALM: &str = "wamp.close.close_realm";
/// The answer to a GOODBYE.
pub const GOODBYE_AND_OUT: &str = "wamp.close.goodbye_and_out";
