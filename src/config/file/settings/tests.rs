use super::*;
use serde_json::json;

fn read(value: Value) -> Result<RuntimeConfig, String> {
    let mut config = RuntimeConfig::default();
    let read = read_settings(&value, &mut config);
    read.map(|()| config).map_err(|fault| format!("{}: {}", fault.at, fault.message))
}

#[test]
fn settings_arrive() {
    let config = read(json!({
        "shards": 3,
        "pin": false,
        "limits": {"depth_max": 5, "calls_max": 6, "hello_timeout": 1.5},
        "transport": {"message_bytes_max": 1024, "write_delay": 0.005},
        "mesh": {"overflow_high_bytes": 4096, "overflow_low_bytes": 4096},
    }))
    .expect("good settings");
    assert_eq!((config.shards, config.pin, config.limits.depth_max, config.limits.calls_max), (Some(3), false, 5, 6));
    assert_eq!(config.limits.hello_timeout, Duration::from_millis(1500));
    assert_eq!((config.message_bytes_max, config.write_delay), (1024, Duration::from_millis(5)));
    assert_eq!(read(json!({"shards": "auto"})).expect("a good setting").shards, None);
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (value, expected) in [
        (json!([]), "corebar: has to be an object"),
        (json!({"limits": 1}), "corebar.limits: has to be an object"),
        (json!({"shard": 1}), "corebar.shard: is not known; did you mean corebar.shards?"),
        (json!({"limit": {}}), "corebar.limit: is not known; did you mean corebar.limits?"),
        (
            json!({"limits": {"call_max": 1}}),
            "corebar.limits.call_max: is not known; did you mean corebar.limits.calls_max?",
        ),
        (
            json!({"limits": {"message_bytes_max": 1}}),
            "corebar.limits.message_bytes_max: is not known; did you mean corebar.transport.message_bytes_max?",
        ),
        (json!({"shards": 0}), "corebar.shards: is 0, not \"auto\" or a number from 1 to "),
        (json!({"cores": []}), "corebar.cores: is [], not a list of numbers of cores from 0 to 1023, or null"),
        (json!({"cores": [1, 1024]}), "corebar.cores: is [1,1024], not a list"),
        (json!({"pin": 1}), "corebar.pin: is 1, not true or false"),
        (json!({"limits": {"depth_max": 0}}), "corebar.limits.depth_max: is 0, not a whole number from 1 to "),
        (json!({"limits": {"calls_max": -1}}), "corebar.limits.calls_max: is -1, not a whole number from 0 to "),
        (json!({"limits": {"hello_timeout": "1"}}), "corebar.limits.hello_timeout: is \"1\", not a number of seconds"),
        (json!({"limits": {"hello_timeout": 0}}), "hello_timeout: is 0, not a number of seconds from 0.01 to 86400"),
        (json!({"transport": {"write_delay": 0.0005}}), "write_delay: is 0.0005, which is no whole number of mill"),
        (json!({"transport": {"write_delay": 11}}), "write_delay: is 11, not a number of seconds from 0 to 10"),
        (json!({"mesh": {"spin": 0.2}}), "corebar.mesh.spin: is 0.2, not a number of seconds from 0 to 0.1"),
        (
            json!({"traces": {"endpoint": "127.0.0.1:4318"}}),
            "corebar.traces.endpoint: is \"127.0.0.1:4318\", not an address",
        ),
        (json!({"traces": {"sample": 1.5}}), "corebar.traces.sample: is 1.5, not a number from 0 to 1"),
        (json!({"traces": {"headers": ["a"]}}), "corebar.traces.headers: has to be an object"),
        (json!({"traces": {"headers": {"a b": "c"}}}), "corebar.traces.headers.a b: is no header of HTTP"),
        (json!({"traces": {"headers": {"a": "c\n"}}}), "corebar.traces.headers.a: is no header of HTTP"),
        (json!({"mesh": {"overflow_low_bytes": 1 << 30}}), "corebar.mesh: overflow_low_bytes (1073741824) is above"),
    ] {
        let said = read(value.clone()).expect_err("a mistake");
        assert!(said.contains(expected), "{value}: {said}");
    }
}

/// The default and both ends of the range can be written in the file, and the runtime takes them.
#[test]
fn ranges_hold_what_the_runtime_takes() {
    for (group, name, _, place) in SETTINGS {
        let ends = match place {
            Flag(_) | Shards => continue,
            Cores => [json!([0, CORE_MAX]), Value::Null],
            Limit(_) => [json!(1), Value::Null],
            Path(_) | File(_) => [json!("/x"), Value::Null],
            Text(.., example) => [json!(example), Value::Null],
            Address(_) => [json!("127.0.0.1:1"), Value::Null],
            Share(_) => [json!(0), json!(1)],
            Headers(_) => [json!({}), json!({"X-Key": "1"})],
            Time(_, min, max) | Milliseconds(_, min, max) => [json!(min), json!(max)],
            Depth(_, min, max) | Number(_, min, max) | Size(_, min, max) => [json!(min), json!(max)],
        };
        for end in ends {
            let mut config = RuntimeConfig { overflow_low_bytes: 0, ..RuntimeConfig::default() };
            config.overflow_high_bytes = usize::MAX;
            read_setting(group, name, &end, &mut config).expect("an end of the range");
            assert_eq!(config.check(), Ok(()), "{name}: {end}");
        }
        let mut config = RuntimeConfig::default();
        let default = place.value(&mut config);
        read_setting(group, name, &default, &mut config).expect("the default is in the range");
    }
}

/// The names of the fields of a struct, in its source.
fn fields<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, rest) = source.split_once(&format!("pub struct {name} {{")).expect("the struct is there");
    let (body, _) = rest.split_once("\n}").expect("the struct ends");
    let public = |line: &'a str| line.trim().strip_prefix("pub ").and_then(|line| line.split_once(':'));
    body.lines().filter_map(public).map(|(field, _)| field).collect()
}

#[test]
fn every_field_is_a_setting() {
    let elsewhere = [
        "listeners",
        "transports",
        "realms",
        "guests",
        "limits",
        "node",
        "components",
        "management",
        "couriers",
        "links",
        "apps",
    ];
    let mut all = fields(include_str!("../../mod.rs"), "RuntimeConfig");
    all.retain(|field| !elsewhere.contains(field));
    all.extend(fields(include_str!("../../../router/config.rs"), "Limits"));
    all.extend(fields(include_str!("../../log.rs"), "LogConfig"));
    assert_eq!(all.len(), SETTINGS.len());
    for field in all {
        let is = |(group, name, ..): &(&str, &str, &str, Place)| *name == field || format!("{group}_{name}") == field;
        assert_eq!(SETTINGS.iter().filter(|setting| is(setting)).count(), 1, "{field}");
    }
}

#[test]
fn differences_are_found() {
    for name in AT_START {
        assert!(SETTINGS.iter().any(|(group, own, ..)| path(group, own) == *name), "{name}");
    }
    let old = RuntimeConfig::default();
    let mut new = RuntimeConfig { shards: Some(3), spin: Duration::from_millis(1), ..RuntimeConfig::default() };
    let changes = differences(&old, &mut new);
    let texts: Vec<_> = changes.iter().map(|change| (&*change.text, change.at_start)).collect();
    let expected = [("corebar.shards: \"auto\" becomes 3", true), ("corebar.mesh.spin: 0.0 becomes 0.001", false)];
    assert_eq!(texts, expected);
    assert_eq!((new.shards, new.spin), (None, Duration::from_millis(1)));
    assert!(differences(&new, &mut new.clone()).is_empty());
}

#[test]
fn secrets_in_headers_are_not_shown() {
    let with = |secret: &str| read(json!({"traces": {"headers": {"Authorization": secret}}})).expect("good settings");
    let (old, mut new) = (with("first"), with("second"));
    assert_eq!(&*new.traces_headers["Authorization"], "second");
    let changes: Vec<_> = differences(&old, &mut new).into_iter().map(|change| change.text).collect();
    let expected =
        [r#"corebar.traces.headers: {"Authorization":"(hidden)"} becomes {"Authorization":"(hidden)"}"#.to_string()];
    assert_eq!(changes, expected, "it is another, which is all that is told");
    assert!(differences(&old, &mut old.clone()).is_empty());
    assert!(values(&old).iter().all(|(_, value)| !value.to_string().contains("first")));
}
