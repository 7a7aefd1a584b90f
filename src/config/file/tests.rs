use super::*;

fn parse(text: &str, yaml: bool) -> Read<(RuntimeConfig, Vec<String>)> {
    parse_in(text, if yaml { Format::Yaml } else { Format::Json }, Path::new(""))
}

/// Reads a file, and what is said of it; the schema has to take what the reader takes.
fn parse_in(text: &str, format: Format, directory: &Path) -> Read<(RuntimeConfig, Vec<String>)> {
    let (config, mut said, notes) = super::parse(text, format, directory)?;
    said.extend(notes.into_iter().map(|note| format!("note: {note}")));
    let mut value = format.parse(text).expect("it has been read");
    version::upgrade(&mut value);
    let validator = schema::tests::validator();
    let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{text}: {errors:?}");
    Ok((config, said))
}

use crate::auth::config::Dynamic;
use crate::config::connection::{Compression, ConnectionConfig};
use crate::config::{ConfigError, ListenAddress};
use crate::session::{Access, HistoryStore};
use crate::wamp::MatchPolicy;
use std::num::NonZeroU32;
use std::time::Duration;

const WHOLE: &str = r#"{
    "$schema": "https://raw.githubusercontent.com/crossbario/crossbar/master/crossbar.json",
    "version": 2,
    "controller": {},
    "workers": [{
        "type": "router",
        "realms": [{
            "name": "realm1",
            "roles": [
                {"name": "anonymous", "permissions": [
                    {"uri": "", "match": "prefix", "allow": {"call": true, "subscribe": true}, "cache": true},
                    {"uri": "com.old.*", "allow": {"publish": true}},
                    {"uri": "com.told", "allow": {"call": true}, "disclose": {"caller": true, "publisher": false}}
                ]},
                {"name": "user", "permissions": []}
            ],
            "store": {"type": "memory", "event-history": [{"uri": "com.kept", "limit": 7}, {"uri": "com.", "match": "prefix"}]}
        }],
        "transports": [
            {"type": "web", "endpoint": {"type": "tcp", "port": 8080, "backlog": 10}, "paths": {
                "/": {"type": "static", "directory": ".."},
                "ws": {"type": "websocket", "auth": {
                    "ticket": {"type": "static", "principals": {"joe": {"ticket": "secret!", "role": "user"}}},
                    "wampcra": {"type": "static", "users": {"joe": {"secret": "x", "role": "user", "salt": "s", "iterations": 9, "keylen": 16}}},
                    "anonymous": {"type": "dynamic", "authenticator": "com.who", "authenticator-realm": "realm1"}
                }},
                "lp": {"type": "longpoll"}
            }},
            {"type": "rawsocket", "endpoint": {"type": "unix", "path": "socket"}, "serializers": ["cbor"]}
        ]
    }]
}"#;

#[test]
fn a_file_is_read() {
    let (config, warnings) = parse(WHOLE, false).expect("a good file");
    assert_eq!(config.listeners[0].address, ListenAddress::Tcp { host: String::new(), port: 8080 });
    assert_eq!((config.listeners[0].backlog, config.listeners[0].transport), (10, 0));
    assert_eq!(config.listeners[1].address, ListenAddress::Unix("socket".into()));
    assert_eq!(config.listeners[1].transport, 1);
    let paths: Vec<_> = config.listeners[0].paths.iter().map(|path| (&*path.path, path.service.transport())).collect();
    assert_eq!(paths, [("/", None), ("/lp", Some(0)), ("/ws", Some(0))]);
    let realm = &config.realms[0];
    let Access::Rules(rules) = &realm.roles.as_ref().expect("roles")[0].access else { panic!("rules") };
    let patterns: Vec<_> = rules.iter().map(|rule| (&*rule.uri, rule.policy)).collect();
    let expected = [("", MatchPolicy::Prefix), ("com.old.", MatchPolicy::Prefix), ("com.told", MatchPolicy::Exact)];
    assert_eq!(patterns, expected);
    assert!(rules[0].allow.call && rules[0].allow.subscribe && !rules[0].allow.publish && rules[2].disclose.caller);
    let limits: Vec<_> = realm.history.iter().map(|rule| rule.events_max).collect();
    assert_eq!(limits, [7, 100]);
    let auth = &config.transports[0].auth;
    let Some(Source::Static(users)) = &auth.ticket else { panic!("users") };
    assert_eq!(users["joe"].grant.role.as_deref(), Some("user"));
    let Some(Source::Static(users)) = &auth.wampcra else { panic!("users") };
    assert_eq!(users["joe"].keys.len(), 2, "as it stands there, and derived");
    let Some(Source::Dynamic(dynamic)) = &auth.anonymous else { panic!("an authenticator") };
    let realm1 = Some("realm1".into());
    assert_eq!(*dynamic, Dynamic::Procedure { procedure: "com.who".into(), realm: realm1 });
    assert_eq!(config.transports[1].auth, crate::auth::AuthConfig::default());
    let cbor = config.transports[1].serializers.as_ref().expect("some serializers");
    assert_eq!(cbor.iter().map(|known| known.name()).collect::<Vec<_>>(), ["wamp.2.cbor"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn yaml_says_the_same() {
    let yaml = "version: 2\nworkers:\n- type: router\n  realms:\n  - name: realm1\n    roles:\n    - name: anonymous\n      \
                permissions:\n      - uri: com.\n        match: prefix\n        allow: {call: true}\n  transports:\n  - type: websocket\n    \
                endpoint: {type: tcp, port: 9000, interface: 127.0.0.1}\n";
    let (config, warnings) = parse(yaml, true).expect("a good file");
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:9000");
    assert!(warnings.is_empty(), "{warnings:?}");
    let fault = parse("version: [", true).expect_err("no YAML");
    assert!(!fault.message.is_empty() && !fault.message.contains('\n'));
}

/// Changes one part of the file, and gives what is said about it.
fn changed(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    let fault = parse(&WHOLE.replacen(from, to, 1), false).expect_err("a mistake");
    format!("{}: {}", fault.at, fault.message)
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (from, to, expected) in [
        ("\"version\": 2", "\"version\": 3", "version: is not understood; 1 and 2 are"),
        ("\"type\": \"router\"", "\"type\": \"ruter\"", "workers[0].type: is \"ruter\", not router, proxy, "),
        ("\"realms\":", "\"relms\":", "workers[0].relms: is not known; did you mean \"realms\"?"),
        (
            "\"name\": \"realm1\"",
            "\"nam\": \"realm1\"",
            "workers[0].realms[0].nam: is not known; did you mean \"name\"?",
        ),
        ("\"name\": \"realm1\"", "\"name\": \"a..b\"", ": the realm name \"a..b\""),
        ("\"match\": \"prefix\"", "\"match\": \"pre\"", "permissions[0].match: is \"pre\""),
        ("\"call\": true", "\"call\": 1", "permissions[0].allow.call: invalid type"),
        (
            "\"permissions\": []",
            "\"permissions\": [], \"authorizer\": \"com.x\"",
            "roles[1].authorizer: a role has permissions or an authorizer, not both",
        ),
        ("\"permissions\": []", "\"authorizer\": \"a..b\"", "roles[1].authorizer: \"a..b\" is not the URI"),
        ("\"name\": \"user\"", "\"name\": \"anonymous\"", "roles[1].name: \"anonymous\" is there twice"),
        ("\"type\": \"web\",", "\"type\": \"web\", \"auth\": {},", "transports[0].auth: is not known; it is none of "),
        ("\"type\": \"rawsocket\",", "\"type\": \"rawsocket\", \"paths\": {},", "transports[1].paths: is not known"),
        ("\"port\": 8080", "\"port\": 70000", "endpoint.port: is 70000"),
        ("\"port\": 8080", "\"port\": \"$NO_SUCH_VARIABLE_1\"", "the variable \"NO_SUCH_VARIABLE_1\" is not set"),
        ("\"backlog\": 10", "\"tls\": {}", "endpoint.tls: missing field `certificate`"),
        ("\"backlog\": 10", "\"proxy_protocol\": [\"x\"]", "proxy_protocol: \"x\" is neither an address nor"),
        ("\"backlog\": 10", "\"forwarded\": {\"from\": [], \"header\": \"Via\"}", "forwarded.header: is \"via\", not"),
        ("\"type\": \"rawsocket\"", "\"type\": \"rwsocket\"", "transports[1].type: is \"rwsocket\""),
        ("\"ticket\": \"secret!\"", "\"ticket\": \"\"", "auth.ticket.principals.joe.ticket: is empty"),
        ("\"salt\": \"s\", ", "", "but no `salt`"),
        ("\"keylen\": 16", "\"keylen\": 0", "wampcra.principals.joe.keylen: is 0, not from 16 to 64"),
        ("\"iterations\": 9", "\"iterations\": 0", "iterations: is 0, not from 1 to 1000000"),
        ("\"type\": \"dynamic\"", "\"type\": \"functional\"", "auth.anonymous.type: is \"functional\""),
        ("\"type\": \"memory\"", "\"type\": \"disk\"", "store.type: is \"disk\""),
    ] {
        let said = changed(from, to);
        assert!(said.contains(expected), "{from} -> {to}: {said}");
        assert!(!said.contains('\n') && !said.contains("secret!"), "{said}");
    }
    assert!(parse("{", false).is_err() && parse("[]", false).is_err() && parse("", false).is_err());
}

/// Reads a file whose only role is this one, and gives the warnings.
fn with_role(role: &str) -> (Access, Vec<String>) {
    let text = r#"{"version": 2, "workers": [{"type": "router",
        "realms": [{"name": "realm1", "roles": [ROLE]}],
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 0}}]}]}"#;
    let (mut config, warnings) = parse(&text.replace("ROLE", role), false).expect("a good file");
    (config.realms[0].roles.take().expect("roles").remove(0).access, warnings)
}

#[test]
fn stars_are_what_they_were() {
    let rule = |uri: &str| {
        let (access, warnings) = with_role(&format!(r#"{{"name": "anonymous", "permissions": [{{"uri": "{uri}"}}]}}"#));
        let Access::Rules(rules) = access else { panic!("rules") };
        (rules[0].uri.to_string(), rules[0].policy, warnings.len())
    };
    assert_eq!(rule("com.a"), ("com.a".into(), MatchPolicy::Exact, 0));
    assert_eq!(rule("com.*"), ("com.".into(), MatchPolicy::Prefix, 0));
    assert_eq!(rule("*"), (String::new(), MatchPolicy::Prefix, 0));
    assert_eq!(rule("com.*.a"), ("com..a".into(), MatchPolicy::Wildcard, 0));
    assert_eq!(rule("com.*.a.*"), ("com..a.".into(), MatchPolicy::Wildcard, 0));
    assert_eq!(rule("com.a*.b"), ("com.a.b".into(), MatchPolicy::Wildcard, 1));
}

#[test]
fn what_is_decided_otherwise_than_in_crossbar_is_told() {
    let (_, warnings) = with_role(
        r#"{"name": "anonymous", "permissions": [
            {"uri": "com.", "match": "prefix", "allow": {"publish": true}},
            {"uri": "com..private", "match": "wildcard", "allow": {"call": true}},
            {"uri": "com.app.time", "allow": {"publish": true}},
            {"uri": "com.app.user.{authid}", "match": "prefix", "allow": {"publish": true}}]}"#,
    );
    let at = "workers[0].realms[0].roles[0].permissions";
    let expected = [
        format!(
            "{at}[3].uri: the prefix \"com.app.user.{{authid}}\" ends with a variable and no dot: for `joe` it matches \
             what is `joey`'s as well"
        ),
        format!(
            "{at}[0]: for \"com.app.private\" this rule (prefix \"com.\") decides here, in Crossbar.io permissions[1] \
             (wildcard \"com..private\"); allowed here alone: publish; allowed there alone: call"
        ),
        format!(
            "{at}[0]: for \"com.app.timex\" this rule (prefix \"com.\") decides here, in Crossbar.io none: permissions[2] \
             (exact \"com.app.time\") hides it there, though it does not match; allowed here alone: publish"
        ),
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn trusted_is_no_special_name() {
    let role = |name: &str, disclose: bool| {
        let rule = format!(r#"{{"uri": "*", "allow": {{"call": true}}, "disclose": {{"caller": {disclose}}}}}"#);
        with_role(&format!(r#"{{"name": "{name}", "permissions": [{rule}]}}"#)).1.len()
    };
    assert_eq!((role("trusted", false), role("trusted", true), role("other", false)), (1, 0, 0));
}

#[test]
fn many_differences_are_counted() {
    let exact: Vec<String> = (0..30).map(|number| format!(r#"{{"uri": "com.p{number:02}"}}"#)).collect();
    let prefix = r#"{"uri": "com.*", "allow": {"call": true}}"#;
    let role = format!(r#"{{"name": "anonymous", "permissions": [{prefix}, {}]}}"#, exact.join(", "));
    let (_, warnings) = with_role(&role);
    assert_eq!(warnings.len(), 21, "{warnings:?}");
    assert!(warnings[20].ends_with("permissions: and 10 more pairs of rules decide otherwise than in Crossbar.io"));
}

#[test]
fn permissions_come_before_what_is_allowed_by_default() {
    let (access, warnings) = with_role(r#"{"name": "anonymous", "permissions": [], "allow-by-default": true}"#);
    assert_eq!(access, Access::Rules(Vec::new()));
    assert!(warnings[0].contains("allow-by-default: has no effect"), "{warnings:?}");
    assert_eq!(with_role(r#"{"name": "anonymous", "allow-by-default": true}"#).0, Access::All);
}

/// Reads a file with these settings and options of a WebSocket transport, and another transport if asked for.
fn with_options(settings: &str, options: &str, other: &str) -> Result<(RuntimeConfig, Vec<String>), String> {
    let text = r#"{"version": 2, "corebar": SETTINGS, "workers": [{"type": "router",
        "realms": [{"name": "realm1"}],
        "transports": [
            {"type": "websocket", "endpoint": {"type": "tcp", "port": 0}, "options": OPTIONS}
            OTHER]}]}"#;
    let text = text.replace("SETTINGS", settings).replace("OPTIONS", options).replace("OTHER", other);
    parse(&text, false).map_err(|fault| format!("{}: {}", fault.at, fault.message))
}

#[test]
fn options_of_transports_are_read() {
    let options = r#"{"max_message_size": 1048576, "max_frame_size": 65536, "open_handshake_timeout": 2500,
        "close_handshake_timeout": 1000, "tcp_nodelay": true, "auto_ping_interval": 0, "auto_ping_timeout": 5000,
        "auto_ping_size": 12, "fail_by_drop": true, "enable_webstatus": false, "require_websocket_subprotocol": false, "auto_ping_restart_on_any_traffic": true,
        "compression": {"deflate": {"max_window_bits": 13, "memory_level": 5}}}"#;
    let (config, warnings) = with_options("{}", options, "").expect("a good file");
    let expected = ConnectionConfig {
        message_bytes_max: Some(1024 * 1024),
        frame_bytes_max: Some(65536),
        handshake_timeout: Some(Duration::from_millis(2500)),
        close_timeout: Some(Duration::from_secs(1)),
        ping_interval: Some(Duration::ZERO),
        ping_timeout: Some(Duration::from_secs(5)),
        ping_bytes: Some(12),
        compression: Compression::Deflate(13),
        drops_faults: true,
        assumes_json: true,
        no_page: true,
        ..ConnectionConfig::default()
    };
    assert_eq!((&config.transports[0].connection, warnings), (&expected, vec![]));
    let options = r#"{"auto_fragment_size": 100, "echo_close_codereason": true, "open_handshake_timeout": 0, "max_message_size": 5, "compression": {}}"#;
    let (config, warnings) = with_options("{}", options, "").expect("a good file");
    let connection = &config.transports[0].connection;
    assert_eq!((connection.handshake_timeout, connection.message_bytes_max), (None, Some(512)));
    assert_eq!((connection.compression, warnings.len()), (Compression::No, 3), "{warnings:?}");
    assert_eq!(connection.fragment_bytes, NonZeroU32::new(100));
    for (options, expected) in [
        (r#"{"max_message_size": 0}"#, "options.max_message_size: is 0, not a number of octets from 1"),
        (r#"{"open_handshake_timeout": 10}"#, "open_handshake_timeout: is 10, not a number of milliseconds from 1000"),
        (
            r#"{"max_message": 1}"#,
            "transports[0].options.max_message: is not known; did you mean \"max_message_size\"?",
        ),
        (
            r#"{"compression": {"deflate": {"max_window_bits": 8}}}"#,
            "deflate.max_window_bits: is 8, not a number of bits",
        ),
        (r#"{"compression": {"bzip2": {}}}"#, "options.compression.bzip2: is not known"),
        (r#"{"auto_fragment_size": 2000000000}"#, "options.auto_fragment_size: is 2000000000, not a number of octets"),
        (r#"{"auto_ping_size": 4}"#, "options.auto_ping_size: is 4, not a number of octets from 12 to 125"),
    ] {
        let said = with_options("{}", options, "").expect_err("a mistake");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn options_hold_for_their_own_transport() {
    let options = r#"{"max_message_size": 1024}"#;
    let other = r#", {"type": "rawsocket", "endpoint": {"type": "unix", "path": "s"}, "options": {"max_message_size": 4096}},
        {"type": "rawsocket", "endpoint": {"type": "unix", "path": "t"}}"#;
    let settings = r#"{"transport": {"message_bytes_max": 2048}}"#;
    let (config, warnings) = with_options(settings, options, other).expect("a good file");
    let sizes: Vec<_> = config.transports.iter().map(|transport| transport.connection.message_bytes_max).collect();
    assert_eq!((config.message_bytes_max, sizes, warnings), (2048, vec![Some(1024), Some(4096), None], vec![]));
    let web = r#", {"type": "web", "endpoint": {"type": "unix", "path": "s"}, "paths": {
        "ws": {"type": "websocket", "options": {"max_message_size": 600}, "cookie": {}, "auth": {"cookie": {}, "anonymous": {"type": "static"}}},
        "lp": {"type": "longpoll", "options": {"request_timeout": 5, "session_timeout": 20, "queue_limit_bytes": 1}},
        "as": {"type": "longpoll"},
        "own": {"type": "longpoll", "options": {"session_timeout": 0}, "auth": {"anonymous": {"type": "static", "realm": "realm1"}}}}}"#;
    let (config, warnings) = with_options("{}", "{}", web).expect("a good file");
    let transport = |path: &str| {
        let found = config.listeners[1].paths.iter().find(|known| known.path == path).expect(path);
        &config.transports[usize::from(found.service.transport().expect("a way in"))]
    };
    let times = |path: &str| (transport(path).connection.receive_timeout, transport(path).connection.idle_timeout);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((times("/lp"), times("/own")), ((seconds(5), seconds(20)), (None, seconds(86400))));
    assert_eq!((times("/ws"), times("/as")), ((None, None), (None, None)));
    // Otherwise they are the way in that WebSocket is, without its cookie.
    assert_eq!(transport("/lp").connection.message_bytes_max, Some(600));
    assert!(
        transport("/lp").cookie.is_none() && transport("/lp").auth.anonymous.is_some() && !transport("/lp").auth.cookie
    );
    let idle = warnings.iter().filter(|warning| warning.ends_with("queue_limit_bytes: has no effect"));
    assert_eq!(idle.count(), 1, "{warnings:?}");
}

#[test]
fn mistakes_in_settings_are_told() {
    let said = with_options(r#"{"limits": {"call_max": 1}}"#, "{}", "").expect_err("a mistake");
    assert_eq!(said, "corebar.limits.call_max: is not known; did you mean corebar.limits.calls_max?");
    let (config, _) = with_options(r#"{"shards": 2, "limits": {"calls_max": 1}}"#, "{}", "").expect("a good file");
    assert_eq!((config.shards, config.limits.calls_max), (Some(2), 1));
}

#[test]
fn what_is_not_needed_is_noted() {
    let file = |fabric: &str, tls: &str, more: &str| {
        let text = format!(
            r#"{{"version": 2, "controller": {{"enable_docker": false, "fabric": {fabric}}}, "workers": [{{"type": "router",
            "options": {{"expose_shared": false}},
            "realms": [{{"name": "realm1", "store": {{"type": "memory", "call-queue": [{{"uri": "com.x"}}]}}}}],
            "transports": [{{"type": "rawsocket", {more} "endpoint": {{"type": "tcp", "port": 0,
                "tls": {{"certificate": "own.pem", "key": "own.key"{tls}}}}}}}]}}]}}"#
        );
        parse(&text, false).expect("a good file")
    };
    let call_queue = "note: workers[0].realms[0].store.call-queue: does nothing, as in Crossbar.io";
    for fabric in ["null", "{}", r#"{"transport": null}"#] {
        let (_, said) = file(fabric, "", r#""debug": false,"#);
        assert!(said.len() == 1 && said[0].starts_with(call_queue), "{said:?}");
    }
    let (config, said) = file(
        r#"{"transport": {"url": "ws://x"}}"#,
        r#", "dhparam": "x", "ciphers": "ECDH+CHACHA20""#,
        "\"debug\": true,",
    );
    let expected =
        ["controller.fabric: has no effect", call_queue, "tls.dhparam: is not needed", "debug: does nothing"];
    assert!(said.len() == 4 && expected.iter().all(|text| said.iter().any(|said| said.contains(text))), "{said:?}");
    let ciphers = config.listeners[0].tls.as_ref().and_then(|tls| tls.ciphers.as_ref());
    assert_eq!(ciphers.map(Vec::len), Some(2));
    let (config, said) = file("{}", r#", "ciphers": "AES128-SHA""#, "");
    assert!(said.iter().any(|said| said.ends_with("so that there is TLS 1.3 alone")), "{said:?}");
    assert_eq!(config.listeners[0].tls.as_ref().and_then(|tls| tls.ciphers.clone()), Some(Vec::new()));
}

#[test]
fn doors_are_read() {
    let text = r#"{"version": 2, "workers": [{"type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}, {"name": "user", "authorizer": "com.may"}]}],
        "transports": [{
            "type": "universal",
            "endpoint": {"type": "tcp", "port": 0,
                "tls": {"certificate": "own.pem", "key": "own.key", "chain_certificates": ["between.pem"],
                    "ca_certificates": ["ca.pem"], "client_certificate": "optional", "dhparam": "dh.pem",
                    "sni": [{"certificate": "/other.pem", "key": "/other.key"}]},
                "proxy_protocol": ["10.0.0.0/8", "::1"],
                "forwarded": {"from": ["192.0.2.1"], "header": "Forwarded"}},
            "rawsocket": {"auth": {"anonymous": {"type": "static"}}},
            "websocket": {
                "ws": {"auth": {"anonymous": {"type": "static"}}},
                "/app/": {
                    "options": {"allowed_origins": ["https://a.example"], "allow_null_origin": false,
                        "auto_ping_interval": 5000},
                    "cookie": {"name": "me", "max_age": 60, "same_site": "strict",
                        "store": {"type": "file", "filename": "cookies", "purge_on_startup": true}},
                    "auth": {"cookie": {}, "tls": {"type": "static", "principals": {"joe": {"role": "user"}}}}}}}]}]}"#;
    let (config, warnings) = parse(text, false).expect("a good file");
    let [listener] = &*config.listeners else { panic!("one listener") };
    let tls = listener.tls.as_ref().expect("TLS");
    assert_eq!(tls.certificates[0].chain, [std::path::PathBuf::from("between.pem")]);
    assert!(tls.client_optional && tls.certificates.len() == 2);
    assert_eq!(listener.proxy_protocol.len(), 2);
    assert_eq!((listener.forwarded.len(), listener.forwarded_header.name()), (1, "forwarded"));
    let paths: Vec<_> = listener.paths.iter().map(|path| (&*path.path, path.service.transport())).collect();
    // What is the same now may be made different by a reload.
    assert_eq!(
        (paths, listener.rawsocket, listener.transport),
        (vec![("/app", Some(1)), ("/ws", Some(2))], Some(0), 1)
    );
    let app = &config.transports[1];
    let cookie = app.cookie.as_ref().expect("a cookie");
    assert!(app.auth.cookie && app.auth.tls.is_some() && cookie.secure && cookie.http_only && cookie.purge);
    assert_eq!((app.null_origin, app.connection.ping_interval), (Some(false), Some(Duration::from_secs(5))));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for (from, to, expected) in [
        (r#""cookie": {"name": "me""#, r#""url": {"name": "me""#, "app/.auth.cookie: needs a `cookie` beside"),
        (
            r#""ca_certificates": ["ca.pem"], "client_certificate": "optional","#,
            "",
            "auth.tls: needs `ca_certificates`",
        ),
        (r#""name": "me""#, r#""name": "m e""#, "cookie.name: \"m e\" is no name for a cookie"),
        (r#""max_age": 60"#, r#""length": 5"#, "cookie.length: is 5, not from 6 to 64"),
        ("\"strict\"", "\"odd\"", "same_site: is \"odd\", not Strict, Lax or None"),
        (r#", "filename": "cookies""#, "", "cookie.store: missing field `filename`"),
        (r#""type": "file""#, r#""type": "tin""#, "cookie.store.type: is \"tin\""),
    ] {
        assert!(text.contains(from), "{from}");
        let fault = parse(&text.replacen(from, to, 1), false).expect_err("a mistake");
        let said = format!("{}: {}", fault.at, fault.message);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn tokens_are_configured() {
    let read = |jwt: &str| {
        let text = r#"{"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1"}], "transports": [
            {"type": "websocket", "endpoint": {"type": "tcp", "port": 0}, "auth": {"jwt": {"type": "static", JWT}}}]}]}"#;
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/auth/jwt"));
        let read = parse_in(&text.replace("JWT", jwt), Format::Json, directory);
        read.map(|(config, _)| config.transports[0].auth.jwt.clone().expect("a method")).map_err(|fault| {
            assert!(fault.at.starts_with("workers[0].transports[0].auth.jwt"), "{}", fault.at);
            fault.message
        })
    };
    let config = read(r#""key": "rsa.pem", "leeway": 1.5, "issuer": "me", "role": "user", "extra_claims": ["x"]"#);
    let config = config.expect("good settings");
    assert_eq!((config.leeway.as_millis(), config.role.as_deref(), config.expiry_required), (1500, Some("user"), true));
    assert!(read(r#""secret_base64": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE""#).is_ok());
    for (jwt, expected) in [
        (r#""role": "user""#, "needs one of secret, secret_base64, key and jwks"),
        (r#""secret": "x", "key": "rsa.pem""#, "needs one of"),
        (r#""secret": "short""#, "has 5 octets"),
        (r#""secret_base64": "?""#, "is not written in base64"),
        (r#""key": "missing.pem""#, "missing.pem: No such file"),
        (r#""key": "rsa.token""#, "holds no public key in PEM"),
        (r#""key": "rsa.pem", "algorithms": ["EdDSA"]"#, "holds no public key in PEM for any of the algorithms"),
        (r#""key": "rsa.pem", "algorithms": ["none"]"#, "\"none\" is none of HS256"),
        (r#""jwks": "rsa.pem""#, "is no JWKS"),
        (r#""key": "rsa.pem", "leeway": 301"#, "is 301, not from 0 to 300"),
    ] {
        let said = read(jwt).expect_err("a mistake");
        assert!(said.contains(expected), "{jwt}: {said}");
    }
}

fn warnings(text: &str) -> Vec<String> {
    parse(text, false).expect("a good file").1
}

#[test]
fn roles_that_no_realm_has_are_told() {
    let text = WHOLE.replace("\"name\": \"user\"", "\"name\": \"users\"");
    let text_of = "workers: users are given the role \"user\", which no realm has: they will be refused";
    assert!(warnings(&text).iter().any(|warning| warning == text_of));
    assert!(!warnings(WHOLE).iter().any(|warning| warning.contains("no realm has")));
}

#[test]
fn older_files_are_read_and_told_of() {
    for text in [WHOLE.replace("\"version\": 2", "\"version\": 1"), WHOLE.replace("\"version\": 2,", "")] {
        assert!(warnings(&text).iter().any(|warning| warning.starts_with("version: is older than 2; the command")));
    }
    assert!(!warnings(WHOLE).iter().any(|warning| warning.starts_with("version")));
}

const WORKERS: &str = r#"{"version": 2, "controller": {"id": "node1", "options": {"shutdown": ["shutdown_on_worker_exit_with_error"]}},
    "workers": [
    {"type": "router", "options": {"cpu_affinity": [0], "pythonpath": [".."]},
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}, {"name": "user"}]}],
        "transports": [
            {"type": "websocket", "endpoint": {"type": "tcp", "port": 8080, "shared": true}},
            {"type": "rawsocket", "endpoint": {"type": "unix", "path": "sock"}, "auth": {"anonymous-proxy": {"type": "static"}}},
            {"type": "mqtt", "endpoint": {"type": "tcp", "port": 1883}, "options": {"realm": "realm1"}}]},
    {"type": "router", "id": "second", "options": {"cpu_affinity": [1]},
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 8081}}]},
    {"type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}, {"name": "user"}]}],
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 8080, "shared": true}}]},
    {"type": "proxy",
        "connections": {"conn1": {"transport": {"type": "rawsocket", "endpoint": {"type": "unix", "path": "sock"}}}},
        "routes": {"realm1": {"anonymous": "conn1"}},
        "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "port": 8082}}]},
    {"type": "router", "options": {"disabled": true}, "realms": [{"name": "other"}]}
]}"#;

#[test]
fn workers_are_namespaces() {
    let (config, warnings) = parse(WORKERS, false).expect("a good file");
    let realms: Vec<_> = config.realms.iter().map(|realm| (&*realm.name, &*realm.namespace)).collect();
    assert_eq!(realms, [("realm1", ""), ("realm1", "second")]);
    let reached: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| {
            let reach = &config.transports[usize::from(listener.transport)].auth.reach;
            (listener.address.to_string(), &*reach.namespace, reach.admits("realm1", "user"))
        })
        .collect();
    let expected = [(":8080", "", true), (":8081", "second", true), (":8082", "", false)];
    assert_eq!(reached, expected.map(|(address, namespace, user)| (address.into(), namespace, user)));
    // The third says nothing of cores.
    assert_eq!((config.node.id.as_deref(), &config.cores), (Some("node1"), &None));
    assert!(config.node.shutdown_on.failure && !config.node.shutdown_on.exit);
    let starts = [
        "note: workers[0].transports[1]: is not opened: it is for proxies",
        "workers[0].transports[2]: is not served: there is no mqtt",
    ];
    for start in starts {
        assert!(warnings.iter().any(|warning| warning.starts_with(start)), "{start}: {warnings:?}");
    }
    let third = r#"{"type": "router",
        "realms""#;
    let all =
        WORKERS.replace(third, &third.replace("\"router\"", "\"router\", \"options\": {\"cpu_affinity\": [3, 1]}"));
    assert_eq!(parse(&all, false).expect("a good file").0.cores, Some(vec![0, 1, 3]));
    let all = all.replace("{\"type\": \"proxy\",", "{\"type\": \"proxy\", \"options\": {\"cpu_affinity\": [4]},");
    assert_eq!(parse(&all, false).expect("a good file").0.cores, Some(vec![0, 1, 3, 4]));
    for (from, to, said) in [
        (
            "{\"type\": \"proxy\",",
            "{\"type\": \"proxy\", \"options\": {\"restart\": \"restart-always\"},",
            "workers[3].options.restart: is for workers with components only",
        ),
        (
            "\"pythonpath\": [\"..\"]",
            "\"shutdown\": \"shutdown-manual\"",
            "workers[0].options.shutdown: is for workers with components only",
        ),
        ("\"conn1\"}}", "\"conn2\"}}", "workers[3].routes.realm1.anonymous: leads to \"conn2\""),
        ("\"node1\"", "\"Node 1\"", "controller.id: \"Node 1\" is no id"),
        ("with_error", "with_pride", "controller.options.shutdown"),
        (
            "\"path\": \"sock\"}}}",
            "\"path\": \"away\"}}}",
            "workers[3].connections.conn1.transport.endpoint: leads to away",
        ),
        ("8082", "8080", "workers[3].transports[0].endpoint: another transport listens on :8080"),
        ("\"disabled\": true", "\"disabled\": 1", "workers[4].options.disabled: is 1"),
        (
            "{\"name\": \"user\"}]}],\n        \"transports\": [{",
            "{\"name\": \"users\"}]}],\n        \"transports\": [{",
            "workers[2].realms[0].name: \"realm1\" is there twice",
        ),
    ] {
        let text = WORKERS.replace(from, to);
        assert_ne!(text, WORKERS, "{from}");
        let fault = parse(&text, false).expect_err("a mistake");
        let text = format!("{}: {}", fault.at, fault.message);
        assert!(text.starts_with(said), "{from}: {text}");
    }
}

#[test]
fn histories_are_kept_on_disk() {
    let with = |store: &str| {
        let text = WHOLE.replace(r#"{"type": "memory", "#, store);
        let read = parse_in(&text, Format::Json, Path::new("/node"));
        read.map(|(config, _)| config.realms[0].history_store.clone()).map_err(|fault| fault.message)
    };
    let disk = HistoryStore::Disk { path: "/node/db.history".into(), sync: true };
    assert_eq!(with(r#"{"type": "cfxdb", "path": "db", "sync": true, "#), Ok(disk));
    assert_eq!(with(r#"{"type": "cfxdb", "#).expect_err("no path"), "missing field `path`");
    assert_eq!(
        with(r#"{"type": "memory", "path": "db", "#).expect_err("a path"),
        "is not known; it is none of \"limit\", \"event-history\", \"call-queue\""
    );
    assert_eq!(with(r#"{"type": "disk", "#).expect_err("no type"), "is \"disk\", not memory or cfxdb");
}

/// A file with these paths of a web transport, and with more beside them.
fn with_paths(paths: &str, more: &str) -> Read<(RuntimeConfig, Vec<String>)> {
    let text = r#"{"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}], "transports": [
        {"type": "web", "endpoint": {"type": "tcp", "port": 0}, "paths": {PATHS} MORE}]}]}"#;
    parse_in(&text.replace("PATHS", paths).replace("MORE", more), Format::Json, Path::new("/node/.crossbar"))
}

#[test]
fn web_paths_are_read() {
    use crate::config::web::{Root, Service};
    let (config, warnings) = with_paths(
        r#""/": {"type": "static", "directory": "../web", "options": {"default_file": "app.html", "cache_timeout": null,
               "mime_types": {".X": "text/x"}}},
           "py": {"type": "static", "package": "a.b", "resource": "web"},
           "zip": {"type": "archive", "archive": "a.zip", "origin": "https://a.example/a.zip", "cache": true},
           "lp": {"type": "longpoll", "options": {"session_timeout": 0}},
           "own": {"type": "longpoll", "auth": {"anonymous": {"type": "static", "realm": "realm1"}}},
           "js": {"type": "client"},
           "a": {"type": "path", "paths": {"/": {"type": "nodeinfo"}, "b": {"type": "path", "paths": {
               "c": {"type": "websocket"}, "/": {"type": "json", "value": null}}}}},
           "app": {"type": "wap", "classname": "x.Y"}"#,
        r#", "options": {"hsts": true, "client_timeout": null}"#,
    )
    .expect("a good file");
    let paths = &config.listeners[0].paths;
    let at = |path: &str| &paths.iter().find(|known| known.path == path).expect(path).service;
    let Service::Static(files) = at("/") else { panic!("files") };
    assert_eq!(files.root, Root::Directory("/node/.crossbar/../web".into()));
    assert_eq!((files.cache, files.fallback.as_deref(), &*files.types[".x"]), (None, Some("app.html"), "text/x"));
    let Service::Archive(archive) = at("/zip") else { panic!("an archive") };
    assert_eq!(archive.origin, None, "without `download`");
    assert!(matches!(at("/py"), Service::Static(files) if matches!(files.root, Root::Package { .. })));
    assert!(matches!((at("/a"), at("/a/b")), (Service::NodeInfo, Service::Json(json)) if &*json.text == "null"));
    assert_eq!((at("/app"), at("/js")), (&Service::Nothing, &Service::Client));
    let websocket = at("/a/b/c").transport();
    // Long-polling is the way in that WebSocket is, but for its times, or its own.
    let of = |transport: Option<u16>| &config.transports[usize::from(transport.expect("a way in"))];
    let idle_timeout = Some(Duration::from_secs(86_400));
    assert_eq!(of(at("/lp").transport()).connection, ConnectionConfig { idle_timeout, ..ConnectionConfig::default() });
    assert_eq!(of(at("/lp").transport()).auth, of(websocket).auth);
    assert_ne!(at("/own").transport(), websocket);
    assert_eq!(config.listeners[0].web.hsts, None);
    let told = ["paths.app: a path of the type \"wap\" is not served", "hsts: has no effect without"];
    assert_eq!(warnings.len(), told.len(), "{warnings:?}");
    assert!(told.iter().all(|text| warnings.iter().any(|warning| warning.contains(text))), "{warnings:?}");
}

#[test]
fn mistakes_in_web_paths_are_told() {
    for (paths, more, expected) in [
        ("", "", "transports[0]: serves nothing"),
        (r#""x": {"type": "stat"}"#, "", "paths.x.type: is \"stat\", which is not known; did you mean \"static\"?"),
        (r#""x": {"type": "static"}"#, "", "paths.x: needs either a `directory` or"),
        (r#""x": {"type": "static", "directory": "a", "package": "b"}"#, "", "paths.x: needs either"),
        (r#""x": {"type": "static", "package": "-c", "resource": "x"}"#, "", "package: is \"-c\""),
        (
            r#""x": {"type": "static", "directory": "a", "options": {"fallback": "../x"}}"#,
            "",
            "options.fallback: has to",
        ),
        (
            r#""x": {"type": "static", "directory": "a", "options": {"mime_types": {"x": "a/b"}}}"#,
            "",
            "is no extension",
        ),
        (
            r#""x": {"type": "static", "directory": "a", "options": {"mime_types": {".x": "a/b\r\nc"}}}"#,
            "",
            "is no content",
        ),
        (r#""x": {"type": "static", "directory": "a", "options": {"cach": 1}}"#, "", "x.options.cach: is not known"),
        (r#""x": {"type": "redirect", "url": "a\r\nb"}"#, "", "x.url: is \"a\\r\\nb\""),
        (r#""x": {"type": "json"}"#, "", "missing field `value`"),
        (r#""x": {"type": "websocket", "backends": []}"#, "", "x.backends: is not known"),
        (r#""x": {"type": "archive", "archive": "a", "download": true}"#, "", "x.download: needs an `origin`"),
        (r#""x": {"type": "archive", "archive": "a", "origin": "file:///x"}"#, "", "is no URL of HTTP"),
        (r#""x": {"type": "archive", "archive": "a", "hashes": ["12"]}"#, "", "hashes: \"12\" is no SHA-256"),
        (r#""a b": {"type": "nodeinfo"}"#, "", "\"a b\" is no path"),
        (r#""..": {"type": "nodeinfo"}"#, "", "\"..\" is no path"),
        (r#""x": {"type": "nodeinfo"}, "x/": {"type": "nodeinfo"}"#, "", "there is something at /x already"),
        (r#""x": {"type": "nodeinfo"}"#, r#", "options": {"client_timeout": 0}"#, "options.client_timeout: is not"),
        (r#""x": {"type": "nodeinfo"}"#, r#", "options": {"client": 1}"#, "options.client: is not known"),
    ] {
        let fault = with_paths(paths, more).expect_err("a mistake");
        let said = format!("{}: {}", fault.at, fault.message);
        assert!(said.contains(expected) && !said.contains('\n'), "{paths}: {said}");
    }
}

#[test]
fn bridges_are_read() {
    use crate::config::bridge::Action;
    use crate::config::web::Service;
    let bridge = |kind: &str, options: &str| {
        let path =
            format!(r#""x": {{"type": "{kind}", "realm": "realm1", "role": "anonymous", "options": {{{options}}}}}"#);
        let (config, warnings) = with_paths(&path, "")?;
        assert!(warnings.is_empty(), "{warnings:?}");
        let Service::Bridge(bridge) = &config.listeners[0].paths[0].service else { panic!("a bridge") };
        let Some(Source::Static(own)) = &config.transports[usize::from(bridge.transport)].auth.anonymous else {
            panic!("its own way in")
        };
        assert_eq!((own.grant.role.as_deref(), own.grant.realm.as_deref()), (Some("anonymous"), Some("realm1")));
        assert_ne!(config.listeners[0].transport, bridge.transport, "nobody else comes by it");
        Ok::<_, Fault>(*bridge.clone())
    };
    let signed = bridge("publisher", r#""key": "k", "secret": "s", "timestamp_delta_limit": 0, "debug": true"#);
    let signed = signed.expect("good options");
    assert!(signed.signed.is_some() && signed.timestamp_delta_max.is_none() && signed.action == Action::Publish);
    assert!(matches!(bridge("webhook", r#""topic": "com.x""#).expect("good options").action, Action::Hook { .. }));
    for (kind, options, expected) in [
        ("publisher", r#""key": "k""#, "needs both `key` and `secret`"),
        ("caller", r#""topic": "x""#, "options.topic: is not known"),
        ("webhook", "", "missing field `topic`"),
        ("webhook", r#""topic": "x", "key": "x""#, "options.key: is not known"),
        ("caller", r#""require_ip": ["x"]"#, "\"x\" is no network"),
        ("caller", r#""post_body_limit": 1048577"#, "post_body_limit: is not a number of octets"),
        ("caller", r#""timestamp_delta_limit": 86401"#, "timestamp_delta_limit: is not a number"),
    ] {
        let fault = bridge(kind, options).expect_err("a mistake");
        assert!(format!("{}: {}", fault.at, fault.message).contains(expected), "{}: {}", fault.at, fault.message);
    }
    let (_, warnings) =
        with_paths(r#""x": {"type": "caller", "realm": "realm1", "role": "nobody"}"#, "").expect("a good file");
    assert!(warnings.iter().any(|warning| warning.contains("the role \"nobody\", which no realm has")), "{warnings:?}");
}

#[test]
fn streams_and_servers_behind_are_read() {
    use crate::config::relay::Target;
    use crate::config::web::Service;
    let own = r#""auth": {"ticket": {"type": "static", "principals": {}}, "cookie": {}}, "cookie": {"store": {"type": "memory"}}"#;
    let paths = format!(
        r#""ws": {{"type": "websocket", {own}}}, "known": {{"type": "eventsource", "realm": "realm1", {own}}},
        "events": {{"type": "eventsource", "realm": "realm1", "role": "anonymous"}},
        "app": {{"type": "reverseproxy", "host": "a.example"}}, "cgi": {{"type": "cgi", "directory": "x", "processor": "sh"}},
        "none": {{"type": "upload"}}, "app2": {{"type": "wsgi", "module": "a", "object": "b"}},
        "app3": {{"type": "resource", "classname": "a.B"}}"#
    );
    let (config, warnings) = with_paths(&paths, "").expect("a good file");
    let service = |path: &str| {
        let known = config.listeners[0].paths.iter().find(|known| known.path == path);
        known.unwrap_or_else(|| panic!("{path}")).service.clone()
    };
    assert_eq!(service("/known").transport(), service("/ws").transport(), "browsers are known at both");
    assert_ne!(service("/events").transport(), service("/ws").transport());
    assert!(matches!(service("/app"), Service::Relay(relay) if matches!(relay.target, Target::Http(_))));
    assert!(matches!(service("/cgi"), Service::Relay(relay) if matches!(relay.target, Target::Script { .. })));
    let bases: Vec<&str> = config.apps.iter().map(|app| &*app.base).collect();
    assert_eq!(bases, ["/app2", "/app3"]);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("\"upload\" is not served"), "{warning}");
}

#[test]
fn couriers_are_components_of_routers() {
    let file = |kind: &str, components: &str| {
        let text = format!(
            r#"{{"version": 2, "workers": [{{"type": "{kind}", "id": "w", "realms": [{{"name": "realm1", "roles": [{{"name": "web"}}]}}],
            "components": [{components}],
            "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "port": 8080}}}}]}}]}}"#
        );
        super::parse(&text, Format::Json, Path::new("/node")).map(|(config, warnings, _)| (config, warnings))
    };
    let callee = r#"{"type": "http-callee", "id": "rest", "realm": "realm1", "role": "web", "procedure": "a", "base_url": "http://b"}"#;
    let forwarder = r#"{"type": "class", "classname": "crossbar.adapter.rest.MessageForwarder", "realm": "realm1", "role": "web",
        "extra": {"subscriptions": [{"topic": "a", "url": "http://b"}]}}"#;
    let (config, warnings) = file("router", &format!("{callee}, {forwarder}")).expect("a good file");
    let ids: Vec<&str> = config.couriers.iter().map(|courier| &*courier.id).collect();
    assert_eq!((ids, config.components.len()), (vec!["w.rest", "w.component002"], 0));
    assert!(warnings.is_empty(), "{warnings:?}");
    for (components, expected) in [
        (format!("{callee}, {callee}"), "components[1].id: another component is \"w.rest\" already"),
        (callee.replace("realm1", "realm2"), "components[0].realm: the router has no realm \"realm2\""),
        (callee.replace("http://b", "b"), "components[0].base_url: is \"b\", which is no URL"),
    ] {
        let fault = file("router", &components).expect_err("a mistake");
        let said = format!("{}: {}", fault.at, fault.message);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn options_stand_where_the_web_is() {
    let universal = |part: &str| {
        let text = r#"{"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
            "transports": [{"type": "universal", "endpoint": {"type": "tcp", "port": 0}, PART}]}]}"#;
        let (config, warnings) = parse(&text.replace("PART", part), false).expect("a good file");
        (config.listeners[0].web.access_log, config.listeners[0].paths.len(), warnings.len())
    };
    let web = r#""web": {"paths": {"/": {"type": "nodeinfo"}}, "options": {"access_log": true}}"#;
    assert_eq!(universal(web), (true, 1, 0));
    assert_eq!(universal(r#""websocket": {"ws": {}}, "options": {"access_log": true}"#), (false, 1, 1));
}

#[test]
fn clients_are_not_moved_to_other_realms_by_a_reload() {
    let file = |ports: &[u16]| {
        let worker = |port: &u16| {
            format!(
                r#"{{"type": "router", "realms": [{{"name": "realm1", "roles": []}}], "transports": [
                {{"type": "rawsocket", "endpoint": {{"type": "tcp", "port": {port}}}}}]}}"#
            )
        };
        let workers = ports.iter().map(worker).collect::<Vec<_>>().join(",");
        parse(&format!(r#"{{"version": 2, "workers": [{workers}]}}"#), false).expect("a good file").0
    };
    let both = file(&[8080, 9090]);
    for (other, moved) in [
        (&[8080, 9090, 7070][..], false),
        (&[8080], false),
        (&[8080, 7070], false),
        // One that had another before it is the first now, and the first one the second.
        (&[9090], true),
        (&[7070, 8080, 9090], true),
    ] {
        let done = both.reload(&file(other));
        assert_eq!(matches!(done, Err(ConfigError::Moved(_))), moved, "{other:?}: {done:?}");
    }
    let any = file(&[0, 0]);
    assert!(any.reload(&any.clone()).is_ok());
}
